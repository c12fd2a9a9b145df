//! end-2: blobs, whole.

use http::{Method, StatusCode};

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, expect, expect_bytes, said};
use super::content::Blob;
use super::rule::{Rule, Verdict, broken, ensure, seen_in};
use crate::model::Digest;

pub(super) static GET: Rule = Rule::new(
    "blob.get",
    "end-2",
    Level::Must,
    "Pulling blobs",
    "a blob that was pushed is answered with 200 and exactly the bytes that were pushed",
);
pub(super) static HEAD: Rule = Rule::new(
    "blob.head",
    "end-2",
    Level::Must,
    "Checking if content exists in the registry",
    "`HEAD` of a blob that is there is answered with 200",
);
pub(super) static HEAD_LENGTH: Rule = Rule::new(
    "blob.head-length",
    "end-2",
    Level::Must,
    "Checking if content exists in the registry",
    "`HEAD` of a blob says its size in `Content-Length`",
);
pub(super) static DIGEST_HEADER: Rule = Rule::new(
    "blob.digest-header",
    "end-2",
    Level::Must,
    "Pulling blobs",
    "`GET` and `HEAD` of a blob carry `Docker-Content-Digest`, a digest of the blob",
)
.unseen("it asks for the header only where its settings say so");
pub(super) static MISSING: Rule = Rule::new(
    "blob.missing",
    "end-2",
    Level::Must,
    "Pulling blobs",
    "`GET` of a blob that is not there is answered with 404",
);
pub(super) static HEAD_MISSING: Rule = Rule::new(
    "blob.head-missing",
    "end-2",
    Level::Must,
    "Checking if content exists in the registry",
    "`HEAD` of a blob that was never there is answered with 404",
)
.unseen("it asks only for what it has deleted");
pub(super) static MALFORMED: Rule = Rule::new(
    "blob.malformed-digest",
    "end-2",
    Level::Should,
    "Pulling blobs",
    "a blob asked for by something that is no digest is answered with 400 or 404, and is no failure of the registry",
)
.unseen("it asks for no blob in this way");

pub(super) static ALL: &[&Rule] = &[&GET, &HEAD, &HEAD_LENGTH, &DIGEST_HEADER, &MISSING, &HEAD_MISSING, &MALFORMED];

pub(super) async fn run(bench: &Bench) {
    let algorithm = bench.algorithm();
    let blob = Blob::binary(algorithm, 512);
    let path = blob.path(&bench.name);
    let pushed = bench.push(&blob).await;
    let (got, head) = match pushed {
        Ok(()) => (bench.get(&path).await, bench.bare(Method::HEAD, &path).await),
        Err(_) => Default::default(),
    };
    bench
        .check(&GET, async {
            pushed.clone()?;
            expect(&got, StatusCode::OK)?;
            expect_bytes(&got, &blob.bytes)
        })
        .await;
    bench
        .check(&HEAD, async {
            pushed.clone()?;
            expect(&head, StatusCode::OK)
        })
        .await;
    bench
        .check(&HEAD_LENGTH, async {
            pushed.clone()?;
            let expected = blob.bytes.len().to_string();
            let said_length = head.header("content-length");
            let verdict = ensure(said_length == Some(&*expected), || match said_length {
                Some(length) => format!("the blob has {expected} bytes, and `Content-Length` says {length}"),
                None => format!("{} without `Content-Length`", said(&head)),
            });
            seen_in(&head, verdict)
        })
        .await;
    bench
        .check(&DIGEST_HEADER, async {
            pushed.clone()?;
            names(&got, &blob)?;
            names(&head, &blob)
        })
        .await;
    let absent = Blob::random(algorithm, 32).path(&bench.name);
    bench.check(&MISSING, async { expect(&bench.get(&absent).await, StatusCode::NOT_FOUND) }).await;
    bench.check(&HEAD_MISSING, async { expect(&bench.bare(Method::HEAD, &absent).await, StatusCode::NOT_FOUND) }).await;
    bench
        .check(&MALFORMED, async {
            let answer = bench.get(&format!("/v2/{}/blobs/{algorithm}:malformed", bench.name)).await;
            super::bench::expect_any(&answer, &[StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND])
        })
        .await;
    bench.clean().await;
}

/// Compares the digest header of an answer with a blob. It may be of another algorithm than the one that was asked for.
pub(super) fn names(answer: &Answer, blob: &Blob) -> Verdict {
    let what = &answer.exchange.method;
    let verdict = match answer.digest() {
        None => broken(format!("the answer to {what} has no `Docker-Content-Digest`")),
        Some(text) => {
            let right = text.parse::<Digest>().is_ok_and(|said| Digest::of_with(said.algorithm(), &blob.bytes) == said);
            ensure(right, || format!("the answer to {what} names `{text}`, which is not a digest of `{}`", blob.digest))
        }
    };
    seen_in(answer, verdict)
}
