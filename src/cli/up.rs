//! `spinreg up`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::TempDir;

use super::app_source::{AppSource, From};
use super::context::Context;
use super::failure::{Invocation, Problem};
use super::interrupts::Interrupts;
use super::misuse::Misuse;
use super::obtain::{Local, Obtain};
use super::options::Variable;
use super::triggers::{Executor, Flags, Program, supervise};
use super::{build, push};
use crate::error::Error;
use crate::model::Location;
use crate::spin::{self, Mounting, Placement, Prepared, Runnable, Unrunnable};

/// Run a Spin application, from a registry or from here.
///
/// What is not in the cache is pulled and verified; then the installed Spin runs it. Flags that are not listed here go to
/// the application's triggers, as in `--listen 127.0.0.1:8080`; `spin trigger http --help` lists what they take. With
/// `--quiet` the triggers are told to be quiet as well. Ctrl-C is passed on; the exit code is the trigger's.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Up {
    #[command(flatten)]
    from: From,

    /// Run this component, and not the others; may be repeated.
    #[arg(short = 'c', long = "component-id", value_name = "COMPONENT")]
    components: Vec<String>,

    /// Set an environment variable of every component; may be repeated.
    #[arg(short = 'e', long = "env", value_name = "KEY=VALUE")]
    environment: Vec<Variable>,

    /// Run the components' build commands first [env: SPIN_ALWAYS_BUILD]; what comes from a registry is built already.
    #[arg(long)]
    build: bool,

    /// The build profile, as defined under `[component.NAME.profile.PROFILE]` [default: none].
    #[arg(long)]
    profile: Option<String>,

    /// Keep the lock file and the components' files in this directory [default: a temporary one, removed at the end].
    #[arg(long, alias = "tmp", value_name = "DIR")]
    temp: Option<PathBuf>,

    /// Let the components see the application's directories as they are, instead of copies; then `files` may name nothing but
    /// directories, and `exclude_files` nothing at all.
    #[arg(long)]
    direct_mounts: bool,

    #[command(flatten)]
    obtain: Obtain,

    /// What many write, and mean `--from`.
    #[arg(hide = true)]
    stray: Option<String>,

    /// Flags for the triggers, where they have to be told from those above.
    #[arg(last = true, value_name = "TRIGGER_FLAGS", help_heading = "Arguments")]
    flags: Vec<OsString>,
}

impl Up {
    /// Says what is going to be done, for the hints.
    pub(super) fn invocation(&self) -> Invocation {
        invocation(self.from.resolve().as_ref().ok().and_then(AppSource::location))
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { from, components, environment, build, profile, temp, direct_mounts, obtain, stray, flags } = self;
        if let Some(word) = stray {
            return Err(Misuse::Stray(word).into());
        }
        // Without these there is no point in beginning.
        let program = Program::find(|name| std::env::var_os(name))?;
        let source = from.resolve()?;
        let mut interrupts = Interrupts::listen()?;
        let mounting = if direct_mounts { Mounting::Direct } else { Mounting::Copied };
        if direct_mounts && source.location().is_some() {
            return Err(Misuse::DirectMounts.into());
        }
        let mut flags = Flags::of(flags);
        if context.quiet && !flags.has("--quiet") && !flags.has("-q") {
            flags.add("--quiet");
        }
        let built = build || push::is_set("SPIN_ALWAYS_BUILD")?;
        let local = Local { profile, mounting, built };
        build::first(&source, &local, context.voice, &mut interrupts).await?;
        let mut app = tokio::select! {
            app = obtain.runnable(&source, &local, context) => app?,
            () = interrupts.next() => return Err(Problem::Interrupted),
        };
        narrow(&mut app, &components, environment)?;
        if app.lock_file().triggers.is_empty() {
            return Err(spin::Error::from(Unrunnable::NoTrigger).into());
        }
        let workplace = Workplace::choose(temp)?;
        // Whoever may write to their files must not write into the cache.
        let placement = if flags.has(WRITABLE) { Placement::Copied } else { Placement::Linked };
        let app = prepare(app, workplace.path(), placement, &mut interrupts).await?;
        let executors: Vec<Executor> =
            app.lock_file().trigger_types().iter().map(|kind| program.executor(kind)).collect();
        let flags = tokio::select! {
            flags = share(&executors, &flags, context) => flags?,
            () = interrupts.next() => return Err(Problem::Interrupted),
        };
        let directory = local_directory(&source);
        let commands = executors.iter().zip(&flags);
        let commands =
            commands.map(|(it, flags)| (it.kind().to_owned(), it.command(&app, directory.as_deref(), flags)));
        let outcome = supervise(commands.collect(), &mut interrupts).await;
        workplace.leave()?;
        outcome
    }
}

