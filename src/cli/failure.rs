//! What people are told when something fails: the message, what to do next, and the exit code.

mod invocation;
mod source;

use std::error::Error as StdError;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use super::build::{BuildFailure, End};
use super::conformance::Unfit;
use super::copy_sides::Sided;
use super::misuse::Misuse;
use super::output;
use super::triggers::Ended;
use crate::error::{
    Actual, Error, HelperFailure, HelperTrouble, IoFailure, Place, Refused, Tried, Unmet, Unreachable, UnreachableKind,
};
use crate::model::printable::block;
use crate::model::{Digest, ErrorCode, ErrorEntry, Identifier, Location, ParseError, Reference};
use crate::spin;
use crate::spin::compose::Discord;
use crate::transport::READ_CERTIFICATES;

pub(crate) use self::invocation::Invocation;

/// The end of a command that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened: one sentence, without a full stop; empty where the exit code says everything.
    pub message: String,
    /// The line that is at fault, and a mark below the place, where it is one in a manifest.
    pub excerpt: Option<String>,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
    /// How the process ends.
    pub exit: Exit,
}

/// How the process ends, apart from success, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something else failed.
    Failed,
    /// The command line, or a variable that stands for a part of it, makes no sense.
    Usage,
    /// What was asked for by name is not there: a reference, a layout, a file of the application.
    NotFound,
    /// Credentials are missing, wrong, or not enough.
    NotPermitted,
    /// Content is not what its digest says.
    Integrity,
    /// No answer came from the registry.
    Unreachable,
    /// Somebody has stopped it; 130 is what shells say then.
    Interrupted,
    /// As a program that it has started: with this code.
    Passed(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// Returns the exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotPermitted => 4,
            Self::Integrity => 5,
            Self::Unreachable => 6,
            Self::Interrupted => 130,
            Self::Passed(code) => code,
        }
    }
}

