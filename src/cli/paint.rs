//! Colours for pages of text, where standard output is a terminal that wants them.

use anstyle::{AnsiColor, Style};

use crate::conformance::report::{Tone, plain};

/// Returns what paints for standard output as it is.
pub(super) fn painter() -> fn(Tone, &str) -> String {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => plain,
        _ => coloured,
    }
}

fn coloured(tone: Tone, text: &str) -> String {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let style = match tone {
        Tone::Good => colour(AnsiColor::Green),
        Tone::Bad => colour(AnsiColor::Red).bold(),
        Tone::Fair => colour(AnsiColor::Yellow),
        Tone::Strong => Style::new().bold(),
        Tone::Faint => Style::new().dimmed(),
    };
    format!("{style}{text}{style:#}")
}
