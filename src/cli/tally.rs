//! How much has moved. Pure: events and instants in, numbers and words out.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::HumanBytes;
use tokio::time::Instant;

use crate::content::{Event, Pushed};
use crate::model::Digest;

/// Counts what the events tell.
#[derive(Debug)]
pub(crate) struct Tally {
    started: Instant,
    /// When the last line was due, and how many bytes had moved by then.
    last: (Instant, u64),
    /// How many blobs and bytes may have to move, less what turned out to be there.
    planned: (u64, u64),
    /// Blobs and bytes that are where they should be and had to be moved for it.
    done: (u64, u64),
    /// Blobs that were there.
    existed: u64,
    /// Bytes that really moved, those that moved twice included.
    moved: u64,
    /// Bytes that moved before there was a plan.
    ahead: u64,
    /// Blobs under way: how far they are.
    flight: HashMap<Digest, u64>,
    newest: Option<Digest>,
}

impl Tally {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            started: now,
            last: (now, 0),
            planned: (0, 0),
            done: (0, 0),
            existed: 0,
            moved: 0,
            ahead: 0,
            flight: HashMap::new(),
            newest: None,
        }
    }

    /// Counts an event; returns a line where one is due: every five seconds, while bytes move.
    pub(crate) fn note(&mut self, event: &Event<'_>, now: Instant) -> Option<String> {
        match *event {
            Event::Planned { blobs, bytes } => (self.planned, self.ahead) = ((blobs, bytes), 0),
            Event::Started(descriptor) => {
                self.flight.entry(descriptor.digest).or_default();
                self.newest = Some(descriptor.digest);
            }
            Event::Opened { digest, offset } => {
                self.flight.insert(*digest, offset);
            }
            Event::Moved { digest, bytes } => {
                *self.flight.entry(*digest).or_default() += bytes;
                self.moved += bytes;
                if let Some(rate) = self.due(now) {
                    let (position, total) = (HumanBytes(self.position()), HumanBytes(self.total()));
                    return Some(format!("{position} of {total}, {rate}, {}", self.current()));
                }
            }
            Event::Ahead { bytes } => {
                self.ahead += bytes;
                self.moved += bytes;
                if let Some(rate) = self.due(now) {
                    return Some(format!("{}, {rate}", HumanBytes(self.position())));
                }
            }
            Event::Finished { descriptor, how } => {
                self.flight.remove(&descriptor.digest);
                match how {
                    Pushed::Uploaded => self.done = (self.done.0 + 1, self.done.1 + descriptor.size),
                    Pushed::Existed | Pushed::Mounted => {
                        self.existed += 1;
                        self.planned.1 = self.planned.1.saturating_sub(descriptor.size);
                    }
                }
            }
        }
        None
    }

    /// Returns how fast it went, where a line is due.
    fn due(&mut self, now: Instant) -> Option<String> {
        let since = now.saturating_duration_since(self.last.0);
        if since < EVERY {
            return None;
        }
        let rate = rate(self.moved - self.last.1, since);
        self.last = (now, self.moved);
        Some(rate)
    }

    /// Returns how many of the bytes that have to be moved are there, or on their way.
    pub(crate) fn position(&self) -> u64 {
        self.flight.values().fold(self.done.1 + self.ahead, |sum, position| sum.saturating_add(*position))
    }

    /// Returns how many bytes have to be moved, as far as that is known.
    pub(crate) fn total(&self) -> u64 {
        self.planned.1.max(self.position())
    }

    /// Says what is being moved.
    pub(crate) fn current(&self) -> String {
        match self.newest() {
            Some(newest) => format!("{}, {newest}", self.blobs()),
            None => self.blobs(),
        }
    }

    /// Says how many blobs are where they should be.
    pub(crate) fn blobs(&self) -> String {
        let settled = self.done.0 + self.existed;
        format!("{settled} of {} blobs", self.planned.0.max(settled))
    }

    /// Names the blob that was begun last, while it is under way.
    pub(crate) fn newest(&self) -> Option<String> {
        let digest = self.newest.filter(|digest| self.flight.contains_key(digest))?;
        Some(format!("{}:{}…", digest.algorithm(), &digest.hex()[..SHORT]))
    }

    /// Says what it came to.
    pub(crate) fn summary(&self, now: Instant) -> String {
        let took = now.saturating_duration_since(self.started);
        let there = match self.existed {
            0 => String::new(),
            n => format!("; {n} already there"),
        };
        if self.done.0 == 0 && self.moved == 0 {
            return format!("nothing had to move{there}");
        }
        let (bytes, rate) = (HumanBytes(self.moved), rate(self.moved, took));
        let blobs = if self.done.0 == 1 { "1 blob".to_owned() } else { format!("{} blobs", self.done.0) };
        format!("{blobs}, {bytes} in {:.1} s, {rate}{there}", took.as_secs_f32())
    }
}

