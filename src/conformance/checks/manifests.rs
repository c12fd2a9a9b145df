//! end-3 and end-7: manifests, pushed and pulled.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, StatusCode};
use serde_json::json;

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, expect, expect_any, expect_bytes, said, succeeded};
use super::content::{Blob, Document, EMPTY, IMAGE, IMAGE_CONFIG, at, nonce, tag};
use super::rule::{Fall, Rule, Verdict, broken, ensure, seen_in, unsupported};
use crate::model::{Algorithm, Digest};

const PULL: &str = "Pulling manifests";
const PUSH: &str = "Pushing Manifests";
const EXISTS: &str = "Checking if content exists in the registry";

pub(super) static PUT_TAG: Rule =
    Rule::new("manifest.put-tag", "end-7a", Level::Must, PUSH, "a manifest pushed by a tag is answered with 201");
pub(super) static PUT_DIGEST: Rule = Rule::new(
    "manifest.put-digest",
    "end-7a",
    Level::Must,
    PUSH,
    "a manifest pushed by its digest is answered with 201",
);
pub(super) static LOCATION: Rule =
    Rule::new("manifest.location", "end-7a", Level::Must, PUSH, "the `Location` of the 201 leads to the manifest");
pub(super) static PUT_DIGEST_HEADER: Rule = Rule::new(
    "manifest.put-digest-header",
    "end-7a",
    Level::Must,
    PUSH,
    "`Docker-Content-Digest` of the 201 is the digest of the manifest, where it is there",
);
pub(super) static GET_TAG: Rule = Rule::new(
    "manifest.get-tag",
    "end-3",
    Level::Must,
    PULL,
    "a manifest asked for by its tag is answered with 200 and exactly the bytes that were pushed",
);
pub(super) static GET_DIGEST: Rule = Rule::new(
    "manifest.get-digest",
    "end-3",
    Level::Must,
    PULL,
    "a manifest asked for by its digest is answered with 200 and exactly the bytes that were pushed",
);
pub(super) static CONTENT_TYPE: Rule = Rule::new(
    "manifest.content-type",
    "end-3",
    Level::Must,
    PULL,
    "`Content-Type` of a manifest is the media type that it was pushed with, without parameters",
);
pub(super) static DIGEST_HEADER: Rule = Rule::new(
    "manifest.digest-header",
    "end-3",
    Level::Must,
    PULL,
    "`GET` of a manifest carries `Docker-Content-Digest`, a digest of the manifest",
)
.unseen("it asks for the header only where its settings say so");
pub(super) static HEAD: Rule = Rule::new(
    "manifest.head",
    "end-3",
    Level::Must,
    EXISTS,
    "`HEAD` of a manifest is answered with 200 and the type, the length and the digest of the manifest",
);
pub(super) static MISSING: Rule = Rule::new(
    "manifest.missing",
    "end-3",
    Level::Must,
    PULL,
    "a manifest that is not there is answered with 404, by tag and by digest",
);
pub(super) static HEAD_MISSING: Rule = Rule::new(
    "manifest.head-missing",
    "end-3",
    Level::Must,
    EXISTS,
    "`HEAD` of a manifest that was never there is answered with 404",
)
.unseen("it asks only for what it has deleted");
pub(super) static GET_MALFORMED: Rule = Rule::new(
    "manifest.get-malformed-digest",
    "end-3",
    Level::Should,
    PULL,
    "a manifest asked for by something that is no digest is answered with 400 or 404",
);
pub(super) static MISMATCH: Rule = Rule::new(
    "manifest.digest-mismatch",
    "end-7a",
    Level::Must,
    PUSH,
    "a manifest pushed under a digest that is not its own is answered with 400",
);
pub(super) static MALFORMED: Rule = Rule::new(
    "manifest.malformed-digest",
    "end-7a",
    Level::Should,
    PUSH,
    "a manifest pushed under something that is no digest is answered with 400",
);
pub(super) static MEDIA_TYPE: Rule = Rule::new(
    "manifest.media-type",
    "end-7a",
    Level::May,
    PUSH,
    "a manifest whose `mediaType` is not its `Content-Type` is refused, or served as what it says that it is",
)
.unseen("it pushes no such manifest");
pub(super) static PARAMETERS: Rule = Rule::new(
    "manifest.content-type-parameters",
    "end-7a",
    Level::Should,
    PUSH,
    "parameters of the `Content-Type` that a manifest is pushed with are ignored",
)
.unseen("it sends none");
pub(super) static INDEX: Rule =
    Rule::new("manifest.index", "end-7a", Level::Must, PUSH, "an index is taken and comes back as an index");
