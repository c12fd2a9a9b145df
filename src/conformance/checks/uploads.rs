//! end-4 and end-6: blobs pushed in one piece, and digests that are proved.

use futures_util::future::join;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, OCTETS, expect, expect_any, expect_bytes, said, succeeded};
use super::blobs::names;
use super::content::{Blob, nonce};
use super::rule::{Fall, Rule, Verdict, blocked, broken, ensure, seen_in, unsupported};
use crate::model::{Algorithm, Digest};

const MONOLITHIC: &str = "POST then PUT";

pub(super) static POST: Rule = Rule::new(
    "upload.post",
    "end-4a",
    Level::Must,
    MONOLITHIC,
    "`POST` opens an upload session: it is answered with 202 and a `Location` that makes sense",
);
pub(super) static PUT: Rule = Rule::new(
    "upload.put",
    "end-6",
    Level::Must,
    MONOLITHIC,
    "`PUT` of the whole blob to the session is answered with 201",
);
pub(super) static LOCATION: Rule = Rule::new(
    "upload.location",
    "end-6",
    Level::Must,
    MONOLITHIC,
    "the `Location` of the 201 that ends an upload leads to the blob",
);
pub(super) static DIGEST_HEADER: Rule = Rule::new(
    "upload.digest-header",
    "end-6",
    Level::Should,
    MONOLITHIC,
    "the 201 that ends an upload carries `Docker-Content-Digest`, a digest of the blob",
)
.unseen("it asks for the header only where its settings say so");
pub(super) static POST_ONLY: Rule = Rule::new(
    "upload.post-only",
    "end-4b",
    Level::Must,
    "Single POST",
    "a blob pushed by one `POST` is answered with 201, or with 202 and a session that takes it",
);
pub(super) static ALGORITHM: Rule = Rule::new(
    "upload.algorithm",
    "end-6",
    Level::Must,
    MONOLITHIC,
    "a blob that was taken under the digest of an algorithm is there under that digest",
);
pub(super) static ALGORITHM_HINT: Rule = Rule::new(
    "upload.digest-algorithm",
    "end-4c",
    Level::Should,
    "Pushing a blob in chunks",
    "`POST` with `digest-algorithm` opens a session that takes a blob under a digest of that algorithm",
)
.unseen("it never sends the parameter");
pub(super) static MISMATCH: Rule = Rule::new(
    "upload.digest-mismatch",
    "end-6",
    Level::Must,
    MONOLITHIC,
    "a closing `PUT` whose digest is not that of the content is answered with 400",
);
pub(super) static MISMATCH_POST: Rule = Rule::new(
    "upload.post-digest-mismatch",
    "end-4b",
    Level::Must,
    "Single POST",
    "a blob pushed by one `POST` under a digest that is not its own is answered with 400, at once or when its session is closed",
);
pub(super) static MISMATCH_ABSENT: Rule = Rule::new(
    "upload.unproved-absent",
    "end-6",
    Level::Must,
    MONOLITHIC,
    "a blob whose digest was not proved is not there, under neither digest",
)
.unseen("it does not look");
pub(super) static MALFORMED: Rule = Rule::new(
    "upload.malformed-digest",
    "end-6",
    Level::Should,
    MONOLITHIC,
    "a closing `PUT` with something that is no digest is answered with 400",
)
.unseen("it closes no upload in this way");
pub(super) static NO_DIGEST: Rule =
    Rule::new("upload.no-digest", "end-6", Level::Must, MONOLITHIC, "a closing `PUT` without a digest is refused")
        .unseen("it closes no upload in this way");
pub(super) static EMPTY: Rule =
    Rule::new("upload.empty", "end-6", Level::Must, MONOLITHIC, "a blob of no bytes is taken and comes back");
pub(super) static CONCURRENT: Rule = Rule::new(
    "upload.concurrent",
    "end-6",
    Level::Must,
    MONOLITHIC,
    "two uploads of one blob at the same time both end well",
)
.unseen("it does one thing at a time");
pub(super) static UNKNOWN: Rule = Rule::new(
    "upload.unknown-session",
    "end-13",
    Level::Should,
    "Pushing a blob in chunks",
    "a session that does not exist is answered with 404",
)
.unseen("it asks for no session that it has not opened");

