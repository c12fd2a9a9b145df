//! Patterns of tags, as shells have them.

use std::fmt;
use std::str::FromStr;

use crate::model::{ParseError, Tag};

/// A pattern of tags: `*` is anything, `?` one character, `[…]` one of several.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(glob::Pattern);

impl Pattern {
    /// Says whether a tag matches one of them; of none, any tag does.
    pub(super) fn any(patterns: &[Self], tag: &Tag) -> bool {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.0.matches(tag.as_str()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for Pattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parsed = glob::Pattern::new(text);
        parsed.map(Self).map_err(|error| {
            ParseError::new("pattern of tags", text, "`*`, `?` and `[…]` among the characters of tags")
                .because(&error.msg)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_shells() {
        for (pattern, tag, matches) in [
            ("v1.*", "v1.2", true),
            ("v1.*", "v2.1", false),
            ("v?", "v1", true),
            ("v[12]", "v3", false),
            ("*", "x", true),
        ] {
            assert_eq!(pattern.parse::<Pattern>().expect(pattern).0.matches(tag), matches, "{pattern} {tag}");
        }
        assert!("v[".parse::<Pattern>().is_err());
    }
}