pub(super) static ARTIFACT: Rule = Rule::new(
    "manifest.artifact",
    "end-7a",
    Level::Must,
    PUSH,
    "an artifact that is no image, with members that nobody knows, is taken and comes back as it was pushed",
);
pub(super) static LARGE: Rule =
    Rule::new("manifest.large", "end-7a", Level::Should, PUSH, "a manifest of 4 megabytes is taken");
pub(super) static TOO_LARGE: Rule =
    Rule::new("manifest.too-large", "end-7a", Level::Should, PUSH, "a manifest that is too large is answered with 413")
        .unseen("it pushes none that is too large");

pub(super) static ALL: &[&Rule] = &[
    &PUT_TAG,
    &PUT_DIGEST,
    &LOCATION,
    &PUT_DIGEST_HEADER,
    &GET_TAG,
    &GET_DIGEST,
    &CONTENT_TYPE,
    &DIGEST_HEADER,
    &HEAD,
    &MISSING,
    &HEAD_MISSING,
    &GET_MALFORMED,
    &MISMATCH,
    &MALFORMED,
    &MEDIA_TYPE,
    &PARAMETERS,
    &INDEX,
    &ARTIFACT,
    &LARGE,
    &TOO_LARGE,
];

/// What is checked for each algorithm.
pub(super) async fn by_digest(bench: &Bench) {
    let algorithm = bench.algorithm();
    let config = bench.config().await;
    let document = config.as_ref().map(|config| Document::image(algorithm, config, json!({})));
    let document = document.map_err(Clone::clone);
    let mut put = Answer::default();
    bench
        .check(&PUT_DIGEST, async {
            let document = document.clone()?;
            put = bench.offer(&document, &document.digest.to_string()).await;
            expect(&put, StatusCode::CREATED)
        })
        .await;
    bench
        .check(&GET_DIGEST, async {
            let document = document.clone()?;
            pushed(&put, &PUT_DIGEST)?;
            let got = bench.fetch(Method::GET, &document.digest.to_string()).await;
            expect(&got, StatusCode::OK)?;
            expect_bytes(&got, &document.bytes)
        })
        .await;
    bench
        .check(&MISMATCH, async {
            let config = config.as_ref().map_err(Clone::clone)?;
            let (document, other) = (Document::image(algorithm, config, json!({})), Blob::random(algorithm, 8));
            let target = at(&bench.name, &other.digest.to_string());
            bench.litter(&document.path(&bench.name));
            let answer = bench.put(&target, document.media_type, &document.bytes).await;
            expect(&answer, StatusCode::BAD_REQUEST)
        })
        .await;
    bench.clean().await;
}

/// What has nothing to do with the algorithm.
pub(super) async fn run(bench: &Bench) {
    let config = bench.config().await;
    let image =
        |more| config.as_ref().map(|config| Document::image(Algorithm::Sha256, config, more)).map_err(Clone::clone);
    pulled(bench, image(json!({}))).await;
    absent(bench).await;
    bench
        .check(&MALFORMED, async {
            let document = image(json!({}))?;
            bench.litter(&document.path(&bench.name));
            let target = at(&bench.name, "sha256:malformed");
            let answer = bench.put(&target, document.media_type, &document.bytes).await;
            expect(&answer, StatusCode::BAD_REQUEST)
        })
        .await;
    bench.check(&MEDIA_TYPE, mistyped(bench, image(json!({})))).await;
    bench.check(&PARAMETERS, parameters(bench, image(json!({})))).await;
    bench
        .check(&INDEX, async {
            let child = image(json!({}))?;
            bench.publish(&child, &child.digest.to_string()).await?;
            let more = json!({ "annotations": { "com.example.of": "one" } });
            comes_back(bench, &Document::index(Algorithm::Sha256, &[child.descriptor()], more)).await
        })
        .await;
    bench
        .check(&ARTIFACT, async {
            let config = config.as_ref().map_err(Clone::clone)?;
            let artifact = json!({
                "artifactType": "application/vnd.example.check.v1", "config": config.descriptor(EMPTY),
                "layers": [config.descriptor("application/vnd.example.data")], "com.example.unknown": { "a": [1, null] },
            });
            comes_back(bench, &image(artifact)?).await
        })
        .await;
    sizes(bench).await;
    bench.clean().await;
}

