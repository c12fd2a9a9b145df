//! Header fields that need a parser. All of them come from a peer: what makes no sense is absent.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{CONTENT_RANGE, DATE, HeaderName, LINK, RANGE, RETRY_AFTER, WARNING};

use crate::error::Allowance;
use crate::model::excerpt;

/// Returns how long the server wants us to wait: `Retry-After`, in seconds or as a date.
///
/// A date is compared with the server's own `Date` where it sends one, so that a clock that is wrong on either side does
/// no harm; otherwise with `now`. A date in the past is no wait.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = text(headers, &RETRY_AFTER)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit mean: forever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let now = self::text(headers, &DATE).and_then(date).unwrap_or(now);
    Some(date(text)?.duration_since(now).unwrap_or_default())
}

/// Returns the URI reference of the next page: the `Link` whose relation is `next`
/// ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)). It still has to be [resolved](super::resolve).
///
/// Some registries leave out the quotes around the relation or the brackets around the reference; both are taken.
pub fn link_next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_of)
}

/// Returns the texts of `Warning: 299 - "text"` fields, in order, bounded and without control characters.
///
/// The distribution spec has them shown to people, and nothing else done about them.
pub fn warnings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(WARNING).iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
    values.flat_map(warnings_of).take(WARNINGS).collect()
}

/// Which bytes of a representation an answer has: `Content-Range: bytes first-last/size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte, which is not before `first`.
    pub last: u64,
    /// The size of the whole, where the server knows it; `last` is within.
    pub size: Option<u64>,
}

/// Returns by which number the other side knows a request, bounded and without control characters.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = REQUEST_IDS.iter().find_map(|name| headers.get(*name)?.to_str().ok().map(str::trim))?;
    (!id.is_empty()).then(|| excerpt(id))
}

/// Returns how much may be asked for, as Docker Hub says it: `RateLimit-Limit: 100;w=21600` and
/// `RateLimit-Remaining: 76;w=21600`, both perhaps with `X-` before their names.
pub fn allowance(headers: &HeaderMap) -> Option<Allowance> {
    let find = |names: [&'static str; 2]| {
        let text = names.iter().find_map(|name| headers.get(*name)?.to_str().ok())?;
        let (count, parameters) = text.split_once(';').unwrap_or((text, ""));
        Some((number(count.trim()).filter(|_| !count.trim().is_empty())?, parameters))
    };
    let (limit, parameters) = find(["ratelimit-limit", "x-ratelimit-limit"])?;
    let window = parameters_of(parameters).find(|(name, _)| name.eq_ignore_ascii_case("w"));
    let window = window.and_then(|(_, seconds)| number(seconds)).filter(|seconds| *seconds > 0);
    let remaining = find(["ratelimit-remaining", "x-ratelimit-remaining"]).map(|(remaining, _)| remaining);
    Some(Allowance { limit, remaining, window: window.map(Duration::from_secs) })
}

/// Returns the `Content-Range` of a 206.
pub fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = text(headers, &CONTENT_RANGE)?;
    let (unit, rest) = text.split_once(' ')?;
    let (span, size) = rest.trim_start().split_once('/')?;
    let (first, last) = span_of(span)?;
    let size = if size == "*" { None } else { Some(number(size)?) };
    let fits = size.is_none_or(|size| last < size);
    (unit.eq_ignore_ascii_case("bytes") && fits).then_some(ContentRange { first, last, size })
}

/// Returns the size of the whole that a 416 tells: `Content-Range: bytes */size`.
pub fn unsatisfied_range(headers: &HeaderMap) -> Option<u64> {
    let (unit, rest) = text(headers, &CONTENT_RANGE)?.split_once(' ')?;
    let size = rest.trim_start().strip_prefix("*/")?;
    if unit.eq_ignore_ascii_case("bytes") { number(size) } else { None }
}

/// Returns the first and the last offset of a `Range` as upload sessions answer with: `0-1023`, or `bytes=0-1023`.
///
/// An empty upload has no range that could be written; registries say `0-0` for it, or leave it out.
pub fn range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = text(headers, &RANGE)?;
    span_of(text.strip_prefix("bytes=").unwrap_or(text))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn span_of(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Parses digits alone: no sign, no space.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn next_of(value: &str) -> Option<String> {
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return None;
        }
        let (target, after) = match rest.strip_prefix('<') {
            Some(inner) => inner.split_once('>')?,
            None => rest.split_at(rest.find([';', ',']).unwrap_or(rest.len())),
        };
        let (parameters, others) = after.split_at(end_of_link(after));
        if parameters_of(parameters).any(|(name, value)| name.eq_ignore_ascii_case("rel") && is_next(value)) {
            // An empty reference means this very page: who followed it would never come to an end.
            return Some(target.trim()).filter(|target| !target.is_empty()).map(str::to_owned);
        }
        rest = others;
    }
}

