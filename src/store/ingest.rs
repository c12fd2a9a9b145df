//! The streaming, hash-verifying, resumable writer, as asynchronous code sees it.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::shelf::{SessionId, Shelf};
use super::writer::{Attempt, Durability, Want, Writer};
use crate::content::{Blob, Body, Pushed, Seams};
use crate::disk;
use crate::error::Error;
use crate::model::{Algorithm, Descriptor, Digest};

/// How an ingest begins.
#[derive(Debug)]
pub enum Started {
    /// The content is there already: a file of its length stands under its name.
    Exists,
    /// The content is not there; here is where to put it.
    Ingest(Ingest),
}

/// Content on its way to the disk: a partial file under an exclusive lock, hashed as it grows.
///
/// Nothing bears its final name before its size and digest are right. A second ingest of the same content, in this
/// process or another one, waits and then usually finds it [there](Started::Exists). Dropping an ingest, or killing
/// the process, keeps the partial for the next one to resume; so does a full disk (the error names the partial).
///
/// Hashing and writing happen on the blocking pool, one batch of chunks after the other, while the next batch gathers:
/// a slow disk slows the caller down, and while nothing comes no thread is held. At most a MiB is in memory, and less
/// where there are many: all ingests of the process hold 1 MiB, and one chunk each besides.
#[derive(Debug)]
pub struct Ingest {
    state: State,
    /// Accepted while a batch is being written.
    queue: Batch,
    /// What was accepted so far, on file or on its way there.
    offset: u64,
}

#[derive(Debug)]
enum State {
    Idle(Box<Writer>),
    Working(JoinHandle<Worked>),
    /// The writing task was lost: the runtime is shutting down.
    Lost,
}

type Worked = (Box<Writer>, Result<(), Error>);

/// Chunks that wait to be written, counted among those of the whole process.
#[derive(Debug, Default)]
struct Batch {
    chunks: Vec<Bytes>,
    bytes: usize,
}

/// How many bytes are in the batches of all ingests: what each may hold depends on how many there are.
static HELD: AtomicUsize = AtomicUsize::new(0);