impl Failure {
    /// Prints the message and the hint on standard error, in colours where that is a terminal which wants them. Words of others
    /// may be in them: what could steer a terminal is shown by its number.
    pub fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        let paint = |colour: AnsiColor| Style::new().bold().fg_color(Some(colour.into()));
        let (error, hint) = (paint(AnsiColor::Red), paint(AnsiColor::Cyan));
        let mut to = anstream::stderr().lock();
        // Nobody can be told that nobody can be told.
        let _ = writeln!(to, "{error}error:{error:#} {}", block(&self.message));
        if let Some(text) = &self.excerpt {
            let _ = writeln!(to, "\n{}", block(text));
        }
        if let Some(text) = &self.hint {
            let _ = writeln!(to, "\n{hint}hint:{hint:#} {}", block(text));
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// Moving content.
    #[error(transparent)]
    Transfer(Error),
    /// The Spin application.
    #[error(transparent)]
    Spin(spin::Error),
    /// The command line.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The build of a component.
    #[error(transparent)]
    Build(Box<BuildFailure>),
    /// The registry that was judged.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Content of the cache.
    #[error("files in the cache that are not what they should be: {0}")]
    Damaged(usize),
    /// What was pulled.
    #[error("applications in the cache that still lack something: {0}")]
    Unrepaired(usize),
    /// Neither pull nor push is permitted.
    #[error("`{0}` may neither be pulled from nor pushed to")]
    Forbidden(Box<Reference>),
    /// Two versions are not the same. That is the result, and no news.
    #[error("")]
    Different,
    /// A blob that nothing in the cache is.
    #[error("the blob `{0}` is not in the cache")]
    NotHere(Box<Digest>),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A file that was named.
    #[error("there is no file `{}`", .0.display())]
    NoFile(PathBuf),
    /// Whoever was asked has not said yes.
    #[error("nothing was deleted")]
    Declined,
    /// A program that was started did not end well.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// At one end of a copy.
    #[error(transparent)]
    At(Box<Sided>),
}

impl Problem {
    /// Says whether content was not what its descriptor says, by our own count or by the registry's.
    pub(super) fn is_about_content(&self) -> bool {
        let Self::Transfer(error) = self else { return false };
        let disputed = |code| matches!(code, &ErrorCode::DigestInvalid | &ErrorCode::SizeInvalid);
        matches!(error, Error::Mismatch(_)) || error.codes().any(disputed)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Transfer(error)
    }
}

impl From<spin::Error> for Problem {
    fn from(error: spin::Error) -> Self {
        match error {
            spin::Error::Transfer(error) => Self::Transfer(error),
            other => Self::Spin(other),
        }
    }
}

/// Says what people are told about `problem`.
pub(crate) fn explain(problem: &Problem, invocation: &Invocation) -> Failure {
    if let Problem::At(sided) = problem {
        return sided.explain(invocation);
    }
    let (hint, exit) = match problem {
        Problem::Misuse(misuse) => (Some(misuse.hint().to_owned()), Exit::Usage),
        Problem::Spin(error) => explain_spin(error),
        Problem::Transfer(error) => explain_transfer(error, invocation),
        Problem::Build(failure) => (explain_build(failure, invocation), Exit::Failed),
        Problem::Unfit(unfit) => (unfit.hint(), unfit.exit()),
        Problem::Forbidden(reference) => {
            (Some(format!("log in with `spinreg login {}`", reference.registry())), Exit::NotPermitted)
        }
        Problem::Damaged(_) => {
            let hint = "`spinreg cache verify --repair` removes them and pulls them again";
            (Some(hint.to_owned()), Exit::Integrity)
        }
        Problem::Different => (None, Exit::Failed),
        Problem::NotHere(_) => (Some("leave `--offline` away where there is a network".to_owned()), Exit::NotFound),
        Problem::Unrepaired(_) => (Some("`spinreg pull` them where they come from".to_owned()), Exit::Integrity),
        Problem::Interrupted => (None, Exit::Interrupted),
        Problem::NoFile(_) => (Some("check the path".to_owned()), Exit::NotFound),
        Problem::Declined => (Some("answer `y`, or do not be asked with `--yes`".to_owned()), Exit::Failed),
        Problem::Ended(ended) => (None, Exit::Passed(ended.code())),
        Problem::At(_) => (None, Exit::Failed),
    };
    // A registry that fails and a run that could not be made are two things: whoever reads the code has to know which.
    let could_not_run =
        *invocation == Invocation::Conformance && !matches!(problem, Problem::Unfit(_) | Problem::Interrupted);
    let exit = if could_not_run { Exit::Usage } else { exit };
    let excerpt = match problem {
        Problem::Spin(spin::Error::Manifest(fault)) => fault.excerpt(),
        _ => None,
    };
    Failure { message: chain(problem), excerpt, hint, exit }
}

/// Says what people are told about a command line that cannot be read.
pub(crate) fn explain_parse(error: &ParseError) -> Failure {
    let hint = match error.what() {
        "reference" => "write `REGISTRY/NAME:TAG`, such as `ghcr.io/me/app:v1`, or `oci:DIRECTORY:TAG`",
        "location" => "write `oci:DIRECTORY:TAG` or `oci-archive:FILE:TAG`, such as `oci:out:v1`",
        "digest" => "a digest is `sha256:` and 64 hexadecimal digits; copy it whole",
        "server" if error.expected().contains("namespace") => {
            "a login is for all of a registry, as in `ghcr.io`, or for what is below a part of it, as in `ghcr.io/team`"
        }
        "platform" => "write `--platform OS/ARCH`, such as `linux/arm64` or `wasip1/wasm`",
        "pattern of tags" => "write `--tags 'v1.*'`",
        "concurrency" => "give a whole number from 1 upwards, as in `--concurrency 4`",
        "listening address" => "write `--listen IP:PORT`, such as `127.0.0.1:5000`, `[::1]:5000` or `0.0.0.0:5000`",
        "server" => "write a host, perhaps with a port, such as `ghcr.io` or `localhost:5000`",
        "moment" => "write seconds since 1970, or a date and time as in `2026-01-31T12:00:00Z`",
        "annotation" => "write `--annotation KEY=VALUE`",
        "blob" => "write `REGISTRY/NAME@sha256:…`; `spinreg manifest get` shows the digests of what is published",
        "what to delete" => "name a tag, as in `ghcr.io/me/app:v1`, or a digest, as in `ghcr.io/me/app@sha256:…`",
        "fault" => "`spinreg serve --fault help` lists all of them",
        "environment variable" => "write `--env KEY=VALUE`",
        _ => "run the command with `--help` for what it takes",
    };
    Failure { message: error.to_string(), excerpt: None, hint: Some(hint.to_owned()), exit: Exit::Usage }
}

/// Says what went wrong, where a program goes on nevertheless.
pub(crate) fn describe(error: &Error) -> String {
    chain(error)
}

/// Joins an error with its causes, leaving out what was said already.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !said.is_empty() && !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

fn explain_spin(error: &spin::Error) -> (Option<String>, Exit) {
    match error {
        spin::Error::NoManifest { .. } => {
            let hint = "name a `spin.toml` or a directory that has one (`push` and `up` take `-f FILE_OR_DIR`), or run in its directory";
            (Some(hint.to_owned()), Exit::NotFound)
        }
        spin::Error::Wasm(wasm) => match wasm.found {
            spin::Found::Nothing => {
                let hint = match wasm.build.as_slice() {
                    [] if wasm.component.is_none() => "correct the path, or build it first".to_owned(),
                    [] if wasm.dependency.is_some() => "build the dependency, or correct its `path`".to_owned(),
                    [] => "build the component, or correct its `source` in the manifest".to_owned(),
                    _ => "add `--build`, which runs the components' build commands first".to_owned(),
                };
                (Some(hint), Exit::NotFound)
            }
            spin::Found::Mistake { .. } => (None, Exit::Failed),
            spin::Found::Text => {
                (Some("let the name of the file end in `.wat`, or compile it".to_owned()), Exit::Failed)
            }
            _ if wasm.component.is_none() => {
                (Some("name a component or a core module, or an application's `spin.toml`".to_owned()), Exit::Failed)
            }
            _ => (Some("a component's `source` has to name a compiled `.wasm` file".to_owned()), Exit::Failed),
        },
        spin::Error::Source(unobtained) => source::explain(unobtained),
        spin::Error::Unrunnable(reason) => explain_unrunnable(reason),
        spin::Error::TooManyLayers { .. } => {
            (Some("mount fewer `files` entries, or larger directories".to_owned()), Exit::Failed)
        }
        spin::Error::Target(_) => {
            let hint = "change the component, or `targets` in the manifest; without `--build` nobody is held to them";
            (Some(hint.to_owned()), Exit::Failed)
        }
        spin::Error::Compose(error) => (explain_discord(&error.discord).map(str::to_owned), Exit::Failed),
        _ => (None, Exit::Failed),
    }
}

fn explain_discord(discord: &Discord) -> Option<&'static str> {
    Some(match discord {
        Discord::NoImport { .. } => "name the dependency as the component's import: `namespace:name/interface@version`",
        Discord::NoExport { .. } => "say which of its exports to use with `export`",
        Discord::Module | Discord::Unlifted { .. } => {
            "build it as a component, or make one of it with `wasm-tools component embed` and `component new`"
        }
        Discord::Contested { .. } => "let each name one interface, or one version",
        Discord::Undeniable { .. } => "let it inherit everything with `inherit_configuration = true`, or use another",
        Discord::Mismatch { .. } => "build both from the same WIT",
        Discord::Separate => "leave out `--compose=false`",
        Discord::Unavailable => "push with `--compose=false`, or install with `--features compose`",
        _ => return None,
    })
}

