//! SERVER as people write it: `ghcr.io`, `localhost:5000`, `https://index.docker.io/v1/`, `ghcr.io/team`.

use std::fmt;
use std::str::FromStr;

use crate::model::{Name, ParseError, Registry};

/// A registry to log in to or out of, as it was typed and as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    typed: String,
    /// The registry, with its port.
    pub(crate) registry: Registry,
    /// The namespace below which the login is good; `None` for all of the registry.
    pub(crate) namespace: Option<Name>,
    /// What the scheme says, where one was typed.
    pub(crate) scheme: Scheme,
}

/// Which protocol the text asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// No scheme: HTTPS, and what the flags say.
    Unsaid,
    /// `https://`.
    Https,
    /// `http://`: plain HTTP, as with `--plain-http`.
    Http,
}

impl fmt::Display for Server {
    /// Prints it as it was typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl FromStr for Server {
    type Err = ParseError;

    /// Parses `[SCHEME://]HOST[:PORT][/]`; the path of the API may follow, and after a scheme any path, as with Spin. It is
    /// dropped: Docker's `https://index.docker.io/v1/` means Docker Hub. Without a scheme any other path is a namespace, as
    /// with podman.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |expected, at: usize| ParseError::new("server", text, expected).at(at);
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Unsaid, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some(_) => return Err(refuse("the scheme `https` or `http`, or none", 0)),
        };
        let start = text.len() - rest.len();
        let (host, path) = match rest.split_once(['/', '?', '#']) {
            Some((host, path)) if scheme != Scheme::Unsaid || API.contains(&path.trim_end_matches('/')) => (host, ""),
            Some((host, path)) => (host, path.trim_end_matches('/')),
            None => (rest, ""),
        };
        if host.is_empty() {
            return Err(refuse("a host", start));
        }
        // Before anything prints the text: what stands before an `@` may be a password.
        if host.contains('@') {
            return Err(ParseError::new("server", "…@…", "a host without user name and password"));
        }
        let registry = host.parse().map_err(|error: ParseError| error.within("server", text, start))?;
        let namespace = match path {
            "" => None,
            _ if path.split('/').next().is_some_and(|first| API.contains(&first)) => {
                return Err(refuse("a namespace without the path of the API", start + host.len() + 1));
            }
            path => {
                let parsed = path.parse::<Name>();
                Some(parsed.map_err(|_| refuse("a namespace, without a tag or digest", start + host.len() + 1))?)
            }
        };
        Ok(Self { typed: text.to_owned(), registry, namespace, scheme })
    }
}

/// What stands behind a host where its whole API is meant.
const API: [&str; 3] = ["", "v1", "v2"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_stays_and_the_rest_goes() {
        for (text, registry, scheme) in [
            ("ghcr.io", "ghcr.io", Scheme::Unsaid),
            ("ghcr.io/", "ghcr.io", Scheme::Unsaid),
            ("ghcr.io/v2/", "ghcr.io", Scheme::Unsaid),
            ("index.docker.io/v1", "docker.io", Scheme::Unsaid),
            ("localhost:5000", "localhost:5000", Scheme::Unsaid),
            ("https://r.example:8443/some/path?x", "r.example:8443", Scheme::Https),
            ("HTTP://127.0.0.1:5000", "127.0.0.1:5000", Scheme::Http),
            ("https://[::1]:5000/", "[::1]:5000", Scheme::Https),
            ("docker.io", "docker.io", Scheme::Unsaid),
            ("index.docker.io", "docker.io", Scheme::Unsaid),
            ("registry-1.docker.io", "docker.io", Scheme::Unsaid),
            ("https://index.docker.io/v1/", "docker.io", Scheme::Https),
        ] {
            let server: Server = text.parse().expect(text);
            assert_eq!((server.registry.as_str(), server.scheme), (registry, scheme), "{text}");
            assert_eq!(server.to_string(), text);
        }
    }

    #[test]
    fn a_path_is_a_namespace() {
        for (text, registry, namespace) in [
            ("ghcr.io/me", "ghcr.io", Some("me")),
            ("localhost:5000/a/b/", "localhost:5000", Some("a/b")),
            ("docker.io/me", "docker.io", Some("me")),
            ("https://ghcr.io/me", "ghcr.io", None),
            ("ghcr.io/v2/", "ghcr.io", None),
        ] {
            let server: Server = text.parse().expect(text);
            assert_eq!((server.registry.as_str(), server.namespace.as_ref().map(Name::as_str)), (registry, namespace));
        }
    }

    #[test]
    fn refusals_name_what_was_expected_and_no_password() {
        for (text, said) in [
            ("", "a host"),
            ("https://", "a host"),
            ("ftp://r.example", "the scheme"),
            ("ghcr.io/v2/me", "without the path of the API"),
            ("ghcr.io/me:v1", "without a tag"),
            ("ghcr.io/ME", "a namespace"),
            ("ghcr.io//me", "a namespace"),
            ("ghcr.io?m=e", "a namespace"),
            ("r.example:x", "a port"),
            ("https://ada:hunter2@r.example/", "without user name"),
            ("ada:hunter2@r.example", "without user name"),
        ] {
            let error = text.parse::<Server>().expect_err(text).to_string();
            assert!(error.contains(said) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
