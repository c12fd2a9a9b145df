//! Secrets stay where they belong: in no output at any level of logging, no header to a foreign host, no argument and no
//! environment of a child process, and no file that others may read. Plainly and over TLS.

/// Secrets of the way: passwords of proxies, keys, tokens.
mod way;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;

use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::helpers::{calls, install};
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::app;
use crate::support::script::{Script, Scripted};
use crate::support::tls::Authority;

/// In the query of a redirect to a storage.
const SIGNATURE: &str = "signature-of-the-storage";
const SPIN: &str = "config/fermyon/registry-auth.json";
const DOCKER: &str = "home/.docker/config.json";

/// Where a secret may come from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    PasswordVariable,
    TokenVariable,
    StandardInput,
    TokenStandardInput,
    Flag,
    Spin,
    AuthFile,
    Inline,
    Docker,
    Identity,
    RegistryToken,
    Store,
    Helper,
    HelperIdentity,
    FailingHelper,
    Podman,
}

const SOURCES: [Source; 16] = [
    Source::PasswordVariable,
    Source::TokenVariable,
    Source::StandardInput,
    Source::TokenStandardInput,
    Source::Flag,
    Source::Spin,
    Source::AuthFile,
    Source::Inline,
    Source::Docker,
    Source::Identity,
    Source::RegistryToken,
    Source::Store,
    Source::Helper,
    Source::HelperIdentity,
    Source::FailingHelper,
    Source::Podman,
];

impl Source {
    /// Says whether what it gives is of no use to push and pull where the registry wants a password.
    fn is_useless(self) -> bool {
        matches!(
            self,
            Self::TokenVariable | Self::TokenStandardInput | Self::RegistryToken | Self::Flag | Self::FailingHelper
        )
    }
}

/// How the peers of a test speak.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speech {
    Plain,
    Tls,
}

const SPEECHES: [Speech; 2] = [Speech::Plain, Speech::Tls];

impl Speech {
    async fn front(self, front: Front, authority: &Authority) -> Fronted {
        match self {
            Self::Plain => front.start().await,
            Self::Tls => front.start_tls(authority).await,
        }
    }

    async fn script(self, script: Script, authority: &Authority) -> Scripted {
        match self {
            Self::Plain => script.start().await,
            Self::Tls => script.start_tls(authority).await,
        }
    }
}

/// A tool that has a secret from one source, and for one registry.
struct Holder {
    source: Source,
    secret: String,
    cli: Cli,
}

impl Holder {
    fn new(source: Source, registry: &str, authority: &Authority) -> Self {
        let secret = format!("secret-of-{source:?}-horse");
        let basic = BASE64_STANDARD.encode(format!("ada:{secret}"));
        let docker = |entry: &str| format!("{{\"auths\":{{\"{registry}\":{entry}}}}}");
        let auth = docker(&format!("{{\"auth\":\"{basic}\"}}"));
        let helper = |name: &str| format!("{{\"credHelpers\":{{\"{registry}\":\"{name}\"}}}}");
        // `install` makes every run fail that shows the secret.
        let cli = install(Cli::new(), &secret).secret("test-token").secret(SIGNATURE);
        let write = |path: &str, text: &str| {
            let path = cli.path(path);
            std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("a temporary directory");
            std::fs::write(path, text).expect("a new file");
        };
        cli.configure(&format!("ca = '{}'\n", authority.file().display()));
        match source {
            Source::Spin => write(SPIN, &format!("{{\"auths\":{{\"{registry}\":\"{basic}\"}}}}")),
            Source::AuthFile => write("data/auth.json", &auth),
            Source::Docker => write(DOCKER, &auth),
            Source::Identity => write(DOCKER, &docker(&format!("{{\"identitytoken\":\"{secret}\"}}"))),
            Source::RegistryToken => write(DOCKER, &docker(&format!("{{\"registrytoken\":\"{secret}\"}}"))),
            Source::Store => write(DOCKER, "{\"credsStore\":\"good\"}"),
            Source::Helper => write(DOCKER, &helper("good")),
            Source::HelperIdentity => write(DOCKER, &helper("token")),
            Source::FailingHelper => write(DOCKER, &helper("failing")),
            Source::Podman => write("run/containers/auth.json", &auth),
            // Somebody is there who must not see it.
            Source::PasswordVariable | Source::TokenVariable | Source::Inline => write(DOCKER, &helper("empty")),
            _ => {}
        }
        let cli = match source {
            Source::PasswordVariable => cli.env("SPINREG_USERNAME", "ada").env("SPINREG_PASSWORD", &secret),
            Source::TokenVariable => cli.env("SPINREG_TOKEN", &secret),
            Source::Inline => cli.env("DOCKER_AUTH_CONFIG", &auth),
            Source::AuthFile => {
                let path = cli.path("data/auth.json");
                cli.env("REGISTRY_AUTH_FILE", path)
            }
            _ => cli,
        };
        Self { source, secret, cli }
    }

