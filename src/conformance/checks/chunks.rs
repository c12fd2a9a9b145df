//! end-5: blobs pushed in pieces.

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{Method, StatusCode};

use super::super::Level;
use super::super::answer::Answer;
use super::super::probe::with_digest;
use super::bench::{Bench, OCTETS, expect, expect_bytes, said, succeeded};
use super::content::Blob;
use super::rule::{Fall, Rule, Verdict, blocked, broken, ensure, seen_in};
use super::uploads;

const CHUNKS: &str = "Pushing a blob in chunks";

pub(super) static CHUNKED: Rule = Rule::new(
    "upload.chunked",
    "end-5",
    Level::Must,
    CHUNKS,
    "each chunk that comes in order, with `Content-Range`, is answered with 202, and the blob has them all",
);
pub(super) static PATCH_RANGE: Rule = Rule::new(
    "upload.patch-range",
    "end-5",
    Level::Must,
    CHUNKS,
    "the 202 to a chunk says in `Range` how far the whole blob is: `0-<last byte>`",
)
.unseen("it does not look at the header");
pub(super) static PATCH_LOCATION: Rule = Rule::new(
    "upload.patch-location",
    "end-5",
    Level::Must,
    CHUNKS,
    "the 202 to a chunk says in `Location` where the session goes on",
)
.unseen("it keeps the place it knows");
pub(super) static STREAM: Rule = Rule::new(
    "upload.stream",
    "end-5",
    Level::Should,
    CHUNKS,
    "a `PATCH` of unknown length, without `Content-Range`, is answered with 202, and the blob has all of it",
);
pub(super) static LAST_IN_PUT: Rule =
    Rule::new("upload.put-chunk", "end-6", Level::Must, CHUNKS, "the last chunk may come with the closing `PUT`");
pub(super) static OUT_OF_ORDER: Rule = Rule::new(
    "upload.out-of-order",
    "end-5",
    Level::Must,
    CHUNKS,
    "a chunk that begins elsewhere than after the last one is answered with 416",
);
pub(super) static PUT_OUT_OF_ORDER: Rule = Rule::new(
    "upload.put-out-of-order",
    "end-6",
    Level::Must,
    CHUNKS,
    "a closing `PUT` with a chunk that begins elsewhere than after the last one is answered with 416",
);
pub(super) static SURVIVES: Rule = Rule::new(
    "upload.survives",
    "end-13",
    Level::Must,
    CHUNKS,
    "a session that has refused a chunk goes on with the right one",
);
pub(super) static MINIMUM: Rule = Rule::new(
    "upload.chunk-minimum",
    "end-5",
    Level::Should,
    CHUNKS,
    "the least length of chunks, where there is one, is said in `OCI-Chunk-Min-Length` and holds",
)
.unseen("it makes its own chunks longer and never tries shorter ones");

pub(super) static ALL: &[&Rule] = &[
    &CHUNKED,
    &PATCH_RANGE,
    &PATCH_LOCATION,
    &STREAM,
    &LAST_IN_PUT,
    &OUT_OF_ORDER,
    &PUT_OUT_OF_ORDER,
    &SURVIVES,
    &MINIMUM,
];

pub(super) async fn run(bench: &Bench) {
    in_order(bench).await;
    bench.check(&STREAM, stream(bench)).await;
    bench.check(&LAST_IN_PUT, last_in_put(bench)).await;
    out_of_order(bench).await;
    bench.check(&MINIMUM, minimum(bench)).await;
    bench.clean().await;
}

/// A session and how far it is.
struct Session<'a> {
    bench: &'a Bench,
    place: String,
    offset: usize,
    /// What the registry wants chunks to have at least, in bytes.
    least: Option<usize>,
}

impl<'a> Session<'a> {
    async fn open(bench: &'a Bench) -> Result<Self, Fall> {
        let posted = bench.bare(Method::POST, &bench.uploads()).await;
        let (Ok(place), true) = (posted.place(), succeeded(&posted)) else { return blocked(&uploads::POST) };
        let least = posted.header("oci-chunk-min-length").and_then(|text| text.parse().ok());
        Ok(Self { bench, place, offset: 0, least })
    }

    /// Returns a length of chunks that should be taken.
    fn chunk(&self) -> usize {
        self.least.unwrap_or(0).clamp(CHUNK, LONGEST)
    }

