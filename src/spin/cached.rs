//! One application in the cache: its manifest, its document, and everything below.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::cache::Cache;
use super::lock_file::LockedApp;
use super::media;
use super::pack;
use crate::content::{Blob, Pushed, Target};
use crate::disk::{self, Mode};
use crate::error::Error;
use crate::model::{Descriptor, Digest, ImageManifest, Manifest, MediaType, ParseError, Tag};
use crate::store::{self, blocking};

/// The place of one application in the cache: a [`Target`] that a copy fills; cheap to clone.
///
/// Layers go where their media types belong; archives are unpacked beside. The lock file (of old artifacts and of
/// packages: the config) is kept in memory until the manifest comes, and then written as `config.json`, together with
/// the manifest's exact bytes as `manifest.json`. A config beside a lock file says no more than the lock file's digest: where
/// it can be made of that, and has its own digest then, it is not fetched. An index that the manifest was taken out of is
/// noted beside them as `index.json`, so that its digest names what is here without a registry.
#[derive(Clone, Debug)]
pub struct CachedApplication {
    cache: Cache,
    directory: Arc<Path>,
    kept: Arc<Mutex<Kept>>,
}

/// Documents that wait for their manifest.
#[derive(Debug, Default)]
struct Kept {
    documents: BTreeMap<Digest, Bytes>,
    /// How many bytes are kept or being read.
    reserved: u64,
}

impl CachedApplication {
    pub(super) fn new(cache: Cache, directory: &Path) -> Self {
        Self { cache, directory: directory.into(), kept: Arc::default() }
    }

    /// Returns the directory of `manifest.json` and `config.json`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Notes that the application is used now, by the age of its manifest: so does Spin, which writes it anew each time. Where
    /// the file is somebody else's, it stays as old as it is.
    pub async fn note_use(&self) {
        let path = self.manifest_path();
        if let Err(error) = blocking(move || disk::touch(&path)).await {
            tracing::debug!(%error, "the use of an application could not be noted");
        }
    }

    /// Reads the manifest that was pulled last, as Spin or we have written it; `None` where nothing was pulled. No
    /// requests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Parse`].
    pub async fn manifest(&self) -> Result<Option<Manifest>, Error> {
        let path = self.manifest_path();
        let bytes = blocking(move || disk::read_bounded(&path, Manifest::MAX_READ)).await?;
        Ok(bytes.map(|bytes| Manifest::parse(bytes, None)).transpose()?)
    }

    /// Reads the lock file that was pulled last; `None` where nothing was pulled. No requests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Parse`] where what was pulled has no lock file.
    pub async fn lock_file(&self) -> Result<Option<LockedApp>, Error> {
        let path = self.config_path();
        let bytes = blocking(move || disk::read_bounded(&path, media::MAX_LOCK)).await?;
        Ok(bytes.map(|bytes| LockedApp::parse(&bytes)).transpose()?)
    }

    /// Reads what was pulled last, be it an application or a package; `None` where nothing was pulled. No requests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Parse`] where it is neither.
    pub async fn document(&self) -> Result<Option<Document>, Error> {
        let path = self.config_path();
        let Some(bytes) = blocking(move || disk::read_bounded(&path, media::MAX_LOCK)).await? else { return Ok(None) };
        let keys: Result<serde_json::Map<_, _>, _> = serde_json::from_slice(&bytes);
        // Spin tells them apart by this key, and so it is the one that counts.
        if keys.is_ok_and(|keys| !keys.contains_key("spin_lock_version")) {
            let Some(manifest) = self.manifest().await? else { return Ok(None) };
            let layers = manifest.image().map(|image| image.layers.as_slice()).unwrap_or_default();
            let [package] = layers else {
                let expected = "a Spin application, or a package of one layer of WebAssembly";
                return Err(ParseError::new("artifact", &manifest.digest().to_string(), expected).into());
            };
            return Ok(Some(Document::Package(package.digest)));
        }
        Ok(Some(Document::Application(Box::new(LockedApp::parse(&bytes)?))))
    }

    /// Says what is missing of what was pulled last, each once; `None` where nothing was pulled, or something else than
    /// `wanted`.
    pub(super) async fn missing(&self, wanted: Option<Digest>) -> Result<Option<Vec<Digest>>, Error> {
        let here = self.clone();
        blocking(move || here.find_missing(wanted)).await
    }

