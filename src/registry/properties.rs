//! What holds for every list that a registry answers with, not just those that somebody thought of.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::pages::{self, Page};
use super::{referrers, response, tags};
use crate::error::RequestLine;
use crate::model::{Descriptor, MediaType, Tag};

fn line() -> RequestLine {
    RequestLine::new(&Method::GET, &Uri::from_static("https://r.example/v2/a/tags/list?n=2"))
}

fn page(content_type: &str, body: impl Into<bytes::Bytes>) -> Page {
    let mut headers = HeaderMap::new();
    headers.extend(HeaderValue::from_str(content_type).ok().map(|value| (CONTENT_TYPE, value)));
    Page { line: line(), headers, body: body.into() }
}

proptest! {
    /// Tags come out in the order of the registry, and what is no tag does not.
    #[test]
    fn lists_of_tags_keep_their_order(texts in vec("[a-zA-Z0-9_.-]{1,130}|[ -~]{0,9}", 0..12), extra in "[a-z]{1,6}") {
        let body = json!({ "name": "a", &extra: null, "tags": texts });
        let listed = tags::parse(&page("application/json", body.to_string())).expect("a list");
        let expected: Vec<Tag> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        prop_assert_eq!(listed, expected);
    }

    /// Referrers come out as they were written; under another type they are none.
    #[test]
    fn lists_of_referrers_are_told_by_their_type(contents in vec("[a-z]{0,6}", 0..6), kind in "[a-z]{1,5}/[a-z.+]{1,9}") {
        let written: Vec<Descriptor> = contents
            .iter()
            .map(|content| Descriptor::of(MediaType::IMAGE_MANIFEST, content.as_bytes()))
            .collect();
        let body = json!({ "schemaVersion": 2, "manifests": written }).to_string();
        let listed = referrers::parse(&page(MediaType::IMAGE_INDEX.as_str(), body.clone())).expect("a list");
        prop_assert_eq!(listed, Some(written));
        prop_assert!(referrers::parse(&page(&kind, body)).expect("something else").is_none());
    }

    /// Whatever answers: there is a list, or a short complaint.
    #[test]
    fn other_answers_are_refused(
        body in "[\\[\\]{}\",: a-z0-9<>]{0,40}|\\{\"tags\":[\\[\\]\",a-z{}]{0,20}\\}|\\{\"manifests\":[\\[\\]\",a-z{}]{0,20}\\}",
    ) {
        let index = MediaType::IMAGE_INDEX;
        for content_type in ["application/json", index.as_str(), "text/html", ""] {
            let page = page(content_type, body.clone());
            for error in tags::parse(&page).err().into_iter().chain(referrers::parse(&page).err()) {
                prop_assert!(error.to_string().len() < 2_000, "{}", error);
            }
        }
    }

    /// No link leads to another server, or carries a user along.
    #[test]
    fn pages_stay_on_their_server(link in "(https?:|ftp:)?/{0,3}([a-z]{1,3}@)?(r\\.example|[a-z.]{1,9})?(:[0-9]{1,5})?[!-~]{0,16}") {
        if let Ok(next) = pages::follow(&line(), &link) {
            let authority = next.authority().expect("an absolute URI");
            prop_assert!(authority.host().eq_ignore_ascii_case("r.example"), "{}", next);
            prop_assert!(!authority.as_str().contains('@'), "{}", next);
        }
    }

    /// A title is one short line without control characters.
    #[test]
    fn titles_are_lines(before in "[ -~\n]{0,20}", title in "[ -~\n\t\u{0}\u{1b}\u{9b}\u{e9}]{0,400}", after in "(</title>)?[ -~]{0,9}") {
        let text = format!("{before}<title>{title}{after}");
        if let Some(title) = response::title(text.as_bytes()) {
            prop_assert!(!title.contains(char::is_control) && title.chars().count() <= 301, "{:?}", title);
        }
    }
}
