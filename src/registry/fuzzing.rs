//! A door for `fuzz/` to the upload plan. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use http::{HeaderMap, StatusCode, Uri};

use super::upload_answer::Answer;
use super::upload_plan::{Mount, Next, Plan, Verdict};
use crate::model::Digest;

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
            Next::Put { bytes, .. } | Next::Patch { bytes, .. } => Some(bytes),
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
