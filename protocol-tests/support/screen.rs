//! The tool on a terminal, and what that shows: a real pseudo-terminal, and a screen that is painted from its bytes.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroU16;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::pty::Winsize;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A tool at work and its terminal; dropping it kills the tool.
pub(crate) struct Screen {
    child: Child,
    near: File,
    arriving: UnboundedReceiver<Vec<u8>>,
    recording: Vec<u8>,
    painted: vt100::Parser,
}

impl Screen {
    /// Starts `command` with a terminal of so many columns for all of its streams.
    pub(crate) fn start(mut command: Command, columns: u16) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = nix::pty::openpty(Some(&size), None).expect("a terminal");
        let end = || Stdio::from(terminal.slave.try_clone().expect("another handle"));
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        // The command keeps handles of its own, and the terminal ends with the last of them.
        drop((command, terminal.slave));
        let near = File::from(terminal.master);
        let mut reader = near.try_clone().expect("another handle");
        let (sender, arriving) = unbounded_channel();
        tokio::task::spawn_blocking(move || {
            let mut chunk = [0; 4096];
            // The end of a terminal is an error.
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                if sender.send(chunk[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child: child.expect("the tool was built with its tests"),
            near,
            arriving,
            recording: Vec::new(),
            painted: vt100::Parser::new(length(ROWS), length(columns), 0),
        }
    }

    /// Makes the terminal wider or narrower.
    pub(crate) fn resize(&mut self, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.near, size).expect("a terminal");
        self.painted.screen_mut().set_size(length(ROWS), length(columns));
    }

    /// Waits until the screen shows these lines, and nothing else.
    pub(crate) async fn shows(&mut self, expected: &[&str]) {
        let mut frames = Vec::new();
        while self.lines() != expected {
            if frames.last() != Some(&self.lines()) {
                frames.push(self.lines());
            }
            let next = tokio::time::timeout(WATCHDOG, self.arriving.recv()).await;
            match next {
                Ok(Some(bytes)) => self.paint(&bytes),
                Ok(None) => panic!("the tool has ended without {expected:#?}: {frames:#?}"),
                Err(_) => panic!("nobody has seen {expected:#?}: {frames:#?}"),
            }
        }
    }

    /// Waits for the end of the tool; returns what stays on the screen, and all that was ever sent to it.
    pub(crate) async fn ends(mut self) -> (ExitStatus, Vec<String>, String) {
        let end = async {
            while let Some(bytes) = self.arriving.recv().await {
                self.paint(&bytes);
            }
            self.child.wait().await.expect("the tool was started")
        };
        let status = tokio::time::timeout(WATCHDOG, end).await.expect("the tool hangs");
        (status, self.lines(), String::from_utf8(self.recording).expect("the tool prints UTF-8"))
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("the tool still runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGINT).expect("it is ours");
    }

    fn paint(&mut self, bytes: &[u8]) {
        self.recording.extend_from_slice(bytes);
        self.painted.process(bytes);
    }

    /// Returns the lines of the screen, without what depends on the speed of the machine.
    fn lines(&self) -> Vec<String> {
        let screen = self.painted.screen();
        let rows = screen.rows(0, screen.size().1.get());
        let mut lines: Vec<_> = rows.map(|line| without_rate(line.trim_end())).collect();
        lines.truncate(lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1));
        lines
    }
}

fn length(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("a terminal that has any room")
}

/// Puts `RATE` into the place of a rate: `…, 1.25 MiB/s, …`, or `…, 1.25 MiB/s; …`.
pub(crate) fn without_rate(line: &str) -> String {
    let parts = line.split(", ").map(|part| match part.split_once("B/s") {
        Some((_, rest)) if rest.is_empty() || rest.starts_with(';') => format!("RATE{rest}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Lines of every terminal here: more than the tool ever says.
const ROWS: u16 = 24;
/// A frame that never comes must not hang the tests; nothing waits this long otherwise.
const WATCHDOG: Duration = Duration::from_secs(60);
