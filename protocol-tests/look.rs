//! What is published, looked at and kept: in a registry, a layout, an archive, and in the cache.

/// What refers to what is published, and annotations.
mod attaching;
/// Two versions, and what is different.
mod comparing;
/// Applications and everything else, as people and programs see them.
mod inspecting;
/// Manifests and blobs by themselves.
mod parts;
/// Plans of push and pull.
mod planning;
/// Tags that are given and taken away.
mod tagging;

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::listen::closed_port;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, pull, push};
use crate::support::script::Script;

/// Parses what the tool has printed.
fn json(printed: &str) -> serde_json::Value {
    assert!(
        !printed.contains(char::is_control) || !printed.replace('\n', "").contains(char::is_control),
        "{printed:?}"
    );
    serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// Compares what the tool has printed with a file of the fixtures, in which `{reference}` stands for the reference.
fn matches(name: &str, printed: &str, reference: &str) {
    let path = crate::support::root("fixtures/look").join(name);
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = expected.replace("{reference}", reference);
    let differs = || {
        let (expected, printed) = (expected.lines().collect::<Vec<_>>(), printed.lines().collect::<Vec<_>>());
        crate::support::wire::difference(&expected, &printed)
    };
    assert!(printed == expected, "`{name}` differs:\n{}", differs());
}

/// Puts the same application into a registry, a layout and an archive, as `v1`; returns its digest.
async fn spread(cli: &Cli, registry: &Embedded) -> Digest {
    let digest = push(cli, &app("static-site"), &registry.reference("app:v1"), &[]).await;
    for to in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        cli.run(["copy", &registry.reference("app:v1"), to]).await.success();
    }
    digest
}

#[tokio::test]
async fn references_are_resolved_wherever_they_are() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    pull(&cli, &registry.reference("app:v1"), &[]).await;
    registry.wire().take();
    for (reference, place) in [
        (registry.reference("app:v1"), registry.reference("app")),
        ("oci:out:v1".to_owned(), "oci:out".to_owned()),
        ("oci-archive:out.tar:v1".to_owned(), "oci-archive:out.tar".to_owned()),
    ] {
        let pinned = format!("{place}@{digest}");
        assert_eq!(cli.run(["resolve", &reference]).await.success(), format!("{pinned}\n"));
        assert_eq!(cli.run(["resolve", "--quiet", &pinned]).await.success(), format!("{pinned}\n"));
        let printed = cli.run(["resolve", "--json", &reference]).await.success();
        let size = json(&printed)["size"].as_u64().expect("a number");
        let expected = format!(
            r#"{{
  "schema": 1,
  "reference": "{reference}",
  "digest": "{digest}",
  "pinned": "{pinned}",
  "media_type": "application/vnd.oci.image.manifest.v1+json",
  "size": {size}
}}
"#
        );
        assert_eq!(printed, expected);
    }
    assert_eq!(registry.wire().take().len(), 3, "one request each time");
    let offline = cli.run(["resolve", "--offline", &registry.reference("app:v1")]).await.success();
    assert_eq!(offline, format!("{}@{digest}\n", registry.reference("app")));
    assert_eq!(registry.wire().take(), [""; 0]);
    let complaint = cli.run(["resolve", "--offline", &registry.reference("app:v2")]).await.failure(3);
    assert!(complaint.contains("hint: run `spinreg pull"), "{complaint}");
}

#[tokio::test]
async fn one_platform_of_an_index_is_resolved() {
    let cli = Cli::new();
    let corpus = crate::copy::corpus::Corpus::at(&cli.path("work/first")).await;
    let printed = cli.run(["resolve", "oci:first:v1"]).await.success();
    assert_eq!(printed, format!("oci:first@{}\n", corpus.index));
    let printed = cli.run(["resolve", "--platform", "linux/arm64", "oci:first:v1"]).await.success();
    assert_eq!(printed, format!("oci:first@{}\n", corpus.arm64));
    let complaint = cli.run(["resolve", "--platform", "linux/s390x", "oci:first:v1"]).await.failure(3);
    assert!(complaint.contains("serves linux/amd64, linux/arm64"), "{complaint}");
}

