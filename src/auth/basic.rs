//! `user:password` in Base64 (RFC 7617), as headers and credential files have it.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

use super::{Credential, Secret};

/// Encodes a user and a password, padded.
pub(crate) fn encode(username: &str, secret: &Secret) -> Secret {
    let plain = Zeroizing::new(format!("{username}:{}", secret.reveal()));
    Secret::new(STANDARD.encode(plain.as_bytes()))
}

/// Decodes a user and a password; `None` where it is no Base64, no UTF-8, or has no colon.
///
/// The user ends at the first colon: passwords have colons (a Google key is a whole JSON document). Padding may be
/// missing, white space is dropped; so are the zero bytes that old versions of docker pad the password with.
pub(crate) fn decode(text: &str) -> Option<Credential> {
    let text: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    let bytes = Zeroizing::new(LENIENT.decode(text.as_bytes()).ok()?);
    let (username, password) = str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some(Credential::Password { username: username.to_owned(), secret: Secret::new(password.trim_end_matches('\0')) })
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_split_at_the_first_colon() {
        for (text, pair) in [
            ("YWRhOnB3", Some(("ada", "pw"))),
            ("YTpi", Some(("a", "b"))),
            ("YWI6Yw==", Some(("ab", "c"))),
            ("YWI6Yw", Some(("ab", "c"))),
            ("YWI6\n Yw==\n", Some(("ab", "c"))),
            ("YTpiOmM=", Some(("a", "b:c"))),
            ("YTpiCmMAAA==", Some(("a", "b\nc"))),
            ("Og==", Some(("", ""))),
            ("YWRh", None),
            ("", None),
            ("***", None),
            ("/zph", None),
        ] {
            let expected = pair.map(|(username, secret)| Credential::Password {
                username: username.to_owned(),
                secret: Secret::new(secret),
            });
            assert_eq!(decode(text), expected, "{text}");
        }
        assert_eq!(encode("ab", &Secret::new("c")).reveal(), "YWI6Yw==");
    }
}
