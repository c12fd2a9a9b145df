//! A tar archive of an image layout.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::archive_contents::{Contents, Enclosed};
use super::archive_draft::Draft;
use super::index::Index;
use super::ingest::blocking;
use super::shelf::missing;
use super::subjects::Subjects;
use crate::content::{Blob, Pushed, Source, Tagged, Target};
use crate::error::{Error, Place};
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Tag};

/// A tar archive of an OCI image layout (what other tools call `oci-archive:`); cheap to clone.
///
/// It is read where it stands: nothing is unpacked, and blobs are opened at their offset in the file. Only regular files
/// under the names of a layout count; other members are passed over. What could mean two things, or leads out of the
/// archive, is refused.
///
/// It is written beside its name, as `.spinreg-NAME.partial`, and gets its name by [`Target::finish`] alone: whoever looks
/// sees the old one or the new one. Blobs arrive several at a time, each in its own place in the file, and are hashed on
/// their way. An attempt that was killed leaves its partial file to the next one, which hashes it and fetches what is not
/// whole. Where there is an archive already, what it has is kept, and copied within the disk.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    subjects: Subjects,
    state: Mutex<State>,
    /// Held while the file to be is begun or ended.
    turn: tokio::sync::Mutex<()>,
}

/// What there is, and what is to be.
#[derive(Debug)]
struct State {
    contents: Option<Arc<Contents>>,
    draft: Option<Arc<Draft>>,
    /// What the list will say.
    index: Index,
    is_changed: bool,
}

impl Archive {
    /// Opens an archive that exists. Its headers and its `index.json` are read.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no file; [`Error::Parse`] where it is no archive of a layout, is compressed, or
    /// has members that are hostile; [`Error::Io`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let archive = Self::create(path).await?;
        if archive.state().contents.is_none() {
            return Err(missing("an image archive".to_owned(), &archive.0.path));
        }
        Ok(archive)
    }

    /// Opens an archive, or begins one where there is none. Nothing is written before something is pushed.
    ///
    /// # Errors
    ///
    /// As [`Archive::open`], but for what is missing.
    pub async fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let inner = path.clone();
        let contents = blocking(move || Contents::read(&inner)).await?.map(Arc::new);
        let index = contents.as_ref().map_or_else(Index::new, |contents| contents.index.clone());
        let state = State { contents, draft: None, index, is_changed: false };
        let (subjects, state) = (Subjects::default(), Mutex::new(state));
        Ok(Self(Arc::new(Inner { path, subjects, state, turn: tokio::sync::Mutex::default() })))
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns every manifest that is listed, tagged or not, each once. Nothing is read.
    pub fn manifests(&self) -> Vec<Descriptor> {
        let mut seen = HashSet::new();
        self.state().index.descriptors().filter(|descriptor| seen.insert(descriptor.digest)).collect()
    }

    /// Returns how long content is that is there. Nothing is read.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        let state = self.state();
        let drafted = state.draft.as_ref().and_then(|draft| draft.stand(digest));
        drafted.or_else(|| state.contents.as_ref()?.blobs.get(digest).copied()).map(|stand| stand.size)
    }

    /// Says whether content of this length is there.
    fn has(&self, descriptor: &Descriptor) -> bool {
        self.size(&descriptor.digest) == Some(descriptor.size)
    }

    async fn read_manifest(
        &self,
        id: &Identifier,
        media_type: Option<MediaType>,
        digest: Digest,
    ) -> Result<Manifest, Error> {
        let size = self.size(&digest).filter(|size| *size <= Manifest::MAX_READ).ok_or_else(|| self.no_manifest(id))?;
        let blob = self.blob(&Descriptor::new(MediaType::OCTET_STREAM, digest, size));
        let (bytes, is_listed) = (blob.read(Manifest::MAX_READ).await?, media_type.is_some());
        match Manifest::parse_named(bytes, media_type, digest) {
            // A blob that is no manifest is not the manifest that was asked for.
            Err(_) if !is_listed => Err(self.no_manifest(id)),
            parsed => Ok(parsed?),
        }
    }

    fn no_manifest(&self, id: &Identifier) -> Error {
        missing(format!("manifest `{id}`"), &self.0.path)
    }

    /// Returns the file to be; begins it with what there is already.
    async fn draft(&self) -> Result<Arc<Draft>, Error> {
        let _turn = self.0.turn.lock().await;
        let (contents, begun) = {
            let state = self.state();
            (state.contents.clone(), state.draft.clone())
        };
        if let Some(draft) = begun {
            return Ok(draft);
        }
        let path = self.0.path.clone();
        let draft = Arc::new(blocking(move || Draft::begin(&path)).await?);
        if let Some(contents) = contents {
            let mut blobs: Vec<_> = contents.blobs.iter().collect();
            blobs.sort_by_key(|(_, stand)| stand.offset);
            for (digest, stand) in blobs {
                let known = Descriptor::new(MediaType::OCTET_STREAM, *digest, stand.size);
                draft.take(&Blob::new(known.clone(), contents.open(known)), Place::file(&self.0.path)).await?;
            }
        }
        self.state().draft = Some(draft.clone());
        Ok(draft)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half changed under the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Archive {
    /// Looks a tag up as [`Layout`](super::Layout) does.
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        Ok(self.manifest(id).await?.descriptor().clone())
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        let listed = match id {
            Identifier::Tag(tag) => self.state().index.find(tag),
            Identifier::Digest(digest) => self.state().index.entry(digest),
        };
        match (listed, id) {
            (Some(listed), _) => self.read_manifest(id, Some(listed.media_type), listed.digest).await,
            (None, Identifier::Digest(digest)) => self.read_manifest(id, None, *digest).await,
            (None, Identifier::Tag(_)) => Err(self.no_manifest(id)),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        let state = self.state();
        let drafted = state.draft.as_ref().and_then(|draft| draft.open(descriptor.clone()));
        let opened = drafted.or_else(|| Some(state.contents.as_ref()?.open(descriptor.clone())));
        let open = opened.unwrap_or_else(|| Enclosed::nowhere(descriptor.clone(), &self.0.path));
        Blob::new(descriptor.clone(), open)
    }

    /// Reads each listed manifest once for as long as the archive is open.
    async fn all_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.0.subjects.referrers(self, &self.manifests(), subject).await
    }

    async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        let mut tags: Vec<Tag> = self.state().index.tags().map(|(tag, _)| tag).collect();
        tags.sort();
        tags.dedup();
        Ok(tags)
    }
}