    /// Pushes, pulls and explains, at the loudest level; returns the exit codes of push and pull.
    async fn work(&self, registry: &str) -> [Option<i32>; 2] {
        let (reference, app) = (format!("{registry}/app:v1"), app("static-site"));
        let mut push = vec!["--log", "trace", "push", "-f", &app, &reference];
        let mut pull = vec!["--log", "trace", "pull", &reference];
        let mut explain = vec!["--log", "trace", "auth", "explain", &reference];
        for arguments in [&mut push, &mut pull, &mut explain] {
            match self.source {
                Source::StandardInput => arguments.extend(["--username", "ada", "--password-stdin"]),
                Source::TokenStandardInput => arguments.push("--token-stdin"),
                _ => {}
            }
        }
        let run = async |arguments: &[&str]| self.cli.run_with_input(arguments, &self.secret).await.code();
        let codes = [run(&push).await, run(&pull).await];
        assert_eq!(run(&explain).await, Some(0));
        codes
    }

    /// Logs in with the secret, and out.
    async fn log_in(&self, registry: &str) -> Option<i32> {
        let mut login = vec!["--log", "trace", "login", registry, "-u", "ada"];
        match self.source {
            Source::Flag => login.extend(["-p", &self.secret]),
            _ => login.push("--password-stdin"),
        }
        let code = self.cli.run_with_input(login, &self.secret).await.code();
        self.search();
        self.cli.run(["--log", "trace", "logout", registry]).await;
        code
    }

    /// Looks for the secret in all files, and in what children were told.
    fn search(&self) {
        let basic = BASE64_STANDARD.encode(format!("ada:{}", self.secret));
        let mut open = vec![self.cli.path("")];
        let (saved, given): (_, Vec<PathBuf>) = (
            self.cli.path(SPIN),
            [DOCKER, "data/auth.json", "run/containers/auth.json"].map(|path| self.cli.path(path)).into(),
        );
        while let Some(path) = open.pop() {
            let about = std::fs::symlink_metadata(&path).expect("an entry of the room");
            if about.is_dir() {
                open.extend(
                    std::fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()),
                );
            }
            if !about.is_file() || given.contains(&path) {
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file of the room");
            let has = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            if has(&self.secret) || has(&basic) || has("test-token") || has(SIGNATURE) {
                assert_eq!(path, saved, "a secret was written");
                // What the test itself has written there has the mode that the test gave it.
                assert!(
                    self.source == Source::Spin || about.permissions().mode() & 0o077 == 0,
                    "others may read `{saved:?}`"
                );
            }
        }
        // What helpers are called with; their environment lies in a file of the room.
        assert!(calls(&self.cli).iter().all(|call| !call.contains(&self.secret) && !call.contains(&basic)));
    }

    /// Looks for the secret in everything that a foreign host has seen.
    fn search_seen(&self, foreign: &Scripted) {
        let basic = BASE64_STANDARD.encode(format!("ada:{}", self.secret));
        for seen in foreign.seen() {
            assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("cookie"), "{seen:?}");
            let text = format!("{seen:?}");
            assert!(![self.secret.as_str(), &basic, "test-token"].iter().any(|secret| text.contains(secret)), "{text}");
        }
    }
}

/// The guard that lets the holder of the secret pass.
fn guard(source: Source) -> Guard {
    let secret = format!("secret-of-{source:?}-horse");
    match source {
        Source::Identity | Source::HelperIdentity => Guard::bearer("ada", "another-one").refresh_token(&secret),
        _ => Guard::bearer("ada", &secret),
    }
}

/// A host that asks for credentials and has no right to them.
fn foreign() -> Script {
    Script::new().always("*", Reply::status(401).header("www-authenticate", "Basic realm=\"trap\""))
}

/// Returns the name of a scripted registry.
fn host(script: &Scripted) -> String {
    script.origin().split_once("://").map(|(_, host)| host.to_owned()).expect("an origin")
}

/// Plays a scene for each source of secrets, plainly and over TLS.
async fn everywhere(scene: impl AsyncFn(Source, Speech, &Authority)) {
    let authority = Authority::new();
    for speech in SPEECHES {
        join_all(SOURCES.map(|source| scene(source, speech, &authority))).await;
    }
}

#[tokio::test]
async fn nothing_shows_where_all_is_well() {
    everywhere(async |source, speech, authority| {
        let embedded = Embedded::start().await;
        let front = speech.front(Front::before(embedded.address()).guarded(&guard(source)), authority).await;
        let holder = Holder::new(source, &front.registry(), authority);
        let codes = holder.work(&front.registry()).await;
        assert_eq!(codes, if source.is_useless() { [Some(4); 2] } else { [Some(0); 2] }, "{source:?}, {speech:?}");
        holder.search();
        let knows = !matches!(source, Source::Identity | Source::HelperIdentity);
        assert_eq!(holder.log_in(&front.registry()).await, Some(if knows { 0 } else { 4 }), "{source:?}, {speech:?}");
    })
    .await;
}

