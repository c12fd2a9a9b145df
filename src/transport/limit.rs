//! Manners: how much at a time we ask of one origin.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::origin::Origin;
use super::pace::{Age, Pace, Sign};
use super::policy::Policy;
use super::ways::Ways;

/// What a request moves, as an extension of it; found out from its method and payload where it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Nothing large: a manifest, a question, a token.
    Small,
    /// A blob comes down.
    Down,
    /// A blob goes up.
    Up,
}

/// The permits of all origins.
pub(super) struct Limits {
    down: usize,
    up: usize,
    small: usize,
    ways: Arc<Ways>,
    origins: Mutex<HashMap<Origin, Arc<Lanes>>>,
}

#[derive(Debug)]
struct Lanes {
    down: Lane,
    up: Lane,
    small: Arc<Semaphore>,
    pace: Mutex<Paced>,
}

#[derive(Debug)]
struct Lane {
    permits: Arc<Semaphore>,
    full: usize,
}

/// The pace, and how many permits of each lane there are under it, those that are out included.
#[derive(Debug)]
struct Paced {
    pace: Pace,
    down: usize,
    up: usize,
}

/// The right to have a request under way.
#[derive(Debug)]
pub(super) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    lanes: Arc<Lanes>,
    /// Where the permit is from; `None` is the reserve.
    from: Option<Way>,
    age: Age,
}

/// What changes the pace of an origin: the answer to a request of some age.
#[derive(Debug)]
pub(super) struct Pacer {
    lanes: Arc<Lanes>,
    age: Age,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Down,
    Up,
}

impl Limits {
    pub(super) fn new(policy: &Policy, ways: Arc<Ways>) -> Self {
        // Without permits nothing would ever move.
        let (down, up) = (policy.down.max(1), policy.up.max(1));
        Self { down, up, small: policy.small, ways, origins: Mutex::default() }
    }

    /// Waits for a permit. Those who came first get theirs first.
    pub(super) async fn permit(&self, origin: &Origin, traffic: Traffic) -> Permit {
        let lanes = self.lanes(origin);
        let (down, up) = (&lanes.down.permits, &lanes.up.permits);
        let (permit, from) = match traffic {
            Traffic::Down => (take(down.clone()).await, Some(Way::Down)),
            Traffic::Up => (take(up.clone()).await, Some(Way::Up)),
            // The reserved permits are for when the others are out on long errands.
            Traffic::Small => match down.clone().try_acquire_owned() {
                Ok(permit) => (permit, Some(Way::Down)),
                Err(_) => {
                    let (reserved, shared) = (pin!(take(lanes.small.clone())), pin!(take(down.clone())));
                    match select(reserved, shared).await {
                        Either::Left((permit, _)) => (permit, None),
                        Either::Right((permit, _)) => (permit, Some(Way::Down)),
                    }
                }
            },
        };
        let age = lanes.paced().pace.age();
        Permit { permit: Some(permit), lanes, from, age }
    }

    fn lanes(&self, origin: &Origin) -> Arc<Lanes> {
        // The map is whole between any two statements, so a panic elsewhere does not spoil it.
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lanes) = origins.get(origin) {
            return lanes.clone();
        }
        if origins.len() >= ORIGINS {
            origins.retain(|_, lanes| Arc::strong_count(lanes) > 1 || !lanes.is_full());
        }
        if origins.len() >= CROWDED {
            // What is known of their pace is lost; they will say it again.
            origins.retain(|_, lanes| Arc::strong_count(lanes) > 1);
        }
        let (down, up) = self.sizes(origin);
        let lane = |full| Lane { permits: Arc::new(Semaphore::new(full)), full };
        let pace = Paced { pace: Pace::new(down.max(up)), down, up };
        let lanes = Arc::new(Lanes {
            down: lane(down),
            up: lane(up),
            small: Arc::new(Semaphore::new(self.small)),
            pace: Mutex::new(pace),
        });
        origins.insert(origin.clone(), lanes.clone());
        lanes
    }

    /// Returns how many bodies may come down from an origin and go up to it.
    fn sizes(&self, origin: &Origin) -> (usize, usize) {
        let own = self.ways.towards(origin).and_then(|way| way.concurrency);
        own.map_or((self.down, self.up), |n| (n.get(), n.get()))
    }
}

impl Lanes {
    fn paced(&self) -> MutexGuard<'_, Paced> {
        // Counts and semaphores change together, and nothing between that panics.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        self.paced().pace.is_full()
    }
}

impl Permit {
    /// Returns a hand on the pace of the origin, for when the answer is understood: the permit may have come back by then.
    pub(super) fn pacer(&self) -> Pacer {
        Pacer { lanes: self.lanes.clone(), age: self.age }
    }
}

impl Pacer {
    /// Takes note of what the origin has answered.
    pub(super) fn note(&self, sign: Sign) {
        let mut paced = self.lanes.paced();
        if !paced.pace.note(self.age, sign) {
            return;
        }
        let Paced { pace, down, up } = &mut *paced;
        for (lane, there) in [(&self.lanes.down, down), (&self.lanes.up, up)] {
            let allowed = pace.of(lane.full);
            if *there > allowed {
                // Those that are out are taken when they come back.
                *there -= lane.permits.forget_permits(*there - allowed);
            } else {
                lane.permits.add_permits(allowed - *there);
                *there = allowed;
            }
        }
        debug!(down = pace.of(self.lanes.down.full), up = pace.of(self.lanes.up.full), "the pace has changed");
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (Some(permit), Some(from)) = (self.permit.take(), self.from) else { return };
        let mut paced = self.lanes.paced();
        let Paced { pace, down, up } = &mut *paced;
        let (lane, there) = match from {
            Way::Down => (&self.lanes.down, down),
            Way::Up => (&self.lanes.up, up),
        };
        if *there > pace.of(lane.full) {
            *there -= 1;
            permit.forget();
        }
    }
}

