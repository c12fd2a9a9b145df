//! Making connections: name, TCP, proxy, TLS, and one deadline for all of it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Intercept;
use tokio::time::{Sleep, sleep, timeout};
use tower_service::Service;

use super::alert::Alert;
use super::dial::Dialer;
use super::failure::Failure;
use super::origin::{Origin, Scheme};
use super::policy::Policy;
use super::proxies::Proxies;
use super::sniff::{Sniffed, Sniffing};
use super::tls::Tls;
use super::ways::Ways;
use crate::error::{Cause, UnreachableKind};

/// Makes connections for the client.
#[derive(Clone)]
pub(super) struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    tcp: Dialer,
    tls: Tls,
    proxies: Proxies,
    ways: Arc<Ways>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(tls: Tls, proxies: Proxies, ways: Arc<Ways>, policy: &Policy) -> Self {
        let (tcp, limit) = (Dialer { alone: policy.happy_eyeballs }, policy.connect);
        Self { shared: Arc::new(Shared { tcp, tls, proxies, ways, limit }) }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move {
            let limit = shared.limit;
            match timeout(limit, shared.connect(uri)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::late("connection", limit)),
            }
        })
    }
}

impl Shared {
    async fn connect(&self, uri: Uri) -> Result<Stream, Failure> {
        let origin = Origin::of(&uri).ok_or_else(|| Failure::connecting("the URI has no host"))?;
        let way = self.ways.towards(&origin);
        let moved = way.and_then(|way| way.connect);
        let place = match moved {
            Some(address) => format!("{}://{address}/", uri.scheme_str().unwrap_or_default()),
            // With its port: proxies take 443 for the usual one.
            None => format!("{}/", origin.with_port()),
        };
        let place = Uri::try_from(place).map_err(Failure::connecting)?;
        let secure = origin.scheme() == Scheme::Https;
        let stream = match self.proxies.towards(&uri) {
            None => {
                // Who is reached at an address of our choice must not pass for somebody in its network.
                let route = if moved.is_some() { Route::Tunnel } else { Route::Direct };
                Stream::new(call(self.tcp, place).await?, route)
            }
            Some(proxy) => match proxy.uri().scheme_str() {
                Some("socks5" | "socks5h") => {
                    let mut socks = SocksV5::new(socks_place(proxy.uri()), self.tcp);
                    if let Some((user, password)) = proxy.raw_auth() {
                        socks = socks.with_auth(user.to_owned(), password.to_owned());
                    }
                    Stream::new(call(socks, place).await?, Route::Tunnel)
                }
                Some("http" | "https") => {
                    let base = self.towards_proxy(&proxy).await?;
                    if secure || moved.is_some() {
                        let mut tunnel = Tunnel::new(proxy.uri().clone(), base);
                        if let Some(authorization) = proxy.basic_auth() {
                            tunnel = tunnel.with_auth(authorization.clone());
                        }
                        Stream::new(call(tunnel, place).await?, Route::Tunnel)
                    } else {
                        Stream::new(call(base, proxy.uri().clone()).await?, Route::Relay)
                    }
                }
                _ => return Err(Failure::connecting("the proxy is neither of `http`, `https` and `socks5`")),
            },
        };
        if secure { self.secure(stream, uri, way.and_then(|way| way.tls())).await } else { Ok(stream) }
    }

    /// Returns a connector for the way to a proxy, which may be TLS itself.
    async fn towards_proxy(&self, proxy: &Intercept) -> Result<Either, Failure> {
        if proxy.uri().scheme_str() != Some("https") {
            return Ok(Either::Tcp(self.tcp));
        }
        let configs = self.tls.configs().await.map_err(Failure::connecting)?;
        let names = Arc::new(DefaultServerNameResolver::default());
        Ok(Either::Tls(HttpsConnector::new(self.tcp, configs.proxy.clone(), true, names)))
    }

    async fn secure(&self, stream: Stream, uri: Uri, own: Option<&Tls>) -> Result<Stream, Failure> {
        let configs = own.unwrap_or(&self.tls).configs().await.map_err(Failure::connecting)?;
        let names = Arc::new(DefaultServerNameResolver::default());
        let sniffed = Sniffed::default();
        let (route, connected) = (stream.route, Made(Some(Sniffing::new(stream, sniffed.clone()))));
        match call(HttpsConnector::new(connected, configs.server.clone(), true, names), uri).await {
            Ok(stream) => Ok(Stream::new(stream, route)),
            Err(failure) if sniffed.is_http() => Err(failure.with_kind(UnreachableKind::PlainHttp)),
            // TCP was there: whoever hangs up now does it in the middle of an exchange.
            Err(failure) if failure.kind == UnreachableKind::Connect => Err(failure.with_kind(UnreachableKind::Broken)),
            Err(failure) => Err(failure),
        }
    }
}

