//! A repository: the handle through which content moves.

use http::{Method, Request, Uri};

use super::{Client, Mounts, Uploads, blob, manifest, upload};
use crate::auth::{Actions, Scope, Scopes};
use crate::content::{Blob, Pushed, Source, Target};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, Name, Reference, Registry, Tag};
use crate::transport::Payload;

/// A repository of a registry. Cheap to clone; making one sends nothing.
#[derive(Clone, Debug)]
pub struct Repository {
    client: Client,
    registry: Registry,
    name: Name,
    purpose: Purpose,
    uploads: Uploads,
}

/// What the handle is for: it decides which rights are asked for, up front and once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Pull,
    Push,
}

impl Repository {
    pub(super) fn new(client: Client, registry: Registry, name: Name) -> Self {
        Self { client, registry, name, purpose: Purpose::Pull, uploads: Uploads::default() }
    }

    /// Says that content will be pushed: every request asks for the rights to pull and push, so that one token serves
    /// the whole operation.
    #[must_use]
    pub fn for_push(self) -> Self {
        Self { purpose: Purpose::Push, ..self }
    }

    /// Sets how blobs go up.
    #[must_use]
    pub fn uploading(self, uploads: Uploads) -> Self {
        Self { uploads, ..self }
    }

    /// Returns the registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the repository's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the reference to `digest` in this repository.
    pub fn reference(&self, digest: Digest) -> Reference {
        Reference::new(self.registry.clone(), self.name.clone(), None, Some(digest))
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Begins a request to `/v2/<name>/<rest>`.
    pub(super) fn request(&self, method: Method, rest: impl std::fmt::Display) -> Request<Payload> {
        let path = format!("/v2/{}/{rest}", self.name);
        let uri = Uri::try_from(path).expect("names, tags and digests are made of URI characters");
        let mut request = Request::new(Payload::Empty);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request
    }

    /// Returns the rights that this handle asks for.
    pub(super) fn scopes(&self) -> Scopes {
        let actions = match self.purpose {
            Purpose::Pull => Actions::PULL,
            Purpose::Push => Actions::PULL | Actions::PUSH,
        };
        Scopes::from(Scope::Repository { name: self.name.clone(), actions })
    }
}

impl Source for Repository {
    /// **Requests**: one `HEAD` of the manifest; a `GET` besides where the registry does not say the digest, or
    /// refuses without a reason.
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        manifest::resolve(self, id).await
    }

    /// **Requests**: one `GET` of the manifest.
    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        manifest::fetch(self, id).await
    }

    /// **Requests**: none now; one `GET` of the blob for each opening, with `Range` where it does not begin at 0,
    /// and one more for each time the connection breaks on the way.
    fn blob(&self, descriptor: &Descriptor) -> Blob {
        blob::remote(self, descriptor)
    }
}

impl Target for Repository {
    /// **Requests**: one `HEAD` of the manifest or blob.
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        if descriptor.media_type.is_manifest() {
            manifest::exists(self, &descriptor.digest).await
        } else {
            blob::exists(self, &descriptor.digest).await
        }
    }

    /// **Requests**: one `HEAD` of the manifest.
    async fn tagged(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        match manifest::resolve(self, &Identifier::Tag(tag.clone())).await {
            Ok(descriptor) => Ok(Some(descriptor.digest)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// **Requests**: one `HEAD`; where the blob is absent one `POST`, and where that does not mount it one `PUT` besides.
    /// One more `POST` where the registry refuses to mount; one more `HEAD` where it does not say which digest it has
    /// stored. In chunks one `PATCH` for each, and a `HEAD` in the end. Whatever breaks is asked after and continued.
    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        if blob::exists(self, &blob.descriptor().digest).await? {
            return Ok(Pushed::Existed);
        }
        upload::push(self, blob, self.uploads).await
    }

    /// **Requests**: as [`push_blob`](Target::push_blob) without the first `HEAD`, and without a mount.
    async fn repush_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        upload::push(self, blob, self.uploads.mounting(Mounts::Never)).await
    }

    /// **Requests**: one `DELETE` for each upload that was dropped on its way, in any repository of the client.
    async fn tidy(&self) {
        self.client.tidy().await;
    }

    /// **Requests**: one `PUT`.
    async fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> Result<(), Error> {
        manifest::push(self, manifest, tag).await
    }
}
