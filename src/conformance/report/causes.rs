//! Cause before cascade: which failed steps failed by themselves, and which only because another one had.

use std::collections::BTreeMap;

use crate::conformance::{Report, Step};

/// A step that failed by itself, and what could not hold after it.
#[derive(Debug)]
pub(super) struct Cause<'a> {
    /// Its place in [`Report::steps`].
    pub(super) index: usize,
    pub(super) step: &'a Step,
    /// The steps that failed because of it, and their places.
    pub(super) blocked: Vec<(usize, &'a Step)>,
}

/// Returns the causes in the order of the steps. Every failed step is either one of them or blocked by exactly one.
pub(super) fn causes(report: &Report) -> Vec<Cause<'_>> {
    // Names repeat within a set: the first that failed under a name is meant.
    let mut named: BTreeMap<&[String], usize> = BTreeMap::new();
    let failed: Vec<_> = report.steps.iter().enumerate().filter(|(_, step)| step.status.is_bad()).collect();
    for (index, step) in &failed {
        named.entry(&step.path).or_insert(*index);
    }
    let mut causes: BTreeMap<usize, Cause<'_>> = BTreeMap::new();
    let mut cascade = Vec::new();
    for (index, step) in failed {
        match root(report, &named, index) {
            None => drop(causes.insert(index, Cause { index, step, blocked: Vec::new() })),
            Some(root) => cascade.push((root, index, step)),
        }
    }
    for (root, index, step) in cascade {
        if let Some(cause) = causes.get_mut(&root) {
            cause.blocked.push((index, step));
        }
    }
    causes.into_values().collect()
}

/// Returns the step at the beginning of the chain that blocks this one; none where nothing that failed does, or where
/// the chain is a circle.
fn root(report: &Report, named: &BTreeMap<&[String], usize>, index: usize) -> Option<usize> {
    let mut at = index;
    for _ in 0..report.steps.len() {
        let blocking = report.steps[at].blocked_by.as_deref().and_then(|path| named.get(path)).copied();
        match blocking {
            None => return Some(at).filter(|at| *at != index),
            Some(blocking) if blocking == at => return Some(at).filter(|at| *at != index),
            Some(blocking) => at = blocking,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Status;

    fn step(name: &str, status: Status, blocked_by: Option<&str>) -> Step {
        let path = |name: &str| vec!["set".to_owned(), name.to_owned()];
        Step { path: path(name), status, blocked_by: blocked_by.map(path), ..Step::default() }
    }

    #[test]
    fn every_failed_step_stands_once() {
        use Status::{Error, Fail, Pass};
        for (steps, expected) in [
            (vec![("a", Pass, None)], vec![]),
            (vec![("a", Fail, None), ("b", Fail, Some("a")), ("c", Error, Some("b"))], vec![(0, vec![1, 2])]),
            // Blocked by what did not fail: it has to answer for itself.
            (vec![("a", Pass, None), ("b", Fail, Some("a"))], vec![(1, vec![])]),
            (vec![("b", Fail, Some("nowhere"))], vec![(0, vec![])]),
            // Not failed at all, whatever blocks it.
            (vec![("a", Fail, None), ("b", Pass, Some("a"))], vec![(0, vec![])]),
            // The same name twice.
            (vec![("a", Fail, None), ("a", Fail, None), ("b", Fail, Some("a"))], vec![(0, vec![2]), (1, vec![])]),
            // A circle has no beginning.
            (vec![("a", Fail, Some("b")), ("b", Fail, Some("a"))], vec![(0, vec![]), (1, vec![])]),
            (vec![("a", Fail, Some("a")), ("a", Fail, Some("a"))], vec![(0, vec![1])]),
        ] {
            let steps = steps.into_iter().map(|(name, status, by)| step(name, status, by)).collect();
            let report = Report { steps, ..Report::default() };
            let found: Vec<_> = causes(&report)
                .iter()
                .map(|cause| (cause.index, cause.blocked.iter().map(|(index, _)| *index).collect::<Vec<_>>()))
                .collect();
            assert_eq!(found, expected, "{:?}", report.steps);
        }
    }
}