async fn take(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("the semaphores are never closed")
}

/// How many origins are remembered before the idle ones are forgotten: redirects may bring any number.
const ORIGINS: usize = 64;
/// How many before those that want to be asked slowly are forgotten as well.
const CROWDED: usize = 256;

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use futures_util::FutureExt as _;
    use http::uri::Authority;

    use super::super::tls::TlsOptions;
    use super::super::transport::Protocol;
    use super::super::ways::HostOptions;
    use super::*;

    fn origin(uri: &str) -> Origin {
        Origin::of(&uri.parse().expect(uri)).expect(uri)
    }

    fn limits(down: usize, up: usize) -> Limits {
        Limits::new(&Policy { down, up, small: 1, ..Policy::default() }, Arc::default())
    }

    #[test]
    fn up_and_down_are_counted_apart_and_small_ones_pass() {
        let (limits, here) = (limits(1, 1), origin("https://r.example"));
        let permit = |traffic| limits.permit(&here, traffic).now_or_never();
        let down = permit(Traffic::Down).expect("the first");
        assert!(permit(Traffic::Down).is_none());
        let _up = permit(Traffic::Up).expect("apart from those that come down");
        assert!(permit(Traffic::Up).is_none());
        let small = permit(Traffic::Small).expect("the reserved one");
        assert!(permit(Traffic::Small).is_none());
        let _elsewhere = limits.permit(&origin("https://cdn.example"), Traffic::Down).now_or_never().expect("its own");
        drop(small);
        assert!(permit(Traffic::Down).is_none(), "the reserved one is for small requests");
        drop(down);
        assert!(permit(Traffic::Down).is_some());
    }

    #[test]
    fn who_says_too_much_is_asked_for_half() {
        let (limits, here) = (limits(4, 2), origin("https://r.example"));
        let permit = |traffic| limits.permit(&here, traffic).now_or_never();
        let mut out: Vec<_> = (0..4).map(|_| permit(Traffic::Down).expect("four at first")).collect();
        out.iter().for_each(|one| one.pacer().note(Sign::TooMuch));
        let up = permit(Traffic::Up).expect("one of two");
        assert!(permit(Traffic::Up).is_none(), "both ways go slower");
        drop(up);
        // Two of the four do not come back.
        out.truncate(2);
        assert!(permit(Traffic::Down).is_none());
        out.truncate(1);
        let second = permit(Traffic::Down).expect("one of two");
        assert!(permit(Traffic::Down).is_none());
        // Good answers bring them back, one by one.
        for _ in 0..1_000 {
            second.pacer().note(Sign::Good);
        }
        let _more: Vec<_> = (0..2).map(|_| permit(Traffic::Down).expect("four again")).collect();
        assert!(permit(Traffic::Down).is_none());
    }

    #[test]
    fn small_requests_pass_however_slow_the_pace() {
        let (limits, here) = (limits(16, 16), origin("https://r.example"));
        let permit = |traffic| limits.permit(&here, traffic).now_or_never();
        let mut down = permit(Traffic::Down).expect("the first");
        for _ in 0..10 {
            down.pacer().note(Sign::TooMuch);
            drop(down);
            down = permit(Traffic::Down).expect("at least one");
        }
        assert!(permit(Traffic::Down).is_none());
        let small = permit(Traffic::Small).expect("the reserved one");
        small.pacer().note(Sign::TooMuch);
        drop(small);
        assert!(permit(Traffic::Small).is_some(), "it is never taken away");
    }

    #[test]
    fn no_configuration_stops_everything() {
        let limits = Limits::new(&Policy { down: 0, up: 0, small: 0, ..Policy::default() }, Arc::default());
        for traffic in [Traffic::Small, Traffic::Down, Traffic::Up] {
            assert!(limits.permit(&origin("https://r.example"), traffic).now_or_never().is_some(), "{traffic:?}");
        }
    }

    #[test]
    fn a_host_may_have_limits_of_its_own() {
        let own = HostOptions { concurrency: NonZeroUsize::new(2), ..HostOptions::default() };
        let hosts = [(Authority::from_static("slow.example"), own)].into();
        let ways = Arc::new(Ways::new(hosts, &TlsOptions::default(), Protocol::default()));
        let limits = Limits::new(&Policy { down: 3, up: 3, small: 1, ..Policy::default() }, ways);
        for (uri, most) in [("https://slow.example", 2), ("https://r.example", 3)] {
            for traffic in [Traffic::Down, Traffic::Up] {
                let permits = std::iter::from_fn(|| limits.permit(&origin(uri), traffic).now_or_never());
                assert_eq!(permits.take(5).collect::<Vec<_>>().len(), most, "{uri} {traffic:?}");
            }
        }
    }

    #[test]
    fn idle_origins_are_forgotten_and_busy_ones_are_not() {
        let limits = limits(1, 1);
        let busy = origin("https://busy.example");
        let _permit = limits.permit(&busy, Traffic::Down).now_or_never().expect("the first");
        for n in 0..3 * ORIGINS {
            let _idle = limits.permit(&origin(&format!("https://h{n}.example")), Traffic::Down).now_or_never();
        }
        assert!(limits.origins.lock().expect("not poisoned").len() <= ORIGINS);
        assert!(limits.permit(&busy, Traffic::Down).now_or_never().is_none(), "its permit is still out");
    }
}
