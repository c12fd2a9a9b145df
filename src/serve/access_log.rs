//! One line of JSON for each request, written by a thread of its own, so that a slow disk or a full pipe holds nobody up.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::exchange::{Exchange, Observer, Outcome, Traffic};
use super::moment::rfc3339;
use crate::error::Error;

/// An [`Observer`] that keeps a log: one JSON object for each request, on a line of its own, once the request is over.
///
/// | key | what |
/// |---|---|
/// | `time` | when it was over: RFC 3339, UTC, milliseconds |
/// | `id` | the name of the request, which the answer has in `X-Request-Id` |
/// | `peer` | address and port |
/// | `user` | whose password or token was right; `null` for anybody |
/// | `method`, `path` | the request line; the query without values that might be secret, upload sessions by their first digits |
/// | `status` | the answer's; 499 where the peer went away before there was one |
/// | `received`, `sent` | bytes of both bodies |
/// | `milliseconds` | from the request's headers to the end |
/// | `broken` | `true` where the answer did not get through whole |
///
/// Credentials are in none of them. Where lines come faster than they can be written, those that do not fit into the
/// queue are counted and the count is logged: `{"time":…,"lost":17}`.
pub struct AccessLog {
    orders: SyncSender<Order>,
    lost: Mutex<u64>,
}

/// Where an [`AccessLog`] goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// To the end of a file, which is made if it is not there.
    File(PathBuf),
    /// To standard output.
    Stdout,
}

enum Order {
    Write(Vec<u8>),
    Reopen(SyncSender<Result<(), Error>>),
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Begins to log.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be opened, or no thread be started.
    pub fn start(target: LogTarget) -> Result<Self, Error> {
        let mut sink = open(&target)?;
        let (orders, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("access log".to_owned());
        // It ends when the log is dropped and the queue is empty.
        let writer = thread.spawn(move || write(&target, &mut sink, &queue));
        writer.map_err(|error| Error::io("start", "a thread for the access log", error))?;
        Ok(Self { orders, lost: Mutex::default() })
    }

    /// Opens the file anew, after somebody has moved it away. Blocks until the lines before it are written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where that fails; the old file is written on then.
    pub fn reopen(&self) -> Result<(), Error> {
        let (done, outcome) = sync_channel(1);
        match self.orders.send(Order::Reopen(done)) {
            Ok(()) => outcome.recv().unwrap_or(Ok(())),
            // The writer lives as long as the log.
            Err(_) => Ok(()),
        }
    }

    /// Waits until every line so far is written. Blocks.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.orders.send(Order::Flush(done)).is_ok() {
            // An error means as well that nothing is left to wait for.
            let _ = written.recv();
        }
    }

    fn push(&self, line: Vec<u8>) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if *lost > 0 && self.orders.try_send(Order::Write(to_line(&Gap { time: now(), lost: *lost }))).is_ok() {
            *lost = 0;
        }
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Write(line)) {
            *lost += 1;
        }
    }
}

impl Observer for AccessLog {
    fn answered(&self, _: &Exchange) {}

    fn finished(&self, exchange: &Exchange, traffic: &Traffic) {
        self.push(to_line(&Line::new(exchange, traffic)));
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: &'a str,
    peer: String,
    user: Option<&'a str>,
    method: &'a str,
    path: String,
    status: u16,
    received: u64,
    sent: u64,
    milliseconds: u128,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    broken: bool,
}

impl<'a> Line<'a> {
    fn new(exchange: &'a Exchange, traffic: &Traffic) -> Self {
        let mut path = without_session(exchange.uri.to_string());
        if path.len() > MAX_PATH {
            path.truncate(path.floor_char_boundary(MAX_PATH));
            path.push('…');
        }
        Self {
            time: now(),
            id: exchange.id.as_str(),
            peer: exchange.peer.to_string(),
            user: exchange.user.as_deref(),
            method: exchange.method.as_str(),
            path,
            status: exchange.status.as_u16(),
            received: traffic.received,
            sent: traffic.sent,
            milliseconds: traffic.elapsed.as_millis(),
            broken: traffic.outcome == Outcome::Broken,
        }
    }
}

/// Cuts the name of an upload session to what tells it from others: who knows the whole may write to it.
fn without_session(mut path: String) -> String {
    let end = path.find('?').unwrap_or(path.len());
    if let Some(at) = path[..end].rfind(UPLOADS).map(|at| at + UPLOADS.len())
        && let Some(shown) = path.get(at..end).and_then(|id| id.get(SHOWN..)).map(|_| at + SHOWN)
        && shown < end
    {
        path.replace_range(shown..end, "…");
    }
    path
}

#[derive(Serialize)]
struct Gap {
    time: String,
    lost: u64,
}

fn now() -> String {
    rfc3339(SystemTime::now())
}

fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("plain data has a JSON form");
    line.push(b'\n');
    line
}

fn open(target: &LogTarget) -> Result<Box<dyn Write + Send>, Error> {
    match target {
        LogTarget::Stdout => Ok(Box::new(io::stdout())),
        LogTarget::File(path) => {
            let opened: io::Result<File> = OpenOptions::new().create(true).append(true).open(path);
            opened.map(|file| Box::new(file) as _).map_err(|error| Error::io("open", path, error))
        }
    }
}

fn write(target: &LogTarget, sink: &mut Box<dyn Write + Send>, queue: &Receiver<Order>) {
    let mut is_broken = false;
    for order in queue {
        match order {
            Order::Write(line) => match sink.write_all(&line).and_then(|()| sink.flush()) {
                Ok(()) => is_broken = false,
                // Once until it works again: a full disk would fill the other log as well.
                Err(error) if !is_broken => {
                    tracing::error!(%error, "the access log cannot be written");
                    is_broken = true;
                }
                Err(_) => {}
            },
            Order::Reopen(done) => {
                let outcome = open(target).map(|fresh| *sink = fresh);
                // Who does not wait any more need not know.
                let _ = done.send(outcome);
            }
            Order::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// How many lines may wait to be written: some seconds of a busy registry, 2 MiB.
const QUEUE: usize = 8192;

/// How much of a path is logged, in bytes: the longest that mean something fit.
const MAX_PATH: usize = 2048;

/// What stands before the name of an upload session.
const UPLOADS: &str = "/blobs/uploads/";

/// How much of it is logged, in digits.
const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_apart_and_not_given_away() {
        for (path, logged) in [
            ("/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/"),
            ("/v2/a/blobs/uploads/?mount=sha256:00&from=b", "/v2/a/blobs/uploads/?mount=sha256:00&from=b"),
            ("/v2/a/blobs/uploads/0123456789abcdef", "/v2/a/blobs/uploads/01234567…"),
            ("/v2/a/blobs/uploads/0123456789abcdef?digest=x", "/v2/a/blobs/uploads/01234567…?digest=x"),
            ("/v2/a/blobs/uploads/short", "/v2/a/blobs/uploads/short"),
            ("/v2/a/blobs/uploads/ääääääääääää", "/v2/a/blobs/uploads/ääää…"),
            ("/v2/a/blobs/uploads/aääääääääää", "/v2/a/blobs/uploads/aääääääääää"),
            ("/v2/a/blobs/sha256:0123456789abcdef", "/v2/a/blobs/sha256:0123456789abcdef"),
            ("/v2/a?x=/blobs/uploads/0123456789abcdef", "/v2/a?x=/blobs/uploads/0123456789abcdef"),
        ] {
            assert_eq!(without_session(path.to_owned()), logged);
        }
    }
}
