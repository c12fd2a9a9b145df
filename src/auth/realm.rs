//! Which token services we talk to. Pure.
//!
//! The registry names its token service, and gets our password sent there: a hostile one would name any place that we
//! can reach. So the service must be protected as well as the registry itself, and must not lie behind our own door.

use std::net::IpAddr;

use http::Uri;

use crate::error::ParseError;
use crate::model::SafeUri;
use crate::transport::{Origin, Scheme, resolve};

/// Resolves the `realm` of a challenge that `registry` (the URI of the request) gave, and checks it.
pub(crate) fn check(registry: &Uri, realm: &str) -> Result<Uri, ParseError> {
    if realm.len() > MAX {
        return Err(ParseError::new("token service", realm, "at most 2048 characters"));
    }
    // Refuses user information, too.
    let uri = resolve(registry, realm)?;
    let refuse = |expected| Err(ParseError::new("token service", &SafeUri::from(&uri).to_string(), expected));
    let (Some(from), Some(to)) = (Origin::of(registry), Origin::of(&uri)) else {
        return refuse("a URI that begins with `https://`");
    };
    if to.scheme() == Scheme::Http && from.scheme() == Scheme::Https {
        return refuse("TLS, as the registry has it");
    }
    if !is_reachable_from(&from, &to) {
        return refuse("no address of a private network, unless the registry is there too");
    }
    Ok(uri)
}

/// Says whether a registry at `from` may send us to `to`.
fn is_reachable_from(from: &Origin, to: &Origin) -> bool {
    if !to.is_internal() || from.host() == to.host() || from.is_loopback() {
        return true;
    }
    // Within a private network addresses are as good as names; this machine and the cloud's metadata service are not.
    from.is_internal() && !to.is_loopback() && !is_link_local(to.host())
}

fn is_link_local(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unicast_link_local(),
        Err(_) => false,
    }
}

/// Bytes of a realm; real ones have up to a hundred.
const MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realms_are_resolved_against_the_request() {
        for (registry, realm, expected) in [
            ("https://r.example/v2/a/manifests/b", "https://auth.example/token", "https://auth.example/token"),
            ("https://r.example/v2/", "https://auth.example/token?x=y", "https://auth.example/token?x=y"),
            ("http://127.0.0.1:5000/v2/", "/token", "http://127.0.0.1:5000/token"),
            ("https://r.example/v2/a", "/v2/token", "https://r.example/v2/token"),
            ("https://r.example/v2/", "//auth.example/token", "https://auth.example/token"),
        ] {
            assert_eq!(check(&registry.parse().expect(registry), realm).expect(realm).to_string(), expected);
        }
    }

    #[test]
    fn passwords_do_not_go_anywhere() {
        for (registry, realm, accepted) in [
            ("https://r.example", "https://auth.example/t", true),
            ("https://r.example", "http://auth.example/t", false),
            ("http://r.example", "http://auth.example/t", true),
            ("http://r.example", "https://auth.example/t", true),
            ("https://r.example", "ftp://auth.example/t", false),
            ("https://r.example", "file:///etc/passwd", false),
            ("https://r.example", "https://ada@auth.example/t", false),
            ("https://r.example", "https://ada:hunter2@auth.example/t", false),
            ("https://r.example", "https://localhost/t", false),
            ("https://r.example", "https://x.localhost/t", false),
            ("https://r.example", "https://localhost./t", false),
            ("https://r.example", "https://127.0.0.1/t", false),
            ("https://r.example", "https://127.1/t", false),
            ("https://r.example", "https://[::1]/t", false),
            ("https://r.example", "https://[::ffff:127.0.0.1]/t", false),
            ("https://r.example", "https://169.254.169.254/t", false),
            ("https://r.example", "https://10.0.0.1/t", false),
            ("http://r.example", "http://192.168.1.1/t", false),
            ("https://r.example", "https://[fd00::1]/t", false),
            ("https://r.example", "https://8.8.8.8/t", true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/t", true),
            ("http://localhost:5000", "http://127.0.0.1:5001/t", true),
            ("http://localhost:5000", "http://10.0.0.1/t", true),
            ("https://10.0.0.2", "https://10.0.0.3/t", true),
            ("https://10.0.0.2", "https://127.0.0.1/t", false),
            ("https://10.0.0.2", "https://169.254.169.254/t", false),
            ("https://169.254.1.1", "https://169.254.1.1:8443/t", true),
        ] {
            let registry: Uri = format!("{registry}/v2/").parse().expect(registry);
            assert_eq!(check(&registry, realm).is_ok(), accepted, "{realm} from {registry}");
        }
        let error = check(&"https://r.example/".parse().expect("a URI"), "https://ada:hunter2@auth.example/t");
        assert!(!error.expect_err("refused").to_string().contains("hunter2"));
    }
}
