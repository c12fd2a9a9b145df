//! Collecting garbage: what no manifest needs any more goes, while others publish.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::access::Access;
use super::edges::Edges;
use super::ingest::blocking;
use super::layout::Layout;
use super::partials::{Action, Count, entries};
use crate::disk;
use crate::error::Error;
use crate::model::{Algorithm, Digest};

/// What becomes of manifests that are listed without a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Untagged {
    /// They stay, with what they need: somebody may know them by their digests.
    #[default]
    Keep,
    /// They go, unless something that stays needs them: an index that has them, or a manifest that they refer to or that
    /// refers to them.
    Remove,
}

/// What is garbage, and what is done with it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Garbage {
    /// What was written, mounted or asked for by `HEAD` as lately as that stays: whoever pushes does so blob by blob, and
    /// the manifest that needs them comes last. Longer than the longest push; 24 hours.
    pub keep_recent: Duration,
    /// What becomes of manifests without a tag.
    pub untagged: Untagged,
    /// Whether anything is removed.
    pub action: Action,
}

impl Default for Garbage {
    fn default() -> Self {
        Self { keep_recent: Duration::from_secs(24 * 60 * 60), untagged: Untagged::Keep, action: Action::Remove }
    }
}

/// What was removed, or would have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Manifests without a tag that were listed.
    pub manifests: Count,
    /// Blobs that no manifest needed, and manifests that were not listed.
    pub blobs: Count,
    /// Uploads that nobody has gone on with, and files that a process left when it was killed.
    pub partials: Count,
}

impl Layout {
    /// Removes what no manifest of this layout needs any more.
    ///
    /// Safe while others publish into the layout and read from it: the manifests are read beforehand, what was listed
    /// since is looked at while nobody publishes, and only then is something removed. A listed manifest with a tag is
    /// never touched, nor anything below it, nor what refers to it. Files whose names are no digests stay.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] or [`Error::Parse`] where a listed manifest is damaged, so that nobody knows what it needs:
    /// nothing is removed then. [`Error::Io`].
    pub async fn collect(&self, garbage: &Garbage) -> Result<Collected, Error> {
        let (layout, garbage) = (self.clone(), *garbage);
        let edges = blocking(move || {
            let mut edges = Edges::default();
            edges.reach(&layout, &*layout.catalog_now()?, &garbage)?;
            Ok(edges)
        });
        let edges = edges.await?;
        let alone = match garbage.action {
            Action::Remove => Some(self.removing().await?),
            Action::Report => None,
        };
        let layout = self.clone();
        blocking(move || layout.collect_now(edges, &garbage, alone)).await
    }

    /// Removes the sessions that nobody has written to for longer than `age`, and that nobody holds now.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub async fn sweep(&self, age: Duration) -> Result<Count, Error> {
        let shelf = self.shelf().clone();
        blocking(move || shelf.sweep(age, Action::Remove)).await
    }

    fn collect_now(&self, mut edges: Edges, garbage: &Garbage, _alone: Option<Access>) -> Result<Collected, Error> {
        let catalog = self.catalog_now()?;
        let needed = edges.reach(self, &catalog, garbage)?;
        let mut collected = Collected::default();
        let lost: HashSet<Digest> =
            catalog.manifests().iter().map(|manifest| manifest.digest).filter(|d| !needed.contains(d)).collect();
        if garbage.action == Action::Remove {
            self.edit_now(|index| Ok(index.remove_all(&lost)))?;
        }
        for (digest, path) in self.blobs()? {
            if needed.contains(&digest) || !disk::is_older(&path, garbage.keep_recent) {
                continue;
            }
            let count = if lost.contains(&digest) { &mut collected.manifests } else { &mut collected.blobs };
            count.add(room(&path));
            if garbage.action == Action::Remove {
                disk::remove_if_present(&path)?;
            }
        }
        collected.partials = self.shelf().sweep(garbage.keep_recent, garbage.action)?;
        let (files, bytes) = self.leftovers(garbage.action)?.into_iter().fold((0, 0), |(n, sum), b| (n + 1, sum + b));
        collected.partials.files += files;
        collected.partials.bytes += bytes;
        Ok(collected)
    }

    /// Lists the blobs that stand in the layout, whatever needs them.
    pub(super) fn blobs(&self) -> Result<Vec<(Digest, PathBuf)>, Error> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for entry in entries(&self.root().join("blobs").join(algorithm.name()))? {
                let name = entry.file_name();
                let digest = name.to_str().and_then(|name| format!("{algorithm}:{name}").parse().ok());
                found.extend(digest.map(|digest| (digest, entry.path())));
            }
        }
        Ok(found)
    }

    /// Removes what a process has left that was killed while it replaced the index: nobody else does so while its lock is
    /// held. Returns the lengths.
    fn leftovers(&self, action: Action) -> Result<Vec<u64>, Error> {
        let _lock = match action {
            Action::Remove => Some(self.lock()?),
            Action::Report => None,
        };
        let mut lengths = Vec::new();
        for entry in entries(self.root())? {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(disk::TEMPORARY)) {
                lengths.push(entry.metadata().map_or(0, |metadata| metadata.len()));
                if action == Action::Remove {
                    disk::remove_if_present(&entry.path())?;
                }
            }
        }
        Ok(lengths)
    }
}

/// Returns how many bytes the disk gets back when this name of the file goes.
fn room(path: &std::path::Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| if is_shared(&metadata) { 0 } else { metadata.len() })
}

#[cfg(unix)]
fn is_shared(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.nlink() > 1
}

#[cfg(not(unix))]
fn is_shared(_: &fs::Metadata) -> bool {
    false
}
