//! Manners: how much at a time we ask of one origin.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::origin::Origin;
use super::policy::Policy;

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
    origins: Mutex<HashMap<Origin, Arc<Lanes>>>,
}

struct Lanes {
    down: Arc<Semaphore>,
    up: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

/// The right to have a request under way.
#[derive(Debug)]
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Limits {
    pub(super) fn new(policy: &Policy) -> Self {
        // Without permits nothing would ever move.
        let (down, up) = (policy.down.max(1), policy.up.max(1));
        Self { down, up, small: policy.small, origins: Mutex::default() }
    }

    /// Waits for a permit. Those who came first get theirs first.
    pub(super) async fn permit(&self, origin: &Origin, traffic: Traffic) -> Permit {
        let lanes = self.lanes(origin);
        let permit = match traffic {
            Traffic::Down => take(lanes.down.clone()).await,
            Traffic::Up => take(lanes.up.clone()).await,
            // The reserved permits are for when the others are out on long errands.
            Traffic::Small => match lanes.down.clone().try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    let (reserved, shared) = (pin!(take(lanes.small.clone())), pin!(take(lanes.down.clone())));
                    match select(reserved, shared).await {
                        Either::Left((permit, _)) | Either::Right((permit, _)) => permit,
                    }
                }
            },
        };
        Permit { _permit: permit }
    }

    fn lanes(&self, origin: &Origin) -> Arc<Lanes> {
        // The map is whole between any two statements, so a panic elsewhere does not spoil it.
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lanes) = origins.get(origin) {
            return lanes.clone();
        }
        if origins.len() >= ORIGINS {
            let idle = |lanes: &Lanes| {
                lanes.down.available_permits() == self.down
                    && lanes.up.available_permits() == self.up
                    && lanes.small.available_permits() == self.small
            };
            origins.retain(|_, lanes| Arc::strong_count(lanes) > 1 || !idle(lanes));
        }
        let lanes = Arc::new(Lanes {
            down: Arc::new(Semaphore::new(self.down)),
            up: Arc::new(Semaphore::new(self.up)),
            small: Arc::new(Semaphore::new(self.small)),
        });
        origins.insert(origin.clone(), lanes.clone());
        lanes
    }
}

async fn take(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("the semaphores are never closed")
}

/// How many origins are remembered before the idle ones are forgotten: redirects may bring any number.
const ORIGINS: usize = 64;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn origin(uri: &str) -> Origin {
        Origin::of(&uri.parse().expect(uri)).expect(uri)
    }

    fn limits(down: usize, up: usize) -> Limits {
        Limits::new(&Policy { down, up, small: 1, ..Policy::default() })
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
    fn no_configuration_stops_everything() {
        let limits = Limits::new(&Policy { down: 0, up: 0, small: 0, ..Policy::default() });
        for traffic in [Traffic::Small, Traffic::Down, Traffic::Up] {
            assert!(limits.permit(&origin("https://r.example"), traffic).now_or_never().is_some(), "{traffic:?}");
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
