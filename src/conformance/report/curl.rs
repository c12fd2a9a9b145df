//! The command that makes a registry show again what it did.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::printable::is_harmless;
use super::shell::{escapes, quoted};
use crate::conformance::Exchange;

/// Returns one line of POSIX shell that repeats the last of these exchanges, and before it what opened the upload session
/// that it belongs to: sessions are short-lived, and what grants access to them is not recorded.
///
/// Credentials come from `OCI_USERNAME` and `OCI_PASSWORD`, as the official suite reads them.
pub(super) fn reproduce(exchanges: &[Exchange], settings: &BTreeMap<String, String>) -> Option<String> {
    let links = links(exchanges);
    let (last, before) = links.split_last()?;
    let mut commands = Vec::new();
    for link in before {
        let call = link.call(settings);
        commands.push(match place(link.exchange) {
            Some(place) => {
                let prefix = if place.is_path { quoted(place.origin) } else { "".into() };
                format!("location={prefix}$({} | {PICK_LOCATION})", call.line("-sSgi"))
            }
            None => call.line("-sSg -o /dev/null"),
        });
    }
    let call = last.call(settings);
    commands.push(call.line(if last.exchange.method == "HEAD" { "-sSgI" } else { "-sSgi" }));
    let unknown = links.iter().find_map(|link| cut_body(link.exchange));
    let note = unknown.map(|bytes| format!("  # `body` is a file with the {bytes} bytes that were sent"));
    Some(commands.join(" && ") + &note.unwrap_or_default())
}

/// A request, and how its target is written.
struct Link<'a> {
    exchange: &'a Exchange,
    /// What follows the place that an earlier answer named; none where the URL is written in full.
    rest: Option<&'a str>,
}

/// Returns the exchanges of the upload session that the last one belongs to, from the request that opened it on; the last
/// one alone if it belongs to none.
fn links(exchanges: &[Exchange]) -> Vec<Link<'_>> {
    let Some(last) = exchanges.last() else { return Vec::new() };
    let mut links = Vec::new();
    let mut current: Option<String> = None;
    for exchange in exchanges {
        let rest = current.as_deref().and_then(|place| exchange.url.strip_prefix(place));
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with(['?', '&']));
        let opens = exchange.method == "POST" && exchange.status == Some(202);
        match rest {
            Some(rest) => links.push(Link { exchange, rest: Some(rest) }),
            None if opens => links = vec![Link { exchange, rest: None }],
            None => continue,
        }
        if let Some(next) = place(exchange) {
            current = Some(next.whole());
        }
    }
    match links.last() {
        Some(link) if std::ptr::eq(link.exchange, last) => links,
        _ => vec![Link { exchange: last, rest: None }],
    }
}

/// Where an upload session goes on.
struct Place<'a> {
    origin: &'a str,
    location: &'a str,
    is_path: bool,
}

impl Place<'_> {
    fn whole(&self) -> String {
        if self.is_path { format!("{}{}", self.origin, self.location) } else { self.location.to_owned() }
    }
}

/// Returns where the answer says that the session goes on.
fn place(exchange: &Exchange) -> Option<Place<'_>> {
    let location = exchange.headers.iter().find(|header| header.name == "location")?;
    let location = location.value.as_str();
    let authority = exchange.url.find("://")? + 3;
    let end = exchange.url[authority..].find('/').map_or(exchange.url.len(), |end| authority + end);
    let is_path = location.starts_with('/') && !location.starts_with("//");
    let goes_on = matches!(exchange.status, Some(202 | 204)) && (is_path || location.contains("://"));
    goes_on.then_some(Place { origin: &exchange.url[..end], location, is_path })
}

/// A call of curl without its first flags.
struct Call {
    /// What feeds its standard input, with the pipe.
    input: String,
    words: String,
}

impl Call {
    fn line(&self, flags: &str) -> String {
        format!("{}curl {flags}{}", self.input, self.words)
    }
}

