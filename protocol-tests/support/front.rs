//! Stands before any registry: guards it, notes what goes by, and spoils what it is told to spoil.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use spinreg::content::Body;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::guard::Guard;
use super::listen::{Connection, Handler, Hangup, Listener, collect};
use super::pattern::{Pattern, target};
use super::reply::{End, Names, Reply};
use super::tls::Authority;
use super::wire::Wire;

/// What stands before the registry, before it starts.
pub(crate) struct Front {
    upstream: SocketAddr,
    called: Option<&'static str>,
    guard: Option<Guard>,
    wire: Wire,
    meddling: Vec<(Pattern, VecDeque<Meddle>)>,
}

/// How an exchange is spoilt.
#[derive(Clone, Debug)]
pub(crate) enum Meddle {
    /// The registry is never asked.
    Instead(Reply),
    /// The answer is cut after `n` bytes of its body (HTTP/1.1 alone).
    Cut(usize, End),
    /// The registry does what it is asked, and the connection ends before its answer.
    Lose,
    /// Nothing is read, asked or answered from here on; whoever waits for it is told.
    Hold(Arc<Notify>),
    /// As [`Meddle::Cut`] with [`End::Stall`]; whoever waits for it is told.
    HoldAfter(usize, Arc<Notify>),
    /// A bit of the first byte of the answer's body is flipped.
    Spoil,
    /// The answer's body stands still after `n` bytes, until the gate is opened.
    Pause(u64, Gate),
    /// The exchange is left alone.
    Leave,
}

/// Where a transfer waits, so that what is shown meanwhile is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    reached: Arc<Notify>,
    open: Arc<Notify>,
}

impl Gate {
    /// Waits until somebody stands before it.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets one pass.
    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

impl Front {
    /// Forwards everything to the registry at `upstream`.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        Self { upstream, called: None, guard: None, wire: Wire::new(), meddling: Vec::new() }
    }

    /// Goes by this name, at the usual port: so it calls itself in challenges and in its certificate. Whoever asks for it
    /// has to be told where it is.
    pub(crate) fn called(self, name: &'static str) -> Self {
        Self { called: Some(name), ..self }
    }

    /// Lets only those pass that `guard` lets pass.
    pub(crate) fn guarded(self, guard: &Guard) -> Self {
        Self { guard: Some(guard.clone()), ..self }
    }

    /// Treats the first exchanges of this kind like this, one by one, and leaves the others alone.
    pub(crate) fn meddle(mut self, pattern: &str, how: impl IntoIterator<Item = Meddle>) -> Self {
        self.meddling.push((Pattern::new(pattern), how.into_iter().collect()));
        self
    }

    /// Starts to serve plain HTTP.
    pub(crate) async fn start(self) -> Fronted {
        let (called, door) = (self.called, Door::new(self));
        let listener = Listener::plain(door.clone()).await;
        Fronted::new(door, listener, called.map(|name| format!("http://{name}")))
    }

    /// Starts to serve over TLS, as `localhost` where it has no other name.
    pub(crate) async fn start_tls(self, authority: &Authority) -> Fronted {
        let (called, door) = (self.called, Door::new(self));
        let config =
            called.map_or_else(|| authority.server(), |name| authority.server_named(&[name], &["h2", "http/1.1"]));
        let listener = Listener::tls(door.clone(), config).await;
        Fronted::new(door, listener, called.map(|name| format!("https://{name}")))
    }
}

/// What stands before the registry, at work.
pub(crate) struct Fronted {
    door: Door,
    listener: Listener,
}

impl Fronted {
    fn new(door: Door, listener: Listener, origin: Option<String>) -> Self {
        door.0.origin.set(origin.unwrap_or_else(|| listener.origin())).expect("a front starts once");
        Self { door, listener }
    }

    /// Returns the name of the registry: its own, or `127.0.0.1:PORT`, or `localhost:PORT` over TLS.
    pub(crate) fn registry(&self) -> String {
        let origin = self.door.origin();
        origin.split_once("://").map_or(origin, |(_, host)| host).to_owned()
    }

    /// Returns where it is: `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns the URI of `path` (and query).
    pub(crate) fn uri(&self, path: &str) -> http::Uri {
        self.listener.uri(path)
    }

    /// Returns what went by.
    pub(crate) fn wire(&self) -> &Wire {
        &self.door.0.wire
    }
}

#[derive(Clone)]
struct Door(Arc<Inner>);

struct Inner {
    upstream: SocketAddr,
    origin: OnceLock<String>,
    guard: Option<Guard>,
    wire: Wire,
    meddling: Mutex<Vec<(Pattern, VecDeque<Meddle>)>>,
}

impl Door {
    fn new(front: Front) -> Self {
        let Front { upstream, called: _, guard, wire, meddling } = front;
        Self(Arc::new(Inner { upstream, origin: OnceLock::new(), guard, wire, meddling: Mutex::new(meddling) }))
    }

    fn origin(&self) -> &str {
        self.0.origin.get().map_or("", String::as_str)
    }

    fn meddle(&self, request: &Request<Incoming>) -> Meddle {
        let mut meddling = self.0.meddling.lock().expect("no test panics in here");
        let target = target(request.uri());
        let found =
            meddling.iter_mut().find(|(pattern, how)| !how.is_empty() && pattern.matches(request.method(), target));
        found.and_then(|(_, how)| how.pop_front()).unwrap_or(Meddle::Leave)
    }

