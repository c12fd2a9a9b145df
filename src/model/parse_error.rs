//! The one error of the parsers on this floor, and the bounded printing of foreign text.

use std::fmt;

/// Text that does not parse: what it should have been, what it is, and where it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{}` {}expects {expected}{}", excerpt(input), column(input, *position), because.as_deref().map(|b| format!(": {b}")).unwrap_or_default())]
pub struct ParseError {
    what: &'static str,
    input: String,
    position: Option<usize>,
    expected: &'static str,
    because: Option<String>,
}

impl ParseError {
    /// Says that `input` is no `what`, because it should have had `expected`.
    pub fn new(what: &'static str, input: &str, expected: &'static str) -> Self {
        Self { what, input: input.to_owned(), position: None, expected, because: None }
    }

    /// Adds the byte offset at which the text goes wrong.
    #[must_use]
    pub fn at(self, position: usize) -> Self {
        Self { position: Some(position), ..self }
    }

    /// Adds what the parser underneath said.
    #[must_use]
    pub fn because(self, reason: &dyn fmt::Display) -> Self {
        Self { because: Some(reason.to_string()), ..self }
    }

    /// Says the same about a larger text, of which this one begins at `start`.
    #[must_use]
    pub fn within(self, what: &'static str, input: &str, start: usize) -> Self {
        let position = Some(start + self.position.unwrap_or_default());
        Self { what, input: input.to_owned(), position, ..self }
    }

    /// Returns what the text should have been, such as `digest`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Returns the text.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Returns the byte offset at which it goes wrong, if that is one place.
    pub fn position(&self) -> Option<usize> {
        self.position
    }

    /// Returns what was expected.
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

fn column(input: &str, position: Option<usize>) -> String {
    let Some(position) = position.filter(|position| *position <= input.len()) else { return String::new() };
    let before = input.as_bytes()[..position].utf8_chunks().map(|chunk| chunk.valid().chars().count()).sum::<usize>();
    format!("at character {} ", before + 1)
}

/// Cuts text to what fits an error message, on a character boundary, control characters replaced.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(EXCERPT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(EXCERPT).is_some() {
        short.push('…');
    }
    short
}

/// How many characters of foreign text an error repeats.
const EXCERPT: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_bounded() {
        let error = ParseError::new("digest", &"x".repeat(100_000), "less");
        assert!(error.to_string().len() < 1_000);
    }
}
