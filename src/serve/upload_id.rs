//! Names of upload sessions.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::error::Error;
use crate::model::ParseError;
use crate::store::SessionId;

/// The name of an upload session: 128 random bits as 32 lowercase hexadecimal digits, so that nobody guesses another's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct UploadId(SessionId);

impl UploadId {
    /// Draws a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the system has no randomness.
    pub(super) fn random() -> Result<Self, Error> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits)
            .map_err(|error| Error::io("draw randomness from", "the system", io::Error::other(error)))?;
        let text = format!("{:032x}", u128::from_be_bytes(bits));
        Ok(Self(text.parse().expect("digits are fit for a session id")))
    }

    /// Returns the id under which the bytes are kept.
    pub(super) fn session(&self) -> &SessionId {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let ours = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if ours {
            text.parse().map(Self)
        } else {
            Err(ParseError::new("upload session", text, "32 lowercase hexadecimal digits"))
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whoever knows the name may write to the session: it stays out of logs.
impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_form_parses() {
        let id = UploadId::random().expect("randomness");
        assert_eq!(id.to_string().parse::<UploadId>().as_ref(), Ok(&id));
        for text in ["", "..", "0", &"A".repeat(32), &"0".repeat(33), "../../../../../etc/passwd/aaaaaaa"] {
            assert!(text.parse::<UploadId>().is_err(), "{text}");
        }
    }
}
