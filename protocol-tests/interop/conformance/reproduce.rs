//! The lines that are printed for each failure: run by real curl after the run has removed everything, they show on the bad
//! registry what was reported, and on a good one what is right.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use spinreg::conformance::Report;
use spinreg::conformance::report::{Json, json};
use spinreg::serve::faults;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::bad::{self, Bad};
use crate::support::judged;

/// What an answer is known by.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    /// None where there was no answer, or not all of it.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Shown {
    /// Says whether this is what was reported: a report has the beginning of a body, if that is text.
    fn is_as(&self, reported: &Self) -> bool {
        let is_text = !reported.body.is_empty() || self.body.is_empty();
        let same_body = !is_text || self.body.starts_with(&reported.body);
        (self.status, &self.headers, same_body) == (reported.status, &reported.headers, true)
    }

    /// Reads what `curl -i` prints: the last answer counts.
    fn printed(output: &std::process::Output) -> Self {
        let mut rest = &output.stdout[..];
        let (mut status, mut headers) = (None, Vec::new());
        while let (true, Some(end)) = (rest.starts_with(b"HTTP/"), rest.windows(4).position(|part| part == b"\r\n\r\n"))
        {
            let (head, body) = (String::from_utf8_lossy(&rest[..end]), &rest[end + 4..]);
            status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            headers = lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
            rest = body;
        }
        Self::new(status.filter(|_| output.status.success()), headers, rest.to_vec())
    }

    /// Reads an exchange of the report.
    fn reported(exchange: &Value) -> Self {
        let status = exchange["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let pair = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
        let headers = exchange["headers"].as_array().into_iter().flatten().filter_map(pair).collect();
        let body = exchange["body"]["text"].as_str().unwrap_or_default().as_bytes().to_vec();
        Self::new(status.filter(|_| exchange["failure"].is_null()), headers, body)
    }

    fn new(status: Option<u16>, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        if status.is_none() {
            return Self { status, headers: Vec::new(), body: Vec::new() };
        }
        let headers = headers.into_iter().map(|(name, value)| match name.as_str() {
            // Another session, another host: that it leads somewhere is what counts.
            "location" => (name, "somewhere".to_owned()),
            _ => (name, value),
        });
        let mut headers: Vec<_> = headers.filter(|(name, _)| !VOLATILE.contains(&name.as_str())).collect();
        headers.sort();
        Self { status, headers, body }
    }
}

/// A failure as the report tells of it.
struct Failure {
    what: String,
    notes: String,
    script: String,
    reported: Shown,
}

/// Reads the failures of a report: broken checks, and steps that failed by themselves.
fn failures(report: &Report) -> Vec<Failure> {
    let report: Value = serde_json::from_str(&json(report, &Json::default())).expect("JSON");
    let both = ["checks", "steps"].into_iter().flat_map(|list| report[list].as_array().expect("a list"));
    let failed = both.filter(|entry| {
        let is_bad =
            ["broken", "FAIL", "Error"].iter().any(|word| entry["outcome"] == *word || entry["status"] == *word);
        is_bad && entry["blocked_by"].is_null()
    });
    let read = failed.map(|entry| {
        let name = entry["id"].as_str().or(entry["name"].as_str()).expect("a name");
        let what = format!("{name} {}", entry["algorithm"].as_str().unwrap_or_default());
        let notes = format!("{} {}", entry["notes"], entry["reasons"]);
        let script = entry["reproduce"].as_str().unwrap_or_else(|| panic!("`{what}` has no line")).to_owned();
        let decisive =
            usize::try_from(entry["decisive"].as_u64().expect("an exchange decides")).expect("a small number");
        Failure { what, notes, script, reported: Shown::reported(&entry["exchanges"][decisive]) }
    });
    read.collect()
}

/// Fails where there is no curl: then nothing would be proved.
async fn has_curl() {
    let output = Command::new("curl").arg("--version").output().await.expect("this test needs curl");
    assert!(output.status.success(), "this test needs a curl that runs: {output:?}");
}

/// Runs a script as a person would, without settings of theirs.
async fn run(script: &str) -> Shown {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).stdin(Stdio::null()).kill_on_drop(true);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
    let output = timeout(WATCHDOG, command.output()).await.expect("the script ends").expect("a shell");
    Shown::printed(&output)
}

