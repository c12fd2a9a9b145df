//! Plans of push and pull: what would move, and that nothing does.

use super::json;
use crate::support::cli::Cli;
use crate::support::files_below;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, push};

/// What a dry run counts is what the real push sends, be it all, nothing, or a tag.
#[tokio::test]
async fn a_planned_push_is_the_one_that_follows() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let mut blobs = Vec::new();
    for tag in ["v1", "v1", "v2"] {
        let reference = registry.reference(&format!("app:{tag}"));
        registry.wire().take();
        let plan = cli.run(["push", "--dry-run", "--json", "-f", &app("static-site"), &reference]).await.success();
        let plan = json(&plan);
        let asked = registry.wire().take();
        let only_asks = |line: &String| line.starts_with("HEAD ") || line.starts_with("GET ");
        assert!(asked.iter().all(only_asks), "{asked:#?}");
        let printed =
            cli.run(["push", "-q", "-f", &app("static-site"), &reference, "--digest-file", "d"]).await.success();
        let digest = std::fs::read_to_string(cli.path("work/d")).expect("a file");
        assert_eq!(printed, format!("{}@{digest}", registry.reference("app")));
        let sent = registry.wire().take();
        assert_eq!(plan["requests"]["to"], sent.len(), "{tag}: {sent:#?}");
        assert_eq!(plan["blobs"]["sent"], sent.iter().filter(|line| line.starts_with("POST ")).count(), "{tag}");
        assert_eq!((&plan["dry_run"], &plan["copies"][0]["digest"]), (&true.into(), &digest.trim_end().into()));
        blobs.push(plan["blobs"]["sent"].as_u64().expect("a number"));
    }
    assert_eq!(blobs, [11, 0, 0]);
    let shown = cli.run(["push", "--dry-run", "-f", &app("inline-trigger"), &registry.reference("new:v1")]).await;
    assert!(!shown.stderr.contains("pushed"), "{shown}");
    let shown = shown.success();
    assert!(
        shown.starts_with(&format!("Would push to {} with digest sha256:", registry.reference("new:v1"))),
        "{shown}"
    );
    assert!(shown.contains("blobs: 3 to send, ") && shown.contains(" to the target\n"), "{shown}");
    cli.run(["tags", &registry.reference("new")]).await.failure(3);
    let quiet = cli.run(["push", "-q", "--dry-run", "-f", &app("inline-trigger"), "oci:out:v1"]).await.success();
    assert!(quiet.starts_with("oci:out@sha256:") && !cli.path("work/out").exists(), "{quiet}");
}

#[tokio::test]
async fn a_planned_pull_is_the_one_that_follows() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let digest = push(&cli, &app("static-site"), &registry.reference("app:v1"), &[]).await;
    let reference = registry.reference("app:v1");
    for sent in [10, 0] {
        registry.wire().take();
        let before = files_below(&cli.path("cache"));
        let plan = json(&cli.run(["pull", "--dry-run", "--json", &reference]).await.success());
        assert_eq!(files_below(&cli.path("cache")), before, "a dry run made something");
        assert_eq!(registry.wire().take(), ["GET /v2/app/manifests/v1 200"]);
        assert_eq!((&plan["to"], &plan["blobs"]["sent"]), (&"the cache".into(), &sent.into()));
        cli.run(["pull", &reference, "--digest-file", "d"]).await.success();
        assert_eq!(std::fs::read_to_string(cli.path("work/d")).expect("a file"), format!("{digest}\n"));
        assert_eq!(plan["requests"]["from"], registry.wire().take().len());
    }
    let shown = cli.run(["pull", "--dry-run", &reference]).await.success();
    assert!(shown.starts_with(&format!("Would pull to the cache with digest {digest}\n")), "{shown}");
    for arguments in [["pull", "--json"], ["push", "--json"]] {
        let complaint = cli.run([&arguments[..], &[&reference]].concat()).await.failure(2);
        assert!(complaint.contains("--dry-run"), "{complaint}");
    }
    let complaint = cli.run(["pull", "--dry-run", "--digest-file", "x", &reference]).await.failure(2);
    assert!(complaint.contains("--digest-file"), "{complaint}");
}
