//! Faults of answers: their status, their headers, their bodies, and the line that they take.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WARNING};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use super::fault::Fault;
use super::kind::{Form, Kind};
use super::state::{asks, edit, is_json, whole};
use crate::content::Body;
use crate::error::Error;
use crate::serve::route::Route;
use crate::serve::rupture::Rupture;

/// Changes an answer.
pub(super) async fn after(fault: &Fault, asked: &Parts, response: Response<Body>) -> Response<Body> {
    match &fault.kind {
        Kind::Cut(n) => broken(response, *n, None),
        Kind::Close if fault.place.when.is_some() => broken(Response::new(Body::empty()), 0, None),
        Kind::Reset(None) if fault.place.when.is_some() => {
            broken(Response::new(Body::empty()), 0, asked.extensions.get().cloned())
        }
        Kind::Reset(Some(n)) => broken(response, *n, asked.extensions.get().cloned()),
        Kind::Stall(None) if fault.place.when.is_some() => silent().await,
        Kind::Stall(Some(n)) => stalled(response, *n),
        Kind::Corrupt(n) => corrupt(response, *n),
        Kind::Length(more) => claiming(asked, response, *more),
        Kind::Status { code, retry_after } => {
            let mut response = response;
            // Without `when` the registry was never asked, and this is our own answer.
            *response.status_mut() = *code;
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            response
        }
        Kind::Header { name, value } => {
            let mut response = response;
            response.headers_mut().remove(name);
            if let Some(value) = value {
                response.headers_mut().insert(name, value.clone());
            }
            response
        }
        Kind::Json { member, value } => {
            edit(response, |body| match (body.as_object_mut(), value) {
                (Some(object), Some(value)) => drop(object.insert(member.clone(), value.clone())),
                (Some(object), None) => drop(object.remove(member)),
                (None, _) => {}
            })
            .await
        }
        Kind::Errors(form) => written(response, *form).await,
        Kind::Redirect(user) => redirected(asked, response, user.as_deref()),
        Kind::Warning(length) => {
            let mut response = response;
            let text = format!("299 - \"{}\"", "w".repeat(*length));
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().append(WARNING, value);
            }
            response
        }
        _ => response,
    }
}

/// Breaks an answer off after `n` bytes of its body; with none of them, before its head is sent. With a `rupture` the
/// connection is reset, and otherwise closed.
pub(super) fn broken(response: Response<Body>, n: u64, rupture: Option<Rupture>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let chunks = stream::unfold((body.take(n), n, Some(rupture)), async |(mut body, n, mut rupture)| {
        if let Some(chunk) = body.chunk().await {
            return Some((chunk, (body, n, rupture)));
        }
        let rupture = rupture.take()?;
        if n > 0 {
            // What was written before, the head as well, is sent while this waits.
            tokio::task::yield_now().await;
        }
        if let Some(rupture) = rupture {
            rupture.tear();
        }
        Some((Err(lost()), (body, n, None)))
    });
    // The length is what the head says; a body of unknown length is not held against it.
    Response::from_parts(head, Body::from_stream(chunks, None))
}

fn lost() -> Error {
    Error::io("send", "the rest of an answer", std::io::ErrorKind::ConnectionReset.into())
}

/// Never answers.
pub(super) async fn silent() -> Response<Body> {
    std::future::pending().await
}

fn stalled(response: Response<Body>, n: u64) -> Response<Body> {
    let (head, body) = response.into_parts();
    let chunks = stream::unfold(body.take(n), async |mut body| match body.chunk().await {
        Some(chunk) => Some((chunk, body)),
        None => std::future::pending().await,
    });
    Response::from_parts(head, Body::from_stream(chunks, None))
}

/// Flips a bit of byte `n` of the body, if there is such a byte.
fn corrupt(response: Response<Body>, n: u64) -> Response<Body> {
    response.map(|body| {
        let length = body.remaining();
        // Bytes to go until the one that is meant.
        let chunks = stream::unfold((body, Some(n)), async |(mut body, left)| {
            let chunk = body.chunk().await?;
            let length = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
            let chunk = chunk.map(|chunk| match left {
                // Below the chunk's length, which is a usize.
                Some(at) if at < length => flipped(&chunk, at as usize),
                _ => chunk,
            });
            Some((chunk, (body, left.and_then(|left| left.checked_sub(length)))))
        });
        Body::from_stream(chunks, length)
    })
}

fn flipped(chunk: &Bytes, at: usize) -> Bytes {
    let mut bytes = BytesMut::from(&chunk[..]);
    bytes[at] ^= 1;
    bytes.freeze()
}

/// Claims another length than the body has.
fn claiming(asked: &Parts, response: Response<Body>, more: i64) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = announced.or(body.remaining()) else { return Response::from_parts(head, body) };
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length.saturating_add_signed(more)));
    if asked.method == Method::HEAD {
        return Response::from_parts(head, body);
    }
    if more > 0 {
        return broken(Response::from_parts(head, body), u64::MAX, None);
    }
    // A body of unknown length is sent as long as the header says.
    let chunks = stream::unfold(body, async |mut body| body.chunk().await.map(|chunk| (chunk, body)));
    Response::from_parts(head, Body::from_stream(chunks, None))
}

/// Writes a refusal in another way.
async fn written(response: Response<Body>, form: Form) -> Response<Body> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || !is_json(response.headers()) {
        return response;
    }
    let (media_type, text) = match form {
        Form::Html => ("text/html", "<html><body><h1>It did not work</h1></body></html>".to_owned()),
        Form::Malformed => ("application/json", json!({ "error": "it did not work" }).to_string()),
        Form::Nothing => ("text/plain", String::new()),
        Form::Plain => {
            let (mut head, body) = response.into_parts();
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            return Response::from_parts(head, body);
        }
        Form::LowerCase | Form::Vague => {
            let changed = edit(response, |body| {
                for error in body["errors"].as_array_mut().into_iter().flatten() {
                    error["code"] = match form {
                        Form::Vague => "UNKNOWN".into(),
                        _ => error["code"].as_str().unwrap_or_default().to_lowercase().into(),
                    };
                }
            });
            return changed.await;
        }
    };
    let (mut head, mut body) = response.into_parts();
    whole(&mut body).await;
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response::from_parts(head, Body::from_bytes(text))
}

/// Sends whoever asks for a blob to another URL of the same registry.
fn redirected(asked: &Parts, response: Response<Body>, user: Option<&str>) -> Response<Body> {
    let there = asked.uri.query().is_some_and(|query| query.contains(REDIRECTED));
    let is_blob = matches!(asks(asked), Some(Route::Blob { .. }));
    if there || !is_blob || !response.status().is_success() {
        return response;
    }
    let host = asked.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let start = user.map(|user| format!("http://{user}@{host}")).unwrap_or_default();
    let target = format!("{start}{}?{REDIRECTED}", asked.uri.path());
    let mut away = crate::serve::respond::empty(StatusCode::TEMPORARY_REDIRECT, []);
    if let Ok(target) = HeaderValue::try_from(target) {
        away.headers_mut().insert(LOCATION, target);
    }
    away
}

/// What shows that somebody was sent here.
const REDIRECTED: &str = "redirected=1";
