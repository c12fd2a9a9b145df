//! Giving files their final names.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::sync_dir;
use crate::error::Error;

/// Who may do what with a published file. On systems without Unix modes only read-only is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0600: credentials.
    Private,
    /// 0644: what other programs of the user may replace.
    Shared,
    /// 0444: blobs, which nobody changes.
    ReadOnly,
}

/// How the names of files begin that [`replace`] has not finished: what begins like this and is old was left by a process
/// that was killed.
pub const TEMPORARY: &str = ".spinreg-";

/// Makes `path` and what is missing above it.
///
/// # Errors
///
/// [`Error::Io`] where a directory cannot be made.
pub fn create_dirs(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|error| Error::io("create the directory", path, error))
}

/// Makes `path` and what is missing above it, and flushes the names of what was made.
///
/// # Errors
///
/// [`Error::Io`] where a directory cannot be made or flushed.
pub fn create_dirs_durably(path: &Path) -> Result<(), Error> {
    let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let made: Vec<&Path> = path.ancestors().take_while(missing).collect();
    create_dirs(path)?;
    made.into_iter().filter_map(Path::parent).try_for_each(sync_dir)
}

/// Writes `bytes` to `path`, where nothing is yet. Nothing is flushed; where it fails, nothing stays.
///
/// # Errors
///
/// [`Error::Io`] where something is there or it cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = File::create_new(path).map_err(|error| Error::io("create", path, error))?;
    file.write_all(bytes).map_err(|error| {
        // Whoever looks for stale partials finds what stays.
        let _ = fs::remove_file(path);
        Error::io("write", path, error)
    })
}

/// Renames the finished file `partial` to `path`, replacing what is there, after setting its mode.
///
/// Both must be on one file system. Readers see the old file, or none, or the whole new one. Whether
/// the name survives a power cut is up to [`sync_dir`].
///
/// # Errors
///
/// [`Error::Io`] where the mode cannot be set or the file not renamed; `partial` is then still there.
pub fn publish(partial: &Path, path: &Path, mode: Mode) -> Result<(), Error> {
    fs::set_permissions(partial, permissions(partial, mode)?)
        .map_err(|error| Error::io("set the mode of", partial, error))?;
    fs::rename(partial, path).map_err(|error| Error::io("publish", path, error))
}

/// Replaces the content of `path` by `bytes`, durably: written beside it, flushed, renamed, directory flushed.
///
/// # Errors
///
/// [`Error::Io`] where any step fails; `path` then has its old content.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), Error> {
    put(path, bytes, mode, Flush::Now)
}

/// Replaces the content of `path` by `bytes` as [`replace`] does, without waiting for the disk: readers see the old file or
/// the new one, and after a power cut perhaps neither. For what can be found out again.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_lightly(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), Error> {
    put(path, bytes, mode, Flush::Never)
}

/// Whether something has to survive a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    Now,
    Never,
}

fn put(path: &Path, bytes: &[u8], mode: Mode, flush: Flush) -> Result<(), Error> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dirs(directory)?;
    // `tempfile` creates with mode 0600, so that a secret is never readable by others, not even for a moment.
    let failed = |error| Error::io("write", path, error);
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    let permissions = permissions(file.path(), mode)?;
    file.as_file().set_permissions(permissions).map_err(failed)?;
    if flush == Flush::Now {
        file.as_file().sync_all().map_err(failed)?;
    }
    file.persist(path).map_err(|error| Error::io("write", path, error.error))?;
    if flush == Flush::Now { sync_dir(directory) } else { Ok(()) }
}

/// Gives the file `existing` a second name, replacing what has it; both must be on one file system.
///
/// # Errors
///
/// [`Error::Io`] where the file system does not link, or `existing` is not there.
pub fn link(existing: &Path, path: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("link", path, error);
    match fs::hard_link(existing, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_if_present(path)?;
            fs::hard_link(existing, path).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Lets the owner write to `path` again.
///
/// # Errors
///
/// [`Error::Io`] where the mode cannot be set.
pub fn make_writable(path: &Path) -> Result<(), Error> {
    permissions(path, Mode::Shared)
        .and_then(|mode| fs::set_permissions(path, mode).map_err(|error| Error::io("set the mode of", path, error)))
}

/// Makes a file look as if it were written now, as far as its owner allows us; one that is not there is no error.
///
/// # Errors
///
/// [`Error::Io`] where the file cannot be opened.
pub fn touch(path: &Path) -> Result<(), Error> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("open", path, error)),
        // A file of somebody else's stays as old as it is.
        Ok(file) => file.set_modified(SystemTime::now()).or(Ok(())),
    }
}

/// Says whether a file was last written longer than `age` ago, as far as the file system tells: `false` as well where
/// there is no such file any more.
pub fn is_older(path: &Path, age: Duration) -> bool {
    fs::metadata(path).is_ok_and(|metadata| was_written_before(&metadata, age))
}

/// As [`is_older`], of metadata that are at hand.
pub fn was_written_before(metadata: &Metadata, age: Duration) -> bool {
    metadata.modified().is_ok_and(|written| written.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
///
/// [`Error::Io`] where it is there and cannot be removed.
pub fn remove_if_present(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn permissions(_: &Path, mode: Mode) -> Result<Permissions, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(Permissions::from_mode(match mode {
        Mode::Private => 0o600,
        Mode::Shared => 0o644,
        Mode::ReadOnly => 0o444,
    }))
}

#[cfg(not(unix))]
fn permissions(path: &Path, mode: Mode) -> Result<Permissions, Error> {
    let metadata = fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
    let mut permissions = metadata.permissions();
    permissions.set_readonly(mode == Mode::ReadOnly);
    Ok(permissions)
}
