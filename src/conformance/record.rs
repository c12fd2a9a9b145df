//! What a run leaves behind: every exchange, every step and every finding, ready to be printed in any form.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checks::Findings;
use super::journal::Trace;
use super::verdict::{Api, DataSet, Status};
use crate::model::{Algorithm, Registry};

/// All that one run found out. What prints it takes it by reference and adds nothing.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The settings of the run, as the official configuration writes them, credentials already replaced by stars.
    pub settings: BTreeMap<String, String>,
    /// The registry as `HOST[:PORT]`.
    pub registry: String,
    /// What the content was made from: the same seed makes the same.
    pub seed: u64,
    /// Every step of the official suite that was taken, in the order it was taken.
    pub steps: Vec<Step>,
    /// The verdict of each API; one that was never reached is absent.
    pub apis: BTreeMap<Api, Status>,
    /// The verdict of each data set; one that was never reached is absent.
    pub data: BTreeMap<DataSet, Status>,
    /// The precise checks, in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// What was pushed, or may have been, and could not be removed, as paths of the registry.
    pub leftovers: Vec<String>,
    /// Upload sessions that were opened and could not be given up, as URLs without what grants access.
    pub sessions: Vec<String>,
    /// Requests that may have opened an upload session whose place nobody was told, so that nobody can give it up.
    pub unnamed: Vec<Unnamed>,
    /// Why the run ended before all steps were taken; none if they were.
    pub aborted: Option<String>,
    /// How long all of it took.
    pub elapsed: Duration,
    /// What changed the registry, in the order in which it was over: what shows a failure again begins with some of it.
    pub(super) journal: Vec<Exchange>,
}

impl Report {
    /// Makes a report of precise checks alone, for those who do not take the official steps.
    pub fn of_checks(registry: &Registry, found: Findings) -> Self {
        let Findings { findings, leftovers, sessions, unnamed, journal } = found;
        Self { registry: registry.to_string(), findings, leftovers, sessions, unnamed, journal, ..Self::default() }
    }

    /// Returns the step or the check that made a request; none where it was not over when the run ended.
    pub(super) fn asker(&self, unnamed: &Unnamed) -> Option<String> {
        let asked = |exchanges: &[Exchange]| exchanges.iter().any(|exchange| exchange.trace.began == unnamed.began);
        let step = self.steps.iter().find(|step| asked(&step.exchanges)).map(|step| step.path.join("/"));
        let check = || self.findings.iter().find(|finding| asked(&finding.exchanges));
        step.or_else(|| check().map(|finding| finding.check.id.to_owned()))
    }
}

/// A step of the official suite.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The names from the group to the leaf, without the root: `["sha256 blobs", "post only", "blob-get"]`.
    pub path: Vec<String>,
    /// What came of it.
    pub status: Status,
    /// The APIs whose verdict it may raise.
    pub apis: Vec<Api>,
    /// The data set that it belongs to.
    pub data: Option<DataSet>,
    /// The algorithm of the content, so that sha512 is a column of its own.
    pub algorithm: Option<Algorithm>,
    /// What was wrong, a sentence each; or why it was skipped.
    pub reasons: Vec<String>,
    /// The path of the first step that failed and without which this one cannot hold.
    pub blocked_by: Option<Vec<String>>,
    /// What went over the wire.
    pub exchanges: Vec<Exchange>,
    /// Which of the exchanges shows what is wrong; none if nothing is.
    pub decisive: Option<usize>,
    /// How long it took.
    pub elapsed: Duration,
}

/// One request and its answer, credentials and states already replaced.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The whole URL; query values that grant access are replaced by stars.
    pub url: String,
    /// The headers of the request; `Authorization` is stars.
    pub request_headers: Vec<Header>,
    /// The body of the request.
    pub request_body: Sample,
    /// The status of the answer; none if there was none.
    pub status: Option<u16>,
    /// The headers of the answer.
    pub headers: Vec<Header>,
    /// The body of the answer.
    pub body: Sample,
    /// Why there was no answer.
    pub failure: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
    /// Where it stands in the run.
    pub(super) trace: Trace,
}

/// A request that may have opened an upload session which nobody can give up, since no answer said where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unnamed {
    /// The URL of the `POST`, which has the repository in it; what grants access is left out.
    pub url: String,
    /// What became of the answer.
    pub why: String,
    /// When it was asked, by the clock of the run.
    pub(super) began: u64,
}

/// A header as it went over the wire, its value made printable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// In lower case.
    pub name: String,
    /// Bytes that are no text are escaped.
    pub value: String,
}

/// The beginning of a body, for people.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The bytes of the whole body.
    pub length: u64,
    /// At most the first 4096 bytes, if they are text.
    pub text: Option<String>,
}

/// A precise check: one sentence of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// A stable name, `area.what`: `upload.patch-range`.
    pub id: &'static str,
    /// The endpoint of the specification: `end-5`.
    pub endpoint: &'static str,
    /// How strongly the specification says it.
    pub level: Level,
    /// What has to hold, in a sentence of ours.
    pub rule: &'static str,
    /// The heading of the distribution specification that says so, or the section of the RFC.
    pub section: &'static str,
}

/// How strongly the specification wants something (RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// MUST and MUST NOT.
    Must,
    /// SHOULD and SHOULD NOT.
    Should,
    /// MAY: said for information, never a failure.
    May,
}

/// What became of one check.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which.
    pub check: Check,
    /// The algorithm of the content where the check is made for each.
    pub algorithm: Option<Algorithm>,
    /// What came of it.
    pub outcome: Outcome,
    /// What was seen, a sentence each.
    pub notes: Vec<String>,
    /// Why the official suite says something else of the same answers, where it does.
    pub differs: Option<&'static str>,
    /// What went over the wire.
    pub exchanges: Vec<Exchange>,
    /// Which of the exchanges shows what is wrong; none if nothing is.
    pub decisive: Option<usize>,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rule holds.
    Met,
    /// It does not.
    Broken,
    /// The registry does without what the rule is about, as it may.
    Unsupported,
    /// Another check failed first, by its id, and this one cannot hold without it.
    Blocked(&'static str),
    /// The settings leave it out.
    Disabled,
}
