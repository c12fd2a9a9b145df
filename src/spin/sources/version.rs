//! Which version of a package is taken: pure, so that a table can test it.

use semver::{Op, Version, VersionReq};

use crate::model::Tag;

/// Returns the one version that a requirement allows, where it is written with `=` and in full. What follows a `+` does
/// not count (semver 2.0.0, item 10), and a tag cannot have it.
pub(super) fn exact(requirement: &VersionReq) -> Option<Version> {
    match requirement.comparators.as_slice() {
        [only] if only.op == Op::Exact => {
            let mut version = Version::new(only.major, only.minor?, only.patch?);
            version.pre = only.pre.clone();
            Some(version)
        }
        _ => None,
    }
}

/// Returns the newest version that a requirement allows: a pre-release only where the requirement names one of the same
/// version.
pub(super) fn newest<'v>(
    requirement: &VersionReq,
    versions: impl IntoIterator<Item = &'v Version>,
) -> Option<&'v Version> {
    versions.into_iter().filter(|version| requirement.matches(version)).max()
}

/// Reads tags as versions. What is none, such as `latest`, is no version.
pub(super) fn of_tags(tags: &[Tag]) -> Vec<Version> {
    tags.iter().filter_map(|tag| tag.as_str().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(text: &str) -> VersionReq {
        text.parse().expect(text)
    }

    #[test]
    fn the_newest_version_that_fits_is_taken() {
        let tags = [
            "latest",
            "v3.0.0",
            "1",
            "1.2",
            "0.3.1",
            "0.3.9",
            "0.4.0",
            "1.2.3",
            "1.10.0",
            "1.9.0",
            "2.0.0-rc.1",
            "2.0.0-rc.2",
            "3.0.0-alpha",
            "01.2.3",
            "1.2.3_b",
        ];
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().expect(tag)).collect();
        let versions = of_tags(&tags);
        assert_eq!(versions.len(), 9, "{versions:?}");
        for (text, expected) in [
            ("1", Some("1.10.0")),
            ("^1.2", Some("1.10.0")),
            ("1.9", Some("1.10.0")),
            ("~1.9", Some("1.9.0")),
            (">=1.2, <1.10", Some("1.9.0")),
            ("0.3", Some("0.3.9")),
            ("=1.2.3", Some("1.2.3")),
            ("=1.2", Some("1.2.3")),
            ("*", Some("1.10.0")),
            // Pre-releases are for those who ask for them, version by version.
            ("2", None),
            (">=1.11", None),
            ("2.0.0-rc.1", Some("2.0.0-rc.2")),
            ("=2.0.0-rc.1", Some("2.0.0-rc.1")),
            (">=2.0.0-rc.1", Some("2.0.0-rc.2")),
            ("3.0.0-0", Some("3.0.0-alpha")),
            ("=1.2.4", None),
            ("9", None),
        ] {
            let found = newest(&requirement(text), &versions).map(Version::to_string);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn one_version_is_told_from_several() {
        for (text, expected) in [
            ("=1.2.3", Some("1.2.3")),
            ("=1.2.3-rc.1", Some("1.2.3-rc.1")),
            ("=1.2.3+build", Some("1.2.3")),
            ("= 1.2.3", Some("1.2.3")),
            ("1.2.3", None),
            ("^1.2.3", None),
            ("=1.2", None),
            ("=1", None),
            ("=1.2.3, <2", None),
            ("*", None),
        ] {
            assert_eq!(exact(&requirement(text)).map(|version| version.to_string()).as_deref(), expected, "{text}");
        }
    }
}
