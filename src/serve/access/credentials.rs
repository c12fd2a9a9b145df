//! What a request shows: `Authorization`, read.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

/// What a request shows. Is not printed.
#[derive(PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nothing.
    None,
    /// A user and a password (RFC 7617).
    Password { user: String, password: Zeroizing<String> },
    /// A token (RFC 6750).
    Token(Zeroizing<String>),
    /// Something that cannot be right: of another scheme, broken, or twice.
    Strange,
}

impl Credentials {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(value), None) => value.to_str().ok().and_then(Self::parse).unwrap_or(Self::Strange),
            // One would mean something to us and the other to a proxy before us.
            (Some(_), Some(_)) => Self::Strange,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(' ')?;
        let rest = rest.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                let decoded = Zeroizing::new(LENIENT.decode(rest).ok()?);
                let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
                // What Podman and Skopeo say where they have nothing to show.
                if user.is_empty() && password.is_empty() {
                    return Some(Self::None);
                }
                Some(Self::Password { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
            }
            "bearer" if !rest.is_empty() => Some(Self::Token(Zeroizing::new(rest.to_owned()))),
            _ => None,
        }
    }
}

/// Some clients leave the padding away.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        match Credentials::read(&headers) {
            Credentials::None => "none".to_owned(),
            Credentials::Password { user, password } => format!("{user}/{}", *password),
            Credentials::Token(token) => format!("token {}", *token),
            Credentials::Strange => "strange".to_owned(),
        }
    }

    #[test]
    fn headers_are_read_once_and_whole() {
        for (values, expected) in [
            (&[][..], "none"),
            (&["Basic YWRhOnB3"], "ada/pw"),
            (&["basic  YWRhOnB3 "], "ada/pw"),
            (&["Basic YTpiOmM="], "a/b:c"),
            (&["Basic YTpiOmM"], "a/b:c"),
            (&["Basic Og=="], "none"),
            (&["Basic YTo="], "a/"),
            (&["Basic OmE="], "/a"),
            (&["Bearer abc.def"], "token abc.def"),
            (&["BEARER abc"], "token abc"),
            (&["Bearer "], "strange"),
            (&["Basic YWRh"], "strange"),
            (&["Basic ***"], "strange"),
            (&["Basic /zph"], "strange"),
            (&["Digest username=ada"], "strange"),
            (&["YWRhOnB3"], "strange"),
            (&[""], "strange"),
            (&["Basic ä"], "strange"),
            (&["Basic YWRhOnB3", "Basic YWRhOnB3"], "strange"),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }
}