/// A manifest by its tag, in every answer that speaks of it.
async fn pulled(bench: &Bench, document: Result<Document, Fall>) {
    let tag = tag("pull");
    let mut put = Answer::default();
    bench
        .check(&PUT_TAG, async {
            put = bench.offer(&document.clone()?, &tag).await;
            expect(&put, StatusCode::CREATED)
        })
        .await;
    let (mut got, mut head) = (Answer::default(), Answer::default());
    if succeeded(&put) {
        got = bench.fetch(Method::GET, &tag).await;
        head = bench.fetch(Method::HEAD, &tag).await;
    }
    let ready = || {
        let document = document.clone()?;
        pushed(&put, &PUT_TAG).map(|()| document)
    };
    bench
        .check(&LOCATION, async {
            let document = ready()?;
            let place = seen_in(&put, put.place().or_else(broken))?;
            // Some registries have a manifest for those alone who say that they can read it.
            let asking = || bench.request(Method::GET, &place).header(ACCEPT, document.media_type);
            let got = bench.ask(asking).await;
            ensure(got.is(StatusCode::OK), || format!("`Location` leads to {}", said(&got)))?;
            ensure(got.body.len() == document.bytes.len(), || "`Location` leads to something else".to_owned())
        })
        .await;
    bench
        .check(&PUT_DIGEST_HEADER, async {
            let document = ready()?;
            put.digest().map_or(Ok(()), |text| seen_in(&put, names(text, &document)))
        })
        .await;
    bench
        .check(&GET_TAG, async {
            let document = ready()?;
            expect(&got, StatusCode::OK)?;
            expect_bytes(&got, &document.bytes)
        })
        .await;
    bench
        .check(&CONTENT_TYPE, async {
            let document = ready()?;
            typed(&got, document.media_type)
        })
        .await;
    bench
        .check(&DIGEST_HEADER, async {
            let document = ready()?;
            let verdict = match got.digest() {
                Some(text) => names(text, &document),
                None => broken("the answer to GET has no `Docker-Content-Digest`"),
            };
            seen_in(&got, verdict)
        })
        .await;
    bench
        .check(&HEAD, async {
            let document = ready()?;
            expect(&head, StatusCode::OK)?;
            typed(&head, document.media_type)?;
            let length = document.bytes.len().to_string();
            let verdict = ensure(head.header("content-length") == Some(&*length), || {
                format!("`Content-Length` is {:?}, the manifest has {length} bytes", head.header("content-length"))
            });
            seen_in(&head, verdict)?;
            let named = || broken("HEAD has no `Docker-Content-Digest`");
            seen_in(&head, head.digest().map_or_else(named, |text| names(text, &document)))
        })
        .await;
}

async fn absent(bench: &Bench) {
    let digest = Blob::random(Algorithm::Sha256, 8).digest.to_string();
    bench
        .check(&MISSING, async {
            expect(&bench.fetch(Method::GET, &tag("absent")).await, StatusCode::NOT_FOUND)?;
            expect(&bench.fetch(Method::GET, &digest).await, StatusCode::NOT_FOUND)
        })
        .await;
    bench
        .check(&HEAD_MISSING, async {
            expect(&bench.fetch(Method::HEAD, &tag("absent")).await, StatusCode::NOT_FOUND)?;
            expect(&bench.fetch(Method::HEAD, &digest).await, StatusCode::NOT_FOUND)
        })
        .await;
    bench
        .check(&GET_MALFORMED, async {
            let answer = bench.fetch(Method::GET, "sha256:malformed").await;
            expect_any(&answer, &[StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND])
        })
        .await;
}

