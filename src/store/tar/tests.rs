use std::io::Cursor;

use super::*;

fn members(bytes: &[u8]) -> Result<Vec<Member>, Flaw> {
    let mut members = Members::of(Cursor::new(bytes)).expect("memory does not fail");
    let mut found = Vec::new();
    while let Some(member) = members.next()? {
        found.push(member);
    }
    Ok(found)
}

fn member(path: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(path, content.len() as u64);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Seals a block again after a test has changed it.
fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[CHECKSUM].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn complaint(bytes: &[u8]) -> &'static str {
    match members(bytes) {
        Err(Flaw::Malformed { expected, .. }) => expected,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_we_write_we_read() {
    let long = format!("blobs/sha512/{}", "ab".repeat(64));
    let mut archive = member("oci-layout", b"x");
    archive.extend(member(&long, &[7; 513]));
    archive.extend(member("index.json", b""));
    archive.extend([0; 1024]);
    let found = members(&archive).expect("an archive");
    let seen: Vec<_> = found.iter().map(|m| (m.path.as_str(), m.kind, m.offset, m.size)).collect();
    let expected = [
        ("oci-layout", Kind::File, 512, 1),
        (long.as_str(), Kind::File, 1024 + 1536, 513),
        ("index.json", Kind::File, 1024 + 1536 + 1024 + 512, 0),
    ];
    assert_eq!(seen, expected);
    assert_eq!(found[1].start, 1024);
    assert_eq!(found[1].end(), found[2].start);
}

#[cfg(feature = "spin")]
#[test]
fn another_reader_sees_the_same() {
    let long = format!("blobs/sha512/{}", "cd".repeat(64));
    let mut bytes = [member("oci-layout", b"{}"), member(&long, b"content")].concat();
    bytes.extend([0; 1024]);
    let mut archive = ::tar::Archive::new(bytes.as_slice());
    let seen: Vec<_> = archive
        .entries()
        .expect("an archive")
        .map(|entry| {
            let entry = entry.expect("a member");
            (entry.path().expect("a name").display().to_string(), entry.size())
        })
        .collect();
    assert_eq!(seen, [("oci-layout".to_owned(), 2), (long, 7)]);
}

#[cfg(feature = "spin")]
#[test]
fn what_another_writer_writes_we_read() {
    let mut builder = ::tar::Builder::new(Vec::new());
    let long = format!("./blobs/sha512/{}", "ef".repeat(64));
    for (path, content) in [("./oci-layout", "{}"), (long.as_str(), "content")] {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_bytes()).expect("memory does not fail");
    }
    let bytes = builder.into_inner().expect("memory does not fail");
    let found = members(&bytes).expect("an archive");
    let seen: Vec<_> =
        found.iter().map(|m| (m.path.as_str(), &bytes[m.offset as usize..(m.offset + m.size) as usize])).collect();
    assert_eq!(seen, [("oci-layout", &b"{}"[..]), (&long[2..], b"content")]);
}

#[test]
fn large_sizes_are_written_and_read() {
    let huge = 9 << 30;
    let bytes = header("blobs/x", huge);
    assert_eq!(bytes.len(), 3 * 512);
    // The content is not there, and is missed before anything is allocated.
    assert_eq!(complaint(&bytes), "the content that its header announces");
    let records = std::str::from_utf8(&bytes[512..512 + 19]).expect("text");
    assert_eq!(records, "19 size=9663676416\n");
    // GNU's form of the same.
    let mut gnu = block("x", b'0', 0);
    gnu[SIZE].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0x40, 0, 0, 0]);
    assert_eq!(Header::parse(&sealed(gnu)).map(|header| header.size), Ok(huge));
}

#[test]
fn records_count_their_own_length() {
    for (value, expected) in [("x", "6 k=x\n"), ("abcd", "9 k=abcd\n"), ("abcde", "11 k=abcde\n")] {
        assert_eq!(record("k", value), expected);
        assert_eq!(expected.len().to_string(), expected.split(' ').next().expect("digits"));
    }
}

#[test]
fn names_stay_within() {
    for (path, cleaned) in [
        ("a/b", Some("a/b")),
        ("./a//b/", Some("a/b")),
        (".", Some("")),
        ("/a", None),
        ("../a", None),
        ("a/../b", None),
        ("a/..", None),
        ("a..b", Some("a..b")),
    ] {
        assert_eq!(clean(path).as_deref(), cleaned, "{path}");
    }
    assert_eq!(complaint(&member("blobs/../../etc/passwd", b"x")), "a name within the archive");
    assert_eq!(complaint(&member("/etc/passwd", b"x")), "a name within the archive");
}

#[test]
fn kinds_are_told_apart() {
    for (flag, kind) in [
        (b'0', Kind::File),
        (0, Kind::File),
        (b'1', Kind::Link),
        (b'2', Kind::Link),
        (b'3', Kind::Other),
        (b'5', Kind::Directory),
        (b'6', Kind::Other),
        (b'S', Kind::Other),
    ] {
        let found = members(&block("x", flag, 0)).expect("an archive");
        assert_eq!(found[0].kind, kind, "{}", char::from(flag));
    }
    assert_eq!(members(&block("blobs/", 0, 0)).expect("an archive")[0].kind, Kind::Directory);
}

#[test]
fn what_is_hostile_or_damaged_is_refused() {
    let good = member("oci-layout", b"content");
    assert_eq!(complaint(&[]), "a member");
    assert_eq!(complaint(&good[..600]), "the content that its header announces");
    assert_eq!(complaint(&good[..100]), "a header of 512 bytes");
    let mut spoilt = good.clone();
    spoilt[0] ^= 1;
    assert_eq!(complaint(&spoilt), "a tar header");
    // A name of a gigabyte, a size beyond all files, an extension without a member, one that is no record.
    assert_eq!(complaint(&block("x", b'L', 1 << 30)), "the content that its header announces");
    let mut long = block("x", b'L', 65 << 10).to_vec();
    long.resize(512 + (65 << 10), b'a');
    assert_eq!(complaint(&long), "names and extensions of at most 64 KiB");
    let mut beyond = block("x", b'0', 0);
    beyond[SIZE].copy_from_slice(&[0x80, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(complaint(&sealed(beyond)), "the content that its header announces");
    let extension = |text: &str| {
        let mut bytes = block("pax", b'x', text.len() as u64).to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(1024, 0);
        bytes
    };
    assert_eq!(complaint(&extension("10 path=a\n")), "a member");
    for text in ["path=a\n", "99 path=a\n", "3 a\n", "8 path\n\n\n", "18446744073709551616 a=b\n"] {
        assert_eq!(complaint(&extension(text)), "records of a length, a key and a value", "{text}");
    }
    assert_eq!(complaint(&extension("22 GNU.sparse.major=1\n")), "files without holes");
    let ended = [extension("10 path=a\n"), vec![0; 1024]].concat();
    assert_eq!(complaint(&ended), "a member after its extension");
}

#[test]
fn random_bytes_end_in_an_answer() {
    use proptest::prelude::*;
    proptest!(|(noise in proptest::collection::vec(any::<u8>(), 0..2048), at in 0usize..2048, byte in any::<u8>())| {
        let _ = members(&noise);
        let mut archive = [member("oci-layout", b"{}"), header(&"n".repeat(150), 3)].concat();
        archive.resize(archive.len() + 512, 0);
        let at = at % archive.len();
        archive[at] = byte;
        let length = archive.len() as u64;
        if let Ok(found) = members(&archive) {
            prop_assert!(found.iter().all(|member| member.end() <= length));
        }
    });
}
