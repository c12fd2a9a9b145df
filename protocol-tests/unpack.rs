//! Archive layers that nobody should have to trust.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
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
    let behind = |rest: &[u8]| [gzip(&strange).as_slice(), rest].concat();
    for packed in [
        gzip(&strange),
        [gzip(&strange[..cut]), gzip(&strange[cut..])].concat(),
        behind(&[0; 100]),
        behind(&gzip(b"behind the end")),
    ] {
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

#[tokio::test]
async fn what_a_killed_process_has_left_is_in_nobodys_way() {
    let packed = archive([b"one".as_slice(), b"two", &[7; 100_000]]);
    let root = root();
    let partials = root.path().join("registry/.spinreg/partial");
    fs::create_dir_all(&partials).expect("a folder");
    fs::write(partials.join(format!("session-unpack-{}", &Digest::of(&packed).hex()[..32])), "half a f")
        .expect("a file");
    let expected = data(&[b"one", b"two", &[7; 100_000]]);
    assert_eq!(pull(&root, &packed, UnpackLimits::default()).await.expect("an archive"), expected);
    assert_eq!(fs::read_dir(&partials).expect("our folder").count(), 0);

    // What is lost of what came out comes out again, and so does everything where nobody says any more what did.
    fs::remove_file(root.path().join(format!("registry/data/{}", Digest::of(b"two")))).expect("a file");
    assert_eq!(pull(&root, &packed, UnpackLimits::default()).await.expect("an archive"), expected);
    for marker in fs::read_dir(root.path().join("registry/.spinreg/unpacked")).expect("our folder") {
        fs::write(marker.expect("a marker").path(), "").expect("a file");
    }
    assert_eq!(pull(&root, &packed, UnpackLimits::default()).await.expect("an archive"), expected);
}

/// An archive of entries, most of them well made, and where it is damaged.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    use tar::EntryType as Kind;
    let kinds = vec![
        Kind::Regular,
        Kind::Regular,
        Kind::Continuous,
        Kind::Directory,
        Kind::Symlink,
        Kind::GNULongName,
        Kind::XHeader,
        Kind::GNUSparse,
    ];
    let content = prop::collection::vec(any::<u8>(), 0..1500);
    let entry = ("[a-z./]{1,20}", prop::sample::select(kinds), content);
    let entries = prop::collection::vec(entry, 0..5).prop_map(|entries| {
        let entries: Vec<_> = entries.iter().map(|(name, kind, content)| (name.as_str(), *kind, &**content)).collect();
        raw(&entries)
    });
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (entries, damage.clone(), damage, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut tar, inside, outside, cut, is_cut)| {
            let hit = |bytes: &mut Vec<u8>, damage: Vec<(prop::sample::Index, u8)>| {
                for (at, byte) in damage {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            };
            hit(&mut tar, inside);
            let mut packed = gzip(&tar);
            hit(&mut packed, outside);
            if is_cut {
                packed.truncate(cut.index(packed.len()));
            }
            packed
        },
    )
}

proptest! {
    // Each case is a pull to a disk.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an archive is: what comes out of it is called by its digest and stays in its place, and the limits hold.
    #[test]
    fn any_archive_is_survived(packed in damaged()) {
        let limits = UnpackLimits { entries: 4, bytes: 8 << 10 };
        let root = root();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let outcome = runtime.block_on(pull(&root, &packed, limits));
        prop_assert!(matches!(outcome, Ok(_) | Err(Error::Parse(_))), "{:?}", outcome);
        let mut bytes = 0;
        for (name, content) in tree(root.path()) {
            if let Some(called) = name.strip_prefix("registry/data/") {
                prop_assert_eq!(called, Digest::of(&content).to_string());
                bytes += content.len();
            } else {
                prop_assert!(name.starts_with("registry/manifests/"), "{}", name);
            }
        }
        // The archive itself and the lock file's layer are there besides.
        prop_assert!(bytes <= packed.len() + 200 + (8 << 10), "{bytes} bytes have come out");
    }
}
