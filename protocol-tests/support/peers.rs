//! Programs that we did not write: where they are, and registries among them at work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::root;

/// Returns the program of a peer that `peers.tsv` pins; a missing one fails the test.
pub(crate) fn program(name: &str) -> PathBuf {
    let pins = include_str!("../peers.tsv");
    let row = pins.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
    let Some(row) = row.into_iter().find(|row| row.first() == Some(&name)) else {
        panic!("`{name}` is not in peers.tsv");
    };
    let path = match row[1] {
        // What is for administrators is in the other folder.
        "apt" => match Path::new("/usr/sbin").join(name) {
            path if path.is_file() => path,
            _ => Path::new("/usr/bin").join(name),
        },
        "go" => folder().join(row[2].rsplit('/').next().expect("a package has a name")),
        "pip" => folder().join(name),
        other => panic!("peers.tsv: `{other}` is neither apt nor go nor pip"),
    };
    assert!(path.is_file(), "the peer `{name}` is missing at `{}`: `bash .ci/run peers` installs it", path.display());
    path
}

/// Returns the folder of the programs that the system does not have.
fn folder() -> PathBuf {
    std::env::var_os("SPINREG_PEERS").map_or_else(|| root("target/peers/bin"), PathBuf::from)
}

/// Who may use a registry of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// `fixtures/htpasswd`: `ada` with the password `correct horse`.
    Basic,
}

/// How a registry of the tests speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Plain,
    Tls { certificate: PathBuf, key: PathBuf },
}

/// A registry of another make, on a loopback port of its own; ended when it is dropped.
pub(crate) struct Foreign {
    address: SocketAddr,
    child: Child,
    _drain: JoinHandle<()>,
    _data: TempDir,
}

impl Foreign {
    /// Starts `docker-registry` or `distribution`, which read the same configuration.
    pub(crate) async fn distribution(name: &str, door: Door, speech: &Speech) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let auth = match door {
            Door::Open => String::new(),
            Door::Basic => {
                format!("auth:\n  htpasswd:\n    realm: spinreg\n    path: {}\n", root("fixtures/htpasswd").display())
            }
        };
        let tls = match speech {
            Speech::Plain => String::new(),
            Speech::Tls { certificate, key } => {
                format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display())
            }
        };
        let configuration = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: 127.0.0.1:0\n{tls}{auth}",
            data.path().join("data").display(),
        );
        let file = data.path().join("config.yml");
        std::fs::write(&file, configuration).expect("a file in a temporary directory");
        let mut command = Command::new(program(name));
        command.arg("serve").arg(file).env_clear().env("OTEL_TRACES_EXPORTER", "none");
        Self::start(command, "listening on 127.0.0.1:", data).await
    }

    /// Starts the registry that comes with crane.
    pub(crate) async fn crane() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(program("crane"));
        command.args(["registry", "serve", "--address", "127.0.0.1:0", "--disk"]).arg(data.path());
        Self::start(command, "serving on port ", data).await
    }

    /// Starts olareg, over a directory, with everything that it can delete to be deleted.
    #[cfg(target_os = "linux")]
    pub(crate) async fn olareg(speech: &Speech) -> Self {
        Self::olareg_with(speech, &["--api-delete", "--api-blob-delete"]).await
    }

    /// Starts olareg, over a directory, with these flags: alone it deletes nothing.
    #[cfg(target_os = "linux")]
    pub(crate) async fn olareg_with(speech: &Speech, flags: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(program("olareg"));
        command.args(["serve", "--addr", "127.0.0.1", "--port", "0", "--dir"]);
        command.arg(data.path()).args(flags);
        if let Speech::Tls { certificate, key } = speech {
            command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("the peer starts");
        let process = child.id().expect("it was started just now");
        // It tells nobody which port it was given.
        let port = loop {
            match listening_port(process) {
                Some(port) => break port,
                None => tokio::task::yield_now().await,
            }
        };
        Self { address: ([127, 0, 0, 1], port).into(), child, _drain: tokio::spawn(async {}), _data: data }
    }

    /// Waits for the line that tells the port, and goes on reading, so that the registry never waits for us.
    async fn start(mut command: Command, before: &'static str, data: TempDir) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the peer starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut heard = Vec::new();
        let port: u16 = loop {
            let Some(line) = lines.next_line().await.expect("a pipe") else {
                panic!("the registry ended before it listened:\n{}", heard.join("\n"));
            };
            if let Some((_, rest)) = line.split_once(before) {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                break digits.parse().expect("a port");
            }
            heard.push(line);
        };
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address: ([127, 0, 0, 1], port).into(), child, _drain: drain, _data: data }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id().expect("the registry still runs")
    }
}

/// Returns the port that a process listens at, as the system sees it.
#[cfg(target_os = "linux")]
fn listening_port(process: u32) -> Option<u16> {
    const LISTENING: &str = "0A";
    let process = PathBuf::from(format!("/proc/{process}"));
    let files = std::fs::read_dir(process.join("fd")).expect("the peer still runs");
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let own: Vec<String> = links.filter_map(|link| Some(link.to_str()?.to_owned())).collect();
    let sockets = std::fs::read_to_string(process.join("net/tcp")).expect("the peer still runs");
    sockets.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let listens = columns.get(3) == Some(&LISTENING) && own.contains(&format!("socket:[{}]", columns.get(9)?));
        let (_, port) = columns.get(1)?.rsplit_once(':').filter(|_| listens)?;
        u16::from_str_radix(port, 16).ok()
    })
}

/// Runs a foreign client to its end and returns what it printed.
pub(crate) async fn run(name: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> String {
    let mut command = Command::new(program(name));
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("the peer starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}