    /// Sends a chunk as one that begins at `first`.
    async fn patch(&mut self, first: usize, chunk: Bytes) -> Answer {
        let range = format!("{first}-{}", first + chunk.len() - 1);
        let make = || {
            let asking = self.bench.request(Method::PATCH, &self.place);
            asking.header(CONTENT_TYPE, OCTETS).header(CONTENT_RANGE, &range).body(chunk.clone())
        };
        let answer = self.bench.ask(make).await;
        self.went(&answer, chunk.len());
        answer
    }

    /// Sends the next chunk.
    async fn next(&mut self, chunk: Bytes) -> Answer {
        self.patch(self.offset, chunk).await
    }

    fn went(&mut self, answer: &Answer, length: usize) {
        if succeeded(answer) {
            self.offset += length;
            self.place = answer.place().unwrap_or_else(|_| self.place.clone());
        }
    }

    /// Closes the session with a last chunk.
    async fn close(&self, blob: &Blob, first: usize, chunk: Bytes) -> Answer {
        let target = with_digest(&self.place, &blob.digest.to_string());
        let range = format!("{first}-{}", (first + chunk.len()).saturating_sub(1));
        self.bench.litter(&blob.path(&self.bench.name));
        let make = || {
            let asking = self.bench.request(Method::PUT, &target).header(CONTENT_TYPE, OCTETS);
            if chunk.is_empty() { asking } else { asking.header(CONTENT_RANGE, &range).body(chunk.clone()) }
        };
        self.bench.ask(make).await
    }
}

async fn in_order(bench: &Bench) {
    let mut answers = Vec::new();
    let mut ends = Vec::new();
    let mut session = Session::open(bench).await;
    bench
        .check(&CHUNKED, async {
            let session = session.as_mut().map_err(|fall| fall.clone())?;
            let size = session.chunk();
            let blob = Blob::random(bench.algorithm(), 2 * size + 19);
            for first in (0..blob.bytes.len()).step_by(size) {
                let chunk = blob.bytes.slice(first..(first + size).min(blob.bytes.len()));
                ends.push(first + chunk.len() - 1);
                answers.push(session.next(chunk).await);
            }
            let closed = session.close(&blob, 0, Bytes::new()).await;
            for answer in &answers {
                expect(answer, StatusCode::ACCEPTED)?;
            }
            ensure(succeeded(&closed), || said(&closed))?;
            let got = bench.get(&blob.path(&bench.name)).await;
            ensure(got.body.len() == blob.bytes.len(), || {
                format!("of {} bytes that were pushed in chunks {} came back", blob.bytes.len(), got.body.len())
            })
        })
        .await;
    let taken = || match &session {
        Err(fall) => Err(fall.clone()),
        Ok(_) if answers.iter().all(succeeded) => Ok(()),
        Ok(_) => blocked(&CHUNKED),
    };
    bench
        .check(&PATCH_RANGE, async {
            taken()?;
            for (answer, end) in answers.iter().zip(&ends) {
                let verdict = ensure(answer.range() == Some((0, *end as u64)), || match answer.header("range") {
                    Some(range) => format!("bytes 0 to {end} are there, and `Range` says `{range}`"),
                    None => "the answer to a chunk has no `Range`".to_owned(),
                });
                seen_in(answer, verdict)?;
            }
            Ok(())
        })
        .await;
    bench
        .check(&PATCH_LOCATION, async {
            taken()?;
            answers.iter().try_for_each(|answer| seen_in(answer, answer.place().map_or_else(broken, |_| Ok(()))))
        })
        .await;
}

async fn stream(bench: &Bench) -> Verdict {
    let mut session = Session::open(bench).await?;
    let blob = Blob::random(bench.algorithm(), session.chunk());
    let make = || {
        let asking = bench.request(Method::PATCH, &session.place);
        asking.header(CONTENT_TYPE, OCTETS).body(blob.bytes.clone()).chunked()
    };
    let answer = bench.ask(make).await;
    session.went(&answer, blob.bytes.len());
    let closed = session.close(&blob, 0, Bytes::new()).await;
    expect(&answer, StatusCode::ACCEPTED)?;
    ensure(succeeded(&closed), || said(&closed))
}

