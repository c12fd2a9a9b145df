//! `spinreg delete`.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::copy_sides::Way;
use super::failure::Problem;
use super::misuse::Misuse;
use super::sight::{SCHEMA, Site, repository};
use super::{interrupts, output};
use crate::content::Source as _;
use crate::copy::Endpoint;
use crate::error::Error;
use crate::model::{Digest, Identifier, Location, ParseError, Tag};

/// Delete a tag, or a manifest with every tag that names it.
///
/// Blobs stay where they are until the registry collects what nothing needs. What a registry has really done is asked for
/// and said: some delete the manifest with its tag, and many delete no tags at all.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Delete {
    /// What to delete: `REGISTRY/NAME:TAG`, which leaves the manifest, or `REGISTRY/NAME@DIGEST`; also in an `oci:DIRECTORY`.
    #[arg(value_parser = doomed)]
    reference: Location,

    /// Delete without asking. Without a terminal nobody is asked in any case.
    #[arg(long, short = 'y')]
    yes: bool,

    /// Print what was done as JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    way: Way,
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    repository: String,
    tag: Option<String>,
    digest: Digest,
    manifest: Fate,
}

/// What has become of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fate {
    Kept,
    Deleted,
}

impl Delete {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, yes, json, way } = self;
        let site = Site::open_to_change(&reference, &way).await?;
        let id = reference.identifier();
        let what = match &id {
            Identifier::Tag(tag) => format!("the tag `{tag}`"),
            Identifier::Digest(digest) => format!("the manifest `{digest}` and every tag that names it"),
        };
        confirm(yes, &what, &repository(&reference))?;
        let (digest, manifest) = interrupts::until(async {
            match &id {
                Identifier::Tag(tag) => delete_tag(&site.end, tag).await,
                Identifier::Digest(digest) => delete_manifest(&site.end, digest).await,
            }
        })
        .await??;
        let tag = match id {
            Identifier::Tag(tag) => Some(tag.to_string()),
            Identifier::Digest(_) => None,
        };
        if json {
            let repository = repository(&reference);
            return Ok(output::json(&Report { schema: SCHEMA, repository, tag, digest, manifest })?);
        }
        if context.quiet {
            return Ok(());
        }
        Ok(output::line(&match (tag, manifest) {
            (None, _) => format!("Deleted {digest}, and every tag that named it"),
            (Some(tag), Fate::Kept) => format!("Deleted tag {tag}; its manifest {digest} is still there"),
            (Some(tag), Fate::Deleted) => format!("Deleted tag {tag}; its manifest {digest} is gone as well"),
        })?)
    }
}

/// Deletes a tag, and finds out what has become of its manifest.
///
/// **Requests**: one `HEAD` of the tag, one `DELETE`, one `HEAD` of the digest.
async fn delete_tag(end: &Endpoint, tag: &Tag) -> Result<(Digest, Fate), Problem> {
    let digest = end.resolve(&Identifier::Tag(tag.clone())).await?.digest;
    match end {
        Endpoint::Repository(repository) => repository.delete_tag(tag).await?,
        Endpoint::Layout(layout) => layout.delete_tag(tag).await?,
        Endpoint::Archive(_) | Endpoint::Vacant(_) => return Err(Misuse::DeleteInArchive.into()),
    }
    match end.resolve(&Identifier::Digest(digest)).await {
        Ok(_) => Ok((digest, Fate::Kept)),
        Err(error) if error.is_not_found() => Ok((digest, Fate::Deleted)),
        Err(error) => Err(error.into()),
    }
}

async fn delete_manifest(end: &Endpoint, digest: &Digest) -> Result<(Digest, Fate), Problem> {
    match end {
        Endpoint::Repository(repository) => repository.delete_manifest(digest).await?,
        Endpoint::Layout(layout) => layout.delete_manifest(digest).await?,
        Endpoint::Archive(_) | Endpoint::Vacant(_) => return Err(Misuse::DeleteInArchive.into()),
    }
    Ok((*digest, Fate::Deleted))
}

/// Asks whether something is to be deleted, where somebody can be asked.
///
/// # Errors
///
/// [`Problem::Declined`]: anything but `y` and `yes` is no.
pub(super) fn confirm(yes: bool, what: &str, place: &str) -> Result<(), Problem> {
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    let failed = |error| Error::io("ask on", "the terminal", error);
    let mut asking = anstream::stderr().lock();
    write!(asking, "Delete {what} in `{place}`? [y/N] ").and_then(|()| asking.flush()).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    if is_yes(&answer) { Ok(()) } else { Err(Problem::Declined) }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

/// Reads what is to be deleted: it has to be named in full, and by one name.
fn doomed(text: &str) -> Result<Location, ParseError> {
    let location: Location = text.parse()?;
    let refuse = |expected| Err(ParseError::new("what to delete", text, expected));
    match (&location, location.identifier()) {
        (Location::Registry(reference), Identifier::Digest(_)) if reference.tag().is_some() => {
            refuse("a tag or a digest, not both")
        }
        // Nobody deletes `latest` by leaving something out.
        (_, Identifier::Tag(tag)) if !text.ends_with(&format!(":{tag}")) => refuse("a tag or a digest"),
        _ => Ok(location),
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg delete ghcr.io/me/app:v1
  spinreg delete --yes ghcr.io/me/app@sha256:…
  spinreg delete oci:out:v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_named_in_full() {
        let digest = Digest::of(b"");
        for (text, taken) in [
            ("r.example/a:v1".to_owned(), true),
            ("r.example/a:latest".to_owned(), true),
            (format!("r.example/a@{digest}"), true),
            ("oci:out:v1".to_owned(), true),
            ("oci:out:latest".to_owned(), true),
            (format!("oci:out@{digest}"), true),
            ("r.example/a".to_owned(), false),
            ("localhost:5000/a".to_owned(), false),
            ("oci:out".to_owned(), false),
            (format!("r.example/a:v1@{digest}"), false),
        ] {
            assert_eq!(doomed(&text).is_ok(), taken, "{text}");
        }
    }

    #[test]
    fn anything_but_yes_is_no() {
        for (answer, yes) in
            [("y\n", true), ("YES\r\n", true), ("", false), ("\n", false), ("yep", false), ("n", false)]
        {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
