//! Media types: newtype and the constants of the image spec.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ParseError;

/// A media type without parameters, such as `application/vnd.oci.image.manifest.v1+json`
/// (RFC 6838, section 4.2).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaType(Cow<'static, str>);

impl MediaType {
    /// An OCI image manifest.
    pub const IMAGE_MANIFEST: Self = Self::constant("application/vnd.oci.image.manifest.v1+json");
    /// An OCI image index.
    pub const IMAGE_INDEX: Self = Self::constant("application/vnd.oci.image.index.v1+json");
    /// An OCI image config.
    pub const IMAGE_CONFIG: Self = Self::constant("application/vnd.oci.image.config.v1+json");
    /// The empty JSON object `{}` as a placeholder.
    pub const EMPTY_JSON: Self = Self::constant("application/vnd.oci.empty.v1+json");
    /// Docker's image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: Self = Self::constant("application/vnd.docker.distribution.manifest.v2+json");
    /// Docker's manifest list.
    pub const DOCKER_INDEX: Self = Self::constant("application/vnd.docker.distribution.manifest.list.v2+json");
    /// Bytes of which nothing is known.
    pub const OCTET_STREAM: Self = Self::constant("application/octet-stream");

    /// Makes a media type from text that is known to be one when it is written.
    pub const fn constant(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Parses the value of a `Content-Type` header: parameters are cut off, case is folded.
    pub fn from_header(value: &str) -> Result<Self, ParseError> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.to_ascii_lowercase().parse()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether this is an image index or Docker's manifest list.
    pub fn is_index(&self) -> bool {
        *self == Self::IMAGE_INDEX || *self == Self::DOCKER_INDEX
    }

    /// Says whether content of this type is a manifest: an image manifest or an index.
    pub fn is_manifest(&self) -> bool {
        self.is_index() || *self == Self::IMAGE_MANIFEST || *self == Self::DOCKER_MANIFEST
    }

    /// Says whether a layer of this type is kept by its author alone, so that nobody else has to have it (image-spec 1.1,
    /// layer.md, "Non-Distributable Layers"; Docker's foreign layers).
    pub fn is_nondistributable(&self) -> bool {
        self.0.starts_with("application/vnd.oci.image.layer.nondistributable.")
            || self.0.starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for MediaType {
    type Err = ParseError;

    /// Parses `type/subtype`, each a restricted name of RFC 6838: at most 127 characters of
    /// letters, digits and ``! # $ & - ^ _ . +``.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |expected, at| Err(ParseError::new("media type", text, expected).at(at));
        let Some((kind, subtype)) = text.split_once('/') else {
            return refuse("a type, a slash and a subtype", 0);
        };
        for (part, start) in [(kind, 0), (subtype, kind.len() + 1)] {
            if part.is_empty() || part.len() > 127 {
                return refuse("1 to 127 characters on each side of the slash", start);
            }
            if !part.as_bytes()[0].is_ascii_alphanumeric() {
                return refuse("a letter or digit at the start", start);
            }
            if let Some(bad) = part.bytes().position(|b| !is_restricted_name(b)) {
                return refuse("letters, digits and `!#$&-^_.+` only", start + bad);
            }
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn is_restricted_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_lose_parameters_and_case() {
        for value in [
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.oci.image.index.v1+json; charset=utf-8",
            " Application/VND.oci.image.index.v1+JSON ;x=y",
        ] {
            assert_eq!(MediaType::from_header(value), Ok(MediaType::IMAGE_INDEX), "{value}");
        }
    }

    #[test]
    fn only_type_slash_subtype_parses() {
        for text in ["", "text", "/x", "x/", "a/b/c", "a b/c", "a/b c", "+a/b", "a/b;c=d", "a/ü"] {
            assert!(text.parse::<MediaType>().is_err(), "{text}");
        }
        assert!("text/plain".parse::<MediaType>().is_ok());
    }

    #[test]
    fn kinds_are_told_apart() {
        for (media_type, index, manifest) in [
            (MediaType::IMAGE_MANIFEST, false, true),
            (MediaType::DOCKER_MANIFEST, false, true),
            (MediaType::IMAGE_INDEX, true, true),
            (MediaType::DOCKER_INDEX, true, true),
            (MediaType::IMAGE_CONFIG, false, false),
        ] {
            assert_eq!((media_type.is_index(), media_type.is_manifest()), (index, manifest));
        }
    }
}
