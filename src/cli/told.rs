//! What is said of something that was sent: a line for people, a document for programs, a digest for a file.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::copy_report::Report;
use super::sight::SCHEMA;
use super::{endpoint, output};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Location};

/// Where a digest is left for a script.
#[derive(Args, Debug, Default)]
pub(crate) struct DigestFile {
    /// Write the digest into this file when everything is there.
    #[arg(long, value_name = "FILE")]
    digest_file: Option<PathBuf>,
}

impl DigestFile {
    /// Writes it, where that is wanted.
    pub(super) fn write(&self, digest: &Digest) -> Result<(), Error> {
        let Some(file) = &self.digest_file else { return Ok(()) };
        std::fs::write(file, format!("{digest}\n")).map_err(|error| Error::io("write", file, error))
    }
}

/// Whether anything is done at all.
#[derive(Args, Debug, Default)]
pub(crate) struct DryRun {
    /// Find out what would have to move, and move nothing.
    #[arg(long, conflicts_with = "digest_file")]
    pub(super) dry_run: bool,

    /// Print what would move as JSON; docs/copy.md describes the document.
    #[arg(long, requires = "dry_run")]
    json: bool,
}

impl DryRun {
    /// Prints what would move.
    pub(super) fn show(&self, report: &Report, pinned: &str, context: &Context) -> Result<(), Error> {
        match (self.json, context.quiet) {
            (true, _) => output::page(&report.json()),
            (false, true) => output::line(pinned),
            (false, false) => output::page(&report.text()),
        }
    }
}

/// How it is told what was sent.
#[derive(Args, Debug, Default)]
pub(crate) struct Telling {
    #[command(flatten)]
    file: DigestFile,

    /// Print what was sent as JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Sent<'a> {
    schema: u32,
    reference: String,
    digest: Digest,
    /// The place by that digest.
    pinned: String,
    media_type: &'a str,
    size: u64,
}

impl Telling {
    /// Tells that this is at `location` now, and by which verb it came there.
    pub(super) fn tell(
        &self,
        verb: &str,
        location: &Location,
        sent: &Descriptor,
        context: &Context,
    ) -> Result<(), Error> {
        self.file.write(&sent.digest)?;
        let pinned = endpoint::pinned(location, sent.digest);
        match (self.json, context.quiet) {
            (true, _) => output::json(&Sent {
                schema: SCHEMA,
                reference: location.to_string(),
                digest: sent.digest,
                pinned,
                media_type: sent.media_type.as_str(),
                size: sent.size,
            }),
            (false, true) => output::line(&pinned),
            (false, false) => output::line(&format!("{verb} with digest {}", sent.digest)),
        }
    }
}
