//! Who adds to a layout and who takes away: never at the same time.
//!
//! Whoever adds something looks at what is there ("this blob exists already") and lists what builds on it; whoever
//! takes something away in between would leave a manifest without its content. So publishing shares a lock, and removing
//! has it alone. Processes on one directory keep to it as well as tasks of one process do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::ingest::blocking;
use crate::disk::{self, Lock};
use crate::error::Error;

/// The right to add or to remove, given back when it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Access {
    _content: Lock,
    /// Held as well by whoever removes: nobody begins to add meanwhile.
    _gate: Option<Lock>,
}

/// What the right is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Any number at a time.
    Add,
    /// One at a time, and nobody adds.
    Remove,
}

/// What came of one attempt.
enum Attempt {
    Granted(Access),
    /// Somebody is in the way. Whoever wants to remove keeps the gate: those who add come to an end, and no others begin.
    Busy(Option<Lock>),
}

impl Access {
    /// Waits for the right, asking again and again: that can be cancelled, and holds no thread that those in the way
    /// may need. The locks are files in `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the files cannot be locked, or not within `patience`.
    pub(super) async fn gain(folder: PathBuf, purpose: Purpose, patience: Duration) -> Result<Self, Error> {
        let (mut gate, mut pause, begun) = (None, PAUSE_MIN, Instant::now());
        loop {
            let (inner, held) = (folder.clone(), gate.take());
            gate = match blocking(move || attempt(&inner, purpose, held)).await? {
                Attempt::Granted(access) => return Ok(access),
                Attempt::Busy(gate) => gate,
            };
            if begun.elapsed() >= patience {
                let stuck = io::Error::new(io::ErrorKind::TimedOut, "another process holds it");
                return Err(Error::io("lock", folder.join(CONTENT), stuck));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

fn attempt(folder: &Path, purpose: Purpose, held: Option<Lock>) -> Result<Attempt, Error> {
    disk::create_dirs(folder)?;
    let (gate, content) = (folder.join(GATE), folder.join(CONTENT));
    match purpose {
        Purpose::Add => {
            let Some(_gate) = Lock::try_shared(&gate)? else { return Ok(Attempt::Busy(None)) };
            let granted = |content| Attempt::Granted(Access { _content: content, _gate: None });
            Ok(Lock::try_shared(&content)?.map_or(Attempt::Busy(None), granted))
        }
        Purpose::Remove => {
            let held = match held {
                Some(held) => Some(held),
                None => Lock::try_exclusive(&gate)?,
            };
            let Some(held) = held else { return Ok(Attempt::Busy(None)) };
            Ok(match Lock::try_exclusive(&content)? {
                Some(content) => Attempt::Granted(Access { _content: content, _gate: Some(held) }),
                None => Attempt::Busy(Some(held)),
            })
        }
    }
}

/// Shut by whoever waits to remove, so that those who add one after the other do not keep them out forever.
const GATE: &str = "gate.lock";
const CONTENT: &str = "content.lock";

/// How long to wait before asking again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);
