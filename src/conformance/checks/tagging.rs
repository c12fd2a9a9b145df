//! end-7b, and tags that move.

use http::{Method, StatusCode};
use serde_json::json;

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, said, succeeded};
use super::content::{Document, tag};
use super::rule::{Rule, Verdict, broken, ensure, unsupported};
use crate::model::Algorithm;

pub(super) static MOVES: Rule = Rule::new(
    "tag.moves",
    "end-7a",
    Level::Must,
    "Pushing Manifests",
    "a tag that another manifest is pushed under names that one from then on",
)
.unseen("it pushes no tag twice");
pub(super) static PARAMETERS: Rule = Rule::new(
    "tag.parameters",
    "end-7b",
    Level::Should,
    "Pushing Manifests",
    "tags that come as parameters of a manifest's push are confirmed in `OCI-Tag`, and only those name it then",
);
pub(super) static TEN: Rule =
    Rule::new("tag.ten-parameters", "end-7b", Level::Should, "Pushing Manifests", "ten tags may come with one push")
        .unseen("it sends two at most");

pub(super) static ALL: &[&Rule] = &[&MOVES, &PARAMETERS, &TEN];

pub(super) async fn run(bench: &Bench) {
    let config = bench.config().await;
    let image =
        || config.as_ref().map(|config| Document::image(Algorithm::Sha256, config, json!({}))).map_err(Clone::clone);
    bench
        .check(&MOVES, async {
            let (one, two, tag) = (image()?, image()?, tag("moves"));
            bench.publish(&one, &tag).await?;
            let again = bench.offer(&two, &tag).await;
            if again.status.is_some_and(|status| status.is_client_error()) {
                return unsupported(format!("tags cannot be moved: {}", said(&again)));
            }
            ensure(succeeded(&again), || said(&again))?;
            let got = bench.fetch(Method::GET, &tag).await;
            ensure(got.body != one.bytes, || "the tag still names the manifest from before".to_owned())?;
            ensure(succeeded(&got), || said(&got))
        })
        .await;
    for (rule, count) in [(&PARAMETERS, 2), (&TEN, 10)] {
        bench
            .check(rule, async {
                let document = image()?;
                tagged(bench, &document, count).await
            })
            .await;
    }
    bench.clean().await;
}

async fn tagged(bench: &Bench, document: &Document, count: usize) -> Verdict {
    let tags: Vec<String> = (0..count).map(|_| tag("parameter")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let put = bench.publish(document, &format!("{}?{}", document.digest, query.join("&"))).await?;
    let confirmed = confirmed(&put);
    if confirmed.is_empty() {
        return unsupported("no tag is confirmed in `OCI-Tag`");
    }
    for tag in &tags {
        ensure(confirmed.contains(tag), || {
            format!(
                "{} of {count} tags are confirmed in `OCI-Tag`",
                confirmed.iter().filter(|tag| tags.contains(tag)).count()
            )
        })?;
    }
    for tag in &tags {
        let got = bench.fetch(Method::GET, tag).await;
        if !got.is(StatusCode::OK) {
            return broken(format!("a tag that was confirmed: {}", said(&got)));
        }
    }
    Ok(())
}

/// Reads `OCI-Tag`: a header each, or a list.
fn confirmed(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
}
