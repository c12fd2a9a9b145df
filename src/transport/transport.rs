//! Sending a request until there is an answer.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument as _, debug, debug_span};

use super::alert::Alert;
use super::connect::Connector;
use super::decide::{Credentials, Decision, Exchange, Outcome, decide};
use super::echo::Confided;
use super::failure::Failure;
use super::limit::{Limits, Pacer, Traffic};
use super::origin::Origin;
use super::payload::Payload;
use super::policy::{Budget, Policy};
use super::proxies::Proxies;
use super::redirect;
use super::stall::{Incoming, Outgoing};
use super::tls::{Tls, TlsOptions};
use super::wait;
use super::ways::{HostOptions, Ways};
use crate::content::Body;
use crate::error::{Error, ParseError, RequestLine, Unreachable, Violation};

/// How a [`Transport`] connects and copes. The default is what a command line tool wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom to trust.
    pub tls: TlsOptions,
    /// All waits and limits.
    pub policy: Policy,
    /// Which proxies to use.
    pub proxies: Proxies,
    /// Which versions of HTTP to offer.
    pub protocol: Protocol,
    /// What is different for some hosts: a host by itself is meant at the usual port of either scheme, a host and a port
    /// there alone.
    pub hosts: HashMap<Authority, HostOptions>,
    /// What `User-Agent` says where a request does not say it itself: `spinreg/<version>`.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: TlsOptions::default(),
            policy: Policy::default(),
            proxies: Proxies::default(),
            protocol: Protocol::default(),
            hosts: HashMap::new(),
            user_agent: concat!("spinreg/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Which versions of HTTP to offer to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 and HTTP/1.1; the server chooses while TLS is set up. Without TLS it is HTTP/1.1.
    #[default]
    Negotiate,
    /// HTTP/1.1, whose several connections can carry more than the one of HTTP/2.
    Http1Only,
}

/// What to do with redirects, as an extension of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// Go where they point.
    #[default]
    Follow,
    /// Return them as they are.
    Return,
}

/// The URI that answered in the end, as an extension of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalUri(pub Uri);

/// How often a request was tried, redirects not counted, as an extension of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(pub u32);

/// HTTP that copes: it connects, waits, retries and follows, and knows nothing of what it carries. Clones share
/// connections, permits and options.
#[derive(Clone)]
pub struct Transport {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client<Connector, Outgoing>,
    limits: Limits,
    policy: Policy,
    proxies: Proxies,
    ways: Arc<Ways>,
    user_agent: HeaderValue,
}

impl Transport {
    /// Prepares a transport. Reads the CA files and the identity that the options name for all hosts, and nothing else:
    /// the system's certificates are read for the first TLS connection, the files of a host for the first one to it. Makes
    /// no request.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Parse`]: a CA file cannot be read, or has no certificates; or likewise the identity's
    /// files. [`Error::Parse`]: the user agent cannot be sent, or a variable for proxies names none.
    pub fn new(options: Options) -> Result<Self, Error> {
        let Options { tls, policy, proxies, protocol, hosts, user_agent } = options;
        if let Some(fault) = proxies.fault() {
            return Err(fault.clone().into());
        }
        let user_agent = HeaderValue::from_str(&user_agent)
            .map_err(|_| ParseError::new("user agent", &user_agent, "printable ASCII"))?;
        let ways = Arc::new(Ways::new(hosts, &tls, protocol));
        let connector = Connector::new(Tls::new(&tls, protocol)?, proxies.clone(), ways.clone(), &policy);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_buf_size(BUFFER)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_send_buf_size(SEND_BUFFER)
            .http2_keep_alive_interval(PING)
            .build(connector);
        let limits = Limits::new(&policy, ways.clone());
        Ok(Self { inner: Arc::new(Inner { client, limits, policy, proxies, ways, user_agent }) })
    }

