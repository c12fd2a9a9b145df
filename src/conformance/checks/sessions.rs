//! end-13 and end-14: upload sessions, asked for and given up.

use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{Method, StatusCode};

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, OCTETS, expect, said, succeeded};
use super::content::Blob;
use super::rule::{Rule, Verdict, blocked, broken, ensure, seen_in, unsupported};
use crate::model::Algorithm;

const CANCEL: &str = "Cancel a blob upload";

pub(super) static STATUS: Rule = Rule::new(
    "upload.status",
    "end-13",
    Level::Must,
    "Pushing a blob in chunks",
    "`GET` of a session is answered with 204 and a `Location`",
);
pub(super) static STATUS_RANGE: Rule = Rule::new(
    "upload.status-range",
    "end-13",
    Level::Must,
    "Pushing a blob in chunks",
    "`GET` of a session says in `Range` which bytes are there",
);
pub(super) static CANCELLED: Rule =
    Rule::new("upload.cancel", "end-14", Level::Should, CANCEL, "`DELETE` of a session is answered with 204");
pub(super) static ENDED: Rule =
    Rule::new("upload.cancelled-gone", "end-14", Level::Must, CANCEL, "a session that was given up takes nothing more")
        .unseen("it does not come back to a session that it has given up");

pub(super) static ALL: &[&Rule] = &[&STATUS, &STATUS_RANGE, &CANCELLED, &ENDED];

pub(super) async fn run(bench: &Bench) {
    let blob = Blob::random(Algorithm::Sha256, 1024);
    let opened = bench.open().await;
    let begun = async {
        let place = opened.clone()?;
        let answer = append(bench, &place, &blob, 0).await;
        if !succeeded(&answer) {
            return blocked(&super::chunks::CHUNKED);
        }
        Ok(answer.place().unwrap_or(place))
    };
    let place = begun.await;
    let mut status = Answer::default();
    bench
        .check(&STATUS, async {
            status = bench.get(&place.clone()?).await;
            expect(&status, StatusCode::NO_CONTENT)?;
            status.place().map_or_else(broken, |_| Ok(()))
        })
        .await;
    bench
        .check(&STATUS_RANGE, async {
            place.clone()?;
            if !succeeded(&status) {
                return blocked(&STATUS);
            }
            let verdict = ensure(status.range() == Some((0, 1023)), || match status.header("range") {
                Some(range) => format!("bytes 0 to 1023 are there, and `Range` says `{range}`"),
                None => "the answer has no `Range`".to_owned(),
            });
            seen_in(&status, verdict)
        })
        .await;
    let mut cancelled = Answer::default();
    bench
        .check(&CANCELLED, async {
            cancelled = bench.bare(Method::DELETE, &place.clone()?).await;
            can_cancel(&cancelled)?;
            expect(&cancelled, StatusCode::NO_CONTENT)
        })
        .await;
    bench
        .check(&ENDED, async {
            let place = place.clone()?;
            can_cancel(&cancelled)?;
            if !succeeded(&cancelled) {
                return blocked(&CANCELLED);
            }
            let answer = append(bench, &place, &blob, 1024).await;
            ensure(!succeeded(&answer), || format!("a chunk for a session that was given up: {}", said(&answer)))
        })
        .await;
    bench.clean().await;
}

fn can_cancel(answer: &Answer) -> Verdict {
    match answer.status {
        Some(StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED) => {
            unsupported("sessions cannot be given up")
        }
        _ => Ok(()),
    }
}

async fn append(bench: &Bench, place: &str, blob: &Blob, first: usize) -> Answer {
    let range = format!("{first}-{}", first + blob.bytes.len() - 1);
    let make = || {
        let asking = bench.request(Method::PATCH, place).header(CONTENT_TYPE, OCTETS);
        asking.header(CONTENT_RANGE, &range).body(blob.bytes.clone())
    };
    bench.ask(make).await
}