    /// Makes the config of an application by itself, where it is what Spin and we make of its lock file: whether it is, its
    /// digest tells.
    fn make_config(&self, image: &ImageManifest) -> Option<Bytes> {
        let (lock, config) = (document(image), &image.config);
        if lock.media_type != media::APPLICATION || !is_document(&config.media_type) {
            return None;
        }
        let (made, bytes) = pack::config(lock.digest);
        ((made.digest, made.size) == (config.digest, config.size)).then_some(bytes)
    }

    /// Takes a document into memory, unless it is what `config.json` says already.
    async fn keep(&self, blob: &Blob) -> Result<Pushed, Error> {
        let descriptor = blob.descriptor().clone();
        if self.has_document(&descriptor).await? {
            return Ok(Pushed::Existed);
        }
        // One after the other as they are announced, so that many of them cannot fill the memory.
        {
            let mut kept = self.kept();
            let reserved = kept.reserved.saturating_add(descriptor.size);
            if reserved > MAX_KEPT {
                let expected = "documents of at most 64 MiB together with their configs";
                return Err(ParseError::new("lock file", &descriptor.digest.to_string(), expected).into());
            }
            kept.reserved = reserved;
        }
        let read = blob.read(MAX_KEPT).await;
        let mut kept = self.kept();
        match read {
            Ok(bytes) => {
                kept.documents.insert(descriptor.digest, bytes);
                Ok(Pushed::Uploaded)
            }
            Err(error) => {
                kept.reserved = kept.reserved.saturating_sub(descriptor.size);
                Err(error)
            }
        }
    }

    /// Returns the bytes of a document, verified: kept in memory, or what `config.json` says, or, where nobody could tell that it
    /// is one, among the files.
    pub(crate) async fn document_bytes(&self, document: &Descriptor) -> Result<Bytes, Error> {
        if let Some(bytes) = self.kept().documents.get(&document.digest) {
            return Ok(bytes.clone());
        }
        if self.has_document(document).await? {
            return Blob::file(document.clone(), self.config_path()).read(MAX_KEPT).await;
        }
        self.cache.files_shelf().blob(document).read(MAX_KEPT).await
    }

    /// Says whether a document is at hand: kept in memory, or what `config.json` says.
    async fn has_document(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        if self.kept().documents.contains_key(&descriptor.digest) {
            return Ok(true);
        }
        let (path, wanted) = (self.config_path(), descriptor.clone());
        blocking(move || is_file_of(&path, &wanted)).await
    }

    /// Stores layers that look like documents and are none: only the manifest tells.
    async fn store_kept_layers(&self, image: &ImageManifest) -> Result<(), Error> {
        let document = document(image);
        for layer in image.layers.iter().filter(|layer| *layer != document && is_document(&layer.media_type)) {
            let kept = self.kept().documents.get(&layer.digest).cloned();
            if let Some(bytes) = kept.filter(|_| layer.media_type != media::APPLICATION) {
                self.cache.put(&Blob::from_bytes(layer.media_type.clone(), bytes)).await?;
            }
        }
        Ok(())
    }