/// Says what is going to be done with a source, for the hints.
pub(super) fn invocation(location: Option<&Location>) -> Invocation {
    location.map_or(Invocation::Local, |location| Invocation::Pull(location.clone()))
}

/// Keeps the chosen components, and adds to what they see of the environment.
pub(super) fn narrow(app: &mut Runnable, components: &[String], environment: Vec<Variable>) -> Result<(), Problem> {
    if !components.is_empty() {
        app.retain(components).map_err(spin::Error::from)?;
    }
    let environment: BTreeMap<_, _> = environment.into_iter().map(Variable::into_pair).collect();
    app.add_environment(&environment);
    Ok(())
}

/// Prepares an application. The first interrupt waits for it, so that nothing is written to where it has been removed; the
/// second one does not.
pub(super) async fn prepare(
    app: Runnable,
    directory: &Path,
    placement: Placement,
    interrupts: &mut Interrupts,
) -> Result<Prepared, Problem> {
    let mut prepared = std::pin::pin!(app.prepare(directory, placement));
    tokio::select! {
        prepared = &mut prepared => return Ok(prepared?),
        () = interrupts.next() => {}
    }
    tokio::select! {
        _ = prepared => {}
        () = interrupts.next() => {}
    }
    Err(Problem::Interrupted)
}

/// Hands flags to executors: all to the only one; else to those that say they know them.
async fn share(executors: &[Executor], flags: &Flags, context: &Context) -> Result<Vec<Vec<OsString>>, Problem> {
    if let [_] = executors {
        return Ok(vec![flags.all()]);
    }
    let mut triggers = Vec::new();
    for executor in executors {
        let known = executor.flags().await?;
        if known.is_none() {
            context
                .warn(&format!("the `{}` trigger does not say which flags it takes, so it gets all", executor.kind()));
        }
        triggers.push((executor.kind(), known));
    }
    Ok(flags.route(&triggers)?)
}

/// Returns the directory of a local application, where its state and logs belong.
fn local_directory(source: &AppSource) -> Option<PathBuf> {
    let AppSource::Manifest(path) = source else { return None };
    let path = std::path::absolute(path).ok()?;
    if path.is_dir() { Some(path) } else { path.parent().map(Path::to_owned) }
}

/// Where an application is prepared.
enum Workplace {
    /// A directory that stays.
    Given(PathBuf),
    /// One that goes.
    Own(TempDir),
}

impl Workplace {
    fn choose(given: Option<PathBuf>) -> Result<Self, Error> {
        let failed = |error| Error::io("create a directory in", std::env::temp_dir(), error);
        match given {
            Some(path) => Ok(Self::Given(path)),
            None => Ok(Self::Own(tempfile::Builder::new().prefix("spinup-").tempdir().map_err(failed)?)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Own(directory) => directory.path(),
        }
    }

    fn leave(self) -> Result<(), Error> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Own(directory) => {
                let path = directory.path().to_owned();
                directory.close().map_err(|error| Error::io("remove", path, error))
            }
        }
    }
}

/// What lets guests write to their files.
const WRITABLE: &str = "--allow-transient-write";

const EXAMPLES: &str = "\
Examples:
  spinreg up -f ghcr.io/me/app:v1
  spinreg up -f ghcr.io/me/app:v1 --listen 127.0.0.1:8080 -e GREETING=hello
  spinreg up --offline -f ghcr.io/me/app:v1     (as it was pulled last, without a network)
  spinreg up                                    (the spin.toml here)
  spinreg up -f app.wasm";
