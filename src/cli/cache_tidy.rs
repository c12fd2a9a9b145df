//! `spinreg cache prune`, `remove` and `clean`.

use std::time::Duration;

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::cache::{Room, SCHEMA, ago, directory, files, moment, name, path};
use super::config::bytes;
use super::context::Context;
use super::failure::Problem;
use super::options::CacheDir;
use super::serve_gc::age;
use super::{delete, endpoint, interrupts, output};
use crate::model::Location;
use crate::spin::{Pruned, Pruning, Removed};
use crate::store::Action;

/// Remove what nobody needs, has used for long, or has room for.
///
/// Content that no application in the cache needs goes in any case: of applications that were removed, and components that were
/// fetched by a URL or as packages, which belong to none. `--older-than` and `--max-size` let applications go as well.
///
/// Commands of spinreg that use the cache are waited for, up to a minute. Spin takes no locks: what was used or written
/// within `--keep-recent` stays, whatever else is said.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Prune {
    /// Remove applications that nobody has used for longer than that: `12h` or `30d`.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,

    /// Remove applications, those first that were not used for longest, until no more than that is left: `500MiB` or `2GiB`.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_size: Option<u64>,

    /// Keep what was used or written as lately as that: `90s`, `30m`, `24h` or `7d`. While somebody pulls by Spin, longer than
    /// that takes.
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    keep_recent: Duration,

    /// Change nothing, and say what would be removed.
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// Print a JSON document instead.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheDir,
}

/// Remove an application from the cache; its content goes with the next `prune`, unless others need it.
#[derive(Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub(super) struct Remove {
    /// The application, as it was pulled: `REGISTRY/NAME[:TAG][@DIGEST]`, or `oci:DIRECTORY[:TAG]`.
    reference: Location,

    #[command(flatten)]
    cache: CacheDir,
}

/// Remove everything that was pulled, by spinreg and by Spin.
///
/// On a terminal it asks first. Commands of spinreg that use the cache are waited for; those of Spin are not, so end them before.
/// What else Spin keeps in its cache directory stays.
#[derive(Args)]
#[command(after_help = "Example:\n  spinreg cache clean --yes")]
pub(super) struct Clean {
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    /// Print a JSON document instead.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheDir,
}

/// What `prune --json` prints.
#[derive(Serialize)]
struct Report {
    schema: u32,
    dir: String,
    dry_run: bool,
    applications: Vec<Gone>,
    content: Room,
    unfinished: Room,
    left: Room,
}

#[derive(Serialize)]
struct Gone {
    reference: Option<String>,
    directory: String,
    last_used: Option<String>,
}

/// What `clean --json` prints.
#[derive(Serialize)]
struct Cleaned {
    schema: u32,
    dir: String,
    removed: Room,
}

impl Prune {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { older_than, max_size, keep_recent, dry_run, json, cache } = self;
        let cache = cache.open()?;
        let action = if dry_run { Action::Report } else { Action::Remove };
        let mut pruning = Pruning { keep_recent, action, ..Pruning::default() };
        (pruning.older_than, pruning.max_bytes) = (older_than, max_size);
        let pruned = interrupts::until(cache.prune(pruning)).await??;
        if let Some(most) = max_size.filter(|most| pruned.left.bytes > *most) {
            context.warn(&format!(
                "{} are left, and not {}: what was used or written lately stays, and `--keep-recent` says how lately",
                HumanBytes(pruned.left.bytes),
                HumanBytes(most),
            ));
        }
        let Pruned { applications, content, unfinished, left, .. } = &pruned;
        if json {
            let gone = applications.iter().map(|Removed { reference, directory, last_used, .. }| Gone {
                reference: reference.as_ref().map(ToString::to_string),
                directory: path(directory),
                last_used: moment(*last_used),
            });
            return Ok(output::json(&Report {
                schema: SCHEMA,
                dir: directory(&cache),
                dry_run,
                applications: gone.collect(),
                content: (*content).into(),
                unfinished: (*unfinished).into(),
                left: (*left).into(),
            })?);
        }
        if context.quiet {
            return Ok(());
        }
        let done = if dry_run { "would remove" } else { "removed" };
        for Removed { reference, directory, last_used, .. } in applications {
            output::line(&format!("{done} {}, used {}", name(reference.as_ref(), directory), ago(*last_used)))?;
        }
        let mut all = *content;
        (all.files, all.bytes) = (all.files + unfinished.files, all.bytes.saturating_add(unfinished.bytes));
        Ok(output::line(&format!("{done} {}; {} left", files(&all), HumanBytes(left.bytes)))?)
    }
}

impl Remove {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let reference = endpoint::cached_as(&self.reference);
        let cache = self.cache.open()?;
        cache.forget(&reference).await?;
        if context.quiet {
            return Ok(());
        }
        Ok(output::line(&format!("removed {reference}; `spinreg cache prune` removes what only it has needed"))?)
    }
}

impl Clean {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { yes, json, cache } = self;
        let cache = cache.open()?;
        delete::confirm(yes, "everything that was pulled", &cache.root().display().to_string())?;
        let removed = interrupts::until(cache.clear()).await??;
        if json {
            return Ok(output::json(&Cleaned { schema: SCHEMA, dir: directory(&cache), removed: removed.into() })?);
        }
        if context.quiet {
            return Ok(());
        }
        Ok(output::line(&format!("removed {}", files(&removed)))?)
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg cache prune --dry-run
  spinreg cache prune --older-than 30d
  spinreg cache prune --max-size 2GiB
  spinreg cache remove ghcr.io/me/app:v1 && spinreg cache prune --keep-recent 0s";

const REMOVE_EXAMPLES: &str = "\
Examples:
  spinreg cache remove ghcr.io/me/app:v1
  spinreg cache ls -q | grep ^localhost: | xargs -n 1 spinreg cache remove";
