//! From answers to outcomes: expected statuses, and everything else as errors.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::content::Body;
use crate::error::{Details, Error, Missing, Place, Refused, RequestLine, Violation};
use crate::model::{Digest, ErrorBody, excerpt};
use crate::transport::{Attempts, headers};

/// The digest of the content that an answer is about (distribution-spec 1.1, "Legacy Docker support HTTP headers").
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Turns an answer that was not hoped for into the error that it is: 404 means that `what` is missing.
///
/// Reads at most 64 KiB of the body.
pub(super) async fn refused(response: Response<Body>, request: RequestLine, what: impl FnOnce() -> String) -> Error {
    let status = response.status();
    let attempts = response.extensions().get().map_or(1, |Attempts(n)| *n);
    let html = is_html(response.headers().get(CONTENT_TYPE));
    let mut details = Details {
        request_id: headers::request_id(response.headers()),
        page: None,
        allowance: headers::allowance(response.headers()),
    };
    let body = read_some(response.into_body(), MAX_ERROR_BODY).await;
    let errors = ErrorBody::parse(&body).errors;
    if errors.is_empty() && (html || looks_like_html(&body)) {
        details.page = title(&body);
    }
    if status == StatusCode::NOT_FOUND {
        return Error::NotFound(Box::new(Missing { what: what(), place: Place::Request(request), errors, details }));
    }
    Error::Refused(Box::new(Refused { request, status, errors, attempts, details }))
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

/// Says that a successful answer is a page for people, which breaks `rule`: a login page, or that of a proxy.
///
/// Reads at most 64 KiB of the body, for the page's title.
pub(super) async fn page(response: Response<Body>, request: RequestLine, rule: &'static str) -> Error {
    let status = response.status();
    let bytes = read_some(response.into_body(), MAX_ERROR_BODY).await;
    violation(request, rule, Page { status, title: title(&bytes) })
}

/// What is known of a page.
#[derive(Debug, thiserror::Error)]
#[error("it came with the status {status}{}", titled(title.as_deref()))]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) title: Option<String>,
}

fn titled(title: Option<&str>) -> String {
    title.map(|title| format!(" and the title `{title}`")).unwrap_or_default()
}

/// Says whether a `Content-Type` is that of a page.
pub(super) fn is_html(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

/// Says whether bytes begin as a page does.
pub(super) fn looks_like_html(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    ["<!doctype", "<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|got| got.eq_ignore_ascii_case(tag.as_bytes())))
}

/// Returns the title of a page, bounded and without control characters.
pub(super) fn title(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TITLE_AT)]).into_owned();
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let words = text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    (!words.is_empty()).then(|| excerpt(&words))
}

/// Returns the digest that the answer names, if it names one that parses.
pub(super) fn content_digest(response: &Response<Body>) -> Option<Digest> {
    digest_named(response.headers(), &DOCKER_CONTENT_DIGEST)
}

/// Returns the digest that a header names, if it names one that parses.
pub(super) fn digest_named(headers: &HeaderMap, name: &HeaderName) -> Option<Digest> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Reads the front of a body, as far as it comes.
async fn read_some(mut body: Body, limit: u64) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Some(Ok(chunk)) = body.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 >= limit {
            break;
        }
    }
    bytes.freeze()
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

/// How far into a page its title is looked for, in bytes.
const MAX_TITLE_AT: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_by_their_type_or_their_beginning() {
        for (value, expected) in [
            ("text/html", true),
            ("Text/HTML; charset=utf-8", true),
            ("application/xhtml+xml", true),
            ("application/json", false),
            ("text/htmlish", false),
            ("", false),
        ] {
            assert_eq!(is_html(Some(&HeaderValue::from_static(value))), expected, "{value}");
        }
        for (text, expected) in [
            ("<!DOCTYPE html><html>", true),
            ("\n  <html lang=en>", true),
            ("<?xml version=\"1.0\"?>", false),
            (r#"{"schemaVersion":2}"#, false),
            ("<", false),
            ("", false),
        ] {
            assert_eq!(looks_like_html(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn titles_of_pages_are_told() {
        for (text, expected) in [
            ("<html><head><title>Sign in</title>", Some("Sign in")),
            ("<TITLE lang=en>\n 502 Bad\tGateway </TITLE>", Some("502 Bad Gateway")),
            ("<title></title>", None),
            ("<title>open", None),
            ("<title", None),
            ("\u{130}<title>i</title>", Some("i")),
            ("plain", None),
        ] {
            assert_eq!(title(text.as_bytes()).as_deref(), expected, "{text}");
        }
        let long = format!("<title>{}</title>", "x".repeat(10_000));
        assert!(title(long.as_bytes()).is_some_and(|title| title.len() < 1_000));
    }
}
