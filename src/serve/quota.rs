//! How much may be uploaded: a bound on each blob, and one on the sessions that are open at a time.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::registry::drain;
use super::respond::Refusal;
use super::route::{Route, route};
use super::server::Handler;
use super::upload_id::UploadId;
use crate::content::Body;
use crate::error::{Error, RequestLine, Unreachable, UnreachableKind};
use crate::model::ErrorCode;

/// How much may be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quotas {
    /// How long a blob may be, in bytes; a longer one is answered by 413 and its session cancelled. No bound by default:
    /// the disk is one.
    pub blob: Option<u64>,
    /// How many upload sessions may be open at once; the next one is answered by 429. One that was not used for an hour
    /// does not count any more. 1 024.
    pub sessions: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { blob: None, sessions: 1024 }
    }
}

/// An upload session that was open before a [`Quota`] was there to see it.
#[derive(Clone, Debug)]
pub struct OpenUpload {
    pub(super) id: UploadId,
    /// How many bytes it has.
    pub(super) size: u64,
    /// How long nobody has written to it.
    pub(super) idle: Duration,
}

/// Holds uploads to a registry to their [`Quotas`].
pub struct Quota<H> {
    handler: H,
    quotas: Quotas,
    open: Mutex<HashMap<UploadId, Session>>,
}

/// What is known about an upload session.
#[derive(Clone, Copy, Debug)]
struct Session {
    /// How many bytes it has.
    size: u64,
    used: Instant,
}

impl<H: Handler> Quota<H> {
    /// Stands before `handler`.
    pub fn new(handler: H, quotas: Quotas) -> Self {
        Self { handler, quotas, open: Mutex::default() }
    }

    /// Counts the sessions that an earlier process has left open: see [`Registry::open_uploads`].
    ///
    /// [`Registry::open_uploads`]: super::Registry::open_uploads
    #[must_use]
    pub fn with_open(self, uploads: impl IntoIterator<Item = OpenUpload>) -> Self {
        let now = Instant::now();
        for OpenUpload { id, size, idle } in uploads {
            // A clock that began later than the session was left has forgotten it.
            if let (Some(used), true) = (now.checked_sub(idle), idle < FORGOTTEN) {
                self.open().insert(id, Session { size, used });
            }
        }
        self
    }

    async fn answer(&self, mut request: Request<Body>) -> Response<Body> {
        match route(request.method(), request.uri()) {
            Ok(Route::StartUpload { .. } | Route::Mount { .. }) => {
                if let Err(refusal) = self.has_room() {
                    return refuse(refusal, request.body_mut()).await;
                }
                let response = self.handler.handle(request).await;
                if let (StatusCode::ACCEPTED, Some(id)) = (response.status(), session(&response)) {
                    self.note(id, 0);
                }
                response
            }
            Ok(Route::PushBlob { .. }) => self.bounded(request, 0).await.0,
            Ok(Route::Append { id, .. } | Route::Finish { id, .. }) => self.proceed(request, id).await,
            Ok(Route::Cancel { id, .. }) => {
                let response = self.handler.handle(request).await;
                if response.status().is_success() {
                    self.open().remove(&id);
                }
                response
            }
            _ => self.handler.handle(request).await,
        }
    }

    /// Takes more bytes of a session, as long as they are not too many.
    async fn proceed(&self, request: Request<Body>, id: UploadId) -> Response<Body> {
        let (method, uri, extensions) = (request.method().clone(), request.uri().clone(), request.extensions().clone());
        let at = |method: Method| {
            let mut request = Request::new(Body::empty());
            (*request.method_mut(), *request.uri_mut()) = (method, path_of(&uri));
            *request.extensions_mut() = extensions.clone();
            request
        };
        let known = self.open().get(&id).map(|session| session.size);
        let size = match (known, self.quotas.blob) {
            // It is older than this process; only where that matters.
            (None, Some(_)) => {
                let status = self.handler.handle(at(Method::GET)).await;
                reached(&status)
            }
            (known, _) => known.unwrap_or_default(),
        };
        let (response, overflow) = self.bounded(request, size).await;
        match (method, response.status()) {
            _ if overflow == Overflow::Yes => {
                // Nothing that is sent to it could end it.
                self.handler.handle(at(Method::DELETE)).await;
                self.open().remove(&id);
            }
            (Method::PATCH, StatusCode::ACCEPTED) => self.note(id, reached(&response)),
            // It is over, or was none.
            (_, StatusCode::CREATED | StatusCode::NOT_FOUND) => drop(self.open().remove(&id)),
            // What failed may have left some bytes, or ended the session.
            _ => {
                let status = self.handler.handle(at(Method::GET)).await;
                match status.status() {
                    StatusCode::NOT_FOUND => drop(self.open().remove(&id)),
                    _ => self.note(id, reached(&status)),
                }
            }
        }
        response
    }