impl Target for Archive {
    /// Looks at what the archive has and at what was pushed so far; the manifests are read.
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let mut left = vec![descriptor.clone()];
        let mut seen = HashSet::new();
        while let Some(descriptor) = left.pop() {
            if !seen.insert(descriptor.digest) {
                continue;
            }
            if !self.has(&descriptor) {
                return Ok(false);
            }
            if descriptor.media_type.is_manifest() {
                let id = Identifier::Digest(descriptor.digest);
                let manifest = self.read_manifest(&id, Some(descriptor.media_type), descriptor.digest).await?;
                let below = manifest.manifests().chain(manifest.blobs());
                left.extend(below.filter(|child| !child.media_type.is_nondistributable()).cloned());
            }
        }
        Ok(true)
    }

    /// Looks for the name as we write it; a tag counts only where everything below it is there.
    async fn tagged(&self, tag: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
        let listed = self.state().index.find_exactly(tag).filter(|listed| listed.digest == wanted.digest);
        match listed {
            Some(listed) if self.exists(&listed).await? => Ok(Tagged::Wanted),
            _ => Ok(Tagged::Unknown),
        }
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        if self.has(blob.descriptor()) {
            return Ok(Pushed::Existed);
        }
        self.draft().await?.take(blob, Place::Unknown).await
    }

    /// Writes the exact bytes; the list is written by [`Target::finish`]. The blobs of an image must be there.
    async fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> Result<(), Error> {
        for blob in manifest.blobs().filter(|blob| !blob.media_type.is_nondistributable()) {
            if !self.has(blob) {
                return Err(missing(format!("blob `{}`", blob.digest), &self.0.path));
            }
        }
        let descriptor = manifest.descriptor();
        if !self.has(descriptor) {
            let bytes = Blob::memory(descriptor.clone(), manifest.bytes().clone());
            self.draft().await?.take(&bytes, Place::Unknown).await?;
        }
        let mut state = self.state();
        let untagged = state.index.list(descriptor, None);
        let tagged = tag.is_some_and(|tag| state.index.list(descriptor, Some(tag)));
        state.is_changed |= untagged || tagged;
        Ok(())
    }

    /// Gives the archive its name, durably; does nothing where nothing has changed.
    async fn finish(&self) -> Result<(), Error> {
        if !self.state().is_changed {
            return Ok(());
        }
        let draft = self.draft().await?;
        let _turn = self.0.turn.lock().await;
        let (index, path) = (self.state().index.clone(), self.0.path.clone());
        let published = blocking(move || {
            draft.publish(&index)?;
            Contents::read(&path)
        });
        let contents = published.await?.map(Arc::new);
        let mut state = self.state();
        (state.contents, state.draft, state.is_changed) = (contents, None, false);
        Ok(())
    }
}
