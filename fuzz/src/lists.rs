//! Lists that come in pages, and what is read in prose.

use http::HeaderValue;
use http::Uri;
use http::header::{CONTENT_TYPE, HeaderMap, LINK};
use spinreg::registry::fuzzing::{next_page, referrers, tags, title};
use spinreg::transport::fuzzing::asked_in_text;
use spinreg::transport::headers::link_next;

use crate::line;

/// A page of tags, or of referrers: its `Content-Type`, its `Link`, and the body.
pub fn pages(data: &[u8]) {
    let (content_type, rest) = line(data);
    let (link, body) = line(rest);
    let mut headers = HeaderMap::new();
    for (name, value) in [(CONTENT_TYPE, content_type), (LINK, link)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let here = Uri::from_static("https://r.example/v2/a/tags/list?n=2");
    match tags(&here, &headers, body) {
        Ok(tags) => assert!(tags.len() <= body.len(), "more tags than there is text"),
        Err(error) => assert!(error.to_string().len() < 4_000, "a refusal is short"),
    }
    match referrers(&here, &headers, body) {
        Ok(found) => {
            for referrer in found.into_iter().flatten() {
                let printed = serde_json::to_string(&referrer).expect("a descriptor is plain data");
                assert_eq!(serde_json::from_str(&printed).ok(), Some(referrer), "{printed}");
            }
        }
        Err(error) => assert!(error.to_string().len() < 4_000, "a refusal is short"),
    }
    if let Some(link) = link_next(&headers) {
        match next_page(&here, &link) {
            Ok(next) => {
                assert_eq!(next.host().map(str::to_ascii_lowercase).as_deref(), Some("r.example"), "{next}");
                assert!(next.authority().is_some_and(|authority| !authority.as_str().contains('@')), "{next}");
            }
            Err(error) => assert!(error.to_string().len() < 4_000, "a refusal is short"),
        }
    }
}

/// What people are meant to read: a wait in the text of a refusal, and the title of a page.
pub fn prose(data: &[u8]) {
    let shouted: Vec<u8> = data.iter().map(u8::to_ascii_uppercase).collect();
    assert!(asked_in_text(data).is_none() || shouted.windows(12).any(|text| text == b"RETRY-AFTER:"));
    if let Some(title) = title(data) {
        assert!(!title.trim().is_empty() && title.chars().count() <= 301, "{title:?}");
        assert!(!title.contains(char::is_control), "{title:?}");
    }
}
