//! A layout as a source and target of content.

use std::collections::HashSet;

use super::ingest::fetch;
use super::layout::Layout;
use super::shelf::missing;
use crate::content::{Blob, Pushed, Source, Tagged, Target};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Tag};

impl Source for Layout {
    /// Looks a tag up in `index.json`; a digest there too, and else among the blobs that are manifests.
    ///
    /// Tags are `org.opencontainers.image.ref.name` annotations; of two equal ones the last counts. Full names that
    /// end in the tag, which podman and docker write, are found as well, and `latest` is also the only entry of an
    /// index without names.
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        match (self.meant(id).await?, id) {
            (Some(listed), _) if self.shelf().has(&listed).await? => Ok(listed),
            (None, Identifier::Digest(digest)) => Ok(self.unlisted(digest).await?.descriptor().clone()),
            _ => Err(self.no_manifest(id)),
        }
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        match (self.meant(id).await?, id) {
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

    /// Reads each listed manifest once for as long as the layout is open.
    async fn all_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.subjects().referrers(self, &self.manifests().await?, subject).await
    }

    async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        self.tags().await
    }
}

impl Target for Layout {
    /// Looks at files alone: one per blob, and the manifests are read. What is there counts as new from now on: whoever
    /// asks is going to build on it.
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let mut left = vec![descriptor.clone()];
        let mut seen = HashSet::new();
        while let Some(descriptor) = left.pop() {
            if !seen.insert(descriptor.digest) {
                continue;
            }
            // A manifest that is kept keeps what is below it; the first one looked at is the one that was asked for.
            let there =
                if seen.len() == 1 { self.keep(&descriptor).await? } else { self.shelf().has(&descriptor).await? };
            if !there {
                return Ok(false);
            }
            if descriptor.media_type.is_manifest() {
                let bytes = self.shelf().blob(&descriptor).read(Manifest::MAX_READ).await?;
                let manifest = Manifest::parse_named(bytes, Some(descriptor.media_type), descriptor.digest)?;
                left.extend(
                    manifest
                        .manifests()
                        .chain(manifest.blobs())
                        .filter(|child| !child.media_type.is_nondistributable())
                        .cloned(),
                );
            }
        }
        Ok(true)
    }

    /// Looks for the name as we write it. A tag counts only where everything below it is there, so that pushing again
    /// repairs a layout that has lost something.
    async fn tagged(&self, tag: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
        match self.index().await?.find_exactly(tag) {
            Some(listed) if listed.digest == wanted.digest && self.exists(&listed).await? => Ok(Tagged::Wanted),
            _ => Ok(Tagged::Unknown),
        }
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        match self.keep(blob.descriptor()).await? {
            true => Ok(Pushed::Existed),
            false => fetch(self.shelf(), blob).await,
        }
    }

    /// Stores the exact bytes, flushes them and the blobs together, and then lists the manifest in `index.json`.
    ///
    /// The blobs of an image must be there; the manifests of an index need not be, so that a part of one can be kept.
    async fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> Result<(), Error> {
        let adding = self.adding().await?;
        let mut files = Vec::new();
        for blob in manifest.blobs().filter(|blob| !blob.media_type.is_nondistributable()) {
            if !self.shelf().has(blob).await? {
                return Err(missing(format!("blob `{}`", blob.digest), self.root()));
            }
            files.push(self.blob_path(&blob.digest));
        }
        self.put_manifest(&adding, manifest, tag.cloned().into_iter().collect(), files).await
    }
}

impl Layout {
    /// Returns the entry that is meant: the exact name first, and then what other tools write for it.
    async fn meant(&self, id: &Identifier) -> Result<Option<Descriptor>, Error> {
        match (self.listed(id).await?, id) {
            (None, Identifier::Tag(tag)) => Ok(self.index().await?.find(tag)),
            (listed, _) => Ok(listed),
        }
    }

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
