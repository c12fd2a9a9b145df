//! Where a `Location` leads, and whether we go there.

use std::net::IpAddr;

use http::{Response, Uri};
use hyper_util::client::legacy::connect::HttpInfo;

use super::origin::{Origin, Scheme, is_internal};
use crate::error::ParseError;

/// Resolves the `Location` of an answer from `base` ([RFC 3986, section 5](https://www.rfc-editor.org/rfc/rfc3986#section-5)).
///
/// Path and query stay byte for byte as they are, since both may be signed; dot segments go only where a path is joined
/// with that of `base`. A fragment is dropped. One thing is repaired: a server behind a TLS proxy that writes `http` for
/// its own host gets `https`, so that nothing is sent in the clear.
///
/// # Errors
///
/// The location is no URI, has user information, or another scheme than `http` and `https`. The error does not repeat
/// its query, which may be secret.
pub fn resolve(base: &Uri, location: &str) -> Result<Uri, ParseError> {
    let wrong = |expected| Err(ParseError::new("location", &printable(location), expected));
    let (Some(scheme), Some(authority)) = (base.scheme_str(), base.authority()) else {
        return wrong("a base with a scheme and a host");
    };
    let text = location.trim_matches([' ', '\t']);
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let whole = if let Some((scheme, rest)) = split_scheme(text) {
        if !rest.starts_with("//") || !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            return wrong("`http://` or `https://`");
        }
        text.to_owned()
    } else if text.starts_with("//") {
        format!("{scheme}:{text}")
    } else if text.starts_with('/') {
        format!("{scheme}://{authority}{text}")
    } else if text.starts_with('?') {
        format!("{scheme}://{authority}{}{text}", base.path())
    } else if text.is_empty() {
        return Ok(base.clone());
    } else {
        let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{}{query}", without_dots(&format!("{folder}/{path}")))
    };
    let uri = match whole.parse::<Uri>() {
        Ok(uri) => uri,
        Err(error) => return Err(ParseError::new("location", &printable(location), "a URI").because(&error)),
    };
    let Some(target) = uri.authority() else { return wrong("a host") };
    if target.as_str().contains('@') {
        return wrong("no user information");
    }
    let after_host = target.as_str().strip_prefix(target.host()).unwrap_or_default();
    if target.host().is_empty() || target.port().is_none() && !matches!(after_host, "" | ":") {
        return wrong("a host and a port");
    }
    Ok(keep_tls(base, uri))
}

/// Why an answer may not send us somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Astray {
    #[error("it leads from TLS to plain HTTP")]
    Unprotected,
    #[error("it leads to this machine")]
    ThisMachine,
    #[error("it leads to a private address")]
    Internal,
}

impl Astray {
    /// Says so of a redirect.
    pub(super) fn redirect(self) -> &'static str {
        match self {
            Self::Unprotected => "the redirect leads from TLS to plain HTTP",
            Self::ThisMachine => "the redirect leads to this machine",
            Self::Internal => "the redirect leads to a private address",
        }
    }
}

/// Returns the address that answered, where no proxy hides it.
pub(crate) fn peer<B>(response: &Response<B>) -> Option<IpAddr> {
    response.extensions().get::<HttpInfo>().map(|info| info.remote_addr().ip())
}

/// Judges whether an answer from `from` may send us to `to`; `peer` is the address that answered, where that is known.
///
/// A server out there must not be able to send us into the network around us, or to leave TLS. One that is inside itself
/// may lead to others inside, and one on this machine to others on this machine. Literal addresses and `localhost` are
/// judged, and not what names resolve to: names that mean something else inside are normal.
pub(crate) fn judge(from: &Origin, to: &Origin, peer: Option<IpAddr>) -> Result<(), Astray> {
    if from == to {
        return Ok(());
    }
    if from.scheme() == Scheme::Https && to.scheme() == Scheme::Http {
        return Err(Astray::Unprotected);
    }
    let peer = peer.map(|peer| peer.to_canonical());
    let here = from.is_loopback() || peer.is_some_and(|peer| peer.is_loopback());
    if to.is_loopback() && !here {
        return Err(Astray::ThisMachine);
    }
    let inside = from.is_internal() || peer.is_some_and(is_internal);
    if to.is_internal() && !inside {
        return Err(Astray::Internal);
    }
    Ok(())
}

/// Splits `scheme:rest`, where there is a scheme.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let letter = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (letter && plain).then_some((scheme, rest))
}

/// Takes `.` and `..` out of an absolute path (RFC 3986, section 5.2.4); empty segments stay.
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        // `a/.` and `a/b/..` are folders: they keep their slash.
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// Puts `https` back where only the scheme was lost.
fn keep_tls(base: &Uri, uri: Uri) -> Uri {
    let (Some(from), Some(to)) = (Origin::of(base), Origin::of(&uri)) else { return uri };
    let lost = from.scheme() == Scheme::Https && to.scheme() == Scheme::Http && from.host() == to.host();
    // `http://host` for `https://host` has lost its port with the scheme.
    let same_port = from.port() == to.port() || (from.port() == 443 && to.port() == 80);
    if !lost || !same_port {
        return uri;
    }
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTPS);
    parts.authority = base.authority().cloned();
    Uri::from_parts(parts).unwrap_or(uri)
}

