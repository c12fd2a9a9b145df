//! What could not be obtained, for whom, and why.

use std::fmt;
use std::path::PathBuf;

use semver::Version;

use super::super::error::Position;
use super::obtain::MAX_SOURCE;
use super::{Misplaced, Storage, Wanted};
use crate::error::Error;
use crate::model::{Digest, ParseError, excerpt};

/// WebAssembly that could not be obtained.
#[derive(Debug)]
pub struct Unobtained {
    /// The manifest.
    pub file: PathBuf,
    /// The place in it.
    pub at: Position,
    /// What wants it.
    pub wanter: Wanter,
    /// What is wanted.
    pub wanted: Wanted,
    /// The repository of a package, as far as that is known.
    pub storage: Option<Storage>,
    /// Why it cannot be had.
    pub why: Why,
}

/// What is made of something that has to be obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanter {
    /// A component.
    Component(String),
    /// A dependency of a component.
    Dependency {
        /// What the manifest calls it.
        dependency: String,
        /// The component.
        component: String,
    },
    /// An entry of `targets`.
    Target(String),
}

impl fmt::Display for Wanter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(component) => write!(f, "the component `{}`", excerpt(component)),
            Self::Dependency { dependency, component } => {
                write!(f, "the dependency `{}` of the component `{}`", excerpt(dependency), excerpt(component))
            }
            Self::Target(target) => write!(f, "the target `{}`", excerpt(target)),
        }
    }
}

/// Why something could not be obtained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// Nothing was given that could.
    #[error("nothing is there that could fetch it, and no cache to keep it in")]
    NoWay,
    /// It may not be asked for, and is not here; neither are these.
    #[error("it is not in the cache{}", neither(.also))]
    Offline {
        /// What else is missing for this application.
        also: Vec<Wanted>,
    },
    /// Something else is there.
    #[error(transparent)]
    Digest(#[from] Box<Differing>),
    /// It has no end, or is none of what components are.
    #[error("it is larger than {} MiB, and no component is", MAX_SOURCE >> 20)]
    TooLarge,
    /// It is too long for a definition of an environment.
    #[error("it is longer than 1 MiB, and no definition of an environment is")]
    TooLong,
    /// What came is no TOML.
    #[error("what is there is no definition of an environment")]
    NoDefinition,
    /// Nobody knows where it is.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// The registry's own description makes no sense.
    #[error("its registry describes itself by something else than it should: {0}")]
    Metadata(#[from] ParseError),
    /// No version fits.
    #[error("`{place}` has no such version{}", has(.known))]
    NoVersion {
        /// The repository, or the directory.
        place: String,
        /// Which versions there are, the newest first.
        known: Vec<Version>,
    },
    /// What has the version as its tag is no package.
    #[error("`{place}` is no package: {found}")]
    NoPackage {
        /// The reference.
        place: String,
        /// What it is.
        found: &'static str,
    },
    /// It could not be moved.
    #[error(transparent)]
    Transfer(#[from] Error),
}

/// Content of another digest than was wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is there has the digest `{actual}`, and not `{expected}`")]
pub struct Differing {
    /// What the manifest says.
    pub expected: Digest,
    /// What came.
    pub actual: Digest,
}

impl fmt::Display for Unobtained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} wants {}: ", self.file.display(), self.at, self.wanter, self.wanted)?;
        match (&self.wanted, &self.why) {
            // Not every server is a registry.
            (
                Wanted::Url { .. } | Wanted::Document { .. } | Wanted::Environment { .. },
                Why::Transfer(Error::Refused(refused)),
            ) => {
                write!(f, "the server answered {} ({})", refused.status, refused.request)
            }
            (_, why) => why.fmt(f),
        }
    }
}

impl std::error::Error for Unobtained {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The reason itself is said already.
        std::error::Error::source(&self.why)
    }
}

fn neither(also: &[Wanted]) -> String {
    also.iter().map(|wanted| format!(", and neither is {wanted}")).collect()
}

fn has(known: &[Version]) -> String {
    if known.is_empty() {
        return ": it has none at all".to_owned();
    }
    let shown: Vec<_> = known.iter().take(MOST_VERSIONS).map(|version| format!("`{version}`")).collect();
    let more = known.len().saturating_sub(MOST_VERSIONS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; it has {}{more}", shown.join(", "))
}

/// How many versions are named: the newest ones are what people look for.
const MOST_VERSIONS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let url = |url: &str| Wanted::Url { url: url.parse().expect(url), digest: Digest::of(b"") };
        let package = Wanted::Package {
            registry: Some("r.example".parse().expect("a registry")),
            package: "a:b".parse().expect("a name"),
            version: "^1.2".parse().expect("a requirement"),
        };
        let why = Why::Offline { also: vec![package] };
        let mut unobtained = Unobtained {
            file: "spin.toml".into(),
            at: Position { line: 3, column: 10 },
            wanter: Wanter::Dependency { dependency: "a:b/c".to_owned(), component: "site".to_owned() },
            wanted: url("https://x.example/a.wasm?token=secret"),
            storage: None,
            why,
        };
        let expected = "spin.toml:3:10: the dependency `a:b/c` of the component `site` wants \
                        `https://x.example/a.wasm?token=…`: it is not in the cache, and neither is the package `a:b` \
                        `^1.2` of `r.example`";
        assert_eq!(unobtained.to_string(), expected);
        unobtained.wanter = Wanter::Component("site".to_owned());
        for (known, expected) in [
            (0, "`r/a` has no such version: it has none at all"),
            (2, "`r/a` has no such version; it has `0.0.0`, `1.0.0`"),
            (9, "`6.0.0`, `7.0.0` and 1 more"),
        ] {
            let known = (0..known).map(|major| Version::new(major, 0, 0)).collect();
            unobtained.why = Why::NoVersion { place: "r/a".to_owned(), known };
            let said = unobtained.to_string();
            assert!(
                said.starts_with("spin.toml:3:10: the component `site` wants ") && said.ends_with(expected),
                "{said}"
            );
        }
    }
}
