//! Which proxies stand on the way.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::origin::Origin;
use crate::error::ParseError;

/// Which proxies stand between us and others. Loopback is always reached directly.
#[derive(Clone)]
pub struct Proxies {
    matcher: Arc<Matcher>,
    /// `NO_PROXY` entries with a port, or in brackets, which the matcher does not know.
    direct: Arc<[(String, Option<u16>)]>,
    /// The first variable that names no proxy.
    fault: Option<ParseError>,
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or their lower case forms, as curl does.
    ///
    /// Proxies may be `http`, `https` and `socks5` URIs, with a user and password. `NO_PROXY` takes names (and what is
    /// below them), addresses, networks such as `10.0.0.0/8`, `host:port`, and `*`.
    ///
    /// A variable that names no proxy is remembered as the [`fault`](Self::fault), with which no transport is made: going
    /// directly where somebody wants a proxy could show others what they should not see.
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let no = ["NO_PROXY", "no_proxy"].iter().find_map(|name| variable(name)).unwrap_or_default();
        Self { matcher: Arc::new(Matcher::from_env()), direct: with_port(&no), fault: fault(variable) }
    }

    /// Goes everywhere directly.
    pub fn none() -> Self {
        Self { matcher: Arc::new(Matcher::builder().build()), direct: Arc::new([]), fault: None }
    }

    /// Uses these proxies, each empty for none, with the grammar of the variables.
    pub fn given(http: &str, https: &str, no: &str) -> Self {
        let matcher = Matcher::builder().http(http).https(https).no(no).build();
        Self { matcher: Arc::new(matcher), direct: with_port(no), fault: None }
    }

    /// Returns what is wrong with the first variable that names no proxy: its name, and nothing of its value, which may have
    /// a password.
    pub fn fault(&self) -> Option<&ParseError> {
        self.fault.as_ref()
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

/// Finds the first variable that is set and names no proxy.
fn fault(variable: impl Fn(&str) -> Option<String>) -> Option<ParseError> {
    let set = |name: &&str| variable(name).is_some_and(|value| !value.trim().is_empty() && !names_proxy(&value));
    let name = VARIABLES.iter().find(|name| set(name))?;
    Some(ParseError::new("proxy variable", name, "a URL such as `http://proxy.example:3128`"))
}

/// Says whether a text names a proxy of a kind that we speak to.
fn names_proxy(text: &str) -> bool {
    let proxy = Matcher::builder().all(text).build().intercept(&Uri::from_static("http://r.example/"));
    let Some(proxy) = proxy.as_ref().map(Intercept::uri) else { return false };
    let known = matches!(proxy.scheme_str(), Some("http" | "https" | "socks5" | "socks5h"));
    // A port that is none is taken by the URI, and by nobody after it.
    let after_host = proxy.authority().and_then(|place| place.as_str().strip_prefix(place.host()));
    known && (proxy.port().is_some() || after_host == Some(""))
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

/// All that may name a proxy.
const VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_name_no_proxy_are_named() {
        for (name, value, usable) in [
            ("HTTPS_PROXY", "http://p.example:3128", true),
            ("HTTPS_PROXY", "http://ada:p%40w@p.example:3128/", true),
            ("https_proxy", "p.example:3128", true),
            ("ALL_PROXY", "socks5h://[::1]:9050", true),
            ("ALL_PROXY", "", true),
            ("NO_PROXY", "what ever", true),
            ("HTTPS_PROXY", "http://ada:hunter 2@p.example", false),
            ("HTTPS_PROXY", "http://", false),
            ("http_proxy", "http://p.example:port", false),
            ("http_proxy", "http://p.example:31280000", false),
            ("ALL_PROXY", "socks4://p.example:1080", false),
            ("ALL_PROXY", "ftp://hunter2@p.example", false),
            ("all_proxy", "/hunter2", false),
        ] {
            let fault = fault(|asked| (asked == name).then(|| value.to_owned())).map(|fault| fault.to_string());
            assert_eq!(fault.is_none(), usable, "{name}={value}");
            let told = fault.unwrap_or_else(|| name.to_owned());
            assert!(told.contains(name) && !told.contains("hunter"), "{told}");
        }
    }

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
