//! The main job, as a user does it, against whatever registry.

use std::collections::BTreeSet;
use std::path::Path;

use spinreg::Digest;

use super::cli::Cli;
use super::{files_below, root};

/// An application of the fixtures.
pub(crate) fn app(name: &str) -> String {
    root("fixtures/spin/apps").join(name).to_str().expect("a path of the crate").to_owned()
}

/// Makes a copy of an application of the fixtures that may be changed: `work/NAME` of `cli`.
pub(crate) fn app_of(cli: &Cli, name: &str) -> String {
    let (from, to) = (root("fixtures/spin/apps").join(name), cli.path("work").join(name));
    for file in files_below(&from) {
        let copy = to.join(file.strip_prefix(&from).expect("it is below"));
        std::fs::create_dir_all(copy.parent().expect("a file has a directory")).expect("a directory of ours");
        std::fs::copy(&file, &copy).expect("a file of the fixtures");
    }
    to.to_str().expect("a path of UTF-8").to_owned()
}

/// Pushes an application and returns the digest that the tool printed.
pub(crate) async fn push(cli: &Cli, app_path: &str, reference: &str, flags: &[&str]) -> Digest {
    let printed = cli.run([&["push", "-f", app_path, reference], flags].concat()).await.success();
    let digest = printed.strip_prefix("Pushed with digest ").and_then(|rest| rest.strip_suffix('\n'));
    digest.unwrap_or_else(|| panic!("not the line Spin prints: {printed}")).parse().expect("a digest")
}

/// Pulls an application.
pub(crate) async fn pull(cli: &Cli, reference: &str, flags: &[&str]) {
    let printed = cli.run([&["pull", reference], flags].concat()).await.success();
    assert_eq!(printed, "Successfully pulled the app from the registry\n");
}

/// Pushes and pulls `static-site` in every way that should come to the same.
pub(crate) async fn main_job(cli: &Cli, registry: &str, flags: &[&str]) {
    let reference = format!("{registry}/apps/static-site");
    let (first, second) = (format!("{reference}:v1"), format!("{reference}:v2"));
    let digest = push(cli, &app("static-site"), &first, flags).await;
    assert_eq!(push(cli, &app("static-site"), &first, flags).await, digest, "an unchanged push");
    assert_eq!(push(cli, &app("static-site"), &second, flags).await, digest, "the same content under a new tag");

    pull(cli, &first, flags).await;
    assert_cached(cli, &format!("{reference}/v1").replace(':', colon()), "static-site");
    let by_digest = format!("{reference}@{digest}");
    let quiet = cli.run([&["pull", "--quiet", &by_digest], flags].concat()).await.success();
    assert_eq!(quiet, format!("{by_digest}\n"));
    let missing = format!("{reference}:absent");
    let complaint = cli.run([&["pull", &missing], flags].concat()).await.failure(3);
    assert!(complaint.contains("manifest `absent`"), "{complaint}");
}

/// Compares the blobs in the cache with the list of what Spin's own pull leaves there.
pub(crate) fn assert_cached(cli: &Cli, folder: &str, golden: &str) {
    let cache = cli.path("cache/spin/registry");
    let list = std::fs::read_to_string(root("fixtures/spin/golden").join(golden).join("cache-tree.txt"));
    let list = list.expect("a golden list");
    let expected: BTreeSet<&str> = ["./registry/wasm/", "./registry/data/"]
        .iter()
        .flat_map(|start| list.lines().filter(move |line| line.starts_with(start)))
        .map(|line| &line["./registry/".len()..])
        .collect();
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(cache.join(folder)).expect("the folder is there");
        entries.map(|entry| format!("{folder}/{}", entry.expect("an entry").file_name().display())).collect()
    };
    let found = [names("wasm"), names("data")].concat();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    verify(&cache);
    for document in ["manifest.json", "config.json"] {
        let path = cache.join("manifests").join(folder).join(document);
        assert!(path.is_file(), "`{}` is missing", path.display());
    }
}

/// Holds every file under a final name in a cache (its directory `registry`) to that name. A cache that has not been
/// begun is a good one.
pub(crate) fn verify(cache: &Path) {
    for folder in ["wasm", "data"] {
        for entry in std::fs::read_dir(cache.join(folder)).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("a blob");
            let called = path.file_name().expect("a name").to_str().expect("UTF-8").replace('_', ":");
            assert_eq!(Digest::of(&bytes).to_string(), called, "a wrong byte under a final name");
        }
    }
}

/// What stands for `:` in the cache's file names.
fn colon() -> &'static str {
    if cfg!(windows) { "_" } else { ":" }
}
