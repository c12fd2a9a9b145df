//! The same promises against programs that we did not write. `protocol-tests/peers.tsv` pins them; a missing one is a
//! failure.

/// A large file that is sent while it is hashed.
#[cfg(target_os = "linux")]
#[path = "interop/ahead.rs"]
mod ahead;
/// One file of WebAssembly by itself, read and written by others.
#[path = "interop/artifact.rs"]
mod artifact;
/// Middleware before a component, at work.
#[path = "interop/chained.rs"]
mod chained;
/// What the tool starts, as the system sees it.
#[cfg(target_os = "linux")]
#[path = "interop/children.rs"]
mod children;
/// Composed components, at work.
#[path = "interop/composed.rs"]
mod composed;
/// The official conformance suite: our registry passes it, and our judge agrees with it.
#[path = "interop/conformance/mod.rs"]
mod conformance;
/// Copies, layouts and archives.
#[path = "interop/copy.rs"]
mod copy;
/// What registries leave out, call by call of the library.
#[cfg(target_os = "linux")]
#[path = "interop/dialects.rs"]
mod dialects;
/// A disk that is full at random moments of pull, push and login.
#[cfg(target_os = "linux")]
#[path = "interop/full_disk.rs"]
mod full_disk;
/// What is published, as the others see it: tags, attachments, layouts, blobs.
#[cfg(target_os = "linux")]
#[path = "interop/looking.rs"]
mod looking;
/// Every access, plainly and over TLS, directly and through proxies.
#[cfg(target_os = "linux")]
#[path = "interop/matrix.rs"]
mod matrix;
/// No connection is attempted where none is allowed.
#[cfg(target_os = "linux")]
#[path = "interop/offline.rs"]
mod offline;
/// A registry that has all of the specification: referrers, deletion, other algorithms, mounts.
#[cfg(target_os = "linux")]
#[path = "interop/olareg.rs"]
mod olareg;
/// A client for artifacts of any kind: what is pushed, attached and deleted on either side.
#[cfg(target_os = "linux")]
#[path = "interop/oras.rs"]
mod oras;
/// Packages that oras publishes.
#[path = "interop/packages.rs"]
mod packages;
/// A third client, on a library of its own.
#[path = "interop/regctl.rs"]
mod regctl;
/// Other clients against `spinreg serve`: passwords and tokens.
#[path = "interop/serve.rs"]
mod serve;
mod support;

use spinreg::Digest;
use support::cli::Cli;
use support::front::Front;
use support::peers::{self, Door, Foreign, Speech};
use support::proxies::{Make, Proxy};
use support::scenario::{app, main_job, push};
use support::tls::Authority;

const USER: &str = "ada";
const PASSWORD: &str = "correct horse";

async fn login(cli: &Cli, registry: &str, flags: &[&str]) {
    let wrong = [&["login", registry, "-u", USER, "--password-stdin"], flags].concat();
    let complaint = cli.run_with_input(&wrong, "incorrect horse\n").await.failure(4);
    assert!(complaint.contains("`ada`"), "{complaint}");
    let printed = cli.run_with_input(&wrong, &format!("{PASSWORD}\n")).await.success();
    assert_eq!(printed, format!("Successfully logged in as {USER} to registry {registry}\n"));
}

#[tokio::test]
async fn distribution_over_tls_with_an_authority_of_its_own() {
    let authority = Authority::new();
    let (certificate, key) = authority.server_files();
    let speech = Speech::Tls { certificate, key };
    let registry = Foreign::distribution("distribution", Door::Basic, &speech).await;
    let name = format!("localhost:{}", registry.address().port());
    let ca = authority.file();
    let ca = ca.to_str().expect("a path");
    let cli = Cli::new().secret(PASSWORD).secret("incorrect horse");
    let stranger = cli.run(["pull", &format!("{name}/a/b")]).await.failure(6);
    assert!(stranger.contains("--ca-file"), "{stranger}");
    login(&cli, &name, &["--ca-file", ca]).await;
    main_job(&cli, &name, &["--ca-file", ca]).await;
    main_job(&cli, &name, &["-k"]).await;
}

#[tokio::test]
async fn cranes_registry() {
    let registry = Foreign::crane().await;
    main_job(&Cli::new(), &registry.address().to_string(), &[]).await;
}

