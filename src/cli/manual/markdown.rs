//! The whole reference as one document.

use std::fmt::Write as _;

use super::page::{COMMON, Entry, Page};

/// Writes a command and everything below it.
pub(in crate::cli) fn markdown(page: &Page) -> String {
    let mut text = format!("# {}\n\n{}.\n\n{GENERATED}\n\n| command | |\n|---|---|\n", page.name(), plain(&page.about));
    let all = page.all();
    for page in &all {
        let _ = writeln!(text, "| [`{}`](#{}) | {} |", page.name(), page.file(), plain(&page.about));
    }
    for page in &all {
        section(page, &mut text);
    }
    text
}

fn section(page: &Page, text: &mut String) {
    let _ = write!(text, "\n## {}\n\n```text\n{}\n```\n\n{}.\n", page.name(), page.usage, plain(&page.about));
    for paragraph in page.text.iter() {
        let _ = write!(text, "\n{}\n", plain(paragraph));
    }
    // What every command takes is said once, of the program.
    let said = |heading: &str| heading == COMMON && page.above().is_some();
    for (heading, entries) in page.groups.iter().filter(|(heading, _)| !said(heading)) {
        let _ = write!(text, "\n### {heading}\n\n");
        entries.iter().for_each(|entry| item(entry, text));
    }
    if !page.examples.is_empty() {
        let _ = write!(text, "\n### Examples\n\n```text\n{}\n```\n", page.examples.join("\n"));
    }
    for note in &page.notes {
        let _ = write!(text, "\n{}\n", plain(note));
    }
}

fn item(entry: &Entry, text: &mut String) {
    let mut paragraphs = entry.text.iter();
    let first = paragraphs.next().map(|first| plain(first)).unwrap_or_default();
    let _ = writeln!(text, "- `{}`: {first}", entry.term);
    for paragraph in paragraphs {
        let _ = write!(text, "\n  {}\n", plain(paragraph));
    }
}

/// Escapes what Markdown would take for its own, outside of code.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.chars() {
        in_code ^= c == '`';
        if !in_code && matches!(c, '*' | '_' | '<' | '>' | '|' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

const GENERATED: &str = "\
This is what `--help` says of every command, in one place: `spinreg man --format markdown` writes it, and a test compares it.
`spinreg man COMMAND` prints the same as a manual page.";
