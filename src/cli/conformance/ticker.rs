//! What goes on while a registry is judged, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output;
use crate::cli::status::Voice;
use crate::conformance::{Exchange, Report};
use crate::model::printable::line;

/// Counts requests: in one line that changes on a terminal, in a line at the start and one at the end elsewhere. Dropping it
/// takes the live line away.
pub(super) struct Ticker {
    voice: Voice,
    bar: ProgressBar,
}

impl Ticker {
    /// Begins to tell; `what` is who is judged, and how.
    pub(super) fn begin(voice: Voice, what: &str) -> Self {
        let bar = match voice {
            Voice::Live => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            Voice::Silent | Voice::Lines => ProgressBar::hidden(),
        };
        if voice != Voice::Silent {
            output::remark(&format!("judging {what}"));
        }
        if voice == Voice::Live {
            bar.set_style(ProgressStyle::with_template("{spinner} {pos} requests, {wide_msg}").expect("well-formed"));
        }
        Self { voice, bar }
    }

    /// Tells of an exchange.
    pub(super) fn note(&self, exchange: &Exchange) {
        self.bar.inc(1);
        if self.voice == Voice::Live {
            let path = exchange.url.splitn(4, '/').nth(3).unwrap_or_default();
            self.bar.set_message(line(&format!("{} /{path}", exchange.method)).into_owned());
        }
    }

    /// Ends: how much was asked, and how long that took.
    pub(super) fn finish(&self, report: &Report) {
        let count = self.bar.position();
        self.bar.finish_and_clear();
        if self.voice != Voice::Silent {
            output::remark(&format!("judged after {count} requests in {:.1} s", report.elapsed.as_secs_f64()));
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
