//! Doors for `fuzz/` to the upload plan, and to what registries answer. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::pages::Page;
use super::upload_answer::Answer;
use super::upload_plan::{Mount, Next, Plan, Verdict};
use super::{pages, referrers, response, tags};
use crate::error::{Error, RequestLine};
use crate::model::{Descriptor, Digest, Tag};

/// The tags of a page that came from `uri`.
pub fn tags(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Tag>, Error> {
    tags::parse(&page(uri, headers, body))
}

/// The referrers of a page that came from `uri`; `None` where it is none of the referrers API.
pub fn referrers(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Option<Vec<Descriptor>>, Error> {
    referrers::parse(&page(uri, headers, body))
}

/// Where the page after one that came from `uri` is.
pub fn next_page(uri: &Uri, link: &str) -> Result<Uri, Error> {
    pages::follow(&RequestLine::new(&Method::GET, uri), link)
}

fn page(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Page {
    let line = RequestLine::new(&Method::GET, uri);
    Page { line, headers: headers.clone(), body: Bytes::copy_from_slice(body) }
}

/// The title of a page of HTML.
pub fn title(body: &[u8]) -> Option<String> {
    response::title(body)
}

/// An upload, without anybody who sends it.
#[derive(Debug)]
pub struct Upload(Plan);

impl Upload {
    pub fn new(digest: Digest, size: u64, chunk: Option<u64>) -> Self {
        Self(Plan::new(digest, size, Mount::Anywhere, chunk))
    }

    /// The bytes that are to be sent next; `None` where the upload is done.
    pub fn next(&self) -> Option<std::ops::Range<u64>> {
        match self.0.next() {
            Next::Done(_) => None,
            Next::Put { bytes, .. } | Next::Stream { bytes, .. } | Next::Patch { bytes, .. } => Some(bytes),
            _ => Some(0..0),
        }
    }

    /// Says whether it goes on after this answer, and whether that needs a wait.
    pub fn answered(&mut self, base: &Uri, status: StatusCode, headers: &HeaderMap) -> (bool, bool) {
        let verdict = self.0.answered(&Answer::read(base, None, status, headers));
        (matches!(verdict, Verdict::Go | Verdict::Wait), verdict == Verdict::Wait)
    }

    /// As [`Upload::answered`], where the answer was lost.
    pub fn lost(&mut self) -> (bool, bool) {
        let verdict = self.0.lost();
        (matches!(verdict, Verdict::Go | Verdict::Wait), verdict == Verdict::Wait)
    }
}