    async fn answer(&self, request: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Hangup> {
        if let Some(guard) = &self.0.guard {
            if guard.serves(request.uri()) {
                let (head, body) = request.into_parts();
                let body = collect(body).await?;
                return Ok(guard.token(&head.method, &head.uri, &head.headers, &body));
            }
            let refused = guard.check(request.method(), request.uri(), request.headers(), self.origin()).await;
            if let Some(refusal) = refused {
                return Ok(refusal);
            }
        }
        match self.meddle(&request) {
            Meddle::Leave => self.forward(request).await,
            Meddle::Instead(reply) => {
                let method = request.method().clone();
                if !reply.unread {
                    collect(request.into_body()).await?;
                }
                reply.play(&method, &Names::of(self.origin()), connection).await
            }
            Meddle::Lose => {
                let mut body = self.forward(request).await?.into_body();
                while body.chunk().await.is_some() {}
                Err(Hangup)
            }
            Meddle::Hold(held) => {
                held.notify_one();
                std::future::pending().await
            }
            Meddle::HoldAfter(n, held) => {
                let response = self.forward(request).await?;
                connection.write(&head(&response)).await;
                let mut body = response.into_body().take(n as u64);
                while let Some(chunk) = body.chunk().await {
                    connection.write(&chunk.map_err(|_| Hangup)?).await;
                }
                held.notify_one();
                std::future::pending().await
            }
            Meddle::Spoil => Ok(self.forward(request).await?.map(spoilt)),
            Meddle::Pause(n, gate) => Ok(self.forward(request).await?.map(|body| paused(body, n, gate))),
            Meddle::Cut(n, end) => {
                let (method, uri, headers) =
                    (request.method().clone(), request.uri().clone(), request.headers().clone());
                let response = self.forward(request).await?;
                self.0.wire.record(&method, &uri, &headers, response.status());
                connection.write(&head(&response)).await;
                let mut body = response.into_body().take(n as u64);
                while let Some(chunk) = body.chunk().await {
                    connection.write(&chunk.map_err(|_| Hangup)?).await;
                }
                match end {
                    End::Close => {}
                    End::Reset => connection.reset_at_the_end(),
                    End::Stall => std::future::pending().await,
                }
                Err(Hangup)
            }
        }
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Body>, Hangup> {
        forward(self.0.upstream, request).await
    }
}

/// Hands a request on to the server at `upstream`, on a connection of its own.
pub(super) async fn forward<B>(upstream: SocketAddr, mut request: Request<B>) -> Result<Response<Body>, Hangup>
where
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // HTTP/2 names the host in the URI, of which there may be no more than the path here.
    let host = request.uri().authority().map_or_else(|| upstream.to_string(), |host| host.to_string());
    let host = HeaderValue::from_str(&host).expect("a host and a port");
    request.headers_mut().entry(header::HOST).or_insert(host);
    *request.uri_mut() = target(request.uri()).parse().expect("a part of a URI");
    *request.version_mut() = http::Version::HTTP_11;
    let stream = TcpStream::connect(upstream).await.map_err(|_| Hangup)?;
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| Hangup)?;
    let driver = Driver(tokio::spawn(async move {
        // The exchange reports its own failure.
        let _ended = driver.await;
    }));
    let response = sender.send_request(request).await.map_err(|_| Hangup)?;
    Ok(response.map(|body| {
        Body::wrap(body, |error| spinreg::Error::io("forward", "a body", std::io::Error::other(error))).holding(driver)
    }))
}

impl Handler for Door {
    async fn handle(&self, request: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Hangup> {
        let (method, uri, headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
        let mut response = self.answer(request, connection).await?;
        self.0.wire.record(&method, &uri, &headers, response.status());
        // These speak of one connection, and HTTP/2 forbids them.
        for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }
}

/// Ends an upstream connection with the body that came from it.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Writes the head of an answer for what goes past hyper: HTTP/1.1 alone.
pub(super) fn head<B>(response: &Response<B>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Cuts the chunk at the gate in two, and waits between the halves.
fn paused(body: Body, n: u64, gate: Gate) -> Body {
    let left = body.remaining();
    let state = (body, usize::try_from(n).expect("a short way"), None);
    let chunks =
        futures_util::stream::unfold(state, move |(mut body, before, mut held): (Body, _, Option<bytes::Bytes>)| {
            let gate = gate.clone();
            async move {
                if let Some(rest) = held.take() {
                    gate.reached.notify_one();
                    gate.open.notified().await;
                    return Some((Ok(rest), (body, usize::MAX, None)));
                }
                let mut chunk = match body.chunk().await? {
                    Ok(chunk) => chunk,
                    Err(error) => return Some((Err(error), (body, before, None))),
                };
                let here = chunk.len();
                if here <= before {
                    return Some((Ok(chunk), (body, before - here, None)));
                }
                let first = chunk.split_to(before);
                Some((Ok(first), (body, 0, Some(chunk))))
            }
        });
    Body::from_stream(chunks, left)
}

fn spoilt(body: Body) -> Body {
    let left = body.remaining();
    let chunks = futures_util::stream::unfold((body, true), async |(mut body, first)| {
        let chunk = body.chunk().await?.map(|chunk| {
            let mut bytes = chunk.to_vec();
            if first {
                bytes[0] ^= 1;
            }
            bytes::Bytes::from(bytes)
        });
        Some((chunk, (body, false)))
    });
    Body::from_stream(chunks, left)
}
