//! What can go wrong, by blame.
//!
//! Each variant says who is at fault; its payload is plain data that names the thing, the place and the cause.
//! Nothing here can hold a secret: requests print through [`SafeUri`], credentials never enter.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, StatusCode};

use crate::model::{Descriptor, Digest, ErrorCode, ErrorEntry, Registry, SafeUri, excerpt};

pub use crate::model::ParseError;

/// The cause of an error, where another library or the system has one.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why moving content failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Our disk: a file could not be read or written.
    #[error(transparent)]
    Io(#[from] Box<IoFailure>),
    /// The bytes: content is not what its descriptor says.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// The world: what was asked for is not there.
    #[error(transparent)]
    NotFound(#[from] Box<Missing>),
    /// The caller (or a document it gave): text that does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The peer: an answer that breaks the protocol.
    #[error(transparent)]
    Protocol(#[from] Box<Violation>),
    /// The registry: an answer that says no.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
    /// The credentials: missing, wrong or not enough.
    #[error(transparent)]
    Unauthorized(#[from] Box<Unmet>),
    /// The network: no answer.
    #[error(transparent)]
    Unreachable(#[from] Box<Unreachable>),
    /// The credential helper: a program that should have had credentials, and gave no answer.
    #[error(transparent)]
    Helper(#[from] Box<HelperFailure>),
}

impl Error {
    /// Blames our disk: `doing` completes "cannot … `path`", such as `read` or `write`.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io(Box::new(IoFailure { doing, path: path.into(), source }))
    }

    /// Blames the peer for breaking `rule` in its answer to `request`.
    pub fn protocol(request: RequestLine, rule: &'static str) -> Self {
        Self::Protocol(Box::new(Violation { request, rule, cause: None }))
    }

    /// Says whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(failure) => {
                matches!(failure.kind, UnreachableKind::Connect | UnreachableKind::TimedOut | UnreachableKind::Broken)
            }
            Self::Refused(refused) => refused.status.is_server_error() || matches!(refused.status.as_u16(), 408 | 429),
            _ => false,
        }
    }

    /// Says whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Says whether the registry does not let us.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Unauthorized(_) => true,
            Self::Refused(refused) => matches!(refused.status.as_u16(), 401 | 403),
            _ => false,
        }
    }

    /// Returns the first error code that the registry gave.
    pub fn code(&self) -> Option<&ErrorCode> {
        self.codes().next()
    }

    /// Yields all error codes that the registry gave.
    pub fn codes(&self) -> impl Iterator<Item = &ErrorCode> {
        let entries: &[ErrorEntry] = match self {
            Self::Refused(refused) => &refused.errors,
            Self::NotFound(missing) => &missing.errors,
            Self::Unauthorized(unmet) => &unmet.errors,
            _ => &[],
        };
        entries.iter().map(|entry| &entry.code)
    }
}

/// A request, as errors name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// The URI; prints without secrets.
    pub uri: SafeUri,
}

