//! References: `[REGISTRY/]NAME[:TAG][@DIGEST]` (distribution-spec 1.1, "Pulling manifests", and Docker's defaults).

use std::fmt;
use std::str::FromStr;

use super::Digest;
use super::ParseError;

/// A registry's name: a host, perhaps with a port. Lowercase; `index.docker.io` and
/// `registry-1.docker.io` are folded into `docker.io`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Registry(String);

impl Registry {
    /// The name that Docker Hub goes by in references.
    pub const DOCKER_HUB: &'static str = "docker.io";

    /// Returns the name as it stands in references, such as `ghcr.io` or `localhost:5000`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host (and port) that serves the API: `registry-1.docker.io` for Docker Hub,
    /// the name itself for everyone else.
    pub fn api_host(&self) -> &str {
        if self.is_docker_hub() { "registry-1.docker.io" } else { &self.0 }
    }

    /// Returns the host without port and without the brackets of an IPv6 literal.
    pub fn host(&self) -> &str {
        match self.0.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((literal, _)) => literal,
            None => self.0.split_once(':').map_or(self.0.as_str(), |(host, _)| host),
        }
    }

    /// Says whether this is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.0 == Self::DOCKER_HUB
    }

    /// Says whether the name is `localhost`, below `.localhost`, or an address of the loopback range.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Registry {
    type Err = ParseError;

    /// Parses a host name, an IPv4 address or a bracketed IPv6 address, each perhaps with `:PORT`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let lower = text.to_ascii_lowercase();
        let (host, port) = match lower.strip_prefix('[') {
            Some(rest) => {
                let Some((literal, port)) = rest.split_once(']') else {
                    return Err(ParseError::new("registry", text, "a `]` after the IPv6 address"));
                };
                if literal.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(ParseError::new("registry", text, "an IPv6 address inside the brackets").at(1));
                }
                (&lower[..literal.len() + 2], port)
            }
            None => {
                let (host, port) = lower.split_at(lower.find(':').unwrap_or(lower.len()));
                for (label, start) in segments(host, '.') {
                    let edges = label.starts_with('-') || label.ends_with('-');
                    if label.is_empty() || edges {
                        return Err(ParseError::new(
                            "registry",
                            text,
                            "host labels of letters and digits, with `-` inside",
                        )
                        .at(start));
                    }
                    if let Some(bad) = label.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'-') {
                        return Err(ParseError::new("registry", text, "letters, digits, `-` and `.` in a host name")
                            .at(start + bad));
                    }
                }
                (host, port)
            }
        };
        if !port.is_empty() && port.strip_prefix(':').and_then(parse_port).is_none() {
            return Err(ParseError::new("registry", text, "a port from 1 to 65535 after the colon").at(host.len()));
        }
        Ok(Self(match lower.as_str() {
            "index.docker.io" | "registry-1.docker.io" => Self::DOCKER_HUB.to_owned(),
            _ => lower,
        }))
    }
}

