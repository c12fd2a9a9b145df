//! Identifiers: kebab-case and snake_case as the component model means them.

/// How the words of an identifier are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `two-words`: component ids.
    Kebab,
    /// `two_words`: labels of stores, besides kebab-case.
    Snake,
    /// `two_words`, without capitals: variables.
    LowerSnake,
    /// `two-words`, without capitals: namespaces and names of packages.
    LowerKebab,
}

impl Style {
    /// Says what is expected of an identifier in this style.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Kebab => {
                "kebab-case: words of letters and digits, each small or in capitals and beginning with a letter, joined by `-`"
            }
            Self::Snake => {
                "snake_case: words of letters and digits, each small or in capitals and beginning with a letter, joined by `_`"
            }
            Self::LowerKebab => {
                "kebab-case: words of small letters and digits, each beginning with a letter, joined by `-`"
            }
            Self::LowerSnake => {
                "snake_case: words of small letters and digits, each beginning with a letter, joined by `_`"
            }
        }
    }

    /// Says whether `text` is an identifier in this style.
    pub(super) fn accepts(self, text: &str) -> bool {
        let delimiter = if matches!(self, Self::Kebab | Self::LowerKebab) { '-' } else { '_' };
        text.split(delimiter).all(|word| self.accepts_word(word))
    }

    /// Returns the identifier in this style that was probably meant: other characters between the words, other capitals.
    pub(super) fn nearest(self, text: &str) -> Option<String> {
        let delimiter = if matches!(self, Self::Kebab | Self::LowerKebab) { '-' } else { '_' };
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let meant = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join(&delimiter.to_string());
        (text.is_ascii() && text != meant && self.accepts(&meant)).then_some(meant)
    }

    fn accepts_word(self, word: &str) -> bool {
        // One word is all small or all capital; words may differ.
        let small = !word.bytes().any(|byte| byte.is_ascii_uppercase());
        let capital = !word.bytes().any(|byte| byte.is_ascii_lowercase());
        word.starts_with(|first: char| first.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && (small || (capital && !matches!(self, Self::LowerSnake | Self::LowerKebab)))
    }
}

/// Repairs a component id of version 1, where anything was allowed, as Spin does; what cannot be repaired is returned
/// as it is.
pub(super) fn repair(id: &str) -> String {
    if Style::Kebab.accepts(id) {
        return id.to_owned();
    }
    let repaired = id.replace('_', "-").to_lowercase();
    if Style::Kebab.accepts(&repaired) { repaired } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        for (text, kebab, lower) in [
            ("my_web", Some("my-web"), None),
            ("my-web", None, Some("my_web")),
            ("MyWeb", Some("myweb"), Some("myweb")),
            ("API KEY", Some("api-key"), Some("api_key")),
            ("_a__b_", Some("a-b"), Some("a_b")),
            ("1a", None, None),
            ("b\u{fc}cher", None, None),
            ("", None, None),
            ("--", None, None),
        ] {
            assert_eq!(Style::Kebab.nearest(text).as_deref(), kebab, "{text}");
            assert_eq!(Style::LowerSnake.nearest(text).as_deref(), lower, "{text}");
        }
    }

    #[test]
    fn styles_accept_their_own() {
        for (text, kebab, snake, lower) in [
            ("a", true, true, true),
            ("abc1", true, true, true),
            ("ABC", true, true, false),
            ("two-words", true, false, false),
            ("two_words", false, true, true),
            ("mixed-CASE-words", true, false, false),
            ("mixed_CASE_words", false, true, false),
            ("mixedCase", false, false, false),
            ("", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("a--b", false, false, false),
            ("a_", false, false, false),
            ("a__b", false, false, false),
            ("1a", false, false, false),
            ("a-1", false, false, false),
            ("a_1", false, false, false),
            ("a-b_c", false, false, false),
            ("a b", false, false, false),
            ("ü", false, false, false),
            ("../a", false, false, false),
        ] {
            assert_eq!(Style::Kebab.accepts(text), kebab, "{text}");
            assert_eq!(Style::Snake.accepts(text), snake, "{text}");
            assert_eq!(Style::LowerSnake.accepts(text), lower, "{text}");
            let without_capitals = kebab && text.to_ascii_lowercase() == text;
            assert_eq!(Style::LowerKebab.accepts(text), without_capitals, "{text}");
        }
    }

    #[test]
    fn old_ids_are_repaired() {
        for (id, expected) in [
            ("two-words", "two-words"),
            ("TWO-words", "TWO-words"),
            ("two_words", "two-words"),
            ("mixedCase", "mixedcase"),
            ("Mixed_Case", "mixed-case"),
            ("a.b", "a.b"),
            ("_a", "_a"),
            ("1a", "1a"),
        ] {
            assert_eq!(repair(id), expected);
        }
    }
}
