//! `spinreg cache ls` and `spinreg cache du`.

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::cache::{Room, SCHEMA, ago, directory, files, moment, name, path};
use super::context::Context;
use super::failure::{Problem, describe};
use super::interrupts;
use super::options::CacheDir;
use super::output;
use crate::error::Error;
use crate::model::Digest;
use crate::spin::{Cache, HeldBlob, Holding, Share, Usage};

/// List what was pulled: how large it is, when it was used last, and what it holds.
///
/// One to a line, by name. What Spin has pulled is listed as well. The size is that of everything that it holds, whether others
/// hold it too or not; `spinreg cache du` tells these apart.
#[derive(Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    /// List the content that each of them holds, by digest.
    #[arg(long)]
    blobs: bool,

    /// List only those that hold this content.
    #[arg(long, value_name = "DIGEST")]
    holding: Option<Digest>,

    /// Print a JSON document instead; the content is in it.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheDir,
}

/// Count how much room the cache takes, and what each application has of that.
///
/// The first size is that of all that the application holds, the second that of what it alone holds: this comes free when it
/// is removed. A file with several names counts once.
#[derive(Args)]
#[command(after_help = "Example:\n  spinreg cache du --json")]
pub(super) struct Du {
    /// Print a JSON document instead.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheDir,
}

/// What `ls --json` begins with.
#[derive(Serialize)]
struct Head {
    schema: u32,
    dir: String,
}

/// Something that was pulled, in JSON.
#[derive(Serialize)]
struct Listed<'a> {
    reference: Option<String>,
    directory: String,
    last_used: Option<String>,
    bytes: u64,
    /// `null` where the manifest cannot be understood.
    complete: Option<bool>,
    missing: &'a [Digest],
    blobs: Vec<Blob<'a>>,
}

#[derive(Serialize)]
struct Blob<'a> {
    digest: &'a Digest,
    bytes: u64,
}

/// What `du --json` prints.
#[derive(Serialize)]
struct Report {
    schema: u32,
    dir: String,
    applications: Vec<Part>,
    held: Room,
    unneeded: Room,
    unfinished: Room,
    notes: Room,
    others: Room,
    total: Room,
}

#[derive(Serialize)]
struct Part {
    reference: Option<String>,
    directory: String,
    last_used: Option<String>,
    bytes: u64,
    own: u64,
    shared: u64,
}

/// How the list is told, one after the other.
enum Telling {
    Names,
    Lines { blobs: Blobs },
    Json(output::Series),
}

/// Whether content is listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blobs {
    Listed,
    Counted,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { blobs, holding, json, cache } = self;
        let cache = cache.open()?;
        let blobs = if blobs { Blobs::Listed } else { Blobs::Counted };
        let telling = match json {
            true => {
                Telling::Json(output::Series::begin(&Head { schema: SCHEMA, dir: directory(&cache) }, "applications")?)
            }
            false if context.quiet => Telling::Names,
            false => Telling::Lines { blobs },
        };
        let list = tell(&cache, telling, holding);
        match interrupts::until(list).await?? {
            Telling::Json(series) => Ok(series.end()?),
            Telling::Names | Telling::Lines { .. } => Ok(()),
        }
    }
}

