//! Who uses a cache and who clears it: never at the same time.
//!
//! Whoever pulls looks at what is there ("this blob exists already") and publishes what needs it; whoever takes something
//! away in between would leave an application without its content. So using shares a lock, and clearing has it alone.
//! Other than with layouts nobody shuts a gate: a pull may take an hour, and the next one does not wait for who waits for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::disk::{self, Lock};
use crate::error::Error;
use crate::store::blocking;

/// The right to rely on what is in a cache, given back when it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(super) struct InUse {
    /// Nothing where nobody can lock, and so nobody can clear.
    lock: Option<Lock>,
    /// The file of the lock, where there was no cache before.
    made: Option<PathBuf>,
}

/// The right to take away from a cache, given back likewise.
#[derive(Debug)]
pub(super) struct Alone {
    _lock: Lock,
}

impl InUse {
    /// Waits until nobody clears the cache.
    pub(super) async fn gain(path: PathBuf) -> Result<Self, Error> {
        let made = Some(path.clone()).filter(|path| !path.exists());
        match wait(path, Lock::try_shared, PATIENCE_TO_USE, CLEARED).await {
            Ok(lock) => Ok(Self { lock: Some(lock), made }),
            Err(Error::Io(failure)) if is_read_only(&failure.source) => Ok(Self { lock: None, made: None }),
            Err(error) => Err(error),
        }
    }
}

impl Drop for InUse {
    /// Takes the file away again where nothing has come into the cache: who was refused leaves nothing behind.
    fn drop(&mut self) {
        self.lock = None;
        let Some(path) = self.made.take() else { return };
        let Ok(Some(lock)) = Lock::try_exclusive(&path) else { return };
        let Some(folder) = path.parent().filter(|_| lock.is_at(&path)) else { return };
        if fs::read_dir(folder).is_ok_and(|listed| listed.count() == 1) && disk::remove_if_present(&path).is_ok() {
            // Each only where it is empty: our folder, that of the cache, and what `--cache-dir` names.
            let _ = folder.ancestors().take(3).try_for_each(fs::remove_dir);
        }
    }
}

impl Alone {
    /// Waits until nobody uses the cache.
    pub(super) async fn gain(path: PathBuf) -> Result<Self, Error> {
        Ok(Self { _lock: wait(path, Lock::try_exclusive, PATIENCE_TO_CLEAR, USED).await? })
    }
}

/// Asks again and again: that can be cancelled, and holds no thread that those in the way may need.
async fn wait(
    path: PathBuf,
    attempt: impl Fn(&Path) -> Result<Option<Lock>, Error> + Copy + Send + 'static,
    patience: Duration,
    in_the_way: &'static str,
) -> Result<Lock, Error> {
    let (mut pause, begun) = (PAUSE_MIN, Instant::now());
    loop {
        let file = path.clone();
        let attempted = blocking(move || {
            file.parent().map_or(Ok(()), disk::create_dirs)?;
            // Whoever clears removes this file as well, and others lock the next one.
            Ok(attempt(&file)?.filter(|lock| lock.is_at(&file)))
        });
        if let Some(lock) = attempted.await? {
            return Ok(lock);
        }
        if begun.elapsed() >= patience {
            return Err(Error::io("lock", path, io::Error::new(io::ErrorKind::ResourceBusy, in_the_way)));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

const CLEARED: &str = "another process has been clearing the cache for ten minutes";
const USED: &str = "other processes have been using the cache for a minute";

/// Removing a hundred thousand files takes seconds.
const PATIENCE_TO_USE: Duration = Duration::from_secs(600);
/// A pull may take hours; whoever clears can come again.
const PATIENCE_TO_CLEAR: Duration = Duration::from_secs(60);

/// How long to wait before asking again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);