async fn last_in_put(bench: &Bench) -> Verdict {
    let mut session = Session::open(bench).await?;
    let size = session.chunk();
    let blob = Blob::random(bench.algorithm(), size + 7);
    let answer = session.next(blob.bytes.slice(..size)).await;
    if !succeeded(&answer) {
        return blocked(&CHUNKED);
    }
    let closed = session.close(&blob, size, blob.bytes.slice(size..)).await;
    ensure(succeeded(&closed), || said(&closed))?;
    let got = bench.get(&blob.path(&bench.name)).await;
    ensure(got.body.len() == blob.bytes.len(), || {
        format!("of {} bytes that were pushed {} came back", blob.bytes.len(), got.body.len())
    })
}

async fn out_of_order(bench: &Bench) {
    let mut session = Session::open(bench).await;
    let size = session.as_ref().map_or(CHUNK, Session::chunk);
    let blob = Blob::random(bench.algorithm(), 3 * size);
    let part = |n: usize| blob.bytes.slice(n * size..(n + 1) * size);
    let mut refused = false;
    bench
        .check(&OUT_OF_ORDER, async {
            let session = session.as_mut().map_err(|fall| fall.clone())?;
            if !succeeded(&session.next(part(0)).await) {
                return blocked(&CHUNKED);
            }
            let place = session.place.clone();
            let answer = session.patch(2 * size, part(2)).await;
            refused = !succeeded(&answer);
            if !refused {
                session.place = place;
            }
            expect(&answer, StatusCode::RANGE_NOT_SATISFIABLE)
        })
        .await;
    bench
        .check(&SURVIVES, async {
            let session = session.as_mut().map_err(|fall| fall.clone())?;
            if session.offset == 0 {
                return blocked(&CHUNKED);
            }
            if !refused {
                return blocked(&OUT_OF_ORDER);
            }
            for n in 1..3 {
                let answer = session.next(part(n)).await;
                ensure(succeeded(&answer), || format!("the right chunk after a wrong one: {}", said(&answer)))?;
            }
            let closed = session.close(&blob, 0, Bytes::new()).await;
            ensure(succeeded(&closed), || said(&closed))
        })
        .await;
    bench
        .check(&PUT_OUT_OF_ORDER, async {
            let mut session = Session::open(bench).await?;
            if !succeeded(&session.next(part(0)).await) {
                return blocked(&CHUNKED);
            }
            // The digest of what is there and what is sent: only the place is wrong.
            let put = Blob::of(bench.algorithm(), blob.bytes.slice(..2 * size));
            let answer = session.close(&put, 2 * size, part(1)).await;
            expect(&answer, StatusCode::RANGE_NOT_SATISFIABLE)
        })
        .await;
}

async fn minimum(bench: &Bench) -> Verdict {
    let mut session = Session::open(bench).await?;
    let size = match session.least {
        Some(0) => return broken("`OCI-Chunk-Min-Length` is 0"),
        Some(least) if least > LONGEST => {
            bench.note(format!("chunks have at least {least} bytes, which is not tried"));
            return Ok(());
        }
        Some(least) => least,
        None => 1,
    };
    let blob = Blob::random(bench.algorithm(), 2 * size + 1);
    for first in [0, size] {
        let answer = session.next(blob.bytes.slice(first..first + size)).await;
        ensure(succeeded(&answer), || match session.least {
            Some(least) => {
                format!("a chunk of {least} bytes is as long as `OCI-Chunk-Min-Length` asks for: {}", said(&answer))
            }
            None => format!("a chunk of one byte, with no `OCI-Chunk-Min-Length` said: {}", said(&answer)),
        })?;
    }
    let last = session.next(blob.bytes.slice(2 * size..)).await;
    ensure(succeeded(&last), || format!("a last chunk of one byte: {}", said(&last)))?;
    let closed = session.close(&blob, 0, Bytes::new()).await;
    ensure(succeeded(&closed), || said(&closed))?;
    let got = bench.get(&blob.path(&bench.name)).await;
    expect_bytes(&got, &blob.bytes).or_else(|_| ensure(got.body.len() == blob.bytes.len(), || said(&got)))
}

/// The length of chunks where the registry does not want longer ones.
const CHUNK: usize = 1024;
/// The longest chunks that are made: ECR, for one, wants 5 MiB.
const LONGEST: usize = 8 << 20;
