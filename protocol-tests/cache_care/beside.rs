//! Prune and clean beside pulls, by real processes at random moments: nobody loses what was promised.

use std::fs;
use std::sync::Arc;

use tokio::sync::Notify;

use super::listing::{directory, two, unused, written};
use crate::support::chance::chance;
use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::registry::Embedded;
use crate::support::scenario::{app, push, verify};

/// How often others come in between.
const ROUNDS: usize = 6;

/// A pull finds content that nobody needs any more and relies on it; whoever prunes at any moment either has taken it before
/// the pull looks, or leaves it.
#[tokio::test]
async fn a_pull_keeps_what_it_relies_on() {
    let mut random = chance("prune beside pulls");
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let references = two(&cli, &registry).await;
    for round in 0..ROUNDS {
        // All content is here and old, and nobody needs it.
        written(&cli, 9);
        for reference in &references {
            if random.bool() {
                cli.run(["-q", "cache", "remove", reference]).await;
            }
        }
        let mut running = Vec::new();
        for n in 0..6 {
            let reference = references[random.usize(..2)].as_str();
            let command = match n % 3 {
                0 => vec!["cache", "prune", "-q", "--keep-recent", "0s"],
                1 => vec!["pull", "-q", reference],
                _ if random.bool() => vec!["cache", "verify", "-q", "--remove"],
                _ => vec!["cache", "clean", "-q"],
            };
            running.push((command.clone(), cli.start(&command, None)));
            for _ in 0..random.usize(..2_000) {
                tokio::task::yield_now().await;
            }
        }
        for (command, running) in running {
            let run = running.wait().await;
            assert_eq!(run.code(), Some(0), "round {round}, {command:?}: {run}");
        }
        // What has a manifest has everything that it needs.
        for reference in cli.run(["cache", "ls", "-q"]).await.success().lines() {
            cli.run(["prepare", "-q", "--offline", reference, "--to", "out"]).await.success();
        }
        if cli.path("cache/spin/registry").exists() {
            verify(&cli.path("cache/spin/registry"));
        }
        for reference in &references {
            cli.run(["pull", "-q", reference]).await.success();
        }
    }
}

/// While a pull waits for its registry, its content stays; and when it is killed, nothing is locked.
#[tokio::test]
async fn a_prune_waits_for_a_pull_and_not_for_a_dead_one() {
    let registry = Embedded::start().await;
    push(&Cli::new(), &app("static-site"), &registry.reference("app:v1"), &[]).await;
    for is_killed in [false, true] {
        let held = Arc::new(Notify::new());
        let hold = [Meddle::Hold(held.clone())];
        let front = Front::before(registry.address()).meddle("GET /v2/app/blobs/*", hold).start().await;
        let cli = Cli::new();
        let reference = format!("{}/app:v1", front.registry());
        let pull = cli.start(["pull", &reference], None);
        held.notified().await;
        let prune = ["cache", "prune", "--keep-recent", "0s"];
        if is_killed {
            drop(pull.kill().await);
            cli.run(prune).await.success();
            cli.run(["cache", "clean"]).await.success();
            cli.run(["pull", &registry.reference("app:v1")]).await.success();
        } else {
            // To look takes no lock, and waits for nobody.
            cli.run(["cache", "prune", "-n", "--keep-recent", "0s"]).await.success();
            cli.run(["cache", "du"]).await.success();
            let waiting = cli.start(prune, None);
            pull.interrupt().await.failure(130);
            let run = waiting.wait().await;
            assert_eq!(run.code(), Some(0), "{run}");
        }
    }
}

/// Nothing that was written or used lately goes, whoever wrote it: Spin takes no locks.
#[tokio::test]
async fn spin_is_protected_by_the_age_of_what_it_writes() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let [site, inline] = two(&cli, &registry).await;
    // As Spin does in the midst of a pull: content is here, and its manifest not yet.
    for name in ["manifest.json", "config.json"] {
        fs::remove_file(directory(&cli, &inline).join(name)).expect("a document");
    }
    let run = cli.run(["cache", "prune", "--older-than", "0s", "--max-size", "1"]).await;
    assert!(run.success().starts_with(&format!("removed {site}, ")));
    cli.run(["pull", &inline]).await.success();
    cli.run(["prepare", "--offline", &inline, "--to", "out"]).await.success();
    unused(&cli, &inline, 2);
    written(&cli, 2);
    cli.run(["cache", "prune", "--older-than", "1d"]).await.success();
    assert_eq!(cli.run(["cache", "ls"]).await.success(), "");
}
