//! Making connections: name, TCP, proxy, TLS, and one deadline for all of it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::dns::{GaiFuture, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::time::{Sleep, sleep, timeout};
use tower_service::Service;

use super::failure::{Failure, NameFailure};
use super::origin::{Origin, Scheme};
use super::sniff::{Sniffed, Sniffing};
use super::tls::Tls;
use crate::error::{Cause, UnreachableKind};

/// Which proxies stand between us and others. Loopback is always reached directly.
#[derive(Clone)]
pub struct Proxies {
    matcher: Arc<Matcher>,
    /// `NO_PROXY` entries with a port, which the matcher does not know.
    direct: Arc<[(String, u16)]>,
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or their lower case forms, as curl does.
    ///
    /// Proxies may be `http`, `https` and `socks5` URIs, with a user and password. `NO_PROXY` takes names (and what is
    /// below them), addresses, networks such as `10.0.0.0/8`, `host:port`, and `*`.
    pub fn from_env() -> Self {
        let no = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
        Self { matcher: Arc::new(Matcher::from_env()), direct: with_port(&no) }
    }

    /// Goes everywhere directly.
    pub fn none() -> Self {
        Self { matcher: Arc::new(Matcher::builder().build()), direct: Arc::new([]) }
    }

    /// Uses these proxies, each empty for none, with the grammar of the variables.
    pub fn given(http: &str, https: &str, no: &str) -> Self {
        let matcher = Matcher::builder().http(http).https(https).no(no).build();
        Self { matcher: Arc::new(matcher), direct: with_port(no) }
    }

    /// Returns what a plain HTTP request to `uri` has to show to its proxy. For TLS the tunnel does that.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() != Some("http") {
            return None;
        }
        self.towards(uri)?.basic_auth().cloned()
    }

    fn towards(&self, uri: &Uri) -> Option<Intercept> {
        let origin = Origin::of(uri)?;
        let direct = |(host, port): &(String, u16)| {
            let below =
                origin.host().strip_suffix(host.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            below && origin.port() == *port
        };
        if origin.is_loopback() || self.direct.iter().any(direct) {
            return None;
        }
        self.matcher.intercept(uri)
    }
}

impl Default for Proxies {
    /// As [`Proxies::from_env`].
    fn default() -> Self {
        Self::from_env()
    }
}

// Proxies may have passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies(…)")
    }
}

fn with_port(no: &str) -> Arc<[(String, u16)]> {
    let entry = |entry: &str| {
        let (host, port) = entry.trim().rsplit_once(':')?;
        let host = host.trim_start_matches('.').trim_start_matches('[').trim_end_matches(']');
        // A bare IPv6 address has colons and no port; the matcher takes it.
        let bare = entry.trim().parse::<IpAddr>().is_ok();
        (!bare && !host.is_empty()).then_some((host.to_ascii_lowercase(), port.parse().ok()?))
    };
    no.split(',').filter_map(entry).collect()
}