fn rate(bytes: u64, time: Duration) -> String {
    // A rate for people: a float is exact enough, and a moment that is too short counts as one millisecond.
    format!("{}/s", HumanBytes((bytes as f64 / time.as_secs_f64().max(0.001)) as u64))
}

/// How often a line is due.
const EVERY: Duration = Duration::from_secs(5);
/// Hexadecimal digits of a digest that people are shown.
const SHORT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Descriptor, MediaType};

    #[test]
    fn lines_come_every_five_seconds_while_bytes_move() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let big = Descriptor::new(MediaType::OCTET_STREAM, Digest::of(b"big"), 40 << 20);
        let old = Descriptor::new(MediaType::OCTET_STREAM, Digest::of(b"old"), 8 << 20);
        let moved = |bytes| Event::Moved { digest: &big.digest, bytes };
        assert_eq!(tally.note(&Event::Planned { blobs: 2, bytes: 48 << 20 }, after(0)), None);
        assert_eq!(tally.note(&Event::Finished { descriptor: &old, how: Pushed::Existed }, after(1)), None);
        assert_eq!(tally.note(&Event::Started(&big), after(1)), None);
        assert_eq!(tally.note(&Event::Opened { digest: &big.digest, offset: 0 }, after(1)), None);
        assert_eq!(tally.note(&moved(10 << 20), after(4)), None);
        let short = &big.digest.hex()[..SHORT];
        assert_eq!(
            tally.note(&moved(10 << 20), after(5)),
            Some(format!("20.00 MiB of 40.00 MiB, 4.00 MiB/s, 1 of 2 blobs, sha256:{short}…"))
        );
        assert_eq!(tally.note(&moved(1 << 20), after(9)), None);
        // The connection broke: what was reported beyond the offset moves again.
        assert_eq!(tally.note(&Event::Opened { digest: &big.digest, offset: 20 << 20 }, after(9)), None);
        assert!(tally.note(&moved(20 << 20), after(10)).is_some_and(|line| line.starts_with("40.00 MiB of 40.00 MiB")));
        tally.note(&Event::Finished { descriptor: &big, how: Pushed::Uploaded }, after(10));
        assert_eq!((tally.position(), tally.total()), (40 << 20, 40 << 20));
        assert_eq!(tally.summary(after(10)), "1 blob, 41.00 MiB in 10.0 s, 4.10 MiB/s; 1 already there");
    }

    #[test]
    fn what_moved_before_the_plan_is_told_and_counted_once() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let big = Descriptor::new(MediaType::OCTET_STREAM, Digest::of(b"big"), 40 << 20);
        assert_eq!(tally.note(&Event::Ahead { bytes: 10 << 20 }, after(4)), None);
        let line = tally.note(&Event::Ahead { bytes: 30 << 20 }, after(5));
        assert_eq!(line.as_deref(), Some("40.00 MiB, 8.00 MiB/s"));
        tally.note(&Event::Planned { blobs: 1, bytes: 40 << 20 }, after(6));
        tally.note(&Event::Started(&big), after(6));
        tally.note(&Event::Finished { descriptor: &big, how: Pushed::Uploaded }, after(6));
        assert_eq!((tally.position(), tally.total()), (40 << 20, 40 << 20));
        assert_eq!(tally.summary(after(8)), "1 blob, 40.00 MiB in 8.0 s, 5.00 MiB/s");
    }

    #[test]
    fn a_plan_that_was_wrong_does_not_matter() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        assert_eq!(tally.summary(start), "nothing had to move");
        let digest = Digest::of(b"x");
        tally.note(&Event::Moved { digest: &digest, bytes: 7 }, start);
        assert_eq!((tally.position(), tally.total()), (7, 7));
    }
}
