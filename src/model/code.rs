//! Error codes and the error body (distribution-spec 1.1, "Error Codes"); read by the client, written by `serve`.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An error code of the distribution spec. Codes that the spec does not know survive as [`ErrorCode::Other`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// code-1: the blob is unknown to the registry.
    BlobUnknown,
    /// code-2: the upload broke.
    BlobUploadInvalid,
    /// code-3: the upload session is unknown.
    BlobUploadUnknown,
    /// code-4: the digest given did not match the content.
    DigestInvalid,
    /// code-5: a manifest names a blob that the registry does not have.
    ManifestBlobUnknown,
    /// code-6: the manifest is invalid.
    ManifestInvalid,
    /// code-7: the manifest is unknown to the repository.
    ManifestUnknown,
    /// code-8: the repository name is invalid.
    NameInvalid,
    /// code-9: the repository is unknown to the registry.
    NameUnknown,
    /// code-10: the length given did not match the content.
    SizeInvalid,
    /// code-11: authentication is required.
    Unauthorized,
    /// code-12: access is denied.
    Denied,
    /// code-13: the operation is not supported.
    Unsupported,
    /// code-14: too many requests.
    TooManyRequests,
    /// Anything else, as the registry spells it.
    Other(String),
}

impl ErrorCode {
    /// Returns the code as it stands in JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(text) => text,
            known => NAMES.iter().find(|(code, _)| code == known).map_or("", |(_, name)| name),
        }
    }
}

impl From<&str> for ErrorCode {
    fn from(text: &str) -> Self {
        NAMES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map_or_else(|| Self::Other(text.to_owned()), |(code, _)| code.clone())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer).map(|text| Self::from(text.as_ref()))
    }
}

/// One entry of an error body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// What kind of error.
    pub code: ErrorCode,
    /// What the registry says about it, for people.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "text_or_nothing")]
    pub message: String,
    /// What the registry says about it, for programs; unstructured.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

impl ErrorEntry {
    /// Makes an entry without detail.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: serde_json::Value::Null }
    }
}

/// The body of an error answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The errors, never empty in a body that follows the spec.
    pub errors: Vec<ErrorEntry>,
}

impl ErrorBody {
    /// Reads an error body, tolerantly: what is no error body (HTML, nothing at all) has no entries.
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}

/// Some registries send `null` or an object where the spec says string.
fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}

const NAMES: [(ErrorCode, &str); 14] = [
    (ErrorCode::BlobUnknown, "BLOB_UNKNOWN"),
    (ErrorCode::BlobUploadInvalid, "BLOB_UPLOAD_INVALID"),
    (ErrorCode::BlobUploadUnknown, "BLOB_UPLOAD_UNKNOWN"),
    (ErrorCode::DigestInvalid, "DIGEST_INVALID"),
    (ErrorCode::ManifestBlobUnknown, "MANIFEST_BLOB_UNKNOWN"),
    (ErrorCode::ManifestInvalid, "MANIFEST_INVALID"),
    (ErrorCode::ManifestUnknown, "MANIFEST_UNKNOWN"),
    (ErrorCode::NameInvalid, "NAME_INVALID"),
    (ErrorCode::NameUnknown, "NAME_UNKNOWN"),
    (ErrorCode::SizeInvalid, "SIZE_INVALID"),
    (ErrorCode::Unauthorized, "UNAUTHORIZED"),
    (ErrorCode::Denied, "DENIED"),
    (ErrorCode::Unsupported, "UNSUPPORTED"),
    (ErrorCode::TooManyRequests, "TOOMANYREQUESTS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_strangers_survive() {
        for (code, name) in NAMES {
            assert_eq!(ErrorCode::from(name), code);
            assert_eq!(code.as_str(), name);
        }
        assert_eq!(ErrorCode::from("denied"), ErrorCode::Denied);
        assert_eq!(ErrorCode::from("QUOTA").as_str(), "QUOTA");
    }

    #[test]
    fn odd_bodies_are_read_as_far_as_they_go() {
        for (body, codes, message) in [
            (r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, 1, "no"),
            (r#"{"errors":[{"code":"DENIED","message":null,"detail":{"a":1}}]}"#, 1, ""),
            (r#"{"errors":[{"code":"DENIED","message":{"a":1}}]}"#, 1, r#"{"a":1}"#),
            ("<html>", 0, ""),
            ("", 0, ""),
        ] {
            let parsed = ErrorBody::parse(body.as_bytes());
            assert_eq!(parsed.errors.len(), codes, "{body}");
            assert_eq!(parsed.errors.first().map_or("", |entry| &entry.message), message);
        }
    }
}
