//! A repository: the handle through which content moves.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http::{Method, Request, Uri};

use super::asking::{self, Approach, Look, SelfMounts, Stock};
use super::mirror::{self, Askable};
use super::outlook::{self, Outlooks};
use super::upload_plan::Mount;
use super::{
    Client, Listing, Mirror, Mounts, Uploads, blob, delete, manifest, profile, referrers, tagged, tags, upload,
};
use crate::auth::{Actions, Scope, Scopes};
use crate::content::{Blob, Effort, Pushed, Source, Tagged, Target, Unhashed, Vacancy};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, Name, ParseError, Reference, Registry, Tag};
use crate::transport::Payload;

/// A repository of a registry. Cheap to clone; making one sends nothing.
#[derive(Clone, Debug)]
pub struct Repository {
    client: Client,
    registry: Registry,
    name: Name,
    purpose: Purpose,
    uploads: Uploads,
    shared: Shared,
    outlooks: Outlooks,
}

/// What was found out about the repository, for all clones of the handle.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    stock: Stock,
    /// What was sent before anybody knew that it is needed.
    ahead: HashSet<Digest>,
}

impl Shared {
    fn stock(&self) -> Stock {
        self.known().stock
    }

    fn set(&self, stock: Stock) {
        self.known().stock = stock;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the handle is for: it decides which rights are asked for, up front and once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Pull,
    Push,
}

impl Repository {
    pub(super) fn new(client: Client, registry: Registry, name: Name) -> Self {
        let uploads = client.hosts().uploads(&registry);
        let (shared, outlooks) = Default::default();
        Self { client, registry, name, purpose: Purpose::Pull, uploads, shared, outlooks }
    }

    /// Says that content will be pushed: every request asks for the rights to pull and push, so that one token serves
    /// the whole operation.
    #[must_use]
    pub fn for_push(self) -> Self {
        Self { purpose: Purpose::Push, ..self }
    }

    /// Sets how blobs go up, instead of what [`Hosts`](super::Hosts) say.
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

    /// Lists the tags, in the order of the registry. Nothing is sent before the stream is polled.
    ///
    /// A [`Mirror`] is asked as it is for manifests. With [`MirrorMode::Fallback`](super::MirrorMode) the registry itself is
    /// asked where the mirror's first page fails or there are no tags; a list that breaks later is an error.
    ///
    /// **Requests**: one `GET` for each page, at most 1 000.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no such repository; with some registries also where it is empty.
    pub fn tags(&self, listing: Listing) -> impl Stream<Item = Result<Tag, Error>> + Send + use<> {
        tags::list(self, listing)
    }

    /// Lists the manifests that refer to `subject`, each once: those of `artifact_type`, or all.
    ///
    /// A [`Mirror`] is asked as it is for manifests. With [`MirrorMode::Fallback`](super::MirrorMode) the registry itself is
    /// asked where the mirror fails or knows of none, because that is also what it says of a subject that it has not.
    ///
    /// **Requests**: one `GET` for each page of the referrers API; where there is none, one `GET` of the referrers tag
    /// besides (distribution-spec 1.1, "Backwards Compatibility"). As many again where a mirror has none.
    ///
    /// # Errors
    ///
    /// Whatever keeps the registry from answering; a subject that nothing refers to, or that is not there, has none.
    pub async fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>, Error> {
        let asked = Askable::of(self)?;
        let first = referrers::list(&asked.first, subject, artifact_type).await;
        let second = match &first {
            Ok(referrers) => asked.second.as_ref().filter(|_| referrers.is_empty()),
            Err(error) => asked.after(error),
        };
        match second {
            Some(second) => referrers::list(second, subject, artifact_type).await,
            None => first,
        }
    }

    /// Describes a blob of which only the digest is known; its media type is not.
    ///
    /// **Requests**: one `HEAD`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is not there; [`Error::Protocol`] where the registry does not say how long it is.
    pub async fn describe_blob(&self, digest: &Digest) -> Result<Descriptor, Error> {
        blob::describe(self, digest).await
    }

    /// Deletes a tag and leaves the manifest that it points to.
    ///
    /// **Requests**: one `DELETE`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none; [`Error::Refused`] with [`ErrorCode::Unsupported`](crate::model::ErrorCode)
    /// where the registry does not delete tags.
    pub async fn delete_tag(&self, tag: &Tag) -> Result<(), Error> {
        delete::delete(self, format_args!("manifests/{tag}"), || format!("tag `{tag}`"), "tags").await
    }

