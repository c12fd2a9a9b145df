//! Descriptors: what content is, how it is called and how long it is (image-spec 1.1, descriptor.md).

use std::collections::BTreeMap;

use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, MediaType, Platform};

/// Annotations of a manifest or descriptor, sorted by key (image-spec 1.1, annotations.md).
pub type Annotations = BTreeMap<String, String>;

/// A descriptor: media type, digest and size of some content, and what is said about it.
///
/// Fields are written in the order of their names, as canonical JSON wants them. `size` is what
/// the author of the descriptor *claims*; nothing is allocated from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Free-form facts about the content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// The type of an artifact, where the content is an artifact's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The content itself, embedded; believed only after checking it against `digest` and `size`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "embedded")]
    pub data: Option<Bytes>,
    /// The digest of the content.
    pub digest: Digest,
    /// The media type of the content.
    pub media_type: MediaType,
    /// The platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The size of the content in bytes.
    pub size: u64,
    /// Other places that have the content. Never followed unasked: they are the author's choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// Describes content by the three facts that every descriptor has.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            annotations: Annotations::new(),
            artifact_type: None,
            data: None,
            digest,
            media_type,
            platform: None,
            size,
            urls: Vec::new(),
        }
    }

    /// Describes `bytes`, hashing them with SHA-256.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Says whether both name the same content; media type and annotations do not matter.
    pub fn same_content(&self, other: &Self) -> bool {
        self.digest == other.digest && self.size == other.size
    }
}

/// `data`: padded standard base64 in JSON, bytes in memory.
mod embedded {
    use base64::Engine as _;

    use super::{Bytes, Deserialize, Deserializer, STANDARD, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        data.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_sorted_and_omits_what_is_absent() {
        let mut descriptor = Descriptor::of(MediaType::EMPTY_JSON, b"{}");
        descriptor.data = Some(Bytes::from_static(b"{}"));
        let json = serde_json::to_string(&descriptor).expect("plain data");
        assert_eq!(
            json,
            r#"{"data":"e30=","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2}"#
        );
        assert_eq!(serde_json::from_str::<Descriptor>(&json).expect("our own JSON"), descriptor);
    }

    #[test]
    fn hostile_fields_are_refused() {
        let digest = Digest::of(b"");
        for json in [
            format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":-1}}"#),
            format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1.5}}"#),
            format!(r#"{{"mediaType":"a b","digest":"{digest}","size":1}}"#),
            format!(r#"{{"mediaType":"a/b","digest":"{digest}"}}"#),
            r#"{"mediaType":"a/b","digest":"sha256:../x","size":1}"#.to_owned(),
            format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1,"data":"*"}}"#),
        ] {
            assert!(serde_json::from_str::<Descriptor>(&json).is_err(), "{json}");
        }
    }
}