/// Finds the comma that ends a link; those within quotes do not.
fn end_of_link(text: &str) -> usize {
    let mut quoted = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => return index,
            _ => {}
        }
    }
    text.len()
}

fn parameters_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

fn is_next(relations: &str) -> bool {
    relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
}

fn warnings_of(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = value;
    // `299 - "text"`, perhaps a date in quotes, and after a comma the next one.
    while let Some((head, after)) = rest.split_once('"') {
        let (text, after) = quoted(after);
        let head = head.trim_start_matches([' ', '\t', ',']);
        if head.split_ascii_whitespace().next() == Some("299") && !text.is_empty() {
            found.push(text);
        }
        rest = after;
    }
    found
}

/// Reads up to the closing quote; returns the text, and what comes after.
fn quoted(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        let character = match character {
            '"' => return (out, &text[index + 1..]),
            '\\' => characters.next().map_or('\\', |(_, escaped)| escaped),
            other => other,
        };
        if out.len() < WARNING_BYTES {
            out.push(if character.is_control() { '\u{fffd}' } else { character });
        }
    }
    (out, "")
}

/// Parses `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that may be sent (RFC 9110, section 5.6.7).
fn date(text: &str) -> Option<SystemTime> {
    let rest = text.split_once(", ")?.1.strip_suffix(" GMT")?;
    let mut parts = rest.split(' ');
    let (day, month, year) = (number(parts.next()?)?, parts.next()?, number(parts.next()?)?);
    let mut clock = parts.next()?.splitn(3, ':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let sane = (1..=31).contains(&day) && (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second <= 60;
    if !sane || parts.next().is_some() {
        return None;
    }
    // Days since 1970 by counting years from March on, so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// How registries and what stands before them name the number of a request: the standing custom, GitHub, Amazon's
/// registry and storage, Azure, Cloudflare.
const REQUEST_IDS: [&str; 8] = [
    "x-request-id",
    "x-github-request-id",
    "x-amzn-requestid",
    "x-amz-request-id",
    "x-ms-correlation-request-id",
    "x-ms-request-id",
    "x-correlation-id",
    "cf-ray",
];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// From 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: u64 = 719_468;

/// The spec bounds all warnings of an answer by 4096 bytes together; more than this many are noise.
const WARNINGS: usize = 16;

/// As the spec has it.
const WARNING_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        // 1994-11-06 08:49:37
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, server, expected) in [
            ("0", None, Some(0)),
            ("17", None, Some(17)),
            (" 17 ", None, Some(17)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, Some(60)),
            ("Sun, 06 Nov 1994 08:40:37 GMT", None, Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", None, Some(86_400)),
            ("Sat, 01 Jan 2000 00:00:10 GMT", Some("Sat, 01 Jan 2000 00:00:00 GMT"), Some(10)),
            ("Wed, 01 Mar 2000 00:00:00 GMT", Some("Mon, 28 Feb 2000 00:00:00 GMT"), Some(2 * 86_400)),
            ("", None, None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", None, None),
            ("Sun, 06 Now 1994 08:50:37 GMT", None, None),
            ("Sun, 99 Nov 1994 08:50:37 GMT", None, None),
            ("Sun, 06 Nov 99999999999 08:50:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50 GMT", None, None),
        ] {
            let mut fields = vec![(RETRY_AFTER, value)];
            fields.extend(server.map(|date| (DATE, date)));
            assert_eq!(retry_after(&headers(&fields), now), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn dates_are_counted_right() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(date(text), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn the_next_page_is_found() {
        for (values, expected) in [
            (&[r#"</v2/a/tags/list?n=2&last=b>; rel="next""#][..], Some("/v2/a/tags/list?n=2&last=b")),
            (&["</v2/x>; rel=next"], Some("/v2/x")),
            (&["</v2/x>;REL=Next"], Some("/v2/x")),
            (&[r#"/v2/x; rel="next""#], Some("/v2/x")),
            (&[r#"</a>; rel="prev", </b>; rel="next""#], Some("/b")),
            (&[r#"</a>; rel="prev""#, r#"</b>; rel="next""#], Some("/b")),
            (&[r#"</a,b;c>; title="x, y"; rel="last next""#], Some("/a,b;c")),
            (&[r#"</a>; title="</b>; rel=next, x""#], None),
            (&[r#"</a>; rel="nextish""#], None),
            (&["</a>"], None),
            (&["<>; rel=next"], None),
            (&["; rel=next"], None),
            (&["</a; rel=next"], None),
            (&["<"], None),
            (&["", ", ,"], None),
            (&[], None),
        ] {
            let fields: Vec<_> = values.iter().map(|value| (LINK, *value)).collect();
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(name, value.parse().expect("a header value"));
            }
            assert_eq!(link_next(&map).as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn warnings_are_texts() {
        for (value, expected) in [
            (r#"299 - "tag is old""#, &["tag is old"][..]),
            (r#"299 - "one", 299 - "two""#, &["one", "two"]),
            (r#"299 - "a \"b\" \\c" "Sun, 06 Nov 1994 08:49:37 GMT", 299 - "d""#, &[r#"a "b" \c"#, "d"]),
            (r#"199 - "other", 299 r.example:80 "named""#, &["named"]),
            (r#"299 - "open"#, &["open"]),
            (r#"299 - """#, &[]),
            ("299 - text", &[]),
            ("", &[]),
        ] {
            assert_eq!(warnings(&headers(&[(WARNING, value)])), expected, "{value}");
        }
        let long = format!(r#"299 - "{}""#, "x".repeat(10_000));
        assert_eq!(warnings(&headers(&[(WARNING, &long)]))[0].len(), WARNING_BYTES);
        let many = r#"299 - "x","#.repeat(100);
        assert_eq!(warnings(&headers(&[(WARNING, &many)])).len(), WARNINGS);
    }

    fn named(fields: &[(&'static str, &str)]) -> HeaderMap {
        let name = |name| HeaderName::from_static(name);
        fields.iter().map(|(key, value)| (name(key), value.parse().expect("a header value"))).collect()
    }

    #[test]
    fn requests_have_numbers() {
        for (fields, expected) in [
            (vec![("x-request-id", " 4f2a ")], Some("4f2a")),
            (vec![("cf-ray", "8a-FRA"), ("x-amzn-requestid", "11-22")], Some("11-22")),
            (vec![("x-request-id", "")], None),
            (vec![("x-other", "1")], None),
        ] {
            assert_eq!(request_id(&named(&fields)).as_deref(), expected, "{fields:?}");
        }
        let long = "x".repeat(10_000);
        assert!(request_id(&named(&[("x-request-id", &long)])).is_some_and(|id| id.len() < 1_000));
    }

    #[test]
    fn allowances_are_read() {
        let allowance = |limit, remaining, window: Option<u64>| {
            Some(Allowance { limit, remaining, window: window.map(Duration::from_secs) })
        };
        for (fields, expected) in [
            (
                vec![("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")],
                allowance(100, Some(76), Some(21_600)),
            ),
            (vec![("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "0")], allowance(60, Some(0), None)),
            (vec![("ratelimit-limit", "100;w=0")], allowance(100, None, None)),
            (vec![("ratelimit-limit", "100;w=soon"), ("ratelimit-remaining", "few")], allowance(100, None, None)),
            (vec![("ratelimit-remaining", "76")], None),
            (vec![("ratelimit-limit", "")], None),
            (vec![("ratelimit-limit", "-1")], None),
            (vec![("ratelimit-limit", "99999999999999999999")], None),
        ] {
            assert_eq!(super::allowance(&named(&fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn ranges_are_strict() {
        for (value, expected) in [
            ("bytes 0-99/100", Some((0, 99, Some(100)))),
            ("Bytes 5-5/*", Some((5, 5, None))),
            ("bytes 0-100/100", None),
            ("bytes 9-5/100", None),
            ("bytes */100", None),
            ("bytes +1-5/100", None),
            ("items 0-9/10", None),
            ("bytes 0-99999999999999999999/*", None),
            ("0-9/10", None),
        ] {
            let expected = expected.map(|(first, last, size)| ContentRange { first, last, size });
            assert_eq!(content_range(&headers(&[(CONTENT_RANGE, value)])), expected, "{value}");
        }
        for (value, expected) in [
            ("bytes */100", Some(100)),
            ("Bytes */0", Some(0)),
            ("bytes 0-9/100", None),
            ("bytes */*", None),
            ("bytes */99999999999999999999", None),
            ("*/100", None),
        ] {
            assert_eq!(unsatisfied_range(&headers(&[(CONTENT_RANGE, value)])), expected, "{value}");
        }
        for (value, expected) in [
            ("0-1023", Some((0, 1023))),
            ("bytes=0-1023", Some((0, 1023))),
            ("0-0", Some((0, 0))),
            ("1023", None),
            ("0-", None),
            ("-5", None),
            ("5-1", None),
            ("0--1", None),
        ] {
            assert_eq!(range(&headers(&[(RANGE, value)])), expected, "{value}");
        }
    }
}
