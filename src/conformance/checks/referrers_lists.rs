//! Lists of referrers, read page by page.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;

use super::super::answer::Answer;
use super::bench::Bench;
use super::manners::{below_host, next};
use super::rule::{Fall, Verdict, ensure, seen_in, unsupported};
use crate::model::Digest;

/// What the registry says refers to something.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) pages: Vec<Answer>,
    pub(super) bodies: Vec<Value>,
    /// Whether `Link` led to a page that came before.
    pub(super) repeats: bool,
}

impl Listing {
    /// Returns the descriptors of all pages.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &Value> {
        self.bodies.iter().flat_map(|body| body["manifests"].as_array().into_iter().flatten())
    }

    /// Finds the descriptor of a manifest.
    pub(super) fn find(&self, digest: &Digest) -> Option<&Value> {
        let digest = digest.to_string();
        self.descriptors().find(|descriptor| descriptor["digest"] == digest.as_str())
    }

    /// Counts the descriptors of a manifest.
    pub(super) fn count(&self, digest: &Digest) -> usize {
        let digest = digest.to_string();
        self.descriptors().filter(|descriptor| descriptor["digest"] == digest.as_str()).count()
    }

    /// Says that a page shows what is wrong: the one with this manifest, or the last one.
    pub(super) fn seen(&self, digest: Option<&Digest>, verdict: Verdict) -> Verdict {
        let text = digest.map(Digest::to_string);
        let has = |body: &Value| {
            let list = body["manifests"].as_array().into_iter().flatten();
            text.is_some() && list.into_iter().any(|descriptor| descriptor["digest"].as_str() == text.as_deref())
        };
        let page = self.pages.iter().zip(&self.bodies).find(|(_, body)| has(body)).map(|(page, _)| page);
        match page.or(self.pages.last()) {
            Some(page) => seen_in(page, verdict),
            None => verdict,
        }
    }

    /// Says what cannot be read.
    pub(super) fn read(&self) -> Verdict {
        for (page, body) in self.pages.iter().zip(&self.bodies) {
            super::bench::expect(page, StatusCode::OK)?;
            seen_in(page, ensure(body["manifests"].is_array(), || "the body is no index".to_owned()))?;
        }
        Ok(())
    }
}

/// Reads what refers to a digest, with all pages. A registry that answers with 404 has no such API.
pub(super) async fn list(bench: &Bench, subject: &Digest, query: &str) -> Result<Listing, Fall> {
    let mut target = format!("/v2/{}/referrers/{subject}{query}", bench.name);
    let (mut listing, mut visited) = (Listing::default(), BTreeSet::new());
    while visited.insert(below_host(&target).to_owned()) {
        let answer = bench.get(&target).await;
        if answer.is(StatusCode::NOT_FOUND) {
            return unsupported("there is no referrers API: it is answered with 404");
        }
        let link = next(&answer);
        listing.bodies.push(answer.json().unwrap_or_default());
        listing.pages.push(answer);
        match link {
            Some(link) if visited.len() < MOST_PAGES => target = link,
            _ => return Ok(listing),
        }
    }
    listing.repeats = true;
    Ok(listing)
}

/// How many pages of a list are read.
const MOST_PAGES: usize = 100;
