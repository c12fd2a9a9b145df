//! `spinreg referrers`.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::copy_sides::Way;
use super::endpoint::{self, Purpose};
use super::failure::Problem;
use super::output;
use super::sight::{SCHEMA, Site};
use crate::content::Source as _;
use crate::copy::Endpoint;
use crate::error::Error;
use crate::model::printable::line;
use crate::model::{Annotations, Descriptor, Digest, Identifier, Location, Manifest, Platform, View};

/// List what refers to a manifest, such as signatures and SBOMs.
///
/// Digest, artifact type and size, one to a line.
/// One request that finds the digest, and one for the list; two where the registry has no referrers API and clients keep
/// the list under a tag. With `--quiet` each line is `REFERENCE@DIGEST`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListReferrers {
    /// To what: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`; the tag `latest` if
    /// neither tag nor digest is named.
    reference: Location,

    /// Of an index, to the manifest for this platform.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// List those of this artifact type alone.
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    way: Way,
}

#[derive(Serialize)]
struct Listed {
    schema: u32,
    reference: String,
    /// What they refer to.
    subject: Digest,
    referrers: Vec<Referrer>,
}

#[derive(Serialize)]
struct Referrer {
    digest: Digest,
    media_type: String,
    size: u64,
    artifact_type: Option<String>,
    annotations: Annotations,
}

impl ListReferrers {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, platform, artifact_type, json, way } = self;
        let site = Site::open(&reference, Purpose::Pull, &way).await?;
        let subject = match (reference.identifier(), &platform) {
            (Identifier::Digest(digest), None) => digest,
            (id, _) => site.resolve(&id, platform.as_ref()).await?.digest,
        };
        let referrers = list(&site.end, &subject, artifact_type.as_deref()).await?;
        if json {
            let reference = reference.to_string();
            return Ok(output::json(&Listed { schema: SCHEMA, reference, subject, referrers })?);
        }
        if referrers.is_empty() {
            return Ok(());
        }
        let lines = referrers.iter().map(|referrer| {
            if context.quiet { endpoint::pinned(&reference, referrer.digest) } else { referrer.line() }
        });
        Ok(output::page(&lines.collect::<Vec<_>>().join("\n"))?)
    }
}

async fn list(end: &Endpoint, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Referrer>, Error> {
    if let Endpoint::Repository(repository) = end {
        return Ok(repository.referrers(subject, artifact_type).await?.into_iter().map(Referrer::of).collect());
    }
    let mut referrers = Vec::new();
    for listed in end.all_referrers(subject).await? {
        // A layout lists manifests and says nothing about them.
        let manifest = end.manifest(&Identifier::Digest(listed.digest)).await?;
        let referrer = Referrer::of(described(&manifest));
        if artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted)) {
            referrers.push(referrer);
        }
    }
    Ok(referrers)
}

/// Describes a referrer as registries do (distribution-spec 1.1, "Listing Referrers").
fn described(manifest: &Manifest) -> Descriptor {
    let mut descriptor = manifest.descriptor().clone();
    descriptor.annotations = manifest.annotations().clone();
    descriptor.artifact_type = match manifest.view() {
        View::Image(image) => {
            let own = image.artifact_type.clone().filter(|text| !text.is_empty());
            own.or_else(|| Some(image.config.media_type.to_string()))
        }
        View::Index(index) => index.artifact_type.clone(),
    };
    descriptor
}

impl Referrer {
    fn of(descriptor: Descriptor) -> Self {
        let Descriptor { digest, media_type, size, artifact_type, annotations, .. } = descriptor;
        Self { digest, media_type: media_type.to_string(), size, artifact_type, annotations }
    }

    fn line(&self) -> String {
        let kind = self.artifact_type.as_ref().unwrap_or(&self.media_type);
        format!("{}  {}  {}", self.digest, line(kind), self.size)
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg referrers ghcr.io/me/app:v1
  spinreg referrers --artifact-type application/spdx+json ghcr.io/me/app:v1
  spinreg referrers --json oci:out:v1";
