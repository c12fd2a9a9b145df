//! Two sets of verdicts side by side: ours and a file's, which the official suite or an earlier run has written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::verdict::{Api, DataSet, Status};
use super::{Outcome, Report};

/// The verdicts of a run or a file. What is absent is [`Status::Unknown`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    apis: BTreeMap<&'static str, Status>,
    data: BTreeMap<&'static str, Status>,
    /// By id and algorithm; none where the file is one of the official form, which has no such thing.
    checks: Option<BTreeMap<String, Status>>,
    strangers: Vec<String>,
}

/// A file of results that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadResults {
    /// Neither YAML nor JSON of the form expected.
    #[error("expects `apis` and `data`, as in `results.yaml` or the JSON of an earlier run: {0}")]
    Form(String),
    /// A verdict that is none.
    #[error("`{word}` is no verdict of `{label}`")]
    Word {
        /// Whose verdict.
        label: String,
        /// What stands there.
        word: String,
    },
    /// Nothing to compare with.
    #[error("has no verdicts")]
    Empty,
}

impl Verdicts {
    /// Takes the verdicts of a run.
    pub fn of(report: &Report) -> Self {
        let checks = report.findings.iter().map(|finding| {
            let algorithm = finding.algorithm.map(|algorithm| algorithm.name());
            (key(finding.check.id, algorithm), status(&finding.outcome))
        });
        Self {
            apis: report.apis.iter().map(|(api, status)| (api.label(), *status)).collect(),
            data: report.data.iter().map(|(set, status)| (set.label(), *status)).collect(),
            checks: Some(checks.collect()),
            strangers: Vec::new(),
        }
    }

    /// Reads the verdicts of `results.yaml`, of the official suite's or ours, or of the JSON of an earlier run. Only `apis`,
    /// `data` and the checks of the JSON count; counts, times and settings do not.
    ///
    /// # Errors
    ///
    /// [`BadResults`]: the text has another form, a word that is no verdict, or no verdict at all.
    pub fn parse(text: &str) -> Result<Self, BadResults> {
        let form = |error: &dyn std::fmt::Display| BadResults::Form(first_line(&error.to_string()));
        let file: File = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| form(&error))?
        } else {
            serde_saphyr::from_str(text).map_err(|error| form(&error))?
        };
        let mut verdicts = Self::default();
        for (label, word) in file.apis.unwrap_or_default() {
            let known = Api::ALL.iter().map(|api| api.label()).find(|known| *known == label);
            verdicts.take(known, label, &word, |all| &mut all.apis)?;
        }
        for (label, word) in file.data.unwrap_or_default() {
            let known = DataSet::ALL.iter().map(|set| set.label()).find(|known| *known == label);
            verdicts.take(known, label, &word, |all| &mut all.data)?;
        }
        if verdicts.apis.is_empty() && verdicts.data.is_empty() {
            return Err(BadResults::Empty);
        }
        if let Some(checks) = file.checks {
            let read = |check: CheckEntry| {
                let key = key(&check.id, check.algorithm.as_deref());
                match outcome(&check.outcome) {
                    Some(status) => Ok((key, status)),
                    None => Err(BadResults::Word { label: key, word: check.outcome }),
                }
            };
            verdicts.checks = Some(checks.into_iter().map(read).collect::<Result<_, _>>()?);
        }
        Ok(verdicts)
    }

    fn take(
        &mut self,
        known: Option<&'static str>,
        label: String,
        word: &str,
        map: impl Fn(&mut Self) -> &mut BTreeMap<&'static str, Status>,
    ) -> Result<(), BadResults> {
        let status = Status::ALL.iter().find(|status| status.as_str().eq_ignore_ascii_case(word.trim()));
        let status = *status.ok_or_else(|| BadResults::Word { label: label.clone(), word: word.to_owned() })?;
        match known {
            Some(known) => drop(map(self).insert(known, status)),
            None => self.strangers.push(label),
        }
        Ok(())
    }
}

