//! Which proxies stand on the way.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::origin::Origin;

/// Which proxies stand between us and others. Loopback is always reached directly.
#[derive(Clone)]
pub struct Proxies {
    matcher: Arc<Matcher>,
    /// `NO_PROXY` entries with a port, or in brackets, which the matcher does not know.
    direct: Arc<[(String, Option<u16>)]>,
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

    /// Returns the proxy on the way to `uri`.
    pub(super) fn towards(&self, uri: &Uri) -> Option<Intercept> {
        let origin = Origin::of(uri)?;
        let direct = |(host, port): &(String, Option<u16>)| {
            let below =
                origin.host().strip_suffix(host.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            below && port.is_none_or(|port| origin.port() == port)
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

fn with_port(no: &str) -> Arc<[(String, Option<u16>)]> {
    let entry = |entry: &str| {
        let entry = entry.trim();
        if let Some(address) = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Some((address.to_ascii_lowercase(), None));
        }
        let (host, port) = entry.rsplit_once(':')?;
        let host = host.trim_start_matches('.').trim_start_matches('[').trim_end_matches(']');
        // A bare IPv6 address has colons and no port; the matcher takes it.
        let bare = entry.parse::<IpAddr>().is_ok();
        (!bare && !host.is_empty()).then_some((host.to_ascii_lowercase(), Some(port.parse().ok()?)))
    };
    no.split(',').filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_by_destination() {
        let proxies = Proxies::given(
            "http://p.example:3128",
            "http://ada:pw@s.example:3128",
            "direct.example, .sub.example, 10.0.0.0/8, port.example:5000, ::1, [2001:db8::1], 2001:db8::2",
        );
        for (uri, expected) in [
            ("http://r.example/v2/", Some("http://p.example:3128/")),
            ("https://r.example/v2/", Some("http://s.example:3128/")),
            ("https://direct.example/", None),
            ("https://a.sub.example/", None),
            ("https://10.1.2.3/", None),
            ("https://[2001:db8::1]:5000/", None),
            ("https://[2001:db8::2]/", None),
            ("https://[2001:db8::3]/", Some("http://s.example:3128/")),
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