    /// Starts a budget of this transport's policy.
    pub fn budget(&self) -> Budget {
        Budget::new(self.policy())
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// Sends a request until there is an answer, whatever its status: also the last of several 503s is one.
    ///
    /// The request's extensions may hold [`Redirects`] and [`Traffic`]; the response's hold [`FinalUri`] and
    /// [`Attempts`]. `User-Agent`, `Accept-Encoding: identity` and `Content-Length` are added. A permit of the origin is
    /// held until the response's body has ended or is dropped: an answer of which only the headers count should not be
    /// kept.
    ///
    /// **Requests**: one; one more per redirect; and up to four retries from the `budget`, when a connection fails or
    /// breaks, when nothing comes in time, and after the statuses 408, 429, 500, 502, 503 and 504, with the pause that
    /// the server asks for, in its headers or in the text of a 429 or 503, or a growing random one. A 429, and a 503 that
    /// asks for patience, also halve how much the origin is asked for at a time; good answers give that back slowly. A
    /// [`Payload::Reopen`] is not retried. Names that do not resolve and
    /// TLS failures are not either.
    ///
    /// An answer that complains does not repeat what the request's `Authorization` says: stars stand there, and at most
    /// 64 KiB of its body are kept.
    ///
    /// A redirect to another [`Origin`] sheds `Authorization`, `Cookie` and `Proxy-Authorization` for good.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] when there is no answer; the body of a response fails with it, too. [`Error::Protocol`] for a
    /// redirect that cannot or must not be followed: too many, without a place, out of TLS, from outside to an address
    /// inside. [`Error::Parse`] for a URI that is not absolute. Whatever opening or reading the payload reports, and
    /// what is wrong with the files that [`HostOptions`] name.
    pub async fn send(&self, request: Request<Payload>, budget: &mut Budget) -> Result<Response<Body>, Error> {
        let line = RequestLine::new(request.method(), request.uri());
        let span = debug_span!("send", request = %line);
        let mut trip = Trip::new(request, &self.inner.user_agent);
        self.travel(&mut trip, budget).instrument(span).await
    }

    async fn travel(&self, trip: &mut Trip, budget: &mut Budget) -> Result<Response<Body>, Error> {
        loop {
            let (outcome, said) = match self.attempt(trip).await? {
                Ok((response, pacer)) => {
                    let (response, said) = wait::asked(response).await;
                    pacer.note(said.sign);
                    (Ok(response), said.wait)
                }
                Err(failure) => (Err(failure), None),
            };
            let exchange = Exchange {
                method: &trip.method,
                uri: &trip.uri,
                outcome: match &outcome {
                    Ok(response) => Outcome::Answer(response.status(), response.headers()),
                    Err(failure) => Outcome::Failure(failure.kind),
                },
                said,
                peer: outcome.as_ref().ok().and_then(redirect::peer),
                replayable: trip.payload.is_replayable(),
                redirects: trip.redirects,
                hops: trip.hops,
                budget,
                now: SystemTime::now(),
            };
            let decision = decide(&exchange, &self.inner.policy);
            match decision {
                Decision::Return => {
                    let response = trip.finish(outcome)?;
                    return Ok(trip.confided.unsaid(response).await);
                }
                Decision::Retry(pause) => {
                    // This also gives the permit back before the pause.
                    discard(outcome).await;
                    budget.spend();
                    trip.attempts += 1;
                    let pause = pause.drawn(fastrand::f64());
                    debug!(attempt = trip.attempts, ?pause, "trying again");
                    sleep(pause).await;
                }
                Decision::Follow(uri, credentials) => {
                    discard(outcome).await;
                    trip.follow(uri, credentials);
                }
                Decision::Refuse(rule, cause) => {
                    let cause = cause.map(Into::into);
                    return Err(Box::new(Violation { request: trip.line(), rule, cause }).into());
                }
            }
        }
    }

    /// Makes one exchange. What fails on our side of it is an error at once; the network's failures can be decided upon.
    async fn attempt(&self, trip: &Trip) -> Result<Result<(Response<Body>, Pacer), Failure>, Error> {
        let inner = &*self.inner;
        let origin = trip.origin()?;
        inner.ways.ready(&origin).await?;
        let permit = inner.limits.permit(&origin, trip.traffic).await;
        let (body, watch) = Outgoing::new(trip.payload.open().await?);
        let mut request = Request::new(body);
        *request.method_mut() = trip.method.clone();
        *request.uri_mut() = trip.uri.clone();
        *request.headers_mut() = trip.headers.clone();
        let tunnelled = inner.ways.towards(&origin).is_some_and(|way| way.connect.is_some());
        if let Some(value) = inner.proxies.authorization(&trip.uri).filter(|_| !tunnelled) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let limit = inner.policy.headers;
        let outcome = match select(pin!(inner.client.request(request)), pin!(watch.overdue(limit))).await {
            Either::Left((outcome, _)) => outcome.map_err(|error| match Alert::behind(&error) {
                Some(alert) => Failure::tls(alert),
                None => Failure::exchanging(error),
            }),
            Either::Right((late, _)) => Err(late),
        };
        match outcome {
            Ok(response) => {
                let pacer = permit.pacer();
                debug!(attempt = trip.attempts, status = response.status().as_u16(), version = ?response.version(), "answered");
                let (line, attempts, started) = (trip.line(), trip.attempts, trip.started);
                let blame = move |failure| unreachable(line.clone(), failure, attempts, started.elapsed());
                let response = response.map(|body| Body::wrap(Incoming::new(body, inner.policy.stall, permit), blame));
                Ok(Ok((response, pacer)))
            }
            Err(failure) => match watch.failure() {
                Some(error) => Err(error),
                None => {
                    debug!(attempt = trip.attempts, kind = ?failure.kind, cause = %failure, "failed");
                    Ok(Err(failure))
                }
            },
        }
    }
}

/// A request on its way, perhaps through several hands.
struct Trip {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    payload: Payload,
    redirects: Redirects,
    traffic: Traffic,
    confided: Confided,
    hops: u32,
    attempts: u32,
    started: Instant,
}

impl Trip {
    fn new(request: Request<Payload>, user_agent: &HeaderValue) -> Self {
        let (head, payload) = request.into_parts();
        let mut headers = head.headers;
        headers.entry(USER_AGENT).or_insert_with(|| user_agent.clone());
        // Digests are of the bytes themselves; what a server compresses on the way could not be resumed, either.
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        // These are the transport's: one that does not fit the payload would let it be taken for another request.
        headers.remove(HOST);
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
        let carries = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        if let Some(length) = payload.length().filter(|length| carries || *length > 0) {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let traffic = head.extensions.get().copied().unwrap_or(match (&head.method, payload.length()) {
            (_, length) if length.is_none_or(|length| length > LARGE) => Traffic::Up,
            (&Method::GET, _) => Traffic::Down,
            _ => Traffic::Small,
        });
        Self {
            method: head.method,
            uri: head.uri,
            confided: Confided::of(&headers, head.extensions.get()),
            headers,
            payload,
            redirects: head.extensions.get().copied().unwrap_or_default(),
            traffic,
            hops: 0,
            attempts: 1,
            started: Instant::now(),
        }
    }

    fn origin(&self) -> Result<Origin, Error> {
        let absolute = "a scheme, `http` or `https`, and a host";
        Origin::of(&self.uri).ok_or_else(|| ParseError::new("URI", &self.line().uri.to_string(), absolute).into())
    }

    fn line(&self) -> RequestLine {
        RequestLine::new(&self.method, &self.uri)
    }

    fn follow(&mut self, uri: Uri, credentials: Credentials) {
        if credentials == Credentials::Shed {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                self.headers.remove(name);
            }
        }
        self.uri = uri;
        self.hops += 1;
        debug!(to = %self.line().uri, ?credentials, "redirected");
    }

