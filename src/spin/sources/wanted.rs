//! What a manifest wants that is no file of the application.

use std::fmt;

use http::Uri;
use semver::VersionReq;

use super::super::dependency_name::PackageName;
use crate::model::{Digest, Registry, SafeUri};

/// WebAssembly that has to be obtained from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wanted {
    /// A download.
    Url {
        /// Where it is; `http` or `https`, without user information.
        url: Uri,
        /// What it has to be: a digest of SHA-256.
        digest: Digest,
    },
    /// A package.
    Package {
        /// The registry; without one, that which the user's configuration says.
        registry: Option<Registry>,
        /// Its name.
        package: PackageName,
        /// Which versions will do.
        version: VersionReq,
    },
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, .. } => write!(f, "`{}`", SafeUri::from(url)),
            Self::Package { registry, package, version } => {
                write!(f, "the package `{package}` `{version}`")?;
                registry.as_ref().map_or(Ok(()), |registry| write!(f, " of `{registry}`"))
            }
        }
    }
}
