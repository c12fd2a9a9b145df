//! Connecting to a name that has several addresses: none of them waits for a dead one (RFC 8305, "Happy Eyeballs").
//!
//! The system answers for both families at once, and in the order that it prefers: what RFC 8305 says of answers that
//! come one by one has nothing to decide here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::Uri;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;
use tower_service::Service;

use super::failure::{Failure, NameFailure};
use super::origin::is_localhost;

/// Makes TCP connections to the hosts of URIs. How long one may take in all is for the caller to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialer {
    /// How long an address is tried alone.
    pub(super) alone: Duration,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { alone } = *self;
        Box::pin(async move {
            let (host, port) = place(&uri).ok_or_else(|| Failure::connecting("the URI has no host"))?;
            let addresses = resolve(&host, port).await.map_err(|error| Failure::connecting(NameFailure(error)))?;
            let nowhere = || Failure::connecting(NameFailure(io::Error::other("the name has no address")));
            let outcome = race(in_turn(addresses), alone, connect).await.ok_or_else(nowhere)?;
            outcome.map(TokioIo::new).map_err(Failure::connecting)
        })
    }
}

/// Returns the host, without brackets, and the port of a URI: its own, or the usual one.
fn place(uri: &Uri) -> Option<(String, u16)> {
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some((host.to_owned(), uri.port_u16().unwrap_or(usual)))
}

/// Finds the addresses of a host.
///
/// `localhost` and the names below it are this machine, whatever a name server says of them (RFC 6761, section 6.3): they
/// are spoken to plainly. IPv4 comes first there: what runs here mostly listens on it, and the IPv6 doors of container
/// engines have let people in to hang up on them.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if is_localhost(&name) {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(loopback.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    Ok(lookup_host((host, port)).await?.collect())
}

/// Puts addresses into the order in which they are tried: the families take turns, the one that the system prefers first
/// (RFC 8305, section 4).
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == preferred);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let before = ordered.len();
        ordered.extend(first.next());
        ordered.extend(second.next());
        if ordered.len() == before {
            ordered.truncate(MAX_ADDRESSES);
            return ordered;
        }
    }
}

