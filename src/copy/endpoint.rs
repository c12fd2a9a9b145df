//! An end of a copy that is chosen at run time.

use super::Vacant;
use crate::content::{Blob, Effort, Pushed, Source, Tagged, Target, Unhashed, Vacancy};
use crate::error::{Details, Error, Missing, Place};
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Tag};
use crate::registry::Repository;
use crate::store::{Archive, Layout};

/// What a [`Location`](crate::model::Location) leads to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Endpoint {
    /// A repository of a registry.
    Repository(Repository),
    /// An OCI image layout directory.
    Layout(Layout),
    /// A tar archive of one.
    Archive(Archive),
    /// Nothing is there, and nothing is to be made.
    Vacant(Vacant),
}

/// Does the same with each kind of end.
macro_rules! each {
    ($this:expr, $end:ident => $doing:expr) => {
        match $this {
            Endpoint::Repository($end) => $doing,
            Endpoint::Layout($end) => $doing,
            Endpoint::Archive($end) => $doing,
            Endpoint::Vacant($end) => $doing,
        }
    };
}

impl Endpoint {
    /// Describes a blob of which only the digest is known; its media type is not.
    ///
    /// **Requests**: one `HEAD` to a registry. Of a file, the length is looked up.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is not there; whatever keeps the end from answering.
    pub async fn describe_blob(&self, digest: &Digest) -> Result<Descriptor, Error> {
        let (size, place) = match self {
            Self::Repository(repository) => return repository.describe_blob(digest).await,
            Self::Layout(layout) => (layout.shelf().size(digest).await?, Place::file(layout.root())),
            Self::Archive(archive) => (archive.size(digest), Place::file(archive.path())),
            Self::Vacant(_) => (None, Place::Unknown),
        };
        let missing =
            || Missing { what: format!("blob `{digest}`"), place, errors: Vec::new(), details: Details::default() };
        let size = size.ok_or_else(|| Error::NotFound(Box::new(missing())))?;
        Ok(Descriptor::new(MediaType::OCTET_STREAM, *digest, size))
    }
}

impl Source for Endpoint {
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        each!(self, end => end.resolve(id).await)
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        each!(self, end => end.manifest(id).await)
    }

    fn counts_reads(&self) -> bool {
        each!(self, end => end.counts_reads())
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        each!(self, end => end.blob(descriptor))
    }

    async fn all_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        each!(self, end => end.all_referrers(subject).await)
    }

    async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        each!(self, end => end.all_tags().await)
    }
}

impl Target for Endpoint {
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        each!(self, end => end.exists(descriptor).await)
    }

    async fn tagged(&self, tag: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
        each!(self, end => end.tagged(tag, wanted).await)
    }

    async fn vacancy(&self, blobs: &[Descriptor]) -> Result<Vacancy, Error> {
        each!(self, end => end.vacancy(blobs).await)
    }

    fn effort(&self, blob: &Blob) -> Effort {
        each!(self, end => end.effort(blob))
    }

    async fn push_unhashed(&self, file: &Unhashed, tag: &Tag) -> Result<Option<Digest>, Error> {
        each!(self, end => end.push_unhashed(file, tag).await)
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        each!(self, end => end.push_blob(blob).await)
    }

    async fn repush_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        each!(self, end => end.repush_blob(blob).await)
    }

    async fn noted_index(&self, index: &Descriptor) -> Result<Option<Manifest>, Error> {
        each!(self, end => end.noted_index(index).await)
    }

    async fn note_index(&self, index: &Manifest) -> Result<(), Error> {
        each!(self, end => end.note_index(index).await)
    }

    async fn tidy(&self) {
        each!(self, end => end.tidy().await);
    }

    async fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> Result<(), Error> {
        each!(self, end => end.push_manifest(manifest, tag).await)
    }

    async fn finish(&self) -> Result<(), Error> {
        each!(self, end => end.finish().await)
    }
}