/// Makes connections for the client.
#[derive(Clone)]
pub(super) struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    tcp: HttpConnector<Names>,
    tls: Tls,
    proxies: Proxies,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(tls: Tls, proxies: Proxies, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Names(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Notices a peer that vanished while a slow consumer does not read.
        tcp.set_keepalive(Some(KEEPALIVE));
        Self { shared: Arc::new(Shared { tcp, tls, proxies, limit }) }
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
            // The connector's own limit counts per address, and neither names nor TLS.
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
        let proxy = self.proxies.towards(&uri);
        let secure = Origin::of(&uri).is_some_and(|origin| origin.scheme() == Scheme::Https);
        let stream = match &proxy {
            None => Stream::new(call(self.tcp.clone(), uri.clone()).await?, Route::Direct),
            Some(proxy) if matches!(proxy.uri().scheme_str(), Some("socks5" | "socks5h")) => {
                let mut socks = SocksV5::new(proxy.uri().clone(), self.tcp.clone());
                if let Some((user, password)) = proxy.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                Stream::new(call(socks, uri.clone()).await?, Route::Tunnel)
            }
            Some(proxy) => {
                let base = self.towards_proxy(proxy).await?;
                if secure {
                    let mut tunnel = Tunnel::new(proxy.uri().clone(), base);
                    if let Some(authorization) = proxy.basic_auth() {
                        tunnel = tunnel.with_auth(authorization.clone());
                    }
                    Stream::new(call(tunnel, uri.clone()).await?, Route::Tunnel)
                } else {
                    Stream::new(call(base, proxy.uri().clone()).await?, Route::Relay)
                }
            }
        };
        if secure { self.secure(stream, uri).await } else { Ok(stream) }
    }

    /// Returns a connector for the way to a proxy, which may be TLS itself.
    async fn towards_proxy(&self, proxy: &Intercept) -> Result<Either, Failure> {
        if proxy.uri().scheme_str() != Some("https") {
            return Ok(Either::Tcp(self.tcp.clone()));
        }
        let configs = self.tls.configs().await.map_err(Failure::connecting)?;
        let names = Arc::new(DefaultServerNameResolver::default());
        Ok(Either::Tls(HttpsConnector::new(self.tcp.clone(), configs.proxy.clone(), true, names)))
    }

    async fn secure(&self, stream: Stream, uri: Uri) -> Result<Stream, Failure> {
        let configs = self.tls.configs().await.map_err(Failure::connecting)?;
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
    Tcp(HttpConnector<Names>),
    Tls(HttpsConnector<HttpConnector<Names>>),
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

/// Resolves names with the system, and says so when that fails.
#[derive(Clone)]
struct Names(GaiResolver);

impl Service<Name> for Names {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = NameFailure;
    type Future = Resolving;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NameFailure>> {
        self.0.poll_ready(context).map_err(NameFailure)
    }

    fn call(&mut self, name: Name) -> Resolving {
        Resolving(self.0.call(name))
    }
}

struct Resolving(GaiFuture);

impl Future for Resolving {
    type Output = Result<<GaiResolver as Service<Name>>::Response, NameFailure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(NameFailure)
    }
}

/// A connection of any kind.
pub(super) struct Stream {
    io: Box<dyn Io>,
    route: Route,
    /// Runs from the first write that failed on.
    hearing: Option<Pin<Box<Sleep>>>,
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
        Self { io: Box::new(io), route, hearing: None }
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
            return connected;
        }
        // The address at the other end is the proxy's, and must not be taken for the server's.
        let clean = Connected::new().proxy(self.route == Route::Relay);
        if connected.is_negotiated_h2() { clean.negotiated_h2() } else { clean }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_read(context, buffer)
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

/// How long a connection may be silent before the system asks whether the peer is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long a failed write waits for the reader. The answer is here already or never comes.
const HEARING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_by_destination() {
        let proxies = Proxies::given(
            "http://p.example:3128",
            "http://ada:pw@s.example:3128",
            "direct.example, .sub.example, 10.0.0.0/8, port.example:5000, ::1",
        );
        for (uri, expected) in [
            ("http://r.example/v2/", Some("http://p.example:3128/")),
            ("https://r.example/v2/", Some("http://s.example:3128/")),
            ("https://direct.example/", None),
            ("https://a.sub.example/", None),
            ("https://10.1.2.3/", None),
            ("https://port.example:5000/", None),
            ("https://a.port.example:5000/", None),
            ("https://report.example:5000/", Some("http://s.example:3128/")),
            ("https://port.example/", Some("http://s.example:3128/")),
            ("http://localhost:5000/", None),
            ("http://127.0.0.1:5000/", None),
            ("http://[::1]:5000/", None),
        ] {
            let uri: Uri = uri.parse().expect(uri);
            let proxy = proxies.towards(&uri).map(|proxy| proxy.uri().to_string());
            assert_eq!(proxy.as_deref(), expected, "{uri}");
        }
        assert_eq!(format!("{proxies:?}"), "Proxies(…)");
    }

    #[test]
    fn only_plain_requests_show_credentials_to_their_proxy() {
        let proxies = Proxies::given("http://ada:pw@p.example:3128", "http://ada:pw@p.example:3128", "");
        for (uri, expected) in
            [("http://r.example/", Some("Basic YWRhOnB3")), ("https://r.example/", None), ("http://localhost/", None)]
        {
            let value = proxies.authorization(&uri.parse().expect(uri));
            assert_eq!(value.as_ref().map(|value| value.to_str().expect("ASCII")), expected, "{uri}");
        }
    }
}
