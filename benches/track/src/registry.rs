//! The registries that the tools race against.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::authority::Papers;

/// Which registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Make {
    /// One of this program that does next to nothing: it serves files to pulls and forgets pushes. What is measured is the
    /// client.
    Idle,
    /// The reference registry.
    Distribution,
}

/// A registry at work, on a loopback port; ended when it is dropped.
pub struct Registry {
    child: Child,
    port: u16,
    /// Where requests are counted: the log of the registry, or itself.
    log: Option<PathBuf>,
    counted: usize,
}

impl Registry {
    /// Starts the registry of this program that serves the image layouts in `directory`.
    pub fn served(directory: &Path, papers: Option<&Papers>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(directory);
        Self::own(command, papers)
    }

    /// Starts the one that forgets.
    pub fn sink(papers: Option<&Papers>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("sink");
        Self::own(command, papers)
    }

    /// Starts a line to another registry.
    pub fn link(to: &Self, rtt_ms: u64, megabits: u64) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["link", &format!("127.0.0.1:{}", to.port)]);
        command.args(["--rtt-ms", &rtt_ms.to_string(), "--megabits", &megabits.to_string()]);
        Self::own(command, None)
    }

    fn own(mut command: Command, papers: Option<&Papers>) -> Result<Self> {
        if let Some(papers) = papers {
            command.arg("--certificate").arg(&papers.certificate).arg("--key").arg(&papers.key);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was piped")).read_line(&mut line)?;
        let port = line.trim().strip_prefix("listening on ").and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| Error::other(format!("a registry did not start: {line}")))?;
        Ok(Self { child, port, log: None, counted: 0 })
    }

    /// Starts distribution, which keeps its data in `directory`.
    pub fn distribution(program: &Path, directory: &Path, papers: Option<&Papers>) -> Result<Self> {
        let tls = papers.map_or_else(String::new, |papers| {
            format!("  tls:\n    certificate: {}\n    key: {}\n", papers.certificate.display(), papers.key.display())
        });
        let configuration = format!(
            "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    rootdirectory: {}\n  \
             delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n{tls}",
            directory.join("data").display(),
        );
        let (file, log) = (directory.join("config.yml"), directory.join("log"));
        fs::write(&file, configuration)?;
        let out = File::create(&log)?;
        let mut command = Command::new(program);
        command.arg("serve").arg(file).env_clear().env("OTEL_TRACES_EXPORTER", "none").stdin(Stdio::null());
        let mut child = command.stdout(out.try_clone()?).stderr(out).spawn()?;
        for _ in 0..200 {
            let text = fs::read_to_string(&log)?;
            if let Some((_, rest)) = text.split_once("listening on 127.0.0.1:") {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(port) = digits.parse() {
                    return Ok(Self { child, port, log: Some(log), counted: 0 });
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        child.kill()?;
        Err(Error::other(format!("distribution did not start:\n{}", fs::read_to_string(&log)?)))
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Tells how many requests there were since this was asked last; nothing where it cannot be told.
    pub fn requests(&mut self) -> Result<Option<u64>> {
        let Some(log) = &self.log else { return Ok(self.ask()) };
        // The log may be a moment behind.
        thread::sleep(Duration::from_millis(50));
        let text = fs::read_to_string(log)?;
        let all = text.matches("msg=\"response completed\"").count();
        let new = all - self.counted;
        self.counted = all;
        Ok(Some(new as u64))
    }

    fn ask(&self) -> Option<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"GET /requests HTTP/1.1\r\nHost: track\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.rsplit("\r\n").next()?.trim().parse().ok()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