impl Batch {
    fn push(&mut self, chunk: Bytes) {
        HELD.fetch_add(chunk.len(), Ordering::Relaxed);
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    /// Says whether what comes next has to wait. An empty one always takes a chunk, so that nobody waits for others.
    fn is_full(&self) -> bool {
        let crowded = self.bytes > 0 && HELD.load(Ordering::Relaxed) >= ROOM;
        crowded || self.bytes >= QUEUE || self.chunks.len() >= CHUNKS
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        HELD.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Ingest {
    /// Begins to write the content that `expected` describes, or goes on where an earlier attempt has stopped.
    ///
    /// What the partial has already is read and hashed first; [`Ingest::offset`] says how much that is.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the shelf cannot be written, or where somebody else writes the same content and makes no
    /// progress for as long as the shelf's patience lasts.
    pub async fn start(shelf: &Shelf, expected: &Descriptor) -> Result<Started, Error> {
        Self::acquire(shelf, Want::Known(Box::new(expected.clone()))).await
    }

    /// Begins or goes on with content whose digest is not known yet; `id` names it until then.
    ///
    /// The digest is [SHA-256](crate::model::Algorithm::Sha256) unless [`Ingest::expect`] says otherwise.
    ///
    /// # Errors
    ///
    /// As [`Ingest::start`].
    pub async fn session(shelf: &Shelf, id: &SessionId) -> Result<Self, Error> {
        Self::acquire(shelf, Want::Session(id.clone())).await?.into_session()
    }

    /// Goes on with a session that was begun earlier, by this process or an earlier one; what it has is hashed again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no such session; else as [`Ingest::start`].
    pub async fn resume(shelf: &Shelf, id: &SessionId) -> Result<Self, Error> {
        Self::resume_hashing(shelf, id, Algorithm::Sha256).await
    }

    /// Goes on as [`Ingest::resume`] does, with a session whose digest will be of another algorithm: what is written from
    /// now on, and what is there, is then read once.
    ///
    /// # Errors
    ///
    /// As [`Ingest::resume`].
    pub async fn resume_hashing(shelf: &Shelf, id: &SessionId, algorithm: Algorithm) -> Result<Self, Error> {
        Self::acquire(shelf, Want::Resumed(id.clone(), algorithm)).await?.into_session()
    }

    /// Begins a session that ends with this ingest: dropped before it is committed, it leaves nothing behind. Only a
    /// process that is killed does.
    ///
    /// # Errors
    ///
    /// As [`Ingest::start`].
    pub async fn transient(shelf: &Shelf, id: &SessionId, algorithm: Algorithm) -> Result<Self, Error> {
        Self::acquire(shelf, Want::Transient(id.clone(), algorithm)).await?.into_session()
    }

    /// Returns how many bytes were accepted so far; where to open the source to go on.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Accepts the next bytes; waits while there are many already behind a batch that is being written.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where the content becomes longer than its descriptor says, [`Error::Io`] where it cannot
    /// be written. Either may be about an earlier chunk; [`Ingest::offset`] then says what is really on file.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let done = match &self.state {
            State::Idle(_) => false,
            State::Working(task) => task.is_finished(),
            State::Lost => return Err(lost()),
        };
        if done || self.queue.is_full() {
            self.turn().await?;
        }
        self.offset += chunk.len() as u64;
        self.queue.push(chunk);
        self.launch();
        Ok(())
    }

    /// Waits for what `body` brings next. As long as that is nothing, what was accepted goes on file: a peer that falls
    /// silent, and a process that is killed meanwhile, cost none of it.
    ///
    /// # Errors
    ///
    /// As [`Ingest::write`]; what the body reports is inside.
    pub(crate) async fn next_of(&mut self, body: &mut Body) -> Result<Option<Result<Bytes, Error>>, Error> {
        // Both may be given up at any time and lose nothing.
        match select(pin!(body.chunk()), pin!(self.settle())).await {
            Either::Left((chunk, _)) => Ok(chunk),
            Either::Right((settled, chunk)) => {
                settled?;
                Ok(chunk.await)
            }
        }
    }

    /// Waits until everything accepted is on file, and returns how much that is. It is not flushed.
    ///
    /// # Errors
    ///
    /// As [`Ingest::write`].
    pub async fn settle(&mut self) -> Result<u64, Error> {
        while matches!(self.state, State::Working(_)) {
            self.turn().await?;
        }
        match self.state {
            State::Lost => Err(lost()),
            State::Idle(_) | State::Working(_) => Ok(self.offset),
        }
    }

    /// Says which digest the content of a session must have, as an upload's last request does.
    ///
    /// One of another algorithm than the session was begun with (SHA-256, unless said otherwise) costs a second
    /// reading of the file when it is committed. An ingest that was started with a descriptor keeps what that says.
    ///
    /// # Errors
    ///
    /// As [`Ingest::write`].
    pub async fn expect(&mut self, digest: Digest) -> Result<(), Error> {
        self.settle().await?;
        if let State::Idle(writer) = &mut self.state {
            writer.expect(digest);
        }
        Ok(())
    }

    /// Verifies size and digest and gives the content its name. It becomes durable by [`flush`].
    ///
    /// Returns what was expected; for a session its digest and size, as [`application/octet-stream`].
    ///
    /// [`application/octet-stream`]: crate::model::MediaType::OCTET_STREAM
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where the content is not what was expected; the partial is then removed.
    /// [`Error::Io`] where it cannot be published; the partial is then kept.
    pub async fn commit(self) -> Result<Descriptor, Error> {
        self.publish(Durability::Later).await
    }

    /// Commits as [`Ingest::commit`] does, and returns once the content survives a power cut: its bytes are flushed
    /// before they get their name, and then the name is.
    ///
    /// # Errors
    ///
    /// As [`Ingest::commit`].
    pub async fn commit_durably(self) -> Result<Descriptor, Error> {
        self.publish(Durability::Now).await
    }

    /// Throws away what was written and begins again at offset 0, still holding the lock.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the partial cannot be truncated.
    pub async fn restart(mut self) -> Result<Self, Error> {
        // Why earlier bytes failed does not matter any more.
        let _ = self.settle().await;
        let mut writer = self.into_writer()?;
        let writer = blocking(move || writer.restart().map(|()| writer)).await?;
        Ok(Self { state: State::Idle(writer), queue: Batch::default(), offset: 0 })
    }

    /// Removes what was written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the partial cannot be removed.
    pub async fn abort(mut self) -> Result<(), Error> {
        let _ = self.settle().await;
        let writer = self.into_writer()?;
        blocking(move || writer.abort()).await
    }

    async fn publish(mut self, durability: Durability) -> Result<Descriptor, Error> {
        self.settle().await?;
        let writer = self.into_writer()?;
        blocking(move || writer.commit(durability)).await
    }

    /// Waits for the lock by asking again and again: that can be cancelled, and holds no thread meanwhile.
    async fn acquire(shelf: &Shelf, want: Want) -> Result<Started, Error> {
        let mut pause = PAUSE_MIN;
        let mut last = (0, Instant::now());
        loop {
            let (inner_shelf, inner_want) = (shelf.clone(), want.clone());
            let length = match blocking(move || Writer::attempt(&inner_shelf, &inner_want)).await? {
                Attempt::Exists => return Ok(Started::Exists),
                Attempt::Locked(writer) => {
                    let offset = writer.offset();
                    return Ok(Started::Ingest(Self { state: State::Idle(writer), queue: Batch::default(), offset }));
                }
                Attempt::Busy(length) => length,
            };
            if length != last.0 {
                last = (length, Instant::now());
            } else if last.1.elapsed() >= shelf.patience() {
                let stuck = io::Error::new(io::ErrorKind::TimedOut, "another process holds it and makes no progress");
                return Err(Error::io("lock", want.path(shelf), stuck));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits for the batch that is being written, and begins with the next.
    async fn turn(&mut self) -> Result<(), Error> {
        // Whoever stops waiting here finds the state as it is and may go on.
        if let State::Working(task) = &mut self.state {
            let worked = task.await;
            self.state = State::Lost;
            let (writer, outcome) = worked.map_err(|_| lost())?;
            if outcome.is_err() {
                self.queue = Batch::default();
                self.offset = writer.offset();
            }
            self.state = State::Idle(writer);
            outcome?;
        }
        self.launch();
        Ok(())
    }

    /// Begins to write what is queued, unless something is being written.
    fn launch(&mut self) {
        if self.queue.chunks.is_empty() {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(writer) => {
                let batch = std::mem::take(&mut self.queue);
                State::Working(tokio::task::spawn_blocking(move || work(writer, batch)))
            }
            other => other,
        };
    }

    fn into_writer(self) -> Result<Box<Writer>, Error> {
        match self.state {
            State::Idle(writer) => Ok(writer),
            State::Working(_) | State::Lost => Err(lost()),
        }
    }
}

impl Started {
    fn into_session(self) -> Result<Ingest, Error> {
        match self {
            Self::Ingest(ingest) => Ok(ingest),
            // A session has no final name under which it could exist.
            Self::Exists => Err(lost()),
        }
    }
}

/// Moves the content of `blob` onto `shelf`, going on where an earlier attempt has stopped.
///
/// Content that is there already costs nothing. Content that is whole on file but was not yet verified, or that is
/// empty, is not opened at its source. Where the result of going on does not match, be it with what an earlier attempt
/// has left or within a transfer that broke, the pieces were bad: they are thrown away and the content is fetched once
/// more from the beginning.
///
/// # Errors
///
/// [`Error::Mismatch`] where the source has other content, which leaves nothing behind; [`Error::Io`]; whatever
/// opening and reading `blob` says, which keeps the partial.
pub async fn fetch(shelf: &Shelf, blob: &Blob) -> Result<Pushed, Error> {
    let mut ingest = match Ingest::start(shelf, blob.descriptor()).await? {
        Started::Exists => return Ok(Pushed::Existed),
        Started::Ingest(ingest) => ingest,
    };
    let mut seams = Seams::default();
    if ingest.offset() > 0 {
        seams.mark();
    }
    match pour(blob, ingest, &mut seams).await {
        Err(Error::Mismatch(_)) if seams.any() => {}
        other => return other,
    }
    ingest = match Ingest::start(shelf, blob.descriptor()).await? {
        Started::Exists => return Ok(Pushed::Existed),
        // Should somebody have begun another partial meanwhile, that is not to be trusted either.
        Started::Ingest(ingest) => ingest.restart().await?,
    };
    pour(blob, ingest, &mut seams).await
}

/// Makes finished content durable: flushes `files` and the directories they are in.
///
/// Once for all blobs of a manifest, before the manifest itself is published.
///
/// # Errors
///
/// [`Error::Io`] where one of them is not there or cannot be flushed.
pub async fn flush(files: Vec<PathBuf>) -> Result<(), Error> {
    blocking(move || disk::flush(&files)).await
}

/// Runs what blocks on the blocking pool.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(lost()),
        },
    }
}

impl Want {
    fn path(&self, shelf: &Shelf) -> PathBuf {
        match self {
            Self::Known(expected) => shelf.partial_path(&expected.digest),
            Self::Session(id) | Self::Resumed(id, _) | Self::Transient(id, _) => shelf.session_path(id),
        }
    }
}

/// Gives up what could not be written: wrong bytes go away, a full disk keeps what it has.
async fn unwritten(ingest: Ingest, error: Error) -> Error {
    match error {
        Error::Mismatch(_) => ingest.abort().await.err().unwrap_or(error),
        _ => error,
    }
}

/// Moves what is missing; `seams` learns whether that came in pieces.
async fn pour(blob: &Blob, mut ingest: Ingest, seams: &mut Seams) -> Result<Pushed, Error> {
    if ingest.offset() < blob.descriptor().size {
        let mut body = match blob.open(ingest.offset()).await {
            Ok(body) => body,
            Err(error) => {
                if let Error::Mismatch(_) = error {
                    ingest.abort().await?;
                }
                return Err(error);
            }
        };
        if ingest.offset() == 0 {
            *seams = body.seams();
        }
        loop {
            let chunk = match ingest.next_of(&mut body).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    // What has come is worth keeping, unless it is of something else; why it ended is worth more than
                    // whether that succeeds.
                    let _ = match error {
                        Error::Mismatch(_) => ingest.abort().await,
                        _ => ingest.settle().await.map(|_| ()),
                    };
                    return Err(error);
                }
                Err(error) => return Err(unwritten(ingest, error).await),
            };
            if let Err(error) = ingest.write(chunk).await {
                return Err(unwritten(ingest, error).await);
            }
        }
    }
    match ingest.settle().await {
        Err(error @ Error::Mismatch(_)) => {
            ingest.abort().await?;
            Err(error)
        }
        Err(error) => Err(error),
        Ok(_) => ingest.commit().await.map(|_| Pushed::Uploaded),
    }
}

fn work(mut writer: Box<Writer>, mut batch: Batch) -> Worked {
    // What was written is let go at once: its memory serves what comes.
    let outcome = batch.chunks.drain(..).try_for_each(|chunk| writer.write(&chunk));
    (writer, outcome)
}

/// What happens to work on the blocking pool when the runtime ends.
fn lost() -> Error {
    Error::io("finish writing", Path::new(""), io::Error::other("the runtime is shutting down"))
}

/// How many bytes are queued behind a batch: enough for few hand-overs, and to bridge a slow write.
const QUEUE: usize = 512 << 10;
/// How many chunks are, however small they are.
const CHUNKS: usize = 128;
/// How many bytes all ingests of the process may hold together before each goes on with one chunk at a time.
const ROOM: usize = 1 << 20;

/// How long to wait before asking for a lock again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(250);
