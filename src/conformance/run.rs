//! One run: the official steps, then the precise checks.

use tokio::time::Instant;

use super::official;
use super::probe::Probe;
use super::record::Report;
use super::settings::Settings;

/// Judges a registry. What is pushed is removed in the end, also where the run ends early; what stays is listed.
///
/// The run ends early once `interrupted` is done, and where nobody answers: [`Report::aborted`] says so.
///
/// **Requests**: some 1 400 for the official steps with everything switched on, one after the other.
pub async fn run(settings: &Settings, probe: &Probe, interrupted: impl Future<Output = ()>) -> Report {
    let started = Instant::now();
    let seed = settings.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut report = official::run(settings, probe, seed, interrupted).await;
    report.elapsed = started.elapsed();
    report
}