    /// Deletes a manifest, and with it all tags that point to it.
    ///
    /// **Requests**: one `GET` and one `DELETE`. Where the manifest has a subject one `GET` of that one's referrers; and
    /// where the registry does not keep that list, two `GET`s and a `PUT` of it.
    ///
    /// # Errors
    ///
    /// As [`delete_tag`](Self::delete_tag).
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), Error> {
        let subject = match manifest::fetch(self, &Identifier::Digest(*digest)).await {
            Ok(manifest) => manifest.subject().map(|subject| subject.digest),
            Err(error) if error.is_not_found() => return Err(error),
            // What cannot be read may still be deleted.
            Err(_) => None,
        };
        let what = || format!("manifest `{digest}`");
        delete::delete(self, format_args!("manifests/{digest}"), what, "manifests").await?;
        match subject {
            Some(subject) => referrers::strike(self, &subject, digest).await,
            None => Ok(()),
        }
    }

    /// Deletes a blob, whether or not manifests need it.
    ///
    /// **Requests**: one `DELETE`.
    ///
    /// # Errors
    ///
    /// As [`delete_tag`](Self::delete_tag).
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        delete::delete(self, format_args!("blobs/{digest}"), || format!("blob `{digest}`"), "blobs").await
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns who serves pulls instead. Whoever pushes wants to know what the registry itself has.
    pub(super) fn mirror(&self) -> Option<&Mirror> {
        let host = self.client.hosts().get(&self.registry).filter(|_| self.purpose == Purpose::Pull)?;
        host.mirror.as_ref()
    }

    /// Decides how a blob is pushed.
    fn approach(&self, blob: &Blob) -> Approach {
        let ways = self.client.self_mounts(&self.registry);
        Approach::to((&self.registry, &self.name), blob, self.uploads.mounts, ways, self.shared.stock())
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

/// Where the registry has a [`Mirror`], that gets the requests; with [`MirrorMode::Fallback`](super::MirrorMode) the
/// registry itself gets those that the mirror fails.
impl Source for Repository {
    /// **Requests**: one `HEAD` of the manifest; a `GET` besides where the registry does not say the digest, or
    /// refuses without a reason.
    async fn resolve(&self, id: &Identifier) -> Result<Descriptor, Error> {
        let asked = Askable::of(self)?;
        let error = match manifest::resolve(&asked.first, id).await {
            Ok(descriptor) => return Ok(descriptor),
            Err(error) => error,
        };
        match asked.after(&error) {
            Some(second) => manifest::resolve(second, id).await,
            None => Err(error),
        }
    }

    /// **Requests**: one `GET` of the manifest.
    async fn manifest(&self, id: &Identifier) -> Result<Manifest, Error> {
        let asked = Askable::of(self)?;
        let error = match manifest::fetch(&asked.first, id).await {
            Ok(manifest) => return Ok(manifest),
            Err(error) => error,
        };
        match asked.after(&error) {
            Some(second) => manifest::fetch(second, id).await,
            None => Err(error),
        }
    }

    /// On Docker Hub, where a `GET` of a manifest is a pull and a `HEAD` is not.
    fn counts_reads(&self) -> bool {
        profile::counts_pulls(&self.registry)
    }

    /// **Requests**: none now; one `GET` of the blob for each opening, with `Range` where it does not begin at 0,
    /// and one more for each time the connection breaks on the way.
    fn blob(&self, descriptor: &Descriptor) -> Blob {
        mirror::remote(self, descriptor)
    }

    /// As [`Repository::referrers`].
    async fn all_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.referrers(subject, None).await
    }

    /// As [`Repository::tags`], at most 100 000 of them; a repository that is not there has none.
    async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        let tags: Vec<Tag> = match self.tags(Listing::default()).take(MAX_TAGS + 1).try_collect().await {
            Err(error) if error.is_not_found() => Vec::new(),
            listed => listed?,
        };
        if tags.len() > MAX_TAGS {
            return Err(ParseError::new("list of tags", self.name.as_str(), "at most 100000 tags").into());
        }
        Ok(tags)
    }
}

impl Target for Repository {
    /// What the registry forbids to know counts as absent, because it will say what it thinks of the push itself.
    ///
    /// **Requests**: one `HEAD` of the manifest or blob; a `GET` besides where a manifest is refused without a reason.
    async fn exists(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        if descriptor.media_type.is_manifest() {
            manifest::exists(self, &descriptor.digest).await
        } else {
            blob::exists(self, &descriptor.digest).await
        }
    }

