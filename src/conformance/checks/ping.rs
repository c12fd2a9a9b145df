//! end-1: is there a registry?

use http::StatusCode;

use super::super::Level;
use super::bench::{Bench, expect};
use super::rule::Rule;

pub(super) static STATUS: Rule = Rule::new(
    "ping.status",
    "end-1",
    Level::Must,
    "Determining Support",
    "`GET /v2/` is answered with 200, where credentials are asked for after they are given",
)
.unseen("it never looks at the status");

pub(super) static ALL: &[&Rule] = &[&STATUS];

/// Returns whether anybody answers at all.
pub(super) async fn run(bench: &Bench) -> bool {
    let answer = bench.get("/v2/").await;
    bench.check(&STATUS, async { expect(&answer, StatusCode::OK) }).await;
    answer.status.is_some()
}
