//! Blobs over the wire, upwards: carries out the [`Plan`] of an upload (distribution-spec 1.1, "Push").

use std::num::NonZeroU64;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use tokio::time::{sleep, timeout};

use super::Repository;
use super::response::{refused, violation};
use super::upload_answer::Answer;
use super::upload_plan::{Mount, Next, Plan, Verdict};
use crate::auth::{Actions, Scope, Scopes};
use crate::content::{Blob, Body, Open, Pushed, Unhashed};
use crate::error::{Error, RequestLine};
use crate::model::{Digest, Registry};
use crate::transport::{Budget, FinalUri, Payload, Policy, Traffic, headers, peer};

/// How blobs go up, where a registry needs to be treated specially. The default suits nearly all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploads {
    /// Sends blobs in chunks of so many bytes, at least 64 KiB, because something on the way breaks or refuses long
    /// requests. Chunks are used without this, too, where the registry asks for them or refuses a blob as too large; one that has none
    /// gets the blob in one request after all.
    pub chunk: Option<NonZeroU64>,
    /// Where the registry is asked to look before a blob is sent.
    pub mounts: Mounts,
}

/// Where a registry is asked to look for a blob before it is sent (distribution-spec 1.1, "Mounting a blob").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mounts {
    /// In the repository that the blob comes from, where that is another one of the same registry; else in the one that it
    /// goes to, where the question costs nothing.
    #[default]
    FromOrigin,
    /// There, or else wherever the registry knows it from. Some registries refuse to; that costs one more request.
    Anywhere,
    /// Nowhere, not even in the repository itself: it is looked up by a `HEAD`.
    Never,
}

impl Uploads {
    /// Sets how many bytes a chunk has.
    #[must_use]
    pub fn in_chunks_of(self, bytes: NonZeroU64) -> Self {
        Self { chunk: Some(bytes), ..self }
    }

    /// Sets where registries are asked to look.
    #[must_use]
    pub fn mounting(self, mounts: Mounts) -> Self {
        Self { mounts, ..self }
    }
}

/// Sends a blob, or has it mounted. A session that comes to nothing is cancelled.
///
/// The `POST` that opens a session meets the challenge, if there is one, before any byte of the blob is on its way.
pub(super) async fn push(
    repository: &Repository,
    blob: &Blob,
    mount: Mount,
    chunk: Option<NonZeroU64>,
) -> Result<Pushed, Error> {
    let descriptor = blob.descriptor();
    let plan = Plan::new(descriptor.digest, descriptor.size, mount, chunk.map(NonZeroU64::get));
    let mut upload = Upload::new(repository, Content::Blob(blob), plan);
    let outcome = upload.run().await;
    upload.end().await;
    outcome
}

/// Sends a file whose digest is found out on the way. `None`: it did not work out, or not like this; what was sent is cancelled,
/// and the registry may be told the digest first.
pub(super) async fn push_unhashed(
    repository: &Repository,
    file: &Unhashed,
    chunk: Option<NonZeroU64>,
) -> Result<Option<Digest>, Error> {
    let plan = Plan::unnamed(file.size(), chunk.map(NonZeroU64::get));
    let mut upload = Upload::new(repository, Content::File(file), plan);
    let outcome = upload.run().await;
    let (digest, has_begun) = (upload.plan.digest(), upload.plan.has_begun());
    upload.end().await;
    match outcome {
        Ok(_) => Ok(digest),
        // The same would happen to a blob with a digest.
        Err(error) if !has_begun || matches!(error, Error::Io(_)) => Err(error),
        Err(error) => {
            tracing::debug!(?file, %error, "a file could not be sent before its digest was known");
            Ok(None)
        }
    }
}

/// What is sent.
#[derive(Clone, Copy)]
enum Content<'a> {
    Blob(&'a Blob),
    File(&'a Unhashed),
}

struct Upload<'a> {
    repository: &'a Repository,
    content: Content<'a>,
    plan: Plan,
    budget: Budget,
    /// How far the upload had come when the budget was last filled, in bytes.
    reached: u64,
    /// The last answer that was no success.
    refusal: Option<Error>,
}

impl<'a> Upload<'a> {
    fn new(repository: &'a Repository, content: Content<'a>, plan: Plan) -> Self {
        let budget = repository.client().budget();
        Self { repository, content, plan, budget, reached: 0, refusal: None }
    }

