//! What an answer asks for besides: to wait, or to be asked less, in headers or in prose.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::{StreamExt as _, stream};
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use tokio::time::timeout;

use super::pace::Sign;
use crate::content::Body;

/// What an answer asks for besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// How long its text asks us to wait, where its headers do not.
    pub(super) wait: Option<Duration>,
    /// What it means for the pace.
    pub(super) sign: Sign,
}

/// Reads the front of a 429 or 503 without `Retry-After` for what its text may ask for; returns the answer as it was.
pub(super) async fn asked(response: Response<Body>) -> (Response<Body>, Said) {
    let status = response.status();
    let timed = response.headers().contains_key(RETRY_AFTER);
    if timed || !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return (response, Said { wait: None, sign: Sign::of(status, timed) });
    }
    let (head, mut body) = response.into_parts();
    let (length, mut front, mut bytes) = (body.remaining(), Vec::new(), BytesMut::new());
    let read = async {
        while bytes.len() < READ {
            let Some(chunk) = body.chunk().await else { break };
            let ended = chunk.is_err();
            bytes.extend_from_slice(chunk.as_deref().unwrap_or_default());
            front.push(chunk);
            if ended {
                break;
            }
        }
    };
    // Who is slow to say so has nothing precise to say.
    let _ = timeout(READING, read).await;
    let rest = stream::unfold(body, async |mut body| body.chunk().await.map(|chunk| (chunk, body)));
    let body = Body::from_stream(stream::iter(front).chain(rest), length);
    let wait = asked_in_text(&bytes);
    let said = Said { wait, sign: Sign::of(status, wait.is_some() || is_too_much(&bytes)) };
    (Response::from_parts(head, body), said)
}

/// Says whether the text of an answer means that too much is asked for: S3 says `SlowDown`, AWS `TooManyRequests` and
/// `Throttling`, Azure's storage `ServerBusy`.
fn is_too_much(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&text[..text.len().min(READ)]).to_ascii_lowercase();
    TOO_MUCH.iter().any(|word| text.contains(word))
}

/// Returns how long the text of an answer asks us to wait, as GitHub's registry does in the message of a 429, where it
/// has no `Retry-After`: `retry-after: 10.48ms, allowed: 2000/minute`.
///
/// The duration is written as Go writes it (`1m30.5s`), or as a number of seconds.
pub(super) fn asked_in_text(text: &[u8]) -> Option<Duration> {
    let text = &text[..text.len().min(READ)];
    let start = text.windows(MARK.len()).position(|window| window.eq_ignore_ascii_case(MARK))? + MARK.len();
    let rest = &text[start..text.len().min(start + LONGEST)];
    let rest = rest.trim_ascii_start();
    // Only what is a duration's can be in one; `\u00b5` is how JSON may write the `µ`.
    let text = String::from_utf8_lossy(rest).replace("\\u00b5", "u").replace(['µ', 'μ'], "u");
    duration(&text)
}

/// Reads a duration from the beginning of a text.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    let mut units = 0;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
        // A sentence may end behind the number.
        let value: f64 = number.trim_end_matches('.').parse().ok()?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale = match unit {
            // Without a unit it can be the only number.
            "" if units == 0 => 1.0,
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            _ => return None,
        };
        seconds += value * scale;
        units += 1;
        rest = after;
        if unit.is_empty() {
            break;
        }
    }
    // Whatever is too much for a duration means: for ever.
    (units > 0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// What those say who are asked too much, in lower case.
const TOO_MUCH: [&str; 8] = [
    "slowdown",
    "slow down",
    "toomanyrequests",
    "too many requests",
    "throttl",
    "rate exceeded",
    "request rate",
    "serverbusy",
];
const MARK: &[u8] = b"retry-after:";
/// How much of an answer is looked at, in bytes.
const READ: usize = 8 << 10;
/// How long that may take.
const READING: Duration = Duration::from_secs(1);
/// How long a duration's text may be, in bytes.
const LONGEST: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_are_asked_too_much_are_understood() {
        for (text, expected) in [
            (
                "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>",
                true,
            ),
            (r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#, true),
            (r#"{"__type":"ThrottlingException"}"#, true),
            ("<Error><Code>ServerBusy</Code>", true),
            ("<html><title>503 Service Temporarily Unavailable</title>", false),
            ("", false),
        ] {
            assert_eq!(is_too_much(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn waits_are_found_in_prose() {
        let micros = Duration::from_micros;
        for (text, expected) in [
            (
                r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 10.48ms, allowed: 2000/minute"}]}"#,
                Some(micros(10_480)),
            ),
            ("Retry-After: 1.5s", Some(micros(1_500_000))),
            ("retry-after:250us.", Some(micros(250))),
            ("retry-after: 250µs", Some(micros(250))),
            (r"retry-after: 250\u00b5s", Some(micros(250))),
            ("retry-after: 1m30.5s, allowed: 1/hour", Some(micros(90_500_000))),
            ("retry-after: 1h", Some(Duration::from_secs(3_600))),
            ("retry-after: 17", Some(Duration::from_secs(17))),
            ("retry-after: 17.", Some(Duration::from_secs(17))),
            ("retry-after: 17 seconds", Some(Duration::from_secs(17))),
            ("retry-after: 0s", Some(Duration::ZERO)),
            ("retry-after: 99999999999999999999999999h", Some(Duration::MAX)),
            ("retry-after: 5 parsecs", Some(Duration::from_secs(5))),
            ("retry-after: 5parsecs", None),
            ("retry-after: 1.2.3s", None),
            ("retry-after: -1s", None),
            ("retry-after: NaN", None),
            ("retry-after: soon", None),
            ("retry-after:", None),
            ("retry later", None),
            ("", None),
        ] {
            assert_eq!(asked_in_text(text.as_bytes()), expected, "{text}");
        }
        let far = format!("{}retry-after: 1s", " ".repeat(READ));
        assert_eq!(asked_in_text(far.as_bytes()), None);
        assert_eq!(asked_in_text(b"\xff\xfe retry-after: 2s \xff"), Some(Duration::from_secs(2)));
    }
}