/// A repository's name: the spec's `<name>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The longest name that is accepted, in bytes; many registries cap host and name at this together.
    pub const MAX: usize = 255;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseError;

    /// Parses slash-separated components of lowercase letters and digits, separated inside by
    /// one `.`, one or two `_`, or any number of `-`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > Self::MAX {
            return Err(ParseError::new("repository name", text, "at most 255 characters").at(Self::MAX));
        }
        for (component, start) in segments(text, '/') {
            if let Some((at, expected)) = refuse_component(component) {
                return Err(ParseError::new("repository name", text, expected).at(start + at));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

/// A tag: 1 to 128 characters of ASCII letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The longest tag, in bytes.
    pub const MAX: usize = 128;

    /// Returns the tag that is meant where none is named.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() || text.len() > Self::MAX {
            return Err(ParseError::new("tag", text, "1 to 128 characters"));
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        match text.bytes().enumerate().find(|(n, b)| !word(*b) && (*n == 0 || !b".-".contains(b))) {
            Some((0, _)) => Err(ParseError::new("tag", text, "a letter, digit or `_` at the start").at(0)),
            Some((n, _)) => Err(ParseError::new("tag", text, "letters, digits, `_`, `.` and `-` only").at(n)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// What names a manifest inside a repository: the spec's `<reference>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// By its digest: always the same manifest.
    Digest(Digest),
    /// By a tag: whatever manifest it points to now.
    Tag(Tag),
}

impl Identifier {
    /// Returns the digest, if the identifier is one.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

impl FromStr for Identifier {
    type Err = ParseError;

    /// Parses a digest where there is a colon, a tag otherwise.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.contains(':') { text.parse().map(Self::Digest) } else { text.parse().map(Self::Tag) }
    }
}

/// A manifest in a repository of a registry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: Registry,
    name: Name,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// Puts a reference together; without tag and digest it means the tag `latest`.
    pub fn new(registry: Registry, name: Name, tag: Option<Tag>, digest: Option<Digest>) -> Self {
        let tag = if tag.is_none() && digest.is_none() { Some(Tag::latest()) } else { tag };
        Self { registry, name, tag, digest }
    }

    /// Returns the registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the repository's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the tag, if there is one.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Returns the digest, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns what to ask the registry for: the digest where there is one, else the tag.
    pub fn identifier(&self) -> Identifier {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Identifier::Digest(*digest),
            (None, Some(tag)) => Identifier::Tag(tag.clone()),
            (None, None) => Identifier::Tag(Tag::latest()),
        }
    }

    /// Returns the reference to exactly `digest` in the same repository, without a tag.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    /// Prints the canonical form `registry/name[:tag][@digest]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = ParseError;

    /// Parses `[REGISTRY/]NAME[:TAG][@DIGEST]`.
    ///
    /// The first component is a registry where it has a `.` or a `:`, or is `localhost`; otherwise
    /// the registry is `docker.io`, where a name of one component gets `library/` before it.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |error: ParseError, start: usize| error.within("reference", text, start);
        // Before anything prints the text: what stands before the last `@` may be a password.
        if let Some((_, after)) = text.rsplit_once('@').filter(|(before, after)| is_host(before, after)) {
            let expected = "no user name and password: `login` keeps them";
            return Err(ParseError::new("reference", &format!("…@{after}"), expected));
        }
        if let Some(scheme) = text.find("://") {
            return Err(ParseError::new("reference", text, "no scheme: begin with the registry's name").at(scheme));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|error| refuse(error, rest.len() + 1))?)),
            None => (text, None),
        };
        let (registry, path) = match rest.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost") => {
                (first, path)
            }
            _ => (Registry::DOCKER_HUB, rest),
        };
        let start = rest.len() - path.len();
        let (name, tag) = match path.rsplit_once(':') {
            Some((name, tag)) => (name, Some(tag.parse().map_err(|error| refuse(error, start + name.len() + 1))?)),
            None => (path, None),
        };
        let registry: Registry = registry.parse().map_err(|error| refuse(error, 0))?;
        let name: Name = name.parse().map_err(|error| refuse(error, start))?;
        let name = match registry.is_docker_hub() && !name.0.contains('/') {
            true if name.0.len() > Name::MAX - LIBRARY.len() => {
                let expected = "at most 247 characters, since `library/` comes before it";
                let error = ParseError::new("repository name", &name.0, expected).at(Name::MAX - LIBRARY.len());
                return Err(refuse(error, start));
            }
            true => Name(format!("{LIBRARY}{}", name.0)),
            false => name,
        };
        Ok(Self::new(registry, name, tag, digest))
    }
}

/// What docker puts before a name of one component.
const LIBRARY: &str = "library/";

macro_rules! text_type {
    ($($type:ident),+) => { $(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )+ };
}
text_type!(Registry, Name, Tag);

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Splits at `separator` and says where each segment begins.
fn segments(text: &str, separator: char) -> impl Iterator<Item = (&str, usize)> {
    let mut start = 0;
    text.split(separator).map(move |segment| {
        let at = start;
        start += segment.len() + 1;
        (segment, at)
    })
}

fn parse_port(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|port| *port != 0)
}

/// Returns where a component of a repository name is wrong, and what was expected there.
fn refuse_component(component: &str) -> Option<(usize, &'static str)> {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Some((0, "no empty component"));
    };
    if let Some(bad) = bytes.iter().position(|b| !alphanumeric(*b) && !b"._-".contains(b)) {
        return Some((bad, "lowercase letters, digits, `.`, `_` and `-`"));
    }
    if !alphanumeric(*first) {
        return Some((0, "a lowercase letter or digit at the start of a component"));
    }
    if !alphanumeric(*last) {
        return Some((bytes.len() - 1, "a lowercase letter or digit at the end of a component"));
    }
    let mut at = 0;
    for run in bytes.chunk_by(|a, b| alphanumeric(*a) == alphanumeric(*b)) {
        let separator =
            alphanumeric(run[0]) || run == b"." || run == b"_" || run == b"__" || run.iter().all(|b| *b == b'-');
        if !separator {
            return Some((at, "`.`, `_`, `__` or dashes between letters and digits"));
        }
        at += run.len();
    }
    None
}

