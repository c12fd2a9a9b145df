//! Steps as `junit.xml` has them, with the requests that stand in the logs of both tools.

use std::path::Path;

use crate::support::judged::{Request, tally};
use crate::support::root;

/// A step, and what was said and asked in it.
pub(super) struct Step {
    /// Without the root that all names have in common.
    pub(super) name: String,
    pub(super) status: String,
    pub(super) reasons: String,
    pub(super) log: String,
    requests: Vec<Request>,
}

/// Reads the steps of `junit.xml`; our checks beyond them stand apart there.
pub(super) fn steps(directory: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(directory.join("junit.xml")).expect("a file of the results");
    let document = roxmltree::Document::parse(&text).expect("XML");
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let read = |case: roxmltree::Node| {
        let name = case.attribute("name")?.strip_prefix("OCI Conformance Test/")?.to_owned();
        let child = |tag| case.children().find(|node| node.has_tag_name(tag)).and_then(|node| node.text());
        let log = child("system-err").unwrap_or_default().to_owned();
        let requests = if log.contains(FENCE) { official(&log) } else { ours(&log) };
        let reasons = child("system-out").or_else(|| child("failure")).unwrap_or_default().to_owned();
        Some(Step { name, status: case.attribute("status")?.to_owned(), reasons, log, requests })
    };
    cases.filter_map(read).collect()
}

/// Returns one row for each step: its name, its status and its requests. Blobs of the data sets are of other sizes in each
/// run, so the rows do not say which part of one was sent.
pub(super) fn rows(steps: &[Step]) -> Vec<String> {
    let row = |step: &Step| {
        let is_sized = step.name.starts_with("sha256 blobs/") || step.name.starts_with("sha512 blobs/");
        let told = step.requests.iter().map(|request| match &request.part {
            Some(_) if !is_sized => Request { part: Some("{part}".into()), ..request.clone() }.to_string(),
            _ => request.to_string(),
        });
        format!("{}\t{}\t{}", step.name, step.status, told.collect::<Vec<_>>().join(" ; "))
    };
    steps.iter().map(row).collect()
}

/// Holds the fixture to what the official suite did; `SPINREG_BLESS=1` writes it, in the order of our own steps, since the
/// official ones have some in another order each time.
pub(super) fn hold_fixture(official: &[Step], own: &[Step]) {
    let rows = |steps: &[Step]| {
        let told = |step: &Step| step.requests.iter().map(Request::to_string).collect::<Vec<_>>().join(" ; ");
        tally(steps.iter().map(|step| (step.name.clone(), told(step))))
    };
    let (mut rows, order) = (rows(official), rows(own));
    rows.sort_by_key(|row| order.iter().position(|own| own == row));
    let path = root("fixtures/conformance/official-steps.tsv");
    if std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1") {
        let version = include_str!("../../peers.tsv").lines().find_map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            (columns[0] == "conformance").then(|| columns[3].to_owned())
        });
        let text = format!("{HEAD}{}\n{}\n", version.expect("a pinned suite"), rows.join("\n"));
        std::fs::write(path, text).expect("a file of the crate");
        return;
    }
    let text = std::fs::read_to_string(path).expect("a fixture");
    let mut fixture: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    rows.sort();
    fixture.sort_unstable();
    let strange: Vec<_> = rows.iter().filter(|row| !fixture.contains(&row.as_str())).collect();
    let gone: Vec<_> = fixture.iter().filter(|row| !rows.iter().any(|own| own == *row)).collect();
    assert!(
        strange.is_empty() && gone.is_empty(),
        "new: {strange:#?}\ngone: {gone:#?}\n`SPINREG_BLESS=1` writes it anew"
    );
}

/// Reads the log of the official suite: requests and answers between fences, headers as `Name: [value]`.
fn official(log: &str) -> Vec<Request> {
    let read = |block: &str| {
        let (_, rest) = block.split_once("~~~ REQUEST ~~~\n")?;
        let (request, answer) = rest.split_once("~~~ RESPONSE ~~~\n").unwrap_or((rest, ""));
        let line = |text: &str, start: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(start));
            line.map(str::to_owned)
        };
        let header = |text: &str, name: &str| {
            let headers = text.lines().skip_while(|line| *line != "Headers:").skip(1);
            let mut headers =
                headers.take_while(|line| line.starts_with(' ')).filter_map(|line| line.split_once(": ["));
            let found = headers.find(|(found, _)| found.trim().eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim_end_matches(']').to_owned())
        };
        Some(Request {
            method: line(request, "Method: ")?,
            target: target(&line(request, "URL: ")?),
            part: header(request, "content-range").or_else(|| header(answer, "content-range")),
            range: header(request, "range"),
            status: line(answer, "Status: "),
        })
    };
    log.split(FENCE).filter_map(read).collect()
}

/// Reads our log, which has the form of HTTP: `> GET URL`, `> name: value`, `< 200`, `< name: value`.
fn ours(log: &str) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for line in log.lines() {
        let begun = line.strip_prefix("> ").and_then(|rest| rest.split_once(" http"));
        if let Some((method, url)) = begun.filter(|(method, _)| method.bytes().all(|byte| byte.is_ascii_uppercase())) {
            requests.push(Request { method: method.into(), target: target(url), ..Request::default() });
            continue;
        }
        let Some(request) = requests.last_mut() else { continue };
        match (line.split_at_checked(2), &request.status) {
            (Some(("> ", header)), None) => match header.split_once(": ") {
                Some(("content-range", value)) => request.part = Some(value.to_owned()),
                Some(("range", value)) => request.range = Some(value.to_owned()),
                _ => (),
            },
            // Or it says that there was no answer.
            (Some(("< ", status)), None) => {
                request.status = status.parse::<u16>().ok().map(|status| status.to_string())
            }
            (Some(("< ", header)), Some(_)) => {
                let value = header.strip_prefix("content-range: ").map(str::to_owned);
                request.part = request.part.take().or(value);
            }
            _ => (),
        }
    }
    requests
}

/// Returns the path and query of a URL.
fn target(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or_else(String::new, |at| rest[at..].to_owned())
}

/// Between two exchanges of the official log.
const FENCE: &str = "================================================================================\n";

const HEAD: &str = "\
# Every step of the official conformance suite with everything switched on, against `spinreg serve`, which passes all of it:
# name, how often, requests and statuses; `{…}` stands for what differs from run to run, `cr=` for `Content-Range`. Written by
# `SPINREG_BLESS=1 cargo test --all-features --features interop-tests --test interop conformance::` from the log of the suite
# that `protocol-tests/peers.tsv` pins, github.com/opencontainers/distribution-spec/conformance ";
