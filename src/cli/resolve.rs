//! `spinreg resolve`.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::Problem;
use super::sight::{Look, SCHEMA};
use super::{endpoint, output};
use crate::model::{Digest, Location, Platform};

/// Print which digest a reference names now.
///
/// The result is `REFERENCE@DIGEST`.
/// One request, which is no pull; from layouts, archives and the cache none.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Resolve {
    /// What to resolve: `REGISTRY/NAME[:TAG]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`; the tag `latest` if none
    /// is named.
    reference: Location,

    /// Of an index, resolve to the manifest for this platform.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    look: Look,
}

/// What a reference names.
#[derive(Serialize)]
pub(super) struct Resolved {
    schema: u32,
    reference: String,
    digest: Digest,
    /// The reference by that digest.
    pinned: String,
    media_type: String,
    size: u64,
}

impl Resolve {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, platform, json, look } = self;
        let resolved = resolve(&reference, platform.as_ref(), &look, context).await?;
        let printed = if json { output::json(&resolved) } else { output::line(&resolved.pinned) };
        Ok(printed?)
    }
}

/// Asks what a reference names.
pub(super) async fn resolve(
    reference: &Location,
    platform: Option<&Platform>,
    look: &Look,
    context: &Context,
) -> Result<Resolved, Problem> {
    let found = look.open(reference, context).await?.resolve(&reference.identifier(), platform).await?;
    Ok(Resolved {
        schema: SCHEMA,
        reference: reference.to_string(),
        digest: found.digest,
        pinned: endpoint::pinned(reference, found.digest),
        media_type: found.media_type.to_string(),
        size: found.size,
    })
}

impl Resolved {
    /// Returns the lines of a page.
    pub(super) fn text(&self) -> String {
        let Self { digest, media_type, size, .. } = self;
        format!("digest      {digest}\nmedia type  {media_type}\nsize        {size}\n")
    }

    pub(super) fn pinned(&self) -> &str {
        &self.pinned
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg resolve ghcr.io/me/app:v1
  spinreg resolve --platform linux/arm64 docker.io/library/alpine:3
  spinreg resolve oci-archive:app.tar:v1
  spinreg resolve --offline ghcr.io/me/app:v1      (as it was pulled last)";
