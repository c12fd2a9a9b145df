//! The examples, compiled as they stand and run against the embedded registry.

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::root;
use crate::support::scenario::{app, push};

/// Their `main` reads the command line, which is the only thing not used here.
macro_rules! example {
    ($name:ident, $path:literal) => {
        #[allow(dead_code, unreachable_pub)]
        #[path = $path]
        mod $name;
    };
}

example!(copy_between, "../examples/copy_between.rs");
example!(embedded_registry, "../examples/embedded_registry.rs");
example!(pull_app, "../examples/pull_app.rs");
example!(pull_blob, "../examples/pull_blob.rs");
example!(push_artifact, "../examples/push_artifact.rs");
example!(resolve_tag, "../examples/resolve_tag.rs");

#[tokio::test]
async fn artifacts_are_pushed_resolved_fetched_and_copied() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let file = room.path().join("report.json");
    std::fs::write(&file, "[1, 2, 3]").expect("a file in a temporary directory");
    let (here, there) = (Embedded::start().await, Embedded::start().await);
    let reference = here.reference("reports:today").parse().expect("a reference");
    let digest = push_artifact::publish(&file, "application/vnd.example.report", &reference).await.expect("a push");
    assert_eq!(resolve_tag::resolve(&reference).await.expect("it is there"), digest);

    let mut fetched = Vec::new();
    let blob = Digest::of(b"[1, 2, 3]");
    assert_eq!(pull_blob::fetch(&reference, &blob, &mut fetched).await.expect("a blob"), 9);
    assert_eq!(fetched, b"[1, 2, 3]");

    let copy = there.reference("copies:today").parse().expect("a reference");
    assert_eq!(copy_between::carry(&reference, &copy).await.expect("a copy").root.digest, digest);
    assert_eq!(resolve_tag::resolve(&copy).await.expect("it is there"), digest);
}

#[tokio::test]
async fn applications_are_pulled_from_a_registry_of_ones_own() {
    let cli = Cli::new();
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let server = embedded_registry::open(&cli.path("data"), loopback).await.expect("a registry");
    let reference = format!("{}/app:v1", server.address());
    let serving = tokio::spawn(server.run(std::future::pending()));
    push(&cli, &app("static-site"), &reference, &[]).await;
    let files = pull_app::pull(&reference.parse().expect("a reference"), &cli.path("cache")).await.expect("a pull");
    assert!(!files.is_empty());
    for file in files {
        assert!(file.starts_with(cli.path("cache/registry")) && file.is_file(), "{}", file.display());
    }
    serving.abort();
}

/// Each needs no more than it says, and the README's readers find it.
#[test]
fn each_says_which_features_it_needs() {
    let manifest: toml::Table =
        std::fs::read_to_string(root("Cargo.toml")).expect("a manifest").parse().expect("it is TOML");
    let known = manifest["example"].as_array().expect("examples");
    for file in crate::support::files(&root("examples"), "rs") {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
        let entry = known.iter().find(|entry| entry["name"].as_str() == Some(name));
        let needs = entry.unwrap_or_else(|| panic!("`{name}` is not in Cargo.toml"))["required-features"].as_array();
        let needs: Vec<_> = needs.expect("a list").iter().filter_map(toml::Value::as_str).collect();
        let text = std::fs::read_to_string(&file).expect("a file of the crate");
        let said = text.split_once("--features ").expect("how to run it").1.split(' ').next().unwrap_or_default();
        let said: Vec<_> = said.split(',').filter(|feature| !feature.starts_with("tls-")).collect();
        assert_eq!(said, needs, "{name}");
    }
}
