//! `cache prune`, `remove` and `clean`: what goes, what stays, and what is said.

use std::fs;

use super::listing::{directory, matches, two, unused, written};
use crate::support::cli::Cli;
use crate::support::files_below;
use crate::support::registry::Embedded;
use crate::support::scenario::{pull, verify};

#[tokio::test]
async fn what_was_not_used_for_long_goes() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, inline] = two(&cli, &registry).await;
    written(&cli, 9);
    let address = registry.reference("").trim_end_matches('/').to_owned();
    let before = files_below(&cli.path("cache"));
    for (name, flags) in [
        ("prune-nothing.txt", vec!["-n", "--older-than", "10d"]),
        ("prune-old.txt", vec!["-n", "--older-than", "8d"]),
        ("prune-large.txt", vec!["--dry-run", "--max-size", "100KiB"]),
        ("prune-large.json", vec!["--dry-run", "--max-size", "100KiB", "--json"]),
    ] {
        let printed = cli.run([&["cache", "prune"], &flags[..]].concat()).await.success();
        matches(&cli, &address, name, &printed);
    }
    assert_eq!(files_below(&cli.path("cache")), before, "a dry run removed something");

    // What was used today stays, whatever is said.
    let run = cli.run(["cache", "prune", "--older-than", "0s", "--max-size", "1"]).await;
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("--keep-recent"), "{run}");
    assert!(run.success().starts_with(&format!("removed {site}, used 9 days ago\nremoved ")));
    assert!(!directory(&cli, &site).exists() && directory(&cli, &inline).exists());
    cli.run(["prepare", "--offline", &inline, "--to", "out"]).await.success();
    assert_eq!(cli.run(["cache", "ls", "-q"]).await.success(), format!("{inline}\n"));
    assert!(!cli.path("cache/spin/registry/manifests").join(address).join("static-site").exists());

    unused(&cli, &inline, 1);
    let printed = cli.run(["cache", "prune", "-q", "--older-than", "1h"]).await.success();
    assert_eq!(printed, "");
    assert_eq!(cli.run(["cache", "ls"]).await.success(), "");
    pull(&cli, &site, &[]).await;
    verify(&cli.path("cache/spin/registry"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let cli = Cli::new();
    for (arguments, said) in [
        (vec!["prune", "--older-than", "soon"], "an age is a number with"),
        (vec!["prune", "--max-size", "0"], "a size is a number"),
        (vec!["prune", "--max-size", "5 potatoes"], "a size is a number"),
        (vec!["verify", "--remove", "--repair"], "cannot be used with"),
        (vec!["remove"], "required"),
        (vec!["ls", "x"], "unexpected argument"),
    ] {
        let complaint = cli.run([&["cache"], &arguments[..]].concat()).await.failure(2);
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
    let complaint = cli.run(["cache", "remove", "r.example/a:v1"]).await.failure(3);
    assert!(complaint.contains("hint: `spinreg cache ls` lists what is there"), "{complaint}");
    assert!(!cli.path("cache/spin").exists(), "nothing was made");
}

#[tokio::test]
async fn everything_goes_and_nothing_else() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, _] = two(&cli, &registry).await;
    let spin = cli.path("cache/spin");
    for name in ["other", "registry/other"] {
        fs::write(spin.join(name), "not ours").expect("a file");
    }
    let printed = cli.run(["cache", "clean"]).await.success();
    assert!(printed.starts_with("removed ") && printed.contains(" files, "), "{printed}");
    let left: Vec<_> = files_below(&spin).into_iter().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(cli.run(["cache", "clean"]).await.success(), "removed 0 files, 0 B\n");
    let printed = cli.run(["cache", "clean", "--json", "--yes"]).await.success();
    matches(&cli, &site, "clean.json", &printed);
    pull(&cli, &site, &[]).await;
    cli.run(["prepare", "--offline", &site, "--to", "out"]).await.success();
}

/// Whoever sits at a terminal is asked.
#[cfg(unix)]
#[tokio::test]
async fn people_are_asked_before_everything_goes() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, _] = two(&cli, &registry).await;
    let run = cli.run_on_a_terminal(["cache", "clean"], "n\n").await;
    assert!(run.stdout.contains("Delete everything that was pulled in") && run.code() == Some(1), "{run}");
    assert!(directory(&cli, &site).exists());
    let run = cli.run_on_a_terminal(["cache", "clean"], "y\n").await;
    assert!(run.code() == Some(0) && !directory(&cli, &site).exists(), "{run}");
}
