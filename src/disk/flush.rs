//! Making files and their names survive a power cut.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::whole;
use crate::error::Error;

/// Flushes `files` and then the directories they are in to the disk; one that is named twice is flushed once.
///
/// Several are flushed at a time: journalling file systems then put them into one commit. Where there are more than 128, the
/// file systems that they are on are flushed as a whole, if those are known to wait for the disk and to tell of failures:
/// that is one commit for all.
///
/// # Errors
///
/// [`Error::Io`] where a file is not there or a flush fails. The others may or may not be flushed.
pub fn flush(files: &[PathBuf]) -> Result<(), Error> {
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect::<BTreeSet<_>>().into_iter().collect();
    if files.len() > MANY && whole::flush(&files)? {
        return Ok(());
    }
    let directories: BTreeSet<&Path> = files.iter().filter_map(|path| path.parent()).collect();
    let next = AtomicUsize::new(0);
    let work = || loop {
        let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
        sync_file(path)?;
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..files.len().min(THREADS)).map(|_| scope.spawn(work)).collect();
        let outcomes = helpers.into_iter().map(|helper| helper.join().expect("flushing does not panic"));
        // The own share of the work first, then the others' outcomes; each of them ends in any case.
        std::iter::once_with(work).collect::<Vec<_>>().into_iter().chain(outcomes).collect::<Result<(), Error>>()
    })?;
    directories.into_iter().try_for_each(sync_dir)
}

/// Flushes the names inside a directory to the disk. Where directories cannot be flushed (Windows), does nothing.
///
/// # Errors
///
/// [`Error::Io`] where the directory cannot be opened or flushed.
pub fn sync_dir(path: &Path) -> Result<(), Error> {
    if cfg!(windows) {
        return Ok(());
    }
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flushed = OpenOptions::new().read(true).open(path).and_then(|directory: File| directory.sync_all());
    match flushed {
        // Some network file systems refuse; the names are then as safe as they get.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other.map_err(|error| Error::io("flush the directory", path, error)),
    }
}

fn sync_file(path: &Path) -> Result<(), Error> {
    // Windows flushes through writable handles only, which read-only blobs do not give.
    match OpenOptions::new().read(true).write(cfg!(windows)).open(path).and_then(|file| file.sync_data()) {
        Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(|error| Error::io("flush", path, error)),
    }
}

/// How many flushes are under way at once: enough for a journal to join them.
const THREADS: usize = 8;

/// From how many files on a file system is flushed as a whole: what else is not written there yet is then written too, which
/// few files are not worth.
const MANY: usize = 128;
