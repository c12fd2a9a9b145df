//! What scripts rely on: variables instead of flags, exit codes, and what is printed where nothing else is.

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
    let unset = Cli::new().env("SPINREG_CACHE_DIR", "");
    unset.run(["pull", &format!("oci:{}:v1", cli.path("work/out").display())]).await.success();
    assert!(unset.path("cache/spin/registry/manifests").is_dir());
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
async fn differences_are_an_exit_code() {
    let cli = Cli::new();
    push(&cli, &app("static-site"), "oci:out:v1", &[]).await;
    push(&cli, &app("inline-trigger"), "oci:out:v2", &[]).await;
    for (flag, to, code) in [
        (None, "oci:out:v2", 0),
        (Some("--exit-code"), "oci:out:v2", 1),
        (Some("--exit-code"), "oci:out:v1", 0),
        (Some("--quiet"), "oci:out:v2", 1),
        (Some("--quiet"), "oci:out:v1", 0),
    ] {
        let run = cli.run([&["diff", "oci:out:v1", to][..], flag.as_slice()].concat()).await;
        assert_eq!(run.code(), Some(code), "{flag:?}: {run}");
        assert_eq!(run.stdout.is_empty(), flag == Some("--quiet"), "{run}");
        assert!(run.stderr.is_empty(), "{run}");
    }
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

#[tokio::test]
async fn a_deleted_blob_is_told_to_programs() {
    let cli = Cli::new();
    std::fs::write(cli.path("work/blob"), "blob").expect("a file in a temporary directory");
    push(&cli, &app("static-site"), "oci:out:v1", &[]).await;
    let pinned = cli.run(["blob", "put", "--quiet", "blob", "oci:out"]).await.success();
    let pinned = pinned.trim_end();
    let (_, digest) = pinned.split_once('@').expect("a digest");
    let printed = cli.run(["blob", "delete", "--yes", "--json", pinned]).await.success();
    let printed: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed, serde_json::json!({ "schema": 1, "repository": "oci:out", "digest": digest }));
}