    async fn run(&mut self) -> Result<Pushed, Error> {
        loop {
            if self.plan.wants_name() {
                self.name()?;
            }
            let next = self.plan.next();
            tracing::debug!(what = %self.what(), %next, "uploading");
            let (request, scopes) = match self.request(next) {
                ControlFlow::Continue(request) => request,
                ControlFlow::Break(how) => return Ok(how),
            };
            match self.send(request, &scopes).await {
                Ok((line, response)) => self.judge(line, response).await?,
                Err(error) => self.recover(error).await?,
            }
            // What counts is failures without progress between them.
            if self.plan.offset() >= self.reached.saturating_add(PROGRESS) {
                self.reached = self.plan.offset();
                self.budget.refill();
            }
        }
    }

    /// Ends what is left open.
    async fn end(mut self) {
        if let Some(session) = self.orphan() {
            session.cancel(self.repository.client()).await;
            self.plan.forget();
        }
    }

    /// Tells the plan the digest of what was sent.
    fn name(&mut self) -> Result<(), Error> {
        let found = match self.content {
            Content::Blob(blob) => Some(blob.descriptor().digest),
            Content::File(file) => file.digest(),
        };
        let unread = || {
            let session = self.plan.session().cloned().unwrap_or_default();
            Error::protocol(
                RequestLine::new(&Method::PATCH, &session),
                "the upload session has bytes that nobody has sent",
            )
        };
        self.plan.name(found.ok_or_else(unread)?);
        Ok(())
    }

    /// Says what is sent: its digest, or which file.
    fn what(&self) -> String {
        match (self.plan.digest(), self.content) {
            (Some(digest), _) => digest.to_string(),
            (None, Content::Blob(blob)) => blob.descriptor().digest.to_string(),
            (None, Content::File(file)) => format!("{file:?}"),
        }
    }

    /// Makes the next request, and says which rights it needs; stops when there is none.
    fn request(&self, next: Next) -> ControlFlow<Pushed, (Request<Payload>, Scopes)> {
        let mut scopes = self.repository.scopes();
        let session = |method, uri: Uri, payload| {
            let mut request = Request::new(payload);
            (*request.method_mut(), *request.uri_mut()) = (method, uri);
            request
        };
        let request = match next {
            Next::Post { query, from } => {
                if let Some(name) = from {
                    scopes = scopes.with(Scope::Repository { name, actions: Actions::PULL });
                }
                self.repository.request(Method::POST, format_args!("blobs/uploads/{query}"))
            }
            Next::Put { uri, bytes } => {
                let mut request = session(Method::PUT, uri, self.payload(bytes));
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM));
                request
            }
            Next::Stream { uri, bytes } => {
                let mut request = session(Method::PATCH, uri, self.payload(bytes));
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM));
                request
            }
            Next::Patch { uri, bytes } => {
                let range = HeaderValue::from_str(&format!("{}-{}", bytes.start, bytes.end - 1));
                let mut request = session(Method::PATCH, uri, self.payload(bytes));
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM));
                request.headers_mut().insert(CONTENT_RANGE, range.expect("digits are visible ASCII"));
                request
            }
            Next::Status { uri } => {
                let mut request = session(Method::GET, uri, Payload::Empty);
                request.extensions_mut().insert(Traffic::Small);
                request
            }
            Next::Cancel { uri } => session(Method::DELETE, uri, Payload::Empty),
            Next::Head => self.repository.request(Method::HEAD, format_args!("blobs/{}", self.what())),
            Next::Done(how) => return ControlFlow::Break(how),
        };
        ControlFlow::Continue((request, scopes))
    }

    async fn send(
        &mut self,
        request: Request<Payload>,
        scopes: &Scopes,
    ) -> Result<(RequestLine, Response<Body>), Error> {
        let (client, registry) = (self.repository.client(), self.repository.registry());
        let line = RequestLine::new(request.method(), request.uri());
        let response = if request.uri().scheme().is_none() {
            client.send(registry, request, scopes, &mut self.budget).await?
        } else {
            client.send_to(registry, request, scopes, &mut self.budget).await?
        };
        let line = match response.extensions().get() {
            Some(FinalUri(uri)) => RequestLine::new(&line.method, uri),
            None => line,
        };
        Ok((line, response))
    }

    fn payload(&self, bytes: Range<u64>) -> Payload {
        if bytes.is_empty() {
            return Payload::Empty;
        }
        let content: Arc<dyn Open> = match self.content {
            Content::Blob(blob) => Arc::new(blob.clone()),
            Content::File(file) => Arc::new(file.clone()),
        };
        let length = bytes.end - bytes.start;
        Payload::reopen(Some(length), move || {
            let content = content.clone();
            async move { Ok(content.open(bytes.start).await?.take(length)) }
        })
    }

    /// Lets the plan judge an answer.
    async fn judge(&mut self, line: RequestLine, response: Response<Body>) -> Result<(), Error> {
        let asked = headers::retry_after(response.headers(), SystemTime::now());
        let answer = Answer::read(line.uri.reveal(), peer(&response), response.status(), response.headers());
        let verdict = self.plan.answered(&answer);
        if let Some(shown) = self.plan.learnt() {
            self.repository.client().learn(self.repository.registry(), shown);
        }
        if let Verdict::Broken(rule) = verdict {
            return Err(Error::protocol(line, rule));
        }
        if let Verdict::Misplaced(why) = verdict {
            return Err(violation(line, "the `Location` of the upload session leads nowhere", why));
        }
        if !answer.status.is_success() {
            let what = match line.method {
                Method::POST => format!("repository `{}`", self.repository.name()),
                Method::HEAD => format!("blob `{}`", self.what()),
                _ => format!("the upload session of `{}`", self.what()),
            };
            self.refusal = Some(refused(response, line.clone(), || what).await);
        }
        match verdict {
            Verdict::Go => Ok(()),
            Verdict::Wait => self.wait(asked).await,
            _ => Err(self.give_up(line)),
        }
    }

    /// Lets the plan find a way around a failure.
    async fn recover(&mut self, error: Error) -> Result<(), Error> {
        let verdict = match &error {
            error if error.is_transient() => self.plan.lost(),
            Error::Io(_) | Error::Mismatch(_) | Error::Unreachable(_) => Verdict::Refused,
            _ => self.plan.denied(),
        };
        match verdict {
            Verdict::Go => Ok(()),
            Verdict::Wait => {
                tracing::debug!(%error, "an upload broke");
                self.refusal = Some(error);
                self.wait(None).await
            }
            _ => Err(error),
        }
    }

    /// Waits before the next request, at least as long as `asked`; without a budget for that, it is the end.
    async fn wait(&mut self, asked: Option<Duration>) -> Result<(), Error> {
        let policy = self.repository.client().policy();
        let asked = asked.unwrap_or_default();
        match self.budget.retry(policy).filter(|_| asked <= policy.retry_after_max) {
            Some(pause) => {
                sleep(pause.max(asked)).await;
                Ok(())
            }
            None => Err(self.refusal.take().expect("there is no wait without a failure")),
        }
    }

    fn give_up(&mut self, line: RequestLine) -> Error {
        let unsaid = || Error::protocol(line, "the upload session goes round in circles");
        self.refusal.take().unwrap_or_else(unsaid)
    }

    fn orphan(&self) -> Option<Orphan> {
        let session = self.plan.session()?.clone();
        Some(Orphan { registry: self.repository.registry().clone(), scopes: self.repository.scopes(), session })
    }
}

