//! end-8: lists of tags.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, expect, expect_any, said};
use super::content::{Document, nonce};
use super::manners::{below_host, next};
use super::rule::{Fall, Rule, broken, ensure, seen_in};
use crate::model::Algorithm;

const LISTING: &str = "Listing Tags";

pub(super) static LIST: Rule = Rule::new(
    "tags.list",
    "end-8a",
    Level::Must,
    LISTING,
    "the list of tags is answered with 200 and has every tag, where it is cut with a `Link` to the rest",
);
pub(super) static NAME: Rule =
    Rule::new("tags.name", "end-8a", Level::Must, LISTING, "`name` in a list of tags is that of the repository")
        .unseen("it does not look at the member");
pub(super) static ORDER: Rule = Rule::new(
    "tags.order",
    "end-8a",
    Level::Must,
    LISTING,
    "tags are listed in the order of their bytes, or of their letters whatever their case",
)
.unseen("it takes them in any order");
pub(super) static NEVER_NULL: Rule = Rule::new(
    "tags.never-null",
    "end-8a",
    Level::Must,
    LISTING,
    "`tags` is a list where there is none to be listed, too",
)
.unseen("it takes `null` for an empty list");
pub(super) static AT_MOST: Rule =
    Rule::new("tags.n", "end-8b", Level::Must, LISTING, "`n` is how many tags are listed at most")
        .unseen("it does not send the parameter");
pub(super) static NONE: Rule = Rule::new(
    "tags.n-zero",
    "end-8b",
    Level::Must,
    LISTING,
    "`n=0` is answered with an empty list and without a `Link`",
)
.unseen("it does not send the parameter");
pub(super) static LAST: Rule =
    Rule::new("tags.last", "end-8b", Level::Must, LISTING, "`last` is the tag after which the list begins");
pub(super) static PAGES: Rule = Rule::new(
    "tags.pages",
    "end-8b",
    Level::Must,
    LISTING,
    "a list cut by `n` leads with `Link` to the rest, each tag comes once, and there is an end",
)
.unseen("it does not follow `Link`");
pub(super) static UNKNOWN: Rule = Rule::new(
    "tags.unknown-repository",
    "end-8a",
    Level::Must,
    LISTING,
    "the tags of a repository that does not exist are answered with 404, or with an empty list",
);

pub(super) static ALL: &[&Rule] = &[&LIST, &NAME, &ORDER, &NEVER_NULL, &AT_MOST, &NONE, &LAST, &PAGES, &UNKNOWN];

