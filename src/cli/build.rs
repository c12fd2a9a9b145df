//! Running the commands that build an application's components.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;

use super::app_source::AppSource;
use super::failure::Problem;
use super::interrupts::Interrupts;
use super::obtain::Local;
use super::output;
use super::status::Voice;
use crate::model::excerpt;
use crate::spin::{self, ComponentBuild, OtherBuild};

/// A build that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("the build of the component `{}` failed: {end}", excerpt(component))]
pub(crate) struct BuildFailure {
    /// The component.
    pub(crate) component: String,
    /// What happened.
    pub(crate) end: End,
}

/// How a build ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// There is no directory to run it in.
    #[error("its directory `{}` does not exist", .0.display())]
    NoDirectory(PathBuf),
    /// There is no shell to run it.
    #[error("`{}` cannot be run: {error}", excerpt(command))]
    NotRun {
        /// The command.
        command: String,
        /// Why not.
        error: io::Error,
    },
    /// A command failed.
    #[error("`{}` ended with {}", excerpt(command), Ended(status))]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Builds an application that is here, where that is asked for.
pub(super) async fn first(
    source: &AppSource,
    local: &Local,
    voice: Voice,
    interrupts: &mut Interrupts,
) -> Result<(), Problem> {
    if let AppSource::Manifest(path) = source
        && local.built
    {
        run(&spin::builds(path, &local.options()).await?, voice, interrupts).await?;
        spin::note_build(path, local.profile.as_deref()).await;
    }
    Ok(())
}

/// Runs the commands of each component, one after the other, until one fails. What they print goes to standard error:
/// standard output is for the result.
pub(super) async fn run(builds: &[ComponentBuild], voice: Voice, interrupts: &mut Interrupts) -> Result<(), Problem> {
    if builds.is_empty() {
        output::remark("warning: no component has a build command");
    }
    for build in builds {
        let failed = |end| Problem::Build(Box::new(BuildFailure { component: build.component.clone(), end }));
        if !build.directory.is_dir() {
            return Err(failed(End::NoDirectory(build.directory.clone())));
        }
        for command in &build.commands {
            if voice != Voice::Silent {
                output::remark(&format!("building `{}`: `{}`", build.component, excerpt(command)));
            }
            let mut shell = shell(command);
            shell.current_dir(&build.directory).stdout(Stdio::from(io::stderr())).kill_on_drop(true);
            // The programs that a build downloads and runs have no business with them.
            for secret in SECRETS {
                shell.env_remove(secret);
            }
            let not_run = |error| failed(End::NotRun { command: command.clone(), error });
            let mut child = shell.spawn().map_err(not_run)?;
            let status = tokio::select! {
                status = child.wait() => status.map_err(not_run)?,
                () = interrupts.next() => return Err(Problem::Interrupted),
            };
            if !status.success() {
                return Err(failed(End::Failed { command: command.clone(), status }));
            }
        }
    }
    Ok(())
}

/// Says that something else was built last.
pub(super) fn warning(other: &OtherBuild) -> String {
    let name = |profile: &Option<String>| match profile {
        Some(profile) => format!("the profile `{}`", excerpt(profile)),
        None => "no profile".to_owned(),
    };
    format!(
        "what was built last is {}, and this is {}; `--build` builds first",
        name(&other.built),
        name(&other.wanted)
    )
}

/// Prepares the shell that Spin runs such commands with.
#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd.exe");
    shell.arg("/c").raw_arg(command);
    shell
}

/// "exit code 1", or what stopped it.
struct Ended<'a>(&'a ExitStatus);

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.code() {
            Some(code) => write!(f, "exit code {code}"),
            None => self.0.fmt(f),
        }
    }
}

/// Variables that hold our credentials.
const SECRETS: &[&str] = &["SPINREG_PASSWORD", "SPINREG_TOKEN"];
