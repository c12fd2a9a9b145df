//! `spinreg cache verify`: what is damaged, and how it is mended.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde::Serialize;

use super::cache::{Room, SCHEMA, directory, files, path};
use super::context::Context;
use super::failure::{Problem, describe};
use super::misuse::Misuse;
use super::options::{CacheDir, Connection, Transfer};
use super::{endpoint, interrupts, output, pull};
use crate::model::printable::line;
use crate::model::{Digest, Location, Reference};
use crate::spin::{Cache, Damage, Flaw, Holding, Verified};
use crate::store::Action;

/// Compare all content of the cache with its names, which are digests.
///
/// Reads everything, on all cores. Prints the files that are damaged, and ends with exit code 5 where there are any. Nothing is
/// downloaded, but by `--repair`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    /// Remove what is damaged; the next pull fetches it again.
    #[arg(long, conflicts_with = "repair")]
    remove: bool,

    /// Remove what is damaged, and pull again what lacks something then: the same manifest as before, where the registry still
    /// has it.
    #[arg(long)]
    repair: bool,

    /// Print a JSON document instead.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    transfer: Transfer,
    #[command(flatten)]
    connection: Connection,
}

/// What `verify --json` prints.
#[derive(Serialize)]
struct Report {
    schema: u32,
    dir: String,
    read: Room,
    damaged: Vec<Damaged>,
    applications: Vec<Mended>,
}

#[derive(Serialize)]
struct Damaged {
    path: String,
    digest: Option<Digest>,
    flaw: &'static str,
    removed: bool,
}

/// An application that lacks something, and what has become of it.
#[derive(Clone, Serialize)]
struct Mended {
    reference: String,
    repaired: bool,
}

impl Verify {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { remove, repair, json, cache, transfer, connection } = self;
        let cache = cache.open()?;
        let action = if remove || repair { Action::Remove } else { Action::Report };
        let verified = interrupts::until(cache.verify(action)).await??;
        let mut mended = Vec::new();
        if repair {
            let cache = cache.clone().in_use().await?;
            for reference in lacking(&cache, &verified).await? {
                let repaired = mend(&cache, &reference, &transfer, &connection, context).await;
                if let Err(problem) = &repaired {
                    if matches!(problem, Problem::Interrupted) {
                        return Err(Problem::Interrupted);
                    }
                    context.warn(&format!("`{reference}` is not repaired: {}", describe_problem(problem)));
                }
                mended.push(Mended { reference: reference.to_string(), repaired: repaired.is_ok() });
            }
        }
        if json {
            output::json(&report(&cache, &verified, action, &mended))?;
        } else {
            tell(&verified, &mended, context)?;
        }
        outcome(&verified, action, &mended)
    }
}

/// Says how the command ends.
fn outcome(verified: &Verified, action: Action, mended: &[Mended]) -> Result<(), Problem> {
    if action == Action::Report && !verified.damaged.is_empty() {
        return Err(Problem::Damaged(verified.damaged.len()));
    }
    match mended.iter().filter(|mended| !mended.repaired).count() {
        0 => Ok(()),
        n => Err(Problem::Unrepaired(n)),
    }
}

/// Finds what was pulled and lacks something, or has lost its manifest.
async fn lacking(cache: &Cache, verified: &Verified) -> Result<Vec<Reference>, Problem> {
    let beheaded: BTreeSet<PathBuf> =
        verified.damaged.iter().filter_map(|damage| Some(damage.path.parent()?.into())).collect();
    let found = Arc::new(Mutex::new(Vec::new()));
    let list = found.clone();
    let visit = move |held: Result<Holding, crate::error::Error>| {
        if let Ok(Holding { reference: Some(reference), directory, .. }) = held {
            list.lock().unwrap_or_else(PoisonError::into_inner).push((reference, directory));
        }
        Ok(())
    };
    drop(cache.holdings(visit).await?);
    let held = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    let mut lacking = Vec::new();
    for (reference, directory) in held {
        let lacks = match cache.missing(&reference).await {
            Ok(Some(missing)) => !missing.is_empty(),
            Ok(None) | Err(_) => beheaded.contains(&directory),
        };
        if lacks {
            lacking.push(reference);
        }
    }
    Ok(lacking)
}

/// Pulls again what was pulled, if it can be: the same manifest, or else what the tag names now.
async fn mend(
    cache: &Cache,
    reference: &Reference,
    transfer: &Transfer,
    connection: &Connection,
    context: &Context,
) -> Result<(), Problem> {
    if endpoint::is_of_layout(reference) {
        return Err(Misuse::LayoutIsElsewhere.into());
    }
    let pull = async |reference: Reference| {
        pull::bring(&Location::Registry(reference), cache, None, transfer, connection, context).await.map(drop)
    };
    let known = cache.application(reference).manifest().await.ok().flatten();
    if let (Some(tag), Some(manifest)) = (reference.tag(), known) {
        let (registry, name) = (reference.registry().clone(), reference.name().clone());
        let same = Reference::new(registry, name, Some(tag.clone()), Some(manifest.digest()));
        match pull(same).await {
            // Spin writes manifests in its own words, and registries forget what has no tag any more.
            Err(Problem::Transfer(error)) if error.is_not_found() => {}
            other => return other,
        }
    }
    pull(reference.clone()).await
}

fn report(cache: &Cache, verified: &Verified, action: Action, mended: &[Mended]) -> Report {
    let damaged = verified.damaged.iter().map(|damage| Damaged {
        path: path(&damage.path),
        digest: damage.digest,
        flaw: match damage.flaw {
            Flaw::Content => "content",
            Flaw::Document => "document",
            Flaw::Unreadable(_) => "unreadable",
        },
        removed: action == Action::Remove,
    });
    Report {
        schema: SCHEMA,
        dir: directory(cache),
        read: verified.read.into(),
        damaged: damaged.collect(),
        applications: mended.to_vec(),
    }
}

fn tell(verified: &Verified, mended: &[Mended], context: &Context) -> Result<(), Problem> {
    for Damage { path, flaw, .. } in &verified.damaged {
        output::line(&line(&path.display().to_string()))?;
        if let Flaw::Unreadable(error) = flaw {
            context.warn(&describe(error));
        }
    }
    if context.quiet {
        return Ok(());
    }
    for Mended { reference, .. } in mended.iter().filter(|mended| mended.repaired) {
        output::line(&format!("repaired {reference}"))?;
    }
    if verified.damaged.is_empty() {
        output::line(&format!("nothing is damaged: {}", files(&verified.read)))?;
    }
    Ok(())
}

fn describe_problem(problem: &Problem) -> String {
    match problem {
        Problem::Transfer(error) => describe(error),
        other => other.to_string(),
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg cache verify
  spinreg cache verify --repair
  spinreg cache verify --json | jq -r '.damaged[].path'";