/// What kind of thing a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of the [`Api`]s.
    Api,
    /// One of the [`DataSet`]s.
    Data,
    /// One of the precise checks.
    Check,
}

impl Kind {
    /// The word in the reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Data => "data",
            Self::Check => "check",
        }
    }
}

/// One verdict, here and there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub kind: Kind,
    /// The label of the API or the data set; the id of the check, with its algorithm.
    pub label: String,
    /// What this run says.
    pub here: Status,
    /// What the file says.
    pub there: Status,
}

impl Row {
    /// Says whether it was better in the file: it was not broken and is now, or it held and is done without now. What is
    /// switched off or left out now says nothing.
    pub fn is_regression(&self) -> bool {
        match self.here {
            Status::Fail | Status::Error => !self.there.is_bad(),
            Status::Skip => self.there == Status::Pass,
            Status::Unknown | Status::Disabled | Status::Pass => false,
        }
    }
}

/// A run and a file side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// All verdicts that at least one of them has, in the order of the reports.
    pub rows: Vec<Row>,
    /// Labels of the file that no suite known here has.
    pub strangers: Vec<String>,
}

impl Comparison {
    /// Compares. Precise checks are part of it if both have some.
    pub fn new(here: &Verdicts, there: &Verdicts) -> Self {
        let mut rows = Vec::new();
        let mut add = |kind, label: &str, here: Status, there: Status| {
            if here != Status::Unknown || there != Status::Unknown {
                rows.push(Row { kind, label: label.to_owned(), here, there });
            }
        };
        let of = |map: &BTreeMap<&'static str, Status>, label| map.get(label).copied().unwrap_or_default();
        for label in Api::ALL.iter().map(|api| api.label()) {
            add(Kind::Api, label, of(&here.apis, label), of(&there.apis, label));
        }
        for label in DataSet::ALL.iter().map(|set| set.label()) {
            add(Kind::Data, label, of(&here.data, label), of(&there.data, label));
        }
        if let (Some(here), Some(there)) = (&here.checks, &there.checks) {
            let of = |map: &BTreeMap<String, Status>, label: &String| map.get(label).copied().unwrap_or_default();
            let gone = there.keys().filter(|label| !here.contains_key(*label));
            for label in here.keys().chain(gone) {
                add(Kind::Check, label, of(here, label), of(there, label));
            }
        }
        Self { rows, strangers: there.strangers.clone() }
    }

    /// Returns the rows that are not the same on both sides.
    pub fn differences(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.here != row.there)
    }

    /// Returns the rows that were better in the file.
    pub fn regressions(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_regression())
    }
}

/// What is read of a file; everything else in it is left alone.
#[derive(Deserialize)]
struct File {
    apis: Option<BTreeMap<String, String>>,
    data: Option<BTreeMap<String, String>>,
    checks: Option<Vec<CheckEntry>>,
}

#[derive(Deserialize)]
struct CheckEntry {
    id: String,
    algorithm: Option<String>,
    outcome: String,
}

fn key(id: &str, algorithm: Option<&str>) -> String {
    algorithm.map_or_else(|| id.to_owned(), |algorithm| format!("{id} {algorithm}"))
}

/// Translates the outcome of a check into the words of the official suite.
fn status(outcome: &Outcome) -> Status {
    match outcome {
        Outcome::Met => Status::Pass,
        Outcome::Broken => Status::Fail,
        Outcome::Unsupported => Status::Skip,
        Outcome::Blocked(_) => Status::Unknown,
        Outcome::Disabled => Status::Disabled,
    }
}

