//! `spinreg pull`.

use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::copy_report::{Place, Report};
use super::endpoint::{self, Purpose};
use super::failure::Problem;
use super::options::{Account, CacheDir, Connection, Transfer};
use super::status::Status;
use super::told::{DigestFile, DryRun};
use super::{credentials, interrupts, output};
use crate::auth::Given;
use crate::copy::{CopyOptions, Plan, copy};
use crate::error::Error;
use crate::model::{Digest, Location, Platform, Reference};
use crate::spin::{self, Cache, Unrunnable};

/// Pull a Spin application into Spin's cache.
///
/// An installed `spin` finds everything there. What is there already is not fetched again, and a transfer that was
/// interrupted goes on where it ended. With `--quiet` the result is `REFERENCE@DIGEST`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Pull {
    /// What to pull: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` for an OCI image layout, or
    /// `oci-archive:FILE[:TAG]` for a tar archive of one; the tag `latest` if neither tag nor digest is named.
    reference: Location,

    #[command(flatten)]
    plan: DryRun,
    #[command(flatten)]
    digest: DigestFile,
    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    transfer: Transfer,
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    connection: Connection,
}

impl Pull {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, plan, digest: file, cache, transfer, account, connection } = self;
        if plan.dry_run {
            let (cache, given) = (cache.open()?, credentials::given(&account, &reference)?);
            let status = Arc::new(Status::begin(context.voice, ("planning to pull", "planned"), reference.to_string()));
            let source = endpoint::open(&reference, Purpose::Pull, given, &connection, &status).await?;
            let application = cache.application(&endpoint::cached_as(&reference));
            let options = options(&transfer, &status);
            let foreseen = async {
                let plan = Plan::build(&source, &reference.identifier(), &application, None, &options).await?;
                let forecast = plan.forecast(&source, &application).await?;
                Ok::<_, Error>((plan, forecast))
            };
            let (foreseen, forecast) = interrupts::until(foreseen).await??;
            let mut report = Report::of(&reference, CACHE).called("pull");
            report.foreseen(&reference, CACHE, None, &foreseen, &forecast);
            let pinned = endpoint::pinned(&reference, foreseen.root().digest);
            return Ok(plan.show(&report, &pinned, context)?);
        }
        let cache = cache.open()?.in_use().await?;
        let digest = match &reference {
            Location::Registry(reference) if context.offline => pulled(reference, &cache).await?,
            _ => pull(&reference, &cache, &transfer, &account, &connection, context).await?,
        };
        file.write(&digest)?;
        output::line(&if context.quiet {
            endpoint::pinned(&reference, digest)
        } else {
            "Successfully pulled the app from the registry".to_owned()
        })?;
        Ok(())
    }
}

/// Brings the cache to what the reference names now, and tells how it goes; returns the digest of what it names.
pub(super) async fn pull(
    reference: &Location,
    cache: &Cache,
    transfer: &Transfer,
    account: &Account,
    connection: &Connection,
    context: &Context,
) -> Result<Digest, Problem> {
    let given = credentials::given(account, reference)?;
    bring(reference, cache, given, transfer, connection, context).await
}

/// As [`pull`], with these credentials, or those that are stored.
pub(super) async fn bring(
    reference: &Location,
    cache: &Cache,
    given: Option<Given>,
    transfer: &Transfer,
    connection: &Connection,
    context: &Context,
) -> Result<Digest, Problem> {
    let status = Arc::new(Status::begin(context.voice, ("pulling", "pulled"), reference.to_string()));
    let source = endpoint::open(reference, Purpose::Pull, given, connection, &status).await?;
    let application = cache.application(&endpoint::cached_as(reference));
    let options = options(transfer, &status);
    let id = reference.identifier();
    let summary = interrupts::until(copy(&source, &id, &application, None, &options)).await??;
    application.note_use().await;
    status.finish();
    Ok(summary.root.digest)
}

/// Finds what was pulled before, all of it; returns its digest. No requests.
async fn pulled(reference: &Reference, cache: &Cache) -> Result<Digest, Problem> {
    let missing = cache.missing(reference).await?;
    let manifest = cache.application(reference).manifest().await?;
    match (manifest, missing) {
        (Some(manifest), Some(missing)) if missing.is_empty() => {
            Ok(reference.digest().copied().unwrap_or(manifest.digest()))
        }
        (_, missing) => {
            let missing = missing.or(reference.digest().map(|digest| vec![*digest])).unwrap_or_default();
            Err(spin::Error::from(Unrunnable::NotCached { reference: Box::new(reference.clone()), missing }).into())
        }
    }
}

/// Says how a pull is made.
fn options(transfer: &Transfer, status: &Arc<Status>) -> CopyOptions {
    let wasm = PLATFORMS.map(|(os, architecture)| Platform::new(os, architecture));
    CopyOptions { platforms: wasm.into_iter().chain([Platform::host()]).collect(), ..transfer.options(status) }
}

/// What a pull goes to.
const CACHE: Place<'_> = Place::Here("the cache");

/// What an index may have for us, the first preferred; after them the host's own platform, which is what Spin takes.
const PLATFORMS: [(&str, &str); 3] = [("wasip1", "wasm"), ("wasip2", "wasm"), ("wasi", "wasm")];

const EXAMPLES: &str = "\
Examples:
  spinreg pull ghcr.io/me/app:v1
  spinreg pull --cache-dir cache localhost:5000/app:v1
  spinreg pull --offline ghcr.io/me/app:v1      (is all of it here?)
  spinreg pull --dry-run ghcr.io/me/app:v1      (what would move)
  spinreg pull oci:out:v1             (from a directory that `push` or another tool wrote)";
