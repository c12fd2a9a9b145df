//! What scripts rely on: what is chosen, and what is asked for.

use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, push};

#[tokio::test]
async fn tags_are_chosen_by_patterns() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let repository = registry.reference("app");
    push(&cli, &app("static-site"), &format!("{repository}:v1.9"), &[]).await;
    cli.run(["tag", &format!("{repository}:v1.9"), "v1.10", "v2", "latest"]).await.success();
    for (flags, expected) in [
        (&["--match", "v1.*"][..], "v1.10\nv1.9\n"),
        (&["--match", "v1.*", "--sort", "semver", "--limit", "1"], "v1.10\n"),
        (&["--match", "v1.?", "--match", "latest"], "latest\nv1.9\n"),
        (&["--match", "x*"], ""),
    ] {
        let printed = cli.run([&["tags", &repository], flags].concat()).await.success();
        assert_eq!(printed, expected, "{flags:?}");
    }
    let complaint = cli.run(["tags", "--match", "v[", &repository]).await.failure(2);
    assert!(complaint.contains("`v[`") && complaint.contains("hint: "), "{complaint}");
}

#[tokio::test]
async fn tags_are_listed_once_for_all_that_are_copied() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let repository = registry.reference("app");
    push(&cli, &app("static-site"), &format!("{repository}:v1"), &[]).await;
    push(&cli, &app("inline-trigger"), &format!("{repository}:v2"), &[]).await;
    registry.wire().take();
    cli.run(["copy", "--all-tags", "--referrers", &repository, "oci:out"]).await.success();
    let wire = registry.wire().take();
    assert_eq!(wire.iter().filter(|line| line.contains("/tags/list")).count(), 1, "{wire:#?}");
}
