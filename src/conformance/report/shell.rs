//! Words for a POSIX shell.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::model::printable::is_harmless;

/// Quotes a text so that a shell takes it for one word, and a terminal shows nothing else than it is.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    if !text.chars().all(is_harmless) {
        // Line ends at the very end would be dropped; neither a URL nor a header has any.
        return Cow::Owned(format!("\"$(printf '{}')\"", escapes(text)));
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        if c == '\'' { out.push_str("'\\''") } else { out.push(c) }
    }
    out.push('\'');
    Cow::Owned(out)
}

/// Writes a text as a format of `printf` in single quotes, every byte of it harmless.
pub(super) fn escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'%' => out.push_str("%%"),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            // A quote would end the format, and a dash in front be an option; an octal number says the same.
            b' '..=b'~' if byte != b'\'' && (byte != b'-' || at > 0) => out.push(char::from(byte)),
            other => {
                let _ = write!(out, "\\{other:03o}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_one_word() {
        for (text, expected) in [
            ("https://r.example:5000/v2/a/tags/list", "https://r.example:5000/v2/a/tags/list"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(id) `id` \"x\"", "'$(id) `id` \"x\"'"),
            ("it's", "'it'\\''s'"),
            ("{\n}", "\"$(printf '{\\n}')\""),
            ("größe", "'größe'"),
            ("a\x1b[2J%'\\", "\"$(printf 'a\\033[2J%%\\047\\\\')\""),
            ("\u{202e}", "\"$(printf '\\342\\200\\256')\""),
            ("-\x07-", "\"$(printf '\\055\\007-')\""),
            ("*", "'*'"),
            ("~", "'~'"),
            ("!x", "'!x'"),
        ] {
            assert_eq!(quoted(text), expected, "{text:?}");
        }
    }
}
