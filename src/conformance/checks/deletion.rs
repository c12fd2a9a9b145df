//! end-9 and end-10: what goes, and what stays.

use http::{Method, StatusCode};
use serde_json::json;

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, expect, said, succeeded};
use super::content::{Blob, Document, at, tag};
use super::referrers_lists::list;
use super::rule::{Fall, Rule, Verdict, blocked, ensure, unsupported};
use super::tags::follow;
use crate::model::Algorithm;

const TAGS: &str = "Deleting tags";
const MANIFESTS: &str = "Deleting Manifests";
const BLOBS: &str = "Deleting Blobs";

pub(super) static TAG: Rule = Rule::new(
    "delete.tag",
    "end-9",
    Level::Must,
    TAGS,
    "a tag is deleted with 202, or with 400 or 405 where tags stay",
);
pub(super) static TAG_GONE: Rule = Rule::new(
    "delete.tag-gone",
    "end-9",
    Level::Must,
    TAGS,
    "a deleted tag names nothing and is in no list, from the answer on",
);
pub(super) static TAG_ALONE: Rule = Rule::new(
    "delete.tag-alone",
    "end-9",
    Level::Must,
    TAGS,
    "a tag is deleted without the manifest that it named, and without the other tags of that",
)
.unseen("it does not look for the manifest");
pub(super) static MANIFEST: Rule = Rule::new(
    "delete.manifest",
    "end-9",
    Level::Must,
    MANIFESTS,
    "a manifest is deleted with 202, or with 400 or 405 where manifests stay",
);
pub(super) static MANIFEST_GONE: Rule = Rule::new(
    "delete.manifest-gone",
    "end-9",
    Level::Must,
    MANIFESTS,
    "a deleted manifest is answered with 404, from the answer on",
);
pub(super) static MANIFEST_TAGS: Rule = Rule::new(
    "delete.manifest-tags",
    "end-9",
    Level::Must,
    MANIFESTS,
    "the tags of a deleted manifest are answered with 404, and are in no list",
)
.unseen("it deletes the tags before");
pub(super) static MANIFEST_TWICE: Rule = Rule::new(
    "delete.manifest-twice",
    "end-9",
    Level::Should,
    MANIFESTS,
    "a manifest that is not there is deleted with 404",
)
.unseen("it takes 202 as well");
pub(super) static REFERRER: Rule = Rule::new(
    "delete.referrer",
    "end-9",
    Level::Must,
    MANIFESTS,
    "a deleted manifest refers to nothing: it is in no list of referrers",
)
.unseen("it does not look at the lists after it has deleted");
pub(super) static BLOB: Rule = Rule::new(
    "delete.blob",
    "end-10",
    Level::Must,
    BLOBS,
    "a blob is deleted with 202, or with 400 or 405 where blobs stay",
);
pub(super) static BLOB_GONE: Rule = Rule::new(
    "delete.blob-gone",
    "end-10",
    Level::Must,
    BLOBS,
    "a deleted blob is answered with 404, from the answer on",
);
pub(super) static BLOB_TWICE: Rule =
    Rule::new("delete.blob-twice", "end-10", Level::Must, BLOBS, "a blob that is not there is deleted with 404")
        .unseen("it takes 202 as well");
pub(super) static BLOB_ELSEWHERE: Rule = Rule::new(
    "delete.blob-elsewhere",
    "end-10",
    Level::Must,
    BLOBS,
    "a blob deleted from one repository stays in another",
)
.unseen("it does not look into the other repository");

pub(super) static ALL: &[&Rule] = &[
    &TAG,
    &TAG_GONE,
    &TAG_ALONE,
    &MANIFEST,
    &MANIFEST_GONE,
    &MANIFEST_TAGS,
    &MANIFEST_TWICE,
    &REFERRER,
    &BLOB,
    &BLOB_GONE,
    &BLOB_TWICE,
    &BLOB_ELSEWHERE,
];

pub(super) async fn run(bench: &Bench) {
    tags(bench).await;
    manifests(bench).await;
    blobs(bench).await;
    bench.clean().await;
}

/// Deletes, and says where that is not to be had.
async fn delete(bench: &Bench, target: &str) -> Result<Answer, Fall> {
    let answer = bench.bare(Method::DELETE, target).await;
    match answer.status {
        Some(StatusCode::METHOD_NOT_ALLOWED) => unsupported("nothing of this kind can be deleted (405)"),
        Some(StatusCode::BAD_REQUEST) => unsupported(REFUSED),
        _ => Ok(answer),
    }
}

async fn tags(bench: &Bench) {
    let (one, other) = (tag("delete"), tag("stays"));
    let made = async {
        let document = Document::image(Algorithm::Sha256, &bench.config().await?, json!({}));
        bench.publish(&document, &one).await?;
        bench.publish(&document, &other).await?;
        Ok(document)
    };
    let made: Result<Document, Fall> = made.await;
    let deleted = match &made {
        Ok(_) => delete(bench, &at(&bench.name, &one)).await,
        Err(fall) => Err(fall.clone()),
    };
    bench.check(&TAG, async { expect(&deleted.clone()?, StatusCode::ACCEPTED) }).await;
    let gone = || deleted_by(&deleted, &TAG);
    bench
        .check(&TAG_GONE, async {
            gone()?;
            no_tag(bench, &one).await
        })
        .await;
    bench
        .check(&TAG_ALONE, async {
            gone()?;
            let document = made.clone()?;
            for reference in [document.digest.to_string(), other.clone()] {
                let got = bench.fetch(Method::GET, &reference).await;
                ensure(got.is(StatusCode::OK), || format!("after a tag was deleted, its manifest: {}", said(&got)))?;
            }
            Ok(())
        })
        .await;
}

