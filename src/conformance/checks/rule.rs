//! Rules, and how they may fail to hold.

use super::super::answer::Answer;
use super::super::{Check, Exchange, Level};

/// A check as this code keeps it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) check: Check,
    /// Why the official suite says something else where this one is broken.
    pub(super) unseen: Option<&'static str>,
}

/// Why a rule does not hold. That it does is the `Ok` beside it.
#[derive(Clone, Debug)]
pub(super) enum Fall {
    /// It is broken, in a sentence; and the exchange that shows it, where that is not the last one.
    Broken(String, Option<Box<Exchange>>),
    /// The registry does without, as it may; in a sentence.
    Unsupported(String),
    /// The check of this name failed first.
    Blocked(&'static str),
}

/// What becomes of a check.
pub(super) type Verdict = Result<(), Fall>;

/// Breaks a rule.
pub(super) fn broken<T>(why: impl Into<String>) -> Result<T, Fall> {
    Err(Fall::Broken(why.into(), None))
}

/// Finds that the registry does without.
pub(super) fn unsupported<T>(why: impl Into<String>) -> Result<T, Fall> {
    Err(Fall::Unsupported(why.into()))
}

/// Blames another check.
pub(super) fn blocked<T>(by: &Rule) -> Result<T, Fall> {
    Err(Fall::Blocked(by.check.id))
}

/// Breaks a rule unless `holds`; `why` is asked only then.
pub(super) fn ensure(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { broken(why()) }
}

/// Says which answer shows that a rule is broken, where nothing nearer has said so.
pub(super) fn seen_in<T>(answer: &Answer, verdict: Result<T, Fall>) -> Result<T, Fall> {
    verdict.map_err(|fall| match fall {
        Fall::Broken(why, None) => Fall::Broken(why, Some(Box::new(answer.exchange.clone()))),
        fall => fall,
    })
}

impl Rule {
    /// Writes a rule down.
    pub(super) const fn new(
        id: &'static str,
        endpoint: &'static str,
        level: Level,
        section: &'static str,
        rule: &'static str,
    ) -> Self {
        Self { check: Check { id, endpoint, level, rule, section }, unseen: None }
    }

    /// Says why the official suite does not see it.
    pub(super) const fn unseen(self, why: &'static str) -> Self {
        Self { unseen: Some(why), ..self }
    }
}
