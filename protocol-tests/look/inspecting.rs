//! Applications and everything else, as people and programs see them.

use spinreg::Digest;

use super::{json, matches, spread};
use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, pull, push};
use crate::support::script::Script;

#[tokio::test]
async fn applications_are_shown_wherever_they_are() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = spread(&cli, &registry).await;
    let here = registry.reference("app:v1");
    registry.wire().take();
    for reference in [here.clone(), "oci:out:v1".to_owned(), "oci-archive:out.tar:v1".to_owned()] {
        matches("application.txt", &cli.run(["inspect", &reference]).await.success(), &reference);
        let printed = cli.run(["inspect", "--json", &reference]).await.success();
        let pinned = format!("{}@{digest}", reference.trim_end_matches(":v1"));
        matches("application.json", &printed.replace(&pinned, "{pinned}"), &reference);
        let raw = cli.run(["inspect", "--raw", &reference]).await.success();
        assert_eq!(Digest::of(raw.as_bytes()), digest);
        assert_eq!(cli.run(["inspect", "-q", &reference]).await.success(), format!("{pinned}\n"));
    }
    let wire = registry.wire().take();
    let manifests = wire.iter().filter(|line| line.contains("GET /v2/app/manifests/v1")).count();
    assert_eq!((wire.len(), manifests), (6, 4), "{wire:#?}");

    // What is in the cache is marked, and is all that is asked when there is no network.
    pull(&cli, &here, &[]).await;
    registry.wire().take();
    let offline = cli.run(["inspect", "--offline", &here]).await.success();
    assert!(offline.contains("layers: 10, 376.89 KiB, all in the cache\n"), "{offline}");
    assert_eq!(offline.lines().filter(|line| line.ends_with("  cached")).count(), 10, "{offline}");
    let offline = json(&cli.run(["inspect", "--offline", "--json", &here]).await.success());
    assert_eq!(offline["application"]["name"], "static-site");
    assert_eq!(registry.wire().take(), [""; 0]);
    let files = cli.run(["inspect", "--files", &here]).await.success();
    assert!(files.contains("static/index.html  1.04 KiB\n"), "{files}");
}

#[tokio::test]
async fn private_routes_and_inline_components_are_shown() {
    let cli = Cli::new();
    push(&cli, &app("inline-trigger"), "oci:out:v1", &[]).await;
    let shown = cli.run(["inspect", "oci:out:v1"]).await.success();
    assert!(shown.contains("  http  /x  -> http-trigger1-component\n  http  private  -> y\n"), "{shown}");
}

#[tokio::test]
async fn components_indexes_and_other_artifacts_are_what_they_are() {
    let cli = Cli::new();
    let wat = "(component (core module))";
    std::fs::write(cli.path("work/part.wat"), wat).expect("a file");
    cli.run(["push", "-f", "part.wat", "oci:out:part"]).await.success();
    let shown = cli.run(["inspect", "oci:out:part"]).await.success();
    assert!(shown.contains("kind         WebAssembly package\n") && shown.contains("for          wasip2\n"), "{shown}");
    let printed = json(&cli.run(["inspect", "--json", "oci:out:part"]).await.success());
    assert_eq!((&printed["kind"], &printed["component"]["os"]), (&"component".into(), &"wasip2".into()));

    let corpus = crate::copy::corpus::Corpus::at(&cli.path("work/first")).await;
    let shown = cli.run(["inspect", "oci:first:v1"]).await.success();
    assert!(shown.contains("kind         index\n") && shown.contains("  linux/arm64\n"), "{shown}");
    let shown = cli.run(["inspect", "--platform", "linux/arm64", "oci:first:v1"]).await.success();
    assert!(shown.contains(&format!("digest       {}\n", corpus.arm64)), "{shown}");
    let shown = cli.run(["inspect", &format!("oci:first@{}", corpus.sbom)]).await.success();
    assert!(shown.contains("artifact     application/x.sbom\n"), "{shown}");
    assert!(shown.contains(&format!("refers to    {}\n", corpus.index)), "{shown}");
}

