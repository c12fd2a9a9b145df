//! What a run comes to.

use crate::conformance::{Level, Outcome, Report, Status};

/// What a run comes to, and how a process should end after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is broken.
    Passed,
    /// Something is.
    Failed,
    /// Nothing was judged: everything is switched off or filtered out.
    Nothing,
}

impl Verdict {
    /// The word in the reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Nothing => "nothing judged",
        }
    }
}

/// Which precise checks make a run fail, beside every official verdict of `FAIL` and `Error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// What the specification says with MUST.
    #[default]
    Must,
    /// What it says with SHOULD as well.
    Should,
}

impl Strictness {
    /// Says whether breaking a rule of this level is a failure.
    pub fn minds(self, level: Level) -> bool {
        match level {
            Level::Must => true,
            Level::Should => self == Self::Should,
            Level::May => false,
        }
    }
}

impl Report {
    /// Says what the run comes to.
    pub fn verdict(&self, strictness: Strictness) -> Verdict {
        let official = self.steps.iter().map(|step| step.status).chain(self.apis.values().copied());
        let official = official.chain(self.data.values().copied()).max().unwrap_or_default();
        let minded = |finding: &&crate::conformance::Finding| strictness.minds(finding.check.level);
        let broken = self.findings.iter().filter(minded).any(|finding| finding.outcome == Outcome::Broken);
        let judged = self.findings.iter().any(|finding| matches!(finding.outcome, Outcome::Met | Outcome::Broken));
        if official.is_bad() || broken {
            Verdict::Failed
        } else if official >= Status::Skip || judged {
            Verdict::Passed
        } else {
            Verdict::Nothing
        }
    }
}

impl Status {
    /// Says whether it is `FAIL` or `Error`.
    pub fn is_bad(self) -> bool {
        self >= Self::Fail
    }
}

impl Level {
    /// The word of RFC 2119.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

impl Outcome {
    /// The word in the reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Broken => "broken",
            Self::Unsupported => "unsupported",
            Self::Blocked(_) => "blocked",
            Self::Disabled => "disabled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::report::sample::finding;
    use crate::conformance::{Api, DataSet};

    fn report(apis: &[Status], data: &[Status], findings: &[(Level, Outcome)]) -> Report {
        Report {
            apis: Api::ALL.iter().copied().zip(apis.iter().copied()).collect(),
            data: DataSet::ALL.iter().copied().zip(data.iter().copied()).collect(),
            findings: findings.iter().map(|(level, outcome)| finding("a.b", *level, outcome.clone())).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn a_run_fails_by_official_verdicts_and_by_what_must_hold() {
        use Level::{May, Must, Should};
        use Outcome::{Blocked, Broken, Disabled, Met, Unsupported};
        use Status::{Error, Fail, Pass, Skip};
        use Verdict::{Failed, Nothing, Passed};
        for (report, lenient, strict) in [
            (report(&[], &[], &[]), Nothing, Nothing),
            (report(&[Status::Disabled], &[Status::Unknown], &[(Must, Disabled)]), Nothing, Nothing),
            (report(&[], &[], &[(Must, Unsupported), (Must, Blocked("a.c"))]), Nothing, Nothing),
            (report(&[Pass, Skip], &[Pass], &[(Must, Met), (Must, Unsupported)]), Passed, Passed),
            (report(&[Pass, Fail], &[Pass], &[]), Failed, Failed),
            (report(&[Pass], &[Error], &[]), Failed, Failed),
            (report(&[Pass], &[Pass], &[(Must, Broken)]), Failed, Failed),
            (report(&[Pass], &[Pass], &[(Should, Broken)]), Passed, Failed),
            (report(&[Pass], &[Pass], &[(May, Broken)]), Passed, Passed),
            (report(&[], &[], &[(Should, Broken)]), Passed, Failed),
        ] {
            assert_eq!(report.verdict(Strictness::Must), lenient, "{report:?}");
            assert_eq!(report.verdict(Strictness::Should), strict, "{report:?}");
        }
    }
}
