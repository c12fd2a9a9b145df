//! From answers to outcomes: expected statuses, and everything else as errors.

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName};
use http::{Response, StatusCode};

use crate::content::Body;
use crate::error::{Error, Missing, Place, Refused, RequestLine, Violation};
use crate::model::{Digest, ErrorBody, ErrorEntry};
use crate::transport::Attempts;

/// The digest of the content that an answer is about (distribution-spec 1.1, "Legacy Docker support HTTP headers").
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Turns an answer that was not hoped for into the error that it is: 404 means that `what` is missing.
///
/// Reads at most 64 KiB of the body.
pub(super) async fn refused(response: Response<Body>, request: RequestLine, what: impl FnOnce() -> String) -> Error {
    let status = response.status();
    let attempts = response.extensions().get().map_or(1, |Attempts(n)| *n);
    let errors = errors(response.into_body()).await;
    if status == StatusCode::NOT_FOUND {
        return Error::NotFound(Box::new(Missing { what: what(), place: Place::Request(request), errors }));
    }
    Error::Refused(Box::new(Refused { request, status, errors, attempts }))
}

/// Reads the entries of an error body; a body that is none has none.
pub(super) async fn errors(body: Body) -> Vec<ErrorEntry> {
    let bytes = read(body, MAX_ERROR_BODY).await.ok().flatten();
    bytes.map(|bytes| ErrorBody::parse(&bytes).errors).unwrap_or_default()
}

/// Reads a body of at most `limit` bytes; `None` where it is longer.
pub(super) async fn read(mut body: Body, limit: u64) -> Result<Option<Bytes>, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

/// Returns the digest that the answer names, if it names one that parses.
pub(super) fn content_digest(response: &Response<Body>) -> Option<Digest> {
    digest_named(response.headers(), &DOCKER_CONTENT_DIGEST)
}

/// Returns the digest that a header names, if it names one that parses.
pub(super) fn digest_named(headers: &HeaderMap, name: &HeaderName) -> Option<Digest> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Says that the answer breaks `rule`, with what a parser said about it.
pub(super) fn violation(
    request: RequestLine,
    rule: &'static str,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Protocol(Box::new(Violation { request, rule, cause: Some(Box::new(cause)) }))
}

/// How much of an error body is read: pages of HTML are longer, errors are not.
const MAX_ERROR_BODY: u64 = 64 << 10;
