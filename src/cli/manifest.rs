//! `spinreg manifest`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};

use super::context::Context;
use super::copy_sides::Way;
use super::endpoint::Purpose;
use super::failure::{Invocation, Problem};
use super::misuse::Misuse;
use super::resolve::resolve;
use super::sight::{Look, Site};
use super::told::Telling;
use super::{files, interrupts, output};
use crate::content::Target as _;
use crate::error::Error;
use crate::model::{Digest, Identifier, Location, Manifest, MediaType, ParseError, Platform, Tag};

/// Read and write manifests as they are.
#[derive(Args)]
pub(crate) struct ManifestFamily {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Get(Get),
    Head(Head),
    Put(Put),
}

/// Print a manifest's exact bytes.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Get {
    /// Which one: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`.
    reference: Location,

    /// Of an index, the manifest for this platform.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// Write to this file instead of standard output, which is `-`.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    #[command(flatten)]
    look: Look,
}

/// Print digest, media type and size of a manifest, without reading it.
#[derive(Args)]
struct Head {
    /// Which one, as `get` takes it.
    reference: Location,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    look: Look,
}

/// Send a manifest, every byte as it is. Its blobs have to be there.
#[derive(Args)]
struct Put {
    /// The manifest; `-` is standard input.
    file: PathBuf,

    /// Where to: a tag, or the digest that it has.
    reference: Location,

    /// What it is [default: what its `mediaType` says, else what its form is].
    #[arg(long, value_name = "TYPE", value_parser = MediaType::from_header)]
    media_type: Option<MediaType>,

    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    way: Way,
}

impl ManifestFamily {
    /// Says what is going to be done, for the hints.
    pub(super) fn invocation(&self) -> Invocation {
        match &self.verb {
            Verb::Get(get) => Invocation::Look(get.reference.clone()),
            Verb::Head(head) => Invocation::Look(head.reference.clone()),
            Verb::Put(put) => Invocation::Change(put.reference.clone()),
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.verb {
            Verb::Get(get) => get.run(context).await,
            Verb::Head(head) => head.run(context).await,
            Verb::Put(put) => put.run(context).await,
        }
    }
}

impl Get {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, platform, output, look } = self;
        let sight = look.open(&reference, context).await?;
        let manifest = sight.pick(&reference.identifier(), platform.as_ref()).await?;
        Ok(files::write(manifest.bytes(), &output)?)
    }
}

impl Head {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, json, look } = self;
        let resolved = resolve(&reference, None, &look, context).await?;
        match (json, context.quiet) {
            (true, _) => output::json(&resolved)?,
            (false, true) => output::line(resolved.pinned())?,
            (false, false) => output::page(&resolved.text())?,
        }
        Ok(())
    }
}

impl Put {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { file, reference, media_type, telling, way } = self;
        let manifest = Manifest::parse(read(&file)?, media_type).map_err(Error::from)?;
        let (tag, expected) = aim(&reference);
        let manifest = match expected {
            Some(expected) if expected.algorithm() != manifest.digest().algorithm() => {
                let digest = Digest::of_with(expected.algorithm(), manifest.bytes());
                let media_type = manifest.descriptor().media_type.clone();
                Manifest::parse_named(manifest.bytes().clone(), Some(media_type), digest).map_err(Error::from)?
            }
            _ => manifest,
        };
        let digest = manifest.digest();
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Misuse::OtherDigest { expected: expected.into(), actual: digest.into() }.into());
        }
        let site = Site::open(&reference, Purpose::Push, &way).await?;
        interrupts::until(async {
            site.end.push_manifest(&manifest, tag.as_ref()).await?;
            site.end.finish().await
        })
        .await??;
        Ok(telling.tell("Pushed", &reference, manifest.descriptor(), context)?)
    }
}

/// Returns the tag that something is to have, and the digest that it has to have.
pub(super) fn aim(location: &Location) -> (Option<Tag>, Option<Digest>) {
    match location {
        Location::Registry(reference) => (reference.tag().cloned(), reference.digest().copied()),
        Location::Layout { identifier, .. } | Location::Archive { identifier, .. } => match identifier {
            Identifier::Tag(tag) => (Some(tag.clone()), None),
            Identifier::Digest(digest) => (None, Some(*digest)),
        },
    }
}

/// Reads a manifest that may be sent.
fn read(path: &Path) -> Result<Bytes, Problem> {
    let failed = |error| Error::io("read", path, error);
    let mut bytes = Vec::new();
    let limit = Manifest::MAX_PUSH + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        files::open(path)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > Manifest::MAX_PUSH {
        let expected = "at most 4 MiB, which is what registries take";
        return Err(Error::from(ParseError::new("manifest", &path.display().to_string(), expected)).into());
    }
    Ok(bytes.into())
}

const EXAMPLES: &str = "\
Examples:
  spinreg manifest get ghcr.io/me/app:v1
  spinreg manifest get --platform linux/arm64 -o manifest.json docker.io/library/alpine:3
  spinreg manifest head ghcr.io/me/app:v1
  spinreg manifest put manifest.json ghcr.io/me/app:v2";