impl Link<'_> {
    fn call(&self, settings: &BTreeMap<String, String>) -> Call {
        let exchange = self.exchange;
        let setting = |key: &str| settings.get(key).map(String::as_str).unwrap_or_default();
        let sent = |name: &str| exchange.request_headers.iter().find(|header| header.name == name);
        let mut words = String::new();
        if setting("tls") == "insecure" {
            words.push_str(" -k");
        }
        if !setting("username").is_empty() || sent("authorization").is_some() {
            words.push_str(" -u \"$OCI_USERNAME:$OCI_PASSWORD\"");
        }
        if exchange.url.contains("/.") {
            words.push_str(" --path-as-is");
        }
        if !matches!(exchange.method.as_str(), "GET" | "HEAD") {
            words.push_str(" -X ");
            words.push_str(&quoted(&exchange.method));
        }
        let has_body = exchange.request_body.length > 0;
        for header in &exchange.request_headers {
            let is_ours = match header.name.as_str() {
                "host" | "user-agent" | "accept-encoding" | "authorization" => true,
                "content-length" => has_body,
                _ => false,
            };
            if !is_ours {
                words.push_str(" -H ");
                words.push_str(&quoted(&format!("{}: {}", header.name, header.value)));
            }
        }
        // What curl would add of its own, where the answer may depend on it.
        if sent("accept").is_none() && exchange.url.contains("/manifests/") {
            words.push_str(" -H Accept:");
        }
        if has_body && sent("content-type").is_none() {
            words.push_str(" -H Content-Type:");
        }
        let input = self.body(&mut words);
        words.push(' ');
        match self.rest {
            None => words.push_str(&quoted(&exchange.url)),
            Some(rest) => {
                words.push_str("\"$location\"");
                words.push_str(&if rest.is_empty() { "".into() } else { quoted(rest) });
            }
        }
        Call { input, words }
    }

    /// Adds the flag that sends the body; returns what feeds it.
    fn body(&self, words: &mut String) -> String {
        let body = &self.exchange.request_body;
        if body.length == 0 {
            return String::new();
        }
        if cut_body(self.exchange).is_some() {
            words.push_str(" --data-binary @body");
            return String::new();
        }
        match (&body.text, &body.bytes) {
            (Some(text), _) if text.chars().all(is_harmless) => {
                words.push_str(" --data-raw ");
                words.push_str(&quoted(text));
                String::new()
            }
            (Some(text), _) => {
                words.push_str(" --data-binary @-");
                format!("printf '{}' | ", escapes(text))
            }
            (None, bytes) => {
                words.push_str(" --data-binary @-");
                let bytes = BASE64_STANDARD.encode(bytes.as_deref().unwrap_or_default());
                format!("printf %s {bytes} | base64 -d | ")
            }
        }
    }
}

/// Returns the length of a request's body of which only the beginning is on record.
fn cut_body(exchange: &Exchange) -> Option<u64> {
    let body = &exchange.request_body;
    let kept = body.text.as_ref().map(String::len).or(body.bytes.as_ref().map(bytes::Bytes::len)).unwrap_or_default();
    (body.length > kept as u64).then_some(body.length)
}

