//! From the cache to files that a guest can see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::cache::Cache;
use super::lock_file::{ContentPath, LockedApp};
use crate::disk;
use crate::error::Error;
use crate::model::{Digest, ParseError};
use crate::store::blocking;

/// How content of the cache becomes a file that a guest sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Copied; where the file system can share the bytes of a copy, it does.
    #[default]
    Copied,
    /// By a second name of the same file where the file system allows it, else copied. For guests that cannot write:
    /// whoever writes into such a file writes into the cache.
    Linked,
}

/// Writes the files of every component of `app` below `directory`, each at `<component id>/<path>`; a component
/// without files has no directory. No requests: content is inline or in the cache.
///
/// Where two entries of a component name one path, the later one counts. Nothing is written through a symbolic link,
/// and nothing outside `directory`.
///
/// # Errors
///
/// [`Error::Parse`] where a component id is no name of a directory or is there twice, where a path leads elsewhere, where
/// an entry has no content, or where entries repeat the same content for more than 8 GiB; [`Error::NotFound`] where content is not in the cache; [`Error::Io`].
pub async fn materialise(cache: &Cache, app: &LockedApp, directory: &Path) -> Result<(), Error> {
    let files = find(cache, app).await?;
    let directory = directory.to_owned();
    blocking(move || write_all(&directory, &files, Placement::Copied)).await
}

/// What guests are going to see: for each component that sees anything, where its content is and where it belongs.
pub(super) type Files = BTreeMap<String, Vec<(PathBuf, Content)>>;

/// Where the content of a file comes from.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// The lock file.
    Inline(Bytes),
    /// A file of the cache, which nobody may change.
    Cached(PathBuf),
    /// A file of somebody, who may change it.
    Local(PathBuf),
}

/// Finds the content of every file of every component.
pub(super) async fn find(cache: &Cache, app: &LockedApp) -> Result<Files, Error> {
    let mut files = Files::new();
    // A lock file may name the same content very often.
    let mut found = HashMap::new();
    for component in app.components.iter().filter(|component| !component.files.is_empty()) {
        let mut placed = Vec::new();
        for file in &component.files {
            let from = match (&file.content.inline, &file.content.digest) {
                (Some(bytes), _) => Content::Inline(bytes.clone()),
                (None, Some(digest)) => Content::Cached(match found.get(digest) {
                    Some(path) => PathBuf::clone(path),
                    None => {
                        let path = located(cache, digest, &component.id, file).await?;
                        found.insert(*digest, path.clone());
                        path
                    }
                }),
                (None, None) => {
                    let expected = "`inline` content or a `digest`";
                    return Err(ParseError::new("file entry", &file.path, expected).into());
                }
            };
            placed.push((file.place()?, from));
        }
        let folder = component_folder(&component.id)?.to_owned();
        if files.insert(folder, placed).is_some() {
            return Err(ParseError::new("component id", &component.id, "an id that no other component has").into());
        }
    }
    Ok(files)
}

async fn located(cache: &Cache, digest: &Digest, component: &str, file: &ContentPath) -> Result<PathBuf, Error> {
    let what = || format!("the file `{}` of the component `{component}`", file.path);
    cache.data(digest).await.map_err(|error| of(error, what))
}

/// Says what missing content is for.
pub(super) fn of(error: Error, what: impl FnOnce() -> String) -> Error {
    match error {
        Error::NotFound(mut missing) => {
            missing.what = format!("{} ({})", what(), missing.what);
            Error::NotFound(missing)
        }
        other => other,
    }
}

/// Refuses a component id that would not be one directory.
pub(super) fn component_folder(id: &str) -> Result<&str, ParseError> {
    let refuse = |expected| Err(ParseError::new("component id", id, expected));
    if id.is_empty() || id.len() > MAX_NAME {
        return refuse("1 to 255 bytes");
    }
    if id == "." || id == ".." || id.contains(['/', '\\', ':', '\0']) {
        return refuse("the name of a directory: no slash, backslash, colon or NUL, and neither `.` nor `..`");
    }
    Ok(id)
}