#[tokio::test]
async fn nothing_shows_where_credentials_are_refused() {
    everywhere(async |source, speech, authority| {
        let embedded = Embedded::start().await;
        for guard in [Guard::basic("ada", "another-one"), Guard::bearer("ada", "another-one")] {
            let front = speech.front(Front::before(embedded.address()).guarded(&guard), authority).await;
            let holder = Holder::new(source, &front.registry(), authority);
            assert_eq!(holder.work(&front.registry()).await, [Some(4); 2], "{source:?}, {speech:?}");
            assert_eq!(holder.log_in(&front.registry()).await, Some(4), "{source:?}, {speech:?}");
            holder.search();
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_carried_to_where_a_registry_leads() {
    everywhere(async |source, speech, authority| {
        let foreign = speech.script(foreign(), authority).await;
        let elsewhere = foreign.uri(&format!("/elsewhere?X-Amz-Signature={SIGNATURE}")).to_string();
        let leading = Script::new()
            .always("POST *", Reply::status(202).header("location", elsewhere.clone()))
            .always("HEAD *", Reply::status(404))
            .always("*", Reply::redirect(307, elsewhere.clone()))
            .start()
            .await;
        let front = speech.front(Front::before(leading.address()).guarded(&guard(source)), authority).await;
        let holder = Holder::new(source, &front.registry(), authority);
        for code in holder.work(&front.registry()).await {
            assert!(code.is_some_and(|code| code != 0), "{source:?}, {speech:?}: {code:?}");
        }
        holder.log_in(&front.registry()).await;
        holder.search();
        holder.search_seen(&foreign);
        assert!(!foreign.seen().is_empty() || source.is_useless(), "{source:?}, {speech:?}");
        leading.finish();
        foreign.finish();
    })
    .await;
}

#[tokio::test]
async fn nothing_is_carried_to_where_a_token_service_leads() {
    everywhere(async |source, speech, authority| {
        let foreign = speech.script(foreign(), authority).await;
        let service = Script::new()
            .always("* /token*", Reply::redirect(308, foreign.uri("/token").to_string()))
            .always("*", Reply::status(401).header("www-authenticate", "Bearer realm=\"{origin}/token\""));
        let service = speech.script(service, authority).await;
        let registry = host(&service);
        let holder = Holder::new(source, &registry, authority);
        holder.work(&registry).await;
        holder.log_in(&registry).await;
        holder.search();
        assert!(service.requests().iter().any(|request| request.contains("/token")), "{source:?}, {speech:?}");
        assert!(foreign.seen().is_empty(), "{:?}", foreign.requests());
        service.finish();
        foreign.finish();
    })
    .await;
}

#[tokio::test]
async fn nothing_shows_where_html_answers() {
    everywhere(async |source, speech, authority| {
        let page = || Reply::ok("<html>please log in</html>").header("content-type", "text/html");
        let portal = Script::new().always("*", page()).start().await;
        let front = speech.front(Front::before(portal.address()).guarded(&guard(source)), authority).await;
        let token_page = Script::new()
            .always("* /token*", page())
            .always("*", Reply::status(401).header("www-authenticate", "Bearer realm=\"{origin}/token\""));
        let token_page = speech.script(token_page, authority).await;
        for registry in [front.registry(), host(&token_page)] {
            let holder = Holder::new(source, &registry, authority);
            for code in holder.work(&registry).await {
                assert!(code.is_some_and(|code| code != 0), "{source:?}, {speech:?}: {code:?}");
            }
            holder.log_in(&registry).await;
            holder.search();
        }
        portal.finish();
        token_page.finish();
    })
    .await;
}

#[tokio::test]
async fn r2_passwords_in_the_wrong_place_are_not_repeated() {
    let cli = Cli::new();
    for arguments in [
        &["login", "-u", "ada:hunter2", "-p", "x", "127.0.0.1:1"][..],
        &["push", "--username", "ada:hunter2", "--password-stdin", "127.0.0.1:1/app:v1"],
        &["pull", "--username", "ada:hunter2", "--password-stdin", "127.0.0.1:1/app:v1"],
        &["pull", "https://ada:hunter2@r.invalid/app:v1"],
        &["pull", "ada:hunter2@r.invalid/app:v1"],
        &["auth", "explain", "ada:hunter2@r.invalid/app"],
    ] {
        let complaint = cli.run_with_input(arguments.iter().copied(), "x").await.failure(2);
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
}
