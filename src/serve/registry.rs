//! The registry: from a request to the part that answers it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::time::{MissedTickBehavior, interval};

use super::manifests::References;
use super::quota::OpenUpload;
use super::readable::Readable;
use super::referrers::Question;
use super::repositories::{Repositories, Repository, blocking};
use super::respond::Refusal;
use super::route::{Route, route};
use super::server::Handler;
use super::sessions::Sessions;
use super::{blobs, manifests, referrers, tags, uploads};
use crate::content::Body;
use crate::error::Error;
use crate::model::{ErrorCode, Name};
use crate::store::{Action, Count, Layout, SessionId};

/// A registry over a directory: every repository is an OCI image layout directory in it; cheap to clone.
///
/// Repository `team/app` is the layout `<root>/team/app`. A component of a name that is called like something inside a
/// layout (`blobs`, `index.json`, `oci-layout`) gets a `_` before it: `team/blobs` is `<root>/team/_blobs`.
///
/// Other processes may read the layouts at any time, and change them as this crate's [`Layout`] does.
#[derive(Clone, Debug)]
pub struct Registry {
    repositories: Repositories,
    sessions: Arc<Sessions>,
    references: References,
    upload_expiry: Duration,
}

impl Registry {
    /// How long an upload session is kept, by default, that nobody writes to: a day.
    pub const UPLOAD_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Opens the registry in the directory `root`. One that is not there is made by the first push.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it is there and cannot be read, or is no directory.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let repositories = Repositories::open(root.into()).await?;
        let (references, upload_expiry) = (References::default(), Self::UPLOAD_EXPIRY);
        Ok(Self { repositories, sessions: Arc::default(), references, upload_expiry })
    }

    /// Says whether manifests may name what is not there; without this they may.
    #[must_use]
    pub fn with_references(self, references: References) -> Self {
        Self { references, ..self }
    }

    /// Says how long an upload session is kept that nobody writes to; without this [`Registry::UPLOAD_EXPIRY`].
    #[must_use]
    pub fn with_upload_expiry(self, upload_expiry: Duration) -> Self {
        Self { upload_expiry, ..self }
    }

    /// Returns the names of all repositories, sorted. Walks the directories.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a directory cannot be read.
    pub async fn repositories(&self) -> Result<Vec<Name>, Error> {
        self.repositories.names().await
    }

    /// Opens the layout of a repository; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be read, [`Error::Parse`] where it is of another version.
    pub async fn layout(&self, name: &Name) -> Result<Option<Layout>, Error> {
        Ok(self.repositories.existing(name).await?.map(|repository| Layout::clone(&repository)))
    }

    /// Removes the upload sessions that nobody has written to for too long, of this process or an earlier one. Walks the
    /// directories.
    ///
    /// # Errors
    ///
    /// As [`Registry::layout`]; what can be removed is removed nevertheless.
    pub async fn sweep(&self) -> Result<Count, Error> {
        self.sessions.rest(self.upload_expiry);
        let (mut swept, mut failed) = (Count::default(), None);
        for (name, layout) in self.repositories.places().await? {
            let outcome = layout.sweep(self.upload_expiry).await;
            self.repositories.tidy(&name).await;
            match outcome {
                Ok(count) => (swept.files, swept.bytes) = (swept.files + count.files, swept.bytes + count.bytes),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(swept), Err)
    }

    /// Returns the names under which uploads were begun and none has ended well: no repository is there yet. Walks the
    /// directories.
    ///
    /// # Errors
    ///
    /// As [`Registry::repositories`].
    pub async fn unfinished(&self) -> Result<Vec<Name>, Error> {
        let made = self.repositories.names().await?;
        let places = self.repositories.places().await?.into_iter().map(|(name, _)| name);
        Ok(places.filter(|name| made.binary_search(name).is_err()).collect())
    }

    /// Removes, or counts, the upload sessions under a name that nobody has written to for `age` and that nobody holds now;
    /// then the directories, as far as they are empty. Made for those of [`Registry::unfinished`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub async fn sweep_one(&self, name: &Name, age: Duration, action: Action) -> Result<Count, Error> {
        let repository = self.repositories.at(name).await?;
        let swept = blocking(move || repository.shelf().sweep(age, action)).await;
        if action == Action::Remove {
            self.repositories.tidy(name).await;
        }
        swept
    }

    /// Returns the upload sessions that are open, of this process and earlier ones. Walks the directories.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a directory cannot be read.
    pub async fn open_uploads(&self) -> Result<Vec<OpenUpload>, Error> {
        let places = self.repositories.places().await?;
        let found = blocking(move || {
            let each = places.into_iter().map(|(_, layout)| layout.shelf().sessions());
            each.collect::<Result<Vec<_>, Error>>()
        });
        let open = |(id, size, idle): (SessionId, u64, Duration)| {
            // Other processes may keep sessions of other names there.
            let id = id.as_str().parse().ok()?;
            Some(OpenUpload { id, size, idle })
        };
        Ok(found.await?.into_iter().flatten().filter_map(open).collect())
    }

    /// Sweeps at once, and then again and again, for as long as this is waited for: beside [`Server::run`].
    ///
    /// [`Server::run`]: super::Server::run
    pub async fn tend(&self) -> Infallible {
        let mut rounds = interval((self.upload_expiry / 4).clamp(Duration::from_secs(1), Duration::from_secs(60 * 60)));
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            match self.sweep().await {
                Ok(swept) if swept.files > 0 => tracing::info!(sessions = swept.files, "swept upload sessions"),
                Ok(_) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot sweep all upload sessions");
                }
            }
        }
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        self.repositories.root()
    }

    /// Answers one request of the distribution API (distribution-spec 1.1), without a socket.
    ///
    /// Blobs stream from disk and to disk; a manifest is held in memory, 8 MiB at most. Only the path and the query
    /// of the URI matter. The body of an answer to `HEAD` is empty, its `Content-Length` that of the answer to `GET`.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, mut body) = request.into_parts();
        let mut response = match self.answer(&parts, &mut body).await {
            Ok(response) => response,
            Err(refusal) => {
                // Many clients read no answer before they have sent everything, and would see a broken connection.
                if !parts.headers.contains_key(EXPECT) {
                    drain(&mut body).await;
                }
                refusal.into_response()
            }
        };
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn answer(&self, parts: &Parts, body: &mut Body) -> Result<Response<Body>, Refusal> {
        match route(&parts.method, &parts.uri)? {
            Route::Ping => Ok(ping()),
            Route::Blob { name, digest } => blobs::read(&self.existing(&name).await?, digest, parts).await,
            Route::DeleteBlob { name, digest } => blobs::delete(&self.existing(&name).await?, digest).await,
            Route::Mount { name, digest, from } => {
                let repositories = &self.repositories;
                let readable = Readable::of(&parts.extensions);
                let source = match &from {
                    Some(from) if !readable.readable(from) => None,
                    Some(from) => self.repositories.existing(from).await?,
                    None => self.repositories.find(digest, |name| readable.readable(name)).await?,
                };
                match blobs::mount(&name, repositories, digest, source.as_ref()).await? {
                    Some(mounted) => Ok(mounted),
                    None => uploads::start(&name, repositories, Some(digest.algorithm())).await,
                }
            }
            Route::StartUpload { name, algorithm } => uploads::start(&name, &self.repositories, algorithm).await,
            Route::PushBlob { name, digest } => {
                let pushed = uploads::whole(&name, &self.repositories, digest, body).await;
                self.tidied(&name, pushed).await
            }
            Route::UploadStatus { name, id } => uploads::status(&name, &self.repositories.at(&name).await?, &id).await,
            Route::Append { name, id, algorithm } => {
                let repository = self.repositories.at(&name).await?;
                uploads::append(&self.sessions, &name, &repository, &id, algorithm, parts, body).await
            }
            Route::Finish { name, id, digest } => {
                let finished =
                    uploads::finish(&self.sessions, &name, &self.repositories, &id, digest, parts, body).await;
                self.tidied(&name, finished).await
            }
            Route::Cancel { name, id } => {
                let repository = self.repositories.at(&name).await?;
                let cancelled = uploads::cancel(&self.sessions, &name, &repository, &id).await;
                self.repositories.tidy(&name).await;
                cancelled
            }
            Route::Manifest { name, identifier } => {
                manifests::read(&self.existing(&name).await?, &identifier, parts).await
            }
            Route::PutManifest { name, identifier, tags } => {
                let manifest = manifests::receive(&identifier, parts, body).await?;
                if self.references == References::Checked {
                    // What is refused makes no repository.
                    manifests::check(&self.repositories.at(&name).await?, &manifest).await?;
                }
                let repository = self.repositories.create(&name).await?;
                manifests::put(&name, &repository, &manifest, identifier, &tags, self.references).await
            }
            Route::DeleteManifest { name, identifier } => {
                manifests::delete(&self.existing(&name).await?, &identifier).await
            }
            Route::Tags { name, n, last } => tags::list(&name, &self.existing(&name).await?, n, last.as_deref()).await,
            Route::Referrers { name, subject, artifact_type, last } => {
                let question = Question { name: &name, subject, artifact_type: artifact_type.as_deref(), last };
                referrers::list(self.repositories.existing(&name).await?.as_ref(), question).await
            }
        }
    }

    /// Removes what an upload that failed has left of a repository that is none yet.
    async fn tidied(&self, name: &Name, outcome: Result<Response<Body>, Refusal>) -> Result<Response<Body>, Refusal> {
        if outcome.is_err() {
            self.repositories.tidy(name).await;
        }
        outcome
    }

    async fn existing(&self, name: &Name) -> Result<Repository, Refusal> {
        let missing = || Refusal::missing(ErrorCode::NameUnknown, format!("there is no repository `{name}`"));
        self.repositories.existing(name).await?.ok_or_else(missing)
    }
}

impl Handler for Registry {
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        Self::handle(self, request)
    }
}

/// Says what this is. Old clients look for the version header.
fn ping() -> Response<Body> {
    let mut response = Response::new(Body::from_bytes("{}"));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().extend([
        (CONTENT_LENGTH, HeaderValue::from_static("2")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0")),
    ]);
    response
}

/// Reads what is left of a refused request, so that its client gets to reading the answer.
pub(super) async fn drain(body: &mut Body) {
    let mut left = DRAIN;
    while let Some(Ok(chunk)) = body.chunk().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

/// How much of a refused request's body is read and thrown away, in bytes, before the connection is.
const DRAIN: usize = 64 << 20;
