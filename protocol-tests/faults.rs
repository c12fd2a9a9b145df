//! Faults on demand, and the checks that notice them: each can fail, and none fails for another's reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use spinreg::conformance::{Finding, Findings, Level, Listed, Outcome, catalogue};
use spinreg::serve::faults::{self, Example};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::bad::{Bad, judge};
use crate::support::cli::Cli;
use crate::support::document::part;
use crate::support::kit::exchange;

async fn judge_afresh(faults: &[&str]) -> Findings {
    judge(&Bad::start(faults).await).await
}

/// What became of a check in all its columns: the worst of it.
fn outcomes(findings: &[Finding]) -> BTreeMap<&'static str, &Outcome> {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Broken => 4,
        Outcome::Blocked(_) => 3,
        Outcome::Unsupported => 2,
        Outcome::Disabled => 1,
        Outcome::Met => 0,
    };
    let mut worst = BTreeMap::new();
    for finding in findings {
        let known = worst.entry(finding.check.id).or_insert(&finding.outcome);
        if rank(&finding.outcome) > rank(known) {
            *known = &finding.outcome;
        }
    }
    worst
}

/// Writes what differs between what an example declares and what was found.
fn surprises(example: &Example, found: &Findings) -> Vec<String> {
    let mut surprises = Vec::new();
    for (id, outcome) in outcomes(&found.findings) {
        let declared = if example.breaks.contains(&id) {
            "broken"
        } else if example.lacks.contains(&id) {
            "unsupported"
        } else if example.blocks.contains(&id) {
            "blocked"
        } else {
            "met"
        };
        let actual = match outcome {
            Outcome::Met => "met",
            Outcome::Broken => "broken",
            Outcome::Unsupported => "unsupported",
            Outcome::Blocked(_) => "blocked",
            Outcome::Disabled => "disabled",
        };
        let any = example.blocks == ["*"] && actual == "blocked";
        if declared != actual && !any {
            let finding = found.findings.iter().find(|finding| finding.check.id == id && finding.outcome == *outcome);
            let notes = finding.map(|finding| finding.notes.join("; ")).unwrap_or_default();
            surprises.push(format!("{:?}: `{id}` is {actual}, not {declared}: {notes}", example.faults));
        }
    }
    surprises
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_noticed_by_the_checks_that_it_declares_and_by_no_others() {
    let examples: Vec<&Example> = faults::catalogue().iter().flat_map(|fault| fault.examples).collect();
    let places = Arc::new(Semaphore::new(ABREAST));
    let mut judging = JoinSet::new();
    for example in std::iter::once(&NOTHING).chain(examples) {
        let places = places.clone();
        judging.spawn(async move {
            let _place = places.acquire_owned().await.expect("nobody closes the semaphore");
            match timeout(WATCHDOG, judge_afresh(example.faults)).await {
                Ok(found) => surprises(example, &found),
                Err(_) => vec![format!("{:?}: the checks do not end", example.faults)],
            }
        });
    }
    let mut all: Vec<String> = judging.join_all().await.concat();
    all.sort();
    assert!(all.is_empty(), "{} surprises:\n{}", all.len(), all.join("\n"));
}

#[tokio::test]
async fn the_line_breaks_where_it_is_told_to() {
    for (faults, ends) in [
        (&["cut=1"][..], ["\r\n\r\n{", "\r\n\r\n{"]),
        (&["cut=1,times=1"], ["\r\n\r\n{", "\r\n\r\n{}"]),
        (&["close,after=1"], ["\r\n\r\n{}", ""]),
        (&["corrupt=1"], ["\r\n\r\n{|", "\r\n\r\n{|"]),
        (&["length=-1"], ["\r\n\r\n{", "\r\n\r\n{"]),
        (&["length=+1", "header=content-type,times=1"], ["\r\n\r\n{}", "\r\n\r\n{}"]),
        (&["header=x-said:a%2C b", "cut=0,path=/v2/?b"], ["\r\n\r\n{}", "\r\n\r\n{}"]),
        (&["json=new:[1]"], ["{\"new\":[1]}", "{\"new\":[1]}"]),
    ] {
        let registry = Bad::start(faults).await;
        for end in ends {
            let answer = exchange(registry.address(), "GET /v2/ HTTP/1.1").await.expect("an answer");
            assert!(answer.ends_with(end) && answer.is_empty() == end.is_empty(), "{faults:?}: {answer}");
            assert_eq!(answer.contains("x-said: a, b\r\n"), faults[0].starts_with("header"), "{answer}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_reset_is_no_end() {
    for fault in ["reset", "reset,when=200", "reset=1"] {
        let registry = Bad::start(&[fault]).await;
        let error = exchange(registry.address(), "GET /v2/ HTTP/1.1").await.expect_err(fault);
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{fault}: {error}");
    }
}

#[tokio::test]
async fn a_registry_is_bad_for_as_often_as_it_is_told_to() {
    let registry = Bad::start(&["status=503,times=2,retry-after=7", "status=429,after=3"]).await;
    for status in ["503", "503", "200", "429", "429"] {
        let answer = exchange(registry.address(), "GET /v2/ HTTP/1.1").await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.contains("retry-after: 7\r\n"), status == "503", "{answer}");
    }
}

#[tokio::test]
async fn the_tool_lists_its_faults_and_refuses_others() {
    let cli = Cli::new();
    let help = cli.run(["serve", "--fault", "help"]).await.success();
    assert!(help.starts_with("Faults:\n"), "{help}");
    for fault in faults::catalogue() {
        assert!(help.contains(fault.form) && help.contains(fault.does), "{help}");
    }
    let complaint = cli.run(["serve", "--dir", "x", "--fault", "cut"]).await.failure(2);
    assert!(complaint.contains("`cut`") && complaint.contains("--fault help"), "{complaint}");
}

#[test]
fn every_check_can_fail_and_no_two_always_fail_together() {
    let mut sets: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let examples = faults::catalogue().iter().flat_map(|fault| fault.examples);
    for (number, example) in examples.enumerate() {
        for id in example.breaks {
            sets.entry(id).or_default().insert(number);
        }
    }
    let known: BTreeSet<&str> = catalogue().iter().map(|listed| listed.check.id).collect();
    let able: BTreeSet<&str> = sets.keys().copied().collect();
    assert_eq!(known.difference(&able).collect::<Vec<_>>(), Vec::<&&str>::new(), "nothing breaks these checks");
    assert_eq!(able.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "there are no such checks");
    let mut seen = BTreeMap::new();
    for (id, set) in &sets {
        if let Some(other) = seen.insert(set, id) {
            panic!("`{id}` and `{other}` always fail together");
        }
    }
}

#[test]
fn the_documents_list_what_there_is() {
    let mut table = String::from("| Fault | What it does |\n|---|---|\n");
    for fault in faults::catalogue() {
        let star = if fault.of_answers { "\\*" } else { "" };
        writeln!(table, "| `{}`{star} | {} |", fault.form, fault.does).expect("a string takes text");
    }
    part("docs/faults.md", "faults", &table);

    let mut table = String::from("| `--fault` | Breaks |\n|---|---|\n");
    for example in faults::catalogue().iter().flat_map(|fault| fault.examples) {
        let faults = example.faults.join("` `");
        writeln!(table, "| `{faults}` | {} |", toll(example)).expect("a string takes text");
    }
    part("docs/faults.md", "examples", &table);

    let mut table = String::from("| Check | Endpoint | Level | Rule | Section |\n|---|---|---|---|---|\n");
    for listed in catalogue() {
        let Listed { check, by_algorithm, unseen } = listed;
        let star = if by_algorithm { "\\*" } else { "" };
        let level = match check.level {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        };
        let unseen = unseen.map(|why| format!(". *Not seen by the official suite:* {why}")).unwrap_or_default();
        let (id, endpoint, rule, section) = (check.id, check.endpoint, check.rule, check.section);
        writeln!(table, "| `{id}`{star} | {endpoint} | {level} | {rule}{unseen} | {section} |")
            .expect("a string takes text");
    }
    part("docs/conformance-checks.md", "checks", &table);
}

/// Writes what an example costs.
fn toll(example: &Example) -> String {
    let list = |ids: &[&str]| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let mut parts = Vec::new();
    if !example.breaks.is_empty() {
        parts.push(list(example.breaks));
    }
    if !example.lacks.is_empty() {
        parts.push(format!("unsupported then: {}", list(example.lacks)));
    }
    match example.blocks {
        [] => {}
        ["*"] => parts.push("blocked then: all others with content under digests of sha512".to_owned()),
        blocks => parts.push(format!("blocked then: {}", list(blocks))),
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

/// Without faults every check holds.
static NOTHING: Example = Example { faults: &[], breaks: &[], lacks: &[], blocks: &[] };
/// How many registries are judged at a time: most of it is waiting for the disk.
const ABREAST: usize = 24;
/// Checks that hang must not hang the tests; nothing takes this long otherwise.
const WATCHDOG: Duration = Duration::from_secs(60);
