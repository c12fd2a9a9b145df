//! Rules: how one registry differs from the specification.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};

use super::super::guard::Guard;
use super::super::pattern::Pattern;
use super::super::reply::Reply;

/// One way in which a registry differs.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    /// The row of `docs/registries.md`.
    pub(crate) quirk: &'static str,
    /// Which requests it is about.
    pub(crate) on: &'static str,
    pub(crate) play: Act,
}

/// What a rule does.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Answers in the registry's place, or lets the request pass.
    Instead(fn(&Asked<'_>) -> Option<Reply>),
    /// Changes what the registry, its door or its token service answers.
    After(fn(&Asked<'_>, &mut Answer)),
}

/// An answer on its way back.
pub(crate) type Answer = Response<Bytes>;

/// A request that a rule looks at.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// The path and the query.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    pub(crate) stage: &'a Stage,
}

impl Rule {
    /// Answers in the registry's place where `act` says so.
    pub(crate) const fn instead(quirk: &'static str, on: &'static str, act: fn(&Asked<'_>) -> Option<Reply>) -> Self {
        Self { quirk, on, play: Act::Instead(act) }
    }

    /// Changes the answer.
    pub(crate) const fn after(quirk: &'static str, on: &'static str, act: fn(&Asked<'_>, &mut Answer)) -> Self {
        Self { quirk, on, play: Act::After(act) }
    }

    /// Says whether the rule is about a request.
    pub(crate) fn is_about(&self, method: &Method, target: &str) -> bool {
        Pattern::new(self.on).matches(method, target)
    }
}

impl Asked<'_> {
    /// Returns the path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// Returns the host that is asked, and its port where there is one, as the request has them.
    pub(crate) fn host<'a>(&'a self, uri: &'a Uri) -> &'a str {
        uri.authority().map_or_else(|| self.header("host"), |authority| authority.as_str())
    }

    /// Returns a header as text; absent is empty.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Returns the first and the last byte of `Content-Range`, as the specification writes it.
    pub(crate) fn content_range(&self) -> Option<(u64, u64)> {
        let (first, last) = self.header("content-range").split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }

    /// Returns the digest at the end of the target.
    pub(crate) fn digest(&self) -> &str {
        self.target.rsplit(['/', '=']).next().unwrap_or("")
    }

    /// Reads the body as a manifest's JSON.
    pub(crate) fn manifest(&self) -> serde_json::Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }
}

/// What the rules of one registry share.
pub(crate) struct Stage {
    /// `https://` and the registry's name, with its port where that is not the usual one.
    pub(crate) origin: String,
    /// The origin of the token service; mostly the same.
    pub(crate) tokens: String,
    /// The origin that has the blobs, where that is another one.
    pub(crate) storage: Option<String>,
    pub(crate) guard: Option<Guard>,
    pub(super) book: Mutex<BTreeMap<String, u64>>,
}

impl Stage {
    /// Counts: 1, 2, 3 …
    pub(crate) fn turn(&self, what: &str) -> u64 {
        let mut book = self.book.lock().expect("no test panics in here");
        let turn = book.entry(what.to_owned()).or_default();
        *turn += 1;
        *turn
    }

    /// Notes a number under a name.
    pub(crate) fn note(&self, what: &str, number: u64) {
        self.book.lock().expect("no test panics in here").insert(what.to_owned(), number);
    }

    /// Returns what was noted or counted.
    pub(crate) fn noted(&self, what: &str) -> Option<u64> {
        self.book.lock().expect("no test panics in here").get(what).copied()
    }
}
