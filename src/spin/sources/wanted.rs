//! What a manifest wants that is no file of the application.

use std::fmt;

use http::Uri;
use semver::VersionReq;

use super::super::dependency_name::PackageName;
use crate::model::{Digest, Reference, Registry, SafeUri, excerpt};

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
    /// What is published in an OCI registry by itself: the first layer of its manifest.
    Artifact {
        /// Where.
        reference: Reference,
    },
    /// The definition of an environment in Spin's catalogue.
    Environment {
        /// What it is called there. With an `@` it has a version, and does not change any more.
        name: String,
    },
    /// The definition of an environment elsewhere.
    Document {
        /// Where it is; `http` or `https`, without user information.
        url: Uri,
    },
}

impl Wanted {
    /// Returns where the definition of an environment is; `None` where something else is wanted.
    pub(super) fn definition(&self) -> Option<Uri> {
        match self {
            Self::Document { url } => Some(url.clone()),
            Self::Environment { name } => {
                let stem = name.split('@').next().unwrap_or_default();
                Some(format!("{CATALOGUE}/{stem}/{name}.toml").parse().expect("names of environments are plain"))
            }
            Self::Url { .. } | Self::Package { .. } | Self::Artifact { .. } => None,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, .. } => write!(f, "`{}`", SafeUri::from(url)),
            Self::Package { registry, package, version } => {
                write!(f, "the package `{package}` `{version}`")?;
                registry.as_ref().map_or(Ok(()), |registry| write!(f, " of `{registry}`"))
            }
            Self::Artifact { reference } => write!(f, "`{reference}`"),
            Self::Environment { name } => write!(f, "the environment `{}` of Spin's catalogue", excerpt(name)),
            Self::Document { url } => write!(f, "`{}`", SafeUri::from(url)),
        }
    }
}

/// Where Spin's catalogue of environments is: a file for each, `NAME/NAME[@VERSION].toml`.
const CATALOGUE: &str = "https://raw.githubusercontent.com/spinframework/spin-environments/main/envs";
