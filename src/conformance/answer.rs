//! Answers, and how they are written down: what grants access is left out.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Response, StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::record::{Exchange, Header, Sample};
use crate::content::Body;
use crate::error::{Error, UnreachableKind};
use crate::model::SafeUri;
use crate::transport::{FinalUri, headers, resolve};

/// What a registry said, or that it said nothing. Never an error: that is for the judge to say.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status; none if there was no answer.
    pub status: Option<StatusCode>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it was read.
    pub body: Bytes,
    /// How the body ended.
    pub end: End,
    /// The same for the record.
    pub exchange: Exchange,
    /// Where the answer came from in the end.
    pub(super) uri: Uri,
    /// Whether there was nobody to send the request to.
    pub(super) unsent: bool,
}

/// How the body of an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// As it should.
    #[default]
    Whole,
    /// We stopped reading: it is longer than we take.
    Cut,
    /// The connection broke, or carried something else than was announced.
    Broken(String),
}

impl Answer {
    /// Says whether the status is this one.
    pub fn is(&self, status: StatusCode) -> bool {
        self.status == Some(status)
    }

    /// Returns a header as text; empty values are none.
    pub fn header(&self, name: &str) -> Option<&str> {
        let text = self.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// Returns `Location` as it is written.
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    /// Returns where `Location` leads, with the query as it is.
    ///
    /// # Errors
    ///
    /// A sentence: there is none, or it makes no sense.
    pub fn place(&self) -> Result<String, String> {
        let location = self.location().ok_or("the answer has no `Location`")?;
        resolve(&self.uri, location).map(|uri| uri.to_string()).map_err(|error| error.to_string())
    }

    /// Returns `Docker-Content-Digest`.
    pub fn digest(&self) -> Option<&str> {
        self.header("docker-content-digest")
    }

    /// Returns `Range`, as upload sessions answer with: the first and the last offset.
    pub fn range(&self) -> Option<(u64, u64)> {
        headers::range(&self.headers)
    }

    /// Returns the media type without its parameters.
    pub fn media_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE.as_str()).map(|text| text.split(';').next().unwrap_or_default().trim())
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// A sentence: what is wrong with it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("the body is not the JSON expected: {error}"))
    }

    /// Says why there is no answer.
    pub fn failure(&self) -> Option<&str> {
        self.exchange.failure.as_deref()
    }

    /// Makes an answer to a `GET`, for tests of what judges answers.
    #[cfg(test)]
    pub(super) fn example(status: u16, headers: &[(&'static str, &str)], body: &str) -> Self {
        let exchange = Exchange { method: "GET".to_owned(), status: Some(status), ..Exchange::default() };
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
        };
        let headers = headers.iter().map(header).collect();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Self { status: StatusCode::from_u16(status).ok(), headers, body, exchange, ..Self::default() }
    }

    /// Makes the answer to what could not be asked.
    pub(super) fn none(why: String, exchange: Exchange) -> Self {
        Self { exchange: Exchange { failure: Some(why), ..exchange }, unsent: true, ..Self::default() }
    }

    pub(super) fn failed(error: &Error, asked: &Uri, mut exchange: Exchange) -> Self {
        exchange.failure = Some(causes(error));
        let status = match error {
            Error::Unauthorized(_) => Some(StatusCode::UNAUTHORIZED),
            _ => None,
        };
        exchange.status = status.map(|status| status.as_u16());
        let unsent = match error {
            Error::Unreachable(lost) => !matches!(lost.kind, UnreachableKind::Broken | UnreachableKind::TimedOut),
            _ => false,
        };
        Self { status, exchange, uri: asked.clone(), unsent, ..Self::default() }
    }

    pub(super) async fn read(response: Response<Body>, asked: &Uri, limit: usize, mut exchange: Exchange) -> Self {
        let uri = response.extensions().get().map_or(asked, |FinalUri(uri)| uri).clone();
        let (head, mut body) = response.into_parts();
        let announced = body.remaining();
        let (mut bytes, mut end) = (BytesMut::new(), End::Whole);
        while let Some(chunk) = body.chunk().await {
            match chunk {
                Ok(chunk) => {
                    let room = limit - bytes.len();
                    bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        end = End::Cut;
                        break;
                    }
                }
                Err(error) => {
                    end = End::Broken(causes(&error));
                    break;
                }
            }
        }
        let body = bytes.freeze();
        exchange.status = Some(head.status.as_u16());
        exchange.headers = head.headers.iter().map(|(name, value)| Header::of(name, value)).collect();
        exchange.body = Sample::of(&body);
        match &end {
            End::Whole => {}
            End::Cut => exchange.body.length = announced.unwrap_or(exchange.body.length),
            End::Broken(why) => exchange.failure = Some(why.clone()),
        }
        Self { status: Some(head.status), headers: head.headers, body, end, exchange, uri, unsent: false }
    }

    pub(super) fn after(mut self, elapsed: Duration) -> Self {
        self.exchange.elapsed = elapsed;
        self
    }
}

