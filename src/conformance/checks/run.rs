//! All checks, one after the other.

use std::pin::pin;

use futures_util::future::{Either, select};

use super::bench::Bench;
use super::{
    blobs, catalogue, chunks, deletion, errors, manifests, manners, mounts, ping, ranges, referrers, sessions, tagging,
    tags, uploads,
};
use crate::conformance::{Exchange, Finding, Outcome, Probe, Unnamed};
use crate::model::{Algorithm, Name};

/// Where checks may leave their marks while they are made.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// The repository that content is pushed to, and removed from.
    pub repository: Name,
    /// Another one, that blobs are mounted from.
    pub other: Name,
    /// What may be done there.
    pub means: Means,
}

/// What checks may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Means {
    /// Everything.
    #[default]
    Push,
    /// Nothing may be pushed: what needs content of its own is [`Outcome::Disabled`].
    Read,
}

/// What all checks found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// One for each check, or for each check and algorithm, in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// What was pushed and could not be removed, as paths of the registry.
    pub leftovers: Vec<String>,
    /// Upload sessions that were opened and could not be given up, as URLs without what grants access.
    pub sessions: Vec<String>,
    /// Requests that may have opened an upload session whose place nobody was told.
    pub unnamed: Vec<Unnamed>,
    /// What changed the registry.
    pub(in crate::conformance) journal: Vec<Exchange>,
}

/// Makes every check, until `interrupted` is done: what is left then is [`Outcome::Disabled`], and what was pushed is
/// removed all the same. Where nobody answers, what is left is blocked by the first check.
///
/// **Requests**: some six hundred where everything is supported, one at a time but for two checks of what happens at
/// once. What was pushed is removed after each area, and upload sessions are given up in the end; what a registry keeps
/// all the same is named.
pub async fn check(probe: &Probe, grounds: &Grounds, interrupted: impl Future<Output = ()>) -> Findings {
    let bench = Bench::new(probe.clone(), grounds.repository.clone(), grounds.other.clone());
    // What is being asked is dropped, and what was found before stays.
    let rest = match select(pin!(areas(&bench, grounds.means)), pin!(interrupted)).await {
        Either::Left((rest, _)) => rest,
        Either::Right(_) => Outcome::Disabled,
    };
    bench.clean().await;
    let (findings, leftovers) = bench.finish();
    let journal = probe.journal();
    let sessions = probe.give_up().await;
    Findings { findings: complete(findings, &rest), leftovers, sessions, unnamed: probe.unnamed(), journal }
}

/// Makes the checks, and returns what becomes of those that were not made.
async fn areas(bench: &Bench, means: Means) -> Outcome {
    if !ping::run(bench).await {
        return Outcome::Blocked(ping::STATUS.check.id);
    }
    if means == Means::Read {
        return Outcome::Disabled;
    }
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        bench.column(Some(algorithm));
        uploads::algorithm(bench).await;
        uploads::run(bench).await;
        chunks::run(bench).await;
        blobs::run(bench).await;
        ranges::run(bench).await;
        mounts::run(bench).await;
        manifests::by_digest(bench).await;
        referrers::by_digest(bench).await;
    }
    bench.column(None);
    sessions::run(bench).await;
    manifests::run(bench).await;
    tagging::run(bench).await;
    tags::run(bench).await;
    referrers::run(bench).await;
    deletion::run(bench).await;
    errors::run(bench).await;
    manners::run(bench).await;
    Outcome::Disabled
}

/// Sorts findings as the catalogue has them, and adds those that were left out.
fn complete(mut found: Vec<Finding>, rest: &Outcome) -> Vec<Finding> {
    let mut sorted = Vec::new();
    for rule in catalogue::rules() {
        let (these, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|finding| finding.check.id == rule.check.id);
        found = others;
        if these.is_empty() {
            let (check, outcome) = (rule.check, rest.clone());
            let nothing = Finding {
                check,
                algorithm: None,
                outcome,
                notes: Vec::new(),
                differs: None,
                exchanges: Vec::new(),
                decisive: None,
            };
            sorted.push(nothing);
        }
        sorted.extend(these);
    }
    sorted
}
