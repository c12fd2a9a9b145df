//! What faults keep in mind, and how they ask the handler behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::Notify;

use crate::content::Body;
use crate::model::{Digest, ErrorCode, Name};
use crate::serve::respond::Refusal;
use crate::serve::route::{Route, route};
use crate::serve::server::Handler;

/// What one fault has seen.
#[derive(Debug, Default)]
pub(super) struct State {
    seen: Mutex<Seen>,
    /// Told when a referrer arrives.
    pub(super) arrived: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Manifests that are said to be gone, or are not to be listed.
    pub(super) hidden: BTreeSet<(Name, Digest)>,
    /// Descriptors of referrers that are gone, by their subjects.
    pub(super) ghosts: BTreeMap<(Name, Digest), Vec<Value>>,
    /// Referrers on their way, by their subjects: how many have come since the first of them.
    pub(super) crowd: BTreeMap<(Name, Digest), usize>,
    /// Open upload sessions, and what other sessions have finished since.
    pub(super) sessions: BTreeMap<String, BTreeSet<(Name, Digest)>>,
    /// Every repository that was asked for.
    pub(super) names: BTreeSet<Name>,
}

impl State {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what a request asks for.
pub(super) fn asks(parts: &Parts) -> Option<Route> {
    route(&parts.method, &parts.uri).ok()
}

/// Asks the handler behind for something small.
pub(super) async fn ask<H: Handler>(inner: &H, method: Method, target: &str) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().unwrap_or_default();
    let (head, mut body) = inner.handle(request).await.into_parts();
    let bytes = whole(&mut body).await;
    (head.status, head.headers, bytes)
}

/// Asks the handler behind for a JSON document.
pub(super) async fn json<H: Handler>(inner: &H, target: &str) -> Option<Value> {
    let (status, _, bytes) = ask(inner, Method::GET, target).await;
    status.is_success().then(|| serde_json::from_slice(&bytes).ok())?
}

/// Reads a body, as far as faults go to read one.
pub(super) async fn whole(body: &mut Body) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Some(Ok(chunk)) = body.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST {
            break;
        }
    }
    bytes.freeze()
}

/// Reads a request's body, and puts it back.
pub(super) async fn peek(body: &mut Body) -> Bytes {
    let bytes = whole(body).await;
    *body = Body::from_bytes(bytes.clone());
    bytes
}

/// Gives a request another body.
pub(super) fn put_back(parts: &mut Parts, body: &mut Body, bytes: Bytes) {
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    *body = Body::from_bytes(bytes);
}

/// Asks for something else.
pub(super) fn redirect_to(parts: &mut Parts, target: &str) {
    if let Ok(uri) = target.parse::<Uri>() {
        parts.uri = uri;
    }
}

/// Changes the JSON of an answer; what is none stays as it is.
pub(super) async fn edit(response: Response<Body>, change: impl FnOnce(&mut Value)) -> Response<Body> {
    let (mut head, mut body) = response.into_parts();
    let bytes = whole(&mut body).await;
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(head, Body::from_bytes(bytes));
    };
    change(&mut value);
    let bytes = value.to_string();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(head, Body::from_bytes(bytes))
}

/// Refuses, as the registry does.
pub(super) fn refuse(status: StatusCode, code: ErrorCode, message: &str) -> Response<Body> {
    Refusal::new(status, code, message).into_response()
}

/// Says yes to what asks for no content.
pub(super) fn yes(status: StatusCode) -> Response<Body> {
    crate::serve::respond::empty(status, [])
}

/// Says whether an answer brings JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().windows(4).any(|part| part == b"json"))
}

/// Bytes that a fault reads at once: more than any manifest has.
const MOST: usize = 64 << 20;
