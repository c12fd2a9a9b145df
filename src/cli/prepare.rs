//! `spinreg prepare`.

use std::path::PathBuf;

use clap::Args;

use super::app_source::AppSource;
use super::context::Context;
use super::failure::{Invocation, Problem};
use super::interrupts::Interrupts;
use super::obtain::{Local, Obtain};
use super::options::Variable;
use super::{build, output, push, up};
use crate::spin::Placement;

/// Prepare a Spin application for a host that runs it by itself.
///
/// Writes what `spinreg up` would hand to Spin: `DIR/spin.lock`, which names the components by `file:` URLs into the cache,
/// and `DIR/assets` with the files that they see. Prints where the lock file is. Needs no Spin.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Prepare {
    /// The application: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]`, `oci-archive:FILE[:TAG]`, a `spin.toml`,
    /// a directory with one, or a `.wasm` file.
    source: PathBuf,

    /// Where to. What an earlier `prepare` has left there is replaced.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Prepare this component, and not the others; may be repeated.
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

    #[command(flatten)]
    obtain: Obtain,
}

impl Prepare {
    /// Says what is going to be done, for the hints.
    pub(super) fn invocation(&self) -> Invocation {
        up::invocation(AppSource::infer(&self.source).as_ref().ok().and_then(AppSource::location))
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { source, to, components, environment, build, profile, obtain } = self;
        let source = AppSource::infer(&source)?;
        let mut interrupts = Interrupts::listen()?;
        let built = build || push::is_set("SPIN_ALWAYS_BUILD")?;
        let local = Local { profile, built, ..Local::default() };
        build::first(&source, &local, context.voice, &mut interrupts).await?;
        let mut app = tokio::select! {
            app = obtain.runnable(&source, &local, context) => app?,
            () = interrupts.next() => return Err(Problem::Interrupted),
        };
        up::narrow(&mut app, &components, environment)?;
        // Nobody knows what that host lets its guests write to.
        let prepared = up::prepare(app, &to, Placement::Copied, &mut interrupts).await?;
        output::line(&prepared.lock_path().display().to_string())?;
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg prepare ghcr.io/me/app:v1 --to app
  spinreg prepare --offline ghcr.io/me/app:v1 --to app
  SPIN_LOCKED_URL=file://$PWD/app/spin.lock SPIN_WORKING_DIR=$PWD/app spin trigger http";
