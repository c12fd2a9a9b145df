//! Failures that are one and the same, put together for people. Pure.

use super::causes::Cause;
use crate::conformance::{Finding, Outcome};

/// Puts causes together that say the same, in the order of the first of each.
pub(super) fn alike<'a, 'b>(causes: &'b [Cause<'a>]) -> Vec<Vec<&'b Cause<'a>>> {
    let said = |cause: &Cause<'_>| {
        let reasons: Vec<String> = cause.step.reasons.iter().map(|reason| gist(reason)).collect();
        (cause.step.status, reasons)
    };
    let mut groups: Vec<Vec<&Cause<'a>>> = Vec::new();
    for cause in causes {
        match groups.iter_mut().find(|group| !cause.step.reasons.is_empty() && said(group[0]) == said(cause)) {
            Some(group) => group.push(cause),
            None => groups.push(vec![cause]),
        }
    }
    groups
}

/// Puts the broken checks together that are the same for both algorithms.
pub(super) fn broken(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let gists = |finding: &Finding| finding.notes.iter().map(|note| gist(note)).collect::<Vec<_>>();
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.outcome == Outcome::Broken) {
        match groups.last_mut() {
            Some(group) if group[0].check.id == finding.check.id && gists(group[0]) == gists(finding) => {
                group.push(finding);
            }
            _ => groups.push(vec![finding]),
        }
    }
    groups
}

/// Leaves out what differs from one piece of content to the next: digests, and what is as long and random.
fn gist(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let letters = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_random = letters.len() >= RANDOM && letters.bytes().all(|b| b.is_ascii_hexdigit());
        match letters {
            "sha256" | "sha512" => out.push('#'),
            _ if is_random => out.push('#'),
            _ => out.push_str(letters),
        }
        out.push_str(&word[letters.len()..]);
    }
    out
}

/// Hexadecimal digits from which on a word is that of a digest, whole or shortened.
const RANDOM: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::report::sample::finding;
    use crate::conformance::{Level, Status, Step};

    #[test]
    fn digests_are_no_difference() {
        for (one, other, same) in [
            ("wanted 201, got 500", "wanted 201, got 500", true),
            ("wanted 201, got 500", "wanted 201, got 503", false),
            ("`sha256:0123456789ab…` is there", "`sha512:ba9876543210…` is there", true),
            ("the tag `decade`", "the tag `facade`", false),
        ] {
            assert_eq!(gist(one) == gist(other), same, "{one}; {other}");
        }
    }

    #[test]
    fn what_says_the_same_is_together() {
        let step = |reasons: &[&str]| Step {
            status: Status::Fail,
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            ..Step::default()
        };
        let steps = [step(&["a"]), step(&["b"]), step(&["a"]), step(&[]), step(&[])];
        let causes: Vec<Cause<'_>> =
            steps.iter().enumerate().map(|(index, step)| Cause { index, step, blocked: Vec::new() }).collect();
        let groups = alike(&causes);
        let indices: Vec<Vec<usize>> =
            groups.iter().map(|group| group.iter().map(|cause| cause.index).collect()).collect();
        assert_eq!(indices, [vec![0, 2], vec![1], vec![3], vec![4]]);
    }

    #[test]
    fn both_algorithms_of_a_check_are_one() {
        let broken = |id, note: &str| {
            let mut broken = finding(id, Level::Must, Outcome::Broken);
            broken.notes = vec![note.to_owned()];
            broken
        };
        let met = finding("a.b", Level::Must, Outcome::Met);
        let findings = [broken("a.b", "x"), broken("a.b", "x"), met, broken("a.b", "y"), broken("a.c", "y")];
        let sizes: Vec<usize> = super::broken(&findings).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
