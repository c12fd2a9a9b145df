//! Listening: connections in, requests to a [`Handler`], answers out.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::idle::{Busy, Idle, Late, Timely};
use crate::content::Body;
use crate::error::{Error, RequestLine, Unreachable, UnreachableKind};
use crate::model::SafeUri;

/// Answers requests. [`super::Registry`] does; a test may wrap it to ask for credentials or to misbehave.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. A body that fails while it is sent breaks the connection (HTTP/2: the stream) off.
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

impl<H: Handler> Handler for Arc<H> {
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        H::handle(self, request)
    }
}

/// Watches what is answered. Called synchronously, before the answer's body is sent: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an answer.
    fn answered(&self, exchange: &Exchange);
}

impl<F: Fn(&Exchange) + Send + Sync + 'static> Observer for F {
    fn answered(&self, exchange: &Exchange) {
        self(exchange);
    }
}

/// A request and its answer, as an access log wants them. Prints as `GET /v2/app/manifests/v1 200`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// Who asked.
    pub peer: SocketAddr,
    /// The method.
    pub method: Method,
    /// Path and query; prints without secrets.
    pub uri: SafeUri,
    /// The answer's status.
    pub status: StatusCode,
    /// How long the answer took, up to its headers.
    pub elapsed: Duration,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.uri, self.status.as_u16())
    }
}

/// How a [`Server`] treats its peers.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// How many connections may be open at once; further ones wait to be accepted. 1 024.
    pub connections: usize,
    /// How long the headers of a request may take, and a kept connection wait for the next one. 60 s.
    pub headers: Duration,
    /// How long a peer may be silent when it is its turn, between requests, in a body, or in taking an answer,
    /// before the connection is given up. How long we work on a request does not count. 120 s.
    pub idle: Duration,
    /// How long requests may go on after the server was told to stop. 10 s.
    pub grace: Duration,
    /// Is told of every answer.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections: 1024,
            headers: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            grace: Duration::from_secs(10),
            observer: None,
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, headers, idle, grace, observer } = self;
        f.debug_struct("ServerOptions")
            .field("connections", connections)
            .field("headers", headers)
            .field("idle", idle)
            .field("grace", grace)
            .field("observed", &observer.is_some())
            .finish()
    }
}

/// A listening socket and who answers on it: HTTP/1.1, and HTTP/2 where the client begins with it.
#[derive(Debug)]
pub struct Server<H> {
    listener: TcpListener,
    address: SocketAddr,
    handler: Arc<H>,
    options: ServerOptions,
}

impl<H: Handler> Server<H> {
    /// Listens on `address`; port 0 lets the system choose. Connections queue up until [`Server::run`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the address cannot be had.
    pub async fn bind(address: SocketAddr, handler: H, options: ServerOptions) -> Result<Self, Error> {
        let failed = |error| Error::io("listen on", address.to_string(), error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, handler: Arc::new(handler), options })
    }

    /// Returns the address it listens on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then lets open requests end, for [`ServerOptions::grace`] at most.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let permits = Arc::new(Semaphore::new(self.options.connections));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let next = std::pin::pin!(async {
                let permit = permits.clone().acquire_owned().await.expect("nobody closes the semaphore");
                (permit, self.listener.accept().await)
            });
            let Either::Right(((permit, accepted), _)) = select(shutdown.as_mut(), next).await else { break };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => {
                    let connection = serve(stream, peer, self.handler.clone(), self.options.clone(), &graceful);
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end give some back.
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        if timeout(self.options.grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off, because they outlasted the grace period");
        }
        // Dropping the set ends what is left.
    }
}

/// Makes the future that serves one connection; `graceful` can ask it to end.
fn serve<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<H>,
    options: ServerOptions,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    // Headers and a small body go out as one packet or two: waiting for the first one's acknowledgement costs 40 ms.
    let nodelay = stream.set_nodelay(true);
    let watcher = graceful.watcher();
    let busy = Busy::default();
    let stream = TokioIo::new(Idle::new(stream, options.idle, busy.clone()));
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, observer, working) = (handler.clone(), options.observer.clone(), busy.working());
        let request = request.map(|body| Timely::new(body, options.idle));
        async move {
            let answer = answer(&*handler, observer.as_deref(), peer, request).await;
            drop(working);
            Ok::<_, Infallible>(answer)
        }
    });
    async move {
        if let Err(error) = nodelay {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let builder = builder(options.headers);
        let connection = builder.serve_connection(stream, service);
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            tracing::debug!(error, %peer, "a connection ended badly");
        }
    }
}

async fn answer<H: Handler>(
    handler: &H,
    observer: Option<&dyn Observer>,
    peer: SocketAddr,
    request: Request<Timely<Incoming>>,
) -> Response<Body> {
    let started = Instant::now();
    // HTTP/2, and proxies, name scheme and host as well: those are our own, or lies.
    let target = request.uri().path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    let (method, uri) = (request.method().clone(), SafeUri::new(target));
    let line = RequestLine { method: method.clone(), uri: uri.clone() };
    let request = request.map(|body| {
        Body::wrap(body, move |error| {
            let kind = match error {
                Late::Silent => UnreachableKind::TimedOut,
                Late::Broken(_) => UnreachableKind::Broken,
            };
            let (request, elapsed) = (line.clone(), started.elapsed());
            Box::new(Unreachable { request, kind, attempts: 1, elapsed, cause: Some(error.into()) }).into()
        })
    });
    let response = handler.handle(request).await;
    if let Some(observer) = observer {
        let (status, elapsed) = (response.status(), started.elapsed());
        observer.answered(&Exchange { peer, method, uri, status, elapsed });
    }
    response
}

fn builder(headers: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client that has said everything may close its half and still wants the answer.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(headers).max_buf_size(HTTP1_BUFFER).half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEADERS)
        .max_send_buf_size(HTTP2_SEND_BUFFER);
    builder
}

/// How long to wait before the next attempt to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a connection may buffer, which is also how long the headers of a request may be: ten tags in a query and a
/// token of 64 KiB fit, 64 clients stay below 8 MiB.
const HTTP1_BUFFER: usize = 128 << 10;
/// What a peer may send on one stream before we have read it: enough for loopback and a local network.
const HTTP2_STREAM_WINDOW: u32 = 512 << 10;
/// What a peer may send on one connection before we have read it.
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;
/// How many requests one connection may have open.
const HTTP2_STREAMS: u32 = 128;
/// How long the headers of a request may be.
const HTTP2_HEADERS: u32 = 128 << 10;
/// What one stream may hold back until the peer takes it.
const HTTP2_SEND_BUFFER: usize = 256 << 10;
