//! Names: what parses prints a text that parses to the same, and leads no path astray.

use spinreg::model::{Descriptor, Digest, Identifier, Location, MediaType, Platform, Reference};

pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    macro_rules! stable {
        ($($type:ty),+) => { $(
            match text.parse::<$type>() {
                Ok(value) => {
                    let canonical = value.to_string();
                    assert_eq!(canonical.parse::<$type>().as_ref(), Ok(&value), "{canonical}");
                }
                Err(error) => assert!(error.to_string().len() < 4_000, "a refusal is short"),
            }
        )+ };
    }
    stable!(Reference, Location, Identifier, MediaType, Platform);
    let Ok(reference) = text.parse::<Reference>() else { return };
    for part in reference.name().as_str().split('/').chain(reference.tag().map(|tag| tag.as_str())) {
        assert!(!part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']), "{part}");
    }
    assert!(!reference.registry().as_str().contains(['/', '\\', '\0']));
}

/// A digest as text, and inside a descriptor.
pub fn digest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text, "one spelling only");
        assert_eq!(digest.as_bytes().len() * 2, digest.hex().len());
    }
    if let Ok(descriptor) = serde_json::from_str::<Descriptor>(text) {
        let printed = serde_json::to_string(&descriptor).expect("a descriptor is plain data");
        assert_eq!(serde_json::from_str::<Descriptor>(&printed).ok(), Some(descriptor), "{printed}");
    }
}
