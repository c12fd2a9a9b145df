//! How long we wait, how often we try.

use std::time::Duration;

/// Every limit of a [`Transport`](super::Transport), as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a request is sent at most, the first time included: 5. With the pauses between them that spans some
    /// seconds, enough for a restarting server or a full proxy; longer outages are for people to judge.
    pub attempts: u32,
    /// The bound of the first pause: 200 ms. It doubles with every pause, and the pause is a random part of it.
    pub backoff_min: Duration,
    /// The bound that the doubling ends at: 10 s.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is waited for: 60 s. A server that wants more gets its answer handed on at once,
    /// since trying earlier than it asked would only make things worse.
    pub retry_after_max: Duration,
    /// How long making a connection may take, with name look-up, proxy and TLS: 10 s.
    pub connect: Duration,
    /// How long a connection to one address of a name may take before the next one is tried beside it: 250 ms, as RFC
    /// 8305 recommends. The families, IPv6 and IPv4, take turns.
    pub happy_eyeballs: Duration,
    /// How long the response headers may take after the request's last byte went out: 60 s, and a second more per
    /// 16 MiB sent, because some registries hash an upload before they answer.
    pub headers: Duration,
    /// How long a body may bring nothing while somebody waits for it: 60 s.
    pub stall: Duration,
    /// How many redirects are followed: 10.
    pub redirects: u32,
    /// How many bodies come down from one origin at a time: 32. Small requests share these permits.
    pub down: usize,
    /// How many bodies go up to one origin at a time: 32, counted apart from those that come down; a copy within one
    /// registry could otherwise fill all permits with downloads that wait for an upload's permit.
    pub up: usize,
    /// How many permits per origin are kept for small requests: 1, so that a manifest never queues behind gigabytes.
    pub small: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(10),
            retry_after_max: Duration::from_secs(60),
            connect: Duration::from_secs(10),
            happy_eyeballs: Duration::from_millis(250),
            headers: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            redirects: 10,
            down: 32,
            up: 32,
            small: 1,
        }
    }
}

impl Policy {
    /// Returns the pause before retry number `retry`, which counts from 0: a random part of a doubling bound.
    ///
    /// Pauses that are random from zero on ("full jitter") spread clients that failed together best.
    pub(super) fn backoff(&self, retry: u32) -> Pause {
        let bound = self.backoff_min.saturating_mul(2_u32.saturating_pow(retry)).min(self.backoff_max);
        Pause { least: Duration::ZERO, spread: bound }
    }
}

/// A wait with a random part, not drawn yet: decisions stay pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    /// What is waited in any case.
    pub(super) least: Duration,
    /// What may come on top.
    pub(super) spread: Duration,
}

impl Pause {
    /// Returns the wait for a random number between 0 and 1.
    pub(super) fn drawn(self, random: f64) -> Duration {
        self.least + self.spread.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// How many retries are left for one thing that a caller wants done.
///
/// It is handed down to all requests that this takes (the request itself, its redirects, a token), so that nested
/// retries add up and do not multiply. First tries are free.
#[derive(Clone, Debug)]
pub struct Budget {
    retries: u32,
    spent: u32,
}

impl Budget {
    /// Starts a budget of `policy.attempts`, which is one retry less.
    pub fn new(policy: &Policy) -> Self {
        Self { retries: policy.attempts.saturating_sub(1), spent: 0 }
    }

    /// Returns how many retries are left.
    pub fn left(&self) -> u32 {
        self.retries - self.spent
    }

    /// Returns how many retries were made.
    pub fn spent(&self) -> u32 {
        self.spent
    }

    /// Makes all retries available again. For a transfer that resumes: what counts there is failures without progress
    /// between them.
    pub fn refill(&mut self) {
        self.spent = 0;
    }

    /// Takes one retry, for a caller that repeats something itself. `None` means that none is left; otherwise the pause to
    /// make before it.
    pub fn retry(&mut self, policy: &Policy) -> Option<Duration> {
        if self.left() == 0 {
            return None;
        }
        let pause = policy.backoff(self.spent);
        self.spend();
        Some(pause.drawn(fastrand::f64()))
    }

    pub(super) fn spend(&mut self) {
        self.spent = (self.spent + 1).min(self.retries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let policy = Policy::default();
        for (retry, bound) in [(0, 200), (1, 400), (2, 800), (5, 6_400), (6, 10_000), (40, 10_000), (u32::MAX, 10_000)]
        {
            let pause = policy.backoff(retry);
            assert_eq!(pause, Pause { least: Duration::ZERO, spread: Duration::from_millis(bound) }, "retry {retry}");
        }
    }

    #[test]
    fn a_pause_is_a_part_of_its_spread() {
        let pause = Pause { least: Duration::from_secs(1), spread: Duration::from_secs(4) };
        for (random, millis) in [(0.0, 1_000), (0.5, 3_000), (1.0, 5_000), (7.0, 5_000)] {
            assert_eq!(pause.drawn(random), Duration::from_millis(millis));
        }
    }

    #[test]
    fn a_budget_ends() {
        for (attempts, retries) in [(0, 0), (1, 0), (2, 1), (5, 4)] {
            let policy = Policy { attempts, ..Policy::default() };
            let mut budget = Budget::new(&policy);
            assert_eq!(std::iter::from_fn(|| budget.retry(&policy)).count(), retries, "{attempts} attempts");
            assert_eq!(budget.left(), 0);
            budget.refill();
            assert_eq!(budget.left() as usize, retries);
        }
    }
}
