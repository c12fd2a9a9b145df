//! The plan against registries that are played at random: whatever dialect they speak and whatever gets lost, the end is
//! a blob that is whole, or no success.

use std::ops::Range;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

/// How a registry behaves.
#[derive(Clone, Copy, Debug)]
struct Manners {
    /// What it does with a chunk that is not the next one.
    order: Order,
    /// What it says in the `Range` of an answer to a chunk.
    patch_range: Dialect,
    /// What it says in the `Range` of its status.
    status_range: Dialect,
    /// Keeps what arrived of a request that broke.
    keeps_parts: bool,
    /// Says 201 to chunks.
    early: bool,
    /// Names the digest that it was told, whatever it has.
    digest: bool,
    /// Has forgotten all but the last chunk when the session is closed, and does not verify.
    last_chunk_only: bool,
    /// The largest body that it takes, in units; 0 is any.
    limit: u64,
    /// Says 413 to what is larger, or 416.
    honest_limit: bool,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Refuses,
    Appends,
}

#[derive(Clone, Copy, Debug)]
enum Dialect {
    Whole,
    Absent,
    OfTheChunk,
    LengthOfTheChunk,
    Stale,
    Nonsense,
}

/// A registry with one session at most. Content is a list of ranges of the blob's offsets.
struct Registry {
    manners: Manners,
    session: Option<Vec<Range<u64>>>,
    first: u64,
    last: Range<u64>,
    stored: Option<Vec<Range<u64>>>,
    size: u64,
}

