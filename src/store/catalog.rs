//! What `index.json` lists, read once for as long as it does not change.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::index::Index;
use super::layout::Layout;
use crate::disk;
use crate::error::Error;
use crate::model::{Descriptor, Digest, Tag};

/// The manifests of a layout and their tags, as a registry sees them: a tag is an entry's very name, and of several
/// entries with one name the last counts.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    tags: BTreeMap<Tag, Descriptor>,
    manifests: Vec<Descriptor>,
    places: HashMap<Digest, usize>,
}

impl Catalog {
    pub(super) fn of(index: &Index) -> Self {
        let mut catalog = Self { tags: index.tags().collect(), ..Self::default() };
        for descriptor in index.descriptors() {
            catalog.places.entry(descriptor.digest).or_insert_with(|| {
                catalog.manifests.push(descriptor);
                catalog.manifests.len() - 1
            });
        }
        catalog
    }

    /// Yields the tags in ASCII order.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&Tag, &Descriptor)> {
        self.tags.iter()
    }

    /// Returns what a tag names.
    pub(crate) fn tag(&self, tag: &Tag) -> Option<&Descriptor> {
        self.tags.get(tag)
    }

    /// Returns every manifest that is listed, tagged or not, each once.
    pub(crate) fn manifests(&self) -> &[Descriptor] {
        &self.manifests
    }

    /// Returns the entry of a manifest.
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<&Descriptor> {
        self.places.get(digest).map(|place| &self.manifests[*place])
    }
}

/// The catalogue as it was last read, shared by the clones of a layout.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered(Arc<Mutex<Option<Seen>>>);

/// A reading of the file, and what tells whether it is still the same.
#[derive(Debug)]
struct Seen {
    /// Kept open: another file cannot get its inode as long as it is.
    file: File,
    modified: Option<SystemTime>,
    length: u64,
    catalog: Arc<Catalog>,
}

impl Remembered {
    /// Returns what the file lists. Costs one look at its metadata where it is the file that was read last, whoever
    /// has written it. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Parse`] where it cannot be read.
    pub(super) fn read(&self, path: &Path) -> Result<Arc<Catalog>, Error> {
        if let Some(seen) = &*self.seen()
            && seen.is_current(path)
        {
            return Ok(seen.catalog.clone());
        }
        // First what tells it apart and then what is in it: a file that is replaced in between is read once more.
        let failed = |error| Error::io("read", path, error);
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            opened => opened.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        let index = disk::read_bounded(path, Layout::MAX_INDEX)?.map(|bytes| Index::parse(&bytes)).transpose()?;
        let catalog = Arc::new(index.as_ref().map(Catalog::of).unwrap_or_default());
        let (modified, length) = (metadata.modified().ok(), metadata.len());
        *self.seen() = Some(Seen { file, modified, length, catalog: catalog.clone() });
        Ok(catalog)
    }

    /// Returns how long the file was that was read last.
    #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a registry asks for it"))]
    pub(super) fn length(&self) -> u64 {
        self.seen().as_ref().map_or(0, |seen| seen.length)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Seen>> {
        // Whoever panicked has not left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Says whether the file is the one that was read: we replace it as a whole, other tools may write into it.
    fn is_current(&self, path: &Path) -> bool {
        let named = fs::metadata(path);
        named.is_ok_and(|named| named.len() == self.length && named.modified().ok() == self.modified)
            && disk::is_at(&self.file, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_tags_and_the_last_one_counts() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let entry = |digest: Digest, name: &str| {
            format!(
                r#"{{"mediaType":"a/b","digest":"{digest}","size":1,"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}"#
            )
        };
        let full = "docker.io/library/a:v2";
        let entries = [entry(a, "v1"), entry(b, "v1"), entry(a, full), entry(a, "latest")].join(",");
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        let catalog = Catalog::of(&Index::parse(text.as_bytes()).expect("an index"));
        let tag = |text: &str| catalog.tag(&text.parse().expect("a tag")).map(|d| d.digest);
        assert_eq!((tag("v1"), tag("v2"), tag("latest")), (Some(b), None, Some(a)));
        assert_eq!(catalog.tags().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>(), ["latest", "v1"]);
        assert_eq!(catalog.manifests().iter().map(|d| d.digest).collect::<Vec<_>>(), [a, b]);
        assert_eq!(catalog.manifest(&b).map(|d| d.digest), Some(b));
    }
}
