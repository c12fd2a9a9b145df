//! Orders of tags.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

use crate::model::Tag;

/// Orders by the bytes.
pub(super) fn by_name(a: &Tag, b: &Tag) -> Ordering {
    a.as_str().cmp(b.as_str())
}

/// Puts the highest version first, and what is no version after all versions.
pub(super) fn by_version(a: &Tag, b: &Tag) -> Ordering {
    match (version(a.as_str()), version(b.as_str())) {
        (Some(a_version), Some(b_version)) => b_version.cmp(&a_version).then_with(|| by_name(a, b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => by_name(a, b),
    }
}

/// Reads a version as people write it into tags: with a `v` before it, and without the numbers that are zero.
fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let (numbers, rest) = text.split_once('-').map_or((text, ""), |(numbers, rest)| (numbers, rest));
    let numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
    let (major, minor, patch) = match numbers[..] {
        [major] => (major, 0, 0),
        [major, minor] => (major, minor, 0),
        [major, minor, patch] => (major, minor, patch),
        _ => return None,
    };
    // A tag has no `+`: what is written instead of it cannot be told from a word of a pre-release.
    Some(Version { major, minor, patch, pre: Prerelease::new(rest).ok()?, build: BuildMetadata::EMPTY })
}

/// Reads digits; `u64` by itself would also take a `+`.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(tags: &[&str], order: fn(&Tag, &Tag) -> Ordering) -> Vec<String> {
        let mut tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().expect(tag)).collect();
        tags.sort_by(order);
        tags.iter().map(Tag::to_string).collect()
    }

    #[test]
    fn the_highest_version_comes_first() {
        let tags =
            ["latest", "v1.9.0", "1.10", "v2-rc.1", "v1.10.1", "V2", "2.0.0", "main", "1.10.0-beta", "1.2.3.4", "01.2"];
        let expected =
            ["2.0.0", "V2", "v2-rc.1", "v1.10.1", "1.10", "1.10.0-beta", "v1.9.0", "01.2", "1.2.3.4", "latest", "main"];
        assert_eq!(sorted(&tags, by_version), expected);
    }

    #[test]
    fn what_only_looks_like_a_version_is_none() {
        for text in
            ["", "v", "latest", "1.2.3.4", "1..2", "v1.x", "99999999999999999999", "sha256-abc", "1.2-rc..1", "+1"]
        {
            assert_eq!(version(text), None, "{text}");
        }
        for (text, expected) in
            [("v1", "1.0.0"), ("1.2", "1.2.0"), ("1.2-rc.1", "1.2.0-rc.1"), ("2024-01-02", "2024.0.0-01-02")]
        {
            assert_eq!(version(text).map(|version| version.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn names_are_ordered_by_their_bytes() {
        assert_eq!(sorted(&["b", "a10", "B", "a9"], by_name), ["B", "a10", "a9", "b"]);
    }
}
