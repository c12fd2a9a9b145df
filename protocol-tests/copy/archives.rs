//! Archives: written once, read where they stand, and hostile ones refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use spinreg::Error;
use spinreg::content::{Blob, Source as _, Tagged, Target as _};
use spinreg::model::{Digest, Identifier, Manifest, MediaType, Tag};
use spinreg::store::Archive;
use tokio::sync::Notify;

use super::corpus::Corpus;
use super::{copy, holds};
use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::registry::Embedded;

/// Lists the members of an archive, as another reader sees them.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).expect("an archive"));
    let entries = archive.entries().expect("an archive");
    let read = |mut entry: tar::Entry<'_, fs::File>| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("a member");
        let header = entry.header();
        let facts = (header.mtime().expect("a time"), header.uid().expect("an owner"), header.mode().expect("a mode"));
        assert_eq!(facts, (0, 0, 0o644), "nothing depends on when and by whom it was made");
        (entry.path().expect("a name").display().to_string(), bytes)
    };
    entries.map(|entry| read(entry.expect("a member"))).collect()
}

/// Holds an archive to what its members are called, as a stranger would.
fn assert_right(path: &Path) -> Vec<String> {
    let members = members(path);
    let names: Vec<String> = members.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!((names[0].as_str(), names[names.len() - 1].as_str()), ("oci-layout", "index.json"));
    for (name, bytes) in &members[1..members.len() - 1] {
        let digest: Digest = name.trim_start_matches("blobs/").replace('/', ":").parse().expect("a digest");
        assert_eq!(Digest::of_with(digest.algorithm(), bytes), digest, "a wrong byte under a final name");
    }
    let mut once = names.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), names.len(), "a member twice");
    names
}

#[tokio::test]
async fn an_archive_is_what_others_expect() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    copy(&cli, "oci:first:v1", "oci-archive:out.tar:v1", &["--referrers"]).await;
    let names = assert_right(&cli.path("work/out.tar"));
    assert_eq!(names.len(), 2 + 8 + 12, "{names:#?}");
    // The same once more is the same file, untouched.
    let before = fs::metadata(cli.path("work/out.tar")).expect("a file").modified().expect("a time");
    copy(&cli, "oci:first:v1", "oci-archive:out.tar:v1", &["--referrers"]).await;
    assert_eq!(fs::metadata(cli.path("work/out.tar")).expect("a file").modified().expect("a time"), before);
    // Another tag is added to what is there.
    copy(&cli, "oci:first:v1", "oci-archive:out.tar:arm", &["--platform", "linux/arm64"]).await;
    holds("oci-archive:out.tar:v1", &corpus, &cli).await;
    assert_eq!(assert_right(&cli.path("work/out.tar")).len(), names.len());
    let left: Vec<_> = fs::read_dir(cli.path("work")).expect("a directory").collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// What a killed attempt has left is gone on with: what is whole is not fetched again, what is not leaves no trace.
#[tokio::test]
async fn a_killed_attempt_is_gone_on_with() {
    let cli = Cli::new();
    let corpus = Corpus::at(&cli.path("work/first")).await;
    let registry = Embedded::start().await;
    copy(&cli, "oci:first:v1", &registry.reference("app:v1"), &["--referrers"]).await;
    for same in [true, false] {
        let to = format!("oci-archive:out-{same}.tar:v1");
        let held = Arc::new(Notify::new());
        let hold = (0..2).map(|_| Meddle::Leave).chain([Meddle::HoldAfter(10, held.clone())]);
        let front = Front::before(registry.address()).meddle("GET /v2/app/blobs/*", hold).start().await;
        let from = format!("{}/app:v1", front.registry());
        let running = cli.start(["copy", "--concurrency", "1", &from, &to], None);
        held.notified().await;
        running.kill().await;
        let path = cli.path("work").join(format!("out-{same}.tar"));
        let partial = cli.path("work").join(format!(".spinreg-out-{same}.tar.partial"));
        assert!(partial.exists() && !path.exists());
        registry.wire().take();
        let from = registry.reference("app:v1");
        if same {
            copy(&cli, &from, &to, &["--referrers"]).await;
            holds(&to, &corpus, &cli).await;
            let fetched = registry.wire().count("GET /v2/app/blobs/");
            // Of twelve two are there, and one is empty.
            assert_eq!(fetched, 12 - 2 - 1, "{:#?}", registry.wire().lines());
        } else {
            // Something else: the room that was left is closed.
            copy(&cli, &from, &to, &["--platform", "linux/arm64"]).await;
        }
        assert_right(&path);
        assert!(!partial.exists());
    }
}