fn explain_build(failure: &BuildFailure, invocation: &Invocation) -> Option<String> {
    match failure.end {
        End::NoDirectory(_) => Some("correct `build.workdir` of the component in the manifest".to_owned()),
        End::NotRun { .. } => None,
        End::Failed { .. } if matches!(invocation, Invocation::Push(_)) => {
            Some("nothing was pushed; without `--build`, what was built before is".to_owned())
        }
        End::Failed { .. } => Some("nothing was started; without `--build`, what was built before is".to_owned()),
    }
}

fn explain_unrunnable(reason: &spin::Unrunnable) -> (Option<String>, Exit) {
    match reason {
        spin::Unrunnable::NotCached { reference, .. } => {
            let hint = format!("run `spinreg pull {reference}` where there is a network, or leave `--offline` away");
            (Some(hint), Exit::NotFound)
        }
        spin::Unrunnable::NoComponent { .. } => (Some("correct `--component-id`".to_owned()), Exit::Usage),
        spin::Unrunnable::Chained { .. } => (
            Some("choose the component that is called as well, or leave `--component-id` away".to_owned()),
            Exit::Usage,
        ),
        spin::Unrunnable::Occupied { .. } => (Some("name another directory, or an empty one".to_owned()), Exit::Failed),
        _ => (None, Exit::Failed),
    }
}

