//! A cache, years later: what is in it, damage is found, and what nobody needs goes.

/// Beside pulls that others make, at random moments.
mod beside;
/// What is hostile in a cache.
mod hostile;
/// What the cache holds, as people and programs see it.
mod listing;
/// Damage that is mended.
mod mending;
/// What was not used for long, or has no room.
mod pruning;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;
use spinreg::Digest;
use spinreg::spin::{Cache, Pruning, media};

use crate::cache::{Artifact, archive, reference, root, tree};
use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, pull, push, verify};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a file as old as that.
pub(crate) fn age(path: &Path, age: Duration) {
    let file = File::options().write(true).open(path).expect("a file of our own");
    file.set_modified(SystemTime::now() - age).expect("a file of our own");
}

#[tokio::test]
async fn damage_is_found_and_mended() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let reference = registry.reference("app:v1");
    push(&cli, &app("static-site"), &reference, &[]).await;
    assert_eq!(cli.run(["cache", "verify"]).await.success(), "nothing is damaged: 0 files, 0 B\n");
    pull(&cli, &reference, &[]).await;
    let fine = cli.run(["cache", "verify"]).await.success();
    assert!(fine.starts_with("nothing is damaged: ") && fine != "nothing is damaged: 0 files, 0 B\n", "{fine}");

    let cache = cli.path("cache/spin/registry");
    let mut damaged = BTreeSet::new();
    for folder in ["wasm", "data"] {
        // As long as before: only reading it tells.
        let path = fs::read_dir(cache.join(folder)).expect("a folder").next().expect("one").expect("an entry").path();
        let mut content = fs::read(&path).expect("a file");
        content[0] ^= 1;
        fs::write(&path, content).expect("a file");
        damaged.insert(path.display().to_string());
    }
    let run = cli.run(["cache", "verify"]).await;
    assert_eq!(run.code(), Some(5), "{run}");
    assert_eq!(run.stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>(), damaged);
    assert!(run.stderr.contains("not what they should be: 2") && run.stderr.contains("--repair"), "{run}");
    let removed = cli.run(["cache", "verify", "--remove"]).await.success();
    assert_eq!(removed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), damaged);
    assert!(damaged.iter().all(|path| !Path::new(path).exists()));
    pull(&cli, &reference, &[]).await;
    verify(&cache);
    assert_eq!(cli.run(["cache", "verify"]).await.success(), fine);
}

#[tokio::test]
async fn what_no_application_needs_is_removed() {
    let registry = Embedded::start().await;
    let cli = Cli::new();
    let references = ["static-site", "inline-trigger"].map(|name| (name, registry.reference(&format!("{name}:v1"))));
    for (name, reference) in &references {
        push(&cli, &app(name), reference, &[]).await;
        pull(&cli, reference, &[]).await;
    }
    let cache = cli.path("cache/spin/registry");
    let stray = cache.join("wasm").join(Digest::of(b"fetched by its URL").to_string());
    for (path, content) in [(&stray, "fetched by its URL"), (&cache.join("wasm/download-sha256-1"), "not ours")] {
        fs::write(path, content).expect("a file");
    }
    let prune = async |flags: &[&str]| {
        let printed = cli.run([&["cache", "prune"], flags].concat()).await.success();
        printed.split_once("; ").map_or(printed.clone(), |(removed, _)| format!("{removed}\n"))
    };
    assert_eq!(prune(&[]).await, "removed 0 files, 0 B\n", "it is young");
    age(&stray, 31 * DAY);
    assert_eq!(prune(&["-n"]).await, "would remove 1 file, 18 B\n");
    assert!(stray.exists());
    assert_eq!(prune(&["--keep-recent", "32d"]).await, "removed 0 files, 0 B\n");
    let before = tree(&cache);
    assert_eq!(prune(&[]).await, "removed 1 file, 18 B\n");
    assert!(!stray.exists());
    assert_eq!(tree(&cache).len(), before.len() - 1);

    // What an application alone has needed goes with it, and nothing else.
    let (_, site) = &references[0];
    cli.run(["cache", "remove", site]).await.success();
    let complaint = cli.run(["cache", "remove", site]).await.failure(3);
    assert!(complaint.contains(site.as_str()), "{complaint}");
    let removed = prune(&["--keep-recent", "0s"]).await;
    assert!(removed.starts_with("removed ") && removed != "removed 0 files, 0 B\n", "{removed}");
    let to = cli.path("work/out").display().to_string();
    cli.run(["prepare", "--offline", &references[1].1, "--to", &to]).await.success();
    let complaint = cli.run(["prepare", "--offline", site, "--to", &to]).await.failure(3);
    assert!(complaint.contains("is not in the cache"), "{complaint}");
    pull(&cli, site, &[]).await;
    fs::remove_file(cache.join("wasm/download-sha256-1")).expect("what is not ours stays");
    verify(&cache);
}

/// What nobody needs, however young it is.
fn everything() -> Pruning {
    let mut pruning = Pruning::default();
    pruning.keep_recent = Duration::ZERO;
    pruning
}

#[tokio::test]
async fn what_came_out_of_an_archive_is_needed_with_it() {
    let root = root();
    let cache = Cache::at(root.path());
    let place = reference("r.example/app:1");
    let packed = archive([b"one".as_slice(), b"two"]);
    // The lock file does not speak of what came out.
    let lock = json!({"spin_lock_version": 0, "triggers": [], "components": []});
    let artifact = Artifact::application(&lock, &[(media::WASM, b"\0asm"), (media::ARCHIVE, &packed)]);
    artifact.pull(&cache.application(&place)).await.expect("a good artifact");
    let before = tree(root.path());
    let removed = cache.prune(everything()).await.expect("a cache");
    assert_eq!((removed.content.files, tree(root.path())), (0, before));
    assert_eq!(cache.missing(&place).await.expect("a cache"), Some(vec![]));

    cache.forget(&place).await.expect("it is there");
    let removed = cache.prune(everything()).await.expect("a cache");
    assert_eq!(removed.content.files, 4, "the component, the archive and what came out of it");
    assert_eq!(tree(root.path()).len(), 0);
    artifact.pull(&cache.application(&place)).await.expect("a good artifact");
    assert_eq!(cache.missing(&place).await.expect("a cache"), Some(vec![]), "it was unpacked again");
}