#[tokio::test]
async fn hostile_archives_are_refused() {
    let cli = Cli::new();
    let good = Digest::of(b"{}");
    let blob = format!("blobs/sha256/{}", good.hex());
    let index = r#"{"schemaVersion":2,"manifests":[]}"#;
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    let pack = |members: &[(&str, tar::EntryType, &str)]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content) in members {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let is_link = kind.is_symlink() || kind.is_hard_link();
            if is_link {
                header.set_link_name(content).expect("a short name");
            }
            header.set_size(if is_link { 0 } else { content.len() as u64 });
            header.set_cksum();
            builder.append(&header, if is_link { &[][..] } else { content.as_bytes() }).expect("memory");
        }
        builder.into_inner().expect("memory")
    };
    use tar::EntryType::{Fifo, Link, Regular, Symlink};
    let base = [("oci-layout", Regular, version), ("index.json", Regular, index)];
    let with = |more: &[(&str, tar::EntryType, &str)]| pack(&[&base[..], more].concat());
    let huge = " ".repeat((8 << 20) + 1);
    for (bytes, said) in [
        (with(&[("../evil", Regular, "x")]), "a name within the archive"),
        (with(&[("/etc/passwd", Regular, "x")]), "a name within the archive"),
        (with(&[(&blob, Symlink, "/etc/passwd")]), "no links"),
        (with(&[(&blob, Link, "index.json")]), "no links"),
        (with(&[(&blob, Fifo, "")]), "special files"),
        (with(&[("index.json", Regular, index)]), "each file once"),
        (with(&[(&blob, Regular, "{}"), (&blob, Regular, "[]")]), "each file once"),
        (pack(&base[..1]), "the file `index.json`"),
        (pack(&base[1..]), "the file `oci-layout`"),
        (pack(&[("oci-layout", Regular, r#"{"imageLayoutVersion":"2.0.0"}"#), base[1]]), "1.0.0"),
        (pack(&[base[0], ("index.json", Regular, &huge)]), "small files"),
        (with(&[])[..700].to_vec(), "the content that its header announces"),
        (b"\x1f\x8b\x08 and more of the same".to_vec(), "it is gzip"),
        (Vec::new(), "a member"),
    ] {
        fs::write(cli.path("work/evil.tar"), bytes).expect("a file");
        for arguments in [["oci-archive:evil.tar", "oci:out"], ["oci:out", "oci-archive:evil.tar"]] {
            if arguments[0] == "oci:out" {
                Corpus::at(&cli.path("work/out")).await;
            }
            let run = cli.run(["copy", arguments[0], arguments[1]]).await;
            if arguments[0] == "oci-archive:evil.tar" {
                let complaint = run.failure(1);
                assert!(complaint.contains(said) && complaint.contains("evil.tar"), "{said}: {complaint}");
            } else {
                assert!(!run.status.success(), "{said}: {run}");
            }
        }
    }
    assert!(!cli.path("work/evil").exists() && !cli.path("evil").exists());
}

#[tokio::test]
async fn wrong_bytes_in_an_archive_get_nowhere() {
    let cli = Cli::new();
    Corpus::at(&cli.path("work/first")).await;
    copy(&cli, "oci:first:v1", "oci-archive:out.tar:v1", &[]).await;
    let path = cli.path("work/out.tar");
    let mut bytes = fs::read(&path).expect("a file");
    let place = bytes.windows(1000).position(|window| window.iter().all(|byte| *byte == 7)).expect("a layer of sevens");
    bytes[place + 5] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let registry = Embedded::start().await;
    let to = registry.reference("app:v1");
    for to in ["oci:out", "oci-archive:other.tar", to.as_str()] {
        let run = cli.run(["copy", "oci-archive:out.tar:v1", to]).await;
        assert!(!run.status.success(), "{to}: {run}");
    }
    assert!(!cli.path("work/other.tar").exists());
    assert_eq!(registry.wire().count("PUT /v2/app/manifests/"), 0);
}

/// The laws of sources and targets, for the library's users.
#[tokio::test]
async fn what_is_pushed_is_fetched() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let path = room.path().join("a/b.tar");
    let blob = |content: &str| Blob::from_bytes(MediaType::OCTET_STREAM, content.as_bytes().to_vec());
    let archive = Archive::create(&path).await.expect("nothing is there");
    assert!(matches!(Archive::open(&path).await, Err(Error::NotFound(_))));
    let (config, layer) = (blob("{}"), blob("layer"));
    let text = serde_json::json!({
        "schemaVersion": 2, "config": config.descriptor(), "layers": [layer.descriptor()],
    });
    let manifest = Manifest::parse(text.to_string(), None).expect("a manifest");
    let tag: Tag = "v1".parse().expect("a tag");
    archive.push_blob(&config).await.expect("good content");
    let early = archive.push_manifest(&manifest, Some(&tag)).await;
    assert!(matches!(early, Err(Error::NotFound(_))), "its layer is missing: {early:?}");
    archive.push_blob(&layer).await.expect("good content");
    assert!(!archive.exists(manifest.descriptor()).await.expect("an answer"));
    archive.push_manifest(&manifest, Some(&tag)).await.expect("its content is there");
    assert!(archive.exists(manifest.descriptor()).await.expect("an answer"));
    assert!(!path.exists(), "it is not finished");
    archive.finish().await.expect("a writable directory");

    for archive in [archive, Archive::open(&path).await.expect("an archive")] {
        let tagged = archive.tagged(&tag, manifest.descriptor()).await;
        assert!(matches!(tagged, Ok(Tagged::Wanted)), "{tagged:?}");
        let found = archive.manifest(&Identifier::Tag(tag.clone())).await.expect("it is there");
        assert_eq!(found.bytes(), manifest.bytes());
        let found = archive.manifest(&Identifier::Digest(manifest.digest())).await.expect("it is there");
        assert_eq!(found.bytes(), manifest.bytes());
        let mut body = archive.blob(layer.descriptor()).open(2).await.expect("it is there");
        assert_eq!(body.chunk().await.expect("bytes").expect("a file"), "yer");
        let absent = Identifier::Digest(Digest::of(b"absent"));
        assert!(matches!(archive.manifest(&absent).await, Err(Error::NotFound(_))));
        // A blob is no manifest.
        let no_manifest = Identifier::Digest(layer.descriptor().digest);
        assert!(matches!(archive.manifest(&no_manifest).await, Err(Error::NotFound(_))));
        assert!(archive.blob(blob("absent").descriptor()).read(9).await.is_err());
    }
}

#[tokio::test]
async fn two_processes_do_not_write_one_archive() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let path = room.path().join("a.tar");
    let blob = |content: &str| Blob::from_bytes(MediaType::OCTET_STREAM, content.as_bytes().to_vec());
    let (first, second) = (Archive::create(&path).await, Archive::create(&path).await);
    let (first, second) = (first.expect("nothing is there"), second.expect("nothing is there"));
    first.push_blob(&blob("a")).await.expect("good content");
    let Err(Error::Io(refused)) = second.push_blob(&blob("a")).await else { panic!("it is taken") };
    assert!(refused.source.to_string().contains("another process writes the same archive"), "{refused:?}");
}
