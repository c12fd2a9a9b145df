//! end-12: what refers to a manifest.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use super::super::Level;
use super::bench::{Bench, expect, said, succeeded};
use super::content::{Blob, Document, IMAGE_CONFIG, INDEX};
use super::referrers_lists::{Listing, list};
use super::rule::{Fall, Rule, Verdict, blocked, broken, ensure, seen_in, unsupported};
use crate::model::{Algorithm, Digest};

const LISTING: &str = "Listing Referrers";
const PUSH: &str = "Pushing Manifests with Subject";

pub(super) static SUBJECT: Rule = Rule::new(
    "referrer.subject-header",
    "end-7a",
    Level::Must,
    PUSH,
    "the 201 to a manifest with a subject names the subject in `OCI-Subject`",
);
pub(super) static MISSING_SUBJECT: Rule = Rule::new(
    "referrer.missing-subject",
    "end-7a",
    Level::Must,
    PUSH,
    "a manifest whose subject is not there is taken",
);
pub(super) static LIST: Rule = Rule::new(
    "referrer.list",
    "end-12a",
    Level::Must,
    LISTING,
    "the referrers of a manifest are answered with 200, and every one is there, where it is cut with a `Link` to the rest",
);
pub(super) static CONTENT_TYPE: Rule = Rule::new(
    "referrer.content-type",
    "end-12a",
    Level::Must,
    LISTING,
    "`Content-Type` of a list of referrers is that of an image index",
);
pub(super) static FORM: Rule = Rule::new(
    "referrer.form",
    "end-12a",
    Level::Must,
    LISTING,
    "a list of referrers is an image index: `schemaVersion` 2, its media type, and descriptors with type, size and digest",
);
pub(super) static ARTIFACT_TYPE: Rule = Rule::new(
    "referrer.artifact-type",
    "end-12a",
    Level::Must,
    LISTING,
    "a referrer is listed with its artifact type, an image without one with the type of its config",
);
pub(super) static ANNOTATIONS: Rule =
    Rule::new("referrer.annotations", "end-12a", Level::Must, LISTING, "a referrer is listed with all its annotations")
        .unseen("it skips what it misses where the filter is not confirmed");
pub(super) static FILTER: Rule = Rule::new(
    "referrer.filter",
    "end-12b",
    Level::Should,
    LISTING,
    "a list filtered by `artifactType` has the referrers of that type, and no others once the filter is confirmed",
)
.unseen("it skips the filter where the answer is not filtered");
pub(super) static FILTERS_APPLIED: Rule = Rule::new(
    "referrer.filters-applied",
    "end-12b",
    Level::Must,
    LISTING,
    "a list that was filtered says so in `OCI-Filters-Applied`",
);
pub(super) static EMPTY_LIST: Rule = Rule::new(
    "referrer.empty",
    "end-12a",
    Level::Must,
    LISTING,
    "what nothing refers to has an empty list, and is not answered with 404",
);
pub(super) static MALFORMED: Rule = Rule::new(
    "referrer.malformed-digest",
    "end-12a",
    Level::Must,
    LISTING,
    "referrers of something that is no digest are answered with 400",
)
.unseen("it asks for no list in this way");
pub(super) static PAGES: Rule = Rule::new(
    "referrer.pages",
    "end-12a",
    Level::Must,
    LISTING,
    "a list of referrers that is cut leads with `Link` to other referrers, and there is an end",
)
.unseen("it does not follow `Link`");
pub(super) static CONCURRENT: Rule = Rule::new(
    "referrer.concurrent",
    "end-12a",
    Level::Must,
    LISTING,
    "referrers that are pushed at the same time are all listed",
)
.unseen("it pushes one thing at a time");
pub(super) static BACKFILL: Rule = Rule::new(
    "referrer.tag-schema",
    "end-12a",
    Level::Must,
    "Enabling the Referrers API",
    "a referrer that an older client has listed under the referrers tag is in the list, once",
)
.unseen("it pushes no referrers tag");

pub(super) static ALL: &[&Rule] = &[
    &SUBJECT,
    &MISSING_SUBJECT,
    &LIST,
    &CONTENT_TYPE,
    &FORM,
    &ARTIFACT_TYPE,
    &ANNOTATIONS,
    &FILTER,
    &FILTERS_APPLIED,
    &EMPTY_LIST,
    &MALFORMED,
    &PAGES,
    &CONCURRENT,
    &BACKFILL,
];

