//! Documents: manifests, lock files, credential files, errors, tokens, archives.

use std::io::Write as _;
use std::path::Component;

use flate2::Compression;
use flate2::write::GzEncoder;
use spinreg::auth::{Credential, fuzzing as auth};
use spinreg::model::{Digest, ErrorBody, Manifest, MediaType};
use spinreg::spin::{LockedApp, UnpackLimits};

use crate::line;

/// A `Content-Type` and the bytes.
pub fn manifest(data: &[u8]) {
    let (media_type, bytes) = line(data);
    let media_type = std::str::from_utf8(media_type).ok().and_then(|text| text.parse::<MediaType>().ok());
    match Manifest::parse(bytes.to_vec(), media_type) {
        Ok(manifest) => {
            assert_eq!(manifest.bytes(), bytes, "the bytes are the truth");
            assert_eq!(manifest.digest(), Digest::of(bytes));
            assert_eq!(manifest.descriptor().size, bytes.len() as u64);
            assert!(manifest.descriptor().media_type.is_manifest());
            assert!(manifest.blobs().count() <= bytes.len());
        }
        Err(error) => assert!(error.to_string().len() < 4_000, "a refusal is short"),
    }
}

pub fn lock_file(data: &[u8]) {
    let Ok(app) = LockedApp::parse(data) else { return };
    let printed = app.to_json();
    let again = LockedApp::parse(&printed).expect("what we print is a lock file");
    assert_eq!(again, app, "nothing is lost in print");
    assert_eq!(again.to_json(), printed, "print is stable");
    let _understood = app.understood();
    for file in app.components.iter().flat_map(|component| &component.files) {
        if let Ok(place) = file.place() {
            assert!(place.components().all(|part| matches!(part, Component::Normal(_))), "{}", place.display());
        }
    }
}

/// Docker's file and Spin's: a registry, a repository, and the bytes.
pub fn docker_config(data: &[u8]) {
    let (registry, rest) = line(data);
    let (name, bytes) = line(rest);
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let registry = text(registry).parse().unwrap_or_else(|_| "r.example".parse().expect("a registry"));
    let name = text(name).parse().ok();
    for error in [auth::docker_config(bytes, &registry, name.as_ref()).err(), auth::spin_auth(bytes, &registry).err()]
        .into_iter()
        .flatten()
    {
        assert!(error.to_string().len() < 4_000, "a refusal is short");
    }
}

/// What a registry complains about.
pub fn error_body(data: &[u8]) {
    let body = ErrorBody::parse(data);
    assert!(body.errors.len() <= data.len());
    let printed = serde_json::to_vec(&body).expect("plain data");
    assert_eq!(ErrorBody::parse(&printed), body, "a body of ours is read as it was meant");
}

/// A token service's answer.
pub fn token(data: &[u8]) {
    let (_granted, complaints) = auth::token(data);
    assert!(complaints <= data.len());
}

/// What a credential helper prints. What it says wrongly is not repeated: it may be a secret.
pub fn helper(data: &[u8]) {
    match auth::helper(data) {
        Ok(Some(Credential::Password { secret, .. })) => assert!(!secret.is_empty(), "no secret is no credential"),
        Ok(Some(Credential::Identity { token })) => assert!(!token.is_empty(), "no token is no credential"),
        Ok(Some(other)) => panic!("a helper has no {other:?}"),
        Ok(None) => {}
        Err(failure) => {
            let nothing = auth::helper(b"").expect_err("nothing is no answer");
            assert_eq!(format!("{failure} {failure:?}"), format!("{nothing} {nothing:?}"));
        }
    }
}

/// An archive: as it is where it begins like gzip, else the tar inside one.
pub fn archive(data: &[u8]) {
    let packed = if data.starts_with(b"\x1f\x8b") {
        data.to_vec()
    } else {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(data).and_then(|()| gzip.finish()).expect("memory")
    };
    // In memory where there is such a place: disks are slow, and wear out.
    let memory = std::path::Path::new("/dev/shm");
    let room = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let room = room.expect("a temporary directory");
    let limits = UnpackLimits { entries: 64, bytes: 64 << 10 };
    let outcome = spinreg::spin::fuzzing::unpack(room.path(), &packed, limits);
    let data = room.path().join("data");
    let mut bytes = 0;
    for entry in data.read_dir().into_iter().flatten() {
        let path = entry.expect("a directory of our own").path();
        let content = std::fs::read(&path).expect("a plain file");
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(&*Digest::of(&content).to_string()));
        bytes += content.len() as u64;
    }
    assert!(bytes <= limits.bytes, "{bytes} bytes came out");
    for (digest, size) in outcome.into_iter().flatten() {
        assert_eq!(data.join(digest.to_string()).metadata().map(|file| file.len()).ok(), Some(size), "{digest}");
    }
    for entry in room.path().read_dir().expect("a directory of our own") {
        let name = entry.expect("a directory of our own").file_name();
        assert!(["archive", "data", "partial"].iter().any(|known| name == *known), "{name:?} is out of place");
    }
}