impl Registry {
    fn length(ranges: &[Range<u64>]) -> u64 {
        ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Says whether the content is the blob.
    fn is_whole(&self, ranges: &[Range<u64>]) -> bool {
        let joined = ranges
            .iter()
            .filter(|range| !range.is_empty())
            .try_fold(0, |end, range| if range.start == end { Some(range.end) } else { None });
        joined == Some(self.size)
    }

    /// Answers; `arrives` says how much of a body (in 1/4) arrives when the exchange breaks, 4 that it does not break, and
    /// 5 that only the answer is lost.
    fn answer(&mut self, next: &Next, arrives: u64) -> Option<(u16, Option<String>, bool)> {
        let answer = match next {
            Next::Post { .. } => {
                (self.session, self.first) = (Some(Vec::new()), 0);
                (202, None, false)
            }
            Next::Stream { bytes, .. } | Next::Patch { bytes, .. } => self.take(bytes, arrives)?,
            Next::Put { bytes, .. } => match self.take(bytes, arrives)? {
                (200..300, ..) => self.close(),
                refusal => refusal,
            },
            Next::Status { .. } => match &self.session {
                Some(has) => (204, self.range(self.manners.status_range, Self::length(has)), false),
                None => (404, None, false),
            },
            Next::Cancel { .. } => {
                self.session = None;
                (204, None, false)
            }
            Next::Head => match &self.stored {
                Some(_) => (200, None, true),
                None => (404, None, false),
            },
            Next::Done(_) => return None,
        };
        // `POST`, `GET` and the like are sent again until they are answered.
        let lossy = matches!(next, Next::Stream { .. } | Next::Patch { .. } | Next::Put { .. });
        (arrives != 5 || !lossy).then_some(answer)
    }

    fn take(&mut self, bytes: &Range<u64>, arrives: u64) -> Option<(u16, Option<String>, bool)> {
        let limit = self.manners.limit * MIN_CHUNK;
        if limit > 0 && bytes.end - bytes.start > limit {
            return Some((if self.manners.honest_limit { 413 } else { 416 }, None, false));
        }
        let Some(has) = &mut self.session else { return Some((404, None, false)) };
        let length = Self::length(has);
        if bytes.start != length && matches!(self.manners.order, Order::Refuses) && bytes.start < self.size {
            return Some((416, None, false));
        }
        if arrives < 4 {
            if self.manners.keeps_parts {
                has.push(bytes.start..bytes.start + (bytes.end - bytes.start) * arrives / 4);
            }
            return None;
        }
        has.push(bytes.clone());
        let now = Self::length(has);
        if !bytes.is_empty() {
            self.last = bytes.clone();
        }
        if self.first == 0 {
            self.first = now;
        }
        Some((if self.manners.early { 201 } else { 202 }, self.range(self.manners.patch_range, now), false))
    }

    fn close(&mut self) -> (u16, Option<String>, bool) {
        let Some(has) = self.session.take() else { return (404, None, false) };
        if self.manners.last_chunk_only {
            self.stored = Some(vec![self.last.clone()]);
        } else if self.is_whole(&has) {
            self.stored = Some(has);
        } else {
            return (400, None, false);
        }
        (201, None, false)
    }

    fn range(&self, dialect: Dialect, has: u64) -> Option<String> {
        let Range { start, end } = &self.last;
        let upto = |end: u64| format!("0-{}", end.saturating_sub(1));
        match dialect {
            Dialect::Whole => Some(upto(has)),
            Dialect::Absent => None,
            Dialect::OfTheChunk => Some(format!("{start}-{}", end.saturating_sub(1))),
            Dialect::LengthOfTheChunk => Some(upto(end - start)),
            Dialect::Stale => Some(upto(self.first)),
            Dialect::Nonsense => Some("bytes */7".to_owned()),
        }
    }

    /// Puts the answer as it is read.
    fn read(&self, (status, range, sized): (u16, Option<String>, bool), digest: &Digest) -> Answer {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: String| headers.insert(name, value.parse().expect("a header value"));
        add("location", "/u".to_owned());
        if let Some(range) = range {
            add("range", range);
        }
        if self.manners.digest && status == 201 {
            add("docker-content-digest", digest.to_string());
        }
        if let (true, Some(stored)) = (sized, &self.stored) {
            add("content-length", Self::length(stored).to_string());
        }
        let base = "https://r.example/v2/a/blobs/uploads/".parse().expect("a URI");
        Answer::read(&base, None, StatusCode::from_u16(status).expect("a status"), &headers)
    }
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![
        3 => Just(Dialect::Whole),
        1 => Just(Dialect::Absent),
        1 => Just(Dialect::OfTheChunk),
        1 => Just(Dialect::LengthOfTheChunk),
        1 => Just(Dialect::Stale),
        1 => Just(Dialect::Nonsense),
    ]
}

fn manners() -> impl Strategy<Value = Manners> {
    let order = prop_oneof![3 => Just(Order::Refuses), 1 => Just(Order::Appends)];
    let rare = || prop::bool::weighted(0.2);
    let limit = prop_oneof![4 => Just(0), 1 => 1_u64..20];
    (order, dialect(), dialect(), any::<bool>(), rare(), any::<bool>(), rare(), limit, any::<bool>()).prop_map(
        |(order, patch_range, status_range, keeps_parts, early, digest, last_chunk_only, limit, honest_limit)| {
            Manners {
                order,
                patch_range,
                status_range,
                keeps_parts,
                early,
                digest,
                last_chunk_only,
                limit,
                honest_limit,
            }
        },
    )
}

/// Plays one upload. Returns how it ended, and whether the registry has the blob.
fn play(size: u64, chunk: Option<u64>, manners: Manners, losses: &[u64]) -> (Option<Pushed>, bool) {
    play_plan(Plan::new(Digest::of(b"any"), size, Mount::No, chunk), manners, losses)
}

fn play_plan(mut plan: Plan, manners: Manners, losses: &[u64]) -> (Option<Pushed>, bool) {
    let (digest, size) = (Digest::of(b"any"), plan.size);
    let mut registry = Registry { manners, session: None, first: 0, last: 0..0, stored: None, size };
    let mut losses = losses.iter().copied();
    for _ in 0..1_000 {
        if plan.wants_name() {
            plan.name(digest);
        }
        let next = plan.next();
        if let Next::Done(how) = next {
            let stored = registry.stored.as_deref().is_some_and(|stored| registry.is_whole(stored));
            return (Some(how), stored);
        }
        let verdict = match registry.answer(&next, losses.next().unwrap_or(4)) {
            Some(answer) => plan.answered(&registry.read(answer, &digest)),
            None => plan.lost(),
        };
        if !matches!(verdict, Verdict::Go | Verdict::Wait) {
            return (None, false);
        }
    }
    panic!("it goes on for ever");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn success_means_that_the_blob_is_there(
        size in 0..40 * MIN_CHUNK,
        chunk in prop::option::of(MIN_CHUNK..9 * MIN_CHUNK),
        manners in manners(),
        losses in prop::collection::vec(prop_oneof![4 => Just(4_u64), 1 => 0_u64..6], 0..40),
    ) {
        let (how, stored) = play(size, chunk, manners, &losses);
        prop_assert!(how.is_none() || stored);
    }

    #[test]
    fn the_same_holds_where_the_digest_comes_last(
        size in 1..40 * MIN_CHUNK,
        chunk in prop::option::of(MIN_CHUNK..9 * MIN_CHUNK),
        manners in manners(),
        losses in prop::collection::vec(prop_oneof![4 => Just(4_u64), 1 => 0_u64..6], 0..40),
    ) {
        let (how, stored) = play_plan(Plan::unnamed(size, chunk), manners, &losses);
        prop_assert!(how.is_none() || stored);
    }

    #[test]
    fn registries_that_can_be_understood_get_their_blob(
        size in 0..40 * MIN_CHUNK,
        chunk in prop::option::of(MIN_CHUNK..9 * MIN_CHUNK),
        manners in manners(),
        losses in prop::collection::vec(prop_oneof![Just(4_u64), 0_u64..6], 0..4),
    ) {
        let manners = Manners { status_range: Dialect::Whole, last_chunk_only: false, limit: 0, ..manners };
        let (how, stored) = play(size, chunk, manners, &losses);
        prop_assert!(how.is_some() && stored);
    }

    #[test]
    fn without_losses_every_dialect_is_understood(
        size in 0..40 * MIN_CHUNK,
        chunk in prop::option::of(MIN_CHUNK..9 * MIN_CHUNK),
        manners in manners(),
    ) {
        let manners = Manners { last_chunk_only: false, limit: 0, ..manners };
        let (how, stored) = play(size, chunk, manners, &[]);
        prop_assert!(how.is_some() && stored);
    }
}
