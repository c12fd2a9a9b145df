//! Reading small files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::error::Error;

/// Reads a file of at most `limit` bytes; `None` where there is none.
///
/// # Errors
///
/// [`Error::Io`] where it cannot be read, or is longer: the kind is then [`io::ErrorKind::FileTooLarge`].
pub fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let failed = |error| Error::io("read", path, error);
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(bytes))
}

/// Reads like [`read_bounded`], where a file that is too long is as good as none.
///
/// # Errors
///
/// [`Error::Io`] where it cannot be read.
pub fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    match read_bounded(path, limit) {
        Err(Error::Io(failure)) if failure.source.kind() == io::ErrorKind::FileTooLarge => Ok(None),
        other => other,
    }
}
