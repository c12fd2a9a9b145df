//! A hyper server on an ephemeral loopback port, whose handler may also take the bare connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use spinreg::content::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Answers requests; what it owns besides is up to it.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one request, or ends the connection.
    fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> impl Future<Output = Result<Response<Body>, Hangup>> + Send;
}

/// The handler has dealt with the connection: it is closed without a further byte.
#[derive(Debug, thiserror::Error)]
#[error("the handler ends the connection")]
pub(crate) struct Hangup;

/// A running server; dropping it ends all its connections.
pub(crate) struct Listener {
    address: SocketAddr,
    scheme: &'static str,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Serves plain HTTP.
    pub(crate) async fn plain(handler: impl Handler) -> Self {
        Self::start(handler, None).await
    }

    /// Serves HTTP over TLS.
    pub(crate) async fn tls(handler: impl Handler, config: Arc<rustls::ServerConfig>) -> Self {
        Self::start(handler, Some(TlsAcceptor::from(config))).await
    }

    async fn start(handler: impl Handler, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, Arc::new(handler), tls, connections.clone()));
        Self { address, scheme, connections, task }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://127.0.0.1:PORT` or `https://localhost:PORT`.
    pub(crate) fn origin(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// Returns the URI of `path` (and query) on this server.
    pub(crate) fn uri(&self, path: &str) -> http::Uri {
        format!("{}{path}", self.origin()).parse().expect("a URI")
    }

    /// Returns how many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The task owns the connections' tasks and ends them with itself.
        self.task.abort();
    }
}

async fn accept<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    tls: Option<TlsAcceptor>,
    connections: Arc<AtomicUsize>,
) {
    let mut tasks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let (handler, tls) = (handler.clone(), tls.clone());
        tasks.spawn(async move {
            let connection = Connection(Arc::new(stream));
            match tls {
                None => serve(connection.clone(), connection, handler).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(connection.clone()).await {
                        serve(stream, connection, handler).await;
                    }
                }
            }
        });
    }
}

async fn serve<H: Handler>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    handler: Arc<H>,
) {
    let service = service_fn(move |request| {
        let (handler, connection) = (handler.clone(), connection.clone());
        async move { handler.handle(request, &connection).await }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // What ends a connection early is the peer's or the handler's doing, and the tests see it from there.
    let _ended = builder.serve_connection(TokioIo::new(io), service).await;
}

/// A TCP connection that hyper and the handler share, so that a handler can misbehave on it.
#[derive(Clone)]
pub(crate) struct Connection(Arc<TcpStream>);

impl Connection {
    /// Writes `bytes` past hyper; they reach the peer as they are.
    pub(crate) async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.0.writable().await.is_err() {
                return;
            }
            match self.0.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer is gone; that is what some tests are about.
                Err(_) => return,
            }
        }
    }

    /// Makes the end of the connection a reset.
    pub(crate) fn reset_at_the_end(&self) {
        self.0.set_zero_linger().expect("a socket takes a linger time");
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome.map(|read| buffer.advance(read))),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The socket closes with its last owner.
        Poll::Ready(Ok(()))
    }
}

/// A peer below HTTP: `act` gets each connection and does what it likes; dropping the peer ends them all.
pub(crate) struct RawPeer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RawPeer {
    pub(crate) async fn start<F>(act: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0", act).await
    }

    pub(crate) async fn start_at<F>(bind: &str, act: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind(bind).await.expect("a loopback port"), act)
    }

    pub(crate) fn on<F>(listener: TcpListener, act: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().expect("a bound socket has an address");
        let task = tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn(act(stream));
            }
        });
        Self { address, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns a loopback address on which nobody listens.
pub(crate) async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    listener.local_addr().expect("a bound socket has an address")
}

/// Reads a request's body whole.
pub(crate) async fn collect(body: Incoming) -> Result<bytes::Bytes, Hangup> {
    let mut body = Body::wrap(body, |error| spinreg::Error::io("read", "the request's body", io::Error::other(error)));
    let mut bytes = bytes::BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk.map_err(|_| Hangup)?);
    }
    Ok(bytes.freeze())
}

/// A handler that cannot fail, from a function.
pub(crate) struct Answer<F>(pub(crate) F);

impl<F: Fn(&Request<Incoming>) -> Response<Body> + Send + Sync + 'static> Handler for Answer<F> {
    async fn handle(&self, request: Request<Incoming>, _: &Connection) -> Result<Response<Body>, Hangup> {
        Ok::<_, Infallible>((self.0)(&request)).map_err(|never| match never {})
    }
}
