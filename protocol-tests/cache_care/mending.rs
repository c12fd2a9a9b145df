//! `cache verify --repair`: what is damaged is pulled again, and nothing else.

use std::fs;
use std::path::PathBuf;

use super::listing::{directory, two};
use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, push, verify};

/// Changes a file without changing its length; returns its path.
fn damage(path: PathBuf) -> PathBuf {
    let mut content = fs::read(&path).expect("a file");
    content[0] ^= 1;
    fs::write(&path, content).expect("a file");
    path
}

fn first(cli: &Cli, folder: &str) -> PathBuf {
    let folder = cli.path("cache/spin/registry").join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path()).collect();
    paths.sort();
    paths.swap_remove(0)
}

#[tokio::test]
async fn what_is_damaged_is_pulled_again() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, inline] = two(&cli, &registry).await;
    // The tag has moved meanwhile: what is mended is what was pulled.
    push(&cli, &app("inline-trigger"), &site, &[]).await;
    let manifest = fs::read(directory(&cli, &site).join("manifest.json")).expect("a manifest");
    let damaged = [
        damage(first(&cli, "wasm")),
        damage(first(&cli, "data")),
        damage(directory(&cli, &site).join("config.json")),
        damage(directory(&cli, &inline).join("manifest.json")),
    ];
    let run = cli.run(["cache", "verify"]).await;
    assert_eq!(run.code(), Some(5), "{run}");
    for path in &damaged {
        assert!(run.stdout.lines().any(|line| line == path.display().to_string()), "{}: {run}", path.display());
    }
    assert_eq!(run.stdout.lines().count(), damaged.len(), "{run}");
    registry.wire().take();
    let printed = cli.run(["cache", "verify", "--repair"]).await.success();
    assert!(
        printed.contains(&format!("repaired {site}\n")) && printed.contains(&format!("repaired {inline}\n")),
        "{printed}"
    );
    let blobs =
        registry.wire().take().iter().filter(|line| line.starts_with("GET") && line.contains("/blobs/")).count();
    // Beside what was damaged two configs, which are not kept.
    assert!(blobs <= damaged.len() + 2, "{blobs} blobs were fetched");
    assert_eq!(fs::read(directory(&cli, &site).join("manifest.json")).expect("a manifest"), manifest);
    verify(&cli.path("cache/spin/registry"));
    assert!(cli.run(["cache", "verify"]).await.success().starts_with("nothing is damaged"));
}

#[tokio::test]
async fn what_cannot_be_mended_is_told() {
    let cli = Cli::new();
    push(&cli, &app("static-site"), "oci:out:v1", &[]).await;
    cli.run(["pull", "oci:out:v1"]).await.success();
    let path = damage(first(&cli, "wasm"));
    let run = cli.run(["cache", "verify", "--repair", "--json"]).await;
    assert_eq!(run.code(), Some(5), "{run}");
    assert!(run.stderr.contains("`layout.localhost/out:v1` is not repaired"), "{run}");
    let told: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(told["damaged"][0]["path"], path.display().to_string());
    assert_eq!((&told["damaged"][0]["flaw"], &told["damaged"][0]["removed"]), (&"content".into(), &true.into()));
    assert_eq!(
        told["applications"],
        serde_json::json!([{ "reference": "layout.localhost/out:v1", "repaired": false }])
    );
    assert!(!path.exists());
    cli.run(["pull", "oci:out:v1"]).await.success();
    assert!(cli.run(["cache", "verify"]).await.success().starts_with("nothing is damaged"));
}
