//! The live line of the progress: as much as the terminal has room for, the most important first.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{HumanBytes, ProgressState, ProgressStyle};
use terminal_size::{Width, terminal_size_of};

use super::tally::Tally;

/// Says whether the terminal can draw a line anew. One that cannot gets lasting lines.
pub(super) fn can_be_drawn() -> bool {
    cfg!(windows) || std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

/// Returns how the line looks while nobody knows how much there is to move: its message.
pub(super) fn unplanned() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template that is well-formed")
}

/// Returns how the line looks while bytes move.
pub(super) fn planned(tally: Arc<Mutex<Tally>>) -> ProgressStyle {
    let style = ProgressStyle::with_template("[{bar:12}] {moved}").expect("a template that is well-formed");
    style.progress_chars("=> ").with_key("moved", move |state: &ProgressState, out: &mut dyn Write| {
        // Asked each time: people change the width of their windows.
        let width = terminal_size_of(io::stderr()).map_or(USUAL_WIDTH, |(Width(columns), _)| usize::from(columns));
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = format!("{} of {}", HumanBytes(tally.position()), HumanBytes(tally.total()));
        // A rate for people: whole bytes are exact enough.
        let rate = format!("{}/s", HumanBytes(state.per_sec() as u64));
        let parts = [Some(bytes), Some(rate), Some(tally.blobs()), tally.newest()];
        // Nobody hears of it where a terminal cannot be written.
        let _written = out.write_str(&fitting(width.saturating_sub(BAR), parts.into_iter().flatten()));
    })
}

/// Joins the first parts, as many as there is room for; the first one in any case.
fn fitting(room: usize, parts: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    for part in parts {
        if line.is_empty() {
            line = part;
        } else if line.chars().count() + ", ".len() + part.chars().count() < room {
            line.push_str(", ");
            line.push_str(&part);
        } else {
            break;
        }
    }
    line
}

/// Columns that the bar takes, with its brackets and the space behind it.
const BAR: usize = 15;
/// Columns of a terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_line_has_the_most_important_parts() {
        let parts = || ["1.00 MiB of 3.00 MiB", "512 B/s", "1 of 2 blobs", "sha256:0…"].into_iter().map(str::to_owned);
        for (room, expected) in [
            (1, "1.00 MiB of 3.00 MiB"),
            (29, "1.00 MiB of 3.00 MiB"),
            (30, "1.00 MiB of 3.00 MiB, 512 B/s"),
            (44, "1.00 MiB of 3.00 MiB, 512 B/s, 1 of 2 blobs"),
            (105, "1.00 MiB of 3.00 MiB, 512 B/s, 1 of 2 blobs, sha256:0…"),
        ] {
            assert_eq!(fitting(room, parts()), expected, "{room}");
        }
    }
}