/// Leaves out what may be secret: the query, and user information.
fn printable(location: &str) -> String {
    let (path, query) = location.split_at(location.find(['?', '#']).unwrap_or(location.len()));
    let path = match path.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}//{host}{path}")
        }
        None => path.to_owned(),
    };
    if query.is_empty() { path } else { format!("{path}?…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().expect(text)
    }

    #[test]
    fn locations_resolve_against_their_request() {
        for (base, location, expected) in [
            ("https://r.example/v2/", "https://cdn.example/x?sig=a%2Fb", "https://cdn.example/x?sig=a%2Fb"),
            ("https://r.example/v2/", "HTTPS://cdn.example/x", "https://cdn.example/x"),
            ("https://r.example/v2/a?q", "/v2/b?_state=x%3D%3D", "https://r.example/v2/b?_state=x%3D%3D"),
            ("https://r.example:5000/v2/a", "//cdn.example/y", "https://cdn.example/y"),
            ("https://r.example/v2/a/b", "c", "https://r.example/v2/a/c"),
            ("https://r.example/v2/a/b", "c/d?e=f/../g", "https://r.example/v2/a/c/d?e=f/../g"),
            ("https://r.example/v2/a/b", "../c", "https://r.example/v2/c"),
            ("https://r.example/v2/a/b", "../../../c", "https://r.example/c"),
            ("https://r.example/v2/a/b", "./c/.", "https://r.example/v2/a/c/"),
            ("https://r.example/v2/a/b", "..", "https://r.example/v2/"),
            ("https://r.example", "c", "https://r.example/c"),
            ("https://r.example/v2/a/b?x", "?y", "https://r.example/v2/a/b?y"),
            ("https://r.example/v2/a/b?x", "", "https://r.example/v2/a/b?x"),
            ("https://r.example/v2/", "/a#top", "https://r.example/a"),
            ("https://r.example/v2/", " /a\t", "https://r.example/a"),
            // Signed paths stay as they are.
            ("https://r.example/v2/", "https://b.example//x/../y/%2e%2E?a//b", "https://b.example//x/../y/%2e%2E?a//b"),
            ("https://r.example/v2/", "/a//b/../c", "https://r.example/a//b/../c"),
            ("https://r.example/v2/", "https://[2001:db8::1]:5000/x", "https://[2001:db8::1]:5000/x"),
            // A proxy in front of the server does TLS, and the server does not know.
            ("https://r.example/v2/", "http://r.example/a?b", "https://r.example/a?b"),
            ("https://r.example:5000/v2/", "http://R.example:5000/a", "https://r.example:5000/a"),
            ("https://r.example/v2/", "http://r.example:8080/a", "http://r.example:8080/a"),
            ("https://r.example/v2/", "http://other.example/a", "http://other.example/a"),
            ("http://r.example/v2/", "https://r.example/a", "https://r.example/a"),
        ] {
            let resolved = resolve(&uri(base), location).unwrap_or_else(|error| panic!("{location}: {error}"));
            assert_eq!(resolved, expected, "{base} and {location}");
        }
    }

    #[test]
    fn query_and_path_bytes_survive() {
        let location = "https://b.example/a%2Fb+c//d?X-Sig=%2b%2B+~&&=x?y/..";
        assert_eq!(resolve(&uri("https://r.example/"), location).expect("a location").to_string(), location);
    }

    #[test]
    fn what_is_no_place_for_us_is_refused_without_its_secrets() {
        let base = uri("https://r.example/v2/");
        for location in [
            "ftp://r.example/?secret",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:x",
            "r.example:5000/v2/",
            "https://ada:secret@r.example/",
            "https://ada:secret@r.example/?sig=secret",
            "https://",
            "https:///x",
            "https://r.example:99999/",
            "https://r.example:x/",
            "https://r.example/a b?secret",
            "https://r.example/\u{1}?secret",
            "http://[::1/",
        ] {
            let error = resolve(&base, location).expect_err(location).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(resolve(&uri("/v2/"), "/a").is_err(), "a base without a host");
    }

    #[test]
    fn redirects_must_not_lead_inside_or_out_of_tls() {
        let [machine, network, world] =
            ["127.0.0.1", "10.0.0.1", "192.0.2.1"].map(|address| Some(address.parse::<IpAddr>().expect(address)));
        for (from, to, peer, allowed) in [
            ("https://r.example", "https://cdn.example", world, true),
            ("https://r.example", "https://cdn.example", None, true),
            ("http://r.example", "https://r.example", world, true),
            ("http://r.example", "http://cdn.example", world, true),
            ("https://r.example", "http://cdn.example", world, false),
            ("https://r.example", "http://r.example:8080", world, false),
            ("https://localhost", "http://localhost", machine, false),
            // Into the network.
            ("https://r.example", "https://127.0.0.1", world, false),
            ("https://r.example", "https://localhost:5000", None, false),
            ("https://r.example", "https://a.localhost:5000", None, false),
            ("https://r.example", "https://[::1]", world, false),
            ("https://r.example", "https://[::ffff:127.0.0.1]", world, false),
            ("https://r.example", "https://10.0.0.1", world, false),
            ("https://r.example", "https://169.254.169.254", None, false),
            ("https://r.example", "https://2130706433", None, false),
            ("https://r.example", "https://0x7f.1", None, false),
            // Within it.
            ("http://r.corp.example", "http://10.0.0.9:9000", network, true),
            ("http://r.corp.example", "http://127.0.0.1:9000", network, false),
            ("http://r.corp.example", "http://127.0.0.1:9000", machine, true),
            ("http://10.0.0.1", "http://192.168.0.1", None, true),
            ("http://10.0.0.1", "http://127.0.0.1", None, false),
            ("http://localhost:5000", "http://127.0.0.1:5001", None, true),
            ("http://127.0.0.1:5000", "http://10.0.0.1", None, true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", None, true),
        ] {
            let [from, to] = [from, to].map(|text| Origin::of(&uri(text)).expect(text));
            assert_eq!(judge(&from, &to, peer).is_ok(), allowed, "{from} to {to} by {peer:?}");
        }
    }
}
