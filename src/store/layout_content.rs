//! A layout as a source and target of content.

use std::collections::HashSet;

use super::ingest::{Ingest, Started, fetch, flush};
use super::layout::Layout;
use super::shelf::missing;
use crate::content::{Blob, Pushed, Source, Target};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Tag};

impl Source for Layout {
    /// Looks a tag up in `index.json`; a digest there too, and else among the blobs that are manifests.
    ///
    /// Tags are `org.opencontainers.image.ref.name` annotations; of two equal ones the last counts. Full names that
    /// end in the tag, which podman and docker write, are found as well, and `latest` is also the only entry of an
    /// index without names.
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        let index = self.index().await?;
        let listed = match id {
            Identifier::Tag(tag) => index.find(tag),
            Identifier::Digest(digest) => index.entry(digest),
        };
        match (listed, id) {
            (Some(listed), _) if self.shelf().has(&listed).await? => Ok(listed),
            (None, Identifier::Digest(digest)) => Ok(self.unlisted(digest).await?.descriptor().clone()),
            _ => Err(self.no_manifest(id)),
        }
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        let index = self.index().await?;
        let listed = match id {
            Identifier::Tag(tag) => index.find(tag),
            Identifier::Digest(digest) => index.entry(digest),
        };
        match (listed, id) {
            (Some(listed), _) if self.shelf().size(&listed.digest).await?.is_some() => {
                let bytes = self.shelf().blob(&listed).read(Manifest::MAX_READ).await?;
                Ok(Manifest::parse_named(bytes, Some(listed.media_type), listed.digest)?)
            }
            (None, Identifier::Digest(digest)) => self.unlisted(digest).await,
            _ => Err(self.no_manifest(id)),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        self.shelf().blob(descriptor)
    }
}

impl Target for Layout {
    /// Looks at files alone: one per blob, and the manifests are read.
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let mut left = vec![descriptor.clone()];
        let mut seen = HashSet::new();
        while let Some(descriptor) = left.pop() {
            if !seen.insert(descriptor.digest) {
                continue;
            }
            if !self.shelf().has(&descriptor).await? {
                return Ok(false);
            }
            if descriptor.media_type.is_manifest() {
                let bytes = self.shelf().blob(&descriptor).read(Manifest::MAX_READ).await?;
                let manifest = Manifest::parse_named(bytes, Some(descriptor.media_type), descriptor.digest)?;
                left.extend(manifest.manifests().chain(manifest.blobs()).filter(|child| !is_elsewhere(child)).cloned());
            }
        }
        Ok(true)
    }

    /// Looks for the name as we write it. A tag counts only where everything below it is there, so that pushing again
    /// repairs a layout that has lost something.
    async fn tagged(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        match self.index().await?.find_exactly(tag) {
            Some(listed) if self.exists(&listed).await? => Ok(Some(listed.digest)),
            _ => Ok(None),
        }
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        fetch(self.shelf(), blob).await
    }

    /// Stores the exact bytes, flushes them and the blobs together, and then lists the manifest in `index.json`.
    ///
    /// The blobs of an image must be there; the manifests of an index need not be, so that a part of one can be kept.
    async fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> Result<(), Error> {
        let mut files = vec![self.blob_path(&manifest.digest())];
        for blob in manifest.blobs().filter(|blob| !is_elsewhere(blob)) {
            if !self.shelf().has(blob).await? {
                return Err(missing(format!("blob `{}`", blob.digest), self.root()));
            }
            files.push(self.blob_path(&blob.digest));
        }
        if let Started::Ingest(ingest) = Ingest::start(self.shelf(), manifest.descriptor()).await? {
            // Manifests are small: a partial of one is not worth going on with.
            let mut ingest = ingest.restart().await?;
            ingest.write(manifest.bytes().clone()).await?;
            ingest.commit().await?;
        }
        flush(files).await?;
        self.list(manifest.descriptor().clone(), tag.cloned()).await
    }
}

impl Layout {
    /// Reads a manifest that `index.json` does not list: the child of an index, or what another tool has left.
    async fn unlisted(&self, digest: &Digest) -> Result<Manifest, Error> {
        let absent = || self.no_manifest(&Identifier::Digest(*digest));
        let size = self.shelf().size(digest).await?.filter(|size| *size <= Manifest::MAX_READ).ok_or_else(absent)?;
        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, *digest, size);
        let bytes = self.shelf().blob(&descriptor).read(Manifest::MAX_READ).await?;
        // A blob that is no manifest is not the manifest that was asked for.
        Manifest::parse_named(bytes, None, *digest).map_err(|_| absent())
    }

    fn no_manifest(&self, id: &Identifier) -> Error {
        missing(format!("manifest `{id}`"), self.root())
    }
}

/// Says whether a layer's content is kept by its author alone, so that nobody else has to have it (image-spec 1.1,
/// layer.md, "Non-Distributable Layers"; Docker's foreign layers).
fn is_elsewhere(descriptor: &Descriptor) -> bool {
    let media_type = descriptor.media_type.as_str();
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}
