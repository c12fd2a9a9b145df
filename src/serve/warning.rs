//! Words for everybody: `Warning` (distribution-spec 1.1, "Warnings").

use std::str::FromStr;

use http::header::WARNING;
use http::{HeaderValue, Request, Response};

use super::server::Handler;
use crate::content::Body;
use crate::error::ParseError;

/// A sentence that clients show to people, as `Warning: 299 - "sentence"`: without a date, and from nobody in particular.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(HeaderValue);

impl Warning {
    /// How long the warnings of one answer may be together, in bytes of their headers' values.
    pub const MOST: usize = 4096;
}

impl FromStr for Warning {
    type Err = ParseError;

    /// Takes printable ASCII, which every client can read: other text has no meaning in a header.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || {
            let expected = "printable ASCII on one line, of at most 4096 bytes with `299 - \"\"` around it";
            ParseError::new("warning", text, expected)
        };
        let is_plain = |c: char| c.is_ascii_graphic() || c == ' ';
        if text.trim().is_empty() || !text.chars().all(is_plain) {
            return Err(refuse());
        }
        let value = format!("299 - \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        match HeaderValue::try_from(value) {
            Ok(value) if value.len() <= Self::MOST => Ok(Self(value)),
            _ => Err(refuse()),
        }
    }
}

/// Adds warnings to every answer of a registry.
#[derive(Debug)]
pub struct Warned<H> {
    handler: H,
    warnings: Vec<Warning>,
}

impl<H: Handler> Warned<H> {
    /// Stands before `handler`; `None` where the warnings are longer together than [`Warning::MOST`].
    pub fn new(handler: H, warnings: Vec<Warning>) -> Option<Self> {
        let length: usize = warnings.iter().map(|warning| warning.0.len()).sum();
        (length <= Warning::MOST).then_some(Self { handler, warnings })
    }
}

impl<H: Handler> Handler for Warned<H> {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let mut response = self.handler.handle(request).await;
        for Warning(value) in &self.warnings {
            response.headers_mut().append(WARNING, value.clone());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_quoted_line() {
        for (text, value) in [
            ("moving on Friday", Some("299 - \"moving on Friday\"")),
            (r#"say "hello" to C:\"#, Some(r#"299 - "say \"hello\" to C:\\""#)),
            ("two\r\nlines", None),
            ("\u{1b}[31mred", None),
            ("ümlaut", None),
            ("  ", None),
            ("", None),
        ] {
            let parsed = text.parse::<Warning>().ok();
            assert_eq!(parsed.as_ref().map(|warning| warning.0.to_str().expect("ASCII")), value, "{text:?}");
        }
    }

    #[test]
    fn all_of_them_together_have_a_bound() {
        struct Nobody;
        impl Handler for Nobody {
            async fn handle(&self, _: Request<Body>) -> Response<Body> {
                Response::new(Body::empty())
            }
        }
        let warning = |length: usize| "w".repeat(length).parse::<Warning>();
        assert!(warning(4088).is_ok() && warning(4089).is_err(), "eight bytes stand around the words");
        let both =
            |length: usize| Warned::new(Nobody, vec![warning(2040).expect("short"), warning(length).expect("short")]);
        assert!(both(2040).is_some() && both(2041).is_none());
    }
}