pub(super) static ALL: &[&Rule] = &[
    &ALGORITHM,
    &POST,
    &PUT,
    &LOCATION,
    &DIGEST_HEADER,
    &POST_ONLY,
    &ALGORITHM_HINT,
    &MISMATCH,
    &MISMATCH_POST,
    &MISMATCH_ABSENT,
    &MALFORMED,
    &NO_DIGEST,
    &EMPTY,
    &CONCURRENT,
    &UNKNOWN,
];

/// Finds out whether content of the column's algorithm is kept as such. The column is shut if it is not.
pub(super) async fn algorithm(bench: &Bench) {
    let algorithm = bench.algorithm();
    let blob = Blob::random(algorithm, 64);
    let pushed = bench.push(&blob).await;
    let verdict = match (&pushed, algorithm) {
        (Err(fall), Algorithm::Sha256) => Err(fall.clone()),
        // Only sha256 has to be taken; what is told is taken for the truth.
        (Err(_), Algorithm::Sha512) => unsupported("blobs under digests of sha512 are refused"),
        (Ok(()), _) => {
            let got = bench.get(&blob.path(&bench.name)).await;
            ensure(!got.is(StatusCode::NOT_FOUND), || {
                format!("a blob was taken as `{}`, and is not there under that name", short(&blob.digest))
            })
        }
    };
    let fall = verdict.clone().err();
    bench.keep(&ALGORITHM, verdict);
    match (fall, algorithm) {
        (Some(Fall::Unsupported(why)), _) => bench.shut(Fall::Unsupported(why)),
        (Some(Fall::Broken(..)), Algorithm::Sha512) => bench.shut(Fall::Blocked(ALGORITHM.check.id)),
        _ => {}
    }
    bench.clean().await;
}

pub(super) async fn run(bench: &Bench) {
    let algorithm = bench.algorithm();
    let blob = Blob::random(algorithm, 512);
    let digest = blob.digest.to_string();
    let posted = bench.bare(Method::POST, &bench.uploads()).await;
    bench.check(&POST, async { opened(&posted) }).await;
    let place = posted.place().ok().filter(|_| succeeded(&posted));
    bench.litter(&blob.path(&bench.name));
    let closed = match &place {
        Some(place) => bench.close(place, &digest, &blob.bytes).await,
        None => Answer::default(),
    };
    let closing = || match (&place, succeeded(&closed)) {
        (None, _) => blocked(&POST),
        (_, false) => blocked(&PUT),
        _ => Ok(()),
    };
    bench
        .check(&PUT, async {
            if place.is_none() {
                return blocked(&POST);
            }
            expect(&closed, StatusCode::CREATED)
        })
        .await;
    bench
        .check(&LOCATION, async {
            closing()?;
            leads_to(bench, &closed, &blob).await
        })
        .await;
    bench
        .check(&DIGEST_HEADER, async {
            closing()?;
            names(&closed, &blob)
        })
        .await;
    bench.check(&POST_ONLY, post_only(bench, &Blob::random(algorithm, 512))).await;
    bench.check(&ALGORITHM_HINT, hinted(bench, &Blob::random(algorithm, 256))).await;
    unproved(bench).await;
    bench.check(&EMPTY, empty(bench)).await;
    bench.check(&CONCURRENT, concurrent(bench, &Blob::random(algorithm, 512))).await;
    bench
        .check(&UNKNOWN, async {
            // As long and of the same signs as many registries have them, so that it is unknown and not unreadable.
            let id = format!("{}{}", nonce(), nonce());
            let id = format!("{}-{}-4{}-a{}-{}", &id[..8], &id[8..12], &id[13..16], &id[17..20], &id[20..]);
            let answer = bench.get(&format!("{}{id}", bench.uploads())).await;
            expect(&answer, StatusCode::NOT_FOUND)
        })
        .await;
    bench.clean().await;
}

fn opened(posted: &Answer) -> Verdict {
    expect(posted, StatusCode::ACCEPTED)?;
    posted.place().map_or_else(broken, |_| Ok(()))
}

/// Follows the `Location` of a 201.
pub(super) async fn leads_to(bench: &Bench, created: &Answer, blob: &Blob) -> Verdict {
    let place = seen_in(created, created.place().or_else(broken))?;
    let got = bench.get(&place).await;
    ensure(got.is(StatusCode::OK), || format!("`Location` leads to {}", said(&got)))?;
    ensure(got.body.len() == blob.bytes.len(), || format!("`Location` leads to {} other bytes", got.body.len()))
}

