//! Doors for `fuzz/` to the parsers of this floor. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use http::{Method, Uri};

pub use super::access::fuzzing::{Shown, allowed, authorization, htpasswd, is_taken, token};

use super::{range, route};

/// The route of a request, for people; or the status of the refusal.
pub fn route(method: &Method, uri: &Uri) -> Result<String, u16> {
    route::route(method, uri).map(|route| format!("{route:?}")).map_err(|refusal| refusal.status.as_u16())
}

/// Both ends of the part that a `Range` asks for, if it is one.
pub fn wanted(header: &str, size: u64) -> Option<(u64, u64)> {
    match range::wanted(Some(header), size) {
        range::Wanted::Part(first, last) => Some((first, last)),
        range::Wanted::Whole | range::Wanted::Nothing => None,
    }
}

/// The offset and the length of a chunk.
pub fn chunk(header: &str) -> Option<(u64, u64)> {
    range::chunk(header)
}