    /// Lets go of the documents of a manifest that is published.
    fn forget(&self, manifest: &Manifest) {
        let mut kept = self.kept();
        for blob in manifest.blobs() {
            if let Some(bytes) = kept.documents.remove(&blob.digest) {
                kept.reserved = kept.reserved.saturating_sub(bytes.len() as u64);
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing is left half-done under the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn manifest_path(&self) -> PathBuf {
        self.directory.join("manifest.json")
    }

    fn index_path(&self) -> PathBuf {
        self.directory.join("index.json")
    }

    fn config_path(&self) -> PathBuf {
        self.directory.join("config.json")
    }
}

/// What an artifact in the cache is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Document {
    /// A Spin application: its lock file.
    Application(Box<LockedApp>),
    /// A package of WebAssembly: the digest of its only layer.
    Package(Digest),
}

impl Target for CachedApplication {
    /// Of a manifest, says whether it is the one that was pulled last and nothing of it is missing; of a blob, whether
    /// it is where its media type belongs. No requests: one look at each file.
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        if descriptor.media_type.is_manifest() {
            let (here, wanted) = (self.clone(), descriptor.clone());
            return blocking(move || here.is_complete(&wanted)).await;
        }
        if is_document(&descriptor.media_type) {
            return self.has_document(descriptor).await;
        }
        let (cache, layer) = (self.cache.clone(), descriptor.clone());
        blocking(move || Ok(cache.files(&layer)?.is_some())).await
    }

    async fn held(&self, digest: &Digest) -> Result<Option<Descriptor>, Error> {
        let (here, digest) = (self.clone(), *digest);
        blocking(move || here.find_held(digest)).await
    }

    async fn noted_index(&self, index: &Descriptor) -> Result<Option<Manifest>, Error> {
        let (path, wanted) = (self.index_path(), index.clone());
        let bytes = blocking(move || disk::read_small(&path, Manifest::MAX_READ)).await?;
        let bytes = bytes.filter(|bytes| Digest::of_with(wanted.digest.algorithm(), bytes) == wanted.digest);
        let parse = |bytes: Vec<u8>| Manifest::parse_named(bytes.into(), Some(wanted.media_type), wanted.digest);
        Ok(bytes.map(parse).transpose()?)
    }

    /// Keeps the last one, as `index.json`, which Spin does not look at.
    async fn note_index(&self, index: &Manifest) -> Result<(), Error> {
        let (path, bytes) = (self.index_path(), index.bytes().clone());
        if self.noted_index(index.descriptor()).await?.is_some() {
            return Ok(());
        }
        let lock = self.cache.lock_manifests().await?;
        blocking(move || {
            let _lock = lock;
            disk::replace(&path, &bytes, Mode::Shared)
        })
        .await
    }

    fn announce(&self, manifest: &Manifest) {
        let Some((image, bytes)) = manifest.image().and_then(|image| Some((image, self.make_config(image)?))) else {
            return;
        };
        let mut kept = self.kept();
        kept.reserved = kept.reserved.saturating_add(bytes.len() as u64);
        if let Some(known) = kept.documents.insert(image.config.digest, bytes) {
            kept.reserved = kept.reserved.saturating_sub(known.len() as u64);
        }
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        if is_document(&blob.descriptor().media_type) { self.keep(blob).await } else { self.cache.put(blob).await }
    }

    /// Flushes everything below the manifest and then replaces `config.json` and `manifest.json`, in this order, under
    /// a lock. The tag is the reference's own: `tag` makes no difference.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where a blob is missing, [`Error::Parse`] where it is an index, which is no application.
    async fn push_manifest(&self, manifest: &Manifest, _: Option<&Tag>) -> Result<(), Error> {
        let Some(image) = manifest.image() else {
            let expected = "an image manifest: an index is no application itself";
            return Err(ParseError::new("manifest", &manifest.digest().to_string(), expected).into());
        };
        self.store_kept_layers(image).await?;
        let document = document(image).clone();
        let config = self.document_bytes(&document).await?;
        let here = self.clone();
        let layers = manifest.clone();
        blocking(move || match here.files(&layers)? {
            Some(files) => disk::flush(&files),
            None => Err(store::missing(format!("a layer of `{}`", layers.digest()), here.cache.root())),
        })
        .await?;
        let lock = self.cache.lock_manifests().await?;
        let (here, manifest) = (self.clone(), manifest.clone());
        blocking(move || {
            let _lock = lock;
            disk::replace(&here.config_path(), &config, Mode::Shared)?;
            disk::replace(&here.manifest_path(), manifest.bytes(), Mode::Shared)?;
            here.forget(&manifest);
            Ok(())
        })
        .await
    }
}

/// What blocks.
impl CachedApplication {
    fn is_complete(&self, wanted: &Descriptor) -> Result<bool, Error> {
        let Some(bytes) = disk::read_small(&self.manifest_path(), Manifest::MAX_READ)? else { return Ok(false) };
        if Digest::of_with(wanted.digest.algorithm(), &bytes) != wanted.digest {
            return Ok(false);
        }
        // An index may call its child by another type than the child does.
        let manifest = Manifest::parse_named(bytes.into(), Some(wanted.media_type.clone()), wanted.digest).ok();
        let Some((manifest, image)) = manifest.as_ref().and_then(|manifest| Some((manifest, manifest.image()?))) else {
            return Ok(false);
        };
        Ok(is_file_of(&self.config_path(), document(image))? && self.files(manifest)?.is_some())
    }

