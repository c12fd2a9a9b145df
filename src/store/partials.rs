//! What was begun and not finished, once nobody goes on with it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::shelf::{SessionId, Shelf};
use super::writer::{discard, try_lock};
use crate::disk;
use crate::error::Error;

/// Files, and the room they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub files: u64,
    /// How many bytes the disk gets back. A blob that other repositories have as well takes none of its own.
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Whether something is done, or told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// It is done.
    #[default]
    Remove,
    /// Nothing is changed.
    Report,
}

impl Shelf {
    /// Removes the partials that nobody has written to for longer than `age` and that nobody holds now. Blocks.
    pub(crate) fn sweep(&self, age: Duration, action: Action) -> Result<Count, Error> {
        let mut swept = Count::default();
        for entry in entries(self.partials())? {
            let path = entry.path();
            if !disk::is_older(&path, age) {
                continue;
            }
            let file = match File::open(&path) {
                // Its owner has just finished it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(|error| Error::io("open", &path, error))?,
            };
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            // Who holds it is going to write, however long ago that was done last.
            if try_lock(&file, &path)? && disk::is_at(&file, &path) && disk::is_older(&path, age) {
                swept.add(length);
                if action == Action::Remove {
                    discard(&file, &path)?;
                }
            }
        }
        Ok(swept)
    }
}

impl Shelf {
    /// Returns the sessions that are open here: how many bytes each has, and how long ago it was written to. Blocks.
    #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a registry asks for it"))]
    pub(crate) fn sessions(&self) -> Result<Vec<(SessionId, u64, Duration)>, Error> {
        let mut found = Vec::new();
        for entry in entries(self.partials())? {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix("session-")?.parse().ok());
            // One that was closed meanwhile is none.
            if let (Some(id), Ok(metadata)) = (id, entry.metadata()) {
                let idle = metadata.modified().ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
                found.push((id, metadata.len(), idle));
            }
        }
        Ok(found)
    }
}

/// Lists the files in a directory; none where there is no directory.
pub(super) fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let failed = |error| Error::io("read", directory, error);
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            found.push(entry);
        }
    }
    Ok(found)
}
