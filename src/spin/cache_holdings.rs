//! Which application holds what, and how much room everything takes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::cache::Cache;
use super::cache_content::{Content, Filed, list};
use super::media;
use crate::error::Error;
use crate::model::{Digest, Reference};
use crate::store::{Count, blocking};

/// One application in the cache, or whatever else was pulled into it, and what it holds.
#[derive(Debug)]
#[non_exhaustive]
pub struct Holding {
    /// What it was pulled as; `None` where the directory has a name that no reference has.
    pub reference: Option<Reference>,
    /// Where its documents are.
    pub directory: PathBuf,
    /// When it was pulled or used the last time, as far as that is known: Spin writes its documents anew whenever it uses
    /// it, and so do we.
    pub last_used: Option<SystemTime>,
    /// Its documents.
    pub documents: Count,
    /// The content that its documents speak of and that is here, in the order of the digests.
    pub blobs: Vec<HeldBlob>,
    /// The layers that are not here; `None` where the manifest cannot be understood.
    pub missing: Option<Vec<Digest>>,
}

/// Content in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBlob {
    /// Its digest, by its name.
    pub digest: Digest,
    /// The room that it takes: twice its length where it is here as a component and as a file, unless these are one file
    /// with two names.
    pub bytes: u64,
}

/// How much room a cache takes. A file with several names counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// What was pulled, the largest first.
    pub applications: Vec<Share>,
    /// All content that applications hold, and their documents.
    pub held: Count,
    /// Content that no application holds: fetched by its URL, as a package, or for one that was removed.
    pub unneeded: Count,
    /// What was begun and not finished.
    pub unfinished: Count,
    /// What spinreg notes for itself.
    pub notes: Count,
    /// Whatever else lies beside the content.
    pub others: Count,
}

/// The room that one application takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// What it was pulled as; `None` where the directory has a name that no reference has.
    pub reference: Option<Reference>,
    /// Where its documents are.
    pub directory: PathBuf,
    /// When it was pulled or used the last time.
    pub last_used: Option<SystemTime>,
    /// Its content and its documents.
    pub total: Count,
    /// What it alone holds: this comes free where it is removed and the cache pruned.
    pub own: Count,
}

impl Holding {
    /// Returns all that it takes, shared with others or not.
    pub fn bytes(&self) -> u64 {
        self.documents.bytes + self.blobs.iter().map(|blob| blob.bytes).sum::<u64>()
    }

    fn of(cache: &Cache, filed: Filed) -> Self {
        let missing = filed.manifest.as_ref().map(|manifest| {
            let image = manifest.image().map(|image| image.layers.as_slice()).unwrap_or_default();
            let layers = image.iter().filter(|layer| layer.media_type != media::APPLICATION);
            let is_here =
                |digest: &Digest, size: u64| cache.files_of(digest).iter().any(|(_, metadata)| metadata.len() == size);
            let missing = layers.filter(|layer| !is_here(&layer.digest, layer.size));
            missing.map(|layer| layer.digest).collect::<BTreeSet<_>>().into_iter().collect()
        });
        let mut blobs = Vec::new();
        for digest in &filed.digests {
            let files = cache.files_of(digest);
            if !files.is_empty() {
                blobs.push(HeldBlob { digest: *digest, bytes: once(files.iter().map(|(_, metadata)| metadata)) });
            }
        }
        let Filed { directory, reference, last_used, documents, .. } = filed;
        Self { reference, directory, last_used, documents, blobs, missing }
    }
}

impl Usage {
    /// Returns everything together.
    pub fn total(&self) -> Count {
        let parts = [self.held, self.unneeded, self.unfinished, self.notes, self.others];
        parts.into_iter().fold(Count::default(), |sum, part| add(sum, part.files, part.bytes))
    }
}

impl Cache {
    /// Shows everything that was pulled to `visit`, in the order of the names, and one after the other: what is in memory does
    /// not grow with the cache. What cannot be read is shown as an error. Returns what `visit` has become. No requests.
    ///
    /// # Errors
    ///
    /// What `visit` returns; [`Error::Io`] where the folder of the manifests is none, or cannot be read.
    pub async fn holdings<V>(&self, mut visit: V) -> Result<V, Error>
    where
        V: FnMut(Result<Holding, Error>) -> Result<(), Error> + Send + 'static,
    {
        let cache = self.clone();
        blocking(move || {
            cache.walk(&mut |filed| visit(filed.map(|filed| Holding::of(&cache, filed))))?;
            Ok(visit)
        })
        .await
    }

    /// Counts how much room the cache takes, and how much of that each application holds. No requests; in memory are a
    /// hundred bytes for each file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where something cannot be read.
    pub async fn usage(&self) -> Result<Usage, Error> {
        let cache = self.clone();
        blocking(move || cache.usage_now()).await
    }

