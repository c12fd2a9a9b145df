//! `spinreg cache`.

use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::HumanBytes;

use super::context::Context;
use super::endpoint;
use super::failure::Problem;
use super::options::CacheDir;
use super::output;
use super::serve_gc::age;
use crate::model::Location;
use crate::store::{Action, Count};

/// Look after the cache of what was pulled.
#[derive(Args)]
pub(crate) struct CacheFamily {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Verify(Verify),
    Prune(Prune),
    Remove(Remove),
}

/// Compare all content of the cache with its names, which are digests.
///
/// Prints the files that are damaged, and ends with exit code 5 where there are any. Nothing is downloaded.
#[derive(Args)]
struct Verify {
    /// Remove what is damaged; the next pull fetches it again.
    #[arg(long)]
    remove: bool,

    #[command(flatten)]
    cache: CacheDir,
}

/// Remove content that no application in the cache needs.
///
/// Applications themselves stay until `spinreg cache remove` takes them away. Whatever was written lately stays too: a pull
/// that is under way, and components that were fetched by a URL or as packages, which belong to no pulled application.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Prune {
    /// Change nothing, and say what would be removed.
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// Keep what was written as lately as that: `90s`, `30m`, `24h` or `7d`. While somebody pulls, longer than that takes.
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = age)]
    keep_recent: Duration,

    #[command(flatten)]
    cache: CacheDir,
}

/// Remove an application from the cache; its content goes with the next `prune`, unless others need it.
#[derive(Args)]
struct Remove {
    /// The application, as it was pulled: `REGISTRY/NAME[:TAG][@DIGEST]`, or `oci:DIRECTORY[:TAG]`.
    reference: Location,

    #[command(flatten)]
    cache: CacheDir,
}

impl CacheFamily {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.chore {
            Chore::Verify(verify) => verify.run(context).await,
            Chore::Prune(prune) => prune.run(context).await,
            Chore::Remove(remove) => Ok(remove.cache.open()?.forget(&endpoint::cached_as(&remove.reference)).await?),
        }
    }
}

impl Verify {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let action = if self.remove { Action::Remove } else { Action::Report };
        let verified = self.cache.open()?.verify(action).await?;
        for path in &verified.damaged {
            output::line(&path.display().to_string())?;
        }
        match verified.damaged.len() {
            0 if context.quiet => Ok(()),
            0 => Ok(output::line(&format!("nothing is damaged: {}", files(&verified.read)))?),
            _ if self.remove => Ok(()),
            damaged => Err(Problem::Damaged(damaged)),
        }
    }
}

impl Prune {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let action = if self.dry_run { Action::Report } else { Action::Remove };
        let pruned = self.cache.open()?.prune(self.keep_recent, action).await?;
        if !context.quiet {
            let done = if self.dry_run { "would remove" } else { "removed" };
            output::line(&format!("{done} {}", files(&pruned)))?;
        }
        Ok(())
    }
}

fn files(count: &Count) -> String {
    let files = if count.files == 1 { "file" } else { "files" };
    format!("{} {files}, {}", count.files, HumanBytes(count.bytes))
}

const EXAMPLES: &str = "\
Examples:
  spinreg cache prune --dry-run
  spinreg cache prune --keep-recent 7d
  spinreg cache remove ghcr.io/me/app:v1 && spinreg cache prune --keep-recent 0s";
