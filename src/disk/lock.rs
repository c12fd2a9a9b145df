//! Advisory file locks between processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::same::is_at;
use crate::error::Error;

/// A lock on a file, given back when it is dropped or the process ends, however it ends.
///
/// Advisory: it keeps out those who ask. Two locks of one process on one file exclude each other as well.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits until nobody else holds `path`, creating it if need be.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be opened or locked.
    pub fn exclusive(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        file.lock().map_err(|error| Error::io("lock", path, error))?;
        Ok(Self { file })
    }

    /// Waits until nobody holds `path` exclusively; others may share it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be opened or locked.
    pub fn shared(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        file.lock_shared().map_err(|error| Error::io("lock", path, error))?;
        Ok(Self { file })
    }

    /// Takes the lock if nobody else has it; `None` where somebody has.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be opened or locked.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        let taken = file.try_lock();
        Self::tried(file, path, taken)
    }

    /// Takes the lock beside others that share it; `None` where somebody has it exclusively.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be opened or locked.
    pub fn try_shared(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        let taken = file.try_lock_shared();
        Self::tried(file, path, taken)
    }

    /// Says whether what is locked is (still) what `path` names: whoever has cleared a directory may have removed the file of
    /// a lock that somebody waits for.
    pub fn is_at(&self, path: &Path) -> bool {
        is_at(&self.file, path)
    }

    fn tried(file: File, path: &Path, taken: Result<(), TryLockError>) -> Result<Option<Self>, Error> {
        match taken {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path, error)),
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| Error::io("open", path, error))
}
