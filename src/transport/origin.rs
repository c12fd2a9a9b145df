//! The unit of trust and of limits.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::uri::Authority;

/// Scheme, host and port of a URI: what a credential is meant for, and what permits are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    /// Lower case, without brackets.
    host: String,
    port: u16,
}

/// The two schemes that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Origin {
    /// Returns the origin of an absolute `http` or `https` URI; anything else has none.
    pub fn of(uri: &Uri) -> Option<Self> {
        let scheme = match uri.scheme_str()? {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        Self::at(scheme, uri.authority()?)
    }

    /// Returns the origin of a host, and perhaps a port, that is spoken to with `scheme`.
    pub(super) fn at(scheme: Scheme, authority: &Authority) -> Option<Self> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // `a.example.` is `a.example`: for a resolver, and so for trust.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let default = match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let port = authority.port().map_or(default, |port| port.as_u16());
        (!host.is_empty()).then_some(Self { scheme, host, port })
    }

    /// Returns the scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host in lower case; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, which is the scheme's where the URI has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the origin as a URI that always names the port.
    pub(super) fn with_port(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{scheme}://{open}{}{close}:{}", self.host, self.port)
    }

    /// Says whether it is this machine: `localhost`, a name below it, or a loopback address.
    pub fn is_loopback(&self) -> bool {
        is_localhost(&self.host) || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Says whether it is named by an address, or a name for one, that only means something here: loopback, private,
    /// link-local, unspecified.
    pub(crate) fn is_internal(&self) -> bool {
        is_localhost(&self.host) || is_odd_address(&self.host) || self.address().is_some_and(is_internal)
    }

    /// Returns the address, where the host is one and no name.
    fn address(&self) -> Option<IpAddr> {
        self.host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        let (scheme, default) = match scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]")?
        } else {
            write!(f, "{scheme}://{host}")?
        }
        if *port == default { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// Says whether an address is reachable from here only.
pub(super) fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b); // RFC 6598
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || a == 0 || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Says whether a name in lower case is this machine's.
pub(super) fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Resolvers still take `127.1`, `0x7f000001` and `2130706433` for addresses, and nothing else ends in a number.
fn is_odd_address(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let numeric = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    numeric && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &str) -> Option<Origin> {
        Origin::of(&uri.parse().expect(uri))
    }

    #[test]
    fn scheme_host_and_port_make_an_origin() {
        for (uri, expected) in [
            ("https://r.example/v2/", Some("https://r.example")),
            ("https://R.Example:443/x?y", Some("https://r.example")),
            ("https://r.example./", Some("https://r.example")),
            ("http://r.example:443", Some("http://r.example:443")),
            ("http://ada:pw@r.example/", Some("http://r.example")),
            ("http://[::1]:5000/", Some("http://[::1]:5000")),
            ("http://127.0.0.1:80/", Some("http://127.0.0.1")),
            ("ftp://r.example/", None),
            ("/v2/", None),
            ("r.example:443", None),
        ] {
            assert_eq!(origin(uri).map(|origin| origin.to_string()).as_deref(), expected, "{uri}");
        }
        assert_ne!(origin("http://r.example"), origin("https://r.example"));
        assert_ne!(origin("https://r.example"), origin("https://r.example:8443"));
        assert_eq!(origin("https://r.example"), origin("HTTPS://r.example:443/other"));
    }

    #[test]
    fn this_machine_and_the_network_behind_it_are_known() {
        for (host, loopback, internal) in [
            ("localhost", true, true),
            ("a.localhost", true, true),
            ("notlocalhost", false, false),
            ("localhost.example", false, false),
            ("127.0.0.1", true, true),
            ("127.9.9.9", true, true),
            ("[::1]", true, true),
            ("[::ffff:127.0.0.1]", true, true),
            ("[::ffff:10.0.0.1]", false, true),
            ("10.1.2.3", false, true),
            ("172.16.0.1", false, true),
            ("172.32.0.1", false, false),
            ("192.168.0.1", false, true),
            ("169.254.169.254", false, true),
            ("100.64.0.1", false, true),
            ("0.0.0.0", false, true),
            ("[fd00::1]", false, true),
            ("[fe80::1]", false, true),
            ("[2001:db8::1]", false, false),
            ("1.1.1.1", false, false),
            ("127.1", false, true),
            ("2130706433", false, true),
            ("0x7f.1", false, true),
            ("127.0.0.0x1", false, true),
            ("r.example", false, false),
            ("1password.example", false, false),
        ] {
            let origin = origin(&format!("http://{host}/")).expect(host);
            assert_eq!(origin.is_loopback(), loopback, "{host}");
            assert_eq!(origin.is_internal(), internal, "{host}");
        }
    }
}
