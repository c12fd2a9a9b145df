//! Tags: listing and deleting them (distribution-spec 1.1, end-8 and end-9).

use std::collections::HashSet;
use std::num::NonZeroU32;

use futures_util::{Stream, TryFutureExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use super::Repository;
use super::mirror::Askable;
use super::pages::{Page, Pages};
use super::response::violation;
use crate::error::Error;
use crate::model::Tag;

/// Which tags are listed, and how. The default is all of them, in pages of the registry's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// How many tags the registry is asked to put on a page; ECR takes no more than 1 000.
    pub page: Option<NonZeroU32>,
    /// Lists only what comes after this tag, in the order of the registry.
    pub after: Option<Tag>,
}

impl Listing {
    /// Asks for pages of at most `n` tags.
    #[must_use]
    pub fn in_pages_of(self, n: NonZeroU32) -> Self {
        Self { page: Some(n), ..self }
    }

    /// Begins after `tag`.
    #[must_use]
    pub fn after(self, tag: Tag) -> Self {
        Self { after: Some(tag), ..self }
    }
}

/// Lists tags, page by page: those of a mirror, where there is one.
pub(super) fn list(repository: &Repository, listing: Listing) -> impl Stream<Item = Result<Tag, Error>> + use<> {
    let asked = Askable::of(repository);
    let begin = async move {
        let asked = asked?;
        let pages = begin(&asked.first, &listing);
        let state = State { pages, asked: Some(asked), listing, linked: false, seen: HashSet::new() };
        Ok(stream::try_unfold(state, State::step).try_flatten())
    };
    begin.try_flatten_stream()
}

/// Reads the first tag of the registry itself, if there is one: one `GET` of a page of one.
pub(super) async fn first(repository: &Repository) -> Result<Option<Tag>, Error> {
    let mut pages = begin(repository, &Listing::default().in_pages_of(NonZeroU32::MIN));
    let page = pages.next().await?;
    Ok(page.as_ref().map(parse).transpose()?.and_then(|tags| tags.into_iter().next()))
}

fn begin(repository: &Repository, listing: &Listing) -> Pages {
    Pages::new(repository, path(listing), "application/json")
}

struct State {
    pages: Pages,
    /// Who is asked, before the first page decides that.
    asked: Option<Askable>,
    listing: Listing,
    /// Whether the registry has ever named a next page.
    linked: bool,
    /// The tags so far, where the registry may turn out not to know `last`.
    seen: HashSet<Tag>,
}

impl State {
    async fn step(mut self) -> Result<Option<(impl Stream<Item = Result<Tag, Error>>, Self)>, Error> {
        let asked = self.asked.take();
        let mut page = self.page().await;
        let second = match (&page, &asked) {
            (Err(error), Some(asked)) => asked.after(error),
            (Ok(Some(tags)), Some(asked)) if tags.is_empty() && !self.pages.has_next() => asked.second.as_ref(),
            _ => None,
        };
        if let Some(second) = second {
            self.pages = begin(second, &self.listing);
            page = self.page().await;
        }
        let Some(mut tags) = page? else { return Ok(None) };
        self.linked |= self.pages.has_next();
        // A full page without a `Link`: old registries have pages and do not say where the next one is. Those that do not
        // know `last` either begin again. Who has said it before would have said it again.
        if let Some(n) = self.listing.page {
            let full = tags.len() == n.get() as usize;
            tags.retain(|tag| self.seen.insert(tag.clone()));
            if let (Some(last), true, false) = (tags.last(), full, self.linked) {
                self.listing.after = Some(last.clone());
                self.pages.go_on(path(&self.listing));
            }
        }
        Ok(Some((stream::iter(tags.into_iter().map(Ok)), self)))
    }

    async fn page(&mut self) -> Result<Option<Vec<Tag>>, Error> {
        self.pages.next().await?.as_ref().map(parse).transpose()
    }
}

fn path(listing: &Listing) -> String {
    let page = listing.page.map(|n| format!("n={n}"));
    let after = listing.after.as_ref().map(|tag| format!("last={tag}"));
    match [page, after].into_iter().flatten().collect::<Vec<_>>().join("&") {
        query if query.is_empty() => "tags/list".to_owned(),
        query => format!("tags/list?{query}"),
    }
}

/// Reads a page.
pub(super) fn parse(page: &Page) -> Result<Vec<Tag>, Error> {
    #[derive(Deserialize)]
    struct List {
        /// `null` where there are none, on some registries.
        tags: Option<Vec<String>>,
    }
    let list: List = serde_json::from_slice(&page.body)
        .map_err(|error| violation(page.line.clone(), "the answer is no list of tags", error))?;
    let parsed = |text: &String| {
        // What is no tag cannot be asked for, either.
        text.parse().inspect_err(|error| tracing::debug!(%error, "left out of the list of tags")).ok()
    };
    Ok(list.tags.unwrap_or_default().iter().filter_map(parsed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RequestLine;

    #[test]
    fn lists_are_read_tolerantly_and_strangers_left_out() {
        let page = |body: &'static str| Page {
            line: RequestLine::new(&http::Method::GET, &http::Uri::from_static("https://r/v2/a/tags/list")),
            headers: http::HeaderMap::new(),
            body: body.into(),
        };
        for (body, tags) in [
            (r#"{"name":"a","tags":["v1","v2"]}"#, Some(&["v1", "v2"][..])),
            (r#"{"name":"a","tags":[]}"#, Some(&[])),
            (r#"{"name":"a","tags":null}"#, Some(&[])),
            (r#"{"name":"a"}"#, Some(&[])),
            (r#"{"tags":["v1","../x","a b",""]}"#, Some(&["v1"])),
            (r#"{"tags":[1]}"#, None),
            ("<html>", None),
        ] {
            let parsed = parse(&page(body)).ok();
            let parsed: Option<Vec<_>> = parsed.as_ref().map(|tags| tags.iter().map(Tag::as_str).collect());
            assert_eq!(parsed.as_deref(), tags, "{body}");
        }
    }

    #[test]
    fn the_query_says_what_is_wanted() {
        let ten = NonZeroU32::new(10).expect("not zero");
        let tag: Tag = "v1".parse().expect("a tag");
        for (listing, expected) in [
            (Listing::default(), "tags/list"),
            (Listing::default().in_pages_of(ten), "tags/list?n=10"),
            (Listing::default().after(tag.clone()), "tags/list?last=v1"),
            (Listing::default().in_pages_of(ten).after(tag), "tags/list?n=10&last=v1"),
        ] {
            assert_eq!(path(&listing), expected);
        }
    }
}