/// A subject that is there, and makes referrers of it.
struct Scene {
    config: Blob,
    subject: Document,
}

impl Scene {
    async fn set(bench: &Bench) -> Result<Self, Fall> {
        let config = bench.config().await?;
        let subject = Document::image(bench.algorithm(), &config, json!({}));
        bench.publish(&subject, &subject.digest.to_string()).await?;
        Ok(Self { config, subject })
    }

    /// Makes a referrer; `more` adds members.
    fn referrer(&self, more: Value) -> Document {
        let mut body = json!({ "subject": self.subject.descriptor() });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        Document::image(self.subject.digest.algorithm(), &self.config, body)
    }
}

/// What is checked for each algorithm.
pub(super) async fn by_digest(bench: &Bench) {
    let scene = Scene::set(bench).await;
    let scene = scene.as_ref().map_err(Clone::clone);
    let mut referrers = Vec::new();
    bench
        .check(&SUBJECT, async {
            let scene = scene.clone()?;
            let mut answers = Vec::new();
            for kind in ["signature", "sbom", "sbom"] {
                let referrer = scene.referrer(json!({ "artifactType": type_of(kind) }));
                answers.push(bench.publish(&referrer, &referrer.digest.to_string()).await?);
                referrers.push(referrer);
            }
            // Without the API nothing has to be said about the subject.
            list(bench, &scene.subject.digest, "").await?;
            let expected = scene.subject.digest.to_string();
            answers.iter().try_for_each(|answer| {
                let verdict = match answer.header("oci-subject") {
                    Some(named) if named == expected => Ok(()),
                    Some(named) => broken(format!("`OCI-Subject` is `{named}`, the subject is `{expected}`")),
                    None => broken("the answer has no `OCI-Subject`"),
                };
                seen_in(answer, verdict)
            })
        })
        .await;
    bench
        .check(&LIST, async {
            let scene = scene.clone()?;
            pushed(&referrers)?;
            let listing = list(bench, &scene.subject.digest, "").await?;
            if listing.pages.len() > 1 {
                bench.differs("it does not follow `Link`, and misses what is on the next page");
            }
            listing.read()?;
            let missing = referrers.iter().filter(|referrer| listing.find(&referrer.digest).is_none()).count();
            ensure(missing == 0, || format!("{missing} of {} referrers are not listed", referrers.len()))
        })
        .await;
    bench.clean().await;
}

/// What has nothing to do with the algorithm.
pub(super) async fn run(bench: &Bench) {
    let scene = Scene::set(bench).await;
    let scene = scene.as_ref().map_err(Clone::clone);
    bench
        .check(&MISSING_SUBJECT, async {
            let scene = scene.clone()?;
            let absent = Document::image(Algorithm::Sha256, &scene.config, json!({}));
            let referrer = Document::image(Algorithm::Sha256, &scene.config, json!({ "subject": absent.descriptor() }));
            let answer = bench.offer(&referrer, &referrer.digest.to_string()).await;
            ensure(succeeded(&answer), || said(&answer))
        })
        .await;
    described(bench, scene.clone()).await;
    filtered(bench, scene.clone()).await;
    bench
        .check(&EMPTY_LIST, async {
            let absent = Blob::random(Algorithm::Sha256, 8).digest;
            let listing = list(bench, &absent, "").await;
            let seen = bench.last();
            if let (Err(_), Ok(scene)) = (&listing, &scene) {
                // Whoever has a list for something else has the API.
                list(bench, &scene.subject.digest, "").await?;
                return Err(Fall::Broken("what nothing refers to is answered with 404".to_owned(), seen));
            }
            let listing = listing?;
            if listing.bodies.iter().any(|body| body.get("manifests").is_some_and(Value::is_null)) {
                bench.differs("it takes `null` for an empty list");
                return broken("`manifests` is `null`, not an empty list");
            }
            listing.read()?;
            ensure(listing.descriptors().next().is_none(), || "something is listed".to_owned())
        })
        .await;
    bench
        .check(&MALFORMED, async {
            let answer = bench.get(&format!("/v2/{}/referrers/sha256:malformed", bench.name)).await;
            if answer.is(StatusCode::NOT_FOUND) {
                return unsupported("there is no referrers API: it is answered with 404");
            }
            expect(&answer, StatusCode::BAD_REQUEST)
        })
        .await;
    bench.check(&CONCURRENT, concurrent(bench)).await;
    bench.check(&BACKFILL, backfilled(bench)).await;
    bench.clean().await;
}