async fn mistyped(bench: &Bench, document: Result<Document, Fall>) -> Verdict {
    let (document, tag) = (document?, tag("mistyped"));
    bench.litter(&document.path(&bench.name));
    let answer = bench.put(&at(&bench.name, &tag), super::content::INDEX, &document.bytes).await;
    if succeeded(&answer) {
        let got = bench.fetch(Method::GET, &tag).await;
        typed(&got, IMAGE)?;
        return unsupported("it is taken, and served as what it says that it is");
    }
    ensure(answer.status.is_some_and(|status| status.is_client_error()), || said(&answer))
}

async fn parameters(bench: &Bench, document: Result<Document, Fall>) -> Verdict {
    let (document, tag) = (document?, tag("parameters"));
    bench.litter(&document.path(&bench.name));
    let answer = bench.put(&at(&bench.name, &tag), &format!("{IMAGE}; charset=utf-8"), &document.bytes).await;
    ensure(succeeded(&answer), || said(&answer))
}

async fn comes_back(bench: &Bench, document: &Document) -> Verdict {
    let tag = tag("kinds");
    let put = bench.offer(document, &tag).await;
    ensure(succeeded(&put), || said(&put))?;
    let got = bench.fetch(Method::GET, &tag).await;
    ensure(succeeded(&got), || said(&got))?;
    ensure(got.body.len() == document.bytes.len(), || "something else came back than was pushed".to_owned())
}

async fn sizes(bench: &Bench) {
    bench
        .check(&LARGE, async {
            bench.push(&hollow()).await?;
            let document = LARGE_BODY.get_or_init(|| padded(4_000_000));
            let tag = tag("large");
            bench.litter(&at(&bench.name, &Digest::of(document).to_string()));
            let answer = bench.put(&at(&bench.name, &tag), IMAGE, document).await;
            ensure(succeeded(&answer), || said(&answer))
        })
        .await;
    bench
        .check(&TOO_LARGE, async {
            bench.push(&hollow()).await?;
            let document = HUGE_BODY.get_or_init(|| padded(12 << 20));
            let tag = tag("huge");
            let answer = bench.put(&at(&bench.name, &tag), IMAGE, document).await;
            if succeeded(&answer) {
                bench.litter(&at(&bench.name, &Digest::of(document).to_string()));
                return unsupported("12 MiB are taken: there is no limit, or a higher one");
            }
            expect(&answer, StatusCode::PAYLOAD_TOO_LARGE)
        })
        .await;
}

/// Makes an image of so many bytes, which is mostly one annotation of spaces.
fn padded(length: usize) -> Bytes {
    let config = hollow().descriptor(IMAGE_CONFIG);
    let text = |pad: usize| {
        let annotations = json!({ "com.example.nonce": nonce(), "com.example.pad": " ".repeat(pad) });
        json!({
            "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/vnd.example.check.v1",
            "config": config, "layers": [], "annotations": annotations,
        })
        .to_string()
    };
    let rest = text(0).len();
    text(length - rest).into()
}

/// The configuration that large manifests name: a registry may refuse one whose configuration it has not.
fn hollow() -> Blob {
    Blob::of(Algorithm::Sha256, "{}")
}

fn pushed(answer: &Answer, by: &Rule) -> Verdict {
    if succeeded(answer) { Ok(()) } else { super::rule::blocked(by) }
}

fn typed(answer: &Answer, media_type: &str) -> Verdict {
    let found = answer.header("content-type").unwrap_or_default();
    seen_in(answer, ensure(found == media_type, || format!("`Content-Type` is `{found}`, not `{media_type}`")))
}

fn names(text: &str, document: &Document) -> Verdict {
    let right = text.parse::<Digest>().is_ok_and(|said| Digest::of_with(said.algorithm(), &document.bytes) == said);
    ensure(right, || format!("`Docker-Content-Digest` is `{text}`, the manifest is `{}`", document.digest))
}

/// Made once: only their sizes matter.
static LARGE_BODY: OnceLock<Bytes> = OnceLock::new();
static HUGE_BODY: OnceLock<Bytes> = OnceLock::new();
