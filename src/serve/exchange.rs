//! What is told about each request: who sent it, what became of it, what it was called.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use crate::content::Body;
use crate::error::Error;
use crate::model::SafeUri;

/// How a request has come: one is among the extensions of each request that a [`Server`](super::Server) hands on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Arrival {
    /// Who asked.
    pub peer: SocketAddr,
    /// Whether over TLS.
    pub protection: Protection,
}

/// Whether others on the way can read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// They can.
    Plain,
    /// They cannot.
    Tls,
}

/// Watches what is answered. Called synchronously: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an answer, before its body is sent.
    fn answered(&self, exchange: &Exchange);

    /// Takes note that an exchange is over: its answer was sent, or will never be. Comes once for each request.
    fn finished(&self, exchange: &Exchange, traffic: &Traffic) {
        let _ = (exchange, traffic);
    }
}

impl<F: Fn(&Exchange) + Send + Sync + 'static> Observer for F {
    fn answered(&self, exchange: &Exchange) {
        self(exchange);
    }
}

/// A request and its answer. Prints as `GET /v2/app/manifests/v1 200`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// Who asked.
    pub peer: SocketAddr,
    /// Whose password or token was shown, and was right.
    pub user: Option<Arc<str>>,
    /// The method.
    pub method: Method,
    /// Path and query; prints without secrets.
    pub uri: SafeUri,
    /// The answer's status; 499 where the peer went away before there was one.
    pub status: StatusCode,
    /// How long the answer took, up to its headers.
    pub elapsed: Duration,
    /// What the answer calls the request, in `X-Request-Id`.
    pub id: RequestId,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.uri, self.status.as_u16())
    }
}

/// What an exchange has moved.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes of the request's body that were read.
    pub received: u64,
    /// Bytes of the answer's body that were handed to the connection.
    pub sent: u64,
    /// How long all of it took.
    pub elapsed: Duration,
    /// Whether the answer was handed over whole.
    pub outcome: Outcome,
}

/// How an exchange has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was handed over whole.
    Whole,
    /// The connection, or the answer, broke off.
    Broken,
}

/// The name of a request, by which its lines in several logs are found. Visible ASCII, 64 bytes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a request id is visible ASCII")
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Gives requests their names: those that a proxy gave them, where these are harmless, else new ones.
#[derive(Debug)]
pub(super) struct Names {
    /// Tells the runs of one server apart.
    run: u32,
    next: AtomicU64,
}

impl Names {
    /// Begins to count.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the system has no randomness.
    pub(super) fn new() -> Result<Self, Error> {
        let mut bits = [0; 4];
        getrandom::fill(&mut bits)
            .map_err(|error| Error::io("draw randomness from", "the system", std::io::Error::other(error)))?;
        Ok(Self { run: u32::from_be_bytes(bits), next: AtomicU64::new(1) })
    }

    pub(super) fn name(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_harmless(given.as_bytes()) => RequestId(given.clone()),
            _ => {
                let text = format!("{:08x}-{:x}", self.run, self.next.fetch_add(1, Ordering::Relaxed));
                RequestId(HeaderValue::try_from(text).expect("digits are visible ASCII"))
            }
        }
    }
}

fn is_harmless(id: &[u8]) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
}

/// Tells the server whose request an answer is to; among its extensions.
#[derive(Clone, Debug)]
pub(super) struct Signed(pub(super) Arc<str>);

/// An exchange under way; dropping it tells the observer that it is over.
pub(super) struct Record {
    observer: Arc<dyn Observer>,
    exchange: Exchange,
    started: Instant,
    received: Arc<AtomicU64>,
    sent: u64,
    outcome: Outcome,
}

impl Record {
    pub(super) fn new(
        observer: Arc<dyn Observer>,
        peer: SocketAddr,
        method: Method,
        uri: SafeUri,
        id: RequestId,
    ) -> Self {
        let status = StatusCode::from_u16(499).expect("a number of three digits");
        let exchange = Exchange { peer, user: None, method, uri, status, elapsed: Duration::ZERO, id };
        let (received, outcome) = (Arc::default(), Outcome::Broken);
        Self { observer, exchange, started: Instant::now(), received, sent: 0, outcome }
    }

    /// Returns where the bytes of the request's body are counted.
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    /// Tells the observer of the answer, and watches its body.
    pub(super) fn answer(mut self, response: http::Response<Body>) -> http::Response<Body> {
        self.exchange.user = response.extensions().get::<Signed>().map(|signed| signed.0.clone());
        self.exchange.status = response.status();
        self.exchange.elapsed = self.started.elapsed();
        self.observer.answered(&self.exchange);
        if response.body().is_end_stream() {
            self.outcome = Outcome::Whole;
            return response;
        }
        response.map(|body| Body::wrap(Watched { body, record: self }, |error| error))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let traffic = Traffic {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent,
            elapsed: self.started.elapsed(),
            outcome: self.outcome,
        };
        self.observer.finished(&self.exchange, &traffic);
    }
}

/// The body of an answer, counted.
struct Watched {
    body: Body,
    record: Record,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.record.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        if matches!(polled, Poll::Ready(None)) {
            self.record.outcome = Outcome::Whole;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Nobody asks for the end of what has the length that it was announced with.
        if self.body.remaining() == Some(0) {
            self.record.outcome = Outcome::Whole;
        }
    }
}

/// The header that carries the name of a request.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a name that somebody else gave may be, in bytes: a UUID has 36, a trace id 32.
const MAX_ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_kept_where_no_log_can_be_hurt_by_them() {
        let names = Names::new().expect("randomness");
        let long = "x".repeat(65);
        for (given, kept) in [
            ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", true),
            ("a.b_c:1", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            (&*long, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(given).expect("a header"));
            assert_eq!(names.name(&headers).as_str() == given, kept, "{given}");
        }
        let none = HeaderMap::new();
        assert_ne!(names.name(&none), names.name(&none));
    }
}
