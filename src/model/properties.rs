//! What holds for every text, not just those that somebody thought of.

use proptest::prelude::*;

use super::{Descriptor, Digest, ErrorBody, Identifier, Location, Manifest, MediaType, Platform, Reference};

/// Text near the grammars: their own characters, in no particular order.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._:/@+%-]{0,80}",
        "([a-z0-9.-]{1,12}(:[0-9]{1,6})?/)?[a-z0-9/._-]{1,30}(:[A-Za-z0-9._-]{1,12})?(@sha256:[0-9a-f]{60,66})?",
        "oci:[ -~]{0,40}",
        any::<String>(),
    ]
}

proptest! {
    /// What parses prints a text that parses to the same.
    #[test]
    fn canonical_text_is_stable(text in texts()) {
        macro_rules! stable {
            ($($type:ty),+) => { $(
                if let Ok(value) = text.parse::<$type>() {
                    let canonical = value.to_string();
                    prop_assert_eq!(canonical.parse::<$type>(), Ok(value), "{}", canonical);
                }
            )+ };
        }
        stable!(Reference, Location, Identifier, Digest, MediaType, Platform);
    }

    /// A refusal points into the text, and is short.
    #[test]
    fn refusals_are_bounded(text in texts()) {
        if let Err(error) = text.parse::<Reference>() {
            prop_assert!(error.position().is_none_or(|position| position <= text.len()), "{}", error);
            prop_assert!(error.to_string().len() < 4_000);
        }
    }

    /// Nothing that a reference lets through leads a path astray.
    #[test]
    fn parsed_names_are_harmless_in_paths(text in texts()) {
        if let Ok(reference) = text.parse::<Reference>() {
            let parts = reference.name().as_str().split('/').chain(reference.tag().map(|tag| tag.as_str()));
            for part in parts {
                prop_assert!(!part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']));
            }
            prop_assert!(!reference.registry().as_str().contains(['/', '\\', '\0']));
        }
    }

    /// Bytes of a peer never panic, and what is understood keeps its bytes.
    #[test]
    fn documents_of_peers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(manifest) = Manifest::parse(bytes.clone(), None) {
            prop_assert_eq!(manifest.bytes(), &bytes);
        }
        ErrorBody::parse(&bytes);
        let _ = serde_json::from_slice::<Descriptor>(&bytes);
    }

    /// A manifest's bytes are kept whatever is in them, and its view finds every blob.
    #[test]
    fn manifests_keep_their_bytes(sizes in prop::collection::vec(any::<u64>(), 0..20), extra in "[a-z]{1,8}") {
        let blob = |size: &u64| serde_json::json!({
            "mediaType": "application/octet-stream", "digest": Digest::of(&size.to_le_bytes()), "size": size, &extra: 1,
        });
        let layers: Vec<_> = sizes.iter().map(blob).collect();
        let json = serde_json::json!({ "schemaVersion": 2, "config": blob(&0), "layers": layers, &extra: [1, 2] });
        let text = serde_json::to_string_pretty(&json).expect("plain data");
        let manifest = Manifest::parse(text.clone(), None).expect("a manifest");
        prop_assert_eq!(manifest.bytes(), text.as_bytes());
        prop_assert_eq!(manifest.blobs().count(), sizes.len() + 1);
        prop_assert_eq!(manifest.blobs().skip(1).map(|layer| layer.size).collect::<Vec<_>>(), sizes);
    }
}
