//! Answers: how a refusal becomes a response with the spec's error body.

use std::fmt;
use std::io;

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};

use crate::content::Body;
use crate::error::{Error, Mismatch, Place};
use crate::model::{ErrorBody, ErrorCode, ErrorEntry};

/// The header that says which digest the content has.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A request that is not granted: a status, the error entry of the body, and headers that help.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) entry: ErrorEntry,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// Refuses with `status`, `code` and a sentence for people.
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, entry: ErrorEntry::new(code, message), headers: Vec::new() }
    }

    /// Refuses as malformed.
    pub(super) fn bad(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Refuses for want of the thing.
    pub(super) fn missing(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Refuses a method and names those that would do.
    pub(super) fn method(allowed: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, format!("this takes {allowed}"))
            .with(ALLOW, HeaderValue::from_static(allowed))
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Writes the refusal down.
    pub(super) fn into_response(self) -> Response<Body> {
        let body = ErrorBody { errors: vec![self.entry] };
        let mut response = json(self.status, &body);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// What went wrong inside: the client learns what concerns it, the log the rest.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match &error {
            Error::Mismatch(mismatch) => {
                // Our paths are nobody's business: it is told without its place.
                let (expected, actual) = (mismatch.expected.clone(), mismatch.actual);
                let told = Mismatch { expected, actual, place: Place::Unknown };
                Self::bad(ErrorCode::DigestInvalid, told.to_string())
            }
            Error::Unreachable(_) => Self::bad(ErrorCode::BlobUploadInvalid, "the request's body broke off"),
            Error::Io(failure) if failure.source.kind() == io::ErrorKind::StorageFull => {
                tracing::error!(error = &error as &dyn std::error::Error, "the disk is full");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    ErrorCode::Other(UNKNOWN.to_owned()),
                    "the registry's disk is full",
                )
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    ErrorCode::Other(UNKNOWN.to_owned()),
                    "the registry's storage failed",
                )
            }
        }
    }
}

/// Answers with `status`, no content and these headers.
pub(super) fn empty(
    status: StatusCode,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response.headers_mut().extend(headers);
    response
}

/// Answers with `status` and `value` as `application/json`.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(value).expect("plain data has a JSON form");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from_bytes(bytes);
    response
}

/// Makes a header value of something whose text is visible ASCII: digests, names, tags, numbers.
pub(super) fn value(text: impl fmt::Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).expect("digests, names, tags and numbers are visible ASCII")
}

/// The spec has no code for "our fault"; this is what other registries say.
const UNKNOWN: &str = "UNKNOWN";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refusals_are_the_specs_error_bodies() {
        let mut response = Refusal::method("GET, HEAD").into_response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let bytes = response.body_mut().chunk().await.expect("a body").expect("memory does not fail");
        assert_eq!(response.headers()[CONTENT_LENGTH], bytes.len().to_string());
        let body = ErrorBody::parse(&bytes);
        assert_eq!(body.errors, [ErrorEntry::new(ErrorCode::Unsupported, "this takes GET, HEAD")]);
    }

    #[test]
    fn storage_failures_do_not_tell_paths() {
        for (kind, status) in [
            (io::ErrorKind::StorageFull, StatusCode::INSUFFICIENT_STORAGE),
            (io::ErrorKind::PermissionDenied, StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let refusal = Refusal::from(Error::io("write", "/srv/secret", kind.into()));
            assert_eq!(refusal.status, status);
            assert!(!refusal.entry.message.contains("secret"));
        }
    }
}
