//! `cache ls`, `du` and `dir`: text and JSON, and what they refuse.

use std::fs;
use std::path::PathBuf;

use super::{DAY, age};
use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, pull, push};

/// Compares what was printed with a file of the fixtures. `{registry}` and `{dir}` in it stand for what is another each time.
pub(super) fn matches(cli: &Cli, registry: &str, name: &str, printed: &str) {
    let dir = cli.path("cache/spin").display().to_string();
    let mut printed = printed.replace(&dir, "{dir}").replace(registry, "{registry}");
    while let Some(at) = printed.find("\"last_used\": \"") {
        let from = at + "\"last_used\": ".len();
        let end = printed[from + 1..].find('"').map_or(printed.len(), |end| from + 1 + end + 1);
        let moment = printed[from + 1..end - 1].to_owned();
        assert!(moment.len() == 25 && moment.ends_with("+00:00"), "no moment: {moment}");
        printed.replace_range(from..end, "MOMENT");
    }
    let path = crate::support::root("fixtures/cache").join(name);
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let (expected, printed) = (expected.lines().collect::<Vec<_>>(), printed.lines().collect::<Vec<_>>());
    let differs = || crate::support::wire::difference(&expected, &printed);
    assert!(printed == expected, "`{name}` differs:\n{}\n\n{}", differs(), printed.join("\n"));
}

/// Two applications that share what one of them has; one was not used for nine days.
pub(super) async fn two(cli: &Cli, registry: &Embedded) -> [String; 2] {
    let references = ["static-site", "inline-trigger"].map(|name| (name, registry.reference(&format!("{name}:v1"))));
    for (name, reference) in &references {
        push(cli, &app(name), reference, &[]).await;
        pull(cli, reference, &[]).await;
    }
    let references = references.map(|(_, reference)| reference);
    unused(cli, &references[0], 9);
    references
}

/// Returns the directory of what was pulled.
pub(super) fn directory(cli: &Cli, reference: &str) -> PathBuf {
    let (name, tag) = reference.rsplit_once(':').expect("a tag");
    cli.path("cache/spin/registry/manifests").join(name).join(tag)
}

/// Makes everything of an application look as if it was used so many days ago.
pub(super) fn unused(cli: &Cli, reference: &str, days: u32) {
    for name in ["manifest.json", "config.json"] {
        age(&directory(cli, reference).join(name), DAY * days + DAY / 2);
    }
}

/// Makes all content look as if it was written so many days ago.
pub(super) fn written(cli: &Cli, days: u32) {
    for folder in ["wasm", "data"] {
        for entry in fs::read_dir(cli.path("cache/spin/registry").join(folder)).expect("a folder") {
            age(&entry.expect("an entry").path(), DAY * days);
        }
    }
}

#[tokio::test]
async fn what_was_pulled_is_listed() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, inline] = two(&cli, &registry).await;
    let address = registry.reference("").trim_end_matches('/').to_owned();
    let snapshot = async |name: &str, arguments: &[&str]| {
        let printed = cli.run([&["cache"], arguments].concat()).await.success();
        matches(&cli, &address, name, &printed);
    };
    unused(&cli, &inline, 2);
    // What it says depends on this computer.
    fs::remove_file(cli.path("cache/spin/registry/.spinreg/digests")).expect("a file");
    registry.wire().take();
    snapshot("ls.txt", &["ls"]).await;
    snapshot("ls-blobs.txt", &["ls", "--blobs"]).await;
    snapshot("ls.json", &["ls", "--json"]).await;
    snapshot("du.txt", &["du"]).await;
    snapshot("du.json", &["du", "--json"]).await;
    snapshot("dir.json", &["dir", "--json"]).await;
    assert_eq!(cli.run(["cache", "ls", "-q"]).await.success(), format!("{inline}\n{site}\n"));
    let dir = cli.path("cache/spin").display().to_string();
    assert_eq!(cli.run(["cache", "dir"]).await.success(), format!("{dir}\n"));
    let elsewhere = cli.run(["cache", "dir", "--cache-dir", "x"]).await.success();
    assert_eq!(elsewhere, format!("{}\n", cli.path("work/x").display()));
    assert!(!cli.path("work/x").exists(), "looking makes nothing");
    assert_eq!(cli.run(["cache", "ls", "--cache-dir", "x"]).await.success(), "");
    let empty = cli.run(["cache", "ls", "--json", "--cache-dir", "x"]).await.success();
    let empty: serde_json::Value = serde_json::from_str(&empty).expect("JSON");
    assert_eq!(empty["applications"], serde_json::json!([]));
    assert_eq!(registry.wire().take(), [""; 0], "nobody is asked");

    // Who holds this?
    let wasm = fs::read_dir(cli.path("cache/spin/registry/wasm")).expect("a folder").next().expect("one").expect("one");
    let wasm = wasm.file_name().into_string().expect("a digest");
    let holders = cli.run(["cache", "ls", "-q", "--holding", &wasm]).await.success();
    assert!(holders.contains(&site) || holders.contains(&inline), "{holders}");
    assert_eq!(cli.run(["cache", "ls", "--holding", &format!("sha256:{}", "0".repeat(64))]).await.success(), "");
    let complaint = cli.run(["cache", "ls", "--holding", "x"]).await.failure(2);
    assert!(complaint.contains("hint: a digest is"), "{complaint}");
}

#[tokio::test]
async fn what_is_incomplete_or_damaged_says_so() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, inline] = two(&cli, &registry).await;
    fs::remove_dir_all(cli.path("cache/spin/registry/wasm")).expect("a folder");
    fs::write(directory(&cli, &inline).join("manifest.json"), "{").expect("a file");
    let printed = cli.run(["cache", "ls"]).await.success();
    assert!(printed.contains(&format!("{site}  (1 layer missing)\n")), "{printed}");
    assert!(printed.contains(&format!("{inline}  (its manifest is damaged)\n")), "{printed}");
    let printed: serde_json::Value =
        serde_json::from_str(&cli.run(["cache", "ls", "--json"]).await.success()).expect("JSON");
    let said: Vec<_> = printed["applications"].as_array().expect("a list").iter().map(|it| &it["complete"]).collect();
    assert_eq!(said, [&serde_json::json!(null), &serde_json::json!(false)]);
}

/// A pull of what is there, and everything that runs it, is a use.
#[tokio::test]
async fn a_use_is_noted() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let [site, _] = two(&cli, &registry).await;
    let out = cli.path("work/out").display().to_string();
    for arguments in [vec!["pull", &site], vec!["prepare", "--offline", &site, "--to", &out]] {
        unused(&cli, &site, 9);
        assert!(cli.run(["cache", "ls"]).await.success().contains("9 days ago"));
        cli.run(&arguments).await.success();
        assert!(!cli.run(["cache", "ls"]).await.success().contains("9 days ago"), "{arguments:?}");
    }
}

/// One file with two names takes its room once.
#[cfg(unix)]
#[tokio::test]
async fn links_count_once() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    two(&cli, &registry).await;
    let size = async || cli.run(["cache", "du", "-q"]).await.success();
    let before = size().await;
    let cache = cli.path("cache/spin/registry");
    for entry in fs::read_dir(cache.join("wasm")).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::hard_link(entry.path(), cache.join("data").join(entry.file_name())).expect("a link");
    }
    assert_eq!(size().await, before);
}
