//! `spinreg blob`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use super::copy_sides::Way;
use super::delete::confirm;
use super::endpoint::{self, Purpose};
use super::failure::{Invocation, Problem};
use super::files::{self, Upload};
use super::misuse::Misuse;
use super::options::CacheDir;
use super::sight::{SCHEMA, Site, repository};
use super::told::Telling;
use super::{interrupts, output};
use crate::content::{Blob, Source as _, Target as _};
use crate::copy::Endpoint;
use crate::model::{Digest, Location, MediaType, ParseError};

/// Read, write and delete blobs, without the manifests that need them.
#[derive(Args)]
pub(crate) struct BlobFamily {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Get(Get),
    Head(Head),
    Put(Put),
    Delete(Delete),
}

/// Write a blob's bytes to a file, or to standard output.
///
/// They are compared with the digest: a file gets its name when all of them are right, and what goes to standard output is
/// right where the exit code is 0.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Get {
    /// Which one: `REGISTRY/NAME@DIGEST`, `oci:DIRECTORY@DIGEST` or `oci-archive:FILE@DIGEST`.
    #[arg(value_parser = by_digest)]
    reference: Location,

    /// Write to this file instead of standard output, which is `-`. A terminal gets text alone.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    way: Way,
}

/// Print the size of a blob, where it is there.
#[derive(Args)]
struct Head {
    /// Which one, as `get` takes it.
    #[arg(value_parser = by_digest)]
    reference: Location,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    way: Way,
}

/// Send a file as a blob. Registries remove blobs that no manifest needs, sooner or later.
#[derive(Args)]
struct Put {
    /// The file; `-` is standard input.
    file: PathBuf,

    /// Where to: `REGISTRY/NAME` or `oci:DIRECTORY`; perhaps with the digest that it has to have.
    reference: Location,

    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    way: Way,
}

/// Delete a blob, whether or not a manifest needs it.
#[derive(Args)]
struct Delete {
    /// Which one: `REGISTRY/NAME@DIGEST` or `oci:DIRECTORY@DIGEST`.
    #[arg(value_parser = by_digest)]
    reference: Location,

    /// Delete without asking. Without a terminal nobody is asked in any case.
    #[arg(long, short = 'y')]
    yes: bool,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    way: Way,
}

#[derive(Serialize)]
struct Deleted {
    schema: u32,
    repository: String,
    digest: Digest,
}

#[derive(Serialize)]
struct Described {
    schema: u32,
    reference: String,
    digest: Digest,
    size: u64,
}

impl BlobFamily {
    /// Says what is going to be done, for the hints.
    pub(super) fn invocation(&self) -> Invocation {
        match &self.verb {
            Verb::Get(get) => Invocation::Look(get.reference.clone()),
            Verb::Head(head) => Invocation::Look(head.reference.clone()),
            Verb::Put(put) => Invocation::Push(put.reference.clone()),
            Verb::Delete(delete) => Invocation::Delete(delete.reference.clone()),
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.verb {
            Verb::Get(get) => get.run(context).await,
            Verb::Head(head) => head.run(context).await,
            Verb::Put(put) => put.run(context).await,
            Verb::Delete(delete) => delete.run(context).await,
        }
    }
}

impl Get {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, output, cache, way } = self;
        if context.offline && matches!(reference, Location::Registry(_)) {
            return files::save(&cached(&digest(&reference), &cache).await?, &output).await;
        }
        let site = Site::open(&reference, Purpose::Pull, &way).await?;
        interrupts::until(async {
            let blob = site.end.blob(&site.end.describe_blob(&digest(&reference)).await?);
            files::save(&blob, &output).await
        })
        .await?
    }
}

impl Head {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, json, cache, way } = self;
        let found = if context.offline && matches!(reference, Location::Registry(_)) {
            cached(&digest(&reference), &cache).await?.descriptor().clone()
        } else {
            let site = Site::open(&reference, Purpose::Pull, &way).await?;
            site.end.describe_blob(&digest(&reference)).await?
        };
        let (digest, size) = (found.digest, found.size);
        match (json, context.quiet) {
            (true, _) => output::json(&Described { schema: SCHEMA, reference: reference.to_string(), digest, size })?,
            (false, true) => output::line(&endpoint::pinned(&reference, digest))?,
            (false, false) => output::page(&format!("digest  {digest}\nsize    {size}\n"))?,
        }
        Ok(())
    }
}

impl Put {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { file, reference, telling, way } = self;
        if matches!(reference, Location::Archive { .. }) {
            return Err(Misuse::BlobInArchive.into());
        }
        let upload = Upload::read(&file, MediaType::OCTET_STREAM).await?;
        let sent = upload.blob.descriptor();
        if let Some(expected) = reference.identifier().digest().filter(|expected| **expected != sent.digest) {
            return Err(Misuse::OtherDigest { expected: (*expected).into(), actual: sent.digest.into() }.into());
        }
        let site = Site::open(&reference, Purpose::Push, &way).await?;
        let mut interrupts = interrupts::Interrupts::listen()?;
        tokio::select! {
            sent = async { site.end.push_blob(&upload.blob).await?; site.end.finish().await } => sent?,
            () = interrupts.next() => {
                // Upload sessions that nobody ends stay with the registry for days.
                site.end.tidy().await;
                return Err(Problem::Interrupted);
            }
        }
        Ok(telling.tell("Pushed", &reference, sent, context)?)
    }
}

impl Delete {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, yes, json, way } = self;
        let site = Site::open_to_change(&reference, &way).await?;
        let digest = digest(&reference);
        confirm(yes, &format!("the blob `{digest}`"), &repository(&reference))?;
        match &site.end {
            Endpoint::Repository(repository) => repository.delete_blob(&digest).await?,
            Endpoint::Layout(layout) => layout.delete_blob(&digest).await?,
            Endpoint::Archive(_) | Endpoint::Vacant(_) => return Err(Misuse::DeleteInArchive.into()),
        }
        if json {
            return Ok(output::json(&Deleted { schema: SCHEMA, repository: repository(&reference), digest })?);
        }
        if context.quiet { Ok(()) } else { Ok(output::line(&format!("Deleted {digest}"))?) }
    }
}

/// Finds a blob in the cache, and compares it with its digest.
async fn cached(digest: &Digest, cache: &CacheDir) -> Result<Blob, Problem> {
    let path = match cache.open()?.wasm(digest).await {
        Err(error) if error.is_not_found() => return Err(Problem::NotHere(Box::new(*digest))),
        found => found?,
    };
    let blob = Blob::from_file(MediaType::OCTET_STREAM, &path).await?;
    if blob.descriptor().digest == *digest { Ok(blob) } else { Err(Problem::Damaged(1)) }
}

fn digest(reference: &Location) -> Digest {
    *reference.identifier().digest().expect("it was parsed as one with a digest")
}

/// Reads what has to name a digest.
fn by_digest(text: &str) -> Result<Location, ParseError> {
    let location: Location = text.parse()?;
    match location.identifier().digest() {
        Some(_) => Ok(location),
        None => Err(ParseError::new("blob", text, "its digest, as in `NAME@sha256:…`")),
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg blob get -o app.wasm ghcr.io/me/app@sha256:…
  spinreg blob head ghcr.io/me/app@sha256:…
  tar -c site | spinreg blob put - ghcr.io/me/app";
