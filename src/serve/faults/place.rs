//! Which exchanges a fault is for.

use std::sync::atomic::{AtomicU64, Ordering};

use http::header::HeaderName;
use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

/// Where a fault happens: every condition that is there has to hold.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) methods: Vec<Method>,
    pub(super) path: Option<String>,
    pub(super) not: Option<String>,
    pub(super) with: Option<(HeaderName, String)>,
    pub(super) without: Option<HeaderName>,
    pub(super) when: Option<StatusCode>,
    pub(super) after: u64,
    pub(super) times: Option<u64>,
    count: AtomicU64,
}

impl Place {
    /// Says whether a request is one of those meant.
    pub(super) fn is_at(&self, parts: &Parts) -> bool {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = percent_decode_str(target).decode_utf8_lossy();
        let header = |name: &HeaderName| parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        (self.methods.is_empty() || self.methods.contains(&parts.method))
            && self.path.as_ref().is_none_or(|pattern| matches(pattern, &target))
            && !self.not.as_ref().is_some_and(|pattern| matches(pattern, &target))
            && self.with.as_ref().is_none_or(|(name, pattern)| header(name).is_some_and(|text| matches(pattern, &text)))
            && self.without.as_ref().is_none_or(|name| header(name).is_none())
    }

    /// Counts an exchange, and says whether it is this one's turn.
    pub(super) fn is_turn(&self) -> bool {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        count >= self.after && self.times.is_none_or(|times| count - self.after < times)
    }
}

/// Compares a text with a pattern in which `*` stands for anything, also for nothing.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|start| text.strip_prefix(start)) else { return false };
    let Some(end) = parts.next_back() else { return rest.is_empty() };
    let mut rest = rest;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("/v2/*/blobs/*", "/v2/a/b/blobs/sha256:00", true),
            ("/v2/*/blobs/*", "/v2/a/manifests/v1", false),
            ("*b*b*", "abab", true),
            ("*b*b*b", "abab", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn every_condition_has_to_hold() {
        let request = Request::put("/v2/a/blobs/uploads/1?digest=sha256%3Aab").header("content-range", "0-9");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let range = http::header::CONTENT_RANGE;
        for (place, expected) in [
            (Place::default(), true),
            (Place { methods: vec![Method::PUT, Method::GET], ..Place::default() }, true),
            (Place { methods: vec![Method::GET], ..Place::default() }, false),
            (Place { path: Some("*digest=sha256:a*".into()), ..Place::default() }, true),
            (Place { not: Some("*sha256:*".into()), ..Place::default() }, false),
            (Place { with: Some((range.clone(), "0-*".into())), ..Place::default() }, true),
            (Place { with: Some((range.clone(), "1-*".into())), ..Place::default() }, false),
            (Place { without: Some(range), ..Place::default() }, false),
            (Place { without: Some(http::header::RANGE), ..Place::default() }, true),
        ] {
            assert_eq!(place.is_at(&parts), expected, "{place:?}");
        }
    }

    #[test]
    fn turns_are_counted() {
        let place = Place { after: 1, times: Some(2), ..Place::default() };
        assert_eq!([(); 5].map(|()| place.is_turn()), [false, true, true, false, false]);
    }
}