pub(super) async fn run(bench: &Bench) {
    let base = format!("check-{}", nonce());
    // The case makes the two orders differ.
    let ours: Vec<String> = ["A", "b", "C", "d", "E"].map(|end| format!("{base}-{end}")).into();
    let pushed = async {
        let config = bench.config().await?;
        for tag in &ours {
            bench.publish(&Document::image(Algorithm::Sha256, &config, json!({})), tag).await?;
        }
        Ok(())
    };
    let pushed: Result<(), Fall> = pushed.await;
    let path = format!("/v2/{}/tags/list", bench.name);
    let mut listed = Listing::default();
    bench
        .check(&LIST, async {
            pushed.clone()?;
            listed = follow(bench, &path).await;
            if listed.pages.len() > 1 {
                bench.differs("it does not follow `Link`, and misses what is on the next page");
            }
            listed.read()?;
            let missing = ours.iter().filter(|tag| !listed.tags.contains(tag)).count();
            ensure(missing == 0, || format!("{missing} of {} tags are not in the list", ours.len()))
        })
        .await;
    let listed = &listed;
    let readable = || listed.read().or_else(|_| super::rule::blocked(&LIST));
    bench
        .check(&NAME, async {
            pushed.clone()?;
            readable()?;
            listed.pages.iter().zip(&listed.bodies).try_for_each(|(page, body)| {
                seen_in(page, ensure(body["name"] == bench.name.as_str(), || format!("`name` is {}", body["name"])))
            })
        })
        .await;
    bench
        .check(&ORDER, async {
            pushed.clone()?;
            readable()?;
            let by_letters = listed.tags.is_sorted_by_key(|tag| tag.to_lowercase());
            let verdict = ensure(listed.tags.is_sorted() || by_letters, || "the tags are in no order".to_owned());
            listed.pages.last().map_or(Ok(()), |page| seen_in(page, verdict))
        })
        .await;
    bench
        .check(&NEVER_NULL, async {
            let got = bench.get(&format!("{path}?last={}", "z".repeat(128))).await;
            let body = got.json::<Value>().or_else(|why| broken(format!("{}: {why}", said(&got))))?;
            ensure(body["tags"].is_array(), || format!("`tags` is {}", body["tags"]))
        })
        .await;
    bench
        .check(&AT_MOST, async {
            pushed.clone()?;
            let page = Listing::of(bench.get(&format!("{path}?n=2")).await);
            page.read()?;
            ensure(page.tags.len() <= 2, || format!("`n=2` lists {} tags", page.tags.len()))?;
            ensure(!page.tags.is_empty(), || "`n=2` lists no tag".to_owned())
        })
        .await;
    bench
        .check(&NONE, async {
            pushed.clone()?;
            let got = bench.get(&format!("{path}?n=0")).await;
            expect(&got, StatusCode::OK)?;
            let body = got.json::<Value>().or_else(broken)?;
            let count = body["tags"].as_array().map_or(0, Vec::len);
            ensure(count == 0, || format!("`n=0` lists {count} tags"))?;
            ensure(got.header("link").is_none(), || "`n=0` has a `Link`".to_owned())
        })
        .await;
    bench
        .check(&LAST, async {
            pushed.clone()?;
            let after = &ours[2];
            let list = follow(bench, &format!("{path}?last={after}")).await;
            list.read()?;
            list.without(after, || format!("`{after}` is listed after itself"))?;
            // In both orders C comes before d and E, and after A and b only in one of them.
            list.without(&ours[0], || format!("`{}` is listed after `{after}`", ours[0]))?;
            ensure(list.tags.contains(&ours[3]) || list.repeats, || {
                format!("`{}` is not listed after `{after}`", ours[3])
            })
        })
        .await;
    bench
        .check(&PAGES, async {
            pushed.clone()?;
            let n = listed.tags.len().div_ceil(3).max(2);
            let list = follow(bench, &format!("{path}?n={n}")).await;
            list.read()?;
            ensure(!list.repeats, || "`Link` leads to a page that came before".to_owned())?;
            let mut seen = BTreeSet::new();
            ensure(list.tags.iter().all(|tag| seen.insert(tag)), || "a tag is listed twice".to_owned())?;
            let missing = ours.iter().filter(|tag| !seen.contains(tag)).count();
            ensure(missing == 0, || format!("{missing} of {} tags are on no page", ours.len()))
        })
        .await;
    bench
        .check(&UNKNOWN, async {
            let got = bench.elsewhere(&format!("/v2/{}/{}/tags/list", bench.name, nonce())).await;
            expect_any(&got, &[StatusCode::NOT_FOUND, StatusCode::OK])
        })
        .await;
    bench.clean().await;
}

/// A list of tags, page by page.
#[derive(Default)]
pub(super) struct Listing {
    pages: Vec<Answer>,
    bodies: Vec<Value>,
    pub(super) tags: Vec<String>,
    repeats: bool,
}

impl Listing {
    fn of(answer: Answer) -> Self {
        let mut listing = Self::default();
        listing.add(answer);
        listing
    }

    fn add(&mut self, answer: Answer) {
        let body: Value = answer.json().unwrap_or_default();
        let tags = body["tags"].as_array().into_iter().flatten();
        self.tags.extend(tags.filter_map(Value::as_str).map(str::to_owned));
        self.bodies.push(body);
        self.pages.push(answer);
    }

    /// Wants a tag not to be listed; on which page it is shows otherwise.
    pub(super) fn without(&self, tag: &str, why: impl FnOnce() -> String) -> Result<(), Fall> {
        let lists = |body: &Value| body["tags"].as_array().is_some_and(|tags| tags.iter().any(|listed| listed == tag));
        let found = self.pages.iter().zip(&self.bodies).find(|(_, body)| lists(body));
        found.map_or(Ok(()), |(page, _)| seen_in(page, broken(why())))
    }

    /// Says what cannot be read.
    fn read(&self) -> Result<(), Fall> {
        ensure(!self.pages.is_empty(), || "there is no list".to_owned())?;
        for (page, body) in self.pages.iter().zip(&self.bodies) {
            expect(page, StatusCode::OK)?;
            let has_list = body["tags"].is_array() || body["tags"].is_null();
            seen_in(page, ensure(has_list, || "the body has no list `tags`".to_owned()))?;
            seen_in(page, ensure(body.is_object(), || "the body is no JSON object".to_owned()))?;
        }
        Ok(())
    }
}

/// Reads a list with all its pages.
pub(super) async fn follow(bench: &Bench, target: &str) -> Listing {
    let mut listing = Listing::default();
    let (mut target, mut visited) = (target.to_owned(), BTreeSet::new());
    while visited.insert(below_host(&target).to_owned()) {
        let answer = bench.get(&target).await;
        let link = next(&answer);
        listing.add(answer);
        match link {
            Some(link) if visited.len() < MOST_PAGES => target = link,
            _ => return listing,
        }
    }
    listing.repeats = true;
    listing
}

/// How many pages of a list are read.
const MOST_PAGES: usize = 100;
