//! One request as a call of curl.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::shell::{escapes, quoted};
use crate::conformance::Exchange;
use crate::model::printable::is_harmless;

/// Where a request goes.
pub(super) enum Target<'a> {
    /// To the URL of the record.
    Url,
    /// To where an earlier answer led, which a variable has; with what is added to that.
    Variable(&'a str, &'a str),
}

/// A call of curl without its first flags.
pub(super) struct Call {
    /// What feeds its standard input, with the pipe.
    input: String,
    words: String,
    /// The length of a body that is too long to be written down.
    pub(super) unwritten: Option<usize>,
}

impl Call {
    /// Writes a request down. Credentials come from `OCI_USERNAME` and `OCI_PASSWORD`, as the official suite reads them.
    pub(super) fn of(exchange: &Exchange, target: &Target<'_>, settings: &BTreeMap<String, String>) -> Self {
        let setting = |key: &str| settings.get(key).map(String::as_str).unwrap_or_default();
        let sent = |name: &str| exchange.request_headers.iter().find(|header| header.name == name);
        let url = exchange.trace.target.as_deref().unwrap_or(&exchange.url);
        let mut words = String::new();
        if setting("tls") == "insecure" {
            words.push_str(" -k");
        }
        if !setting("username").is_empty() || sent("authorization").is_some() {
            words.push_str(" -u \"$OCI_USERNAME:$OCI_PASSWORD\"");
        }
        if url.contains("/.") {
            words.push_str(" --path-as-is");
        }
        if exchange.trace.redirected {
            words.push_str(" -L");
        }
        if exchange.failure.is_some() {
            // As long as it was waited for, and no longer.
            let _ = write!(words, " -m {}", exchange.elapsed.as_secs() + 1);
        }
        if !matches!(exchange.method.as_str(), "GET" | "HEAD") {
            words.push_str(" -X ");
            words.push_str(&quoted(&exchange.method));
        }
        let body = Body::of(&exchange.trace.sent);
        for header in &exchange.request_headers {
            let is_ours = match header.name.as_str() {
                "host" | "user-agent" | "accept-encoding" | "authorization" => true,
                "content-length" => !exchange.trace.sent.is_empty(),
                _ => false,
            };
            if !is_ours {
                words.push_str(" -H ");
                words.push_str(&quoted(&format!("{}: {}", header.name, header.value)));
            }
        }
        // What curl would add of its own, where the answer may depend on it.
        if sent("accept").is_none() && url.contains("/manifests/") {
            words.push_str(" -H Accept:");
        }
        let is_chunked = sent("transfer-encoding").is_some();
        if (body.is_some() || is_chunked) && sent("content-type").is_none() {
            words.push_str(" -H Content-Type:");
        }
        let (mut input, mut unwritten) = (String::new(), None);
        match body {
            None if is_chunked => words.push_str(" --data-binary @/dev/null"),
            None => {}
            Some(Body::Word(word)) => {
                words.push_str(" --data-raw ");
                words.push_str(&word);
            }
            Some(Body::Piped(command)) => {
                words.push_str(" --data-binary @-");
                input = format!("{command} | ");
            }
            Some(Body::Unwritten(length)) => {
                words.push_str(" --data-binary @body");
                unwritten = Some(length);
            }
        }
        words.push(' ');
        match target {
            Target::Url => words.push_str(&quoted(url)),
            Target::Variable(name, rest) => {
                let _ = write!(words, "\"${name}\"");
                words.push_str(&if rest.is_empty() { "".into() } else { quoted(rest) });
            }
        }
        Self { input, words, unwritten }
    }

    /// Writes the call with these flags.
    pub(super) fn line(&self, flags: &str) -> String {
        format!("{}curl {flags}{}", self.input, self.words)
    }
}

/// How a body is sent.
enum Body {
    /// As a word of the command.
    Word(String),
    /// By a command that prints it.
    Piped(String),
    /// From a file that whoever repeats it has to make: so many bytes would be no line any more.
    Unwritten(usize),
}

impl Body {
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let body = match text {
            Some(text) if text.chars().all(is_harmless) && !text.contains(GAP) => Self::Word(quoted(text).into()),
            Some(text) => Self::Piped(format!("printf '{}'", gaps(&escapes(text)))),
            None => Self::Piped(format!("printf %s {} | base64 -d", BASE64_STANDARD.encode(bytes))),
        };
        let (Self::Word(written) | Self::Piped(written)) = &body else { return Some(body) };
        Some(if written.len() > MOST_WRITTEN { Self::Unwritten(bytes.len()) } else { body })
    }
}

/// Writes long rows of spaces in a format of `printf` by their lengths.
fn gaps(format: &str) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(GAP) {
        let after = rest[at..].trim_start_matches(' ');
        let _ = write!(out, "{}%{}s", &rest[..at], rest.len() - at - after.len());
        rest = after;
    }
    out + rest
}