impl RequestLine {
    /// Names a request.
    pub fn new(method: &Method, uri: &http::Uri) -> Self {
        Self { method: method.clone(), uri: uri.into() }
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri)
    }
}

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{}`", path.display())]
pub struct IoFailure {
    /// What we were doing: `read`, `write`, `create`, `rename`, `lock`…
    pub doing: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Content that is not what its descriptor says.
#[derive(Debug, thiserror::Error)]
pub struct Mismatch {
    /// What was expected.
    pub expected: Descriptor,
    /// What came instead.
    pub actual: Actual,
    /// Where it came from: a file or a request.
    pub place: Place,
}

/// How content differs from its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actual {
    /// The right length and another digest.
    Digest(Digest),
    /// It ended early, at this many bytes.
    Short(u64),
    /// It did not end where it should have.
    Long,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, actual, place } = self;
        match actual {
            Actual::Digest(actual) => write!(f, "content of `{}` has the digest `{actual}`", expected.digest)?,
            Actual::Short(size) => {
                write!(f, "content of `{}` ends after {size} of {} bytes", expected.digest, expected.size)?;
            }
            Actual::Long => write!(f, "content of `{}` is longer than its {} bytes", expected.digest, expected.size)?,
        }
        f.write_str(&place.parenthesis(&Details::default()))
    }
}

/// Where content is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// In memory, or not known.
    #[default]
    Unknown,
    /// In a file.
    File(PathBuf),
    /// In the answer to a request.
    Request(RequestLine),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("an unknown place"),
            Self::File(path) => path.display().fmt(f),
            Self::Request(request) => request.fmt(f),
        }
    }
}

/// Something asked for by name that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{what} was not found{}{}", place.parenthesis(details), said(errors))]
pub struct Missing {
    /// What was asked for, as in "manifest `v1`".
    pub what: String,
    /// Where.
    pub place: Place,
    /// What the registry said, where one was asked.
    pub errors: Vec<ErrorEntry>,
    /// What else its answer says about itself.
    pub details: Details,
}

/// An answer that breaks the protocol.
#[derive(Debug, thiserror::Error)]
#[error("{rule} ({request})")]
pub struct Violation {
    /// The request that was answered.
    pub request: RequestLine,
    /// What is wrong with the answer, as in "the upload session has no `Location`".
    pub rule: &'static str,
    /// What a parser said about it.
    #[source]
    pub cause: Option<Cause>,
}

/// An answer that says no.
#[derive(Debug, thiserror::Error)]
#[error("the registry answered {status}{}{} ({request}{})", said(errors), details.paged(), details.identified())]
pub struct Refused {
    /// The request that was refused.
    pub request: RequestLine,
    /// The status.
    pub status: StatusCode,
    /// The errors of the body; empty where it was no error body.
    pub errors: Vec<ErrorEntry>,
    /// How often it was tried.
    pub attempts: u32,
    /// What else the answer says about itself.
    pub details: Details,
}

/// What an answer says about itself, for those who ask the registry's people, or their own proxy's, about it. All of
/// it is bounded and without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// By which number the registry knows the request, as in `X-Request-Id`.
    pub request_id: Option<String>,
    /// The title of the body, where that is a page for people: registries send none, proxies do.
    pub page: Option<String>,
    /// How much may be asked of the registry.
    pub allowance: Option<Allowance>,
}

/// How much may be asked of a registry, as far as it says so: `RateLimit-Limit` and `RateLimit-Remaining`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many requests, or pulls.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: Option<u64>,
    /// In which time.
    pub window: Option<Duration>,
}

impl Details {
    fn paged(&self) -> String {
        self.page.as_ref().map(|title| format!(": a page titled `{title}`")).unwrap_or_default()
    }

    fn identified(&self) -> String {
        self.request_id.as_ref().map(|id| format!(", request id `{id}`")).unwrap_or_default()
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests", self.limit)?;
        match self.window.map(|window| window.as_secs()) {
            None | Some(0) => {}
            Some(seconds) if seconds.is_multiple_of(3_600) => write!(f, " in {} h", seconds / 3_600)?,
            Some(seconds) if seconds.is_multiple_of(60) => write!(f, " in {} min", seconds / 60)?,
            Some(seconds) => write!(f, " in {seconds} s")?,
        }
        match self.remaining {
            Some(left) => write!(f, ", of which {left} are left"),
            None => Ok(()),
        }
    }
}

/// Credentials that are missing, wrong or not enough.
#[derive(Debug, thiserror::Error)]
#[error("{registry} {} ({request}{}){}", tried, details.identified(), said(errors))]
pub struct Unmet {
    /// The registry.
    pub registry: Registry,
    /// The request that was not let through: the registry's, or its token service's.
    pub request: RequestLine,
    /// Which credentials were tried.
    pub tried: Tried,
    /// What the registry or its token service said.
    pub errors: Vec<ErrorEntry>,
    /// What else that answer says about itself.
    pub details: Details,
}

/// Which credentials were tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tried {
    /// None: no source has any for this registry.
    Nothing,
    /// Those of this user, from this source, as in "`DOCKER_AUTH_CONFIG`".
    Account {
        /// The user; empty for a token.
        username: String,
        /// Which source they came from.
        source: String,
    },
    /// None were sent, because the connection would have shown them to others.
    Withheld,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("wants credentials and there are none"),
            Self::Account { username, source } if username.is_empty() => {
                write!(f, "does not accept the token from {source}")
            }
            Self::Account { username, source } => write!(f, "does not accept `{username}` from {source}"),
            Self::Withheld => f.write_str("wants credentials over an unprotected connection"),
        }
    }
}

/// A credential helper that gave no answer. Nothing of what it printed is in here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential helper `{program}` {trouble}")]
pub struct HelperFailure {
    /// The program: `docker-credential-NAME`.
    pub program: String,
    /// What is the matter with it.
    pub trouble: HelperTrouble,
}

/// What is the matter with a credential helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelperTrouble {
    /// No directory of `PATH` has it.
    Missing,
    /// It cannot be run, or not be talked to.
    Broken(io::ErrorKind),
    /// It ended with this exit code (`None`: by a signal), and did not say that it has nothing.
    Ended(Option<i32>),
    /// It was not done after this time, and was killed.
    Late(Duration),
    /// Its answer is not the JSON of credentials.
    Nonsense,
    /// It was asked for a list of what it has, and its answer is none.
    Unlisted,
}

impl fmt::Display for HelperTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not installed"),
            Self::Broken(kind) => write!(f, "cannot be run: {kind}"),
            Self::Ended(Some(code)) => write!(f, "ended with exit code {code}"),
            Self::Ended(None) => f.write_str("was killed"),
            Self::Late(limit) => write!(f, "did not answer within {limit:?}"),
            Self::Nonsense => f.write_str("does not answer in JSON with `Username` and `Secret`"),
            Self::Unlisted => f.write_str("does not list what it has"),
        }
    }
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("{kind} ({request}{})", effort(*attempts, *elapsed))]
pub struct Unreachable {
    /// The request.
    pub request: RequestLine,
    /// What failed.
    pub kind: UnreachableKind,
    /// How often it was tried.
    pub attempts: u32,
    /// How long it took, all attempts together.
    pub elapsed: Duration,
    /// What the layer below said.
    #[source]
    pub cause: Option<Cause>,
}

/// What failed on the way to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnreachableKind {
    /// The name has no address.
    Name,
    /// No connection: refused, no route, or the proxy said no.
    Connect,
    /// The TLS handshake failed: an unknown issuer, another name, an expired certificate.
    Tls,
    /// The server wants a certificate from its clients: none was shown, or one that it does not accept.
    ClientCertificate,
    /// The other side speaks plain HTTP where TLS was expected.
    PlainHttp,
    /// Connecting, the response headers or the next bytes took too long.
    TimedOut,
    /// The connection broke.
    Broken,
}

impl fmt::Display for UnreachableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the host name cannot be resolved",
            Self::Connect => "cannot connect",
            Self::Tls => "the TLS handshake failed",
            Self::ClientCertificate => "the server lets nobody in without a client certificate that it accepts",
            Self::PlainHttp => "the server speaks plain HTTP where TLS was expected",
            Self::TimedOut => "timed out",
            Self::Broken => "the connection broke",
        })
    }
}

impl Place {
    /// Prints as an addition to a sentence; an unknown place adds nothing.
    fn parenthesis(&self, details: &Details) -> String {
        match self {
            Self::Unknown => String::new(),
            place => format!(" ({place}{})", details.identified()),
        }
    }

    /// Names a file.
    pub fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

/// Prints what a registry said: `: CODE: message`, bounded and without control characters.
fn said(errors: &[ErrorEntry]) -> String {
    let mut text = String::new();
    for entry in errors.iter().take(SHOWN_ERRORS) {
        text.push_str(": ");
        text.push_str(&excerpt(entry.code.as_str()));
        if !entry.message.is_empty() {
            text.push_str(": ");
            text.push_str(&excerpt(&entry.message));
        }
    }
    text
}

fn effort(attempts: u32, elapsed: Duration) -> String {
    if attempts < 2 { String::new() } else { format!(", {attempts} attempts in {:.1} s", elapsed.as_secs_f32()) }
}

/// How many entries of an error body are shown.
const SHOWN_ERRORS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> RequestLine {
        RequestLine::new(&Method::PUT, &"https://u:p@r.example/v2/a/manifests/v1?sig=x".parse().expect("a URI"))
    }

    #[test]
    fn messages_name_thing_place_and_cause() {
        let refused = Refused {
            request: request(),
            status: StatusCode::FORBIDDEN,
            errors: vec![ErrorEntry::new(ErrorCode::Denied, "no\u{1b}[31m way")],
            attempts: 1,
            details: Details::default(),
        };
        let proxied = Refused {
            request: request(),
            status: StatusCode::BAD_GATEWAY,
            errors: vec![],
            attempts: 1,
            details: Details {
                request_id: Some("4f2a".into()),
                page: Some("502 Bad Gateway".into()),
                ..Details::default()
            },
        };
        let identified = || Details { request_id: Some("4f2a".into()), ..Details::default() };
        let missing = Missing {
            what: "manifest `v1`".into(),
            place: Place::Request(request()),
            errors: vec![],
            details: identified(),
        };
        let unmet = Unmet {
            registry: "r.example".parse().expect("a registry"),
            request: request(),
            tried: Tried::Account { username: "ada".into(), source: "the command line".into() },
            errors: vec![],
            details: identified(),
        };
        for (error, text) in [
            (
                Error::from(Box::new(refused)),
                "the registry answered 403 Forbidden: DENIED: no\u{fffd}[31m way (PUT https://r.example/v2/a/manifests/v1?sig=…)",
            ),
            (
                Error::from(Box::new(proxied)),
                "the registry answered 502 Bad Gateway: a page titled `502 Bad Gateway` (PUT https://r.example/v2/a/manifests/v1?sig=…, request id `4f2a`)",
            ),
            (
                Error::from(Box::new(missing)),
                "manifest `v1` was not found (PUT https://r.example/v2/a/manifests/v1?sig=…, request id `4f2a`)",
            ),
            (
                Error::from(Box::new(unmet)),
                "r.example does not accept `ada` from the command line (PUT https://r.example/v2/a/manifests/v1?sig=…, request id `4f2a`)",
            ),
            (Error::from(ParseError::new("tag", "V 1", "no space").at(1)), "tag `V 1` at character 2 expects no space"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn allowances_are_told_in_whole_units() {
        for (remaining, window, text) in [
            (Some(0), Some(21_600), "100 requests in 6 h, of which 0 are left"),
            (None, Some(300), "100 requests in 5 min"),
            (Some(7), Some(90), "100 requests in 90 s, of which 7 are left"),
            (None, None, "100 requests"),
        ] {
            let allowance = Allowance { limit: 100, remaining, window: window.map(Duration::from_secs) };
            assert_eq!(allowance.to_string(), text);
        }
    }
}