/// What a list says of the referrers that it has.
async fn described(bench: &Bench, scene: Result<&Scene, Fall>) {
    let mut listing = Listing::default();
    let mut referrers = Vec::new();
    let made = async {
        let scene = scene?;
        let kinds = [
            (
                json!({ "artifactType": type_of("signature"), "annotations": { "com.example.a": "1", "b": "ä" } }),
                Some(type_of("signature")),
            ),
            (json!({}), Some(IMAGE_CONFIG.to_owned())),
        ];
        for (more, expected) in kinds {
            referrers.push((scene.referrer(more), expected));
        }
        let index = json!({ "subject": scene.subject.descriptor() });
        referrers.push((Document::index(Algorithm::Sha256, &[], index), None));
        for (referrer, _) in &referrers {
            bench.publish(referrer, &referrer.digest.to_string()).await?;
        }
        listing = list(bench, &scene.subject.digest, "").await?;
        listing.read().or_else(|_| blocked(&LIST))
    };
    let made: Verdict = made.await;
    bench
        .check(&CONTENT_TYPE, async {
            made.clone()?;
            listing.pages.iter().try_for_each(|page| {
                let found = page.header("content-type").unwrap_or_default();
                seen_in(page, ensure(found == INDEX, || format!("`Content-Type` is `{found}`")))
            })
        })
        .await;
    bench
        .check(&FORM, async {
            made.clone()?;
            for (page, body) in listing.pages.iter().zip(&listing.bodies) {
                let has_version = body["schemaVersion"] == 2;
                seen_in(page, ensure(has_version, || format!("`schemaVersion` is {}", body["schemaVersion"])))?;
                seen_in(page, ensure(body["mediaType"] == INDEX, || format!("`mediaType` is {}", body["mediaType"])))?;
            }
            for (referrer, _) in &referrers {
                let Some(found) = listing.find(&referrer.digest) else { continue };
                for key in ["mediaType", "size"] {
                    let expected = &referrer.descriptor()[key];
                    let verdict =
                        ensure(found[key] == *expected, || format!("`{key}` is {}, not {expected}", found[key]));
                    listing.seen(Some(&referrer.digest), verdict)?;
                }
            }
            Ok(())
        })
        .await;
    bench
        .check(&ARTIFACT_TYPE, async {
            made.clone()?;
            referrers.iter().try_for_each(|(referrer, expected)| {
                let Some(found) = listing.find(&referrer.digest) else { return Ok(()) };
                let verdict = ensure(found["artifactType"].as_str() == expected.as_deref(), || {
                    format!("`artifactType` is {}, not {expected:?}", found["artifactType"])
                });
                listing.seen(Some(&referrer.digest), verdict)
            })
        })
        .await;
    bench
        .check(&ANNOTATIONS, async {
            made.clone()?;
            referrers.iter().try_for_each(|(referrer, _)| {
                let Some(found) = listing.find(&referrer.digest) else { return Ok(()) };
                let verdict = ensure(found["annotations"] == *referrer.annotations(), || {
                    format!("`annotations` are {}, not {}", found["annotations"], referrer.annotations())
                });
                listing.seen(Some(&referrer.digest), verdict)
            })
        })
        .await;
    bench
        .check(&PAGES, async {
            made.clone()?;
            let verdict = ensure(!listing.repeats, || "`Link` leads to a page that came before".to_owned());
            listing.seen(None, verdict)?;
            let mut seen = BTreeSet::new();
            let digests = listing.descriptors().map(|descriptor| descriptor["digest"].as_str().unwrap_or_default());
            let once = digests.into_iter().all(|digest| seen.insert(digest));
            listing.seen(None, ensure(once, || "a referrer is listed twice".to_owned()))
        })
        .await;
}

