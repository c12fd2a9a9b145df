//! The real tool in a home of its own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::wire::Wire;

/// A home directory, an environment with nothing else in it, and secrets that must not show.
pub(crate) struct Cli {
    home: TempDir,
    environment: Vec<(OsString, OsString)>,
    secrets: Vec<String>,
    starter: Option<PathBuf>,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: ExitStatus,
}

impl Cli {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        for directory in ["home", "config", "cache", "data", "run", "tmp", "work"] {
            std::fs::create_dir(home.path().join(directory)).expect("a directory in a temporary directory");
        }
        Self { home, environment: Vec::new(), secrets: Vec::new(), starter: None }
    }

    /// Sets a variable for all further runs.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Has another program start the tool; it gets the tool's path before the arguments.
    pub(crate) fn started_by(self, program: impl Into<PathBuf>) -> Self {
        Self { starter: Some(program.into()), ..self }
    }

    /// Fails each run whose output has this text, or its base64 form, anywhere.
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        assert!(secret.len() >= 8, "`{secret}` is too short to be told from other text");
        self.secrets.push(secret.to_owned());
        self
    }

    /// Returns a path in the room: `home`, `config`, `cache`, `data`, `run`, `tmp` or `work` and what is below.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.home.path().join(path)
    }

    /// Writes the tool's configuration file where it looks for it.
    pub(crate) fn configure(&self, text: &str) {
        let folder = self.path("config/spinreg");
        std::fs::create_dir_all(&folder).expect("a directory in a temporary directory");
        std::fs::write(folder.join("config.toml"), text).expect("a file in a temporary directory");
    }

    /// Runs the tool with these arguments, in `work`.
    pub(crate) async fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.start(arguments, None).wait().await
    }

    /// Runs the tool with these arguments and something to read.
    pub(crate) async fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Run {
        self.start(arguments, Some(input.to_owned())).wait().await
    }

    /// Runs the tool on a terminal of its own, where `typed` is typed; what it shows counts as standard output.
    #[cfg(unix)]
    pub(crate) async fn run_on_a_terminal<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        typed: &str,
    ) -> Run {
        use std::io::{Read as _, Write as _};
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let end = || Stdio::from(terminal.slave.try_clone().expect("another handle"));
        let child = self.command(arguments).stdin(end()).stdout(end()).stderr(end()).spawn();
        drop(terminal.slave);
        let mut near = std::fs::File::from(terminal.master);
        near.write_all(typed.as_bytes()).expect("somebody reads");
        let shown = tokio::task::spawn_blocking(move || {
            let (mut shown, mut chunk) = (Vec::new(), [0; 4096]);
            // The end of a terminal is an error.
            while let Ok(n @ 1..) = near.read(&mut chunk) {
                shown.extend_from_slice(&chunk[..n]);
            }
            shown
        });
        let stderr = tokio::spawn(std::future::ready(Vec::new()));
        let child = child.expect("the tool was built with its tests");
        Running { child, stdout: shown, stderr, secrets: self.secrets.clone() }.wait().await
    }

    /// Starts the tool on a terminal of so many columns, for whoever wants to look at the screen.
    #[cfg(unix)]
    pub(crate) fn start_on_a_screen<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        columns: u16,
    ) -> super::screen::Screen {
        super::screen::Screen::start(self.command(arguments), columns)
    }

    /// Starts the tool and leaves it running.
    pub(crate) fn start<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: Option<String>,
    ) -> Running {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self.command(arguments).stdin(stdin).spawn().expect("the tool was built with its tests");
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            tokio::spawn(async move {
                // The tool may well end before it has read everything.
                let _unread = stdin.write_all(input.as_bytes()).await;
            });
        }
        let stdout = read(child.stdout.take().expect("a pipe"));
        let stderr = read(child.stderr.take().expect("a pipe"));
        Running { child, stdout, stderr, secrets: self.secrets.clone() }
    }

    /// Starts `spinreg serve` on a loopback port, over a directory of its own.
    pub(crate) async fn serve(&self) -> Serving {
        self.serve_with(&[]).await
    }

    /// The same, without a line for each request.
    pub(crate) async fn serve_quietly(&self) -> Serving {
        self.serve_with(&["-q"]).await
    }

    /// Starts `spinreg serve` on a loopback port, over a directory of its own, with these flags besides.
    pub(crate) async fn serve_with(&self, flags: &[&str]) -> Serving {
        self.serve_at("127.0.0.1:0", flags).await
    }

    /// The same, at another address.
    pub(crate) async fn serve_at(&self, place: &str, flags: &[&str]) -> Serving {
        let directory = self.path("data/registry");
        let mut command = self.command(["serve", "--listen", place, "--dir"]);
        command.arg(directory).args(flags).stdin(Stdio::null());
        let mut child = command.spawn().expect("the tool was built with its tests");
        let said = Wire::new();
        let (stdout, stderr) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let drains = [listen_to(stdout, said.clone()), listen_to(stderr, said.clone())];
        let first = said.says("serving `").await;
        let (_, address) = first.split_once("://").expect("the registry says where it listens");
        let registry = address.trim_end_matches('/').to_owned();
        Serving { registry, child, said, _drains: drains }
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let tool = env!("CARGO_BIN_EXE_spinreg");
        let mut command = Command::new(self.starter.as_deref().unwrap_or(Path::new(tool)));
        command.args(self.starter.iter().map(|_| tool)).args(arguments).env_clear().current_dir(self.path("work"));
        // Loaders and credential helpers need a path; nothing else of this environment gets through.
        for name in ["PATH", "LD_LIBRARY_PATH", "SystemRoot"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", self.path("home"));
        for (name, directory) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
        ] {
            command.env(name, self.path(directory));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// `spinreg serve` at work; dropping it kills it.
pub(crate) struct Serving {
    registry: String,
    child: Child,
    said: Wire,
    _drains: [JoinHandle<()>; 2],
}

impl Serving {
    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the registry still runs");
    }

    /// Returns the number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id().expect("the registry still runs")
    }

    /// Returns `127.0.0.1:PORT`, or `ADDRESS:PORT` for another address.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the port alone.
    pub(crate) fn port(&self) -> &str {
        self.registry.rsplit_once(':').map_or("", |(_, port)| port)
    }

    /// Returns what it has printed, on whichever stream.
    pub(crate) fn said(&self) -> &Wire {
        &self.said
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("the tool still runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).expect("it is ours");
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> ExitStatus {
        let end = tokio::time::timeout(WATCHDOG, self.child.wait());
        end.await.expect("the tool hangs").expect("the tool was started")
    }
}

/// Notes each line, so that the tool never waits for us.
fn listen_to(pipe: impl tokio::io::AsyncRead + Unpin + Send + 'static, said: Wire) -> JoinHandle<()> {
    let mut lines = BufReader::new(pipe).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            said.hear(line);
        }
    })
}

