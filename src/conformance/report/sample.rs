//! A run as hostile as a peer can make it, for the tests of all forms.

use std::time::Duration;

use crate::conformance::{
    Api, Check, DataSet, Exchange, Finding, Header, Level, Outcome, Report, Sample, Status, Step, Unnamed,
};
use crate::model::Algorithm;

/// What no form may show.
pub(super) const SECRET: &str = "correct-horse";
/// What ends markup, quotes, lines and terminals.
pub(super) const HOSTILE: &str =
    "</pre></details><script>alert(1)</script>&amp;'\"`$(id)\u{1b}[2J\u{0}\u{202e}\u{fffe}]]>--%>\n| x\r\n";

pub(in crate::conformance) fn finding(id: &'static str, level: Level, outcome: Outcome) -> Finding {
    let check = Check { id, endpoint: "end-5", level, rule: "says what it <has> & stored", section: "Pushing blobs" };
    Finding { check, algorithm: None, outcome, notes: Vec::new(), differs: None, exchanges: Vec::new(), decisive: None }
}

pub(super) fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}

pub(super) fn body(text: &str) -> Sample {
    Sample { length: text.len() as u64, text: Some(text.to_owned()) }
}

pub(super) fn exchange(method: &str, url: &str, status: u16) -> Exchange {
    Exchange {
        method: method.to_owned(),
        url: url.to_owned(),
        status: Some(status),
        elapsed: Duration::from_millis(12),
        ..Exchange::default()
    }
}

fn step(path: &[&str], status: Status, api: Api, data: DataSet) -> Step {
    let path = path.iter().map(|name| (*name).to_owned()).collect();
    Step { path, status, apis: vec![api], data: Some(data), ..Step::default() }
}

/// Returns a run with one cause and its cascade, in which everything that a peer can choose is hostile.
pub(in crate::conformance) fn hostile() -> Report {
    let mut get = exchange("GET", "https://r.example/v2/a/blobs/sha512:00", 500);
    get.request_headers = vec![header("accept", "*/*"), header("authorization", "***")];
    get.headers = vec![header("x-hostile", HOSTILE), header("content-type", "text/html")];
    get.body = body(HOSTILE);
    let broken = Exchange { status: None, failure: Some(HOSTILE.to_owned()), ..get.clone() };
    let mut cause = step(&["sha512 blobs", "post only", "blob-get"], Status::Fail, Api::BlobGet, DataSet::BlobsSha512);
    cause.algorithm = Some(Algorithm::Sha512);
    cause.reasons = vec![format!("the body is {HOSTILE}")];
    cause.exchanges = vec![get.clone()];
    let mut blocked = step(&["sha512 blobs", "delete"], Status::Fail, Api::BlobGet, DataSet::BlobsSha512);
    blocked.blocked_by = Some(cause.path.clone());
    blocked.algorithm = Some(Algorithm::Sha512);
    let mut error = step(&["Index", "push", HOSTILE], Status::Error, Api::Ping, DataSet::Index);
    error.exchanges = vec![broken.clone()];
    error.reasons = vec!["no answer".to_owned()];
    let mut skipped = step(&["sha256 blobs", "mount"], Status::Skip, Api::BlobMount, DataSet::BlobsSha256);
    skipped.reasons = vec!["202: it does not mount".to_owned()];
    let mut bad = finding("upload.patch-range", Level::Must, Outcome::Broken);
    bad.algorithm = Some(Algorithm::Sha512);
    bad.notes = vec![format!("Range is {HOSTILE}")];
    bad.differs = Some("it does not look at `Range`");
    bad.exchanges = vec![get];
    let settings = [
        ("apis.blobs.delete", "true"),
        ("password", SECRET),
        ("registry", "r.example: \u{1b}[31m\n- x"),
        ("repo1", "yes"),
        ("roData.tags", ""),
        ("version", "1.1"),
    ];
    Report {
        settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        registry: "r.example".to_owned(),
        seed: 7,
        aborted: Some("nobody answers any more \u{1b}[2J".to_owned()),
        steps: vec![
            step(&["ping"], Status::Pass, Api::Ping, DataSet::Image),
            cause,
            blocked,
            error,
            skipped,
            step(&["Image", "push", "manifest-by-digest"], Status::Disabled, Api::Referrers, DataSet::Image),
        ],
        apis: [
            (Api::Ping, Status::Pass),
            (Api::BlobGet, Status::Fail),
            (Api::BlobMount, Status::Skip),
            (Api::Referrers, Status::Disabled),
        ]
        .into(),
        data: [(DataSet::Image, Status::Pass), (DataSet::BlobsSha512, Status::Fail), (DataSet::Index, Status::Error)]
            .into(),
        findings: vec![
            finding("ping.status", Level::Must, Outcome::Met),
            bad,
            finding("upload.cancel", Level::Should, Outcome::Blocked("upload.patch-range")),
            finding("tags.order", Level::Should, Outcome::Unsupported),
            finding("tags.ten", Level::May, Outcome::Disabled),
        ],
        leftovers: vec![format!("/v2/a/blobs/{HOSTILE}")],
        sessions: vec![format!("https://r.example/up/{HOSTILE}")],
        unnamed: vec![Unnamed { url: format!("https://r.example/v2/{HOSTILE}"), why: HOSTILE.to_owned(), began: 0 }],
        elapsed: Duration::from_millis(1500),
        ..Report::default()
    }
}
