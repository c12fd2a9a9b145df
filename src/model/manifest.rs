//! Manifests: exact bytes, and a parsed view to look at (image-spec 1.1, manifest.md and image-index.md).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ParseError;
use super::{Annotations, Descriptor, Digest, MediaType, Platform};

/// A manifest: the bytes exactly as they are served, and what they say.
///
/// The bytes are the truth. The view is for reading; nothing ever prints it back.
#[derive(Clone, Debug)]
pub struct Manifest {
    descriptor: Descriptor,
    bytes: Bytes,
    view: View,
}

/// What the bytes of a [`Manifest`] say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// An image manifest, OCI's or Docker's.
    Image(Box<ImageManifest>),
    /// An image index or Docker's manifest list.
    Index(Box<ImageIndex>),
}

/// An image manifest; fields are written in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Free-form facts about the image.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, in order.
    pub layers: Vec<Descriptor>,
    /// The media type that the manifest gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// Always 2.
    pub schema_version: u32,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
}

/// An image index; fields are written in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Free-form facts about the index.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The children, in order.
    pub manifests: Vec<Descriptor>,
    /// The media type that the index gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// Always 2.
    pub schema_version: u32,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
}

impl Manifest {
    /// How large a manifest may be that we send: what registries must take (distribution-spec 1.1).
    pub const MAX_PUSH: u64 = 4 << 20;
    /// How large a manifest may be that we read, in bytes: twice what registries must take.
    pub const MAX_READ: u64 = 8 << 20;

    /// Parses `bytes` as served under `media_type` (the `Content-Type`, if there was one).
    ///
    /// # Errors
    ///
    /// Refuses JSON that is no manifest, a schema version other than 2, and a `mediaType` inside
    /// that disagrees with the one outside (the same bytes must not mean two things).
    pub fn parse(bytes: impl Into<Bytes>, media_type: Option<MediaType>) -> Result<Self, ParseError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        Self::parse_named(bytes, media_type, digest)
    }

    /// Parses like [`Manifest::parse`] bytes that are known by `digest`, which may be of any
    /// algorithm; the caller has checked it.
    ///
    /// # Errors
    ///
    /// As [`Manifest::parse`].
    pub fn parse_named(bytes: Bytes, media_type: Option<MediaType>, digest: Digest) -> Result<Self, ParseError> {
        let probe: Probe = serde_json::from_slice(&bytes).map_err(|error| malformed(&bytes, &error))?;
        if probe.schema_version != Some(2) {
            return Err(ParseError::new("manifest", &excerpt(&bytes), "`schemaVersion` 2"));
        }
        let outside = media_type.filter(MediaType::is_manifest);
        let media_type = match (outside, probe.media_type) {
            (Some(outside), Some(inside)) if outside != inside => {
                let expected = "the `mediaType` inside to equal the media type it is served with";
                return Err(ParseError::new("manifest", &format!("{inside} served as {outside}"), expected));
            }
            (Some(either), _) | (None, Some(either)) => either,
            (None, None) if probe.manifests.is_some() => MediaType::IMAGE_INDEX,
            (None, None) => MediaType::IMAGE_MANIFEST,
        };
        if !media_type.is_manifest() {
            return Err(ParseError::new(
                "manifest",
                media_type.as_str(),
                "the media type of an image manifest or index",
            ));
        }
        let view = if media_type.is_index() {
            serde_json::from_slice(&bytes).map(View::Index)
        } else {
            serde_json::from_slice(&bytes).map(View::Image)
        }
        .map_err(|error| malformed(&bytes, &error))?;
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        Ok(Self { descriptor, bytes, view })
    }

    /// Describes the manifest itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.descriptor.digest
    }

    /// Returns the exact bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns what the bytes say.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Returns the image manifest, if it is one.
    pub fn image(&self) -> Option<&ImageManifest> {
        match &self.view {
            View::Image(image) => Some(image),
            View::Index(_) => None,
        }
    }

    /// Returns the index, if it is one.
    pub fn index(&self) -> Option<&ImageIndex> {
        match &self.view {
            View::Image(_) => None,
            View::Index(index) => Some(index),
        }
    }

    /// Yields the blobs it needs: config and layers. An index has none.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.image().into_iter().flat_map(|image| std::iter::once(&image.config).chain(&image.layers))
    }

    /// Yields the manifests it needs: the children of an index.
    pub fn manifests(&self) -> impl Iterator<Item = &Descriptor> {
        self.index().into_iter().flat_map(|index| &index.manifests)
    }

    /// Returns the manifest it refers to, if any.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.view {
            View::Image(image) => image.subject.as_ref(),
            View::Index(index) => index.subject.as_ref(),
        }
    }

    /// Returns the annotations.
    pub fn annotations(&self) -> &Annotations {
        match &self.view {
            View::Image(image) => &image.annotations,
            View::Index(index) => &index.annotations,
        }
    }
}