    fn find_held(&self, digest: Digest) -> Result<Option<Descriptor>, Error> {
        let Some(bytes) = disk::read_small(&self.manifest_path(), Manifest::MAX_READ)? else { return Ok(None) };
        if Digest::of_with(digest.algorithm(), &bytes) != digest {
            return Ok(None);
        }
        // What cannot be read is pulled again.
        let Ok(manifest) = Manifest::parse_named(bytes.into(), None, digest) else { return Ok(None) };
        let descriptor = manifest.descriptor().clone();
        Ok(self.is_complete(&descriptor)?.then_some(descriptor))
    }

    fn find_missing(&self, wanted: Option<Digest>) -> Result<Option<Vec<Digest>>, Error> {
        let Some(bytes) = disk::read_small(&self.manifest_path(), Manifest::MAX_READ)? else { return Ok(None) };
        if let Some(wanted) = wanted
            && Digest::of_with(wanted.algorithm(), &bytes) != wanted
            && !self.is_out_of(&wanted, &bytes)?
        {
            return Ok(None);
        }
        let manifest = Manifest::parse(bytes, None)?;
        let Some(image) = manifest.image() else { return Ok(None) };
        let document = document(image);
        let mut missing = Vec::new();
        if !is_file_of(&self.config_path(), document)? {
            missing.push(document.digest);
        }
        for layer in image.layers.iter().filter(|layer| layer.media_type != media::APPLICATION) {
            if self.cache.files(layer)?.is_none() && !missing.contains(&layer.digest) {
                missing.push(layer.digest);
            }
        }
        Ok(Some(missing))
    }

    /// Says whether the index that was noted last is `wanted` and has this manifest: the tag may have been pulled again
    /// since, and stand for something else.
    fn is_out_of(&self, wanted: &Digest, manifest: &[u8]) -> Result<bool, Error> {
        let Some(bytes) = disk::read_small(&self.index_path(), Manifest::MAX_READ)? else { return Ok(false) };
        if Digest::of_with(wanted.algorithm(), &bytes) != *wanted {
            return Ok(false);
        }
        let index = Manifest::parse_named(bytes.into(), None, *wanted)?;
        let is_this = |child: &Descriptor| Digest::of_with(child.digest.algorithm(), manifest) == child.digest;
        Ok(index.manifests().any(is_this))
    }

    /// Returns the files of all layers, and what was unpacked from them; `None` where one is missing.
    fn files(&self, manifest: &Manifest) -> Result<Option<Vec<PathBuf>>, Error> {
        let layers = manifest.image().map(|image| image.layers.as_slice()).unwrap_or_default();
        let mut files = Vec::new();
        for layer in layers.iter().filter(|layer| layer.media_type != media::APPLICATION) {
            match self.cache.files(layer)? {
                Some(more) => files.extend(more),
                None => return Ok(None),
            }
        }
        Ok(Some(files))
    }
}

/// Returns what `config.json` has to hold: the lock file, where there is one, else the config. Of several lock files
/// the last counts, as with Spin.
pub(super) fn document(image: &ImageManifest) -> &Descriptor {
    image.layers.iter().rev().find(|layer| layer.media_type == media::APPLICATION).unwrap_or(&image.config)
}

/// Says whether content of this type is a lock file or a config. Others may be configs as well; they are then stored
/// as files, and found there.
fn is_document(media_type: &MediaType) -> bool {
    *media_type == media::APPLICATION
        || *media_type == MediaType::IMAGE_CONFIG
        || *media_type == MediaType::EMPTY_JSON
        || OTHER_CONFIGS.contains(&media_type.as_str())
}

fn is_file_of(path: &Path, wanted: &Descriptor) -> Result<bool, Error> {
    if wanted.size > MAX_KEPT {
        return Ok(false);
    }
    let bytes = disk::read_small(path, wanted.size)?;
    Ok(bytes.is_some_and(|bytes| {
        bytes.len() as u64 == wanted.size && Digest::of_with(wanted.digest.algorithm(), &bytes) == wanted.digest
    }))
}

/// Docker's image config, and that of WebAssembly packages.
const OTHER_CONFIGS: [&str; 2] =
    ["application/vnd.docker.container.image.v1+json", "application/vnd.wasm.config.v0+json"];

/// How many bytes of documents are kept in memory: the largest lock file, and a config beside it.
const MAX_KEPT: u64 = media::MAX_LOCK + (4 << 20);