fn explain_transfer(error: &Error, invocation: &Invocation) -> (Option<String>, Exit) {
    match error {
        Error::Io(failure)
            if *invocation == Invocation::Cache && failure.source.kind() == io::ErrorKind::ResourceBusy =>
        {
            (Some("try again when they have ended".to_owned()), Exit::Failed)
        }
        Error::Io(failure) => (explain_io(failure, invocation), Exit::Failed),
        Error::Mismatch(mismatch) => {
            let hint = match (&mismatch.place, mismatch.actual) {
                (Place::File(_), _) => "the file is damaged or was changed meanwhile; try again",
                (_, Actual::Short(_)) => "the transfer ended early; try again: what has arrived is kept",
                _ => {
                    "the registry, or a proxy before it, sends other bytes than were pushed; pull from another network or push again"
                }
            };
            (Some(hint.to_owned()), Exit::Integrity)
        }
        Error::NotFound(missing) if *invocation == Invocation::Cache && matches!(missing.place, Place::File(_)) => {
            (Some("`spinreg cache ls` lists what is there".to_owned()), Exit::NotFound)
        }
        Error::NotFound(missing) => (explain_missing(&missing.errors, &missing.place, invocation), Exit::NotFound),
        Error::Unauthorized(unmet) => (Some(explain_unmet(unmet, invocation)), Exit::NotPermitted),
        Error::Unreachable(failure) => (explain_unreachable(failure, invocation), Exit::Unreachable),
        Error::Refused(refused) => explain_refused(refused, invocation),
        Error::Protocol(_) => (
            Some(format!(
                "is `{}` an OCI registry, and is there a proxy or a login page before it?",
                invocation.host()
            )),
            Exit::Failed,
        ),
        Error::Helper(failure) => (Some(explain_helper(failure, invocation)), Exit::NotPermitted),
        Error::Parse(error) => (explain_file(error).map(str::to_owned), Exit::Failed),
    }
}

/// Says what to do about a file of `serve`, or an artifact, that makes no sense.
fn explain_file(error: &ParseError) -> Option<&'static str> {
    match error.what() {
        "image archive" => Some(
            "`oci-archive:` takes an uncompressed tar archive of an OCI image layout, as `spinreg copy`, skopeo and docker \
             write",
        ),
        "password file" => Some("`htpasswd -nB USER` prints a line that will do"),
        "access file" => Some("docs/serve.md explains the rules"),
        "TLS certificate" => Some("`--tls-cert` takes the certificate, and after it those that lead to its authority"),
        "TLS key" => Some("`--tls-key` takes the key of `--tls-cert`, without a passphrase"),
        "address of the registry" => Some("write `--url https://HOST`, perhaps with a port"),
        "artifact" | "lock file" => Some("check the reference: another tool has pushed that, or it is damaged"),
        _ => None,
    }
}

fn explain_io(failure: &IoFailure, invocation: &Invocation) -> Option<String> {
    use io::ErrorKind::{
        AddrInUse, AlreadyExists, NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull,
    };
    if failure.path == Path::new(output::STANDARD_OUTPUT) {
        return Some("the result could not be handed on, but what was asked for is done".to_owned());
    }
    let path = failure.path.display();
    let kept = if matches!(invocation, Invocation::Pull(_)) { "; what has arrived is kept" } else { "" };
    match (failure.source.kind(), invocation) {
        (StorageFull | QuotaExceeded, _) => Some(format!("make room on the disk of `{path}` and try again{kept}")),
        (PermissionDenied | ReadOnlyFilesystem, Invocation::Pull(_)) => {
            Some(format!("make `{path}` writable, or choose another cache with `--cache-dir DIR`"))
        }
        (AlreadyExists | NotADirectory | NotFound, Invocation::Pull(_)) if failure.doing.starts_with("create") => {
            Some("choose another cache with `--cache-dir DIR`".to_owned())
        }
        (NotFound, _) if failure.doing == READ_CERTIFICATES => Some(format!(
            "check the path `{path}`: it comes from a flag, such as `--ca-file`, or from the configuration file"
        )),
        (PermissionDenied | ReadOnlyFilesystem, _) => Some(format!("check who may read and write `{path}`")),
        (NotFound, Invocation::Serve) => Some(format!("check the path `{path}`")),
        (AddrInUse, Invocation::Serve) => {
            Some("another program listens there; choose another address with `--listen`".to_owned())
        }
        _ => None,
    }
}