/// Tells of each, as it is found.
async fn tell(cache: &Cache, telling: Telling, holding: Option<Digest>) -> Result<Telling, Error> {
    let telling = std::sync::Arc::new(std::sync::Mutex::new(telling));
    let teller = telling.clone();
    let visit = move |held: Result<Holding, Error>| {
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                output::remark(&format!("warning: {}", describe(&error)));
                return Ok(());
            }
        };
        if holding.is_some_and(|wanted| !held.blobs.iter().any(|blob| blob.digest == wanted)) {
            return Ok(());
        }
        teller.lock().unwrap_or_else(std::sync::PoisonError::into_inner).tell(&held)
    };
    drop(cache.holdings(visit).await?);
    let telling = std::sync::Arc::into_inner(telling).expect("the visitor is gone");
    Ok(telling.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

impl Telling {
    fn tell(&mut self, held: &Holding) -> Result<(), Error> {
        let Holding { reference, directory, .. } = held;
        match self {
            Self::Names => output::line(&name(reference.as_ref(), directory)),
            Self::Lines { blobs } => output::page(&text(held, *blobs)),
            Self::Json(series) => series.item(&Listed {
                reference: reference.as_ref().map(ToString::to_string),
                directory: path(directory),
                last_used: moment(held.last_used),
                bytes: held.bytes(),
                complete: held.missing.as_ref().map(Vec::is_empty),
                missing: held.missing.as_deref().unwrap_or_default(),
                blobs: held.blobs.iter().map(|HeldBlob { digest, bytes, .. }| Blob { digest, bytes: *bytes }).collect(),
            }),
        }
    }
}

/// Puts one of the list into lines. Pure.
fn text(held: &Holding, blobs: Blobs) -> String {
    let size = HumanBytes(held.bytes()).to_string();
    let note = match &held.missing {
        None => "  (its manifest is damaged)".to_owned(),
        Some(missing) if missing.is_empty() => String::new(),
        Some(missing) if missing.len() == 1 => "  (1 layer missing)".to_owned(),
        Some(missing) => format!("  ({} layers missing)", missing.len()),
    };
    let mut text =
        format!("{size:>10}  {:<14}  {}{note}\n", ago(held.last_used), name(held.reference.as_ref(), &held.directory));
    if blobs == Blobs::Listed {
        for HeldBlob { digest, bytes, .. } in &held.blobs {
            text += &format!("{:>10}  {digest}\n", HumanBytes(*bytes).to_string());
        }
    }
    text
}

impl Du {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let cache = self.cache.open()?;
        let usage = interrupts::until(cache.usage()).await??;
        if self.json {
            return Ok(output::json(&report(&cache, &usage))?);
        }
        if context.quiet {
            return Ok(output::line(&usage.total().bytes.to_string())?);
        }
        Ok(output::page(&summary(&usage))?)
    }
}

fn report(cache: &Cache, usage: &Usage) -> Report {
    let part = |share: &Share| Part {
        reference: share.reference.as_ref().map(ToString::to_string),
        directory: path(&share.directory),
        last_used: moment(share.last_used),
        bytes: share.total.bytes,
        own: share.own.bytes,
        shared: share.total.bytes.saturating_sub(share.own.bytes),
    };
    Report {
        schema: SCHEMA,
        dir: directory(cache),
        applications: usage.applications.iter().map(part).collect(),
        held: usage.held.into(),
        unneeded: usage.unneeded.into(),
        unfinished: usage.unfinished.into(),
        notes: usage.notes.into(),
        others: usage.others.into(),
        total: usage.total().into(),
    }
}

/// Puts all of it into lines. Pure.
fn summary(usage: &Usage) -> String {
    let mut text = String::new();
    for Share { reference, directory, total, own, .. } in &usage.applications {
        let [total, own] = [total, own].map(|count| HumanBytes(count.bytes).to_string());
        text += &format!("{total:>10}  {own:>10} alone  {}\n", name(reference.as_ref(), directory));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let of = match usage.applications.len() {
        1 => "held by 1 application".to_owned(),
        n => format!("held by {n} applications"),
    };
    for (count, what) in [
        (usage.held, of.as_str()),
        (usage.unneeded, "needed by none of them: `spinreg cache prune` removes it once it is old enough"),
        (usage.unfinished, "begun and not finished"),
        (usage.notes, "notes of spinreg"),
        (usage.others, "of others"),
    ] {
        if count.bytes > 0 {
            text += &format!("{:>10}  {what}\n", HumanBytes(count.bytes).to_string());
        }
    }
    let total = usage.total();
    text + &format!("{:>10}  in all: {}\n", HumanBytes(total.bytes).to_string(), files(&total))
}

const LIST_EXAMPLES: &str = "\
Examples:
  spinreg cache ls
  spinreg cache ls --blobs
  spinreg cache ls --holding sha256:…     (which applications hold this content?)
  spinreg cache ls -q | xargs -n 1 spinreg pull";
