//! Ctrl-C and its kin.

use super::failure::Problem;
use crate::error::Error;

/// What a process was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// To end.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only systems with Unix signals say so"))]
    Terminate,
    /// The terminal is gone.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only systems with Unix signals say so"))]
    HangUp,
}

/// Requests of the system, or of the person before it, to end. Who listens is not ended by them any more.
pub(super) struct Interrupts {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Interrupts {
    /// Listens for all of them; not for the end of the terminal where it was told to outlive that, as by `nohup`.
    #[cfg(unix)]
    pub(super) fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = match outlives_terminal() {
            true => None,
            false => Some(signal(SignalKind::hangup()).map_err(failed)?),
        };
        Ok(Self { hang_up, ..Self::besides_hangups()? })
    }

    /// Listens for those that are no [`Hangups`].
    #[cfg(unix)]
    pub(super) fn besides_hangups() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Self { interrupt, terminate, hang_up: None })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> Result<Self, Error> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub(super) fn besides_hangups() -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Waits for the next one. Dropping the wait loses nothing.
    pub(super) async fn next(&mut self) {
        self.which().await;
    }

    /// Waits for the next one, and says which it is. Dropping the wait loses nothing.
    #[cfg(unix)]
    pub(super) async fn which(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Terminate,
            () = received(&mut self.hang_up) => Asked::HangUp,
        }
    }

    /// Waits for the next one, and says which it is. Dropping the wait loses nothing.
    #[cfg(not(unix))]
    pub(super) async fn which(&mut self) -> Asked {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a way to be told, the process is ended from outside.
            std::future::pending::<()>().await;
        }
        Asked::Interrupt
    }
}

/// Does something until it is done, or until somebody wants it to end: then it is dropped where it is, and with it what it
/// has started.
///
/// # Errors
///
/// [`Problem::Interrupted`].
pub(super) async fn until<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        done = work => Ok(done),
        () = interrupts.next() => Err(Problem::Interrupted),
    }
}

/// Requests of the system to read files again (SIGHUP), where it has such. Who listens is not ended by them any more.
pub(super) struct Hangups {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Hangups {
    #[cfg(unix)]
    pub(super) fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { hangup: signal(SignalKind::hangup()).map_err(failed)? })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        self.hangup.recv().await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
fn failed(error: std::io::Error) -> Error {
    Error::io("listen for", "signals", error)
}

/// Waits for a signal, for ever where it is not listened for.
#[cfg(unix)]
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Says whether whoever started this process has it ignore the end of the terminal. Where the system does not say so in
/// a file, nobody has.
#[cfg(unix)]
fn outlives_terminal() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status))
}

/// Reads the mask of ignored signals out of what Linux says of a process: the lowest bit is that of signal 1, SIGHUP.
#[cfg(unix)]
fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn who_ignores_the_end_of_the_terminal_is_known() {
        for (status, ignored) in [
            ("Name:\ta\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigIgn:\tnone\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hang_up(status), ignored, "{status}");
        }
    }
}