/// Connects to the first of `addresses` that lets itself be connected to. The next one is tried when the last one has
/// failed, or has been tried `alone` long enough; those that are under way go on beside it, and end with the winner's
/// success.
///
/// Fails where all do, as the one that was to be preferred; `None` where there are no addresses.
async fn race<T, E, F>(
    addresses: Vec<SocketAddr>,
    alone: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Option<Result<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let (first, mut waiting) = (*addresses.first()?, addresses.into_iter());
    let mut trying = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        trying.extend(waiting.next().map(|address| {
            let attempt = connect(address);
            async move { (address, attempt.await) }
        }));
        let time = async {
            match waiting.len() {
                0 => std::future::pending().await,
                _ => sleep(alone).await,
            }
        };
        match select(trying.next(), pin!(time)).await {
            Either::Left((Some((_, Ok(stream))), _)) => return Some(Ok(stream)),
            Either::Left((Some((address, Err(error))), _)) => failures.push((address, error)),
            Either::Left((None, _)) => {
                let preferred = failures.iter().position(|(address, _)| *address == first)?;
                return Some(Err(failures.swap_remove(preferred).1));
            }
            Either::Right(_) => {}
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, NoConnection> {
    let attempt = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Notices a peer that vanished while a slow consumer does not read.
        SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Ok(stream)
    };
    attempt.await.map_err(|cause| NoConnection { address, cause })
}

/// An address that cannot be connected to.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {address}")]
struct NoConnection {
    address: SocketAddr,
    #[source]
    cause: io::Error,
}

/// How many addresses of a name are tried: more than fit into the time there is, if each needs its own.
const MAX_ADDRESSES: usize = 32;

/// How long a connection may be silent before the system asks whether the peer is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().expect(text), 443)
    }

    #[test]
    fn families_take_turns() {
        for (addresses, ordered) in [
            (&[][..], &[][..]),
            (&["::1"], &["::1"]),
            (&["::1", "::2", "127.0.0.1"], &["::1", "127.0.0.1", "::2"]),
            (&["127.0.0.1", "::1", "::2", "127.0.0.2"], &["127.0.0.1", "::1", "127.0.0.2", "::2"]),
            (&["127.0.0.1", "127.0.0.2"], &["127.0.0.1", "127.0.0.2"]),
            (&["127.0.0.1", "::1", "::2", "::3"], &["127.0.0.1", "::1", "::2", "::3"]),
        ] {
            let [addresses, ordered] =
                [addresses, ordered].map(|list| list.iter().map(|text| address(text)).collect::<Vec<_>>());
            assert_eq!(in_turn(addresses), ordered);
        }
        assert_eq!(in_turn(vec![address("::1"); 1_000]).len(), MAX_ADDRESSES);
    }

    #[test]
    fn hosts_and_ports_are_found() {
        for (uri, expected) in [
            ("http://r.example/", Some(("r.example", 80))),
            ("https://r.example/", Some(("r.example", 443))),
            ("socks5://[::1]:1080/", Some(("::1", 1080))),
            ("/v2/", None),
        ] {
            let found = place(&uri.parse().expect(uri));
            assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)), "{uri}");
        }
    }

    #[tokio::test]
    async fn localhost_is_this_machine_and_nobody_is_asked() {
        for name in ["localhost", "LOCALHOST.", "registry.localhost"] {
            let found = resolve(name, 443).await.expect(name);
            assert_eq!(found, ["127.0.0.1", "::1"].map(address), "{name}");
        }
        assert_eq!(resolve("::1", 443).await.expect("an address"), [address("::1")]);
    }

    /// What becomes of an attempt, and after how many milliseconds.
    #[derive(Clone, Copy)]
    enum Fate {
        Accepts(u64),
        Refuses(u64),
        Dead,
    }

    /// Time is tokio's, and stands still unless everybody waits.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_dead_address() {
        use Fate::{Accepts, Dead, Refuses};
        for (fates, winner, begun) in [
            (&[][..], None, &[][..]),
            (&[Accepts(0)], Some(Ok(0)), &[0]),
            // The other one is not bothered where the first answers in time, and not a moment later.
            (&[Accepts(249), Accepts(0)], Some(Ok(0)), &[0]),
            (&[Dead, Accepts(0)], Some(Ok(1)), &[0, 250]),
            (&[Accepts(300), Accepts(0)], Some(Ok(1)), &[0, 250]),
            // Who was tried first may still be first.
            (&[Accepts(300), Accepts(100)], Some(Ok(0)), &[0, 250]),
            (&[Accepts(300), Refuses(10), Accepts(100)], Some(Ok(0)), &[0, 250, 260]),
            // Who fails makes room at once.
            (&[Refuses(0), Accepts(0)], Some(Ok(1)), &[0, 0]),
            (&[Refuses(20), Dead, Accepts(5)], Some(Ok(2)), &[0, 20, 270]),
            (&[Dead, Dead, Dead, Accepts(0)], Some(Ok(3)), &[0, 250, 500, 750]),
            (&[Refuses(900), Refuses(0)], Some(Err(0)), &[0, 250]),
            (&[Refuses(0), Refuses(0)], Some(Err(0)), &[0, 0]),
        ] {
            let (start, begun_at) = (Instant::now(), RefCell::new(Vec::new()));
            let addresses: Vec<_> = (0..fates.len()).map(|n| SocketAddr::from(([192, 0, 2, 1], n as u16))).collect();
            let attempt = |address: SocketAddr| {
                let n = usize::from(address.port());
                begun_at.borrow_mut().push(start.elapsed().as_millis() as u64);
                async move {
                    let (after, outcome) = match fates[n] {
                        Accepts(after) => (after, Ok(n)),
                        Refuses(after) => (after, Err(n)),
                        Dead => return std::future::pending().await,
                    };
                    sleep(Duration::from_millis(after)).await;
                    outcome
                }
            };
            let outcome = race(addresses, Duration::from_millis(250), attempt).await;
            assert_eq!((outcome, &begun_at.into_inner()[..]), (winner, begun), "{} addresses", fates.len());
        }
    }
}