async fn no_tag(bench: &Bench, tag: &str) -> Verdict {
    let got = bench.fetch(Method::GET, tag).await;
    ensure(!succeeded(&got), || format!("a tag that should be gone: {}", said(&got)))?;
    let listed = follow(bench, &format!("/v2/{}/tags/list", bench.name)).await;
    listed.without(tag, || "a tag that should be gone is listed".to_owned())
}

async fn manifests(bench: &Bench) {
    let (tag, subject) = (tag("manifest"), Blob::random(Algorithm::Sha256, 8));
    let made = async {
        let config = bench.config().await?;
        let mut subject = subject.descriptor(super::content::IMAGE);
        subject["size"] = 8.into();
        let document = Document::image(Algorithm::Sha256, &config, json!({ "subject": subject }));
        let alone = Document::image(Algorithm::Sha256, &config, json!({}));
        // A registry that wants subjects to be there still has manifests to delete.
        if !succeeded(&bench.offer(&document, &tag).await) {
            bench.publish(&alone, &tag).await?;
            return Ok((alone, false));
        }
        let listed = list(bench, &self::digest_of(&subject_of(&document)), "").await;
        let refers = listed.is_ok_and(|listed| listed.find(&document.digest).is_some());
        Ok((document, refers))
    };
    let made: Result<(Document, bool), Fall> = made.await;
    let path = made.as_ref().map(|(document, _)| document.path(&bench.name)).map_err(Clone::clone);
    let deleted = match &path {
        Ok(path) => delete(bench, path).await,
        Err(fall) => Err(fall.clone()),
    };
    bench.check(&MANIFEST, async { expect(&deleted.clone()?, StatusCode::ACCEPTED) }).await;
    let gone = || deleted_by(&deleted, &MANIFEST);
    bench
        .check(&MANIFEST_GONE, async {
            gone()?;
            let (document, _) = made.clone()?;
            let got = bench.fetch(Method::GET, &document.digest.to_string()).await;
            ensure(!succeeded(&got), || format!("a manifest that should be gone: {}", said(&got)))
        })
        .await;
    bench
        .check(&MANIFEST_TAGS, async {
            gone()?;
            no_tag(bench, &tag).await
        })
        .await;
    bench
        .check(&REFERRER, async {
            gone()?;
            let (document, refers) = made.clone()?;
            if !refers {
                return unsupported("there is no list of referrers that it was in");
            }
            // A list that is empty now may be answered with 404, which another check finds wrong.
            let Ok(listed) = list(bench, &digest_of(&subject_of(&document)), "").await else { return Ok(()) };
            ensure(listed.find(&document.digest).is_none(), || {
                "a manifest that should be gone is listed as a referrer".to_owned()
            })
        })
        .await;
    bench
        .check(&MANIFEST_TWICE, async {
            gone()?;
            let again = bench.bare(Method::DELETE, &path.clone()?).await;
            expect(&again, StatusCode::NOT_FOUND)
        })
        .await;
}

fn subject_of(document: &Document) -> String {
    document.body["subject"]["digest"].as_str().unwrap_or_default().to_owned()
}

fn digest_of(text: &str) -> crate::model::Digest {
    text.parse().expect("a descriptor that was made here has a digest")
}

async fn blobs(bench: &Bench) {
    let blob = Blob::random(Algorithm::Sha256, 64);
    let path = blob.path(&bench.name);
    let made = async {
        bench.push_to(&bench.other, &blob).await?;
        bench.push(&blob).await
    };
    let made: Verdict = made.await;
    let deleted = match &made {
        Ok(()) => delete(bench, &path).await,
        Err(fall) => Err(fall.clone()),
    };
    let refused = matches!(&deleted, Err(Fall::Unsupported(why)) if why == REFUSED);
    bench
        .check(&BLOB, async {
            if refused {
                bench.differs("it takes 405 alone for a refusal; the specification allows 400 as well");
            }
            expect(&deleted.clone()?, StatusCode::ACCEPTED)
        })
        .await;
    let gone = || deleted_by(&deleted, &BLOB);
    bench
        .check(&BLOB_GONE, async {
            gone()?;
            let got = bench.get(&path).await;
            ensure(!succeeded(&got), || format!("a blob that should be gone: {}", said(&got)))
        })
        .await;
    bench
        .check(&BLOB_ELSEWHERE, async {
            gone()?;
            let got = bench.elsewhere(&blob.path(&bench.other)).await;
            ensure(succeeded(&got), || format!("the blob of the other repository: {}", said(&got)))
        })
        .await;
    bench
        .check(&BLOB_TWICE, async {
            gone()?;
            expect(&bench.bare(Method::DELETE, &path).await, StatusCode::NOT_FOUND)
        })
        .await;
}

fn deleted_by(deleted: &Result<Answer, Fall>, rule: &Rule) -> Verdict {
    match deleted {
        Ok(answer) if succeeded(answer) => Ok(()),
        Ok(_) => blocked(rule),
        Err(fall) => Err(fall.clone()),
    }
}

/// What a 400 to a deletion means.
const REFUSED: &str = "nothing of this kind can be deleted (400)";
