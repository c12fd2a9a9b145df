//! A packed application, ready to be copied anywhere.

use std::collections::HashMap;
use std::pin::Pin;

use super::lock_file::LockedApp;
use crate::content::{Blob, Body, Open, Source};
use crate::error::{Details, Error, Missing, Place};
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType};

/// A packed application: a [`Source`] of one manifest and its blobs, which stay in the files they came from.
///
/// Archive layers are temporary files; they are removed when the package and every blob from it are dropped.
#[derive(Debug)]
pub struct Package {
    parts: Parts,
    lock: LockedApp,
}

impl Package {
    pub(super) fn new(manifest: Manifest, lock: LockedApp, blobs: impl IntoIterator<Item = Blob>) -> Self {
        Self { parts: Parts::new(manifest, blobs), lock }
    }

    /// Returns the manifest. (Through [`Source::manifest`] it is also found by its identifier.)
    pub fn manifest(&self) -> &Manifest {
        self.parts.manifest()
    }

    /// Returns what the package calls its manifest: the digest.
    pub fn identifier(&self) -> Identifier {
        self.parts.identifier()
    }

    /// Returns the lock file.
    pub fn lock_file(&self) -> &LockedApp {
        &self.lock
    }
}

impl Source for Package {
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        self.parts.find(id).map(|manifest| manifest.descriptor().clone())
    }

    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        self.parts.find(id).cloned()
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        self.parts.blob(descriptor)
    }
}

/// A manifest and its blobs, of whatever they are the parts.
#[derive(Debug)]
pub(super) struct Parts {
    manifest: Manifest,
    /// By what routes them: the same bytes may be a component and a file.
    blobs: HashMap<(Digest, MediaType), Blob>,
}

impl Parts {
    pub(super) fn new(manifest: Manifest, blobs: impl IntoIterator<Item = Blob>) -> Self {
        let key = |blob: &Blob| (blob.descriptor().digest, blob.descriptor().media_type.clone());
        Self { manifest, blobs: blobs.into_iter().map(|blob| (key(&blob), blob)).collect() }
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn identifier(&self) -> Identifier {
        Identifier::Digest(self.manifest.digest())
    }

    /// Returns the manifest where `id` is its digest; there are no tags.
    pub(super) fn find(&self, id: &Identifier) -> Result<&Manifest, Error> {
        match id {
            Identifier::Digest(digest) if *digest == self.manifest.digest() => Ok(&self.manifest),
            other => Err(missing(format!("manifest `{other}`"))),
        }
    }

    pub(super) fn blob(&self, descriptor: &Descriptor) -> Blob {
        let key = (descriptor.digest, descriptor.media_type.clone());
        let found = self.blobs.get(&key).cloned();
        found.unwrap_or_else(|| Blob::new(descriptor.clone(), Absent(descriptor.digest)))
    }
}

/// A blob that the package does not have.
struct Absent(Digest);

impl Open for Absent {
    fn open(&self, _: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async { Err(missing(format!("blob `{}`", self.0))) })
    }
}

fn missing(what: String) -> Error {
    Error::NotFound(Box::new(Missing { what, place: Place::Unknown, errors: Vec::new(), details: Details::default() }))
}