    /// Hands a request on whose body goes to a blob that has `size` bytes already.
    async fn bounded(&self, mut request: Request<Body>, size: u64) -> (Response<Body>, Overflow) {
        let Some(limit) = self.quotas.blob else { return (self.handler.handle(request).await, Overflow::No) };
        let too_long = || {
            let said = format!("a blob has at most {limit} bytes here");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, said)
        };
        let left = limit.saturating_sub(size);
        if request.body().remaining().is_some_and(|length| length > left) {
            return (refuse(too_long(), request.body_mut()).await, Overflow::Yes);
        }
        let overflown = Arc::new(AtomicBool::new(false));
        let line = RequestLine::new(request.method(), request.uri());
        let request = request.map(|body| {
            let body = Bounded { body, left, overflown: overflown.clone(), line };
            Body::wrap(body, |error| error)
        });
        let response = self.handler.handle(request).await;
        match overflown.load(Ordering::Relaxed) {
            true => (too_long().into_response(), Overflow::Yes),
            false => (response, Overflow::No),
        }
    }

    fn has_room(&self) -> Result<(), Refusal> {
        let mut open = self.open();
        if open.len() >= self.quotas.sessions {
            let now = Instant::now();
            open.retain(|_, session| now.duration_since(session.used) < FORGOTTEN);
        }
        if open.len() < self.quotas.sessions {
            return Ok(());
        }
        let said = format!("{} upload sessions are open: end some, or wait", self.quotas.sessions);
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, said);
        Err(refusal.with(RETRY_AFTER, HeaderValue::from_static(RETRY)))
    }

    fn note(&self, id: UploadId, size: u64) {
        self.open().insert(id, Session { size, used: Instant::now() });
    }

    fn open(&self) -> MutexGuard<'_, HashMap<UploadId, Session>> {
        // Whoever panicked has not left the map half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Handler> Handler for Quota<H> {
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        self.answer(request)
    }
}

impl<H> fmt::Debug for Quota<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Yes,
    No,
}

/// A body that fails where it exceeds what is left.
struct Bounded {
    body: Body,
    left: u64,
    overflown: Arc<AtomicBool>,
    line: RequestLine,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = &polled else { return polled };
        match self.left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
            Some(left) => {
                self.left = left;
                polled
            }
            None => {
                self.overflown.store(true, Ordering::Relaxed);
                let (request, kind, elapsed) = (self.line.clone(), UnreachableKind::Broken, Duration::ZERO);
                let broken = Unreachable { request, kind, attempts: 1, elapsed, cause: None };
                Poll::Ready(Some(Err(Error::Unreachable(Box::new(broken)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn refuse(refusal: Refusal, body: &mut Body) -> Response<Body> {
    drain(body).await;
    refusal.into_response()
}

/// Returns the session that an answer to the opening of one names.
fn session(response: &Response<Body>) -> Option<UploadId> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    UploadId::from_str(location.rsplit('/').next()?.split('?').next()?).ok()
}

/// Returns how many bytes a session has, by its `Range`: `0-9` are ten, and `0-0` is taken for none, or one at most.
fn reached(response: &Response<Body>) -> u64 {
    let range = response.headers().get(RANGE).and_then(|range| range.to_str().ok());
    let last: u64 = range.and_then(|range| range.strip_prefix("0-")?.parse().ok()).unwrap_or_default();
    if last == 0 { 0 } else { last + 1 }
}

/// Leaves the query away, which is the closing request's alone.
fn path_of(uri: &Uri) -> Uri {
    uri.path().parse().expect("the path of a URI is one")
}

/// After which time a session that nobody uses does not count any more.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);

/// When to ask again, in seconds: a client's upload of an ordinary layer is over by then.
const RETRY: &str = "10";
