//! A cache that somebody has prepared: nothing leads out of it, nothing hangs, nothing steers a terminal.

#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use spinreg::Digest;

use super::listing::{directory, two, unused, written};
use crate::support::cli::Cli;
use crate::support::files_below;
use crate::support::registry::Embedded;

const COMMANDS: [&[&str]; 10] = [
    &["ls"],
    &["ls", "--blobs"],
    &["ls", "--json"],
    &["du"],
    &["du", "--json"],
    &["verify"],
    &["verify", "--json"],
    &["verify", "--remove"],
    &["prune", "--json", "--keep-recent", "0s", "--older-than", "0s"],
    &["clean"],
];

#[tokio::test]
async fn strange_names_and_files_do_nothing() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, _] = two(&cli, &registry).await;
    unused(&cli, &site, 3);
    written(&cli, 3);
    let cache = cli.path("cache/spin/registry");
    let outside = cli.path("data/outside");
    fs::create_dir_all(outside.join("a/v1")).expect("a directory");
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    fs::write(outside.join(digest("x")), "not what its name says").expect("a file");
    fs::write(outside.join("a/v1/manifest.json"), "{}").expect("a file");
    let before = files_below(&outside);

    // Links to files and directories, by every name that we look for.
    symlink(outside.join(digest("x")), cache.join("wasm").join(digest("linked"))).expect("a link");
    symlink(&outside, cache.join("data").join(digest("directory"))).expect("a link");
    symlink(&outside, cache.join("manifests/r.example")).expect("a link");
    symlink(&outside, cache.join(".spinreg/unpacked")).ok();
    symlink("manifest.json", directory(&cli, &site).join("index.json")).expect("a link");
    // What never ends, and what nobody can read as text.
    let pipe = |path: PathBuf| {
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("a program of every Unix");
        assert!(made.success());
    };
    pipe(cache.join("wasm").join(digest("pipe")));
    let evil = OsStr::from_bytes(b"\x1b[2J\xff\n");
    fs::create_dir_all(cache.join("manifests").join(evil).join("v1")).expect("a directory");
    fs::write(cache.join("manifests").join(evil).join("v1/manifest.json"), "[".repeat(100_000)).expect("a file");
    pipe(cache.join("manifests").join(evil).join("manifest.json"));
    fs::write(cache.join("data").join(evil), "x").expect("a file");
    let sparse = fs::File::create(cache.join("manifests").join(evil).join("v1/config.json")).expect("a file");
    sparse.set_len(1 << 40).expect("a sparse file");
    let mut deep = cache.join("manifests/deep");
    for _ in 0..200 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).expect("directories");
    fs::write(deep.join("manifest.json"), "{}").expect("a file");

    for arguments in COMMANDS {
        let run = cli.run([&["cache"], arguments].concat()).await;
        assert!(matches!(run.code(), Some(0 | 5)), "{arguments:?}: {run}");
        let printed = format!("{}{}", run.stdout, run.stderr);
        assert!(!printed.contains('\u{1b}') && !printed.contains("panicked"), "{arguments:?}: {printed:?}");
        if arguments.contains(&"--json") {
            serde_json::from_str::<serde_json::Value>(&run.stdout).expect("JSON");
        }
        assert_eq!(files_below(&outside), before, "{arguments:?}");
    }
    assert!(!cache.exists(), "all of it was ours");
}

/// Whoever has put a folder elsewhere has not given us that place.
#[tokio::test]
async fn folders_that_are_links_are_left_alone() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    two(&cli, &registry).await;
    let (cache, outside) = (cli.path("cache/spin/registry"), cli.path("data/elsewhere"));
    for folder in ["manifests", "wasm"] {
        fs::rename(cache.join(folder), &outside).expect("a directory");
        symlink(&outside, cache.join(folder)).expect("a link");
        let before = files_below(&outside);
        for arguments in &COMMANDS[3..9] {
            let complaint = cli.run([&["cache"], *arguments].concat()).await.failure(1);
            assert!(complaint.contains("what is behind a link is left alone"), "{complaint}");
        }
        assert_eq!(files_below(&outside), before, "{folder}");
        fs::remove_file(cache.join(folder)).expect("a link");
        fs::rename(&outside, cache.join(folder)).expect("a directory");
    }
    symlink(&outside, cli.path("cache/link")).expect("a link");
    fs::create_dir_all(outside.join("kept")).expect("a directory");
    fs::remove_dir_all(cache.join("data")).expect("a directory");
    symlink(&outside, cache.join("data")).expect("a link");
    cli.run(["cache", "clean"]).await.success();
    assert!(outside.join("kept").exists() && !cache.exists());
}
