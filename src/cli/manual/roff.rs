//! A page as `man` reads it (man(7)).

use std::fmt::Write as _;

use super::page::Page;

/// Writes the page of one command.
pub(in crate::cli) fn roff(page: &Page) -> String {
    let title = page.file().to_uppercase();
    let mut text = format!(".TH \"{}\" \"1\" \"\" \"spinreg {VERSION}\" \"spinreg\"\n", escape(&title));
    let _ = writeln!(text, ".SH NAME\n{} \\- {}", escape(&page.file()), inline(&page.about));
    let _ = writeln!(text, ".SH SYNOPSIS\n.nf\n{}\n.fi", lines(&page.usage));
    let _ = writeln!(text, ".SH DESCRIPTION\n{}.", inline(&page.about));
    for paragraph in &page.text {
        let _ = writeln!(text, ".PP\n{}", inline(paragraph));
    }
    if !page.below.is_empty() {
        text.push_str(".SH COMMANDS\n");
        for child in &page.below {
            let _ = writeln!(text, ".TP\n\\fB{}\\fP(1)\n{}", escape(&child.file()), inline(&child.about));
        }
    }
    for (heading, entries) in &page.groups {
        let _ = writeln!(text, ".SH \"{}\"", escape(&heading.to_uppercase()).replace('"', ""));
        for entry in entries {
            let _ = writeln!(text, ".TP\n\\fB{}\\fP", escape(&entry.term));
            for (n, paragraph) in entry.text.iter().enumerate() {
                let _ = writeln!(text, "{}{}", if n == 0 { "" } else { ".IP\n" }, inline(paragraph));
            }
        }
    }
    if !page.examples.is_empty() {
        let _ = writeln!(text, ".SH EXAMPLES\n.nf\n{}\n.fi", lines(&page.examples.join("\n")));
    }
    for (n, note) in page.notes.iter().enumerate() {
        let _ = writeln!(text, "{}\n{}", if n == 0 { ".SH NOTES" } else { ".PP" }, inline(note));
    }
    if let Some(above) = page.above() {
        let _ = writeln!(text, ".SH SEE ALSO\n\\fB{}\\fP(1)", escape(&above.join("-")));
    }
    text
}

/// Escapes lines that stay lines.
fn lines(text: &str) -> String {
    text.lines().map(|line| guarded(&escape(line))).collect::<Vec<_>>().join("\n")
}

/// Writes text in which what stands between backticks is bold.
fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let written = parts.map(|(n, part)| if n % 2 == 1 { format!("\\fB{}\\fP", escape(part)) } else { escape(part) });
    guarded(&written.collect::<String>())
}

/// Escapes what roff takes for its own: backslashes, and hyphens that people copy.
fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\n', " ")
}

/// Keeps a line from being taken for a request.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_a_request() {
        for (text, written) in [
            ("use `--log` for a\\b", "use \\fB\\-\\-log\\fP for a\\eb"),
            (".so /etc/passwd", "\\&.so /etc/passwd"),
            ("'quoted'", "\\&'quoted'"),
        ] {
            assert_eq!(inline(text), written);
        }
        assert_eq!(lines("a\n.b"), "a\n\\&.b");
    }
}
