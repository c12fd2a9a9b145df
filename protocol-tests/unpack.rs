//! Archive layers that nobody should have to trust.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use spinreg::Error;
use spinreg::model::Digest;
use spinreg::spin::{Cache, UnpackLimits, media};
use tempfile::TempDir;

use crate::cache::{Artifact, archive, reference, root, tree};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
}

/// Makes a tar archive of entries as they are given, however strange.
fn raw(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, *content).expect("memory");
    }
    tar.into_inner().expect("memory")
}

async fn pull(root: &TempDir, archive: &[u8], limits: UnpackLimits) -> Result<BTreeSet<String>, Error> {
    let cache = Cache::at(root.path()).with_limits(limits);
    let lock = json!({"spin_lock_version": 0, "triggers": [], "components": []});
    let artifact = Artifact::application(&lock, &[(media::ARCHIVE, archive)]);
    artifact.pull(&cache.application(&reference("r.example/a:1"))).await?;
    let itself = format!("registry/data/{}", Digest::of(archive));
    Ok(tree(root.path()).into_keys().filter(|name| name.contains("/data/") && *name != itself).collect())
}

fn data(contents: &[&[u8]]) -> BTreeSet<String> {
    contents.iter().map(|content| format!("registry/data/{}", Digest::of(content))).collect()
}

#[tokio::test]
async fn regular_files_come_out_and_nothing_else() {
    use tar::EntryType as Kind;
    let long = vec![b'x'; 5 << 20];
    let strange = raw(&[
        ("../../../../escaped", Kind::Regular, b"climbing"),
        ("/escaped", Kind::Regular, b"absolute"),
        ("link", Kind::Symlink, b""),
        ("hard", Kind::Link, b""),
        ("dir/", Kind::Directory, b""),
        ("tty", Kind::Char, b""),
        ("disk", Kind::Block, b""),
        ("pipe", Kind::Fifo, b""),
        // A name of five megabytes is an entry like any other.
        ("././@LongLink", Kind::GNULongName, &long),
        ("named", Kind::Regular, b"long"),
        ("pax", Kind::XHeader, b"not even a record"),
        ("empty", Kind::Regular, b""),
        ("same", Kind::Regular, b"long"),
    ]);
    let expected = data(&[b"climbing", b"absolute", b"long", b""]);
    let cut = strange.len() / 2;
    for packed in [gzip(&strange), [gzip(&strange[..cut]), gzip(&strange[cut..])].concat()] {
        let root = root();
        assert_eq!(pull(&root, &packed, UnpackLimits::default()).await.expect("an archive"), expected);
        assert!(tree(root.path()).keys().all(|name| !name.contains("escaped")));
        assert_eq!(fs::read_dir(root.path().join("registry/.spinreg/partial")).expect("our folder").count(), 0);
    }
}

#[tokio::test]
async fn limits_hold() {
    let packed = archive([b"one".as_slice(), b"two", b"three"]);
    let bomb = gzip(&raw(&[("zeros", tar::EntryType::Regular, &vec![0; 1 << 20])]));
    let hidden = gzip(&raw(&[("zeros", tar::EntryType::GNULongName, &vec![0; 1 << 20])]));
    let enough = UnpackLimits::default();
    for (packed, limits, said) in [
        (&packed, UnpackLimits { entries: 2, ..enough }, "fewer entries"),
        (&packed, UnpackLimits { bytes: 1024, ..enough }, "unpacked bytes"),
        (&bomb, UnpackLimits { bytes: 1 << 20, ..enough }, "unpacked bytes"),
        (&hidden, UnpackLimits { bytes: 1 << 20, ..enough }, "unpacked bytes"),
    ] {
        let root = root();
        let error = pull(&root, packed, limits).await.expect_err(said);
        assert!(matches!(&error, Error::Parse(parse) if parse.expected().contains(said)), "{error}");
        assert!(!root.path().join("registry/manifests").exists(), "the application is not shown");
        assert_eq!(fs::read_dir(root.path().join("registry/.spinreg/partial")).map_or(0, Iterator::count), 0);
        // With more room it succeeds, and the archive is not fetched again.
        pull(&root, packed, enough).await.expect("an archive");
    }
    assert!(pull(&root(), &packed, UnpackLimits { entries: 3, ..enough }).await.is_ok());
}

#[tokio::test]
async fn broken_archives_are_refused() {
    let whole = archive([b"one".as_slice(), &[7; 100_000]]);
    let mut wrong_sum = raw(&[("a", tar::EntryType::Regular, b"content")]);
    wrong_sum[0] = b'b';
    for broken in [
        b"no archive at all".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        gzip(b"no tar archive"),
        gzip(&wrong_sum),
        gzip(&raw(&[("cut", tar::EntryType::Regular, &[1; 2000])])[..1000]),
    ] {
        let root = root();
        let error = pull(&root, &broken, UnpackLimits::default()).await.expect_err("no archive");
        assert!(matches!(error, Error::Parse(_)), "{error}");
        assert!(!root.path().join("registry/manifests").exists(), "the application is not shown");
    }
}

#[tokio::test]
async fn two_pulls_unpack_once() {
    let contents: Vec<Vec<u8>> = (0_u32..200).map(|n| n.to_le_bytes().repeat(50)).collect();
    let packed = archive(contents.iter().map(Vec::as_slice));
    let root = root();
    let pulls = (0..4).map(|_| pull(&root, &packed, UnpackLimits::default()));
    for outcome in futures_util::future::join_all(pulls).await {
        assert_eq!(outcome.expect("an archive").len(), 200);
    }
}
