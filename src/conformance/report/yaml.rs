//! `results.yaml`, as the official suite writes it and as its readers read it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::settings::{Setting, nested};
use crate::conformance::{Report, Status};

/// Writes `results.yaml`: the settings, and the verdicts of the APIs and data sets by their labels. What was never
/// reached is absent.
pub fn results(report: &Report) -> String {
    let mut config = nested(&report.settings);
    // As the official suite has it: a filter where there is one, and which judge it was.
    config.retain(|key, value| key != "filterTest" || *value != Setting::Text(String::new()));
    config.insert("commit".to_owned(), Setting::Text(format!("spinreg/{}", env!("CARGO_PKG_VERSION"))));
    let results = Results {
        config,
        apis: words(report.apis.iter().map(|(api, status)| (api.label(), *status))),
        data: words(report.data.iter().map(|(set, status)| (set.label(), *status))),
    };
    serde_saphyr::to_string(&results).expect("texts, switches, lists and maps with texts as keys are YAML")
}

/// Gives verdicts the words of the reports; one that says nothing is left out.
pub(super) fn words<'a>(verdicts: impl Iterator<Item = (&'a str, Status)>) -> BTreeMap<&'a str, &'static str> {
    verdicts.filter(|(_, status)| *status != Status::Unknown).map(|(label, status)| (label, status.as_str())).collect()
}

#[derive(Serialize)]
struct Results<'a> {
    config: BTreeMap<String, Setting>,
    apis: BTreeMap<&'a str, &'static str>,
    data: BTreeMap<&'a str, &'static str>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::conformance::report::sample;

    #[test]
    fn what_is_read_back_has_the_official_labels_and_words() {
        let text = results(&sample::hostile());
        let read: Value = serde_saphyr::from_str(&text).expect(&text);
        assert_eq!(
            read["apis"],
            json!({"Ping": "Pass", "Blob get": "FAIL", "Blob mount": "Skip", "Referrers": "Disabled"})
        );
        assert_eq!(read["data"], json!({"Image": "Pass", "Blobs sha512": "FAIL", "Index": "Error"}));
        assert_eq!(read["config"]["registry"], "r.example: \u{1b}[31m\n- x");
        assert_eq!(read["config"]["apis"]["blobs"]["delete"], true);
        assert_eq!(read["config"]["version"], "1.1");
        assert_eq!(read["config"]["repo1"], "yes");
        assert_eq!(read["config"]["password"], "***");
        assert!(!text.contains(sample::SECRET), "{text}");
    }

    #[test]
    fn a_verdict_that_says_nothing_is_absent() {
        let report = Report { apis: [(crate::conformance::Api::Ping, Status::Unknown)].into(), ..Report::default() };
        let read: Value = serde_saphyr::from_str(&results(&report)).expect("YAML");
        let commit = format!("spinreg/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(read, json!({"config": {"commit": commit}, "apis": {}, "data": {}}));
    }
}