/// Takes the place of the session out of an answer.
const PICK_LOCATION: &str = "grep -i '^location:' | cut -d' ' -f2- | tr -d '\\r'";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::conformance::Sample;
    use crate::conformance::report::sample::{body, exchange, header};

    fn plain(exchanges: &[Exchange]) -> String {
        reproduce(exchanges, &BTreeMap::new()).expect("there is an exchange")
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(reproduce(&[], &BTreeMap::new()), None);
    }

    #[test]
    fn a_request_is_repeated_as_it_was() {
        let mut get = exchange("GET", "http://r:5/v2/a/manifests/v1", 404);
        assert_eq!(plain(&[get.clone()]), "curl -sSgi -H Accept: http://r:5/v2/a/manifests/v1");
        get.request_headers = vec![header("accept", "a/b"), header("range", "bytes=0-1"), header("host", "x")];
        let expected = "curl -sSgi -H 'accept: a/b' -H 'range: bytes=0-1' http://r:5/v2/a/manifests/v1";
        assert_eq!(plain(&[get.clone()]), expected);
        let head = exchange("HEAD", "http://r:5/v2/a/blobs/sha256:00", 500);
        assert_eq!(plain(&[get, head]), "curl -sSgI http://r:5/v2/a/blobs/sha256:00");
        let mut post = exchange("POST", "http://r:5/v2/a/blobs/uploads/?x=1&y", 500);
        post.request_headers = vec![header("content-length", "0")];
        let expected = "curl -sSgi -X POST -H 'content-length: 0' 'http://r:5/v2/a/blobs/uploads/?x=1&y'";
        assert_eq!(plain(&[post]), expected);
    }

    #[test]
    fn credentials_come_from_variables() {
        let mut get = exchange("GET", "https://r/v2/", 401);
        get.request_headers = vec![header("authorization", "***")];
        let expected = "curl -sSgi -u \"$OCI_USERNAME:$OCI_PASSWORD\" https://r/v2/";
        assert_eq!(plain(&[get.clone()]), expected);
        get.request_headers.clear();
        let settings = [("tls", "insecure"), ("username", "***")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let expected = "curl -sSgi -k -u \"$OCI_USERNAME:$OCI_PASSWORD\" https://r/v2/";
        assert_eq!(reproduce(&[get], &settings).as_deref(), Some(expected));
    }

    #[test]
    fn a_body_arrives_byte_by_byte() {
        let mut put = exchange("PUT", "http://r/v2/a/manifests/v1", 400);
        put.request_headers =
            vec![header("content-type", "t/x"), header("content-length", "9"), header("accept", "*/*")];
        let front = "curl -sSgi -X PUT -H 'content-type: t/x' -H 'accept: */*'";
        let bytes =
            |bytes: &'static [u8], length| Sample { length, text: None, bytes: Some(Bytes::from_static(bytes)) };
        for (body, expected) in [
            (body("{\"it's\"}"), format!("{front} --data-raw '{{\"it'\\''s\"}}' http://r/v2/a/manifests/v1")),
            (body("a\r\n"), format!("printf 'a\\015\\n' | {front} --data-binary @- http://r/v2/a/manifests/v1")),
            (
                bytes(b"\x00\xff", 2),
                format!("printf %s AP8= | base64 -d | {front} --data-binary @- http://r/v2/a/manifests/v1"),
            ),
            (
                bytes(b"\x00\xff", 9000),
                format!(
                    "{front} --data-binary @body http://r/v2/a/manifests/v1  # `body` is a file with the 9000 bytes that were sent"
                ),
            ),
        ] {
            put.request_body = body;
            assert_eq!(plain(std::slice::from_ref(&put)), expected);
        }
    }

    #[test]
    fn a_session_is_opened_anew() {
        let open = |location: &str| {
            let mut post = exchange("POST", "http://r:5/v2/a/blobs/uploads/", 202);
            post.headers = vec![header("location", location)];
            post
        };
        let to = |method, url: &str, status| exchange(method, url, status);
        let pick = "grep -i '^location:' | cut -d' ' -f2- | tr -d '\\r'";
        let post = "curl -sSgi -X POST http://r:5/v2/a/blobs/uploads/";
        let mut patch = to("PATCH", "http://r:5/up/1?s=***", 202);
        patch.headers = vec![header("location", "http://other/up/2")];
        for (exchanges, expected) in [
            (
                vec![open("/up/1?s=***"), to("PUT", "http://r:5/up/1?s=***&digest=sha256:00", 400)],
                format!("location=http://r:5$({post} | {pick}) && curl -sSgi -X PUT \"$location\"'&digest=sha256:00'"),
            ),
            (
                vec![
                    to("GET", "http://r:5/v2/", 200),
                    open("http://r:5/up/1?s=***"),
                    patch,
                    to("PATCH", "http://other/up/2", 416),
                    to("GET", "http://other/up/2", 500),
                ],
                format!(
                    "location=$({post} | {pick}) && location=$(curl -sSgi -X PATCH \"$location\" | {pick}) && \
                     curl -sSg -o /dev/null -X PATCH \"$location\" && curl -sSgi \"$location\""
                ),
            ),
            // Another place, a longer one, and no session at all.
            (vec![open("/up/1"), to("PUT", "http://r:5/up/2", 400)], "curl -sSgi -X PUT http://r:5/up/2".to_owned()),
            (vec![open("/up/1"), to("PUT", "http://r:5/up/10", 400)], "curl -sSgi -X PUT http://r:5/up/10".to_owned()),
            (vec![open("up/1"), to("GET", "http://r:5/up/1", 400)], "curl -sSgi http://r:5/up/1".to_owned()),
        ] {
            assert_eq!(plain(&exchanges), expected);
        }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let mut get = exchange("GET", "http://r/v2/$(id)';`id`/\u{1b}[2J", 500);
        get.request_headers = vec![header("x", "\"$(id)\"")];
        let expected = "curl -sSgi -H 'x: \"$(id)\"' \"$(printf 'http://r/v2/$(id)\\047;`id`/\\033[2J')\"";
        assert_eq!(plain(&[get]), expected);
    }
}
