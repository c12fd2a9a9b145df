//! Credential helpers: programs that may be missing, fail, hang, and know a registry by several names.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::helpers::{calls, install, pulse};
use crate::support::registry::Embedded;
use crate::support::scenario::{app, pull, push};

const PASSWORD: &str = "correct-horse";

/// A registry with an application in it, behind a guard.
async fn guarded(guard: &Guard) -> (Embedded, Fronted) {
    let registry = Embedded::start().await;
    push(&Cli::new(), &app("static-site"), &registry.reference("app:v1"), &[]).await;
    let front = Front::before(registry.address()).guarded(guard).start().await;
    (registry, front)
}

/// Writes docker's `config.json`, in which `REGISTRY` stands for `registry`.
fn configure(cli: &Cli, registry: &str, text: &str) {
    std::fs::create_dir_all(cli.path("home/.docker")).expect("a directory in a temporary directory");
    std::fs::write(cli.path("home/.docker/config.json"), text.replace("REGISTRY", registry)).expect("a new file");
}

#[tokio::test]
async fn a_helper_without_an_answer_is_a_warning_for_pulls_and_an_error_for_pushes() {
    let tests = [
        ("missing", "is not installed"),
        ("failing", "ended with exit code 3"),
        ("nonsense", "does not answer in JSON"),
        ("hanging", "did not answer within 300ms"),
    ];
    let tests = tests.map(|(helper, said)| async move {
        let (registry, front) = guarded(&Guard::bearer("ada", "another").public()).await;
        let cli = install(Cli::new(), PASSWORD);
        configure(&cli, &front.registry(), &format!("{{\"credHelpers\":{{\"REGISTRY\":\"{helper}\"}}}}"));
        if helper == "hanging" {
            cli.configure("helper_timeout = \"300ms\"");
        }
        let reference = format!("{}/app:v1", front.registry());
        let run = cli.run(["pull", "-q", &reference]).await;
        let warning = format!("warning: the credential helper `docker-credential-{helper}` {said}");
        assert!(run.stderr.starts_with(&warning), "{run}");
        let rest = format!("; going on without credentials for `{}`\n", front.registry());
        assert!(run.stderr.ends_with(&rest) && run.stderr.lines().count() == 1, "said once: {run}");
        run.success();

        registry.wire().take();
        let complaint = cli.run(["push", "-q", "-f", &app("static-site"), &reference]).await.failure(4);
        let error = format!("error: the credential helper `docker-credential-{helper}` {said}");
        assert!(complaint.starts_with(&error), "{complaint}");
        assert!(complaint.contains(&format!("spinreg login {}", front.registry())), "{complaint}");
        assert!(registry.wire().lines().is_empty(), "nobody pushes in nobody's name");
    });
    join_all(tests).await;
}

#[tokio::test]
async fn a_helper_has_a_password_a_refresh_token_or_nothing() {
    for (guard, helper, allowed) in [
        (Guard::basic("ada", PASSWORD), "good", true),
        (Guard::bearer("ada", PASSWORD), "good", true),
        (Guard::bearer("ada", "another").refresh_token(PASSWORD), "token", true),
        (Guard::bearer("ada", PASSWORD), "empty", false),
    ] {
        let (_registry, front) = guarded(&guard).await;
        let reference = format!("{}/app:v1", front.registry());
        for text in [r#"{"credHelpers":{"REGISTRY":"HELPER"}}"#, r#"{"credsStore":"HELPER","auths":{"REGISTRY":{}}}"#] {
            let cli = install(Cli::new(), PASSWORD);
            configure(&cli, &front.registry(), &text.replace("HELPER", helper));
            match allowed {
                true => pull(&cli, &reference, &[]).await,
                false => assert!(cli.run(["pull", &reference]).await.failure(4).contains("there are none")),
            }
            assert_eq!(calls(&cli), [format!("docker-credential-{helper} get {}", front.registry())]);
        }
    }
}

#[tokio::test]
async fn a_helper_without_an_answer_is_passed_over_for_other_sources() {
    let (_registry, front) = guarded(&Guard::basic("ada", PASSWORD)).await;
    let reference = format!("{}/app:v1", front.registry());
    let entry = r#"{"credHelpers":{"REGISTRY":"missing"},"auths":{"REGISTRY":{"auth":"YWRhOmNvcnJlY3QtaG9yc2U="}}}"#;
    let cli = install(Cli::new(), PASSWORD);
    configure(&cli, &front.registry(), entry);
    pull(&cli, &reference, &[]).await;

    let cli = install(Cli::new(), PASSWORD);
    configure(&cli, &front.registry(), r#"{"credsStore":"failing"}"#);
    std::fs::create_dir(cli.path("run/containers")).expect("a new directory");
    let podman = r#"{"auths":{"REGISTRY":{"auth":"YWRhOmNvcnJlY3QtaG9yc2U="}}}"#.replace("REGISTRY", &front.registry());
    std::fs::write(cli.path("run/containers/auth.json"), podman).expect("a new file");
    let run = cli.run(["pull", "-q", "--log", "warn", &reference]).await;
    assert!(run.stderr.contains("ended with exit code 3; going on with credentials from"), "{run}");
    run.success();
}

#[tokio::test]
async fn no_helper_is_run_where_nobody_asks() {
    let registry = Embedded::start().await;
    let cli = install(Cli::new(), PASSWORD);
    configure(&cli, &registry.address().to_string(), r#"{"credsStore":"hanging"}"#);
    push(&cli, &app("static-site"), &registry.reference("app:v1"), &[]).await;
    pull(&cli, &registry.reference("app:v1"), &[]).await;
    assert!(calls(&cli).is_empty());
}

/// A script that hangs mostly waits for a program that it has started: to kill it alone would leave that one behind.
#[tokio::test]
async fn r3_a_helper_that_hangs_ends_with_all_that_it_has_started() {
    let (_registry, front) = guarded(&Guard::bearer("ada", "another").public()).await;
    let reference = format!("{}/app:v1", front.registry());
    let room = || {
        let cli = install(Cli::new(), PASSWORD);
        configure(&cli, &front.registry(), r#"{"credHelpers":{"REGISTRY":"brooding"}}"#);
        let pulse = pulse(&cli);
        (cli, pulse)
    };
    let (cli, mut pulse) = room();
    cli.configure("helper_timeout = \"300ms\"");
    let run = cli.run(["pull", "-q", &reference]).await;
    assert!(run.stderr.contains("`docker-credential-brooding` did not answer within 300ms"), "{run}");
    run.success();
    silent(&mut pulse).await;

    // So it does where somebody does not want to wait that long.
    let (cli, mut pulse) = room();
    cli.configure("helper_timeout = \"10m\"");
    let running = cli.start(["pull", "-q", &reference], None);
    let mut said = [0; 10];
    while pulse.read_exact(&mut said).await.is_err() {
        // Nobody has opened the pipe yet.
        tokio::task::yield_now().await;
    }
    assert_eq!(&said, b"two of us\n");
    let complaint = running.interrupt().await.failure(130);
    assert_eq!(complaint, "error: interrupted\n");
    silent(&mut pulse).await;
}

/// Waits until nobody is left who could write.
async fn silent(pulse: &mut Receiver) {
    let mut rest = Vec::new();
    tokio::time::timeout(WATCHDOG, pulse.read_to_end(&mut rest)).await.expect("somebody lives").expect("a pipe");
}

/// Nothing waits this long where all is well.
const WATCHDOG: Duration = Duration::from_secs(60);
