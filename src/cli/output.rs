//! Results: standard output and nothing else.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::error::Error;
use crate::model::printable::{block, is_harmless};

/// Prints one line of result. A reader who has gone away has had enough: that is success.
///
/// # Errors
///
/// [`Error::Io`] where standard output cannot be written, as on a full disk.
pub(crate) fn line(text: &str) -> Result<(), Error> {
    page(text)
}

/// Prints a result of several lines; a line end is added where there is none.
///
/// # Errors
///
/// As for [`line`].
pub(crate) fn page(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write", STANDARD_OUTPUT, error)),
        _ => Ok(()),
    }
}

/// Prints a document for programs. What could steer a terminal is written as JSON escapes: the values are the same.
///
/// # Errors
///
/// As for [`line`].
pub(crate) fn json(document: &impl Serialize) -> Result<(), Error> {
    page(&tame(&serde_json::to_string_pretty(document).expect("plain data")))
}

/// A document for programs with a list that is too long to be in memory: it is printed as it grows.
pub(crate) struct Series {
    is_empty: bool,
}

impl Series {
    /// Prints what stands before the list: the fields of `head`, and the name of the list.
    ///
    /// # Errors
    ///
    /// As for [`line`].
    pub(crate) fn begin(head: &impl Serialize, list: &str) -> Result<Self, Error> {
        let head = tame(&serde_json::to_string_pretty(head).expect("plain data"));
        let open = head.strip_suffix("\n}").unwrap_or(&head);
        part(&format!("{open},\n  \"{list}\": ["))?;
        Ok(Self { is_empty: true })
    }

    /// Prints the next one of the list.
    ///
    /// # Errors
    ///
    /// As for [`line`].
    pub(crate) fn item(&mut self, item: &impl Serialize) -> Result<(), Error> {
        let item = tame(&serde_json::to_string_pretty(item).expect("plain data")).replace('\n', "\n    ");
        let between = if std::mem::take(&mut self.is_empty) { "" } else { "," };
        part(&format!("{between}\n    {item}"))
    }

    /// Prints the end.
    ///
    /// # Errors
    ///
    /// As for [`line`].
    pub(crate) fn end(self) -> Result<(), Error> {
        part(if self.is_empty { "]\n}\n" } else { "\n  ]\n}\n" })
    }
}

fn part(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write", STANDARD_OUTPUT, error)),
        _ => Ok(()),
    }
}

/// Prints text of others exactly as it is; on a terminal, what could steer that is shown by its number.
///
/// # Errors
///
/// As for [`line`].
pub(crate) fn exactly(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        drop(out);
        return page(&block(&String::from_utf8_lossy(bytes)));
    }
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write", STANDARD_OUTPUT, error)),
        _ => Ok(()),
    }
}

/// Escapes what only stands in strings.
fn tame(json: &str) -> String {
    let mut tamed = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_harmless(c) {
            tamed.push(c);
        } else {
            tamed.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    tamed
}

/// What stands for a path where standard output could not be written.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";

/// Prints one line for people on standard error; where nobody listens, nothing is lost. Words of others may be in it: what
/// could steer a terminal is shown by its number.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", block(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_steer_no_terminal_and_mean_the_same() {
        let text = "\u{1b}[2J\u{9b}31m \u{202e}gnp.exe \u{e0041} größer 例\n";
        let json = tame(&serde_json::to_string_pretty(&[text]).expect("plain data"));
        assert!(!json.contains(|c| c != '\n' && !is_harmless(c)), "{json:?}");
        assert!(json.contains("größer 例") && json.contains("\\udb40"), "{json}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).expect("JSON"), [text]);
    }
}
