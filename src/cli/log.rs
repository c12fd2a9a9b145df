//! Logging, for finding out what went wrong.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::misuse::Misuse;

/// Logs to standard error from now on.
///
/// Only this crate's own records are ever written: its types cannot print secrets, those of the libraries below can.
///
/// # Errors
///
/// [`Misuse::LogLevel`] where the text names no level.
pub(super) fn start(text: &str) -> Result<(), Misuse> {
    let targets = targets(text)?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    // Only one of these can be first; a program that uses this as a library may have set its own.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
    Ok(())
}

/// Reads `LEVEL` and `MODULE=LEVEL`, separated by commas; modules are this crate's.
fn targets(text: &str) -> Result<Targets, Misuse> {
    let level = |text: &str| match text.trim() {
        // Which the library would take for `error`.
        "" => Err(Misuse::LogLevel(String::new())),
        word => word.parse::<LevelFilter>().map_err(|_| Misuse::LogLevel(word.to_owned())),
    };
    let mut targets = Targets::new();
    for word in text.split(',') {
        targets = match word.split_once('=') {
            None => targets.with_target(CRATE, level(word)?),
            Some((module, word)) => {
                let module = module.trim();
                let module = module.strip_prefix(CRATE).and_then(|rest| rest.strip_prefix("::")).unwrap_or(module);
                targets.with_target(format!("{CRATE}::{module}"), level(word)?)
            }
        };
    }
    Ok(targets)
}

const CRATE: &str = env!("CARGO_CRATE_NAME");

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn only_our_own_records_are_let_through() {
        let enabled = |text, target| targets(text).expect(text).would_enable(target, &Level::DEBUG);
        for (text, target, expected) in [
            ("debug", "spinreg::transport::retry", true),
            ("debug", "hyper::proto::h1", false),
            ("info", "spinreg::transport", false),
            ("info,transport=debug", "spinreg::transport::retry", true),
            ("info, spinreg::auth=trace", "spinreg::auth", true),
            ("info,auth=trace", "spinreg::transport", false),
            ("hyper=trace", "hyper::proto::h1", false),
            ("off", "spinreg", false),
        ] {
            assert_eq!(enabled(text, target), expected, "{text} {target}");
        }
        for text in ["", "loud", "auth=", "info,"] {
            assert!(targets(text).is_err(), "{text}");
        }
    }
}
