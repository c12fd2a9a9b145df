//! Several programs that belong together: what is asked of us is asked of them, and where one fails, all end.

use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use crate::cli::failure::Problem;
use crate::cli::interrupts::{Asked, Interrupts};
use crate::error::Error;

/// A trigger that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the `{kind}` trigger {}", how(*status))]
pub(crate) struct Ended {
    /// The type of the trigger.
    pub(crate) kind: String,
    /// How it ended.
    pub(crate) status: ExitStatus,
}

impl Ended {
    /// Returns the exit code that says the same about us: for a signal 128 and its number, as shells have it.
    pub(crate) fn code(&self) -> u8 {
        let code = self.status.code().or(signal(self.status).map(|signal| 128 + signal)).unwrap_or(1);
        u8::try_from(code).ok().filter(|code| *code != 0).unwrap_or(1)
    }
}

/// Starts programs and waits until all have ended.
///
/// The first Ctrl-C, or request to end, is passed on to them, and their end is waited for; the second one kills them.
/// Where one fails, the others are asked to end, and killed if they are still there a little later.
///
/// # Errors
///
/// [`Problem::Ended`] for the one that failed first; [`Problem::Transfer`] where one cannot be started: those that were
/// are then gone.
pub(crate) async fn supervise(commands: Vec<(String, Command)>, interrupts: &mut Interrupts) -> Result<(), Problem> {
    let mut running = FuturesUnordered::new();
    let mut running_ids = Vec::new();
    let kill = Arc::new(Notify::new());
    for (kind, mut command) in commands {
        let program = command.as_std().get_program().to_owned();
        let child = command.spawn().map_err(|error| Error::io("start", &program, error))?;
        running_ids.push((kind.clone(), child.id()));
        running.push(wait(kind, child, kill.clone()));
    }
    let mut first_failure = None;
    let mut asked = false;
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    loop {
        let ended = tokio::select! {
            ended = running.next() => ended,
            () = async { patience.as_mut().expect("only where there is one").await }, if patience.is_some() => {
                patience = None;
                kill.notify_waiters();
                continue;
            }
            interrupt = interrupts.which() => {
                if asked {
                    kill.notify_waiters();
                } else {
                    asked = true;
                    running_ids.iter().for_each(|(_, id)| pass_on(interrupt, *id, &kill));
                }
                continue;
            }
        };
        let Some((kind, status)) = ended else { break };
        // Its number may belong to another process from now on.
        running_ids.retain(|(other, _)| *other != kind);
        let status = status.map_err(|error| Error::io("wait for", &kind, error))?;
        if !status.success() && first_failure.is_none() {
            first_failure = Some(Ended { kind, status });
            if !asked {
                running_ids.iter().for_each(|(_, id)| pass_on(Asked::Terminate, *id, &kill));
                patience = Some(Box::pin(sleep(PATIENCE)));
            }
        }
    }
    first_failure.map_or(Ok(()), |ended| Err(ended.into()))
}

/// Waits for the end of a program, which comes at once when it is to be killed.
async fn wait(kind: String, mut child: Child, kill: Arc<Notify>) -> (String, io::Result<ExitStatus>) {
    let status = tokio::select! {
        status = child.wait() => status,
        () = kill.notified() => match child.kill().await {
            Ok(()) => child.wait().await,
            Err(error) => Err(error),
        },
    };
    (kind, status)
}

#[cfg(unix)]
fn pass_on(interrupt: Asked, id: Option<u32>, _: &Notify) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match interrupt {
        Asked::Interrupt => Signal::INT,
        Asked::Terminate => Signal::TERM,
        Asked::HangUp => Signal::HUP,
    };
    let Some(id) = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else { return };
    // One that ends at this moment needs no signal.
    let _ = kill_process(id, signal);
}

/// Ctrl-C reaches all programs of a console; who is to end otherwise can only be killed.
#[cfg(not(unix))]
fn pass_on(interrupt: Asked, _: Option<u32>, kill: &Notify) {
    if interrupt == Asked::Terminate {
        kill.notify_waiters();
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

fn how(status: ExitStatus) -> String {
    match (status.code(), signal(status)) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not end well".to_owned(),
    }
}

/// How long those that are asked to end because another one has failed may take: longer than a server needs to answer what
/// it was asked, shorter than people wait for a prompt.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn exit_codes_are_passed_on() {
        for (raw, code, said) in [
            (3 << 8, 3, "the `http` trigger ended with exit code 3"),
            (2, 130, "the `http` trigger was ended by signal 2"),
            (15, 143, "the `http` trigger was ended by signal 15"),
        ] {
            let ended = Ended { kind: "http".to_owned(), status: ExitStatus::from_raw(raw) };
            assert_eq!((ended.code(), ended.to_string()), (code, said.to_owned()));
        }
    }
}
