//! Every check there is.

use super::rule::Rule;
use super::{
    blobs, chunks, deletion, errors, manifests, manners, mounts, ping, ranges, referrers, sessions, tagging, tags,
    uploads,
};
use crate::conformance::Check;

/// A check as the catalogue has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The check.
    pub check: Check,
    /// Whether it is made once for each algorithm.
    pub by_algorithm: bool,
    /// Why the official suite passes what this check finds broken.
    pub unseen: Option<&'static str>,
}

/// Returns every check, in the order of the reports.
pub fn catalogue() -> Vec<Listed> {
    let listed =
        |rule: &'static Rule| Listed { check: rule.check, by_algorithm: is_by_algorithm(rule), unseen: rule.unseen };
    rules().map(listed).collect()
}

/// Says whether a rule is checked once for each algorithm.
pub(super) fn is_by_algorithm(rule: &Rule) -> bool {
    let areas: [&[&Rule]; 5] = [uploads::ALL, chunks::ALL, blobs::ALL, ranges::ALL, mounts::ALL];
    let others =
        [&manifests::PUT_DIGEST, &manifests::GET_DIGEST, &manifests::MISMATCH, &referrers::SUBJECT, &referrers::LIST];
    areas.into_iter().flatten().copied().chain(others).any(|other| other.check.id == rule.check.id)
}

pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    AREAS.iter().flat_map(|area| area.iter().copied())
}

static AREAS: &[&[&Rule]] = &[
    ping::ALL,
    uploads::ALL,
    chunks::ALL,
    sessions::ALL,
    blobs::ALL,
    ranges::ALL,
    mounts::ALL,
    manifests::ALL,
    tagging::ALL,
    tags::ALL,
    referrers::ALL,
    deletion::ALL,
    errors::ALL,
    manners::ALL,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::rules;

    #[test]
    fn checks_have_names_of_their_own_and_sentences() {
        let mut seen = BTreeSet::new();
        for rule in rules() {
            let check = &rule.check;
            assert!(seen.insert(check.id), "`{}` is there twice", check.id);
            let (area, what) = check.id.split_once('.').expect("an area and what is checked");
            let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            assert!(is_word(area) && is_word(what), "{}", check.id);
            assert!(check.endpoint.starts_with("end-"), "{}", check.id);
            assert!(!check.rule.ends_with('.') && !check.section.is_empty(), "{}", check.id);
        }
    }
}
