//! Which files are read again and which are not: what is remembered is believed where nothing has changed, nowhere else,
//! and never by those who receive it.

use std::path::Path;

use spinreg::Digest;
use spinreg::spin::{KnownDigests, LoadOptions, PackOptions, Package, load, pack, pack_with};

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::registry::Embedded;
use crate::support::scenario::{app, assert_cached, pull, push};

/// A data layer of `static-site`.
const LAYER: &str = "sha256:c2687f5e6422c353999b6cdc04eeaba16add1fed509c1fabf998212502a975c3";

async fn packed(path: &str, notes: &Path) -> Package {
    let app = load(Path::new(path), &LoadOptions::default()).await.expect("an application");
    let known = KnownDigests::open(notes.to_owned()).await;
    let package = pack_with(&app, &PackOptions::default(), &known).await.expect("it packs");
    known.save().await;
    package
}

fn layers(package: &Package) -> Vec<String> {
    package.manifest().blobs().map(|blob| blob.digest.to_string()).collect()
}

/// Changes the line that has `digest`, and makes the last line fit again.
fn tamper(notes: &Path, digest: &str, change: impl Fn(Vec<String>) -> Vec<String>) {
    let text = std::fs::read_to_string(notes).expect("notes");
    let lines = text.lines().collect::<Vec<_>>();
    let (_, lines) = lines.split_last().expect("a digest of the others");
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let changed = |line: &&str| match line.contains(digest) {
        true => change(words(line)).join(" ") + "\n",
        false => format!("{line}\n"),
    };
    let lines: String = lines.iter().map(changed).collect();
    let digest = Digest::of(lines.as_bytes());
    std::fs::write(notes, format!("{lines}{digest}\n")).expect("notes");
}

/// Says of the file with `LAYER` that it holds something else.
fn lie(notes: &Path) -> String {
    let other = Digest::of(b"something else").to_string();
    tamper(notes, LAYER, |words| words.into_iter().map(|word| word.replace(LAYER, &other)).collect());
    other
}

#[tokio::test]
async fn a_file_that_looks_the_same_is_not_read() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let (notes, path) = (room.path().join("notes"), app("static-site"));
    let right = layers(&packed(&path, &notes).await);
    assert_eq!(layers(&packed(&path, &notes).await), right, "what is remembered is what was read");
    let other = lie(&notes);
    let believed = layers(&packed(&path, &notes).await);
    assert!(believed.contains(&other) && !believed.iter().any(|layer| layer == LAYER), "it was read: {believed:?}");
}

#[tokio::test]
async fn a_file_that_looks_different_is_read() {
    let path = app("static-site");
    let plain = load(Path::new(&path), &LoadOptions::default()).await.expect("an application");
    let right = layers(&pack(&plain, &PackOptions::default()).await.expect("it packs"));
    // Device, inode, size, the last change of the bytes, and of the inode.
    for word in 1..=5 {
        let room = tempfile::tempdir().expect("a temporary directory");
        let notes = room.path().join("notes");
        packed(&path, &notes).await;
        let other = lie(&notes);
        tamper(&notes, &other, |mut words| {
            let (whole, rest) = words[word].split_once('.').unwrap_or((&words[word], ""));
            let next = whole.parse::<u64>().expect("a number") + 1;
            words[word] = if rest.is_empty() { next.to_string() } else { format!("{next}.{rest}") };
            words
        });
        assert_eq!(layers(&packed(&path, &notes).await), right, "word {word}");
        assert!(std::fs::read_to_string(&notes).expect("notes").contains(LAYER), "word {word}: it is remembered again");
    }
}

#[tokio::test]
async fn what_was_just_written_and_what_is_damaged_is_not_believed() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let (notes, copied) = (room.path().join("notes"), room.path().join("app"));
    std::fs::create_dir(&copied).expect("a directory");
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"new\"\n[[trigger.http]]\nroute = \"/...\"\n\
                    component = \"new\"\n[component.new]\nsource = \"app.wasm\"\n";
    std::fs::write(copied.join("spin.toml"), manifest).expect("a file");
    std::fs::copy(Path::new(&app("static-site")).join("app.wasm"), copied.join("app.wasm")).expect("a copy");
    packed(copied.to_str().expect("a path"), &notes).await;
    assert!(!notes.exists(), "another change could bear the same time");

    let path = app("static-site");
    let right = layers(&packed(&path, &notes).await);
    lie(&notes);
    let text = std::fs::read(&notes).expect("notes");
    for bytes in [&text[..text.len() - 1], &text[1..], b"", b"\xff\xfe\n"] {
        std::fs::write(&notes, bytes).expect("notes");
        assert_eq!(layers(&packed(&path, &notes).await), right);
    }
}

#[tokio::test]
async fn wrong_memory_is_noticed_before_anything_is_published() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start().await;
    let (cli, reference) = (Cli::new(), format!("{}/app:v1", front.registry()));
    let notes = cli.path("cache/spin/registry/.spinreg/digests");
    let digest = push(&cli, &app("static-site"), "oci:first:v1", &[]).await;
    let other = lie(&notes);
    assert_eq!(push(&cli, &app("static-site"), &reference, &[]).await, digest, "all files were read again");
    let lines = front.wire().lines();
    assert!(lines.iter().any(|line| line.contains(&other)), "the memory was used at first: {lines:?}");
    let stored = lines.iter().filter(|line| line.starts_with("PUT") && line.contains(&other) && line.ends_with("201"));
    assert_eq!(stored.count(), 0, "{lines:?}");
    assert!(std::fs::read_to_string(&notes).expect("notes").contains(LAYER), "and remembered anew");
    // Into a layout, which compares by itself.
    lie(&notes);
    assert_eq!(push(&cli, &app("static-site"), "oci:second:v1", &[]).await, digest);
    let fresh = Cli::new();
    pull(&fresh, &reference, &[]).await;
    assert_cached(&fresh, &format!("{}/app/v1", front.registry()), "static-site");
}
