//! One connection: TLS where it is wanted, HTTP/1.1 or HTTP/2 on it, and every request to the handler.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Method, Request, Response, Uri};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::exchange::{Arrival, Names, Protection, Record, X_REQUEST_ID};
use super::idle::{Busy, Idle, Late, Timely};
use super::limits;
use super::rupture::{Rupture, Tearable};
use super::server::{Handler, ServerOptions};
use crate::content::Body;
use crate::error::{RequestLine, Unreachable, UnreachableKind};
use crate::model::SafeUri;

/// What all connections of a server share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) options: ServerOptions,
    pub(super) names: Names,
}

/// Serves one connection to its end. `stop` ends it where it has not got to HTTP yet, `watcher` asks it to end there.
pub(super) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    stream: TcpStream,
    peer: std::net::SocketAddr,
    watcher: Watcher,
    mut stop: watch::Receiver<()>,
) {
    // Headers and a small body go out as one packet or two: waiting for the first one's acknowledgement costs 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let (busy, rupture) = (Busy::default(), Rupture::default());
    let idle = shared.options.idle;
    let Some(tls) = shared.options.tls.clone() else {
        let stream = Idle::new(Tearable::new(stream, rupture.clone()), idle, busy.clone());
        return speak(shared, stream, Arrival { peer, protection: Protection::Plain }, busy, rupture, watcher).await;
    };
    let (watched, tearing) = (busy.clone(), rupture.clone());
    let handshake = async move {
        if speaks_plainly(&stream).await {
            tell(stream).await;
            return None;
        }
        match tls.acceptor().accept(Idle::new(Tearable::new(stream, tearing), idle, watched)).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(%error, %peer, "no TLS came about");
                None
            }
        }
    };
    let handshake = timeout(shared.options.headers, handshake);
    match select(pin!(handshake), pin!(stop.changed())).await {
        Either::Left((Ok(Some(stream)), _)) => {
            speak(shared, stream, Arrival { peer, protection: Protection::Tls }, busy, rupture, watcher).await;
        }
        Either::Left(_) | Either::Right(_) => {}
    }
}

/// Says whether somebody begins with a letter, as a request line does and no TLS record.
async fn speaks_plainly(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1) if first[0].is_ascii_alphabetic())
}

/// Answers a plain request where TLS is spoken: a word is a better answer than a reset.
async fn tell(mut stream: TcpStream) {
    let body = r#"{"errors":[{"code":"UNSUPPORTED","message":"this is a port for HTTPS"}]}"#;
    let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // Who does not want to know is not told.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn speak<H: Handler>(
    shared: Arc<Shared<H>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    arrival: Arrival,
    busy: Busy,
    rupture: Rupture,
    watcher: Watcher,
) {
    let builder = builder(shared.options.headers);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (shared, working) = (shared.clone(), busy.working());
        request.extensions_mut().insert(rupture.clone());
        async move {
            let answer = answer(&shared, arrival, request).await;
            drop(working);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(error, peer = %arrival.peer, "a connection ended badly");
    }
}

async fn answer<H: Handler>(shared: &Shared<H>, arrival: Arrival, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    // HTTP/2, and proxies, name scheme and host as well: those are our own, or lies.
    let target = request.uri().path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    let (method, uri) = (request.method().clone(), SafeUri::new(target));
    let id = shared.names.name(request.headers());
    let name = id.header();
    let observer = shared.options.observer.clone();
    let record = observer.map(|observer| Record::new(observer, arrival.peer, method.clone(), uri.clone(), id));
    let received = record.as_ref().map(Record::received);
    let refusal = limits::check(&request);

    let line = RequestLine { method: method.clone(), uri };
    let idle = shared.options.idle;
    let mut request = request.map(|body| {
        let body = Counted { body: Timely::new(body, idle), received };
        Body::wrap(body, move |error| {
            let kind = match error {
                Late::Silent => UnreachableKind::TimedOut,
                Late::Broken(_) => UnreachableKind::Broken,
            };
            let (request, elapsed) = (line.clone(), started.elapsed());
            Box::new(Unreachable { request, kind, attempts: 1, elapsed, cause: Some(error.into()) }).into()
        })
    });
    request.extensions_mut().insert(arrival);
    let mut response = match refusal {
        Ok(()) => shared.handler.handle(request).await,
        Err(refusal) => refusal.into_response(),
    };
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response.headers_mut().insert(X_REQUEST_ID, name);
    match record {
        Some(record) => record.answer(response),
        None => response,
    }
}

/// The body of a request, counted where somebody wants to know.
struct Counted<B> {
    body: B,
    received: Option<Arc<AtomicU64>>,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(received)) = (&polled, &self.received) {
            received.fetch_add(frame.data_ref().map_or(0, |data| data.len() as u64), Ordering::Relaxed);
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

/// What a connection may buffer, which is also how long the headers of a request may be before the connection itself
/// refuses them: twice [`limits::MAX_HEADERS`], so that what is a little too long is told so. 64 clients stay below 8 MiB.
const HTTP1_BUFFER: usize = 2 * limits::MAX_HEADERS;
/// What a peer may send on one stream before we have read it: enough for loopback and a local network.
const HTTP2_STREAM_WINDOW: u32 = 512 << 10;
/// What a peer may send on one connection before we have read it.
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;
/// How many requests one connection may have open.
const HTTP2_STREAMS: u32 = 128;
/// How long the headers of a request may be before the connection itself refuses them.
const HTTP2_HEADERS: u32 = 128 << 10;
/// What one stream may hold back until the peer takes it.
const HTTP2_SEND_BUFFER: usize = 256 << 10;