async fn post_only(bench: &Bench, blob: &Blob) -> Verdict {
    let digest = blob.digest.to_string();
    let answer = post_whole(bench, &digest, blob).await;
    if answer.is(StatusCode::ACCEPTED) {
        let Ok(place) = answer.place() else { return broken("202 without a `Location` that makes sense") };
        let closed = bench.close(&place, &digest, &blob.bytes).await;
        ensure(succeeded(&closed), || format!("the session that was opened instead: {}", said(&closed)))?;
        return unsupported("a session is opened instead");
    }
    expect(&answer, StatusCode::CREATED)?;
    leads_to(bench, &answer, blob).await
}

async fn post_whole(bench: &Bench, digest: &str, blob: &Blob) -> Answer {
    bench.litter(&blob.path(&bench.name));
    let target = format!("{}?digest={digest}", bench.uploads());
    let make = || bench.request(Method::POST, &target).header(CONTENT_TYPE, OCTETS).body(blob.bytes.clone());
    bench.ask(make).await
}

async fn hinted(bench: &Bench, blob: &Blob) -> Verdict {
    let target = format!("{}?digest-algorithm={}", bench.uploads(), blob.digest.algorithm());
    let posted = bench.bare(Method::POST, &target).await;
    let place = posted.place().or_else(|why| broken(format!("{}: {why}", said(&posted))))?;
    bench.litter(&blob.path(&bench.name));
    let closed = bench.close(&place, &blob.digest.to_string(), &blob.bytes).await;
    ensure(succeeded(&closed), || said(&closed))
}

/// The four ways not to prove a digest.
async fn unproved(bench: &Bench) {
    let algorithm = bench.algorithm();
    let (blob, other) = (Blob::random(algorithm, 512), Blob::random(algorithm, 512));
    let wrong = other.digest.to_string();
    for blob in [&blob, &other] {
        bench.litter(&blob.path(&bench.name));
    }
    bench
        .check(&MISMATCH, async {
            let place = bench.open().await?;
            expect(&bench.close(&place, &wrong, &blob.bytes).await, StatusCode::BAD_REQUEST)
        })
        .await;
    bench
        .check(&MISMATCH_ABSENT, async {
            for blob in [&blob, &other] {
                let got = bench.get(&blob.path(&bench.name)).await;
                ensure(!succeeded(&got), || format!("`{}` is there", short(&blob.digest)))?;
            }
            Ok(())
        })
        .await;
    bench
        .check(&MISMATCH_POST, async {
            let mut answer = post_whole(bench, &wrong, &blob).await;
            if let (true, Ok(place)) = (answer.is(StatusCode::ACCEPTED), answer.place()) {
                answer = bench.close(&place, &wrong, &blob.bytes).await;
            }
            expect(&answer, StatusCode::BAD_REQUEST)
        })
        .await;
    bench
        .check(&MALFORMED, async {
            let place = bench.open().await?;
            let answer = bench.close(&place, &format!("{algorithm}:malformed"), &blob.bytes).await;
            expect(&answer, StatusCode::BAD_REQUEST)
        })
        .await;
    bench
        .check(&NO_DIGEST, async {
            let place = bench.open().await?;
            let answer = bench.put(&place, OCTETS, &blob.bytes).await;
            expect_any(&answer, &[StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_FOUND])
        })
        .await;
}

async fn empty(bench: &Bench) -> Verdict {
    let blob = Blob::of(bench.algorithm(), Vec::new());
    let path = blob.path(&bench.name);
    let known = succeeded(&bench.get(&path).await);
    let place = bench.open().await?;
    if !known {
        bench.litter(&path);
    }
    let closed = bench.close(&place, &blob.digest.to_string(), &blob.bytes).await;
    ensure(succeeded(&closed), || said(&closed))?;
    let got = bench.get(&path).await;
    ensure(succeeded(&got), || said(&got))?;
    expect_bytes(&got, &[])
}

async fn concurrent(bench: &Bench, blob: &Blob) -> Verdict {
    let (one, two) = (bench.open().await?, bench.open().await?);
    bench.litter(&blob.path(&bench.name));
    let digest = blob.digest.to_string();
    let (one, two) = join(bench.close(&one, &digest, &blob.bytes), bench.close(&two, &digest, &blob.bytes)).await;
    for closed in [&one, &two] {
        seen_in(closed, ensure(succeeded(closed), || format!("one of two uploads: {}", said(closed))))?;
    }
    Ok(())
}

/// Shortens a digest for a sentence.
fn short(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}:{}…", digest.algorithm(), &hex[..12])
}