/// Returns where a SOCKS proxy listens: at the port of its own, where none is named.
fn socks_place(proxy: &Uri) -> Uri {
    let with_port = || Uri::try_from(format!("socks5://{}:1080/", proxy.host()?)).ok();
    if proxy.port().is_some() { None } else { with_port() }.unwrap_or_else(|| proxy.clone())
}

/// Calls a service once it is ready.
async fn call<S>(mut service: S, uri: Uri) -> Result<S::Response, Failure>
where
    S: Service<Uri>,
    S::Error: Into<Cause>,
{
    poll_fn(|context| service.poll_ready(context)).await.map_err(Failure::connecting)?;
    service.call(uri).await.map_err(Failure::connecting)
}

/// The way to a proxy.
#[derive(Clone)]
enum Either {
    Tcp(Dialer),
    Tls(HttpsConnector<Dialer>),
}

impl Service<Uri> for Either {
    type Response = Stream;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match this {
                Self::Tcp(tcp) => Stream::new(call(tcp, uri).await?, Route::Tunnel),
                Self::Tls(tls) => Stream::new(call(tls, uri).await?, Route::Tunnel),
            })
        })
    }
}

/// Hands out a stream that is there already.
struct Made(Option<Sniffing<Stream>>);

impl Service<Uri> for Made {
    type Response = Sniffing<Stream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Sniffing<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().ok_or_else(|| io::Error::other("the stream was taken")))
    }
}

/// A connection of any kind.
pub(super) struct Stream {
    io: Box<dyn Io>,
    route: Route,
    /// Runs from the first write that failed on.
    hearing: Option<Pin<Box<Sleep>>>,
    /// By what TLS has ended, if it has.
    alert: Alert,
}

/// What is on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    /// Nothing: the other end is the server.
    Direct,
    /// A proxy that passes bytes on.
    Tunnel,
    /// A proxy that passes requests on, and wants whole URIs in them.
    Relay,
}

trait Io: Read + Write + Connection + Send + Unpin {}

impl<T: Read + Write + Connection + Send + Unpin> Io for T {}

impl Stream {
    fn new(io: impl Io + 'static, route: Route) -> Self {
        Self { io: Box::new(io), route, hearing: None, alert: Alert::default() }
    }

    /// Lets a peer finish speaking that has stopped listening.
    ///
    /// A server that refuses an upload may answer and close before it has read everything. Writing then fails while the
    /// answer waits to be read, and the client would give up on the first error that it sees. So that error is held
    /// back for a while: mostly the reader ends the exchange, with the answer or with an error of its own.
    fn hear_out<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let closed =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        if matches!(&written, Poll::Ready(Err(error)) if closed(error)) {
            let hearing = self.hearing.get_or_insert_with(|| Box::pin(sleep(HEARING)));
            ready!(hearing.as_mut().poll(context));
        }
        written
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = self.io.connected();
        if self.route == Route::Direct {
            return connected.extra(self.alert.clone());
        }
        // The address at the other end is the proxy's, and must not be taken for the server's.
        let clean = Connected::new().proxy(self.route == Route::Relay).extra(self.alert.clone());
        if connected.is_negotiated_h2() { clean.negotiated_h2() } else { clean }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut *self.io).poll_read(context, buffer));
        Poll::Ready(read.inspect_err(|error| self.alert.note(error)))
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.io).poll_write(context, bytes);
        self.hear_out(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.io).poll_write_vectored(context, slices);
        self.hear_out(context, written)
    }
}

/// How long a failed write waits for the reader. The answer is here already or never comes.
const HEARING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socks_has_a_port_of_its_own() {
        for (proxy, expected) in [
            ("socks5://p.example/", "socks5://p.example:1080/"),
            ("socks5h://[::1]/", "socks5://[::1]:1080/"),
            ("socks5h://p.example:9050/", "socks5h://p.example:9050/"),
        ] {
            assert_eq!(socks_place(&proxy.parse().expect(proxy)), expected);
        }
    }
}