/// Runs the script of each failure against a registry that is as bad, and against a good one; returns what is surprising.
async fn repeat(registry: &Bad, faults: &[&str], failures: Vec<Failure>) -> Vec<String> {
    let here = registry.address().to_string();
    let mut surprises = Vec::new();
    for (number, failure) in failures.into_iter().enumerate() {
        let Failure { what, notes, script, reported } = failure;
        let aimed = |at: String| script.replace(&here, &at);
        let other = Bad::used(faults).await;
        let shown = run(&aimed(other.address().to_string())).await;
        let good = Bad::used(&[]).await;
        let right = run(&aimed(good.address().to_string())).await;
        let story = || format!("{faults:?} {what}: {notes}\n{script}\n");
        // Where it was found there may be traces of what came before it, and of one script others may find some.
        if number == 0 {
            let there = run(&script).await;
            if there.status != reported.status {
                surprises.push(format!("{}reported {reported:?}\nshows where it was found {there:?}", story()));
            }
        }
        // What is done at the same time never goes the same way twice.
        let by_chance = script.contains("\nwait\n") && shown.status == reported.status;
        if !shown.is_as(&reported) && !by_chance {
            surprises.push(format!("{}reported {reported:?}\nshows    {shown:?}", story()));
        }
        if right == shown {
            surprises.push(format!("{}a good registry shows the same: {right:?}", story()));
        }
        let wanted = statuses(&notes);
        if !wanted.is_empty() && !right.status.is_some_and(|status| wanted.contains(&status)) {
            surprises.push(format!("{}a good registry shows {right:?}, not {wanted:?}", story()));
        }
    }
    surprises
}

/// Reads the statuses that a report says are right: `not 201`, `wanted 200 or 404`.
fn statuses(notes: &str) -> Vec<u16> {
    let after = [", not ", "wanted "].iter().find_map(|words| notes.split_once(words));
    let Some((_, rest)) = after else { return Vec::new() };
    rest.split(" or ").map_while(|word| word.get(..3)?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_broken_check_shows_it_again() {
    has_curl().await;
    let examples = faults::catalogue().iter().flat_map(|fault| fault.examples);
    // What happens a few times only is over when the line is run.
    let lasting = examples.filter(|example| !example.breaks.is_empty() && !example.faults.concat().contains("times="));
    let places = Arc::new(Semaphore::new(ABREAST));
    let mut repeating = JoinSet::new();
    for example in lasting {
        let places = places.clone();
        repeating.spawn(async move {
            let _place = places.acquire_owned().await.expect("nobody closes the semaphore");
            let registry = Bad::start(example.faults).await;
            let found = bad::judge(&registry).await;
            let report = Report::of_checks(&registry.address().to_string().parse().expect("a registry"), found);
            let mut failures = failures(&report);
            assert!(!failures.is_empty(), "{:?} breaks nothing", example.faults);
            // The other algorithm's lines differ in their digests.
            failures.retain(|failure| !failure.what.ends_with("sha512") || example.blocks == ["*"]);
            repeat(&registry, example.faults, failures).await
        });
    }
    let surprises: Vec<String> = repeating.join_all().await.concat();
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_failed_step_shows_it_again() {
    has_curl().await;
    let mut surprises = Vec::new();
    for faults in [
        &["corrupt=7,method=GET,path=*/blobs/*,when=200", "header=oci-subject"][..],
        &["ignore=last"],
        &["delete-nothing,path=*/manifests/sha*", "status=500,method=HEAD,path=*/manifests/*"],
        // Tags that are never confirmed, and so not deleted before the end, are in the lists of later data sets.
        &["header=location:/v2/,method=PUT,path=*/manifests/*", "ignore=last"],
    ] {
        let registry = Bad::start(faults).await;
        let report = judged::judge(&registry.address().to_string(), &judged::EVERYTHING).await;
        let failures = failures(&report).into_iter().filter(|failure| failure.what.contains('/'));
        // Of the many steps that fail in one way, one is as good as another.
        let mut seen = BTreeSet::new();
        let failures: Vec<Failure> =
            failures.filter(|failure| seen.insert(failure.what.rsplit('/').next().map(str::to_owned))).collect();
        assert!(!failures.is_empty(), "{faults:?} breaks nothing");
        surprises.extend(repeat(&registry, faults, failures).await);
    }
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n\n"));
}

/// Headers that differ each time, or that are about the connection and not about the answer.
const VOLATILE: [&str; 4] = ["date", "connection", "transfer-encoding", "x-request-id"];
/// How many registries are judged at a time.
const ABREAST: usize = 8;
/// A script that hangs must not hang the tests.
const WATCHDOG: Duration = Duration::from_secs(120);