#[tokio::test]
async fn tags_are_listed_in_each_order() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    spread(&cli, &registry).await;
    let reference = registry.reference("app:v1");
    cli.run(["tag", &reference, "v1.10", "v1.9", "latest", "v2-rc.1"]).await.success();
    let app = registry.reference("app");
    let lines = async |arguments: &[&str]| {
        let printed = cli.run([&["tags"], arguments].concat()).await.success();
        printed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[&app]).await, ["latest", "v1", "v1.10", "v1.9", "v2-rc.1"]);
    assert_eq!(lines(&["--sort", "semver", &app]).await, ["v2-rc.1", "v1.10", "v1.9", "v1", "latest"]);
    assert_eq!(lines(&["--sort", "semver", "--limit", "1", &app]).await, ["v2-rc.1"]);
    assert_eq!(lines(&["--after", "v1.10", &app]).await, ["v1.9", "v2-rc.1"]);
    assert_eq!(lines(&["--page", "2", &app]).await.len(), 5);
    assert_eq!(lines(&["oci:out"]).await, ["v1"]);
    assert_eq!(lines(&["oci-archive:out.tar"]).await, ["v1"]);
    let printed = cli.run(["tags", "--json", "--limit", "2", &app]).await.success();
    let expected = format!(
        "{{\n  \"schema\": 1,\n  \"repository\": \"{app}\",\n  \"tags\": [\n    \"latest\",\n    \"v1\"\n  ],\n  \"complete\": false\n}}\n"
    );
    assert_eq!(printed, expected);
    assert_eq!(json(&cli.run(["tags", "--json", &app]).await.success())["complete"], true);
}

/// What is wrong is said in the words of the registry, with the next step and an exit code of its own.
#[tokio::test]
async fn refusals_are_told_apart() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    push(&cli, &app("inline-trigger"), &registry.reference("app:v1"), &[]).await;
    let guarded = Front::before(registry.address()).guarded(&Guard::basic("ada", "correct horse")).start().await;
    let guarded = guarded.registry();
    let broken = Script::new()
        .always("* /v2/app/tags/list*", Reply::status(405))
        .always("HEAD /v2/app/*", Reply::status(405))
        .always("GET /v2/app/*", Reply::ok("{\"schemaVersion\":1}").header("content-type", "application/json"))
        .start()
        .await;
    let address = broken.address();
    let closed = closed_port().await;
    for (arguments, code, said) in [
        (vec!["resolve".to_owned(), registry.reference("app:v9")], 3, vec!["manifest `v9`", "check the tag or digest"]),
        (
            vec!["resolve".to_owned(), registry.reference("none:v1")],
            3,
            vec!["manifest `v1`", "check the tag or digest"],
        ),
        (vec!["tags".to_owned(), registry.reference("none")], 3, vec!["not found", "hint:"]),
        (vec!["resolve".to_owned(), format!("{guarded}/app:v1")], 4, vec![&guarded, "spinreg login"]),
        (vec!["tags".to_owned(), format!("{guarded}/app")], 4, vec![&guarded, "spinreg login"]),
        (vec!["tags".to_owned(), format!("{address}/app")], 1, vec!["405", "hint:"]),
        (vec!["resolve".to_owned(), format!("{address}/app:v1")], 1, vec!["no manifest", "`schemaVersion` 2"]),
        (vec!["resolve".to_owned(), format!("{closed}/app:v1")], 6, vec!["cannot connect", "hint:"]),
        (vec!["tags".to_owned(), "Not A Name".to_owned()], 2, vec!["hint: write `REGISTRY/NAME:TAG`"]),
        (vec!["resolve".to_owned(), "oci:absent".to_owned()], 3, vec!["absent", "`oci:` names an OCI image layout"]),
    ] {
        let complaint = cli.run(&arguments).await.failure(code);
        for text in said {
            assert!(complaint.contains(text), "{arguments:?} {text}: {complaint}");
        }
        assert!(!complaint.contains("--cache-dir") && !complaint.contains("pushed is kept"), "{complaint}");
    }
    broken.finish();
    let flaky = Front::before(registry.address())
        .meddle("HEAD /v2/app/manifests/v1", [Meddle::Instead(Reply::status(503))])
        .start()
        .await;
    cli.run(["resolve", &format!("{}/app:v1", flaky.registry())]).await.success();
}

#[tokio::test]
async fn every_command_has_examples() {
    let cli = Cli::new();
    for command in COMMANDS {
        let help = cli.run(command.iter().chain(&["--help"])).await.success();
        assert!(help.contains("Examples:"), "{command:?}: {help}");
        assert!(help.contains("REFERENCE"), "{command:?}: {help}");
    }
}

const COMMANDS: &[&[&str]] = &[
    &["inspect"],
    &["resolve"],
    &["tags"],
    &["tag"],
    &["delete"],
    &["referrers"],
    &["attach"],
    &["annotate"],
    &["manifest", "get"],
    &["blob", "get"],
];
