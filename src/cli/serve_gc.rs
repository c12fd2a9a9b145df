//! `spinreg serve gc`, and how it stands beside `spinreg serve`.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::HumanBytes;

use super::context::Context;
use super::failure::Problem;
use super::output;
use super::serve::Serve;
use crate::error::{Details, Error, Missing, Place};
use crate::serve::Registry;
use crate::store::{Action, Collected, Count, Garbage, Layout, Untagged};

// What people read about it is what `Serve` says: its comment would come before that.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ServeFamily {
    #[command(subcommand)]
    chore: Option<Chore>,
    #[command(flatten)]
    serve: Option<Serve>,
}

#[derive(Subcommand)]
enum Chore {
    Gc(Gc),
}

/// Remove what no manifest needs any more: blobs, expired uploads, what killed processes have left.
///
/// Safe while `spinreg serve`, or anything else of spinreg, works on the same directory. Manifests with a tag stay, and
/// so does everything below them and what refers to them. Whoever pushes sends the manifest last: what was written or
/// asked for lately is kept, however little it is needed.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Gc {
    /// The directory that `spinreg serve` has, or an OCI image layout directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Change nothing, and say what would be removed.
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// Keep what was written, mounted or asked for as lately as that: `90s`, `30m`, `24h` or `7d`. While somebody pushes,
    /// longer than the longest push takes.
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    keep_recent: Duration,

    /// Remove manifests without a tag as well, unless what stays needs them.
    #[arg(long)]
    untagged: bool,
}

impl ServeFamily {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        match (self.chore, self.serve) {
            (Some(Chore::Gc(gc)), _) => gc.run(context).await,
            (None, Some(serve)) => serve.run(context).await,
            // Without a chore `--dir` is required.
            (None, None) => Ok(()),
        }
    }
}

impl Gc {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let place = self.dir.as_path();
        if !place.is_dir() {
            let what = "the directory of a registry".to_owned();
            let missing = Missing { what, place: Place::file(place), errors: Vec::new(), details: Details::default() };
            return Err(Error::NotFound(Box::new(missing)).into());
        }
        let registry = Registry::open(place).await?;
        let mut round = Round { garbage: self.garbage(), total: Collected::default(), collected: 0, failed: None };
        match Layout::open(place).await {
            Ok(layout) => round.collect(&place.display(), &layout, context).await?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        for name in registry.repositories().await? {
            match registry.layout(&name).await {
                Ok(Some(layout)) => round.collect(&name, &layout, context).await?,
                Ok(None) => {}
                Err(error) => round.fail(error),
            }
        }
        for name in registry.unfinished().await? {
            match registry.sweep_one(&name, self.keep_recent, round.garbage.action).await {
                Ok(partials) => {
                    round.add(&name, &Collected { partials, ..Collected::default() }, context)?;
                }
                Err(error) => round.fail(error),
            }
        }
        let done = if self.dry_run { "would remove" } else { "removed" };
        let repositories = if round.collected == 1 { "repository" } else { "repositories" };
        output::line(&format!("{done} {} in {} {repositories}", summary(&round.total), round.collected))?;
        round.failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn garbage(&self) -> Garbage {
        let untagged = if self.untagged { Untagged::Remove } else { Untagged::Keep };
        let action = if self.dry_run { Action::Report } else { Action::Remove };
        Garbage { keep_recent: self.keep_recent, untagged, action }
    }
}

/// One repository after the other.
struct Round {
    garbage: Garbage,
    total: Collected,
    collected: usize,
    failed: Option<Error>,
}

impl Round {
    async fn collect(&mut self, name: &impl Display, layout: &Layout, context: &Context) -> Result<(), Error> {
        self.collected += 1;
        let collected = match layout.collect(&self.garbage).await {
            Ok(collected) => collected,
            Err(error) => {
                self.fail(error);
                return Ok(());
            }
        };
        self.add(name, &collected, context)
    }

    fn add(&mut self, name: &impl Display, collected: &Collected, context: &Context) -> Result<(), Error> {
        if *collected != Collected::default() && !context.quiet {
            output::line(&format!("{name}: {}", summary(collected)))?;
        }
        for (sum, count) in [
            (&mut self.total.manifests, collected.manifests),
            (&mut self.total.blobs, collected.blobs),
            (&mut self.total.partials, collected.partials),
        ] {
            (sum.files, sum.bytes) = (sum.files + count.files, sum.bytes + count.bytes);
        }
        Ok(())
    }

    /// Goes on: the others have garbage of their own. The last failure is how the command ends.
    fn fail(&mut self, error: Error) {
        if let Some(earlier) = self.failed.replace(error) {
            output::remark(&format!("warning: {earlier}"));
        }
    }
}

fn summary(collected: &Collected) -> String {
    let Collected { manifests, blobs, partials, .. } = collected;
    let one = |count: &Count, what: &str| format!("{} {what}{}", count.files, if count.files == 1 { "" } else { "s" });
    let freed = HumanBytes(manifests.bytes + blobs.bytes + partials.bytes);
    format!("{}, {}, {}: {freed}", one(manifests, "manifest"), one(blobs, "blob"), one(partials, "unfinished file"))
}

/// Reads an age as a flag has it.
pub(super) fn age(text: &str) -> Result<Duration, &'static str> {
    let expected = "an age is a number with `s`, `m`, `h` or `d`, and at most ten years";
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or(expected)?);
    let seconds: u64 = match unit.trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(expected),
    };
    let age = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)).ok_or(expected)?;
    if age <= LONGEST { Ok(Duration::from_secs(age)) } else { Err(expected) }
}

/// The clocks of file systems, and sums with them, have their limits.
const LONGEST: u64 = 10 * 366 * 24 * 60 * 60;

const EXAMPLES: &str = "\
Examples:
  spinreg serve gc registry --dry-run
  spinreg serve gc registry --keep-recent 7d
  spinreg serve gc registry --untagged

Cost: reads every manifest, and the names of all blobs.
A blob that several repositories have is freed with the last of them.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7 d", 604_800)] {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "h", "-1h", "1w", "1.5h", "99999999999999999999s", "4000000000h", "1 hour"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
