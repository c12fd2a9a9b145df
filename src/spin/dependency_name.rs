//! What imports are called: the names of packages, interfaces and plain imports.

use std::fmt;
use std::str::FromStr;

use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::id::Style;
use crate::model::ParseError;

/// The name of a package: `namespace:name`, both in kebab-case without capitals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName {
    namespace: String,
    name: String,
}

impl PackageName {
    /// What is expected of a name.
    pub(super) const EXPECTED: &str = "`namespace:name`, both of small letters, digits and `-`";

    /// Returns the part before the colon.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the part behind the colon.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for PackageName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once(':') {
            Some((namespace, name)) if [namespace, name].iter().all(|part| Style::LowerKebab.accepts(part)) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(ParseError::new("package", text, Self::EXPECTED)),
        }
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}

/// What a dependency of a component satisfies: the imports that have this name.
///
/// Written `plain-name`, or `namespace:name[/interface][@version]`. Plain names come before packages, and of one package
/// those without a version or an interface first: the order in which Spin writes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DependencyName {
    /// An import with a plain name.
    Plain(String),
    /// The imports from a package, or from one interface of it.
    Package {
        /// The package.
        package: PackageName,
        /// Its version; any where absent.
        version: Option<Version>,
        /// The interface; all of the package where absent.
        interface: Option<String>,
    },
}

impl FromStr for DependencyName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::new("dependency", text, Self::EXPECTED);
        if !text.contains([':', '/']) {
            return match Style::Kebab.accepts(text) {
                true => Ok(Self::Plain(text.to_owned())),
                false => Err(refuse()),
            };
        }
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => {
                let parsed = version.parse::<Version>();
                (name, Some(parsed.map_err(|error| refuse().because(&error))?))
            }
            None => (text, None),
        };
        let (package, interface) = match name.split_once('/') {
            Some((package, interface)) if Style::Kebab.accepts(interface) => (package, Some(interface.to_owned())),
            Some(_) => return Err(refuse()),
            None => (name, None),
        };
        let package = package.parse().map_err(|_| refuse())?;
        Ok(Self::Package { package, version, interface })
    }
}

impl DependencyName {
    /// What is expected of a name.
    pub(super) const EXPECTED: &str =
        "a plain name in kebab-case, or `namespace:name[/interface][@version]` with a whole version such as `1.0.0`";

    /// Returns the package, where it is one.
    pub fn package(&self) -> Option<&PackageName> {
        match self {
            Self::Plain(_) => None,
            Self::Package { package, .. } => Some(package),
        }
    }

    /// Says whether one import may have both names.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Package { package, version, interface },
                Self::Package { package: other, version: other_version, interface: other_interface },
            ) => {
                let versions_apart = match (version, other_version) {
                    (Some(one), Some(other)) => compatible(one) != compatible(other),
                    _ => false,
                };
                let interfaces_apart = match (interface, other_interface) {
                    (Some(one), Some(other)) => one != other,
                    _ => false,
                };
                package == other && !versions_apart && !interfaces_apart
            }
            (one, other) => one == other,
        }
    }
}

/// Returns what is the same for all versions that can stand for each other.
fn compatible(version: &Version) -> Version {
    let mut class = Version::new(version.major, version.minor, version.patch);
    if !version.pre.is_empty() {
        class.pre = version.pre.clone();
    } else if class.major > 0 {
        (class.minor, class.patch) = (0, 0);
    } else if class.minor > 0 {
        class.patch = 0;
    }
    class
}

impl fmt::Display for DependencyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(name) => f.write_str(name),
            Self::Package { package, version, interface } => {
                package.fmt(f)?;
                if let Some(interface) = interface {
                    write!(f, "/{interface}")?;
                }
                match version {
                    Some(version) => write!(f, "@{version}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Serialize for DependencyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DependencyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DependencyName {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn names_print_as_they_are_written() {
        for text in ["plain", "two-words", "a:b", "a:b/c", "a:b@1.0.0", "a-a:b-b/c-D@0.1.0-rc.1+x"] {
            assert_eq!(name(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "snake_case",
            "a:",
            ":b",
            "a:b/",
            "a:B",
            "a/b",
            "a:b:c",
            "a:b/c/d",
            "a:b@1",
            "a:b@",
            "a@1.0.0",
            "a:b@1.0.0@2.0.0",
            "../a:b",
            "a:b/c@01.0.0",
        ] {
            let error = text.parse::<DependencyName>().expect_err(text).to_string();
            assert!(error.contains("namespace:name"), "{error}");
        }
    }

    #[test]
    fn names_are_sorted_as_spin_sorts_them() {
        let sorted = ["a", "z", "a:a", "a:b", "a:b/c", "a:b@1.0.0", "a:b/c@1.0.0", "a:b/a@2.0.0", "b:a"];
        let mut names: Vec<DependencyName> = sorted.iter().rev().map(|text| name(text)).collect();
        names.sort();
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn names_overlap_unless_version_or_interface_differ() {
        for (one, other, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "a:a", false),
            ("a:b", "a:c", false),
            ("a:b", "a:b/c", true),
            ("a:b/c", "a:b/d", false),
            ("a:b@1.0.0", "a:b@1.2.3", true),
            ("a:b@1.0.0", "a:b@2.0.0", false),
            ("a:b@1.0.0", "a:b", true),
            ("a:b@0.1.0", "a:b@0.1.9", true),
            ("a:b@0.1.0", "a:b@0.2.0", false),
            ("a:b@0.0.1", "a:b@0.0.2", false),
            ("a:b@1.0.0-rc.1", "a:b@1.0.0-rc.2", false),
            ("a:b@1.0.0+x", "a:b@1.0.0+y", true),
            ("a:b/c@1.0.0", "a:b/d@1.0.0", false),
            ("a:b/c@1.0.0", "a:b/c@1.1.0", true),
        ] {
            assert_eq!(name(one).overlaps(&name(other)), expected, "{one} {other}");
            assert_eq!(name(other).overlaps(&name(one)), expected, "{other} {one}");
        }
    }
}
