//! `spinreg tags`.

use std::future::ready;
use std::num::NonZeroU32;

use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::context::Context;
use super::copy_sides::Way;
use super::endpoint::Purpose;
use super::failure::Problem;
use super::output;
use super::sight::{SCHEMA, Site, repository};
use super::tag_order::{by_name, by_version};
use super::tag_pattern::Pattern;
use crate::content::Source as _;
use crate::copy::Endpoint;
use crate::error::Error;
use crate::model::{Location, ParseError, Tag};
use crate::registry::Listing;

/// List the tags of a repository, one to a line.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tags {
    /// The repository: `REGISTRY/NAME`, `oci:DIRECTORY` or `oci-archive:FILE`; a tag or digest in it does not count.
    reference: Location,

    /// List the tags alone that match this pattern, such as `v1.*`; may be repeated.
    #[arg(long = "match", value_name = "PATTERN")]
    patterns: Vec<Pattern>,

    /// In which order.
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = Order::Registry)]
    sort: Order,

    /// List at most this many, the first ones of the order.
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroU32>,

    /// Ask the registry for what comes after this tag in its own order.
    #[arg(long, value_name = "TAG")]
    after: Option<Tag>,

    /// Ask for so many tags at a time [default: as many as the registry gives].
    #[arg(long, value_name = "N")]
    page: Option<NonZeroU32>,

    /// Print JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    way: Way,
}

/// An order of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// As the registry lists them, mostly by their bytes.
    Registry,
    /// By their bytes.
    Name,
    /// The highest version first, with or without a `v` before it; what is no version comes after, by its bytes.
    Semver,
}

#[derive(Serialize)]
struct Listed {
    schema: u32,
    repository: String,
    tags: Vec<String>,
    /// Whether these are all.
    complete: bool,
}

impl Tags {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, _: &Context) -> Result<(), Problem> {
        let Self { reference, patterns, sort, limit, after, page, json, way } = self;
        let site = Site::open(&reference, Purpose::Pull, &way).await?;
        let limit = limit.map(|limit| limit.get() as usize);
        // One more than wanted shows whether there are more.
        let enough = limit.filter(|_| sort == Order::Registry).unwrap_or(MAX_TAGS).min(MAX_TAGS) + 1;
        let mut tags = list(&site.end, &patterns, after, page, enough).await?;
        if tags.len() > MAX_TAGS {
            let expected = "at most 100000 tags; fewer are listed with `--limit` and without `--sort`";
            return Err(Error::from(ParseError::new("list of tags", &repository(&reference), expected)).into());
        }
        match sort {
            Order::Registry => {}
            Order::Name => tags.sort_by(by_name),
            Order::Semver => tags.sort_by(by_version),
        }
        let complete = limit.is_none_or(|limit| tags.len() <= limit);
        tags.truncate(limit.unwrap_or(usize::MAX));
        let tags: Vec<String> = tags.iter().map(Tag::to_string).collect();
        if json {
            let repository = repository(&reference);
            return Ok(output::json(&Listed { schema: SCHEMA, repository, tags, complete })?);
        }
        if tags.is_empty() { Ok(()) } else { Ok(output::page(&tags.join("\n"))?) }
    }
}

/// Lists tags that match until there are enough.
async fn list(
    end: &Endpoint,
    patterns: &[Pattern],
    after: Option<Tag>,
    page: Option<NonZeroU32>,
    enough: usize,
) -> Result<Vec<Tag>, Error> {
    let Endpoint::Repository(repository) = end else {
        let mut tags = end.all_tags().await?;
        tags.retain(|tag| after.as_ref().is_none_or(|after| tag.as_str() > after.as_str()));
        tags.retain(|tag| Pattern::any(patterns, tag));
        tags.truncate(enough);
        return Ok(tags);
    };
    let mut listing = Listing::default();
    (listing.page, listing.after) = (page, after);
    let matching = repository.tags(listing).try_filter(|tag| ready(Pattern::any(patterns, tag)));
    matching.take(enough).try_collect().await
}

/// How many tags are listed at once: they are all in memory.
const MAX_TAGS: usize = 100_000;

const EXAMPLES: &str = "\
Examples:
  spinreg tags ghcr.io/me/app
  spinreg tags --sort semver --limit 1 ghcr.io/me/app      (the latest version)
  spinreg tags --match 'v1.*' --sort semver ghcr.io/me/app
  spinreg tags --json oci-archive:app.tar";
