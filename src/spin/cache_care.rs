//! Care for a cache: whether everything in it is what its name says, and what nobody needs any more.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::cache::Cache;
use super::media;
use crate::disk;
use crate::error::Error;
use crate::model::{Digest, Digester, Manifest, Reference};
use crate::store::{self, Action, Count, blocking};

/// What was looked at in a cache, and what of it is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// All files that were read.
    pub read: Count,
    /// Those that are not what their names say.
    pub damaged: Vec<PathBuf>,
}

impl Cache {
    /// Reads all content and compares it with its name; with [`Action::Remove`], what is damaged is removed, so that the
    /// next pull fetches it again. No requests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where something cannot be read or removed.
    pub async fn verify(&self, action: Action) -> Result<Verified, Error> {
        let cache = self.clone();
        blocking(move || cache.verify_now(action)).await
    }

    /// Removes content that no application in the cache needs, and what was begun and not finished, both only where it was
    /// not written for longer than `keep_recent`: a pull that is under way publishes its manifest last. Content that was
    /// fetched by its URL, or as a package, belongs to no application here, and is kept as long and no longer. Returns
    /// what was removed. No requests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where something cannot be read or removed; what was removed until then stays removed.
    pub async fn prune(&self, keep_recent: Duration, action: Action) -> Result<Count, Error> {
        // No manifest appears meanwhile whose content would be taken for needless.
        let lock = self.lock_manifests().await?;
        let cache = self.clone();
        blocking(move || {
            let _lock = lock;
            cache.prune_now(keep_recent, action)
        })
        .await
    }

    /// Forgets an application. Its content stays until it is [pruned](Self::prune), because others may need it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where nothing was pulled under this reference; [`Error::Io`].
    pub async fn forget(&self, reference: &Reference) -> Result<(), Error> {
        let directory = self.application(reference).directory().to_owned();
        let what = format!("`{reference}`");
        let lock = self.lock_manifests().await?;
        blocking(move || {
            let _lock = lock;
            if !directory.join(DOCUMENTS[0]).is_file() {
                return Err(store::missing(what, &directory));
            }
            DOCUMENTS.iter().try_for_each(|name| disk::remove_if_present(&directory.join(name)))?;
            // There may be tags below it, where a repository is called like a tag of another one.
            let _ = fs::remove_dir(&directory);
            Ok(())
        })
        .await
    }

    fn verify_now(&self, action: Action) -> Result<Verified, Error> {
        let mut verified = Verified::default();
        for (digest, path) in self.content()? {
            let Some((actual, size)) = read(&digest, &path)? else { continue };
            verified.read.files += 1;
            verified.read.bytes += size;
            if actual != digest {
                if action == Action::Remove {
                    disk::remove_if_present(&path)?;
                }
                verified.damaged.push(path);
            }
        }
        Ok(verified)
    }

    fn prune_now(&self, keep_recent: Duration, action: Action) -> Result<Count, Error> {
        let needed = self.needed()?;
        let mut pruned = self.files_shelf().sweep(keep_recent, action)?;
        for (digest, path) in self.content()? {
            if needed.contains(&digest) || !disk::is_older(&path, keep_recent) {
                continue;
            }
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if action == Action::Remove {
                disk::remove_if_present(&path)?;
                self.forget_unpacked(&digest)?;
            }
            pruned.files += 1;
            pruned.bytes += size;
        }
        Ok(pruned)
    }

    /// Lists the files that are called by a digest, in the order of their names. Others are not ours.
    fn content(&self) -> Result<Vec<(Digest, PathBuf)>, Error> {
        let mut found = Vec::new();
        for folder in ["wasm", "data"] {
            for (path, kind) in entries(&self.root().join(folder))? {
                if let Some(digest) = kind.is_file().then(|| called(&path)).flatten() {
                    found.push((digest, path));
                }
            }
        }
        found.sort_by(|(_, one), (_, other)| one.cmp(other));
        Ok(found)
    }

    /// Collects every digest that an application speaks of: in its manifest, in its lock file, and in what is known of
    /// its archives.
    fn needed(&self) -> Result<HashSet<Digest>, Error> {
        let mut needed = HashSet::new();
        let mut left = vec![self.root().join("manifests")];
        while let Some(directory) = left.pop() {
            for (path, kind) in entries(&directory)? {
                if kind.is_dir() {
                    left.push(path);
                } else if path.file_name().is_some_and(|name| DOCUMENTS.iter().any(|document| name == *document)) {
                    let bytes = disk::read_small(&path, media::MAX_LOCK.max(Manifest::MAX_READ))?;
                    let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                    value.iter().for_each(|value| collect(value, &mut needed));
                }
            }
        }
        let archives: Vec<Digest> = needed.iter().copied().collect();
        for archive in archives {
            needed.extend(self.unpacked_from(&archive)?);
        }
        Ok(needed)
    }
}

/// Collects the digests in a document.
fn collect(value: &Value, found: &mut HashSet<Digest>) {
    match value {
        Value::String(text) => found.extend(text.parse::<Digest>()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Lists a directory; one that is not there is empty. Links are not followed.
fn entries(directory: &Path) -> Result<Vec<(PathBuf, fs::FileType)>, Error> {
    let failed = |error| Error::io("read", directory, error);
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed)?,
    };
    listed
        .map(|entry| {
            let entry = entry.map_err(failed)?;
            Ok((entry.path(), entry.file_type().map_err(failed)?))
        })
        .collect()
}

/// Returns the digest that a file is called by.
fn called(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    if cfg!(windows) { name.replacen('_', ":", 1).parse().ok() } else { name.parse().ok() }
}

/// Returns what a file hashes to, and its length; `None` where it is gone.
fn read(expected: &Digest, path: &Path) -> Result<Option<(Digest, u64)>, Error> {
    let failed = |error| Error::io("read", path, error);
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut digester = Digester::new(expected.algorithm());
    let (mut buffer, mut size) = (vec![0; READ], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some((digester.finish(), size))),
            Ok(read) => {
                digester.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// What is kept of an application.
const DOCUMENTS: [&str; 3] = ["manifest.json", "config.json", "index.json"];
/// How much is read at once, in bytes.
const READ: usize = 256 << 10;
