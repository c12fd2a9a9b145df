//! `spinreg inspect`.

use clap::Args;

use super::context::Context;
use super::failure::Problem;
use super::inspection::{Inspection, Kind};
use super::paint::painter;
use super::sight::{Look, Sight};
use super::{endpoint, files, inspection_text, output};
use crate::content::Target as _;
use crate::model::{ImageManifest, Location, Manifest, Platform};
use crate::spin::{Cache, LockedApp, Outline, PackageOutline, media};

/// Show what is published, and what of it is in the cache.
///
/// Of a Spin application that is its components, triggers and variables, and what each component may reach.
/// Two requests: the manifest, and the lock file that tells the rest. Indexes, components by themselves and other
/// artifacts are shown as what they are.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// What to look at: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`; the tag `latest`
    /// if neither tag nor digest is named.
    reference: Location,

    /// Of an index, look at the manifest for this platform.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// Print the manifest's exact bytes.
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    /// List the files of each component by name.
    #[arg(long)]
    files: bool,

    #[command(flatten)]
    look: Look,
}

impl Inspect {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, platform, raw, json, files, look } = self;
        let sight = look.open(&reference, context).await?;
        let manifest = sight.pick(&reference.identifier(), platform.as_ref()).await?;
        if raw {
            return Ok(files::write(manifest.bytes(), "-".as_ref())?);
        }
        if context.quiet && !json {
            return Ok(output::line(&endpoint::pinned(&reference, manifest.digest()))?);
        }
        let mut inspection = Inspection::of(&reference, &manifest);
        look_inside(&sight, &manifest, &mut inspection).await?;
        if let Ok(cache) = look.cache().open() {
            look_up(&cache, &reference, &manifest, &mut inspection).await;
        }
        if json {
            return Ok(output::json(&inspection)?);
        }
        let files = if files { inspection_text::Files::Listed } else { inspection_text::Files::Counted };
        Ok(output::page(&inspection_text::text(&inspection, files, painter()))?)
    }
}

/// Reads the lock file of an application, or the config of a component.
pub(super) async fn look_inside(
    sight: &Sight,
    manifest: &Manifest,
    inspection: &mut Inspection,
) -> Result<(), Problem> {
    let Some(image) = manifest.image() else { return Ok(()) };
    match inspection.kind() {
        Kind::Application => {
            let bytes = sight.document(lock_file(image), media::MAX_LOCK).await?;
            let app = LockedApp::parse(&bytes).map_err(crate::error::Error::from)?;
            inspection.add_application(Outline::of(&app, &image.layers));
        }
        Kind::Component => {
            let bytes = sight.document(&image.config, MAX_CONFIG).await?;
            inspection.add_component(PackageOutline::parse(&bytes).map_err(crate::error::Error::from)?);
        }
        Kind::Index | Kind::Artifact => {}
    }
    Ok(())
}

/// Returns where the lock file is: the last layer of its type, and in artifacts of old the config.
fn lock_file(image: &ImageManifest) -> &crate::model::Descriptor {
    image.layers.iter().rev().find(|layer| layer.media_type == media::APPLICATION).unwrap_or(&image.config)
}

/// Finds out what is in the cache; where that cannot be read nothing is said of it.
async fn look_up(cache: &Cache, reference: &Location, manifest: &Manifest, inspection: &mut Inspection) {
    if !matches!(inspection.kind(), Kind::Application | Kind::Component) {
        return;
    }
    let application = cache.application(&endpoint::cached_as(reference));
    for (n, layer) in manifest.image().into_iter().flat_map(|image| image.layers.iter().enumerate()) {
        if let Ok(is_there) = application.exists(layer).await {
            inspection.note_cached(n, is_there);
        }
    }
}

/// The largest config known has 10 KB.
const MAX_CONFIG: u64 = 4 << 20;

const EXAMPLES: &str = "\
Examples:
  spinreg inspect ghcr.io/me/app:v1
  spinreg inspect --json oci-archive:app.tar:v1
  spinreg inspect --offline ghcr.io/me/app:v1        (as it was pulled last)
  spinreg inspect --raw docker.io/library/alpine:3   (the manifest's exact bytes)";
