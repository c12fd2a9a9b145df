//! What one process costs.

use std::io::{Error, Result};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// What a command took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of processor time, the system's share included.
    pub cpu: f64,
    /// The largest resident size, in MiB.
    pub peak: f64,
}

impl Cost {
    /// Adds what a second command took after the first.
    pub fn then(self, next: Self) -> Self {
        Self { wall: self.wall + next.wall, cpu: self.cpu + next.cpu, peak: self.peak.max(next.peak) }
    }
}

/// Runs `command` and says what it cost, on the last line of standard error.
pub fn measure(command: &[String]) -> ExitCode {
    let (program, arguments) = command.split_first().expect("clap asks for one word at least");
    let started = Instant::now();
    let status = match Command::new(program).args(arguments).status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("{program}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let wall = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system counts");
    let cpu = (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6;
    eprintln!("{MARK}{wall} {cpu} {}", usage.max_rss() as f64 / 1024.0);
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs `command` through a second process of this program.
///
/// # Errors
///
/// Where it does not start or fails; with all that it printed.
pub fn cost(command: &Command) -> Result<Cost> {
    let mut through = Command::new(std::env::current_exe()?);
    through.arg("measure").arg("--").arg(command.get_program()).args(command.get_args());
    through.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        through.current_dir(directory);
    }
    let output = through.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let heard = String::from_utf8_lossy(&output.stdout);
        return Err(Error::other(format!("{command:?} failed:\n{heard}{said}")));
    }
    let line = said.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let numbers: Vec<f64> = line.into_iter().flat_map(str::split_whitespace).filter_map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [wall, cpu, peak] => Ok(Cost { wall, cpu, peak }),
        _ => Err(Error::other(format!("{command:?} was not measured:\n{said}"))),
    }
}

/// What the line of the figures begins with.
const MARK: &str = "track measured: ";
