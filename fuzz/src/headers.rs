//! Header fields with a grammar of their own.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_RANGE, DATE, HeaderMap, HeaderName, HeaderValue, LINK, RANGE, RETRY_AFTER, WARNING};
use spinreg::serve::fuzzing::{chunk, wanted};
use spinreg::transport::headers::{content_range, link_next, range, retry_after as wait, warnings};
use spinreg::transport::resolve;

use crate::line;

fn headers(fields: &[(HeaderName, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.append(name, value);
        }
    }
    map
}

/// `Link` and `Warning`, one field a line.
pub fn link(data: &[u8]) {
    let lines = || data.split(|byte| *byte == b'\n');
    if let Some(next) = link_next(&headers(&lines().map(|line| (LINK, line)).collect::<Vec<_>>())) {
        assert!(!next.is_empty(), "the next page is another one");
        assert!(data.windows(next.len()).any(|part| part == next.as_bytes()), "a reference that was not there");
        let base = http::Uri::from_static("https://r.example/v2/a/tags/list");
        if let Ok(uri) = resolve(&base, &next) {
            assert!(uri.host().is_some(), "{uri}");
        }
    }
    let shown = warnings(&headers(&lines().map(|line| (WARNING, line)).collect::<Vec<_>>()));
    assert!(shown.len() <= 16, "warnings are bounded");
    for text in shown {
        assert!(text.len() <= 4096 + 3 && !text.contains(char::is_control), "{text:?}");
    }
}

/// `Range` and `Content-Range`, as the client and as the registry read them: a size, and the field.
pub fn ranges(data: &[u8]) {
    let (size, field) = line(data);
    let size = std::str::from_utf8(size).ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    if let Some(part) = content_range(&headers(&[(CONTENT_RANGE, field)])) {
        assert!(part.first <= part.last && part.size.is_none_or(|size| part.last < size), "{part:?}");
    }
    if let Some((first, last)) = range(&headers(&[(RANGE, field)])) {
        assert!(first <= last);
    }
    let Ok(field) = std::str::from_utf8(field) else { return };
    if let Some((first, last)) = wanted(field, size) {
        assert!(first <= last && last < size, "{first}-{last} of {size}");
    }
    if let Some((first, length)) = chunk(field) {
        assert!(length > 0 && first.checked_add(length - 1).is_some(), "{first}+{length}");
    }
}

/// `Retry-After`, and the server's `Date` on the second line.
pub fn retry_after(data: &[u8]) {
    let (field, date) = line(data);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let alone = wait(&headers(&[(RETRY_AFTER, field)]), now);
    let dated = wait(&headers(&[(RETRY_AFTER, field), (DATE, date)]), now);
    assert_eq!(alone.is_some(), dated.is_some(), "the clock says how long, not whether");
    if let Some(alone) = alone
        && !field.trim_ascii().iter().all(u8::is_ascii_digit)
    {
        assert!(alone < Duration::from_secs(8_000 * 366 * 86_400), "a date has four digits for the year");
    }
}
