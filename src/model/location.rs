//! Locations: the command line's one grammar for "where".

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::ParseError;
use super::{Identifier, Reference, Tag};

/// Where a manifest is: in a registry, or in an OCI image layout directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `oci:PATH[:TAG]` or `oci:PATH@DIGEST`: an OCI image layout directory.
    Layout {
        /// The directory, as written.
        path: PathBuf,
        /// The manifest inside; `latest` where none is named.
        identifier: Identifier,
    },
    /// `[REGISTRY/]NAME[:TAG][@DIGEST]`: a repository of a registry.
    Registry(Reference),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout { path, identifier: Identifier::Tag(tag) } => write!(f, "oci:{}:{tag}", path.display()),
            Self::Layout { path, identifier: Identifier::Digest(digest) } => {
                write!(f, "oci:{}@{digest}", path.display())
            }
            Self::Registry(reference) => reference.fmt(f),
        }
    }
}

impl FromStr for Location {
    type Err = ParseError;

    /// Parses `oci:PATH[:TAG]`, `oci:PATH@DIGEST`, or a [`Reference`].
    ///
    /// The last colon of `oci:PATH:TAG` begins a tag only where a tag follows it, so that paths
    /// may have colons; a path that ends in what looks like a tag needs its tag written out.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let Some(rest) = text.strip_prefix("oci:") else {
            // A registry is printed in lower case: as a layout.
            if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("oci:")) {
                return Err(ParseError::new("location", text, "`oci:` in lower case").at(0));
            }
            return text.parse().map(Self::Registry);
        };
        let (path, identifier) = if let Some((path, digest)) = rest.rsplit_once('@') {
            (path, Identifier::Digest(digest.parse()?))
        } else {
            match rest.rsplit_once(':').map(|(path, tag)| (path, tag.parse::<Tag>())) {
                Some((path, Ok(tag))) => (path, Identifier::Tag(tag)),
                _ => (rest, Identifier::Tag(Tag::latest())),
            }
        };
        if path.is_empty() || path.contains('\0') {
            return Err(ParseError::new("location", text, "a path after `oci:`").at(4));
        }
        Ok(Self::Layout { path: path.into(), identifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_and_references_are_told_apart() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, printed) in [
            ("oci:out", "oci:out:latest"),
            ("oci:/tmp/x y:v1", "oci:/tmp/x y:v1"),
            ("oci:a:b/c", "oci:a:b/c:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("ada/app:v1", "docker.io/ada/app:v1"),
        ] {
            assert_eq!(text.parse::<Location>().expect(text).to_string(), printed);
        }
        let by_digest = format!("oci:out@{digest}");
        assert_eq!(by_digest.parse::<Location>().expect("a digest").to_string(), by_digest);
        for text in ["oci:", "OCI:1/a", "oCi:out", "oci::v1", "oci:x@sha256:0", "UPPER/case"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
