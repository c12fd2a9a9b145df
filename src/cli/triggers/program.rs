//! The installed `spin`, and what of it runs which trigger.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::flags::Known;
use crate::cli::misuse::Misuse;
use crate::error::Error;
use crate::spin::Prepared;

/// An installed `spin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program(PathBuf);

/// The part of Spin, or the plugin, that runs triggers of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executor {
    program: PathBuf,
    kind: String,
}

impl Program {
    /// Finds it: where `SPIN_BIN_PATH` says, else in the directories of `PATH`.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotSpin`] and [`Misuse::NoSpin`].
    pub(crate) fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Misuse> {
        find(variable, is_program)
    }

    /// Returns what runs triggers of this type: Spin itself, or the plugin of that name.
    pub(crate) fn executor(&self, kind: &str) -> Executor {
        Executor { program: self.0.clone(), kind: kind.to_owned() }
    }
}

impl Executor {
    /// Returns the type of the triggers that it runs.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// Prepares its start.
    pub(crate) fn command(&self, app: &Prepared, local: Option<&Path>, flags: &[OsString]) -> Command {
        let mut command = self.bare();
        command.args(flags).env("SPIN_LOCKED_URL", app.lock_url()).env("SPIN_WORKING_DIR", app.directory());
        match local {
            Some(directory) => command.env("SPIN_LOCAL_APP_DIR", directory),
            // Whatever it says is about another application.
            None => command.env_remove("SPIN_LOCAL_APP_DIR"),
        };
        command
    }

    /// Asks it which flags it takes; `None` where it does not say, as executors of older Spin do not.
    pub(crate) async fn flags(&self) -> Result<Option<Known>, Error> {
        let mut command = self.bare();
        command.arg("--launch-metadata-only").stdin(Stdio::null());
        let output = command.output().await.map_err(|error| Error::io("start", &self.program, error))?;
        Ok(Known::parse(&output.stderr))
    }

    fn bare(&self) -> Command {
        let mut command = quiet_about_us(&self.program);
        match self.kind.as_str() {
            "http" | "redis" => command.args(["trigger", &self.kind]),
            plugin => command.arg(format!("trigger-{plugin}")),
        };
        command
    }
}

/// Begins a command that is not shown what is for this tool alone, and that ends with it.
fn quiet_about_us(program: &Path) -> Command {
    let mut command = Command::new(program);
    OURS.iter().for_each(|name| _ = command.env_remove(name));
    command.kill_on_drop(true);
    command
}

fn find(variable: impl Fn(&str) -> Option<OsString>, is_program: impl Fn(&Path) -> bool) -> Result<Program, Misuse> {
    if let Some(named) = variable("SPIN_BIN_PATH").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        return if is_program(&named) { Ok(Program(named)) } else { Err(Misuse::NotSpin(named)) };
    }
    let name = format!("spin{}", std::env::consts::EXE_SUFFIX);
    let path = variable("PATH").unwrap_or_default();
    // Directories that depend on where one happens to be are no place for programs.
    let places = std::env::split_paths(OsStr::new(&path)).filter(|directory| directory.is_absolute());
    let found = places.map(|directory| directory.join(&name)).find(|program| is_program(program));
    found.map(Program).ok_or(Misuse::NoSpin)
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Variables with secrets that are for us.
const OURS: [&str; 2] = ["SPINREG_PASSWORD", "SPINREG_TOKEN"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn spin_is_found() {
        let is_program = |path: &Path| ["/opt/spin", "/b/spin", "./spin"].iter().any(|there| path == Path::new(there));
        for (named, path, expected) in [
            (Some("/opt/spin"), Some("/b"), Some("/opt/spin")),
            (Some(""), Some("/a:/b"), Some("/b/spin")),
            (None, Some("/a::.:/b"), Some("/b/spin")),
            (Some("/absent"), Some("/b"), None),
            (None, Some("/a:."), None),
            (None, None, None),
        ] {
            let variable = |name: &str| match name {
                "SPIN_BIN_PATH" => named.map(OsString::from),
                _ => path.map(OsString::from),
            };
            let found = find(variable, is_program).ok();
            assert_eq!(found, expected.map(|path| Program(path.into())), "{named:?} {path:?}");
        }
    }

    #[test]
    fn executors_are_parts_of_spin_or_plugins() {
        let spin = Program("spin".into());
        for (kind, expected) in [("http", vec!["trigger", "http"]), ("cron", vec!["trigger-cron"])] {
            let command = spin.executor(kind).bare();
            assert_eq!(command.as_std().get_args().collect::<Vec<_>>(), expected);
        }
    }
}
