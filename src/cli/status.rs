//! What is going on, on standard error: a live line on a terminal, a few lasting lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget};
use tokio::time::Instant;

use super::tally::Tally;
use super::{live, output};
use crate::content::{Event, Progress};

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Nothing but warnings: `--quiet`.
    Silent,
    /// A line at the start, one every five seconds while bytes move, one at the end.
    Lines,
    /// One line that changes.
    Live,
}

impl Voice {
    /// Chooses by the flags and by what standard error is.
    pub(crate) fn choose(quiet: bool, logging: bool) -> Self {
        match (quiet, logging) {
            (true, _) => Self::Silent,
            // Log lines and a live line would write over each other.
            (false, true) => Self::Lines,
            (false, false) if std::io::stderr().is_terminal() && live::can_be_drawn() => Self::Live,
            (false, false) => Self::Lines,
        }
    }
}

/// The progress of one command. Dropping it takes the live line away.
pub(crate) struct Status {
    voice: Voice,
    /// Such as "pushing" and "pushed".
    words: (&'static str, &'static str),
    what: String,
    bar: ProgressBar,
    /// The live line reads it whenever it is drawn: whoever holds it must not touch the line.
    tally: Arc<Mutex<Tally>>,
}

impl Status {
    /// Begins to tell: `words` are the verb as it runs and when it is done, `what` is its object.
    pub(crate) fn begin(voice: Voice, words: (&'static str, &'static str), what: String) -> Self {
        let tally = Arc::new(Mutex::new(Tally::new(Instant::now())));
        let bar = match voice {
            Voice::Live => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            Voice::Silent | Voice::Lines => ProgressBar::hidden(),
        };
        match voice {
            Voice::Silent => {}
            Voice::Lines => output::remark(&format!("{} {what}", words.0)),
            Voice::Live => {
                bar.set_style(live::unplanned());
                bar.set_message(format!("{} {what}", words.0));
                bar.enable_steady_tick(TICK);
            }
        }
        Self { voice, words, what, bar, tally }
    }

    /// Says something that must be known, whatever else is said: a warning.
    pub(crate) fn warn(&self, text: &str) {
        self.bar.suspend(|| output::remark(&format!("warning: {text}")));
    }

    /// Ends well.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
        if self.voice == Voice::Lines {
            let summary = self.tally().summary(Instant::now());
            output::remark(&format!("{} {}: {summary}", self.words.1, self.what));
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // A tally is numbers: one that a panic interrupted is still good enough to print.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Status {
    fn event(&self, event: Event<'_>) {
        let (planned, ahead) = (matches!(event, Event::Planned { .. }), matches!(event, Event::Ahead { .. }));
        let mut tally = self.tally();
        let due = tally.note(&event, Instant::now());
        let (position, total) = (tally.position(), tally.total());
        drop(tally);
        match self.voice {
            Voice::Silent => {}
            Voice::Lines => {
                if let Some(line) = due {
                    output::remark(&format!("{} {}: {line}", self.words.0, self.what));
                }
            }
            Voice::Live => {
                if planned {
                    self.bar.set_style(live::planned(self.tally.clone()));
                    // What came before moved nothing, and would count as slowness.
                    self.bar.reset_eta();
                }
                self.bar.set_length(total);
                self.bar.set_position(position);
                if ahead {
                    let moved = HumanBytes(position);
                    self.bar.set_message(format!("{} {}: {moved}", self.words.0, self.what));
                }
            }
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Fast enough to look alive, slow enough for a slow terminal.
const TICK: Duration = Duration::from_millis(120);
