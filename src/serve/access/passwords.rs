//! Proving passwords, which is made to be slow, without being slow for those who have the right one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::htpasswd::{Hash, Htpasswd};
use super::key::{Key, Seal};
use crate::error::Error;

/// Holds passwords to a password file.
///
/// A right password is worked out once and remembered, as a seal of user, hash and password that only this process can
/// make: a further request with it costs a seal. So does one whose hash was changed in the file, which is another seal.
/// What is wrong is worked out each time, at most [`Passwords::lanes`] at once, off the threads that serve.
pub(super) struct Passwords {
    key: Key,
    kept: Mutex<Kept>,
    lanes: Arc<Semaphore>,
    waiting: AtomicUsize,
    worked: AtomicU64,
}

#[derive(Default)]
struct Kept {
    cells: HashMap<Seal, Entry>,
    uses: u64,
}

struct Entry {
    /// Filled once it is known; until then those who want to know wait for the first of them.
    verdict: Arc<OnceCell<bool>>,
    used: u64,
}

/// What is known about a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It is this user's.
    Right(Arc<str>),
    /// It is not, or there is no such user.
    Wrong,
    /// Too many others want to know.
    Busy,
}

impl Passwords {
    pub(super) fn new() -> Result<Self, Error> {
        let lanes = Arc::new(Semaphore::new(Self::lanes()));
        let (kept, waiting, worked) = Default::default();
        Ok(Self { key: Key::random()?, kept, lanes, waiting, worked })
    }

    /// Half of the machine: the other half serves.
    fn lanes() -> usize {
        std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
    }

    pub(super) async fn prove(&self, file: &Htpasswd, user: &str, password: &str) -> Proof {
        let (known, hash) = file.find(user);
        let seal = self.key.seal(&[user.as_bytes(), hash.as_bytes(), password.as_bytes()]);
        let cell = self.cell(seal);
        let verdict = cell.get_or_try_init(|| self.work_out(&hash, password)).await.copied();
        if verdict != Ok(true) {
            self.kept().cells.remove(&seal);
        }
        match (verdict, known) {
            (Err(Busy), _) => Proof::Busy,
            (Ok(true), Some(user)) => Proof::Right(user),
            (Ok(_), _) => Proof::Wrong,
        }
    }

    async fn work_out(&self, hash: &Hash, password: &str) -> Result<bool, Busy> {
        let _place = Place::take(&self.waiting)?;
        let lane = self.lanes.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let (hash, password) = (hash.clone(), Zeroizing::new(password.to_owned()));
        let worked = spawn_blocking(move || {
            // Until it is done, even where nobody waits for it any more.
            let _lane = lane;
            hash.is_of(password.as_bytes())
        });
        let verdict = worked.await.unwrap_or_default();
        let worked = self.worked.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(worked, "worked out a password");
        Ok(verdict)
    }

    fn cell(&self, seal: Seal) -> Arc<OnceCell<bool>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let used = kept.uses;
        let entry = kept.cells.entry(seal).or_insert_with(|| Entry { verdict: Arc::default(), used });
        entry.used = used;
        let verdict = entry.verdict.clone();
        if kept.cells.len() > KEPT {
            let oldest = kept.cells.iter().min_by_key(|(_, entry)| entry.used).map(|(seal, _)| *seal);
            oldest.and_then(|seal| kept.cells.remove(&seal));
        }
        verdict
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked has not left the map half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Busy;

/// A place in the queue, until it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self, Busy> {
        let place = Self(waiting);
        // Before it is looked at, so that no two take the last one.
        if waiting.fetch_add(1, Ordering::Relaxed) < QUEUE { Ok(place) } else { Err(Busy) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many right passwords are remembered, 100 bytes each.
const KEPT: usize = 4096;

/// How many may wait to have a password worked out: at a tenth of a second each, the last one waits for some seconds.
const QUEUE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    fn file(password: &str) -> Htpasswd {
        let hash = bcrypt::hash(password, 4).expect("a hash");
        Htpasswd::parse(&format!("ada:{hash}\n")).expect("a password file")
    }

    fn worked(passwords: &Passwords) -> u64 {
        passwords.worked.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_right_password_is_worked_out_once() {
        let (passwords, file) = (Passwords::new().expect("randomness"), file("right"));
        let right = Proof::Right("ada".into());
        let at_once = join_all((0..20).map(|_| passwords.prove(&file, "ada", "right"))).await;
        assert_eq!(at_once, vec![right.clone(); 20]);
        assert_eq!(passwords.prove(&file, "ada", "right").await, right);
        assert_eq!(worked(&passwords), 1);
    }

    #[tokio::test]
    async fn a_wrong_password_and_a_wrong_user_cost_the_same_each_time() {
        let (passwords, file) = (Passwords::new().expect("randomness"), file("right"));
        for (n, (user, password)) in
            [("ada", "wrong"), ("ada", "wrong"), ("bob", "right"), ("bob", "right"), ("", "")].into_iter().enumerate()
        {
            assert_eq!(passwords.prove(&file, user, password).await, Proof::Wrong, "{user} {password}");
            assert_eq!(worked(&passwords), n as u64 + 1, "{user} {password}");
        }
        assert!(passwords.kept().cells.is_empty(), "what is wrong is not kept");
    }

    #[tokio::test]
    async fn what_was_right_is_not_when_the_file_says_otherwise() {
        let passwords = Passwords::new().expect("randomness");
        assert_ne!(passwords.prove(&file("old"), "ada", "old").await, Proof::Wrong);
        assert_eq!(passwords.prove(&file("new"), "ada", "old").await, Proof::Wrong);
        let nobody = Htpasswd::parse("").expect("an empty file");
        assert_eq!(passwords.prove(&nobody, "ada", "old").await, Proof::Wrong);
    }

    #[tokio::test]
    async fn a_crowd_is_told_to_come_back() {
        let (passwords, file) = (Passwords::new().expect("randomness"), file("right"));
        let guesses: Vec<_> = (0..QUEUE + 10).map(|n| n.to_string()).collect();
        let all = u32::try_from(passwords.lanes.available_permits()).expect("a few");
        let lanes = passwords.lanes.clone().acquire_many_owned(all).await.expect("nobody closes the semaphore");
        let mut crowd = join_all(guesses.iter().map(|guess| passwords.prove(&file, "ada", guess)));
        // All are there before the first one is done.
        assert!((&mut crowd).now_or_never().is_none());
        drop(lanes);
        let proofs = crowd.await;
        assert_eq!(proofs.iter().filter(|proof| **proof == Proof::Busy).count(), 10);
        assert_eq!(passwords.prove(&file, "ada", "right").await, Proof::Right("ada".into()));
    }
}
