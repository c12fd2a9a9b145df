//! Credential files: read bounded, and blamed without being quoted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{Error, ParseError};

/// Reads a whole file; `None` where there is none. Blocks.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let blame = |error| Error::io("read", path, error);
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        opened => opened.map_err(blame)?,
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(blame)?;
    if bytes.len() as u64 > MAX {
        return Err(blame(io::Error::new(io::ErrorKind::FileTooLarge, "a credential file has at most 4 MiB")));
    }
    Ok(Some(bytes))
}

/// Parses the content of `place`. The error has line and column and nothing of the content, which is secret.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T, Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        // serde_json's own message quotes what it did not expect: a password, in the worst case.
        let expected = if error.is_data() { "the layout of a credential file" } else { "valid JSON" };
        let at = format_args!("line {}, column {}", error.line(), error.column()).to_string();
        Error::from(ParseError::new("credential file", place, expected).because(&at))
    })
}

/// Blames the entry `key` of the file at `place`.
pub(crate) fn blame_entry(place: &str, key: &str, expected: &'static str) -> Error {
    Error::from(ParseError::new("credential file", place, expected).because(&format_args!("entry `{key}`")))
}

/// Bytes of a credential file: real ones have a few thousand.
const MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place_and_not_the_content() {
        for (text, message) in [
            ("", "credential file `/c.json` expects valid JSON: line 1, column 0"),
            ("{\n  \"a\": hunter2", "credential file `/c.json` expects valid JSON: line 2, column 8"),
            (
                "{\"a\":\"hunter2\"}",
                "credential file `/c.json` expects the layout of a credential file: line 1, column 14",
            ),
        ] {
            let parsed = parse::<std::collections::BTreeMap<String, u8>>(text.as_bytes(), "/c.json");
            assert_eq!(parsed.expect_err(text).to_string(), message);
        }
    }
}
