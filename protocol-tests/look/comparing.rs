//! Two versions, and what is different.

use super::json;
use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::scenario::push;

/// Writes an application and returns its directory.
fn version(cli: &Cli, name: &str, manifest: &str, page: &str) -> String {
    let folder = cli.path("work").join(name);
    std::fs::create_dir_all(folder.join("assets")).expect("a directory");
    std::fs::write(folder.join("app.wasm"), b"\0asm\x0d\0\x01\0").expect("a file");
    std::fs::write(folder.join("assets/index.html"), page.repeat(100)).expect("a file");
    std::fs::write(folder.join("assets/same.txt"), "the same\n".repeat(100)).expect("a file");
    std::fs::write(folder.join("spin.toml"), format!("spin_manifest_version = 2\n{manifest}")).expect("a file");
    folder.to_str().expect("UTF-8").to_owned()
}

const OLD: &str = r#"
[application]
name = "shop"
version = "1.0.0"
[variables]
url = { default = "https://x" }
[[trigger.http]]
id = "web"
route = "/..."
component = "shop"
[component.shop]
source = "app.wasm"
files = [{ source = "assets", destination = "/" }]
allowed_outbound_hosts = ["https://old.example"]
"#;
const NEW: &str = r#"
[application]
name = "shop"
version = "1.1.0"
[variables]
token = { required = true, secret = true }
url = { default = "https://y" }
[[trigger.http]]
id = "web"
route = "/shop/..."
component = "shop"
[component.shop]
source = "app.wasm"
files = [{ source = "assets", destination = "/" }]
allowed_outbound_hosts = ["https://new.example"]
key_value_stores = ["default"]
"#;

#[tokio::test]
async fn what_has_changed_is_told_to_people_and_to_programs() {
    let cli = Cli::new();
    let (old, new) = (version(&cli, "old", OLD, "<p>old"), version(&cli, "new", NEW, "<p>new page"));
    let registry = Embedded::start().await;
    let (from, to) = (registry.reference("app:v1"), registry.reference("app:v2"));
    push(&cli, &old, &from, &[]).await;
    push(&cli, &new, &to, &["--annotation", "team=web"]).await;
    cli.run(["copy", &from, "oci:out:v1"]).await.success();
    registry.wire().take();
    let shown = cli.run(["diff", &from, &to]).await.success();
    assert_eq!(registry.wire().take().len(), 4, "two requests to each side");
    let body: Vec<&str> = shown.lines().skip(2).collect();
    let expected = [
        "",
        "application",
        "  ~ version: 1.0.0 -> 1.1.0",
        "",
        "trigger web",
        "  ~ setting route: \"/...\" -> \"/shop/...\"",
        "",
        "+ variable token",
        "  + required: true",
        "  + secret: true",
        "",
        "variable url",
        "  ~ default: https://x -> https://y",
        "",
        "component shop",
        "  ~ file index.html: sha256:",
        "  + host https://new.example",
        "  - host https://old.example",
        "  + key-value store default",
        "",
        "annotations",
        "  ~ org.opencontainers.image.version: 1.0.0 -> 1.1.0",
        "  + team: web",
        "",
        "to download: 3 blobs, ",
    ];
    for (line, expected) in body.iter().zip(expected) {
        assert!(
            line == &expected || (expected.len() > 20 && line.starts_with(expected)),
            "{line:?} {expected:?}\n{shown}"
        );
    }
    assert_eq!(body.len(), expected.len(), "{shown}");

    let report = json(&cli.run(["diff", "--json", "oci:out:v1", &to]).await.success());
    assert_eq!((&report["schema"], &report["same"]), (&1.into(), &false.into()));
    assert_eq!((&report["from"]["reference"], &report["to"]["kind"]), (&"oci:out:v1".into(), &"application".into()));
    let version = serde_json::json!({
        "part": "application", "name": "", "what": "version", "key": null, "from": "1.0.0", "to": "1.1.0",
    });
    assert_eq!(report["changes"][0], version);
    assert_eq!(report["download"]["blobs"], 3);
    assert_eq!(report["layers"]["added"].as_array().map(Vec::len), Some(3));

    let same = cli.run(["diff", &from, "oci:out:v1"]).await.success();
    assert!(same.ends_with("\nboth are the same\n"), "{same}");
}

#[tokio::test]
async fn other_artifacts_differ_in_layers() {
    let cli = Cli::new();
    let corpus = crate::copy::corpus::Corpus::at(&cli.path("work/first")).await;
    let (index, sbom) = (format!("oci:first@{}", corpus.index), format!("oci:first@{}", corpus.sbom));
    let shown = cli.run(["diff", &index, &sbom]).await.success();
    assert!(shown.contains("\nlayers\n") && shown.contains("to download: 2 blobs, "), "{shown}");
    let shown = cli.run(["diff", &sbom, &index]).await.success();
    assert!(shown.contains("\nmanifests\n") && shown.contains("  linux/arm64\n"), "{shown}");
    assert!(!shown.contains("to download"), "{shown}");
}

#[tokio::test]
async fn failures_name_the_side() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let place = version(&cli, "old", OLD, "x");
    push(&cli, &place, &registry.reference("app:v1"), &[]).await;
    let there = registry.reference("app:v1");
    for (from, to, code, said) in [
        (there.clone(), registry.reference("app:v9"), 3, "manifest `v9`"),
        ("oci:absent".to_owned(), there.clone(), 3, "absent"),
        (there.clone(), "localhost:1/app".to_owned(), 6, "a registry listens"),
    ] {
        let complaint = cli.run(["diff", &from, &to]).await.failure(code);
        assert!(complaint.contains(said) && complaint.contains("hint:"), "{complaint}");
        assert!(!complaint.contains("pushed is kept") && !complaint.contains("create the repository"), "{complaint}");
    }
}
