//! How much one origin is asked for at a time, as it turns out to bear: pure, so that a table can test it.

/// An allowance that halves when the origin says that it is too much, and grows back slowly.
///
/// All requests that are under way when that is said may be told the same: only the first of them counts, and so does
/// only what was begun after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// By how many halves the allowance is reduced, in [`STEPS`] parts of one half.
    reduced: u32,
    /// By how much it can be: down to one.
    most: u32,
    /// How often it was halved; requests are of the age in which they began.
    age: u64,
    /// Good answers since the allowance last changed.
    good: u32,
}

/// The age of the allowance under which a request began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age(u64);

/// What an answer says about the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is asked too much.
    TooMuch,
    /// Anything that a server says when it has time.
    Good,
    /// Nothing: trouble that more patience does not cure.
    None,
}

impl Sign {
    /// Reads the sign of a status; `asked` is whether the answer also asks to be asked later, or less.
    ///
    /// A 429 needs no more words. A 503 may be an accident, and is what S3 and others say where they mean 429.
    pub(super) fn of(status: http::StatusCode, asked: bool) -> Self {
        match status.as_u16() {
            429 => Self::TooMuch,
            503 if asked => Self::TooMuch,
            408 | 500.. => Self::None,
            _ => Self::Good,
        }
    }
}

impl Pace {
    /// Begins with everything allowed; `full` is the largest number that [`Pace::of`] will be asked for.
    pub(super) fn new(full: usize) -> Self {
        Self { reduced: 0, most: full.max(1).ilog2() * STEPS, age: 0, good: 0 }
    }

    /// Returns the age of what begins now.
    pub(super) fn age(&self) -> Age {
        Age(self.age)
    }

    /// Says whether nothing is held back.
    pub(super) fn is_full(&self) -> bool {
        self.reduced == 0
    }

    /// Takes note of an answer to a request of this age; says whether the allowance has changed.
    pub(super) fn note(&mut self, age: Age, sign: Sign) -> bool {
        if age.0 != self.age {
            return false;
        }
        match sign {
            Sign::TooMuch => {
                self.age += 1;
                self.good = 0;
                // Whole halves from where it is: what had grown back is taken again.
                self.reduced = (self.reduced + STEPS).min(self.most);
                true
            }
            Sign::Good if self.reduced > 0 => {
                self.good += 1;
                let grown = self.good >= GOOD;
                if grown {
                    self.good = 0;
                    self.reduced -= 1;
                }
                grown
            }
            Sign::Good | Sign::None => false,
        }
    }

    /// Returns how much of `full` is allowed now: at least one.
    pub(super) fn of(&self, full: usize) -> usize {
        let (halves, steps) = (self.reduced / STEPS, self.reduced % STEPS);
        // Between two halves it grows in equal steps.
        let upper = full >> halves.min(usize::BITS - 1);
        let lower = upper / 2;
        let between = (upper - lower) * steps as usize / STEPS as usize;
        (upper - between).max(1)
    }
}

/// In how many steps a half grows back.
const STEPS: u32 = 4;
/// How many good answers make one step: slowly, since the limit is mostly one per minute and still there.
const GOOD: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_once_for_all_that_was_under_way() {
        let mut pace = Pace::new(16);
        for (round, allowed) in [8, 4, 2, 1, 1, 1, 1, 1].into_iter().enumerate() {
            let age = pace.age();
            for other in 0..16 {
                assert_eq!(pace.note(age, Sign::TooMuch), other == 0, "round {round}, answer {other}");
            }
            assert_eq!(pace.of(16), allowed, "round {round}");
            assert!(!pace.note(age, Sign::Good), "what began before says nothing any more");
        }
    }

    #[test]
    fn it_grows_back_slowly_and_no_further() {
        let mut pace = Pace::new(16);
        for _ in 0..2 {
            pace.note(pace.age(), Sign::TooMuch);
        }
        let mut seen = vec![pace.of(16)];
        for _ in 0..200 {
            if pace.note(pace.age(), Sign::Good) {
                seen.push(pace.of(16));
            }
        }
        assert_eq!(seen, [4, 5, 6, 7, 8, 10, 12, 14, 16]);
        assert!(pace.is_full());
    }

    #[test]
    fn what_had_grown_back_is_taken_again() {
        let mut pace = Pace::new(16);
        pace.note(pace.age(), Sign::TooMuch);
        for _ in 0..2 * GOOD {
            pace.note(pace.age(), Sign::Good);
        }
        assert_eq!(pace.of(16), 12);
        pace.note(pace.age(), Sign::TooMuch);
        assert_eq!(pace.of(16), 6);
    }

    #[test]
    fn there_is_always_one() {
        for full in [1, 2, 3, 16, 1_000] {
            let mut pace = Pace::new(full);
            assert_eq!(pace.of(full), full);
            for _ in 0..100 {
                pace.note(pace.age(), Sign::TooMuch);
                assert!((1..=full).contains(&pace.of(full)));
            }
            assert_eq!(pace.of(full), 1);
        }
    }

    #[test]
    fn statuses_are_signs() {
        for (status, otherwise, asked) in [
            (200, Sign::Good, Sign::Good),
            (206, Sign::Good, Sign::Good),
            (307, Sign::Good, Sign::Good),
            (401, Sign::Good, Sign::Good),
            (404, Sign::Good, Sign::Good),
            (408, Sign::None, Sign::None),
            (429, Sign::TooMuch, Sign::TooMuch),
            (500, Sign::None, Sign::None),
            (502, Sign::None, Sign::None),
            (503, Sign::None, Sign::TooMuch),
        ] {
            let status = http::StatusCode::from_u16(status).expect("a status");
            assert_eq!([false, true].map(|asked| Sign::of(status, asked)), [otherwise, asked], "{status}");
        }
    }
}