/// Whatever a manifest and a lock file say, nothing of it steers a terminal; and no size is believed.
#[tokio::test]
async fn hostile_words_are_shown_and_do_nothing() {
    let cli = Cli::new();
    let evil = "a\u{1b}[2Jb\u{9b}31m\u{202e}c\rd\ne\u{7}";
    let (digest, huge) = (Digest::of(b"x"), u64::MAX);
    let lock = serde_json::json!({
        "spin_lock_version": 0,
        "metadata": { "name": evil, "version": evil, "description": evil, "authors": [evil] },
        "variables": { evil: { "default": evil, "description": evil } },
        "triggers": [{ "id": evil, "trigger_type": evil, "trigger_config": { "component": evil, evil: { evil: evil }, "route": evil } }],
        "components": [{
            "id": evil, "source": { "content_type": "application/wasm", "digest": digest }, "env": { evil: evil },
            "files": [{ "path": evil, "digest": digest }, { "path": "b", "digest": digest }], "config": { evil: evil },
            "metadata": {
                "description": evil, "allowed_outbound_hosts": [evil], "key_value_stores": [evil], "databases": [evil],
                "ai_models": [evil],
            },
        }],
    });
    let lock = lock.to_string();
    let layer = |media_type: &str, digest: &Digest, size: u64| {
        serde_json::json!({
            "mediaType": media_type, "digest": digest, "size": size,
            "annotations": { "org.opencontainers.image.title": evil },
        })
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "artifactType": evil,
        "config": layer("application/vnd.oci.empty.v1+json", &Digest::of(b"{}"), 2),
        "layers": [
            layer("application/vnd.wasm.content.layer.v1+wasm", &digest, huge),
            layer("application/x", &Digest::of(b"y"), huge),
            layer("application/vnd.fermyon.spin.application.v1+config", &Digest::of(lock.as_bytes()), lock.len() as u64),
        ],
        "annotations": { evil: evil },
    });
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "artifactType": evil,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": huge,
            "platform": { "os": evil, "architecture": evil, "variant": evil }, "artifactType": evil,
        }],
    });
    let script = Script::new()
        .always("GET /v2/app/manifests/v1", Reply::ok(manifest.to_string()))
        .always("GET /v2/app/manifests/index", Reply::ok(index.to_string()))
        .always("GET /v2/app/blobs/*", Reply::ok(lock))
        .start()
        .await;
    for (tag, flag) in [("v1", "--files"), ("v1", "--json"), ("index", "--files"), ("index", "--json")] {
        let reference = format!("{}/app:{tag}", script.address());
        let shown = cli.run(["inspect", flag, &reference]).await.success();
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(steers) && !shown.contains("d\ne"), "{flag}: {shown:?}");
        assert!(shown.contains("\\u{1b}[2Jb") || json(&shown)["artifact_type"] == evil, "{flag}: {shown}");
    }
    let index = format!("{}/app:index", script.address());
    let complaint = cli.run(["resolve", "--platform", "linux/amd64", &index]).await.failure(3);
    assert!(!complaint.contains(|c: char| (c.is_control() && !"\n\t".contains(c)) || c == '\u{202e}'), "{complaint:?}");
    assert!(complaint.contains("\\u{1b}[2Jb"), "{complaint}");
    script.finish();
}

#[tokio::test]
async fn what_is_broken_is_refused() {
    let cli = Cli::new();
    let layer = serde_json::json!({
        "mediaType": "application/vnd.fermyon.spin.application.v1+config", "digest": Digest::of(b"<html>"), "size": 6,
    });
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": layer, "layers": [] });
    let script = Script::new()
        .always("GET /v2/app/manifests/v1", Reply::ok(manifest.to_string()))
        .on_each("GET /v2/app/blobs/*", [Reply::ok("<html>"), Reply::ok("<html?"), Reply::status(404)])
        .start()
        .await;
    let reference = format!("{}/app:v1", script.address());
    for (code, said) in [(1, "lock file"), (5, "hint:"), (3, "blob `")] {
        let complaint = cli.run(["inspect", &reference]).await.failure(code);
        assert!(complaint.contains(said), "{complaint}");
    }
    script.finish();
}
