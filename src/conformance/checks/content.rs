//! What is pushed: content that nobody has pushed before.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::model::{Algorithm, Digest, Name};

/// Bytes and what they are called.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
}

impl Blob {
    /// Makes a blob of random bytes, of all kinds.
    pub(super) fn binary(algorithm: Algorithm, length: usize) -> Self {
        let mut bytes = vec![0; length];
        fastrand::fill(&mut bytes);
        Self::of(algorithm, bytes)
    }

    /// Makes a blob that nobody has pushed before, and that is short to write down: random letters and digits at the front
    /// of each block, and spaces.
    pub(super) fn random(algorithm: Algorithm, length: usize) -> Self {
        let sign = |at: usize| if at % BLOCK < RANDOM { fastrand::alphanumeric() } else { ' ' };
        Self::of(algorithm, (0..length).map(sign).collect::<String>())
    }

    /// Takes bytes for a blob.
    pub(super) fn of(algorithm: Algorithm, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of_with(algorithm, &bytes), bytes }
    }

    /// Makes the configuration of an image, another one each time: it can be removed without harm.
    pub(super) fn config() -> Self {
        let config = json!({
            "architecture": "wasm", "os": "wasip1", "author": nonce(), "config": {},
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        Self::of(Algorithm::Sha256, config.to_string())
    }

    /// Returns where it is in a repository.
    pub(super) fn path(&self, name: &Name) -> String {
        format!("/v2/{name}/blobs/{}", self.digest)
    }

    /// Describes it.
    pub(super) fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest.to_string(), "size": self.bytes.len() })
    }
}

/// A manifest to be pushed.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) media_type: &'static str,
    pub(super) digest: Digest,
    pub(super) body: Value,
}

impl Document {
    /// Makes an image without layers; `more` adds members or replaces them.
    pub(super) fn image(algorithm: Algorithm, config: &Blob, more: Value) -> Self {
        let body = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": config.descriptor(IMAGE_CONFIG), "layers": [],
            "annotations": { "com.example.nonce": nonce() },
        });
        Self::made(algorithm, IMAGE, body, more)
    }

    /// Makes an index; `more` adds members or replaces them.
    pub(super) fn index(algorithm: Algorithm, manifests: &[Value], more: Value) -> Self {
        let body = json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests,
            "annotations": { "com.example.nonce": nonce() },
        });
        Self::made(algorithm, INDEX, body, more)
    }

    fn made(algorithm: Algorithm, media_type: &'static str, mut body: Value, more: Value) -> Self {
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            for (key, value) in more {
                match (body.get_mut(&key), value) {
                    // The nonce stays.
                    (Some(Value::Object(old)), Value::Object(new)) if key == "annotations" => old.extend(new),
                    (_, value) => drop(body.insert(key, value)),
                }
            }
        }
        let bytes = Bytes::from(body.to_string());
        Self { digest: Digest::of_with(algorithm, &bytes), bytes, media_type, body }
    }

    /// Returns where it is in a repository, by its digest.
    pub(super) fn path(&self, name: &Name) -> String {
        at(name, &self.digest.to_string())
    }

    /// Describes it, as a subject or a child.
    pub(super) fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest.to_string(), "size": self.bytes.len() })
    }

    /// Returns its annotations.
    pub(super) fn annotations(&self) -> &Value {
        &self.body["annotations"]
    }
}

/// Bytes of a block: no two chunks of an upload are the same.
const BLOCK: usize = 512;
/// Random letters and digits of each.
const RANDOM: usize = 16;

/// Returns where a manifest is.
pub(super) fn at(name: &Name, reference: &str) -> String {
    format!("/v2/{name}/manifests/{reference}")
}

/// Returns a tag that nobody has used: `check-…`.
pub(super) fn tag(what: &str) -> String {
    format!("check-{what}-{}", nonce())
}

/// Returns letters and digits that nobody has used.
pub(super) fn nonce() -> String {
    format!("{:016x}", fastrand::u64(..))
}

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
