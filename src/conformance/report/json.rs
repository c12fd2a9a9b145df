//! The run as JSON, for machines; `docs/conformance.md` lists the keys.

use std::collections::BTreeMap;

use serde::Serialize;

use super::matrix::{Matrix, Row};
use super::outcome::Strictness;
use super::script::reproduce;
use super::settings::{Setting, nested};
use super::yaml::words;
use crate::conformance::{Comparison, Exchange, Finding, Header, Outcome, Report, Sample, Status, Step, Unnamed};

/// The number of the schema. Keys and words may be added under the same number; what is there keeps its meaning.
pub const SCHEMA: u32 = 1;

/// A comparison that belongs to a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<'a> {
    /// Which precise checks make the run fail.
    pub strictness: Strictness,
    /// The result of `--compare`.
    pub compared: Option<&'a Comparison>,
    /// The result of `--baseline`.
    pub baseline: Option<&'a Comparison>,
}

/// Writes a run as one JSON document. Exchanges are in it for what failed, could not be judged or is broken; `junit.xml` and
/// `report.html` have all of them.
pub fn json(report: &Report, extra: &Json<'_>) -> String {
    let matrix = Matrix::of(report);
    let algorithm = |pick: fn(&Row) -> Status| words(matrix.rows.iter().map(|row| (row.api.label(), pick(row))));
    let document = Document {
        schema: SCHEMA,
        tool: concat!("spinreg/", env!("CARGO_PKG_VERSION")),
        registry: &report.registry,
        verdict: report.verdict(extra.strictness).as_str(),
        aborted: report.aborted.as_deref(),
        // A text: not every reader of JSON has whole numbers of 64 bits.
        seed: report.seed.to_string(),
        elapsed_ms: report.elapsed.as_millis(),
        config: nested(&report.settings),
        apis: words(report.apis.iter().map(|(api, status)| (api.label(), *status))),
        data: words(report.data.iter().map(|(set, status)| (set.label(), *status))),
        algorithms: Algorithms {
            sha256: algorithm(|row| row.sha256.status),
            sha512: algorithm(|row| row.sha512.status),
        },
        steps: report.steps.iter().map(|step| StepJson::of(step, report)).collect(),
        checks: report.findings.iter().map(|finding| CheckJson::of(finding, report)).collect(),
        leftovers: &report.leftovers,
        sessions: &report.sessions,
        unnamed: report.unnamed.iter().map(|unnamed| UnnamedJson::of(unnamed, report)).collect(),
        compared: extra.compared.map(ComparisonJson::of),
        baseline: extra.baseline.map(ComparisonJson::of),
    };
    serde_json::to_string_pretty(&document).expect("texts, numbers, lists and maps with texts as keys are JSON")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: &'static str,
    registry: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aborted: Option<&'a str>,
    seed: String,
    elapsed_ms: u128,
    config: BTreeMap<String, Setting>,
    apis: BTreeMap<&'a str, &'static str>,
    data: BTreeMap<&'a str, &'static str>,
    algorithms: Algorithms,
    checks: Vec<CheckJson<'a>>,
    steps: Vec<StepJson<'a>>,
    leftovers: &'a [String],
    sessions: &'a [String],
    unnamed: Vec<UnnamedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<ComparisonJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<ComparisonJson<'a>>,
}

#[derive(Serialize)]
struct UnnamedJson<'a> {
    url: &'a str,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asker: Option<String>,
}

impl<'a> UnnamedJson<'a> {
    fn of(unnamed: &'a Unnamed, report: &Report) -> Self {
        let Unnamed { url, why, .. } = unnamed;
        Self { url, why, asker: report.asker(unnamed) }
    }
}

#[derive(Serialize)]
struct Algorithms {
    sha256: BTreeMap<&'static str, &'static str>,
    sha512: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    name: String,
    status: &'static str,
    apis: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_by: Option<String>,
    elapsed_ms: u128,
    #[serde(flatten)]
    proof: Option<Proof<'a>>,
}

impl<'a> StepJson<'a> {
    fn of(step: &'a Step, report: &Report) -> Self {
        Self {
            name: step.path.join("/"),
            status: step.status.as_str(),
            apis: step.apis.iter().map(|api| api.label()).collect(),
            data: step.data.map(|set| set.label()),
            algorithm: step.algorithm.map(|algorithm| algorithm.name()),
            reasons: step.reasons.iter().map(String::as_str).collect(),
            blocked_by: step.blocked_by.as_ref().map(|path| path.join("/")),
            elapsed_ms: step.elapsed.as_millis(),
            proof: step.status.is_bad().then(|| Proof::of(&step.exchanges, step.decisive, report)),
        }
    }
}

#[derive(Serialize)]
struct CheckJson<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_by: Option<&'static str>,
    endpoint: &'a str,
    level: &'static str,
    rule: &'a str,
    section: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<&'static str>,
    #[serde(flatten)]
    proof: Option<Proof<'a>>,
}

