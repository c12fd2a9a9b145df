//! Pulls on bad days: what breaks on the way, and what is left behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted, Meddle};
use crate::support::registry::Embedded;
use crate::support::reply::End;
use crate::support::scenario::{app, assert_cached, pull, push};

/// The largest data layer of `static-site`, 300 000 bytes.
const LARGE: &str = "sha256:c2687f5e6422c353999b6cdc04eeaba16add1fed509c1fabf998212502a975c3";

/// A registry that holds `static-site`, and what stands before it.
async fn published(front: impl FnOnce(Front) -> Front) -> (Embedded, Fronted, String) {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    push(&cli, &app("static-site"), &format!("{}/app:v1", registry.address()), &[]).await;
    let fronted = front(Front::before(registry.address())).start().await;
    let reference = format!("{}/app:v1", fronted.registry());
    (registry, fronted, reference)
}

fn folder(fronted: &Fronted) -> String {
    format!("{}/app/v1", fronted.registry())
}

fn blob(digest: &str) -> String {
    format!("GET /v2/app/blobs/{digest}")
}

#[tokio::test]
async fn a_broken_download_continues_where_it_broke() {
    for end in [End::Close, End::Reset] {
        let (_registry, front, reference) =
            published(|front| front.meddle(&blob(LARGE), [Meddle::Cut(100_000, end)])).await;
        let cli = Cli::new();
        pull(&cli, &reference, &[]).await;
        assert_cached(&cli, &folder(&front), "static-site");
        let resumed = front.wire().lines().into_iter().filter(|line| line.contains(LARGE) && line.contains("[bytes="));
        assert_eq!(resumed.count(), 1, "one request for the rest: {:?}", front.wire().lines());
    }
}

#[tokio::test]
async fn a_killed_pull_leaves_nothing_wrong_and_the_next_one_succeeds() {
    let held = Arc::new(Notify::new());
    let stuck = [Meddle::HoldAfter(100_000, held.clone())];
    let (_registry, front, reference) = published(|front| front.meddle(&blob(LARGE), stuck)).await;
    let cli = Cli::new();
    let running = cli.start(["pull", &reference], None);
    held.notified().await;
    running.kill().await;

    let cache = cli.path("cache/spin/registry");
    assert!(!cache.join("manifests").join(folder(&front)).join("manifest.json").exists(), "the manifest comes last");
    assert!(!cache.join("data").join(LARGE).exists(), "half a blob under its final name");
    pull(&cli, &reference, &[]).await;
    assert_cached(&cli, &folder(&front), "static-site");
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_leave_no_trace() {
    let (_registry, front, reference) = published(|front| front.meddle(&blob(LARGE), [Meddle::Spoil])).await;
    let cli = Cli::new();
    let complaint = cli.run(["pull", &reference]).await.failure(5);
    assert!(complaint.contains(LARGE) && complaint.contains("digest"), "{complaint}");
    assert!(!cli.path("cache/spin/registry/data").join(LARGE).exists(), "a wrong byte under a final name");
    // The registry has come to its senses: nothing of the wrong bytes is in the way.
    pull(&cli, &reference, &[]).await;
    assert_cached(&cli, &folder(&front), "static-site");
}

#[tokio::test]
async fn concurrent_pulls_download_each_blob_once() {
    let (_registry, front, reference) = published(|front| front).await;
    let cli = Cli::new();
    let running: Vec<_> = (0..4).map(|_| cli.start(["pull", &reference], None)).collect();
    for one in running {
        one.wait().await.success();
    }
    assert_cached(&cli, &folder(&front), "static-site");
    let lines = front.wire().lines();
    let blobs: Vec<_> = lines.iter().filter(|line| line.contains("/blobs/")).collect();
    let distinct: BTreeSet<_> = blobs.iter().collect();
    // Small files that are read into memory may be asked for by each; blobs may not.
    let repeated: Vec<_> = distinct
        .iter()
        .filter(|line| line.contains(LARGE) && blobs.iter().filter(|other| other == *line).count() > 1)
        .collect();
    assert!(repeated.is_empty(), "downloaded twice: {repeated:?}");
}

#[tokio::test]
async fn an_unwritable_cache_is_named() {
    let (_registry, _front, reference) = published(|front| front).await;
    let cli = Cli::new();
    let file = cli.path("work/file");
    std::fs::write(&file, "in the way").expect("a file in a temporary directory");
    let file = file.to_str().expect("a path");
    let complaint = cli.run(["pull", &reference, "--cache-dir", file]).await.failure(1);
    assert!(complaint.contains(file), "{complaint}");
    assert_eq!(std::fs::read_to_string(file).expect("the file"), "in the way");
}
