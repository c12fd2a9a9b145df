//! The words of the official suite: statuses, APIs and data sets.

use std::fmt;

/// What the official suite says of an API or a data set. A status only ever rises, in the order below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Status {
    /// Nothing was asked; absent in `results.yaml`.
    #[default]
    Unknown,
    /// Switched off by the settings.
    Disabled,
    /// The registry does without it, as the specification allows.
    Skip,
    /// Held.
    Pass,
    /// Broken.
    Fail,
    /// Could not be judged: no answer, or none that can be read.
    Error,
}

impl Status {
    /// All of them, in their order.
    pub const ALL: &'static [Self] = &[Self::Unknown, Self::Disabled, Self::Skip, Self::Pass, Self::Fail, Self::Error];

    /// The word as `results.yaml` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Disabled => "Disabled",
            Self::Skip => "Skip",
            Self::Pass => "Pass",
            Self::Fail => "FAIL",
            Self::Error => "Error",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Declares an enum of labels with `ALL`, `label` and `Display`.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each variant is its label")]
        pub enum $name { $($variant,)* }

        impl $name {
            /// All of them, in the order of the reports.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The key in `results.yaml`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.label())
            }
        }
    };
}

labels! {
    /// An API of a registry, as the official suite divides them.
    Api {
        Ping = "Ping",
        TagListing = "Tag listing",
        TagDelete = "Tag delete",
        TagDeleteAtomic = "Tag delete atomic",
        BlobPush = "Blob push",
        BlobPostOnly = "Blob post only",
        BlobPostPut = "Blob post put",
        BlobChunked = "Blob chunked",
        BlobStreaming = "Blob streaming",
        BlobMount = "Blob mount",
        BlobAnonymousMount = "Blob anonymous mount",
        BlobUploadCancel = "Blob upload cancel",
        BlobGet = "Blob get",
        BlobGetRange = "Blob get range",
        BlobHead = "Blob head",
        BlobDelete = "Blob delete",
        BlobDeleteAtomic = "Blob delete atomic",
        ManifestPutByDigest = "Manifest put by digest",
        ManifestPutByTag = "Manifest put by tag",
        ManifestPutWithSubject = "Manifest put with subject",
        ManifestPutWithTagParams = "Manifest put with tag params",
        ManifestGetByDigest = "Manifest get by digest",
        ManifestGetByTag = "Manifest get by tag",
        ManifestHeadByDigest = "Manifest head by digest",
        ManifestHeadByTag = "Manifest head by tag",
        ManifestDelete = "Manifest delete",
        ManifestDeleteAtomic = "Manifest delete atomic",
        Referrers = "Referrers",
    }
}

labels! {
    /// A set of content that the official suite pushes, lists, pulls and deletes.
    DataSet {
        BlobsSha256 = "Blobs sha256",
        BlobsSha512 = "Blobs sha512",
        Image = "Image",
        ImageUncompressed = "Image Uncompressed",
        LargeManifest = "Image with Large Manifest",
        Index = "Index",
        NestedIndex = "Nested Index",
        EmptyIndex = "Empty Index",
        Artifact = "Artifact",
        ArtifactIndex = "Artifact Index",
        ArtifactWithoutLayers = "Artifact without Layers",
        ArtifactsWithSubject = "Artifacts with Subject",
        IndexWithSubject = "Index with Subject",
        MissingSubject = "Missing Subject",
        DataField = "Data Field",
        Nondistributable = "Non-distributable Layers",
        CustomFields = "Custom Fields",
        NoLayers = "No Layers",
        Sparse = "Sparse Manifests",
        Sha512 = "Digest Algorithm sha512",
        TagParam = "Tag Param",
        TagParamSha512 = "Tag Param sha512",
        BadDigestImage = "Bad Digest Image",
        InvalidManifestDigest = "Invalid Manifest Digest",
        ReadOnlyInputs = "Read Only Inputs",
    }
}

#[cfg(test)]
mod tests {
    use super::{Api, DataSet, Status};

    #[test]
    fn a_status_only_rises() {
        use Status::{Disabled, Error, Fail, Pass, Skip, Unknown};
        assert!([Unknown, Disabled, Skip, Pass, Fail, Error].is_sorted());
    }

    #[test]
    fn there_are_as_many_as_in_the_official_suite() {
        assert_eq!(Api::ALL.len(), 28);
        // One more appears in read-only runs alone.
        assert_eq!(DataSet::ALL.len(), 24 + 1);
    }
}
