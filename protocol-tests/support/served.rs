//! A component at work in a runtime of another make, which hands it requests.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::peers::program;

/// Returns the runtime with its home in `home`, so far without arguments.
pub(crate) fn wasmtime(home: &Path) -> Command {
    let mut command = Command::new(program("wasmtime"));
    command.env_clear().env("HOME", home).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A component that answers requests, on a loopback port of its own; ended when it is dropped.
pub(crate) struct Served {
    address: String,
    _child: Child,
    _drain: JoinHandle<()>,
}

impl Served {
    /// Starts the component in the file `component`, in whose directory the runtime is at home.
    pub(crate) async fn start(component: &Path, flags: &[&str]) -> Self {
        let home = component.parent().expect("a file in a directory");
        let mut command = wasmtime(home);
        command.args(["serve", "--addr", "127.0.0.1:0"]).args(flags).arg(component);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the runtime starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut heard = Vec::new();
        let address = loop {
            let Some(line) = lines.next_line().await.expect("a pipe") else { panic!("{}", heard.join("\n")) };
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.trim_end_matches('/').to_owned();
            }
            heard.push(line);
        };
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, _child: child, _drain: drain }
    }

    /// Asks for a path, and returns the whole answer, headers included.
    pub(crate) async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }
}
