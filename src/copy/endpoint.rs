//! An end of a copy that is chosen at run time.

use crate::content::{Blob, Pushed, Source, Target};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, Tag};
use crate::registry::Repository;
use crate::store::Layout;

/// A repository or a layout directory: what a [`Location`](crate::model::Location) leads to.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// A repository of a registry.
    Repository(Repository),
    /// An OCI image layout directory.
    Layout(Layout),
}

impl Source for Endpoint {
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        match self {
            Self::Repository(repository) => repository.resolve(id).await,
            Self::Layout(layout) => layout.resolve(id).await,
        }
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        match self {
            Self::Repository(repository) => repository.manifest(id).await,
            Self::Layout(layout) => layout.manifest(id).await,
        }
    }

    fn counts_reads(&self) -> bool {
        match self {
            Self::Repository(repository) => repository.counts_reads(),
            Self::Layout(layout) => layout.counts_reads(),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        match self {
            Self::Repository(repository) => repository.blob(descriptor),
            Self::Layout(layout) => layout.blob(descriptor),
        }
    }
}

impl Target for Endpoint {
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        match self {
            Self::Repository(repository) => repository.exists(descriptor).await,
            Self::Layout(layout) => layout.exists(descriptor).await,
        }
    }

    async fn tagged(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        match self {
            Self::Repository(repository) => repository.tagged(tag).await,
            Self::Layout(layout) => layout.tagged(tag).await,
        }
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        match self {
            Self::Repository(repository) => repository.push_blob(blob).await,
            Self::Layout(layout) => layout.push_blob(blob).await,
        }
    }

    async fn repush_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        match self {
            Self::Repository(repository) => repository.repush_blob(blob).await,
            Self::Layout(layout) => layout.repush_blob(blob).await,
        }
    }

    async fn tidy(&self) {
        match self {
            Self::Repository(repository) => repository.tidy().await,
            Self::Layout(layout) => layout.tidy().await,
        }
    }

    async fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> Result<(), Error> {
        match self {
            Self::Repository(repository) => repository.push_manifest(manifest, tag).await,
            Self::Layout(layout) => layout.push_manifest(manifest, tag).await,
        }
    }
}
