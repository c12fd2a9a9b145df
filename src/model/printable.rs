//! Foreign text that shows what it is and does nothing.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes foreign text safe for one line of a terminal or a file: control characters, and those that turn the direction of
/// what is around them, are shown by their numbers.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !is_harmless(c))
}

/// The same for text of several lines: line ends and tabs stay.
pub(crate) fn block(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && !is_harmless(c))
}

/// Says whether a character only shows itself. All others include those that no XML document may have.
pub(crate) fn is_harmless(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    let is_none = matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}') || c as u32 & 0xfffe == 0xfffe;
    // Tags: invisible copies of ASCII.
    let hides = matches!(c, '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !turns && !is_none && !hides
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_the_text_is_shown_by_its_number() {
        for (text, in_line, in_block) in [
            ("plain, größer, 例", "plain, größer, 例", "plain, größer, 例"),
            ("a\nb\tc", "a\\u{a}b\\u{9}c", "a\nb\tc"),
            ("\x1b[2J\u{9b}31m", "\\u{1b}[2J\\u{9b}31m", "\\u{1b}[2J\\u{9b}31m"),
            ("x\u{202e}y\u{feff}", "x\\u{202e}y\\u{feff}", "x\\u{202e}y\\u{feff}"),
            ("\u{0}\u{fffe}\u{1ffff}", "\\u{0}\\u{fffe}\\u{1ffff}", "\\u{0}\\u{fffe}\\u{1ffff}"),
            ("\r\n", "\\u{d}\\u{a}", "\\u{d}\n"),
        ] {
            assert_eq!((line(text).as_ref(), block(text).as_ref()), (in_line, in_block), "{text:?}");
        }
    }
}
