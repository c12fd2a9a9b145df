//! What scripts rely on: variables instead of flags, and what is printed where nothing else is.

use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, push};

#[tokio::test]
async fn variables_stand_for_flags() {
    let cli = Cli::new();
    let digest = push(&cli, &app("static-site"), "oci:out:v1", &[]).await;
    let cli = cli.env("SPINREG_QUIET", "1").env("SPINREG_CACHE_DIR", "kept").env("SPINREG_LOG", "");
    let run = cli.run(["pull", "oci:out:v1"]).await;
    assert!(run.stderr.is_empty(), "{run}");
    assert_eq!(run.success(), format!("oci:out@{digest}\n"));
    assert!(cli.path("work/kept/registry/manifests").is_dir() && !cli.path("cache/spin/registry/manifests").exists());
    // A flag goes before its variable.
    cli.run(["pull", "--cache-dir", "other", "oci:out:v1"]).await.success();
    assert!(cli.path("work/other/registry/manifests").is_dir());
}

#[tokio::test]
async fn variables_that_say_nothing_are_named() {
    for name in ["SPINREG_QUIET", "SPINREG_OFFLINE"] {
        for off in ["", "0", "false", "NO", "off"] {
            Cli::new().env(name, off).run(["cache", "verify"]).await.success();
        }
        let complaint = Cli::new().env(name, "perhaps").run(["cache", "verify"]).await.failure(2);
        assert!(complaint.contains(name) && complaint.contains("`perhaps`"), "{complaint}");
    }
    let complaint = Cli::new().env("SPINREG_LOG", "loud").run(["cache", "verify"]).await.failure(2);
    assert!(complaint.contains("`loud`") && complaint.contains("SPINREG_LOG"), "{complaint}");
    let both = Cli::new().env("SPINREG_OFFLINE", "1").run(["prepare", "--pull", "always", "a/b:v1", "--to", "o"]).await;
    let complaint = both.failure(2);
    assert!(complaint.contains("--pull") && complaint.contains("SPINREG_OFFLINE"), "{complaint}");
}

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
