//! Credential helpers, good and bad, for the tool in its room.

use std::path::PathBuf;

use super::cli::Cli;
use super::root;

/// How the helpers behave that [`install`] installs; `docker-credential-missing` is not there.
const BEHAVIOURS: [&str; 7] = ["good", "token", "hub", "empty", "failing", "nonsense", "hanging"];

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

fn log(cli: &Cli) -> PathBuf {
    cli.path("data/helpers.log")
}
