//! Runs of the official steps, and what they look like in rows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use spinreg::auth::{Authorizer, Exposure};
use spinreg::conformance::{Exchange, Header, Probe, Report, Settings, Status, Step, run};
use spinreg::transport::{Options, Scheme};

use super::client::transport;
use super::root;

/// What switches everything on.
pub(crate) const EVERYTHING: [(&str, &str); 2] = [("OCI_VERSION", "dev"), ("OCI_DATA_SPARSE", "true")];

/// Makes settings for a registry without TLS.
pub(crate) fn settings(registry: &str, variables: &[(&str, &str)]) -> Settings {
    let all = [variables, &[("OCI_REGISTRY", registry), ("OCI_TLS", "disabled")]].concat();
    let find = |name: &str| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Settings::load(find, None).expect("settings")
}

/// Makes a probe of a registry without TLS, and without credentials.
pub(crate) fn probe(registry: &str, change: impl FnOnce(&mut Options)) -> Probe {
    let authorizer = Authorizer::new(transport(change), Arc::new(()), Exposure::Guarded);
    Probe::new(authorizer, registry.parse().expect("a registry"), Scheme::Http)
}

/// Judges a registry without TLS.
pub(crate) async fn judge(registry: &str, variables: &[(&str, &str)]) -> Report {
    run(&settings(registry, variables), &probe(registry, |_| ()), std::future::pending()).await
}

/// Returns the steps as the official fixture has them: name, how often, and what each requests and is answered.
pub(crate) fn rows(report: &Report) -> Vec<String> {
    let told = |step: &Step| {
        let requests = step.exchanges.iter().map(|exchange| request(exchange, &report.registry).to_string());
        requests.collect::<Vec<_>>().join(" ; ")
    };
    tally(report.steps.iter().map(|step| (step.path.join("/"), told(step))))
}

/// Counts the steps that are alike, by their names and requests.
pub(crate) fn tally(steps: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let mut rows: Vec<((String, String), usize)> = Vec::new();
    for step in steps {
        match rows.iter_mut().find(|(known, _)| *known == step) {
            Some((_, count)) => *count += 1,
            None => rows.push((step, 1)),
        }
    }
    rows.into_iter().map(|((name, requests), count)| format!("{name}\t{count}\t{requests}")).collect()
}

/// Returns the steps that do not pass, with their reasons.
pub(crate) fn complaints(report: &Report) -> Vec<String> {
    let told = |step: &Step| format!("{} {}: {}", step.status, step.path.join("/"), step.reasons.join("; "));
    let failed = report.steps.iter().filter(|step| step.status.as_str() != "Pass");
    failed.map(told).collect()
}

/// Returns the steps that fail, and not because of another.
pub(crate) fn causes(report: &Report) -> Vec<String> {
    let failed = report.steps.iter().filter(|step| step.status >= Status::Fail && step.blocked_by.is_none());
    failed.map(|step| step.path.join("/")).collect()
}

/// Returns both maps in one, by label.
pub(crate) fn verdicts(report: &Report) -> BTreeMap<&'static str, &'static str> {
    let apis = report.apis.iter().map(|(api, status)| (api.label(), status.as_str()));
    apis.chain(report.data.iter().map(|(data, status)| (data.label(), status.as_str()))).collect()
}

/// Reads a column of `docs/conformance-verdicts.md`: by label, what is said with the defaults and with everything.
pub(crate) fn documented(heading: &str) -> BTreeMap<String, [String; 2]> {
    let text = std::fs::read_to_string(root("docs/conformance-verdicts.md")).expect("a page of the docs");
    let (mut column, mut found) = (0, BTreeMap::new());
    for line in text.lines().take_while(|line| *line != "<!-- checks -->").filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[column].split_once(" / ") {
            Some((stable, everything)) if column > 0 => {
                found.insert(cells[0].to_owned(), [stable.to_owned(), everything.to_owned()]);
            }
            _ => column = cells.iter().position(|cell| cell.starts_with(heading)).expect(heading),
        }
    }
    found
}

/// Says where the docs have another word than these verdicts; `which` is 0 for the defaults and 1 for everything.
pub(crate) fn undocumented(report: &Report, heading: &str, which: usize) -> Vec<String> {
    let verdicts = verdicts(report);
    let documented = documented(heading);
    assert!(verdicts.keys().all(|label| documented.contains_key(*label)), "{:?}", documented.keys());
    let differing = documented
        .iter()
        .filter(|(label, words)| *verdicts.get(label.as_str()).unwrap_or(&"–") != words[which].as_str());
    differing
        .map(|(label, words)| format!("{label}: {:?}, in the docs {}", verdicts.get(label.as_str()), words[which]))
        .collect()
}

/// A request and its answer, as far as they are the same in every run; printed as the official fixture has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    /// `Content-Range`, as sent or else as answered.
    pub(crate) part: Option<String>,
    /// `Range`, as sent.
    pub(crate) range: Option<String>,
    /// None where nobody answered.
    pub(crate) status: Option<String>,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, place(&self.target))?;
        for (name, value) in [("cr", &self.part), ("range", &self.range)] {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        write!(f, " -> {}", self.status.as_deref().unwrap_or("nothing"))
    }
}

fn request(exchange: &Exchange, registry: &str) -> Request {
    let find = |headers: &[Header], name: &str| {
        headers.iter().find(|header| header.name == name).map(|header| header.value.clone())
    };
    let sent = find(&exchange.request_headers, "content-range");
    Request {
        method: exchange.method.to_string(),
        target: exchange.url.split_once(registry).expect("the registry").1.to_owned(),
        part: sent.or_else(|| find(&exchange.headers, "content-range")),
        range: find(&exchange.request_headers, "range"),
        status: exchange.status.map(|status| status.to_string()),
    }
}

/// Puts a name for everything in a path that differs from run to run.
fn place(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut path = path.replace("conformance/repo1", "{repo1}").replace("conformance/repo2", "{repo2}");
    if let Some((before, after)) = path.rsplit_once('/').map(|(before, after)| (before.to_owned(), after.to_owned())) {
        let after = match before.rsplit('/').next() {
            Some("uploads") if !after.is_empty() => "{id}".to_owned(),
            Some("manifests") if !after.contains(':') => "{tag}".to_owned(),
            _ => digest(&after),
        };
        path = format!("{before}/{after}");
    }
    let pairs = query.split('&').filter_map(|pair| pair.split_once('=')).filter_map(|(key, value)| match key {
        "digest" | "mount" => Some(format!("{key}={}", digest(&value.replace("%3A", ":")))),
        "tag" | "last" => Some(format!("{key}={{tag}}")),
        "artifactType" => Some(format!("{key}={{type}}")),
        "from" => Some(format!("{key}={value}")),
        _ => None,
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

fn digest(text: &str) -> String {
    match text.parse::<spinreg::Digest>() {
        Ok(digest) => format!("{{{}}}", digest.algorithm()),
        Err(_) => text.to_owned(),
    }
}
