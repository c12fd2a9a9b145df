//! From the cache to files that a guest can see.

use std::collections::HashSet;
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

/// Writes the files of every component of `app` below `directory`, each at `<component id>/<path>`; a component
/// without files has no directory. No requests: content is inline or in the cache.
///
/// Where two entries of a component name one path, the later one counts. Nothing is written through a symbolic link,
/// and nothing outside `directory`.
///
/// # Errors
///
/// [`Error::Parse`] where a component id is no name of a directory, where a path leads elsewhere, or where an
/// entry has no content; [`Error::NotFound`] where content is not in the cache; [`Error::Io`].
pub async fn materialise(cache: &Cache, app: &LockedApp, directory: &Path) -> Result<(), Error> {
    let mut files = Vec::new();
    for component in app.components.iter().filter(|component| !component.files.is_empty()) {
        let folder = Path::new(component_folder(&component.id)?);
        for file in &component.files {
            let place = folder.join(file.place()?);
            let from = match (&file.content.inline, &file.content.digest) {
                (Some(bytes), _) => Content::Inline(bytes.clone()),
                (None, Some(digest)) => Content::Cached(located(cache, digest, &component.id, file).await?),
                (None, None) => {
                    let expected = "`inline` content or a `digest`";
                    return Err(ParseError::new("file entry", &file.path, expected).into());
                }
            };
            files.push((place, from));
        }
    }
    let directory = directory.to_owned();
    blocking(move || write_all(&directory, files)).await
}

/// Where the content of a file comes from.
enum Content {
    Inline(Bytes),
    Cached(PathBuf),
}

async fn located(cache: &Cache, digest: &Digest, component: &str, file: &ContentPath) -> Result<PathBuf, Error> {
    cache.data(digest).await.map_err(|error| match error {
        Error::NotFound(mut missing) => {
            missing.what = format!("the file `{}` of the component `{component}` ({})", file.path, missing.what);
            Error::NotFound(missing)
        }
        other => other,
    })
}

/// Refuses a component id that would not be one directory.
fn component_folder(id: &str) -> Result<&str, ParseError> {
    let refuse = |expected| Err(ParseError::new("component id", id, expected));
    if id.is_empty() || id.len() > MAX_NAME {
        return refuse("1 to 255 bytes");
    }
    if id == "." || id == ".." || id.contains(['/', '\\', ':', '\0']) {
        return refuse("the name of a directory: no slash, backslash, colon or NUL, and neither `.` nor `..`");
    }
    Ok(id)
}

fn write_all(root: &Path, files: Vec<(PathBuf, Content)>) -> Result<(), Error> {
    disk::create_dirs(root)?;
    let mut made = HashSet::new();
    for (place, from) in files {
        if let Some(parent) = place.parent() {
            make_directories(root, parent, &mut made)?;
        }
        let path = root.join(place);
        // Taking a name away first writes neither through a link nor into what others hold open.
        disk::remove_if_present(&path)?;
        match from {
            Content::Inline(bytes) => {
                let created = OpenOptions::new().write(true).create_new(true).open(&path);
                created
                    .and_then(|mut file| file.write_all(&bytes))
                    .map_err(|error| Error::io("write", &path, error))?;
            }
            Content::Cached(cached) => copy(&cached, &path)?,
        }
    }
    Ok(())
}

/// Copies a file of the cache; where the file system can share the bytes, it does.
fn copy(cached: &Path, path: &Path) -> Result<(), Error> {
    let mut from = fs::File::open(cached).map_err(|error| Error::io("open", cached, error))?;
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    created.and_then(|mut to| io::copy(&mut from, &mut to)).map(|_| ()).map_err(|error| Error::io("write", path, error))
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
