//! The official suite at work, and the files that it and `spinreg conformance` write alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::steps::{Step, steps};
use crate::support::peers::program;

/// What the official suite left behind.
pub(super) struct Verdict {
    room: TempDir,
    pub(super) results: Results,
    pub(super) steps: Vec<Step>,
}

/// `results.yaml`.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Results {
    config: BTreeMap<String, Value>,
    pub(super) apis: BTreeMap<String, String>,
    pub(super) data: BTreeMap<String, String>,
}

/// Has the official suite judge a registry; the variables are its settings.
pub(super) async fn judge(registry: &str, variables: &[(&str, &str)]) -> Verdict {
    let room = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(program("conformance"));
    // Its results go to `./results`, and no setting of ours gets through but these.
    command.env_clear().current_dir(room.path()).env("OCI_REGISTRY", registry).envs(variables.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(WATCHDOG, command.output()).await.expect("the suite hangs");
    let output = output.expect("the peer starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let directory = room.path().join("results");
    assert!(directory.join("report.html").is_file(), "the suite wrote no results, {}:\n{stderr}", output.status);
    let (results, steps) = (Results::read(&directory), steps(&directory));
    // It ends with 0 on a bad configuration as well, but then it writes nothing.
    let passed = results.complaints().is_empty();
    assert_eq!(output.status.code(), Some(i32::from(!passed)), "{:?}:\n{stderr}", results.complaints());
    Verdict { room, results, steps }
}

impl Verdict {
    /// Returns its `results.yaml`.
    pub(super) fn file(&self) -> PathBuf {
        self.room.path().join("results/results.yaml")
    }

    /// Returns what people need to see when not everything passed.
    pub(super) fn story(&self) -> String {
        let failing = self.steps.iter().filter(|step| step.status != "passed").take(SHOWN);
        let told = failing.map(|step| format!("{} {}\n{}\n{}", step.status, step.name, step.reasons, step.log));
        told.collect::<Vec<_>>().join("\n")
    }
}

impl Results {
    pub(super) fn read(directory: &Path) -> Self {
        let text = std::fs::read_to_string(directory.join("results.yaml")).expect("a file of the results");
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
    }

    /// Returns the settings, but for those that differ from run to run.
    pub(super) fn settings(&self) -> BTreeMap<&str, Option<&Value>> {
        let own = ["registry", "resultsDir", "commit"];
        self.config.iter().map(|(key, value)| (key.as_str(), (!own.contains(&key.as_str())).then_some(value))).collect()
    }

    /// Returns both maps in one, by label.
    pub(super) fn verdicts(&self) -> BTreeMap<&str, &str> {
        self.apis.iter().chain(&self.data).map(|(label, word)| (label.as_str(), word.as_str())).collect()
    }

    fn complaints(&self) -> Vec<(&str, &str)> {
        let worst = ["FAIL", "Error"];
        self.verdicts().into_iter().filter(|(_, word)| worst.contains(word)).collect()
    }
}

/// A run takes some seconds, and a minute where each answer waits for the other side's acknowledgement.
const WATCHDOG: Duration = Duration::from_secs(400);
/// How many failing steps are shown: the first one mostly is the cause of the others.
const SHOWN: usize = 8;
