//! Locations: the command line's one grammar for "where".

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::ParseError;
use super::{Identifier, Reference, Tag};

/// Where a manifest is: in a registry, in an OCI image layout directory, or in an archive of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `oci-archive:FILE[:TAG]` or `oci-archive:FILE@DIGEST`: a tar archive of an OCI image layout.
    Archive {
        /// The file, as written.
        path: PathBuf,
        /// The manifest inside; `latest` where none is named.
        identifier: Identifier,
    },
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

impl Location {
    /// Returns what names the manifest there: the digest where there is one, else the tag.
    pub fn identifier(&self) -> Identifier {
        match self {
            Self::Archive { identifier, .. } | Self::Layout { identifier, .. } => identifier.clone(),
            Self::Registry(reference) => reference.identifier(),
        }
    }

    /// Returns the location of another manifest at the same place.
    #[must_use]
    pub fn with(&self, identifier: Identifier) -> Self {
        match self {
            Self::Archive { path, .. } => Self::Archive { path: path.clone(), identifier },
            Self::Layout { path, .. } => Self::Layout { path: path.clone(), identifier },
            Self::Registry(reference) => {
                let (tag, digest) = match identifier {
                    Identifier::Tag(tag) => (Some(tag), None),
                    Identifier::Digest(digest) => (None, Some(digest)),
                };
                Self::Registry(Reference::new(reference.registry().clone(), reference.name().clone(), tag, digest))
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, path, identifier) = match self {
            Self::Archive { path, identifier } => (ARCHIVE, path, identifier),
            Self::Layout { path, identifier } => (LAYOUT, path, identifier),
            Self::Registry(reference) => return reference.fmt(f),
        };
        match identifier {
            Identifier::Tag(tag) => write!(f, "{scheme}{}:{tag}", path.display()),
            Identifier::Digest(digest) => write!(f, "{scheme}{}@{digest}", path.display()),
        }
    }
}

impl FromStr for Location {
    type Err = ParseError;

    /// Parses `oci:PATH[:TAG]`, `oci:PATH@DIGEST`, the same with `oci-archive:`, or a [`Reference`].
    ///
    /// The last colon of `oci:PATH:TAG` begins a tag only where a tag follows it, so that paths
    /// may have colons; a path that ends in what looks like a tag needs its tag written out.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let Some(scheme) = [LAYOUT, ARCHIVE].into_iter().find(|scheme| text.starts_with(scheme)) else {
            // A registry is printed in lower case: as a layout.
            for (scheme, expected) in [(LAYOUT, "`oci:` in lower case"), (ARCHIVE, "`oci-archive:` in lower case")] {
                if text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
                    return Err(ParseError::new("location", text, expected).at(0));
                }
            }
            return text.parse().map(Self::Registry);
        };
        let rest = &text[scheme.len()..];
        let (path, identifier) = if let Some((path, digest)) = rest.rsplit_once('@') {
            (path, Identifier::Digest(digest.parse()?))
        } else {
            match rest.rsplit_once(':').map(|(path, tag)| (path, tag.parse::<Tag>())) {
                Some((path, Ok(tag))) => (path, Identifier::Tag(tag)),
                _ => (rest, Identifier::Tag(Tag::latest())),
            }
        };
        if path.is_empty() || path.contains('\0') {
            let expected = if scheme == LAYOUT { "a path after `oci:`" } else { "a path after `oci-archive:`" };
            return Err(ParseError::new("location", text, expected).at(scheme.len()));
        }
        let path = path.into();
        Ok(if scheme == LAYOUT { Self::Layout { path, identifier } } else { Self::Archive { path, identifier } })
    }
}

const LAYOUT: &str = "oci:";
const ARCHIVE: &str = "oci-archive:";

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
            ("oci-archive:out.tar", "oci-archive:out.tar:latest"),
            ("oci-archive:a/out.tar:v1", "oci-archive:a/out.tar:v1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("ada/app:v1", "docker.io/ada/app:v1"),
        ] {
            assert_eq!(text.parse::<Location>().expect(text).to_string(), printed);
        }
        for place in ["oci:out", "oci-archive:out.tar", "r.example/a"] {
            let by_digest = format!("{place}@{digest}");
            let location: Location = by_digest.parse().expect("a digest");
            assert_eq!(location.to_string(), by_digest);
            assert_eq!(location.with(Identifier::Tag(Tag::latest())).to_string(), format!("{place}:latest"));
        }
        for text in [
            "oci:",
            "OCI:1/a",
            "oCi:out",
            "oci::v1",
            "oci:x@sha256:0",
            "UPPER/case",
            "oci-archive:",
            "OCI-Archive:a.tar",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
