//! Credential helpers, good and bad, for the tool in its room.

use std::path::PathBuf;

use tokio::net::unix::pipe::{OpenOptions, Receiver};

use super::cli::Cli;
use super::root;

/// How the helpers behave that [`install`] installs; `docker-credential-missing` is not there.
const BEHAVIOURS: [&str; 8] = ["good", "token", "hub", "empty", "failing", "nonsense", "hanging", "brooding"];

/// Puts a `docker-credential-BEHAVIOUR` for each behaviour on the tool's path. Those that give something give `secret`,
/// which must never show; those that fail print it.
pub(crate) fn install(cli: Cli, secret: &str) -> Cli {
    let bin = cli.path("data/bin");
    std::fs::create_dir(&bin).expect("a directory in a temporary directory");
    for behaviour in BEHAVIOURS {
        let link = bin.join(format!("docker-credential-{behaviour}"));
        std::os::unix::fs::symlink(root("fixtures/helpers/docker-credential.sh"), link).expect("a new link");
    }
    let mut path = bin.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").expect("a path"));
    let log = log(&cli);
    cli.env("PATH", path).env("HELPER_LOG", log).env("HELPER_SECRET", secret).secret(secret)
}

/// Returns the calls so far: `docker-credential-good get r.example`.
pub(crate) fn calls(cli: &Cli) -> Vec<String> {
    let text = std::fs::read_to_string(log(cli)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Makes the pipe that `docker-credential-brooding`, and what it starts, hold open as long as they live; returns where it
/// ends.
pub(crate) fn pulse(cli: &Cli) -> Receiver {
    let pipe = log(cli).with_extension("log.alive");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("the system makes pipes");
    assert!(made.success(), "a new pipe");
    OpenOptions::new().open_receiver(pipe).expect("a new pipe")
}

fn log(cli: &Cli) -> PathBuf {
    cli.path("data/helpers.log")
}
