//! end-2: parts of blobs.

use http::header::RANGE;
use http::{Method, StatusCode};

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, expect, expect_bytes};
use super::content::Blob;
use super::rule::{Fall, Rule, broken, ensure, seen_in, unsupported};

pub(super) static PARTS: Rule = Rule::new(
    "blob.range",
    "end-2",
    Level::Should,
    "Pulling blobs",
    "`Range` gets the bytes asked for with 206, wherever they begin and end",
);
pub(super) static CONTENT_RANGE: Rule = Rule::new(
    "blob.content-range",
    "end-2",
    Level::Must,
    "Pulling blobs",
    "an answer with a part of a blob says in `Content-Range` which part (RFC 9110)",
);
pub(super) static UNSATISFIABLE: Rule = Rule::new(
    "blob.range-unsatisfiable",
    "end-2",
    Level::Should,
    "Pulling blobs",
    "a part that begins after the end of the blob is answered with 416",
);
pub(super) static REVERSED: Rule = Rule::new(
    "blob.range-reversed",
    "end-2",
    Level::Should,
    "Pulling blobs",
    "a part that ends before it begins is ignored or answered with 416, and never made up (RFC 9110)",
);

pub(super) static ALL: &[&Rule] = &[&PARTS, &CONTENT_RANGE, &UNSATISFIABLE, &REVERSED];

pub(super) async fn run(bench: &Bench) {
    let blob = Blob::binary(bench.algorithm(), LENGTH);
    let path = blob.path(&bench.name);
    let ready: Result<String, Fall> = bench.push(&blob).await.map(|()| path);
    let part = async |range: &str| -> Result<Answer, Fall> {
        let path = ready.as_ref().map_err(Clone::clone)?;
        Ok(bench.ask(|| bench.request(Method::GET, path).header(RANGE, range)).await)
    };
    let mut parts = Vec::new();
    bench
        .check(&PARTS, async {
            for (range, first, last) in [
                ("bytes=100-299", 100, 299),
                ("bytes=100-", 100, LENGTH - 1),
                ("bytes=-100", LENGTH - 100, LENGTH - 1),
                ("bytes=500-5000", 500, LENGTH - 1),
            ] {
                let answer = part(range).await?;
                if answer.is(StatusCode::OK) && answer.body == blob.bytes {
                    return unsupported(IGNORED);
                }
                expect(&answer, StatusCode::PARTIAL_CONTENT)?;
                parts.push((first, last, answer.clone()));
                expect_bytes(&answer, &blob.bytes[first..=last])?;
            }
            Ok(())
        })
        .await;
    bench
        .check(&CONTENT_RANGE, async {
            ready.clone()?;
            for (first, last, answer) in &parts {
                let Some(text) = answer.header("content-range") else {
                    return seen_in(answer, broken("an answer with a part has no `Content-Range`"));
                };
                let right = [format!("bytes {first}-{last}/{LENGTH}"), format!("bytes {first}-{last}/*")];
                let verdict = ensure(right.iter().any(|right| right == text), || {
                    format!("the part is {first}-{last} of {LENGTH} bytes, and `Content-Range` says `{text}`")
                });
                seen_in(answer, verdict)?;
            }
            if parts.is_empty() { unsupported("no answer brings a part") } else { Ok(()) }
        })
        .await;
    bench
        .check(&UNSATISFIABLE, async {
            let answer = part("bytes=5000-10000").await?;
            if answer.is(StatusCode::OK) && answer.body == blob.bytes {
                return unsupported(IGNORED);
            }
            expect(&answer, StatusCode::RANGE_NOT_SATISFIABLE)
        })
        .await;
    bench
        .check(&REVERSED, async {
            let answer = part("bytes=500-0").await?;
            if answer.is(StatusCode::OK) {
                bench.differs("it counts an ignored range that runs backwards as no support; RFC 9110 allows it");
                return expect_bytes(&answer, &blob.bytes);
            }
            expect(&answer, StatusCode::RANGE_NOT_SATISFIABLE)
        })
        .await;
    bench.clean().await;
}

/// Bytes of the blob: few enough to be written down with what shows a failure again.
const LENGTH: usize = 600;
const IGNORED: &str = "`Range` is ignored: the whole blob comes";
