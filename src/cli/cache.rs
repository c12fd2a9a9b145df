//! `spinreg cache`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use serde::Serialize;

use super::cache_list::{Du, List};
use super::cache_tidy::{Clean, Prune, Remove};
use super::cache_verify::Verify;
use super::context::Context;
use super::failure::Problem;
use super::options::CacheDir;
use super::output;
use crate::model::Reference;
use crate::model::printable::line;
use crate::spin::{Cache, Created};
use crate::store::Count;

/// Look after the cache of what was pulled.
///
/// The cache is Spin's: what one of the two has pulled, the other one finds. Nothing here asks a registry, but
/// `verify --repair`.
#[derive(Args)]
pub(crate) struct CacheFamily {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Ls(List),
    Du(Du),
    Dir(Dir),
    Verify(Box<Verify>),
    Prune(Prune),
    Remove(Remove),
    Clean(Clean),
}

/// Print the directory of the cache: what `--cache-dir` takes, here and with Spin.
///
/// It does not have to exist. Spin keeps other things in it as well: `spinreg cache clean` removes what was pulled, and
/// nothing else.
#[derive(Args)]
#[command(after_help = "Example:\n  du -sh \"$(spinreg cache dir)/registry\"")]
struct Dir {
    /// Print a JSON document instead.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheDir,
}

#[derive(Serialize)]
struct Directory {
    schema: u32,
    dir: String,
    registry: String,
}

impl CacheFamily {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.chore {
            Chore::Ls(list) => list.run(context).await,
            Chore::Du(du) => du.run(context).await,
            Chore::Dir(dir) => dir.run(),
            Chore::Verify(verify) => verify.run(context).await,
            Chore::Prune(prune) => prune.run(context).await,
            Chore::Remove(remove) => remove.run(context).await,
            Chore::Clean(clean) => clean.run(context).await,
        }
    }
}

impl Dir {
    fn run(self) -> Result<(), Problem> {
        let cache = self.cache.open()?;
        let dir = absolute(&cache);
        if self.json {
            let registry = path(&dir.join("registry"));
            return Ok(output::json(&Directory { schema: SCHEMA, dir: path(&dir), registry })?);
        }
        // A script wants the very name.
        Ok(output::exactly(&[dir.as_os_str().as_encoded_bytes(), b"\n"].concat())?)
    }
}

/// Returns what `--cache-dir` takes, in full.
fn absolute(cache: &Cache) -> PathBuf {
    let dir = cache.root().parent().unwrap_or(cache.root());
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())
}

/// Prints what `--cache-dir` takes, for programs.
pub(super) fn directory(cache: &Cache) -> String {
    path(&absolute(cache))
}

/// Prints a path for programs; JSON has no bytes that are no text.
pub(super) fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Prints a count for people.
pub(super) fn files(count: &Count) -> String {
    let files = if count.files == 1 { "file" } else { "files" };
    format!("{} {files}, {}", count.files, HumanBytes(count.bytes))
}

/// A count, in JSON.
#[derive(Serialize)]
pub(super) struct Room {
    files: u64,
    bytes: u64,
}

impl From<Count> for Room {
    fn from(count: Count) -> Self {
        Self { files: count.files, bytes: count.bytes }
    }
}

/// Prints what something was pulled as; where that cannot be said, the directory.
pub(super) fn name(reference: Option<&Reference>, directory: &Path) -> String {
    match reference {
        Some(reference) => reference.to_string(),
        None => line(&directory.display().to_string()).into_owned(),
    }
}

/// Prints a moment for programs (RFC 3339), to the second.
pub(super) fn moment(moment: Option<SystemTime>) -> Option<String> {
    let since = moment?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Created::from_epoch(since.as_secs()).ok()?.to_string())
}

/// Prints for people how long ago a moment was.
pub(super) fn ago(moment: Option<SystemTime>) -> String {
    let Some(elapsed) = moment.map(|moment| moment.elapsed().unwrap_or_default()) else {
        return "unknown".to_owned();
    };
    if elapsed < Duration::from_secs(MINUTE) {
        return "just now".to_owned();
    }
    let seconds = elapsed.as_secs();
    let (number, unit) = if seconds < HOUR {
        (seconds / MINUTE, "minute")
    } else if seconds < DAY {
        (seconds / HOUR, "hour")
    } else {
        (seconds / DAY, "day")
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The version of the documents of all these commands.
pub(super) const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_people_do() {
        let before = |seconds| Some(SystemTime::now() - Duration::from_secs(seconds));
        for (moment, said) in [
            (None, "unknown"),
            (before(0), "just now"),
            (before(59), "just now"),
            (before(61), "1 minute ago"),
            (before(3_599), "59 minutes ago"),
            (before(3_601), "1 hour ago"),
            (before(2 * DAY + 1), "2 days ago"),
            (before(800 * DAY + 1), "800 days ago"),
            // A clock that was wrong.
            (Some(SystemTime::now() + Duration::from_secs(DAY)), "just now"),
        ] {
            assert_eq!(ago(moment), said);
        }
        assert_eq!(super::moment(None), None);
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(super::moment(Some(moment)).as_deref(), Some("2023-11-14T22:13:20+00:00"));
    }
}
