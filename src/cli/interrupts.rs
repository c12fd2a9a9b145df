//! Ctrl-C and its kin.

use super::failure::Problem;
use crate::error::Error;

/// What a process was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// Ctrl-C.
    Interrupt,
    /// To end.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only systems with Unix signals say so"))]
    Terminate,
}

/// Requests of the system, or of the person before it, to end. Who listens is not ended by them any more.
pub(super) struct Interrupts {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interrupts {
    #[cfg(unix)]
    pub(super) fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Error::io("listen for", "signals", error);
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Self { interrupt, terminate })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Waits for the next one. Dropping the wait loses nothing.
    pub(super) async fn next(&mut self) {
        self.which().await;
    }

    /// Waits for the next one, and says which it is. Dropping the wait loses nothing.
    #[cfg(unix)]
    pub(super) async fn which(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupt::Interrupt,
            _ = self.terminate.recv() => Interrupt::Terminate,
        }
    }

    /// Waits for the next one, and says which it is. Dropping the wait loses nothing.
    #[cfg(not(unix))]
    pub(super) async fn which(&mut self) -> Interrupt {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a way to be told, the process is ended from outside.
            std::future::pending::<()>().await;
        }
        Interrupt::Interrupt
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
        let hangup = signal(SignalKind::hangup()).map_err(|error| Error::io("listen for", "signals", error))?;
        Ok(Self { hangup })
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
