//! Upload sessions that failed steps, or an interruption, leave open: the judge gives them up, and names those it cannot.

use std::sync::Arc;

use spinreg::conformance::{Report, run};
use tokio::sync::Notify;

use crate::support::files_below;
use crate::support::front::{Front, Meddle};
use crate::support::judged::{judge, probe, settings};
use crate::support::registry::Embedded;
use crate::support::reply::Reply;

/// Returns the files of upload sessions that the registry keeps.
fn kept(registry: &Embedded) -> Vec<String> {
    let files = files_below(registry.root()).into_iter().map(|path| path.display().to_string());
    files.filter(|path| path.contains("/.spinreg/") && path.contains("session")).collect()
}

/// Says what a report leaves behind.
fn left(report: &Report) -> (usize, usize) {
    (report.leftovers.len(), report.sessions.len())
}

#[tokio::test]
async fn sessions_of_failed_steps_are_given_up() {
    let registry = Embedded::start().await;
    let refused = vec![Meddle::Instead(Reply::refusal(500, "UNKNOWN", "not today")); 2000];
    let front = Front::before(registry.address()).meddle("PUT /v2/*/blobs/uploads/*", refused).start().await;
    let report = judge(&front.registry(), &[("OCI_VERSION", "stable")]).await;
    let opened =
        registry.wire().lines().iter().filter(|line| line.starts_with("POST ") && line.ends_with(" 202")).count();
    assert!(opened > 50, "only {opened} sessions were opened");
    assert_eq!(left(&report), (0, 0));
    assert_eq!(kept(&registry), Vec::<String>::new());
}

#[tokio::test]
async fn sessions_that_cannot_be_given_up_are_named() {
    let registry = Embedded::start().await;
    let refused = |status| vec![Meddle::Instead(Reply::refusal(status, "UNSUPPORTED", "not today")); 2000];
    let front = Front::before(registry.address())
        .meddle("PUT /v2/*/blobs/uploads/*", refused(500))
        .meddle("DELETE /v2/*/blobs/uploads/*", refused(405))
        .start()
        .await;
    let filter = "sha256 blobs/post+put";
    let report = judge(&front.registry(), &[("OCI_FILTER_TEST", filter)]).await;
    assert_eq!(report.sessions.len(), kept(&registry).len());
    let expected = format!("http://{}/v2/conformance/repo1/blobs/uploads/", front.registry());
    assert!(
        !report.sessions.is_empty() && report.sessions.iter().all(|place| place.starts_with(&expected)),
        "{report:?}"
    );
}

#[tokio::test]
async fn an_interrupted_run_gives_up_its_sessions() {
    let registry = Embedded::start().await;
    let reached = Arc::new(Notify::new());
    let front = Front::before(registry.address())
        .meddle("PATCH /v2/*/blobs/uploads/*", [Meddle::Leave, Meddle::Hold(reached.clone())])
        .start()
        .await;
    let settings = settings(&front.registry(), &[("OCI_FILTER_TEST", "sha256 blobs/chunked")]);
    let report = run(&settings, &probe(&front.registry(), |_| ()), reached.notified()).await;
    assert_eq!(report.aborted.as_deref(), Some("interrupted"));
    assert_eq!(left(&report), (0, 0));
    assert_eq!(kept(&registry), Vec::<String>::new());
}