    fn finish(&mut self, outcome: Result<Response<Body>, Failure>) -> Result<Response<Body>, Error> {
        let mut response =
            outcome.map_err(|failure| unreachable(self.line(), failure, self.attempts, self.started.elapsed()))?;
        response.extensions_mut().insert(FinalUri(self.uri.clone()));
        response.extensions_mut().insert(Attempts(self.attempts));
        Ok(response)
    }
}

/// Reads what is left of an answer that nobody wants, as far as it is short and quick: that way an HTTP/1.1 connection
/// can be used again.
async fn discard(outcome: Result<Response<Body>, Failure>) {
    let Ok(response) = outcome else { return };
    let mut body = response.into_body().take(DISCARDED);
    let read = async { while let Some(Ok(_)) = body.chunk().await {} };
    // What takes longer costs more than a new connection.
    let _ = timeout(DISCARDING, read).await;
}

fn unreachable(request: RequestLine, failure: Failure, attempts: u32, elapsed: Duration) -> Error {
    let kind = failure.kind;
    Box::new(Unreachable { request, kind, attempts, elapsed, cause: Some(failure.into()) }).into()
}

/// What counts as a blob going up. A manifest is rarely larger.
const LARGE: u64 = 256 << 10;

/// Shorter than what servers and the gateways in front of them keep connections for, so that we are first to let go.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// How much of an HTTP/1.1 connection is read or written at once; each has that much in memory, and no header is longer.
const BUFFER: usize = 64 << 10;

/// How much one HTTP/2 stream may send ahead: a gigabit per second over 30 ms.
const STREAM_WINDOW: u32 = 4 << 20;

/// How much all streams of a connection may: it bounds what waits in memory for slow disks.
const CONNECTION_WINDOW: u32 = 6 << 20;

/// How much of each upload waits in memory for a slow network.
const SEND_BUFFER: usize = 256 << 10;

/// How often an HTTP/2 connection with work to do is asked whether it is alive.
const PING: Duration = Duration::from_secs(20);

/// How much of an unwanted answer is read.
const DISCARDED: u64 = 64 << 10;

/// How long that may take.
const DISCARDING: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn trip(method: Method, payload: Payload) -> Trip {
        let request = Request::builder().method(method).uri("https://r.example/v2/").body(payload);
        Trip::new(request.expect("a request"), &HeaderValue::from_static("agent/1"))
    }

