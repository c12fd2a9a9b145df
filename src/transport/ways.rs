//! What is different on the way to some hosts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use http::uri::Authority;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::origin::{Origin, Scheme};
use super::tls::{Tls, TlsOptions};
use super::transport::Protocol;
use crate::error::Error;

/// How one host is reached and treated, where that differs from all others. What is `None` is as in
/// [`Options`](super::Options).
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// The address to connect to, whatever the name resolves to, as curl's `--connect-to` has it. All else is as it was:
    /// the name in the request, the name in the certificate, whose credentials go there, and which proxy is used. A proxy
    /// is asked for a tunnel to this address, for plain HTTP as well.
    pub connect: Option<SocketAddr>,
    /// Whom to trust there, and who to be.
    pub tls: Option<TlsOptions>,
    /// Which versions of HTTP to offer.
    pub protocol: Option<Protocol>,
    /// How many bodies go up, and how many come down, at a time.
    pub concurrency: Option<NonZeroUsize>,
}

/// The options of all hosts that have some.
#[derive(Default)]
pub(super) struct Ways(HashMap<Origin, Arc<Way>>);

/// The options of one host.
pub(super) struct Way {
    pub(super) connect: Option<SocketAddr>,
    pub(super) concurrency: Option<NonZeroUsize>,
    tls: Option<(TlsOptions, Protocol)>,
    /// Made for the first request that needs it: a file that one host needs must not keep us from another.
    made: OnceCell<Tls>,
}

impl Ways {
    /// Puts the options of hosts beside those of all.
    pub(super) fn new(hosts: HashMap<Authority, HostOptions>, tls: &TlsOptions, protocol: Protocol) -> Self {
        let mut ways = HashMap::new();
        for (host, options) in hosts {
            let HostOptions { connect, tls: own, protocol: spoken, concurrency } = options;
            let is_special = own.is_some() || spoken.is_some();
            let special = || (own.unwrap_or_else(|| tls.clone()), spoken.unwrap_or(protocol));
            let way = Way { connect, concurrency, tls: is_special.then(special), made: OnceCell::new() };
            let way = Arc::new(way);
            for scheme in [Scheme::Http, Scheme::Https] {
                ways.extend(Origin::at(scheme, &host).map(|origin| (origin, way.clone())));
            }
        }
        Self(ways)
    }

    /// Returns the options of an origin that has some.
    pub(super) fn towards(&self, origin: &Origin) -> Option<&Arc<Way>> {
        self.0.get(origin)
    }

    /// Reads the files that a TLS connection to `origin` needs, once.
    pub(super) async fn ready(&self, origin: &Origin) -> Result<(), Error> {
        let Some(way) = self.towards(origin).filter(|_| origin.scheme() == Scheme::Https) else { return Ok(()) };
        let Some((options, protocol)) = &way.tls else { return Ok(()) };
        let make = || async {
            let (options, protocol) = (options.clone(), *protocol);
            let made = spawn_blocking(move || Tls::new(&options, protocol)).await;
            made.unwrap_or_else(|ended| Err(Error::io("read", "certificates", ended.into())))
        };
        way.made.get_or_try_init(make).await.map(|_| ())
    }
}

impl Way {
    /// Returns what a handshake there takes, where that is something of its own; [`Ways::ready`] came before.
    pub(super) fn tls(&self) -> Option<&Tls> {
        self.made.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_port_is_meant_at_the_usual_ones() {
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        let options = HostOptions { connect: Some(address), ..HostOptions::default() };
        let hosts = ["R.example", "p.example:5000", "[::1]:5000"]
            .map(|host| (Authority::from_static(host), options.clone()))
            .into();
        let ways = Ways::new(hosts, &TlsOptions::default(), Protocol::default());
        for (uri, found) in [
            ("https://r.example/", true),
            ("http://r.example/", true),
            ("https://r.example:8443/", false),
            ("http://r.example:443/", false),
            ("https://a.r.example/", false),
            ("https://p.example:5000/", true),
            ("http://p.example:5000/", true),
            ("https://p.example/", false),
            ("http://[::1]:5000/", true),
        ] {
            let origin = Origin::of(&uri.parse().expect(uri)).expect(uri);
            assert_eq!(ways.towards(&origin).is_some(), found, "{uri}");
        }
    }
}