impl Header {
    /// Makes a header printable: what grants access is stars.
    pub(super) fn of(name: &HeaderName, value: &HeaderValue) -> Self {
        let value = match name.as_str() {
            "authorization" | "cookie" | "set-cookie" | "proxy-authorization" => STARS.to_owned(),
            _ if name == LOCATION => printable(&String::from_utf8_lossy(value.as_bytes())),
            _ => value.to_str().map_or_else(|_| value.as_bytes().escape_ascii().to_string(), str::to_owned),
        };
        Self { name: name.to_string(), value }
    }
}

impl Sample {
    /// Takes the beginning of a body.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let front = &bytes[..bytes.len().min(SAMPLE)];
        // A character that the cut divides is left out.
        let text = match std::str::from_utf8(front) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() && bytes.len() > SAMPLE => {
                std::str::from_utf8(&front[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let is_text = |text: &&str| !text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace());
        let text = text.filter(is_text).map(str::to_owned);
        Self { length: bytes.len() as u64, text }
    }
}

/// Writes a URI without the values that grant access.
pub(super) fn printable(uri: &str) -> String {
    match uri.parse::<Uri>() {
        Ok(uri) => SafeUri::new(uri).to_string().replace('…', STARS),
        Err(_) => uri.split_once('?').map_or_else(|| uri.to_owned(), |(path, _)| format!("{path}?{STARS}")),
    }
}

/// Writes an error with its causes, which say what went wrong.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What is written for a secret, as the official suite does.
const STARS: &str = "***";

/// Bytes of a body that are kept for people.
const SAMPLE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_text_or_nothing() {
        let long = "ä".repeat(4096);
        for (bytes, kept) in [
            (&b"{\n}"[..], Some(3)),
            (b"", Some(0)),
            (b"\x1f\x8b", None),
            (b"a\x00b", None),
            (long.as_bytes(), Some(SAMPLE)),
        ] {
            let sample = Sample::of(bytes);
            assert_eq!((sample.length, sample.text.map(|text| text.len())), (bytes.len() as u64, kept));
        }
    }

    #[test]
    fn what_grants_access_is_not_recorded() {
        for (name, value, printed) in [
            ("authorization", "Basic c2VjcmV0", "***"),
            ("location", "/v2/a/blobs/uploads/1?_state=abc&digest=x", "/v2/a/blobs/uploads/1?_state=***&digest=x"),
            ("location", "not a uri?_state=abc", "not a uri?***"),
            ("range", "0-0", "0-0"),
        ] {
            let header = Header::of(&HeaderName::from_static(name), &HeaderValue::from_static(value));
            assert_eq!(header.value, printed, "{name}");
        }
        assert_eq!(printable("http://ada:pw@r/x?sig=1"), "http://r/x?sig=***");
    }
}
