//! The tool in a room where a stand-in for `spin` is installed, which writes down how it was called.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;

use super::cli::Cli;
use super::root;

/// A tool that finds a stand-in on its path.
pub(crate) struct StandIn {
    pub(crate) cli: Cli,
    ready: BufReader<pipe::Receiver>,
}

impl StandIn {
    pub(crate) fn new() -> Self {
        let cli = Cli::new();
        let bin = cli.path("data/bin");
        fs::create_dir(&bin).expect("a directory in a temporary directory");
        std::os::unix::fs::symlink(root("fixtures/executors/spin.sh"), bin.join("spin")).expect("a new link");
        let fifo = cli.path("data/ready");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("`mkfifo` of every Unix");
        assert!(made.success(), "a pipe cannot be made");
        // Open for both, so that it has no end while nobody writes.
        let ready = pipe::OpenOptions::new().read_write(true).open_receiver(&fifo).expect("a pipe");
        let mut path = bin.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").expect("a path"));
        let records = cli.path("data");
        let cli = cli.env("PATH", path).env("STAND_IN_RECORDS", records).env("STAND_IN_READY", fifo);
        Self { cli, ready: BufReader::new(ready) }
    }

    /// Says how the executor of one type of triggers behaves; see `fixtures/executors/spin.sh`.
    pub(crate) fn behaving(self, kind: &str, behaviour: &str) -> Self {
        self.with(|cli| cli.env(format!("STAND_IN_{kind}"), behaviour))
    }

    /// Changes the room.
    pub(crate) fn with(self, change: impl FnOnce(Cli) -> Cli) -> Self {
        Self { cli: change(self.cli), ..self }
    }

    /// Waits until the stand-ins have said these words, in whatever order: `http` is ready, or `http INT` has been told.
    pub(crate) async fn says(&mut self, words: &[&str]) {
        let mut said = Vec::new();
        while said.len() < words.len() {
            let mut line = String::new();
            let read = tokio::time::timeout(WATCHDOG, self.ready.read_line(&mut line)).await;
            read.expect("no stand-in says anything").expect("a pipe");
            said.push(line.trim_end().to_owned());
        }
        said.sort();
        assert_eq!(said, words);
    }

    /// Returns the path of what the executor of `kind` has written down, or kept of its working directory.
    pub(crate) fn record(&self, kind: &str, name: &str) -> PathBuf {
        self.cli.path("data").join(kind).join(name)
    }

    /// Returns the lines of a record.
    pub(crate) fn lines(&self, kind: &str, name: &str) -> Vec<String> {
        let path = self.record(kind, name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("no `{}`: {error}", path.display()));
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the environment in which an executor was started.
    pub(crate) fn environment(&self, kind: &str) -> BTreeMap<String, String> {
        let lines = self.lines(kind, "environment");
        lines.iter().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    /// Says whether an executor was started.
    pub(crate) fn was_started(&self, kind: &str) -> bool {
        self.record(kind, "flags").exists()
    }

    /// Says which executors have left records, and forgets them.
    pub(crate) fn forget(&self, kinds: &[&str]) {
        for kind in kinds {
            fs::remove_dir_all(self.record(kind, "")).expect("a record");
        }
    }

    /// Fails unless no working directory is left.
    #[track_caller]
    pub(crate) fn assert_tidy(&self) {
        let left: Vec<_> = fs::read_dir(self.cli.path("tmp")).expect("a directory").collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// A stand-in that does not start must not hang the tests; nothing waits this long otherwise.
const WATCHDOG: Duration = Duration::from_secs(120);