fn explain_missing(errors: &[ErrorEntry], place: &Place, invocation: &Invocation) -> Option<String> {
    let (host, name) = (invocation.host(), invocation.name());
    let unknown_name = errors.iter().any(|entry| entry.code == ErrorCode::NameUnknown);
    Some(match (invocation, invocation.location()?, place) {
        (Invocation::Push(_), Location::Registry(_), _) if invocation.is_on("amazonaws.com") => {
            format!("create the repository first: `aws ecr create-repository --repository-name {name}`")
        }
        (Invocation::Push(_), Location::Registry(_), _) => {
            format!("create the repository `{name}` on `{host}` first, or check its name")
        }
        (Invocation::Push(_), ..) => return None,
        (_, Location::Registry(_), Place::Request(_)) if unknown_name => {
            format!("check the name `{name}`; it may also be private: `spinreg login {host}`")
        }
        (_, Location::Registry(_), Place::Request(_)) => {
            format!("check the tag or digest, and whether it was pushed to `{host}/{name}`")
        }
        (_, Location::Layout { .. }, Place::File(_)) => {
            "`oci:` names an OCI image layout directory; check the path and the tag".to_owned()
        }
        (_, Location::Archive { .. }, Place::File(_)) => {
            "`oci-archive:` names a tar archive of an OCI image layout; check the path and the tag".to_owned()
        }
        (Invocation::Pull(_), ..) => "it holds no application for this tool; check what was pushed there".to_owned(),
        _ => return None,
    })
}

fn explain_unmet(unmet: &Unmet, invocation: &Invocation) -> String {
    let host = unmet.registry.as_str();
    let again = match &unmet.tried {
        // It goes before what a login saves.
        Tried::Account { source, .. } if source.starts_with("`SPINREG_") => {
            format!("correct {source}, or unset it and log in with `spinreg login {host}`")
        }
        _ => format!("log in again with `spinreg login {host}`"),
    };
    match (&unmet.tried, invocation) {
        (Tried::Withheld, _) => {
            "let the registry speak HTTPS, or send credentials in the clear with `--insecure-credentials`".to_owned()
        }
        (Tried::Nothing, Invocation::Pull(_) | Invocation::Look(_)) => {
            format!("log in with `spinreg login {host}`; a repository that does not exist may look the same")
        }
        (Tried::Nothing, _) => format!("log in with `spinreg login {host}`"),
        (_, Invocation::Login(_)) => {
            "check user name and password; many registries want an access token as the password".to_owned()
        }
        (Tried::Account { username, .. }, Invocation::Push(_)) if !username.is_empty() => {
            format!("{again}, as somebody who may push to `{}`{}", invocation.name(), scope_of_ghcr(invocation))
        }
        (Tried::Account { username, .. }, Invocation::Change(_) | Invocation::Delete(_)) if !username.is_empty() => {
            format!("{again}, as somebody who may change `{}`{}", invocation.name(), scope_of_ghcr(invocation))
        }
        (Tried::Account { .. }, Invocation::Pull(_) | Invocation::Look(_)) => {
            format!("`{}` may be private or not exist; {again}", invocation.name())
        }
        _ => again,
    }
}

fn explain_helper(failure: &HelperFailure, invocation: &Invocation) -> String {
    let host = invocation.host();
    match failure.trouble {
        HelperTrouble::Missing => format!("install it, or log in with `spinreg login {host}`, which needs none"),
        _ => format!("see what it says by itself, or log in with `spinreg login {host}`, which needs none"),
    }
}

