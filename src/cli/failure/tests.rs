use std::time::Duration;

use http::{Method, StatusCode};
use rustls::CertificateError as Certificate;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;
use crate::error::{Allowance, Cause, Details, Mismatch, Missing, RequestLine};
use crate::model::{Descriptor, Digest, MediaType, Registry};
use crate::spin::compose::ComposeError;

fn request() -> RequestLine {
    RequestLine::new(&Method::GET, &"https://r.example/v2/me/app/manifests/v1".parse().expect("a URI"))
}

fn registry(name: &str) -> Registry {
    name.parse().expect("a registry")
}

fn location(text: &str) -> Location {
    text.parse().expect("a location")
}

fn unreachable(kind: UnreachableKind, cause: &str) -> Error {
    let cause: Option<Cause> = (!cause.is_empty()).then(|| cause.into());
    let failure = Unreachable { request: request(), kind, attempts: 1, elapsed: Duration::ZERO, cause };
    Error::Unreachable(Box::new(failure))
}

fn certificate(reason: Certificate) -> Error {
    unreachable(UnreachableKind::Tls, &rustls::Error::InvalidCertificate(reason).to_string())
}

fn refused(status: u16, code: &str, message: &str) -> Error {
    let status = StatusCode::from_u16(status).expect("a status");
    let errors = if code.is_empty() { vec![] } else { vec![ErrorEntry::new(code.into(), message)] };
    Error::Refused(Box::new(Refused { request: request(), status, errors, attempts: 1, details: Details::default() }))
}

fn limited() -> Error {
    let allowance = Allowance { limit: 100, remaining: Some(0), window: Some(Duration::from_secs(21_600)) };
    let details = Details { allowance: Some(allowance), ..Details::default() };
    let status = StatusCode::TOO_MANY_REQUESTS;
    Error::Refused(Box::new(Refused { request: request(), status, errors: vec![], attempts: 5, details }))
}

fn unmet(tried: Tried) -> Error {
    let unmet = Unmet {
        registry: registry("r.example"),
        request: request(),
        tried,
        errors: vec![],
        details: Details::default(),
    };
    Error::Unauthorized(Box::new(unmet))
}

fn helper(trouble: HelperTrouble) -> Error {
    Error::Helper(Box::new(HelperFailure { program: "docker-credential-x".into(), trouble }))
}

fn account() -> Tried {
    Tried::Account { username: "ada".into(), source: "the command line".into() }
}

fn missing(place: Place, code: &str) -> Error {
    let errors = if code.is_empty() { vec![] } else { vec![ErrorEntry::new(code.into(), "")] };
    Error::NotFound(Box::new(Missing { what: "manifest `v1`".into(), place, errors, details: Details::default() }))
}

fn mismatch(place: Place, actual: Actual) -> Error {
    let expected = Descriptor::of(MediaType::OCTET_STREAM, b"abc");
    Error::Mismatch(Box::new(Mismatch { expected, actual, place }))
}

fn disk(kind: io::ErrorKind) -> Error {
    Error::io("write", "/cache/registry", io::Error::from(kind))
}

fn misuse(misuse: Misuse) -> Problem {
    Problem::Misuse(misuse)
}

fn wasm(found: spin::Found, build: &[&str]) -> Problem {
    let build = build.iter().map(|command| (*command).to_owned()).collect();
    let wasm = spin::Wasm {
        component: Some("site".into()),
        dependency: None,
        path: "app.wasm".into(),
        found,
        build,
        workdir: None,
    };
    Problem::Spin(spin::Error::Wasm(Box::new(wasm)))
}

fn unrunnable(reason: spin::Unrunnable) -> Problem {
    Problem::Spin(reason.into())
}