    /// **Requests**: one `GET` of the manifest, unless it is `wanted`: many registries then answer without a body. From
    /// Docker Hub, where a `GET` is a pull, one `HEAD`, and the `GET` only where the tag points to something else.
    async fn tagged(&self, tag: &Tag, wanted: &Descriptor) -> Result<Tagged, Error> {
        if let Some(known) = self.outlooks.tagged(tag, wanted) {
            return Ok(known);
        }
        tagged::tagged(self, tag, wanted).await
    }

    /// Takes it where it is likely to be new: what `tag` points to now has no blob of its size, or nothing is there at all; and
    /// not where the registry is to look for it in [all repositories](Mounts::Anywhere), which takes a digest.
    ///
    /// **Requests**: one `POST`, one `PATCH` and one `PUT`; in chunks, or where the connection breaks, a `PATCH` for each piece
    /// and a `HEAD` besides. What comes to nothing is cancelled by a `DELETE`. Before the first file those of
    /// [`tagged`](Target::tagged), and where the tag is not there one `GET` of a page of one tag; `tagged` and `vacancy` then
    /// make none when they are asked.
    async fn push_unhashed(&self, file: &Unhashed, tag: &Tag) -> Result<Option<Digest>, Error> {
        if self.uploads.mounts == Mounts::Anywhere || !self.outlooks.lacks(self, tag, file.size()).await? {
            return Ok(None);
        }
        let digest = upload::push_unhashed(self, file, self.uploads.chunk).await?;
        self.shared.known().ahead.extend(digest);
        Ok(digest)
    }

    /// A blob of another repository of the same registry counts as mounted where it is here already, too.
    ///
    /// **Requests**: one `POST`, which says that the blob is there, or mounts it, or begins the upload; then one `PUT`. One
    /// `HEAD` before them for a blob of 1 MiB or more, unless the registry has shown in this client that it knows such a
    /// `POST`, or [`vacancy`](Target::vacancy) has found nothing here (then from 64 MiB on); on ECR and GHCR, and with
    /// [`Mounts::Never`], for every blob. One more `POST` where the registry refuses to mount; one more
    /// `HEAD` where it does not say which digest it has stored. In chunks one `PATCH` for each, and a `HEAD` in the end.
    /// Whatever breaks is asked after and continued. None for what was [sent unhashed](Target::push_unhashed).
    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        if self.shared.known().ahead.contains(&blob.descriptor().digest) {
            return Ok(Pushed::Uploaded);
        }
        let Approach { look, mount } = self.approach(blob);
        if look == Look::First && blob::exists(self, &blob.descriptor().digest).await? {
            return Ok(Pushed::Existed);
        }
        upload::push(self, blob, mount, self.uploads.chunk).await
    }

    /// **Requests**: one `POST` and one `PUT`, or what the upload costs in chunks.
    async fn repush_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        // It has said that the blob is there, in one way or the other.
        self.client.learn(&self.registry, SelfMounts::Ignored);
        upload::push(self, blob, Mount::No, self.uploads.chunk).await
    }

    fn effort(&self, blob: &Blob) -> Effort {
        self.approach(blob).effort()
    }

    /// **Requests**: one `GET` of a page of one tag, where that spares more than one; else none.
    async fn vacancy(&self, blobs: &[Descriptor]) -> Result<Vacancy, Error> {
        self.shared.set(Stock::Unknown);
        let stock = match self.outlooks.stock() {
            Some(stock) => stock,
            None if asking::is_worth_counting(blobs, self.client.self_mounts(&self.registry)) => {
                outlook::stock(self).await?
            }
            None => return Ok(Vacancy::Unsaid),
        };
        self.shared.set(stock);
        Ok(if stock == Stock::Empty { Vacancy::Vacant } else { Vacancy::Occupied })
    }

    /// **Requests**: one `DELETE` for each upload that was dropped on its way, in any repository of the client.
    async fn tidy(&self) {
        self.client.tidy().await;
    }

    /// **Requests**: one `PUT`. Where the manifest has a subject and the registry keeps no list of referrers, two `GET`s
    /// and one `PUT` of that list besides.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where the manifest is larger than [`Manifest::MAX_PUSH`], or where the tag that the list of
    /// referrers should have is something else's; the manifest is there all the same in that case.
    async fn push_manifest(&self, manifest: &Manifest, tag: Option<&Tag>) -> Result<(), Error> {
        self.shared.set(Stock::Unknown);
        let listed = manifest::push(self, manifest, tag).await?;
        match manifest.subject() {
            Some(subject) if listed != Some(subject.digest) => referrers::record(self, &subject.digest, manifest).await,
            _ => Ok(()),
        }
    }
}

/// How many tags are listed at once: they are all in memory.
const MAX_TAGS: usize = 100_000;
