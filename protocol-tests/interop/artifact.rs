//! One file of WebAssembly by itself: other clients read what we push, and we run what oras pushes as wkg does.

use std::path::Path;

use serde_json::{Value, json};
use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::peers::{self, Door, Foreign, Speech};
use crate::support::root;
use crate::support::scenario::push;

const GREETER: &[u8] = include_bytes!("../../fixtures/spin/apps/dep-app/greeter.wasm");

/// Runs a foreign client in a home of its own.
async fn run(name: &str, arguments: &[&str], home: &Path) -> String {
    peers::run(name, arguments, &[("HOME", home), ("DOCKER_CONFIG", home)]).await
}

#[tokio::test]
async fn other_clients_read_a_component_by_itself() {
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    let (cli, room) = (Cli::new(), tempfile::tempdir().expect("a temporary directory"));
    let module = room.path().join("module.wasm");
    std::fs::write(&module, b"\0asm\x01\0\0\0").expect("a file");
    let home = room.path();
    for (name, file, content) in [
        ("greeter", root("fixtures/spin/apps/dep-app/greeter.wasm"), GREETER),
        ("module", module.clone(), b"\0asm\x01\0\0\0".as_slice()),
    ] {
        let (repository, layer) = (format!("{}/acme/{name}", registry.address()), Digest::of(content));
        let reference = format!("{repository}:v1");
        let digest = push(&cli, file.to_str().expect("a path"), &reference, &[]).await;

        let manifest = run("crane", &["manifest", &reference], home).await;
        assert_eq!(Digest::of(manifest.as_bytes()), digest, "crane reads other bytes");
        let copied = format!("{repository}:v2");
        run("crane", &["copy", &reference, &copied], home).await;
        assert_eq!(run("crane", &["digest", &copied], home).await.trim_end(), digest.to_string());
        let config: Value = serde_json::from_str(&run("crane", &["config", &reference], home).await).expect("JSON");
        assert_eq!(config["layerDigests"], json!([layer]));

        let manifest = run("oras", &["manifest", "fetch", "--plain-http", &reference], home).await;
        assert_eq!(Digest::of(manifest.as_bytes()), digest, "oras reads other bytes");
        let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
        let fetched = home.join(name);
        let blob = format!("{repository}@{layer}");
        let output = fetched.to_str().expect("a path");
        run("oras", &["blob", "fetch", "--plain-http", "--output", output, &blob], home).await;
        assert_eq!(std::fs::read(&fetched).expect("what oras has fetched"), content);

        let host = format!("reg={},tls=disabled", registry.address());
        let arguments = ["--host", &host, "manifest", "get", "--format", "raw-body", &reference];
        let manifest = run("regctl", &arguments, home).await;
        assert_eq!(Digest::of(manifest.as_bytes()), digest, "regctl reads other bytes");
        let directory = format!("ocidir://{}:v1", home.join(format!("{name}-layout")).display());
        run("regctl", &["--host", &host, "image", "copy", &reference, &directory], home).await;
    }
}

/// With wkg's media types, config and annotations, by another hand.
#[tokio::test]
async fn what_oras_pushes_as_wkg_does_is_prepared() {
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    let (cli, room) = (Cli::new(), tempfile::tempdir().expect("a temporary directory"));
    let config = json!({
        "created": "2025-03-04T05:06:07.123456789Z", "author": null, "architecture": "wasm", "os": "wasip2",
        "layerDigests": [Digest::of(GREETER)],
        "component": {"exports": ["demo:greeter/greet@1.0.0"], "imports": [], "target": null},
    });
    let (config_file, wasm_file) = (room.path().join("config.json"), room.path().join("greeter.wasm"));
    std::fs::write(&config_file, config.to_string()).expect("a file");
    std::fs::write(&wasm_file, GREETER).expect("a file");
    let reference = format!("{}/acme/greeter:v1", registry.address());
    let config = format!("{}:application/vnd.wasm.config.v0+json", config_file.display());
    let layer = format!("{}:application/wasm", wasm_file.display());
    let arguments = ["push", "--plain-http", "--disable-path-validation", "--config", &config, &reference, &layer];
    run("oras", &arguments, room.path()).await;

    let work = cli.path("tmp/work");
    cli.run(["prepare", &reference, "--to", work.to_str().expect("a path")]).await.success();
    let lock = std::fs::read(work.join("spin.lock")).expect("a lock file");
    let lock: Value = serde_json::from_slice(&lock).expect("JSON");
    let source = lock["components"][0]["source"]["source"].as_str().and_then(|url| url.strip_prefix("file://"));
    assert_eq!(std::fs::read(source.expect("a URL of a file")).expect("it is there"), GREETER);
}