/// Another client reads what we push, and finds every byte to be what its digest says.
#[tokio::test]
async fn crane_and_skopeo_accept_what_we_push() {
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    let cli = Cli::new();
    let room = tempfile::tempdir().expect("a temporary directory");
    for name in ["static-site", "inline-trigger", "big-assets"] {
        let reference = format!("{}/apps/{name}:v1", registry.address());
        let digest = push(&cli, &app(name), &reference, &[]).await;
        let docker_config = [("DOCKER_CONFIG", room.path())];
        let manifest = peers::run("crane", &["manifest", &reference], &docker_config).await;
        assert_eq!(Digest::of(manifest.as_bytes()), digest, "crane reads other bytes");
        peers::run("crane", &["validate", "--remote", &reference], &docker_config).await;

        let layout = room.path().join(name);
        let (from, to) = (format!("docker://{reference}"), format!("oci:{}:v1", layout.display()));
        peers::run("skopeo", &["copy", "--src-tls-verify=false", &from, &to], &[]).await;
        // And back: what skopeo laid out, we pull.
        let quiet = cli.run(["pull", "--quiet", &to, "--cache-dir", name]).await.success();
        assert!(quiet.trim_end().ends_with(&format!("@{digest}")), "{quiet}");
    }
}

/// What crane and skopeo push, we pull.
#[tokio::test]
async fn we_accept_what_crane_and_skopeo_push() {
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    let cli = Cli::new();
    let layout = cli.path("tmp/layout");
    let target = format!("oci:{}:v1", layout.display());
    let digest = push(&cli, &app("static-site"), &target, &[]).await;
    let by_crane = format!("{}/by/crane:v1", registry.address());
    peers::run("crane", &["push", layout.to_str().expect("a path"), &by_crane], &[("DOCKER_CONFIG", layout.as_path())])
        .await;
    let by_skopeo = format!("{}/by/skopeo:v1", registry.address());
    let to = format!("docker://{by_skopeo}");
    peers::run("skopeo", &["copy", "--preserve-digests", "--dest-tls-verify=false", &target, &to], &[]).await;
    for reference in [by_crane, by_skopeo] {
        let quiet = cli.run(["pull", "--quiet", &reference]).await.success();
        assert!(quiet.trim_end().ends_with(&format!("@{digest}")), "{quiet}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn olareg_plainly_and_over_tls() {
    let registry = Foreign::olareg(&Speech::Plain).await;
    main_job(&Cli::new(), &registry.address().to_string(), &[]).await;
    let authority = Authority::new();
    let (certificate, key) = authority.server_files();
    let registry = Foreign::olareg(&Speech::Tls { certificate, key }).await;
    let name = format!("localhost:{}", registry.address().port());
    let ca = authority.file();
    main_job(&Cli::new(), &name, &["--ca-file", ca.to_str().expect("a path")]).await;
}

/// The wire cost holds against a registry of another make as well.
#[tokio::test]
async fn requests_to_docker_registry_are_those_we_promise() {
    let registry = Foreign::distribution("docker-registry", Door::Open, &Speech::Plain).await;
    let front = Front::before(registry.address()).start().await;
    support::transcript::main_job(&front).await;
}

/// Through proxies of other makes: by a tunnel to a registry with TLS and passwords, and plainly, request by request.
#[tokio::test]
async fn registries_behind_proxies() {
    for make in [Make::Tinyproxy, Make::Squid] {
        let authority = Authority::new();
        let (certificate, key) = authority.server_files();
        let secure = Foreign::distribution("distribution", Door::Basic, &Speech::Tls { certificate, key }).await;
        let plain = Foreign::distribution("docker-registry", Door::Open, &Speech::Plain).await;
        let front = Front::before(plain.address()).start().await;
        let proxy = Proxy::start(make, front.address()).await;

        let cli = Cli::new().secret(PASSWORD).secret("incorrect horse").secret("lovelace");
        let text = format!(
            "[host.\"registry.test\"]\nconnect = \"{}\"\nca = '{}'\n[host.\"plain.test\"]\nplain_http = true\n",
            secure.address(),
            authority.file().display(),
        );
        cli.configure(&text);

        let cli = cli.env("HTTPS_PROXY", proxy.uri("lovelace")).env("HTTP_PROXY", proxy.uri("lovelace"));
        login(&cli, "registry.test", &[]).await;
        main_job(&cli, "registry.test", &[]).await;
        assert!(proxy.has_logged(&format!("CONNECT {} ", secure.address())), "{make:?}");
        main_job(&cli, "plain.test", &[]).await;
        assert!(front.wire().count("PUT /v2/apps/static-site/manifests/") > 0, "{make:?}");

        let cli = cli.env("HTTPS_PROXY", proxy.uri("not-her-password")).secret("not-her-password");
        let refused = cli.run(["pull", "registry.test/apps/static-site:v1"]).await.failure(6);
        assert!(refused.contains("the proxy settings"), "{make:?}: {refused}");
    }
}