async fn filtered(bench: &Bench, scene: Result<&Scene, Fall>) {
    let mut listing = Listing::default();
    let mut kept = None;
    let made = async {
        let scene = scene?;
        for kind in ["wanted", "other"] {
            let referrer = scene.referrer(json!({ "artifactType": type_of(kind) }));
            bench.publish(&referrer, &referrer.digest.to_string()).await?;
            kept.get_or_insert(referrer.digest);
        }
        listing = list(bench, &scene.subject.digest, &format!("?artifactType={}", type_of("wanted"))).await?;
        Ok(())
    };
    let made: Verdict = made.await;
    let said_so = listing.pages.iter().all(|page| page.header("oci-filters-applied").is_some_and(says_type));
    let others = listing.descriptors().filter(|found| found["artifactType"] != type_of("wanted").as_str()).count();
    bench
        .check(&FILTER, async {
            made.clone()?;
            listing.read()?;
            let found = kept.is_some_and(|digest| listing.find(&digest).is_some());
            let missing = ensure(found, || "the referrer of that type is not in the filtered list".to_owned());
            listing.seen(None, missing)?;
            match (others, said_so) {
                (0, _) => Ok(()),
                (_, false) => unsupported("the filter is ignored"),
                (others, true) => {
                    let why = format!("{others} referrers of other types are in a list that is said to be filtered");
                    listing.seen(None, broken(why))
                }
            }
        })
        .await;
    bench
        .check(&FILTERS_APPLIED, async {
            made.clone()?;
            listing.read().or_else(|_| blocked(&FILTER))?;
            match (said_so, others) {
                (true, _) => Ok(()),
                (false, 0) => {
                    listing.seen(None, broken("the list is filtered, and `OCI-Filters-Applied` does not say so"))
                }
                (false, _) => unsupported("the filter is ignored"),
            }
        })
        .await;
}

fn says_type(value: &str) -> bool {
    value.split(',').any(|filter| filter.trim() == "artifactType")
}

async fn concurrent(bench: &Bench) -> Verdict {
    let scene = Scene::set(bench).await?;
    let referrers: Vec<Document> =
        (0..4).map(|_| scene.referrer(json!({ "artifactType": type_of("crowd") }))).collect();
    let pushes = referrers.iter().map(async |referrer| bench.publish(referrer, &referrer.digest.to_string()).await);
    for pushed in join_all(pushes).await {
        pushed?;
    }
    let listing = list(bench, &scene.subject.digest, "").await?;
    listing.read().or_else(|_| blocked(&LIST))?;
    let missing = referrers.iter().filter(|referrer| listing.find(&referrer.digest).is_none()).count();
    ensure(missing == 0, || {
        format!("{missing} of {} referrers that were pushed at once are not listed", referrers.len())
    })
}

/// Does what a client does that has not heard of the API: it keeps a list under a tag.
async fn backfilled(bench: &Bench) -> Verdict {
    let scene = Scene::set(bench).await?;
    let referrer = scene.referrer(json!({ "artifactType": type_of("older") }));
    bench.publish(&referrer, &referrer.digest.to_string()).await?;
    let mut descriptor = referrer.descriptor();
    descriptor["artifactType"] = type_of("older").into();
    descriptor["annotations"] = referrer.annotations().clone();
    let index = Document::index(Algorithm::Sha256, &[descriptor], json!({}));
    bench.publish(&index, &referrers_tag(&scene.subject.digest)).await?;
    let listing = list(bench, &scene.subject.digest, "").await?;
    listing.read().or_else(|_| blocked(&LIST))?;
    match listing.count(&referrer.digest) {
        1 => Ok(()),
        0 => broken("a referrer under the referrers tag is not listed"),
        count => broken(format!("a referrer under the referrers tag is listed {count} times")),
    }
}

/// The tag under which clients keep the referrers of a digest where there is no API.
fn referrers_tag(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), &digest.hex()[..64])
}

fn pushed(referrers: &[Document]) -> Verdict {
    if referrers.is_empty() { blocked(&super::manifests::PUT_DIGEST) } else { Ok(()) }
}

fn type_of(kind: &str) -> String {
    format!("application/vnd.example.{kind}.v1")
}