/// Writes files below `root`. Blocks.
pub(super) fn write_all(root: &Path, files: &Files, placement: Placement) -> Result<(), Error> {
    if placement == Placement::Copied {
        check_repetition(files)?;
    }
    disk::create_dirs(root)?;
    let mut made = HashSet::new();
    let mut writer = Writer { placement, copies: HashMap::new() };
    for (folder, files) in files {
        // A component whose mounts match nothing sees an empty directory.
        make_directories(root, Path::new(folder), &mut made)?;
        // Of several entries of one path only the last is ever written.
        let files: BTreeMap<&Path, &Content> = files.iter().map(|(place, from)| (place.as_path(), from)).collect();
        for (place, from) in files {
            let place = Path::new(folder).join(place);
            if let Some(parent) = place.parent() {
                make_directories(root, parent, &mut made)?;
            }
            writer.write(&root.join(place), from)?;
        }
    }
    Ok(())
}

/// Refuses a lock file that names the same content so often that its copies would fill the disk. What is copied once is
/// as much as was pulled.
fn check_repetition(files: &Files) -> Result<(), Error> {
    let mut sizes = HashMap::new();
    let mut left = MAX_REPEATED;
    for (folder, files) in files {
        for (place, from) in files {
            let Content::Cached(path) = from else { continue };
            let size = match sizes.get(path) {
                Some(size) => *size,
                None => {
                    let metadata = fs::metadata(path).map_err(|error| Error::io("open", path, error))?;
                    sizes.insert(path, metadata.len());
                    continue;
                }
            };
            let file = || Path::new(folder).join(place).display().to_string();
            let expected = "at most 8 GiB of content that other entries have already";
            left = left.checked_sub(size).ok_or_else(|| ParseError::new("file entry", &file(), expected))?;
        }
    }
    Ok(())
}

/// Writes files, each to a path of its own.
struct Writer<'a> {
    placement: Placement,
    /// Where content of the cache was copied to, because it could not be linked to there.
    copies: HashMap<&'a Path, PathBuf>,
}

impl<'a> Writer<'a> {
    fn write(&mut self, path: &Path, content: &'a Content) -> Result<(), Error> {
        // Taking a name away first writes neither through a link nor into what others hold open.
        disk::remove_if_present(path)?;
        match content {
            Content::Inline(bytes) => {
                let created = OpenOptions::new().write(true).create_new(true).open(path);
                created.and_then(|mut file| file.write_all(bytes)).map_err(|error| Error::io("write", path, error))
            }
            Content::Cached(from) if self.placement == Placement::Linked => self.link(from, path),
            Content::Cached(from) | Content::Local(from) => copy(from, path),
        }
    }

    /// Gives a file of the cache another name. Another file system, one without links, or a file that has as many names
    /// as it may is no reason to fail, and what was copied once need not be copied again.
    fn link(&mut self, from: &'a Path, path: &Path) -> Result<(), Error> {
        let copied = self.copies.get(from).map(PathBuf::as_path);
        if [Some(from), copied].into_iter().flatten().any(|there| disk::link(there, path).is_ok()) {
            return Ok(());
        }
        copy(from, path)?;
        self.copies.insert(from, path.to_owned());
        Ok(())
    }
}

/// Copies a file; where the file system can share the bytes, it does.
fn copy(from: &Path, path: &Path) -> Result<(), Error> {
    let mut opened = fs::File::open(from).map_err(|error| Error::io("open", from, error))?;
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    let copied = created.and_then(|mut to| io::copy(&mut opened, &mut to));
    copied.map(|_| ()).map_err(|error| Error::io("write", path, error))
}

/// Makes the directories of `relative` below `root`, one by one: each is a directory itself, not a link to one.
fn make_directories(root: &Path, relative: &Path, made: &mut HashSet<PathBuf>) -> Result<(), Error> {
    if made.contains(relative) {
        return Ok(());
    }
    let mut path = root.to_owned();
    for name in relative {
        path.push(name);
        let failed = |error| Error::io("create the directory", &path, error);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(&path).map_err(failed)?.is_dir() {
                    return Err(failed(io::ErrorKind::NotADirectory.into()));
                }
            }
            other => other.map_err(failed)?,
        }
    }
    made.insert(relative.to_owned());
    Ok(())
}

/// How much of the cache is copied more than once, in bytes: as much as comes out of one archive.
const MAX_REPEATED: u64 = 8 << 30;

/// The longest name of a directory that file systems take, in bytes.
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_ids_are_one_directory() {
        let long = "x".repeat(256);
        for id in ["", ".", "..", "a/b", "/a", "a\\b", "c:", "a\0", long.as_str()] {
            assert!(component_folder(id).is_err(), "{id}");
        }
        for id in ["site", "a-b", "a b", "ünder", "...", ".a"] {
            assert_eq!(component_folder(id), Ok(id));
        }
    }
}
