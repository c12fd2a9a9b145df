//! `spinreg pull`.

use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::endpoint::{self, Purpose};
use super::failure::Problem;
use super::options::{Account, CacheDir, Connection, Transfer};
use super::status::Status;
use super::{credentials, interrupts, output};
use crate::copy::copy;
use crate::model::{Digest, Location, Platform};
use crate::spin::Cache;

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
        let Self { reference, cache, transfer, account, connection } = self;
        let digest = pull(&reference, &cache.open()?, &transfer, &account, &connection, context).await?;
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
    let status = Arc::new(Status::begin(context.voice, ("pulling", "pulled"), reference.to_string()));
    let source = endpoint::open(reference, Purpose::Pull, given, connection, &status).await?;
    let application = cache.application(&endpoint::cached_as(reference));
    let mut options = transfer.options(&status);
    let wasm = PLATFORMS.map(|(os, architecture)| Platform::new(os, architecture));
    options.platforms = wasm.into_iter().chain([Platform::host()]).collect();
    let id = reference.identifier();
    let summary = interrupts::until(copy(&source, &id, &application, None, &options)).await??;
    status.finish();
    Ok(summary.root.digest)
}

/// What an index may have for us, the first preferred; after them the host's own platform, which is what Spin takes.
const PLATFORMS: [(&str, &str); 3] = [("wasip1", "wasm"), ("wasip2", "wasm"), ("wasi", "wasm")];

const EXAMPLES: &str = "\
Examples:
  spinreg pull ghcr.io/me/app:v1
  spinreg pull --cache-dir cache localhost:5000/app:v1
  spinreg pull oci:out:v1             (from a directory that `push` or another tool wrote)";