#[test]
fn every_failure_has_its_exit_code_and_its_next_step() {
    use UnreachableKind as Kind;
    let push = || Invocation::Push(location("r.example/me/app:v1"));
    let pull = || Invocation::Pull(location("r.example/me/app:v1"));
    let ghcr = || Invocation::Push(location("ghcr.io/me/app:v1"));
    let ecr = || Invocation::Push(location("1.dkr.ecr.eu-west-1.amazonaws.com/me/app:v1"));
    let layout = || Invocation::Pull(location("oci:out:v1"));
    let login = || Invocation::Login(registry("r.example"));
    let here = || Place::Request(request());
    let file = || Place::File("out/index.json".into());
    let other = Actual::Digest(Digest::of(b"x"));
    let (time, not_after) =
        (UnixTime::since_unix_epoch(Duration::from_secs(2)), UnixTime::since_unix_epoch(Duration::ZERO));
    let expired = Certificate::ExpiredContext { time, not_after };
    let expected = ServerName::try_from("r.example").expect("a host name");
    let other_name = Certificate::NotValidForNameContext { expected, presented: vec!["DnsName(\"x.example\")".into()] };
    let manifest = spin::Error::NoManifest { path: "spin.toml".into() };
    let discord = |discord| {
        let (component, dependency) = ("site".into(), Some("a:b/c".into()));
        Problem::Spin(spin::Error::Compose(Box::new(ComposeError { place: None, component, dependency, discord })))
    };
    let no_import = || Discord::NoImport { imports: Vec::new() };
    let reference = Box::new("r.example/me/app:v1".parse().expect("a reference"));
    let not_cached = spin::Unrunnable::NotCached { reference, missing: vec![Digest::of(b"x")] };
    let no_component = spin::Unrunnable::NoComponent { id: "c".into(), known: vec!["site".into()] };
    let chained = spin::Unrunnable::Chained { id: "c".into(), host: "http://d.spin.internal".into() };
    let occupied = spin::Unrunnable::Occupied { path: "out/assets".into() };
    let rows: Vec<(Problem, Invocation, Exit, &str)> = vec![
        (discord(Discord::Module), push(), Exit::Failed, "wasm-tools component embed"),
        (discord(Discord::Separate), push(), Exit::Failed, "leave out `--compose=false`"),
        (discord(no_import()), push(), Exit::Failed, "namespace:name/interface@version"),
        (unreachable(Kind::Name, "no such host").into(), pull(), Exit::Unreachable, "spelling of `r.example`"),
        (unreachable(Kind::Connect, "refused").into(), push(), Exit::Unreachable, "registry listens at `r.example`"),
        (certificate(Certificate::UnknownIssuer).into(), pull(), Exit::Unreachable, "--ca-file"),
        (certificate(expired).into(), pull(), Exit::Unreachable, "clock"),
        (certificate(other_name).into(), pull(), Exit::Unreachable, "another name"),
        (unreachable(Kind::Tls, "HandshakeFailure").into(), pull(), Exit::Unreachable, "--plain-http"),
        (unreachable(Kind::PlainHttp, "").into(), pull(), Exit::Unreachable, "--plain-http"),
        (unreachable(Kind::TimedOut, "").into(), pull(), Exit::Unreachable, "try again"),
        (unreachable(Kind::Broken, "").into(), pull(), Exit::Unreachable, "what has arrived is kept"),
        (unmet(Tried::Nothing).into(), pull(), Exit::NotPermitted, "spinreg login r.example"),
        (unmet(Tried::Nothing).into(), push(), Exit::NotPermitted, "spinreg login r.example"),
        (unmet(Tried::Withheld).into(), pull(), Exit::NotPermitted, "--insecure-credentials"),
        (unmet(account()).into(), login(), Exit::NotPermitted, "check user name and password"),
        (unmet(account()).into(), push(), Exit::NotPermitted, "may push to `me/app`"),
        (unmet(account()).into(), ghcr(), Exit::NotPermitted, "write:packages"),
        (unmet(account()).into(), pull(), Exit::NotPermitted, "private or not exist; log in again"),
        (
            helper(HelperTrouble::Missing).into(),
            push(),
            Exit::NotPermitted,
            "install it, or log in with `spinreg login r.example`",
        ),
        (helper(HelperTrouble::Ended(Some(1))).into(), push(), Exit::NotPermitted, "see what it says by itself"),
        (refused(401, "UNAUTHORIZED", "").into(), pull(), Exit::NotPermitted, "spinreg login r.example"),
        (refused(403, "DENIED", "no").into(), pull(), Exit::NotPermitted, "private or not exist"),
        (refused(403, "DENIED", "no").into(), ghcr(), Exit::NotPermitted, "write:packages"),
        (refused(405, "UNSUPPORTED", "").into(), push(), Exit::Failed, "read-only"),
        (refused(413, "", "").into(), push(), Exit::Failed, "larger than"),
        (refused(400, "TAG_INVALID", "").into(), push(), Exit::Failed, "new tag"),
        (refused(400, "X", "the tag is Immutable").into(), push(), Exit::Failed, "new tag"),
        (refused(429, "TOOMANYREQUESTS", "").into(), pull(), Exit::Failed, "--concurrency"),
        (limited().into(), pull(), Exit::Failed, "allows 100 requests in 6 h, of which 0 are left"),
        (refused(503, "", "").into(), pull(), Exit::Failed, "try again later"),
        (missing(here(), "NAME_UNKNOWN").into(), pull(), Exit::NotFound, "check the name `me/app`"),
        (missing(here(), "MANIFEST_UNKNOWN").into(), pull(), Exit::NotFound, "check the tag"),
        (
            missing(here(), "NAME_UNKNOWN").into(),
            ecr(),
            Exit::NotFound,
            "aws ecr create-repository --repository-name me/app",
        ),
        (unrunnable(not_cached), Invocation::Local, Exit::NotFound, "run `spinreg pull r.example/me/app:v1`"),
        (unrunnable(no_component), Invocation::Local, Exit::Usage, "--component-id"),
        (unrunnable(chained), Invocation::Local, Exit::Usage, "the component that is called"),
        (unrunnable(occupied), Invocation::Local, Exit::Failed, "another directory"),
        (missing(here(), "NAME_UNKNOWN").into(), push(), Exit::NotFound, "create the repository `me/app`"),
        (missing(file(), "").into(), layout(), Exit::NotFound, "layout directory"),
        (missing(Place::Unknown, "").into(), pull(), Exit::NotFound, "no application"),
        (mismatch(here(), other).into(), pull(), Exit::Integrity, "other bytes"),
        (mismatch(here(), Actual::Short(1)).into(), pull(), Exit::Integrity, "ended early"),
        (mismatch(file(), other).into(), push(), Exit::Integrity, "changed meanwhile"),
        (disk(io::ErrorKind::StorageFull).into(), pull(), Exit::Failed, "make room on the disk of `/cache/registry`"),
        (disk(io::ErrorKind::PermissionDenied).into(), pull(), Exit::Failed, "--cache-dir"),
        (
            Error::io("create the directory", "/proc/x", io::ErrorKind::NotFound.into()).into(),
            pull(),
            Exit::Failed,
            "--cache-dir",
        ),
        (disk(io::ErrorKind::ReadOnlyFilesystem).into(), push(), Exit::Failed, "who may read and write"),
        (disk(io::ErrorKind::AddrInUse).into(), Invocation::Serve, Exit::Failed, "--listen"),
        (Error::protocol(request(), "the answer is no manifest").into(), pull(), Exit::Failed, "an OCI registry"),
        (manifest.into(), push(), Exit::NotFound, "-f FILE_OR_DIR"),
        (wasm(spin::Found::Nothing, &["make"]), push(), Exit::NotFound, "--build"),
        (wasm(spin::Found::Nothing, &[]), push(), Exit::NotFound, "build the component"),
        (wasm(spin::Found::Bytes(vec![0x7f]), &[]), push(), Exit::Failed, "compiled"),
        (spin::Error::TooManyLayers { layers: 501 }.into(), push(), Exit::Failed, "fewer"),
        (misuse(Misuse::DigestTarget(Box::new(location("oci:out:v1")))), push(), Exit::Usage, "name a tag"),
        (misuse(Misuse::OpenListener(([0, 0, 0, 0], 80).into())), Invocation::Serve, Exit::Usage, "--insecure-listen"),
    ];
    for (problem, invocation, exit, said) in rows {
        let failure = explain(&problem, &invocation);
        assert_eq!(failure.exit, exit, "{failure:?}");
        assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains(said)), "{failure:?} lacks `{said}`");
        assert!(!failure.message.ends_with('.') && !failure.message.is_empty(), "{failure:?}");
    }
}

#[test]
fn causes_are_joined_and_never_repeated() {
    let full = disk(io::ErrorKind::StorageFull);
    assert_eq!(chain(&Problem::from(full)), "cannot write `/cache/registry`: no storage space");
    let twice = unreachable(UnreachableKind::Name, "the host name cannot be resolved");
    assert_eq!(
        chain(&Problem::from(twice)),
        "the host name cannot be resolved (GET https://r.example/v2/me/app/manifests/v1)"
    );
}

#[test]
fn bad_words_on_the_command_line_show_how_it_is_written() {
    for (error, said) in [
        ("ghcr.io/A".parse::<Location>().expect_err("uppercase"), "REGISTRY/NAME:TAG"),
        ("oci:".parse::<Location>().expect_err("no path"), "oci:DIRECTORY"),
        ("oci:x@sha256:0".parse::<Location>().expect_err("no digest"), "64 hexadecimal"),
    ] {
        let failure = explain_parse(&error);
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains(said)), "{failure:?}");
    }
}