/// Says whether an `@` ends user information, as in URLs, instead of beginning a digest.
fn is_host(before: &str, after: &str) -> bool {
    let in_host = before.contains(':') && !before.contains('/');
    before.contains('@') || after.contains(['/', '.']) || in_host && !after.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_name_that_gets_longer_than_names_may_be_is_refused() {
        let longest = "a".repeat(247);
        let reference: Reference = longest.parse().expect("with `library/` it has 255 characters");
        assert_eq!(reference.to_string().parse(), Ok(reference));
        let error = format!("{longest}a").parse::<Reference>().expect_err("with `library/` it has 256 characters");
        assert_eq!((error.position(), error.expected().contains("library/")), (Some(247), true), "{error}");
    }

    #[test]
    fn canonical_text() {
        for (text, canonical) in [
            ("app", "docker.io/library/app:latest"),
            ("ada/app", "docker.io/ada/app:latest"),
            ("ada/app:v1", "docker.io/ada/app:v1"),
            ("docker.io/app", "docker.io/library/app:latest"),
            ("index.docker.io/app:1", "docker.io/library/app:1"),
            ("registry-1.docker.io/a/b", "docker.io/a/b:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("GHCR.io/ada/app:V1", "ghcr.io/ada/app:V1"),
            ("127.0.0.1:80/a/b/c:x", "127.0.0.1:80/a/b/c:x"),
            ("[::1]:5000/app:v1", "[::1]:5000/app:v1"),
            ("ghcr.io/a__b/c--d/e.f:_x.-", "ghcr.io/a__b/c--d/e.f:_x.-"),
        ] {
            let reference: Reference = text.parse().expect(text);
            assert_eq!(reference.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(reference));
        }
        for text in [format!("ghcr.io/a@{D}"), format!("ghcr.io/a:v1@{D}")] {
            assert_eq!(text.parse::<Reference>().expect("a digest").to_string(), text);
        }
    }

    #[test]
    fn digest_wins_over_tag() {
        let reference: Reference = format!("ghcr.io/a:v1@{D}").parse().expect("a reference");
        assert_eq!(reference.identifier().to_string(), D);
        assert_eq!(reference.tag().map(Tag::as_str), Some("v1"));
        let untagged: Reference = format!("ghcr.io/a@{D}").parse().expect("a reference");
        assert_eq!(untagged.tag(), None);
    }

    #[test]
    fn refusals_point_at_the_part() {
        let long = format!("ghcr.io/{}", "a".repeat(256));
        for (text, position, said) in [
            ("", 0, "no empty component"),
            ("oci://ghcr.io/a", 3, "no scheme"),
            ("https://ghcr.io/a", 5, "no scheme"),
            ("ghcr.io/", 8, "no empty component"),
            ("ghcr.io//a", 8, "no empty component"),
            ("ghcr.io/A", 8, "lowercase"),
            ("Upper/x", 0, "lowercase"),
            ("ghcr.io/a b", 9, "lowercase"),
            ("ghcr.io/../x", 8, "at the start"),
            ("ghcr.io/a_", 9, "at the end"),
            ("ghcr.io/a___b", 9, "between"),
            ("ghcr.io/a._b", 9, "between"),
            ("ghcr.io/a:", 10, "1 to 128"),
            ("ghcr.io/a:-v", 10, "at the start"),
            ("ghcr.io/a:v 1", 11, "letters"),
            ("ghcr.io/a:v1:v2", 9, "lowercase"),
            ("ghcr.io/a@", 10, "an algorithm"),
            ("ghcr.io/a@sha256:12", 17, "64 hexadecimal"),
            ("ghcr.io:0/a", 7, "a port"),
            ("ghcr.io:99999/a", 7, "a port"),
            ("-x.io/a", 0, "host labels"),
            ("x..io/a", 2, "host labels"),
            ("exa_mple.io/a", 3, "host name"),
            ("[::1/a", 0, "`]`"),
            (long.as_str(), 263, "255"),
        ] {
            let error = text.parse::<Reference>().expect_err(text);
            assert!(error.to_string().contains(said), "{text}: {error}");
            if position > 0 {
                assert_eq!(error.position(), Some(position), "{text}: {error}");
            }
        }
    }

    #[test]
    fn hosts_are_understood() {
        for (text, host, api, loopback) in [
            ("docker.io", "docker.io", "registry-1.docker.io", false),
            ("localhost:5000", "localhost", "localhost:5000", true),
            ("app.localhost", "app.localhost", "app.localhost", true),
            ("127.9.9.9:1", "127.9.9.9", "127.9.9.9:1", true),
            ("[::1]:1", "::1", "[::1]:1", true),
            ("localhost.example", "localhost.example", "localhost.example", false),
        ] {
            let registry: Registry = text.parse().expect(text);
            assert_eq!((registry.host(), registry.api_host(), registry.is_loopback()), (host, api, loopback));
        }
    }

    #[test]
    fn r2_passwords_before_a_registry_are_not_repeated() {
        let digest = Digest::of(b"");
        for text in [
            "https://ada:hunter2@r.example/app:v1",
            "https://ada:hunter2@r.example",
            "ada:hunter2@r.example/app:v1",
            "ada:hunter2@localhost:5000/app",
            "ada:hunter2@localhost/app",
            "ada:hunter2@host",
            "ada:hun/hunter2@r.example/app",
            "ada:hun@hunter2@r.example/app",
            &format!("ada:hunter2@r.example/app@{digest}"),
        ] {
            let error = text.parse::<Reference>().expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            assert!(error.to_string().contains("no user name and password"), "{error}");
        }
        let error = "r.example/a@sha256:00".parse::<Reference>().expect_err("too short").to_string();
        assert!(error.contains("r.example/a@sha256:00"), "{error}");
    }
}
