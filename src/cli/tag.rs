//! `spinreg tag`.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::copy_sides::Way;
use super::failure::Problem;
use super::sight::{SCHEMA, Site};
use super::told::DigestFile;
use super::{endpoint, interrupts, output};
use crate::content::{Source as _, Target as _};
use crate::copy::Endpoint;
use crate::error::Error;
use crate::model::{Digest, Identifier, Location, Manifest, Tag};

/// Add tags to what is published.
///
/// No blob moves: the manifest's exact bytes are sent under each tag that does not name them already. With `--quiet` the
/// result is `REFERENCE@DIGEST`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retag {
    /// What to tag: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`; the tag `latest` if
    /// neither tag nor digest is named.
    reference: Location,

    /// The tags, in the same place; each names REFERENCE afterwards, whatever it has named before.
    #[arg(value_name = "TAG", required = true)]
    tags: Vec<Tag>,

    /// Print what was done as JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    file: DigestFile,
    #[command(flatten)]
    way: Way,
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    reference: String,
    digest: Digest,
    tags: Vec<Tagged>,
}

/// A tag and what has become of it.
#[derive(Serialize)]
struct Tagged {
    tag: String,
    changed: bool,
    /// What it has named before.
    previous: Option<Digest>,
}

impl Retag {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, mut tags, json, file, way } = self;
        let mut seen = std::collections::HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        let site = Site::open_to_change(&reference, &way).await?;
        let (digest, tags) = interrupts::until(give(&site.end, &reference.identifier(), &tags)).await??;
        file.write(&digest)?;
        if json {
            let report = Report { schema: SCHEMA, reference: reference.to_string(), digest, tags };
            return Ok(output::json(&report)?);
        }
        if context.quiet {
            return Ok(output::line(&endpoint::pinned(&reference, digest))?);
        }
        let lines = tags.iter().map(|tagged| tagged.line(digest));
        Ok(output::page(&lines.collect::<Vec<_>>().join("\n"))?)
    }
}

/// Gives what `id` names these tags.
///
/// **Requests**: one `GET` of the manifest, one `HEAD` for each tag, one `PUT` for each that changes. The `GET` only where
/// it is needed, if `id` is a digest.
async fn give(end: &Endpoint, id: &Identifier, tags: &[Tag]) -> Result<(Digest, Vec<Tagged>), Error> {
    let mut manifest = match id {
        Identifier::Tag(_) => Some(end.manifest(id).await?),
        Identifier::Digest(_) => None,
    };
    let digest =
        manifest.as_ref().map(Manifest::digest).or(id.digest().copied()).expect("an identifier is one of both");
    let mut done = Vec::new();
    for tag in tags {
        let previous = named(end, tag).await?;
        let changed = previous != Some(digest);
        if changed {
            let read = match manifest.take() {
                Some(manifest) => manifest,
                None => end.manifest(id).await?,
            };
            point(end, tag, manifest.insert(read)).await?;
        }
        done.push(Tagged { tag: tag.to_string(), changed, previous });
    }
    end.finish().await?;
    Ok((digest, done))
}

/// Says what a tag names now. One that may not be seen counts as one that is not there.
async fn named(end: &Endpoint, tag: &Tag) -> Result<Option<Digest>, Error> {
    match end.resolve(&Identifier::Tag(tag.clone())).await {
        Ok(found) => Ok(Some(found.digest)),
        Err(error) if error.is_not_found() || error.is_denied() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn point(end: &Endpoint, tag: &Tag, manifest: &Manifest) -> Result<(), Error> {
    match end {
        // A line in its list is enough, whatever of the content is there.
        Endpoint::Layout(layout) => layout.tag(tag, manifest.descriptor()).await,
        _ => end.push_manifest(manifest, Some(tag)).await,
    }
}

impl Tagged {
    fn line(&self, digest: Digest) -> String {
        let Self { tag, changed, previous } = self;
        match (changed, previous) {
            (false, _) => format!("Tag {tag} has digest {digest} already"),
            (true, None) => format!("Tagged {tag} with digest {digest}"),
            (true, Some(previous)) => format!("Tagged {tag} with digest {digest}, which had {previous}"),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg tag ghcr.io/me/app:v1.2.3 v1.2 v1 latest
  spinreg tag ghcr.io/me/app@sha256:… stable
  spinreg tag oci:out:v1 latest";