    fn usage_now(&self) -> Result<Usage, Error> {
        let (mut usage, mut holders) = (Usage::default(), HashMap::new());
        self.walk(&mut |filed| {
            let filed = filed?;
            let n = usage.applications.len();
            for digest in filed.digests {
                holders.entry(digest).and_modify(|holder| *holder = Holder::Several).or_insert(Holder::Only(n));
            }
            let Filed { directory, reference, last_used, documents, .. } = filed;
            usage.held = add(usage.held, documents.files, documents.bytes);
            usage.applications.push(Share { reference, directory, last_used, total: documents, own: documents });
            Ok(())
        })?;
        let (mut links, mut shared) = (HashSet::new(), HashMap::new());
        self.each_content(&mut |Content { digest, metadata, .. }| {
            let bytes = room(&metadata, &mut links);
            match holders.get(&digest) {
                None => usage.unneeded = add(usage.unneeded, 1, bytes),
                Some(holder) => {
                    usage.held = add(usage.held, 1, bytes);
                    match holder {
                        Holder::Only(n) => {
                            let share = &mut usage.applications[*n];
                            share.own = add(share.own, 1, bytes);
                            share.total = add(share.total, 1, bytes);
                        }
                        Holder::Several => {
                            let sum: &mut Count = shared.entry(digest).or_default();
                            *sum = add(*sum, 1, bytes);
                        }
                    }
                }
            }
            Ok(())
        })?;
        if !shared.is_empty() {
            // Who shares what is read again, and not kept meanwhile.
            let mut applications = usage.applications.iter_mut().peekable();
            self.walk(&mut |filed| {
                let filed = filed?;
                while applications.next_if(|share| share.directory < filed.directory).is_some() {}
                if let Some(share) = applications.next_if(|share| share.directory == filed.directory) {
                    for count in filed.digests.iter().filter_map(|digest| shared.get(digest)) {
                        share.total = add(share.total, count.files, count.bytes);
                    }
                }
                Ok(())
            })?;
        }
        usage.applications.sort_by(|one, other| {
            other.total.bytes.cmp(&one.total.bytes).then_with(|| one.directory.cmp(&other.directory))
        });
        self.count_the_rest(&mut usage, &mut links)?;
        Ok(usage)
    }

    /// Counts what is neither content nor kept of an application.
    fn count_the_rest(&self, usage: &mut Usage, links: &mut HashSet<(u64, u64)>) -> Result<(), Error> {
        let Usage { unfinished, notes, others, .. } = usage;
        let private = self.private();
        let partials = private.join("partial");
        for folder in ["wasm", "data"] {
            for entry in self.folder(folder)?.iter().map(|folder| list(folder)).collect::<Result<Vec<_>, _>>()? {
                for entry in entry {
                    let (path, kind) = entry?;
                    let is_ours = path.file_name().and_then(|name| name.to_str()).is_some_and(is_digest);
                    if kind.is_file() && !is_ours {
                        *others = add(*others, 1, length(&path, links));
                    }
                }
            }
        }
        let Some(private) = self.folder(&private.file_name().unwrap_or_default().to_string_lossy())? else {
            return Ok(());
        };
        let mut left = vec![private];
        while let Some(directory) = left.pop() {
            for entry in list(&directory)? {
                let (path, kind) = entry?;
                if kind.is_dir() {
                    left.push(path);
                } else if kind.is_file() {
                    let count = if directory == partials { &mut *unfinished } else { &mut *notes };
                    *count = add(*count, 1, length(&path, links));
                }
            }
        }
        Ok(())
    }
}

/// Who holds something.
#[derive(Clone, Copy)]
enum Holder {
    Only(usize),
    Several,
}

fn is_digest(name: &str) -> bool {
    if cfg!(windows) { name.replacen('_', ":", 1).parse::<Digest>() } else { name.parse() }.is_ok()
}

pub(super) fn add(sum: Count, files: u64, bytes: u64) -> Count {
    let mut sum = sum;
    sum.files += files;
    sum.bytes = sum.bytes.saturating_add(bytes);
    sum
}

fn length(path: &Path, links: &mut HashSet<(u64, u64)>) -> u64 {
    fs::symlink_metadata(path).map_or(0, |metadata| room(&metadata, links))
}

/// Returns the room that files take together, each file once.
pub(super) fn once<'a>(files: impl Iterator<Item = &'a Metadata>) -> u64 {
    let mut links = HashSet::new();
    files.map(|metadata| room(metadata, &mut links)).sum()
}

/// Returns the room that a file takes: none where it was seen under another name.
pub(super) fn room(metadata: &Metadata, seen: &mut HashSet<(u64, u64)>) -> u64 {
    match identity(metadata) {
        Some(identity) if !seen.insert(identity) => 0,
        _ => metadata.len(),
    }
}

/// Tells files with several names apart; `None` where a file has but one, or nobody can tell.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}