impl<'a> CheckJson<'a> {
    fn of(finding: &'a Finding, report: &Report) -> Self {
        let check = &finding.check;
        let blocked_by = match finding.outcome {
            Outcome::Blocked(by) => Some(by),
            _ => None,
        };
        let is_broken = finding.outcome == Outcome::Broken;
        Self {
            id: check.id,
            algorithm: finding.algorithm.map(|algorithm| algorithm.name()),
            outcome: finding.outcome.as_str(),
            blocked_by,
            endpoint: check.endpoint,
            level: check.level.as_str(),
            rule: check.rule,
            section: check.section,
            notes: finding.notes.iter().map(String::as_str).collect(),
            differs: finding.differs,
            proof: is_broken.then(|| Proof::of(&finding.exchanges, finding.decisive, report)),
        }
    }
}

/// What shows that something is wrong.
#[derive(Serialize)]
struct Proof<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reproduce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisive: Option<usize>,
    exchanges: Vec<ExchangeJson<'a>>,
}

impl<'a> Proof<'a> {
    fn of(exchanges: &'a [Exchange], decisive: Option<usize>, report: &Report) -> Self {
        let reproduce = reproduce(report, exchanges, decisive);
        Self { reproduce, decisive, exchanges: exchanges.iter().map(ExchangeJson::of).collect() }
    }
}

#[derive(Serialize)]
struct ExchangeJson<'a> {
    method: &'a str,
    url: &'a str,
    request_headers: Vec<[&'a str; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<SampleJson<'a>>,
    status: Option<u16>,
    headers: Vec<[&'a str; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<SampleJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    elapsed_ms: u128,
}

impl<'a> ExchangeJson<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        let pairs = |headers: &'a [Header]| headers.iter().map(|header| [&*header.name, &*header.value]).collect();
        Self {
            method: &exchange.method,
            url: &exchange.url,
            request_headers: pairs(&exchange.request_headers),
            request_body: SampleJson::of(&exchange.request_body),
            status: exchange.status,
            headers: pairs(&exchange.headers),
            body: SampleJson::of(&exchange.body),
            failure: exchange.failure.as_deref(),
            elapsed_ms: exchange.elapsed.as_millis(),
        }
    }
}

#[derive(Serialize)]
struct SampleJson<'a> {
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<'a> SampleJson<'a> {
    fn of(sample: &'a Sample) -> Option<Self> {
        (sample.length > 0).then_some(Self { bytes: sample.length, text: sample.text.as_deref() })
    }
}

#[derive(Serialize)]
struct ComparisonJson<'a> {
    agrees: bool,
    differences: Vec<RowJson<'a>>,
    regressions: Vec<RowJson<'a>>,
}

#[derive(Serialize)]
struct RowJson<'a> {
    kind: &'static str,
    label: &'a str,
    here: &'static str,
    there: &'static str,
}

impl<'a> ComparisonJson<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        let row = |row: &'a crate::conformance::Row| RowJson {
            kind: row.kind.as_str(),
            label: &row.label,
            here: row.here.as_str(),
            there: row.there.as_str(),
        };
        Self {
            agrees: comparison.differences().next().is_none(),
            differences: comparison.differences().map(row).collect(),
            regressions: comparison.regressions().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::conformance::report::sample::{HOSTILE, SECRET, hostile};

    #[test]
    fn the_schema_is_what_the_docs_say() {
        let text = json(&hostile(), &Json::default());
        assert!(!text.contains(SECRET), "{text}");
        let read: Value = serde_json::from_str(&text).expect(&text);
        let keys = |value: &Value| -> Vec<String> {
            value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
        };
        let mut expected = [
            "schema",
            "tool",
            "registry",
            "verdict",
            "aborted",
            "seed",
            "elapsed_ms",
            "config",
            "apis",
            "data",
            "algorithms",
            "checks",
            "steps",
            "leftovers",
            "sessions",
            "unnamed",
        ];
        expected.sort_unstable();
        assert_eq!(keys(&read), expected);
        assert_eq!(
            (&read["schema"], &read["verdict"], &read["elapsed_ms"]),
            (&json!(1), &json!("failed"), &json!(1500))
        );
        assert_eq!(read["apis"]["Blob get"], "FAIL");
        assert_eq!(
            read["algorithms"],
            json!({
                "sha256": {"Ping": "Error", "Blob mount": "Skip", "Referrers": "Disabled"},
                "sha512": {"Blob get": "FAIL"},
            })
        );
        let (cause, blocked, passed) = (&read["steps"][1], &read["steps"][2], &read["steps"][0]);
        assert_eq!(
            passed,
            &json!({
                "name": "ping", "status": "Pass", "apis": ["Ping"], "data": "Image", "elapsed_ms": 0,
            })
        );
        assert_eq!(cause["name"], "sha512 blobs/post only/blob-get");
        assert_eq!(cause["exchanges"][0]["body"]["text"], HOSTILE);
        let repetition = "curl -sSgi -u \"$OCI_USERNAME:$OCI_PASSWORD\"";
        assert!(cause["reproduce"].as_str().is_some_and(|line| line.starts_with(repetition)), "{cause}");
        assert_eq!(blocked["blocked_by"], "sha512 blobs/post only/blob-get");
        let check = &read["checks"][1];
        assert_eq!(
            (&check["id"], &check["outcome"], &check["level"]),
            (&json!("upload.patch-range"), &json!("broken"), &json!("MUST"))
        );
        assert_eq!(read["unnamed"][0]["asker"], "sha512 blobs/post only/blob-get");
        assert_eq!(read["checks"][2]["blocked_by"], "upload.patch-range");
        assert!(read["checks"][0].get("exchanges").is_none());
    }
}