/// A row of spaces that is shorter as a number.
const GAP: &str = "        ";
/// Bytes of a command that bring one body.
const MOST_WRITTEN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::conformance::report::sample::{exchange, header};

    fn plain(exchange: &Exchange) -> String {
        Call::of(exchange, &Target::Url, &BTreeMap::new()).line("-sSgi")
    }

    #[test]
    fn a_request_is_repeated_as_it_was() {
        let mut get = exchange("GET", "http://r:5/v2/a/manifests/v1", 404);
        assert_eq!(plain(&get), "curl -sSgi -H Accept: http://r:5/v2/a/manifests/v1");
        get.request_headers = vec![header("accept", "a/b"), header("range", "bytes=0-1"), header("host", "x")];
        let expected = "curl -sSgi -H 'accept: a/b' -H 'range: bytes=0-1' http://r:5/v2/a/manifests/v1";
        assert_eq!(plain(&get), expected);
        let mut post = exchange("POST", "http://r:5/v2/a/blobs/uploads/?x=***&y", 500);
        post.request_headers = vec![header("content-length", "0")];
        post.trace.target = Some("http://r:5/v2/a/blobs/uploads/?x=1&y".to_owned());
        let expected = "curl -sSgi -X POST -H 'content-length: 0' 'http://r:5/v2/a/blobs/uploads/?x=1&y'";
        assert_eq!(plain(&post), expected);
        let mut lost = exchange("GET", "http://r:5/v2/", 200);
        (lost.failure, lost.trace.redirected) = (Some("it broke off".to_owned()), true);
        assert_eq!(plain(&lost), "curl -sSgi -L -m 1 http://r:5/v2/");
        let put = exchange("PUT", "http://r:5/up", 201);
        let call = Call::of(&put, &Target::Variable("at1", "?digest=a%3Ab"), &BTreeMap::new());
        assert_eq!(call.line("-sSgi"), "curl -sSgi -X PUT \"$at1\"'?digest=a%3Ab'");
    }

    #[test]
    fn credentials_come_from_variables() {
        let mut get = exchange("GET", "https://r/v2/", 401);
        get.request_headers = vec![header("authorization", "***")];
        let expected = "curl -sSgi -u \"$OCI_USERNAME:$OCI_PASSWORD\" https://r/v2/";
        assert_eq!(plain(&get), expected);
        get.request_headers.clear();
        let settings = [("tls", "insecure"), ("username", "***")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let expected = "curl -sSgi -k -u \"$OCI_USERNAME:$OCI_PASSWORD\" https://r/v2/";
        assert_eq!(Call::of(&get, &Target::Url, &settings).line("-sSgi"), expected);
    }

    #[test]
    fn a_body_arrives_byte_by_byte() {
        let mut put = exchange("PUT", "http://r/v2/a/manifests/v1", 400);
        put.request_headers =
            vec![header("content-type", "t/x"), header("content-length", "9"), header("accept", "*/*")];
        let front = "curl -sSgi -X PUT -H 'content-type: t/x' -H 'accept: */*'";
        let end = "http://r/v2/a/manifests/v1";
        let huge = [255; 90_000];
        let long = format!("{{{}}}", " ".repeat(4_000_000));
        for (body, expected) in [
            (&b"{\"it's\"}"[..], format!("{front} --data-raw '{{\"it'\\''s\"}}' {end}")),
            (b"a\r\n", format!("printf 'a\\015\\n' | {front} --data-binary @- {end}")),
            (b"\x00\xff", format!("printf %s AP8= | base64 -d | {front} --data-binary @- {end}")),
            (b"-1%        2", format!("printf '\\0551%%%8s2' | {front} --data-binary @- {end}")),
            (long.as_bytes(), format!("printf '{{%4000000s}}' | {front} --data-binary @- {end}")),
            (&huge, format!("{front} --data-binary @body {end}")),
        ] {
            put.trace.sent = Bytes::copy_from_slice(body);
            assert_eq!(plain(&put), expected);
        }
        put.trace.sent = Bytes::new();
        put.request_headers = vec![header("transfer-encoding", "chunked")];
        let expected = "curl -sSgi -X PUT -H 'transfer-encoding: chunked' -H Accept: -H Content-Type: --data-binary";
        assert_eq!(plain(&put), format!("{expected} @/dev/null {end}"));
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let mut get = exchange("GET", "http://r/v2/$(id)';`id`/\u{1b}[2J", 500);
        get.request_headers = vec![header("x", "\"$(id)\"")];
        let expected = "curl -sSgi -H 'x: \"$(id)\"' \"$(printf 'http://r/v2/$(id)\\047;`id`/\\033[2J')\"";
        assert_eq!(plain(&get), expected);
    }
}