    fn header<'a>(trip: &'a Trip, name: &str) -> Option<&'a str> {
        trip.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    #[test]
    fn lengths_and_traffic_follow_from_the_payload() {
        let bytes = |length| Payload::Bytes(Bytes::from(vec![0; length]));
        let stream = |length| Payload::reopen(length, || async { Ok(Body::empty()) });
        for (method, payload, length, traffic) in [
            (Method::GET, Payload::Empty, None, Traffic::Down),
            (Method::HEAD, Payload::Empty, None, Traffic::Small),
            (Method::DELETE, Payload::Empty, None, Traffic::Small),
            (Method::POST, Payload::Empty, Some("0"), Traffic::Small),
            (Method::PUT, Payload::Empty, Some("0"), Traffic::Small),
            (Method::PUT, bytes(3), Some("3"), Traffic::Small),
            (Method::PATCH, bytes(1 << 20), Some("1048576"), Traffic::Up),
            (Method::PUT, stream(Some(10)), Some("10"), Traffic::Small),
            (Method::PUT, stream(Some(1 << 20)), Some("1048576"), Traffic::Up),
            (Method::PUT, stream(None), None, Traffic::Up),
        ] {
            let trip = trip(method, payload);
            assert_eq!(header(&trip, "content-length"), length, "{} {:?}", trip.method, trip.payload);
            assert_eq!(trip.traffic, traffic, "{} {:?}", trip.method, trip.payload);
        }
    }

    #[test]
    fn requests_say_what_they_want_and_what_frames_them_is_ours() {
        let request = Request::post("https://r.example/v2/")
            .header("user-agent", "mine/2")
            .header("accept-encoding", "gzip")
            .header("host", "other.example")
            .header("content-length", "17")
            .header("transfer-encoding", "chunked")
            .extension(Redirects::Return)
            .extension(Traffic::Down)
            .body(Payload::Empty);
        let given = Trip::new(request.expect("a request"), &HeaderValue::from_static("agent/1"));
        let plain = trip(Method::GET, Payload::Empty);
        for (trip, name, value) in [
            (&plain, "user-agent", Some("agent/1")),
            (&plain, "accept-encoding", Some("identity")),
            (&given, "user-agent", Some("mine/2")),
            (&given, "accept-encoding", Some("gzip")),
            (&given, "host", None),
            (&given, "content-length", Some("0")),
            (&given, "transfer-encoding", None),
        ] {
            assert_eq!(header(trip, name), value, "{name}");
        }
        assert_eq!((given.redirects, given.traffic), (Redirects::Return, Traffic::Down));
        assert_eq!((plain.redirects, plain.traffic), (Redirects::Follow, Traffic::Down));
    }

    #[test]
    fn credentials_stay_where_they_belong() {
        let mut trip = trip(Method::GET, Payload::Empty);
        for name in ["authorization", "cookie", "proxy-authorization", "range"] {
            trip.headers.insert(name, HeaderValue::from_static("x"));
        }
        trip.follow(Uri::from_static("https://r.example/b"), Credentials::Keep);
        assert_eq!(header(&trip, "authorization"), Some("x"));
        trip.follow(Uri::from_static("https://cdn.example/c"), Credentials::Shed);
        // Not even when the way leads back.
        trip.follow(Uri::from_static("https://r.example/d"), Credentials::Keep);
        for (name, value) in
            [("authorization", None), ("cookie", None), ("proxy-authorization", None), ("range", Some("x"))]
        {
            assert_eq!(header(&trip, name), value, "{name}");
        }
        assert_eq!((trip.hops, trip.uri.path()), (3, "/d"));
    }
}
