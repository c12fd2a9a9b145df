//! `spinreg auth explain`: every kind of source, in every state.

use std::path::Path;

use crate::support::cli::Cli;
use crate::support::helpers::{calls, install};

const PASSWORD: &str = "correct-horse";
/// `ada:correct-horse`
const ADA: &str = "YWRhOmNvcnJlY3QtaG9yc2U=";
const DOCKER: &str = "home/.docker/config.json";
const SPIN: &str = "config/fermyon/registry-auth.json";

fn cli() -> Cli {
    install(Cli::new(), PASSWORD)
}

/// Writes a credential file, in which `ADA` stands for credentials; returns its path as the tool prints it.
fn write(cli: &Cli, path: &str, text: &str) -> String {
    let path = cli.path(path);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory in a temporary directory");
    std::fs::write(&path, text.replace("ADA", ADA)).expect("a new file");
    path.display().to_string()
}

async fn explain(cli: &Cli, reference: &str) -> Vec<String> {
    let run = cli.run(["auth", "explain", reference]).await;
    assert!(run.stderr.is_empty(), "{run}");
    run.success().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_empty_home_has_no_credentials() {
    let cli = cli();
    let path = |path| cli.path(path).display().to_string();
    let expected = [
        "ghcr.io/ada/app: no source has credentials".to_owned(),
        String::new(),
        "the command line and `SPINREG_…`: nothing for it".into(),
        format!("{}: there is no such file", path(SPIN)),
        "`REGISTRY_AUTH_FILE`: it is not set".into(),
        "`DOCKER_AUTH_CONFIG`: it is not set".into(),
        format!("{}: there is no such file", path(DOCKER)),
        format!("{}: there is no such file", path("run/containers/auth.json")),
        format!("{}: there is no such file", path("config/containers/auth.json")),
    ];
    assert_eq!(explain(&cli, "ghcr.io/ada/app:v1").await, expected);
}

#[tokio::test]
async fn every_source_answers_in_its_turn() {
    let cli = cli();
    let podman = write(&cli, "config/containers/auth.json", r#"{"auths":{"ghcr.io":{"auth":"ADA"}}}"#);
    let docker = r#"{"auths":{"https://ghcr.io":{"identitytoken":"correct-horse"}}}"#;
    let expect = async |cli: &Cli, outcome: &str| {
        let lines = explain(cli, "ghcr.io/ada/app").await;
        assert_eq!(lines[0], format!("ghcr.io/ada/app: {outcome}"), "{lines:#?}");
        lines
    };
    expect(&cli, &format!("a password of `ada` under the key `ghcr.io`, in {podman}")).await;
    let docker = write(&cli, DOCKER, docker);
    let lines = expect(&cli, &format!("an identity token under the key `https://ghcr.io`, in {docker}")).await;
    let rest = "a password of `ada` under the key `ghcr.io` (not reached)";
    assert_eq!(lines.last(), Some(&format!("{podman}: {rest}")));
    let cli = cli.env("DOCKER_AUTH_CONFIG", r#"{"auths":{"ghcr.io/ada":{"registrytoken":"correct-horse"}}}"#);
    expect(&cli, "a registry token under the key `ghcr.io/ada`, in `DOCKER_AUTH_CONFIG`").await;
    let file = write(&cli, "data/auth.json", r#"{"auths":{"ghcr.io":{"username":"ada","password":"correct-horse"}}}"#);
    let cli = cli.env("REGISTRY_AUTH_FILE", &file);
    expect(&cli, &format!("a password of `ada` under the key `ghcr.io`, in {file}")).await;
    let spin = write(&cli, SPIN, r#"{"auths":{"ghcr.io":"ADA"}}"#);
    expect(&cli, &format!("a password of `ada` under the key `ghcr.io`, in {spin}")).await;
    let cli = cli.env("SPINREG_USERNAME", "eve").env("SPINREG_PASSWORD", PASSWORD);
    expect(&cli, "a password of `eve`, in `SPINREG_PASSWORD`").await;
    let flags = ["auth", "explain", "-q", "ghcr.io/ada/app", "--token-stdin"];
    let printed = cli.run_with_input(flags, PASSWORD).await.success();
    assert_eq!(printed, "ghcr.io/ada/app: a registry token, in the command line\n");
}

#[tokio::test]
async fn the_longest_key_wins_and_is_shown() {
    let cli = cli();
    let text = r#"{"auths":{"ghcr.io":{"auth":"ADA"},"ghcr.io/ada":{"auth":"ADA"},"ghcr.io/ada/app":{}}}"#;
    let path = write(&cli, "run/containers/auth.json", text);
    for (reference, key) in
        [("ghcr.io/ada/x", "ghcr.io/ada"), ("ghcr.io/adam/x", "ghcr.io"), ("ghcr.io/ada/app/x", "ghcr.io/ada")]
    {
        let lines = explain(&cli, reference).await;
        assert_eq!(lines[0], format!("{reference}: a password of `ada` under the key `{key}`, in {path}"));
        let empty = format!("{path}: nothing under the key `ghcr.io/ada/app`");
        assert_eq!(lines.contains(&empty), reference == "ghcr.io/ada/app/x", "{lines:#?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_source_is_said_without_showing_it() {
    let cli = cli();
    for (file, text, said) in [
        (SPIN, "{\"auths\": correct-horse", "expects valid JSON: line 1, column 11"),
        (
            SPIN,
            r#"{"auths":{"ghcr.io":"correct-horse"}}"#,
            "entries that are `user:password` in Base64: entry `ghcr.io`",
        ),
        (DOCKER, r#"{"auths":{"ghcr.io":{"auth":"correct-horse"}}}"#, "an `auth` that is `user:password` in Base64"),
        (DOCKER, r#"{"auths":"correct-horse"}"#, "the layout of a credential file"),
        (DOCKER, r#"{"credHelpers":{"ghcr.io":"../good"}}"#, "helpers without a path in their name: entry `../good`"),
    ] {
        let path = write(&cli, file, text);
        let lines = explain(&cli, "ghcr.io/ada/app").await;
        assert_eq!(lines[0], format!("ghcr.io/ada/app: the search ends with an error, at {path}"));
        assert!(lines.iter().any(|line| line.starts_with(&path) && line.contains(said)), "{lines:#?}");
        std::fs::remove_file(path).expect("it was written");
    }
    let directory = cli.path(SPIN);
    std::fs::create_dir_all(&directory).expect("a new directory");
    let lines = explain(&cli, "ghcr.io/ada/app").await;
    assert!(lines.iter().any(|line| line.contains("cannot read") && line.contains("directory")), "{lines:#?}");
}

#[tokio::test]
async fn helpers_are_asked_and_their_failures_told() {
    for (helper, outcome, said) in [
        ("good", "a password of `ada` from the credential helper `docker-credential-good`, for `ghcr.io`", ""),
        ("token", "an identity token from the credential helper `docker-credential-token`, for `ghcr.io`", ""),
        ("empty", "", "the credential helper `docker-credential-empty` knows nothing of `ghcr.io`"),
        ("missing", "", "the credential helper `docker-credential-missing` is not installed"),
        ("failing", "", "the credential helper `docker-credential-failing` ended with exit code 3"),
        ("nonsense", "", "the credential helper `docker-credential-nonsense` does not answer in JSON"),
    ] {
        for text in [r#"{"credHelpers":{"ghcr.io":"HELPER"}}"#, r#"{"credsStore":"HELPER"}"#] {
            let cli = cli();
            let path = write(&cli, DOCKER, &text.replace("HELPER", helper));
            let lines = explain(&cli, "ghcr.io/ada/app").await;
            match outcome {
                "" => assert_eq!(lines[0], "ghcr.io/ada/app: no source has credentials"),
                outcome => assert_eq!(lines[0], format!("ghcr.io/ada/app: {outcome}, in {path}")),
            }
            let said = format!("{path}: {said}");
            assert!(lines.iter().any(|line| line.starts_with(&said)), "{lines:#?}");
        }
    }
}

#[tokio::test]
async fn docker_hub_is_asked_for_by_each_of_its_names() {
    let cli = cli();
    write(&cli, DOCKER, r#"{"credsStore":"hub"}"#);
    let lines = explain(&cli, "ada/app").await;
    let place = "from the credential helper `docker-credential-hub`, for `registry-1.docker.io`";
    assert!(lines[0].starts_with(&format!("docker.io/ada/app: a password of `ada` {place}")), "{lines:#?}");
    let names = ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"];
    assert_eq!(calls(&cli), names.map(|name| format!("docker-credential-hub get {name}")));
}
