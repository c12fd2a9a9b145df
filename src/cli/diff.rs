//! `spinreg diff`.

use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::copy::open;
use super::copy_sides::{self, At, Side, Source, Target};
use super::diff_report::{End, Report};
use super::endpoint::Purpose;
use super::failure::Problem;
use super::inspect::look_inside;
use super::inspection::Inspection;
use super::misuse::Misuse;
use super::options::CacheDir;
use super::output;
use super::paint::painter;
use super::sight::{Sight, Site};
use super::status::{Status, Voice};
use crate::model::{Location, Platform, Reference};

/// Say what has changed between two versions of an application.
///
/// That is components, files, settings, what each component may reach, and how much there is to download.
/// Two requests to each side: the manifest, and the lock file that tells the rest; one where both are the same. Of other
/// artifacts it says which layers and annotations are others.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Diff {
    /// The old version: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`; the tag `latest`
    /// if neither tag nor digest is named.
    #[arg(value_name = "FROM_REFERENCE")]
    from: Location,

    /// The new version, in the same forms.
    #[arg(value_name = "TO_REFERENCE")]
    to: Location,

    /// Of an index, compare the manifest for this platform.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    /// End with exit code 1 where their digests differ; `--quiet` does so too, and prints nothing.
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    source: At<Source>,
    #[command(flatten)]
    target: At<Target>,
}

impl Diff {
    pub(super) fn ends(&self) -> (&Location, &Location) {
        (&self.from, &self.to)
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { from, to, platform, json, exit_code, cache, source, target } = self;
        if source.way.account.reads_stdin() && target.way.account.reads_stdin() {
            return Err(Misuse::OneStdin.into());
        }
        let status = Arc::new(Status::begin(Voice::Silent, ("", ""), String::new()));
        let old = match &from {
            Location::Registry(reference) if context.offline => cached::<Source>(reference, &cache).await?,
            _ => Sight::Site(Site::of(open::<Source>(&from, Purpose::Pull, &source.way, &status).await?, &status)),
        };
        let new = match &to {
            Location::Registry(reference) if context.offline => cached::<Target>(reference, &cache).await?,
            _ => Sight::Site(Site::of(open::<Target>(&to, Purpose::Pull, &target.way, &status).await?, &status)),
        };
        let mut old =
            Version::read(old, &from, platform.as_ref()).await.map_err(|error| Problem::at(Side::From, error))?;
        let mut new = Version::read(new, &to, platform.as_ref()).await.map_err(|error| Problem::at(Side::To, error))?;
        let differ = old.inspection.digest != new.inspection.digest;
        let outcome = if differ && (exit_code || context.quiet) { Err(Problem::Different) } else { Ok(()) };
        if context.quiet && !json {
            return outcome;
        }
        if differ {
            old.look_inside().await.map_err(|error| Problem::at(Side::From, error))?;
            new.look_inside().await.map_err(|error| Problem::at(Side::To, error))?;
        }
        let report = Report::of(End::of(&old.inspection), End::of(&new.inspection));
        if json {
            output::json(&report)?
        } else {
            output::page(&report.text(painter()))?
        }
        outcome
    }
}

/// Opens what was pulled; what fails is told in the words of one end.
async fn cached<E: copy_sides::End>(reference: &Reference, cache: &CacheDir) -> Result<Sight, Problem> {
    Sight::cached(reference, cache).await.map_err(|problem| Problem::at(E::SIDE, problem))
}

/// One of the two.
struct Version {
    sight: Sight,
    manifest: crate::model::Manifest,
    inspection: Inspection,
}

impl Version {
    async fn read(sight: Sight, reference: &Location, platform: Option<&Platform>) -> Result<Self, Problem> {
        let manifest = sight.pick(&reference.identifier(), platform).await?;
        let inspection = Inspection::of(reference, &manifest);
        Ok(Self { sight, manifest, inspection })
    }

    async fn look_inside(&mut self) -> Result<(), Problem> {
        look_inside(&self.sight, &self.manifest, &mut self.inspection).await
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg diff ghcr.io/me/app:v1 ghcr.io/me/app:v2
  spinreg diff --quiet ghcr.io/me/app:v1 ghcr.io/me/app:latest || echo there is something new
  spinreg diff --json oci-archive:app.tar:v1 ghcr.io/me/app:latest
  spinreg diff --platform linux/arm64 docker.io/library/alpine:3.20 docker.io/library/alpine:3.21";