/// Returns how much memory a process has had at most, in KiB.
pub(crate) fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system counts");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number of KiB")
}

/// The tool at work; dropping it kills it.
pub(crate) struct Running {
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    secrets: Vec<String>,
}

impl Running {
    /// Kills the tool (SIGKILL) and waits until it is gone.
    pub(crate) async fn kill(mut self) -> Run {
        self.child.start_kill().expect("the tool still runs");
        self.wait().await
    }

    /// Presses Ctrl-C (SIGINT) and waits for the end.
    pub(crate) async fn interrupt(self) -> Run {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("the tool still runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGINT).expect("it is ours");
        self.wait().await
    }

    /// Sends a signal and leaves it running.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("the tool still runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).expect("it is ours");
    }

    /// Waits until the tool ends by itself.
    pub(crate) async fn ended(&mut self) {
        self.child.wait().await.expect("the tool was started");
    }

    /// Waits for the end.
    pub(crate) async fn wait(mut self) -> Run {
        let end = async {
            let status = self.child.wait().await.expect("the tool was started");
            (status, self.stdout.await.expect("a pipe"), self.stderr.await.expect("a pipe"))
        };
        let (status, stdout, stderr) = tokio::time::timeout(WATCHDOG, end).await.expect("the tool hangs");
        let run = Run { stdout: text(stdout), stderr: text(stderr), status };
        for secret in &self.secrets {
            run.assert_hides(secret);
        }
        run
    }
}

impl Run {
    /// Returns the exit code; `None` after a signal.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails the test unless the tool succeeded; returns what it printed.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert!(self.status.success(), "the tool failed: {self}");
        self.stdout
    }

    /// Fails the test unless the tool ended with `code` and nothing on stdout; returns what it complained.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> String {
        assert_eq!(self.code(), Some(code), "the tool ended otherwise: {self}");
        assert!(self.stdout.is_empty(), "results of a failure: {self}");
        self.stderr
    }

    fn assert_hides(&self, secret: &str) {
        use base64::Engine as _;
        use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
        // Credentials are mostly shown as `user:secret` in base64, where the alignment is not known: three ways.
        let shifted = (0..3usize).flat_map(|shift| {
            let padded = [&vec![b'x'; shift], secret.as_bytes()].concat();
            // The first characters depend on what comes before, the last ones on what follows.
            let inner = |text: String| text[(shift * 4).div_ceil(3)..text.len() - 2].to_owned();
            [inner(BASE64_STANDARD_NO_PAD.encode(&padded)), inner(BASE64_URL_SAFE_NO_PAD.encode(&padded))]
        });
        for form in shifted.chain([secret.to_owned()]) {
            assert!(!self.stdout.contains(&form) && !self.stderr.contains(&form), "a secret shows: {self}");
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n--- stdout\n{}--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A tool that hangs must not hang the tests; nothing waits this long otherwise.
const WATCHDOG: Duration = Duration::from_secs(120);

fn read(mut pipe: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).await.expect("a pipe to our own process");
        bytes
    })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the tool prints UTF-8")
}

#[test]
fn secrets_are_found_in_any_clothes() {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    let run = |stderr: String| Run { stdout: String::new(), stderr, status: ExitStatus::default() };
    run("all is well".into()).assert_hides("correct-horse");
    for shown in [
        "password correct-horse".to_owned(),
        BASE64_STANDARD.encode("ada:correct-horse"),
        BASE64_STANDARD.encode("al:correct-horse"),
        BASE64_STANDARD.encode("a:correct-horse"),
    ] {
        let run = run(shown);
        assert!(std::panic::catch_unwind(|| run.assert_hides("correct-horse")).is_err(), "{run}");
    }
}
