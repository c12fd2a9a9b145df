//! One run: the official steps, then the precise checks.

use std::pin::pin;

use tokio::time::Instant;

use super::checks::{Grounds, Means, check};
use super::official;
use super::probe::Probe;
use super::record::{Finding, Report};
use super::settings::Settings;

/// Judges a registry. What is pushed is removed in the end, and upload sessions that steps left open are given up, also
/// where the run ends early; what stays is listed, and so is what may have opened a session that no answer named.
///
/// The run ends early once `interrupted` is done, and where nobody answers: [`Report::aborted`] says so.
///
/// **Requests**: some 1 400 for the official steps with everything switched on, and some 600 for the precise checks, one
/// after the other.
pub async fn run(settings: &Settings, probe: &Probe, interrupted: impl Future<Output = ()>) -> Report {
    let started = Instant::now();
    let seed = settings.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut interrupted = pin!(interrupted);
    let probe = &probe.journaled();
    let mut report = Box::pin(official::run(settings, probe, seed, interrupted.as_mut())).await;
    probe.scene();
    // Steps that were chosen by their names are asked for alone, and nobody answers twice.
    if report.aborted.is_none() && settings.filter.is_empty() {
        let means = if settings.apis.push { Means::Push } else { Means::Read };
        let grounds = Grounds { repository: settings.repo1.clone(), other: settings.repo2.clone(), means };
        let found = Box::pin(check(probe, &grounds, interrupted)).await;
        report.findings = found.findings;
        report
            .findings
            .iter_mut()
            .filter(|finding| is_asked(finding, settings))
            .for_each(|finding| finding.differs = None);
        report.leftovers.extend(found.leftovers);
        (report.sessions, report.journal) = (found.sessions, found.journal);
    } else {
        report.journal = probe.journal();
        report.sessions = probe.give_up().await;
    }
    report.unnamed = probe.unnamed();
    report.elapsed = started.elapsed();
    report
}

/// Says whether the official suite asks for the header that a check is about, as it does where the settings say so.
fn is_asked(finding: &Finding, settings: &Settings) -> bool {
    match finding.check.id {
        "blob.digest-header" | "upload.digest-header" => settings.apis.blobs.digest_header,
        "manifest.digest-header" => settings.apis.manifests.digest_header,
        _ => false,
    }
}