fn outcome(word: &str) -> Option<Status> {
    let known = [Outcome::Met, Outcome::Broken, Outcome::Unsupported, Outcome::Blocked(""), Outcome::Disabled];
    known.iter().find(|outcome| outcome.as_str() == word).map(status)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::report::sample::hostile;
    use crate::conformance::report::{Json, json, results};

    /// As the official suite writes it, with what it has besides.
    const OFFICIAL: &str = "\
config:
    registry: localhost:5000
    tls: disabled
    apis:
        ping: true
    resultsDir: ./results
    version: stable
    commit: 967efdc
apis:
    Blob get: FAIL
    Ping: pass
    Blob mount: SKIP
data:
    Image: Pass
    A new set: Pass
";

    #[test]
    fn only_apis_and_data_count_and_words_have_no_case() {
        let verdicts = Verdicts::parse(OFFICIAL).expect("the official form");
        let expected = [("Blob get", Status::Fail), ("Blob mount", Status::Skip), ("Ping", Status::Pass)];
        assert_eq!(verdicts.apis, expected.into());
        assert_eq!(verdicts.data, [("Image", Status::Pass)].into());
        assert_eq!((verdicts.strangers, verdicts.checks), (vec!["A new set".to_owned()], None));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (text, said) in [
            ("", "has no verdicts"),
            ("config: {}", "has no verdicts"),
            ("apis: {}\ndata: {}", "has no verdicts"),
            ("apis: {Ping: fine}", "`fine` is no verdict of `Ping`"),
            ("apis: [Ping]", "expects `apis` and `data`"),
            ("{\"apis\": 1}", "expects `apis` and `data`"),
            ("apis: {Ping: Pass", "expects `apis` and `data`"),
            ("<html>", "expects `apis` and `data`"),
            (
                "{\"apis\":{\"Ping\":\"Pass\"},\"checks\":[{\"id\":\"a.b\",\"outcome\":\"?\"}]}",
                "`?` is no verdict of `a.b`",
            ),
            ("a: &a [*a, *a]\napis: *a", "expects `apis` and `data`"),
        ] {
            let refused = Verdicts::parse(text).map(|_| ()).expect_err(text).to_string();
            assert!(refused.contains(said) && !refused.contains('\n'), "{text}: {refused}");
        }
    }

    #[test]
    fn a_run_agrees_with_what_it_wrote_itself() {
        let report = hostile();
        let here = Verdicts::of(&report);
        for text in [results(&report), json(&report, &Json::default())] {
            let comparison = Comparison::new(&here, &Verdicts::parse(&text).expect("our own form"));
            assert_eq!(comparison.differences().count(), 0, "{comparison:?}");
            assert_eq!(comparison.regressions().count(), 0);
            let checks = comparison.rows.iter().filter(|row| row.kind == Kind::Check).count();
            // One of the five is blocked, which says nothing.
            assert_eq!(checks, if text.starts_with('{') { 4 } else { 0 });
        }
    }

    #[test]
    fn only_what_got_worse_is_a_regression() {
        use Status::{Disabled, Error, Fail, Pass, Skip, Unknown};
        for (here, there, expected) in [
            (Fail, Pass, true),
            (Error, Pass, true),
            (Fail, Skip, true),
            (Fail, Unknown, true),
            (Fail, Disabled, true),
            (Skip, Pass, true),
            (Fail, Fail, false),
            (Error, Fail, false),
            (Fail, Error, false),
            (Skip, Skip, false),
            (Skip, Fail, false),
            (Pass, Fail, false),
            (Disabled, Pass, false),
            (Unknown, Pass, false),
        ] {
            let row = Row { kind: Kind::Api, label: "Ping".to_owned(), here, there };
            assert_eq!(row.is_regression(), expected, "{here} after {there}");
        }
    }

    #[test]
    fn what_is_missing_is_unknown() {
        let verdicts = |text| Verdicts::parse(text).expect(text);
        let comparison = Comparison::new(&verdicts("apis: {Ping: Pass}"), &verdicts("data: {Image: FAIL}"));
        let row = |kind, label: &str, here, there| Row { kind, label: label.to_owned(), here, there };
        let expected = [
            row(Kind::Api, "Ping", Status::Pass, Status::Unknown),
            row(Kind::Data, "Image", Status::Unknown, Status::Fail),
        ];
        assert_eq!(comparison.rows, expected);
        assert_eq!(comparison.differences().count(), 2);
    }
}