fn explain_unreachable(failure: &Unreachable, invocation: &Invocation) -> Option<String> {
    let uri = failure.request.uri.reveal();
    let host = uri.authority().map_or(invocation.host(), |authority| authority.as_str());
    Some(match failure.kind {
        UnreachableKind::Name => format!("check the spelling of `{host}`, and the network"),
        UnreachableKind::Connect => {
            format!("check that a registry listens at `{host}`, and the proxy settings if there are any")
        }
        UnreachableKind::Tls => {
            let said = failure.cause.as_deref().map(|cause| chain(cause)).unwrap_or_default();
            if said.contains("UnknownIssuer") || said.contains("CaUsedAsEndEntity") {
                "give the certificate of its authority with `--ca-file FILE`, or switch verification off with `-k`"
                    .into()
            } else if said.contains("certificate expired") || said.contains("not valid yet") {
                "renew the certificate, or correct this computer's clock".into()
            } else if said.contains("not valid for name") {
                format!("the certificate is for another name than `{host}`; use the name that it is for")
            } else if said.contains("HandshakeFailure") {
                // What older servers say to a client without a certificate, and to one with other ciphers as well.
                "check that the port is one for HTTPS (`--plain-http` speaks without TLS); if the registry wants a client \
                 certificate, show one with `--cert FILE` and `--key FILE`"
                    .into()
            } else {
                "check that the port is one for HTTPS; `--plain-http` speaks without TLS".into()
            }
        }
        UnreachableKind::ClientCertificate => format!(
            "show one with `--cert FILE` and `--key FILE`, or with `cert` and `key` under `[host.\"{host}\"]` in the \
             configuration file"
        ),
        UnreachableKind::PlainHttp => {
            "speak plain HTTP with `--plain-http`, if that is what the registry is meant to do".into()
        }
        UnreachableKind::TimedOut => "try again; check the network, the firewall and the proxy settings".into(),
        UnreachableKind::Broken if matches!(invocation, Invocation::Pull(_)) => {
            "try again: what has arrived is kept".into()
        }
        UnreachableKind::Broken if matches!(invocation, Invocation::Look(_) | Invocation::Delete(_)) => {
            "try again".into()
        }
        UnreachableKind::Broken => "try again: what has been pushed is kept".into(),
    })
}

fn explain_refused(refused: &Refused, invocation: &Invocation) -> (Option<String>, Exit) {
    let (host, name) = (invocation.host(), invocation.name());
    let immutable = refused
        .errors
        .iter()
        .any(|entry| entry.code.as_str() == "TAG_INVALID" || entry.message.to_ascii_lowercase().contains("immutable"));
    let denied = |text: String| (Some(text), Exit::NotPermitted);
    let failed = |text: &str| (Some(text.to_owned()), Exit::Failed);
    match (refused.status.as_u16(), invocation) {
        (_, Invocation::Push(_) | Invocation::Change(_)) if immutable => {
            failed("tags cannot be moved there: push under a new tag")
        }
        (401, _) => denied(format!("log in with `spinreg login {host}`")),
        (403, Invocation::Push(_)) => denied(format!(
            "log in with `spinreg login {host}` as somebody who may push to `{name}`{}",
            scope_of_ghcr(invocation)
        )),
        (403, Invocation::Change(_) | Invocation::Delete(_)) => denied(format!(
            "log in with `spinreg login {host}` as somebody who may change `{name}`{}",
            scope_of_ghcr(invocation)
        )),
        (403, Invocation::Pull(_) | Invocation::Look(_)) => {
            denied(format!("`{name}` may be private or not exist; log in with `spinreg login {host}`"))
        }
        (403, _) => (None, Exit::NotPermitted),
        (400 | 405, Invocation::Delete(at)) if matches!(at.identifier(), Identifier::Tag(_)) => failed(
            "many registries delete manifests alone, by their digests and with all their tags: `spinreg resolve REFERENCE` \
             says which, and `spinreg delete NAME@DIGEST` deletes it",
        ),
        (400 | 405, Invocation::Delete(_)) => {
            failed("deleting is switched off there, or left to the registry's own pages or rules")
        }
        (405, _) => failed("the registry does not offer this; it may be read-only"),
        (413, _) => failed("a file is larger than the registry, or a proxy before it, takes"),
        (429, _) => match refused.details.allowance {
            Some(allowance) => {
                failed(&format!("the registry allows {allowance}; wait, log in, or lower `--concurrency`"))
            }
            None => failed("the registry limits how often it is asked; wait, log in, or lower `--concurrency`"),
        },
        (500.., _) => failed("the registry is in trouble; try again later"),
        _ => (None, Exit::Failed),
    }
}

fn scope_of_ghcr(invocation: &Invocation) -> &'static str {
    if invocation.is_on("ghcr.io") { ", with a token that has `write:packages`" } else { "" }
}

#[cfg(test)]
mod tests;
