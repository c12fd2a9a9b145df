//! end-2: parts of blobs.

use http::header::RANGE;
use http::{Method, StatusCode};

use super::super::Level;
use super::super::probe::Answer;
use super::bench::{Bench, expect, expect_bytes};
use super::content::Blob;
use super::rule::{Fall, Rule, broken, ensure, unsupported};

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
    let blob = Blob::random(bench.algorithm(), 2048);
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
                ("bytes=500-1499", 500, 1499),
                ("bytes=500-", 500, 2047),
                ("bytes=-500", 1548, 2047),
                ("bytes=2000-5000", 2000, 2047),
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
                    return broken("an answer with a part has no `Content-Range`");
                };
                let right = [format!("bytes {first}-{last}/2048"), format!("bytes {first}-{last}/*")];
                ensure(right.iter().any(|right| right == text), || {
                    format!("the part is {first}-{last} of 2048 bytes, and `Content-Range` says `{text}`")
                })?;
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

const IGNORED: &str = "`Range` is ignored: the whole blob comes";