impl ImageIndex {
    /// Returns the first child that serves `wanted`; a child without a platform serves nobody.
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        self.manifests.iter().find(|child| child.platform.as_ref().is_some_and(|platform| platform.serves(wanted)))
    }
}

/// What is needed to tell which of the two shapes the bytes have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: Option<u32>,
    media_type: Option<MediaType>,
    manifests: Option<serde::de::IgnoredAny>,
}

fn malformed(bytes: &[u8], error: &serde_json::Error) -> ParseError {
    ParseError::new("manifest", &excerpt(bytes), "the JSON of an image manifest or index").because(error)
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT)]).into_owned()
}

/// How many bytes of a broken manifest an error repeats.
const EXCERPT: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: &str = r#"{"mediaType":"text/plain","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    fn image(extra: &str) -> String {
        format!(r#"{{"schemaVersion":2,{extra}"config":{BLOB},"layers":[{BLOB},{BLOB}]}}"#)
    }

    #[test]
    fn bytes_are_kept_and_described() {
        let text = image("  ");
        let manifest = Manifest::parse(text.clone(), None).expect("an image manifest");
        assert_eq!(manifest.bytes(), text.as_bytes());
        assert_eq!(manifest.descriptor(), &Descriptor::of(MediaType::IMAGE_MANIFEST, text.as_bytes()));
        assert_eq!(manifest.blobs().count(), 3);
        assert_eq!(manifest.manifests().count(), 0);
    }

    #[test]
    fn kind_comes_from_outside_then_inside_then_shape() {
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{BLOB}]}}"#);
        let docker = image(r#""mediaType":"application/vnd.docker.distribution.manifest.v2+json","#);
        for (text, outside, kind) in [
            (image(""), None, MediaType::IMAGE_MANIFEST),
            (image(""), Some(MediaType::DOCKER_MANIFEST), MediaType::DOCKER_MANIFEST),
            (image(""), Some(MediaType::OCTET_STREAM), MediaType::IMAGE_MANIFEST),
            (docker, None, MediaType::DOCKER_MANIFEST),
            (index.clone(), None, MediaType::IMAGE_INDEX),
            (index, Some(MediaType::DOCKER_INDEX), MediaType::DOCKER_INDEX),
        ] {
            let manifest = Manifest::parse(text, outside).expect("a manifest");
            assert_eq!(manifest.descriptor().media_type, kind);
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let inside = image(r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#);
        for (text, outside, said) in [
            (String::new(), None, "EOF"),
            ("<html>".to_owned(), None, "expected value"),
            ("{}".to_owned(), None, "`schemaVersion` 2"),
            (r#"{"schemaVersion":1}"#.to_owned(), None, "`schemaVersion` 2"),
            (r#"{"schemaVersion":2}"#.to_owned(), None, "missing field `config`"),
            (image(r#""mediaType":"text/plain","#), None, "media type of an image manifest"),
            (inside, Some(MediaType::IMAGE_INDEX), "served as"),
        ] {
            let error = Manifest::parse(text, outside).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn platform_selects_a_child() {
        let child = |os: &str, size: u64| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{size},"platform":{{"architecture":"wasm","os":"{os}"}}}}"#,
                Digest::of(os.as_bytes())
            )
        };
        let text =
            format!(r#"{{"schemaVersion":2,"manifests":[{BLOB},{},{}]}}"#, child("linux", 1), child("wasip1", 2));
        let manifest = Manifest::parse(text, None).expect("an index");
        let index = manifest.index().expect("an index");
        assert_eq!(index.select(&Platform::new("wasip1", "wasm")).map(|d| d.size), Some(2));
        assert_eq!(index.select(&Platform::new("wasip2", "wasm")), None);
    }
}