impl Drop for Upload<'_> {
    /// Remembers the session of an upload that is dropped on its way; see [`Client::tidy`](super::Client::tidy).
    fn drop(&mut self) {
        if let Some(orphan) = self.orphan() {
            self.repository.client().leave(orphan);
        }
    }
}

/// An upload session that nobody will go on with.
#[derive(Clone, Debug)]
pub(super) struct Orphan {
    registry: Registry,
    scopes: Scopes,
    session: Uri,
}

impl Orphan {
    /// Ends the session, so that the registry need not keep it; whether that works does not matter, and it does not
    /// take long: one `DELETE`, tried [`CANCELLING`] times where the network or the registry hiccups.
    pub(super) async fn cancel(&self, client: &super::Client) {
        let mut request = Request::new(Payload::Empty);
        (*request.method_mut(), *request.uri_mut()) = (Method::DELETE, self.session.clone());
        let policy = client.policy();
        let mut budget = Budget::new(&Policy { attempts: policy.attempts.min(CANCELLING), ..policy.clone() });
        let sent = client.send_to(&self.registry, request, &self.scopes, &mut budget);
        match timeout(policy.connect, sent).await {
            Ok(Ok(response)) if is_gone(response.status()) => {}
            Ok(outcome) => {
                let outcome = outcome.map(|response| response.status());
                tracing::debug!(registry = %self.registry, ?outcome, "an upload session was left behind");
            }
            Err(_) => tracing::debug!(registry = %self.registry, "an upload session was left behind: no time left"),
        }
    }
}

fn is_gone(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_FOUND
}

const OCTET_STREAM: &str = "application/octet-stream";
/// How often a session's end is asked for: what has just failed fails again soon, and nobody wants to wait for it.
const CANCELLING: u32 = 3;
/// How many bytes are progress: a peer that takes a byte at a time does not get a new budget for each.
const PROGRESS: u64 = 1 << 20;
