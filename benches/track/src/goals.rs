//! What spinreg is meant to reach, and whether it did.

use crate::registry::Make;
use crate::table::{Measured, Table};
use crate::tools;
use crate::workload::Workload;

/// How a race was set up, as far as goals depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Against which registry.
    pub registry: Make,
    /// Milliseconds of round trip to it.
    pub rtt_ms: Option<u64>,
    /// Whether over TLS.
    pub tls: bool,
}

/// The heading of what [`rows`] makes.
pub const HEADING: &str = "| what | goal | measured | | what limits it |\n|---|---|---|---|---|";

/// Compares what was measured with the goals, a row of Markdown for each. `blobs` is how many the application has.
pub fn rows(track: Track, workload: Workload, blobs: u64, table: &Table) -> Vec<String> {
    let mut rows = Vec::new();
    for step in table.steps() {
        let Some(ours) = table.measured(OURS, step) else { continue };
        let name = format!("{}: {step}", workload.name().to_uppercase());
        let mut row = |goal: String, measured: String, met: bool, limit: &str| {
            let met = if met { "met" } else { "**not met**" };
            rows.push(format!("| {name} | {goal} | {measured} | {met} | {limit} |"));
        };
        let yard = table.measured(YARDSTICK, step);
        if let (Some((most, limit)), Some(yard)) = (wall(track, workload, step), &yard) {
            let times = ours.wall / yard.wall;
            row(format!("at most {most:.2} of curl's time"), format!("{times:.2}"), times <= most, limit);
        }
        let compares = |tool: &usize| {
            let name = tools::ALL[*tool].name;
            !(name.starts_with("spinreg") || step.starts_with("push") && BELIEVING.contains(&name))
        };
        let peers = (PEERS..table.tools()).filter(compares).filter_map(|tool| table.measured(tool, step));
        if let Some(least) = peers.map(|peer| peer.cpu).min_by(f64::total_cmp) {
            let goal = format!("below every peer's {least:.3} s of CPU");
            row(
                goal,
                format!("{:.3} s", ours.cpu),
                ours.cpu < least,
                "hashing; `crane` and `oras cp`, which push without it, are no measure",
            );
        }
        row(
            "at most 16 MiB".to_owned(),
            format!("{:.1} MiB", ours.peak),
            ours.peak <= 16.0,
            "half of it is the program",
        );
        if let (Some(most), Measured { requests: Some(sent), .. }) = (requests(step, blobs), &ours) {
            row(format!("at most {most} requests"), sent.to_string(), *sent <= most, "–");
        }
    }
    rows
}

/// The time that a step may take, as a multiple of curl's, and what takes it.
fn wall(track: Track, workload: Workload, step: &str) -> Option<(f64, &'static str)> {
    use Make::{Distribution, Idle};
    use Workload::{W1, W2, W3};
    let (most, limit) = match (track.registry, track.rtt_ms, workload, step) {
        (Idle, None, W1, "pull") => (1.15, "writing, and the hand-over between threads"),
        (Idle, None, W1, "push") => (1.50, "SHA-256 of all of it"),
        (Distribution, None, W1, "pull") => (1.15, "writing, and the registry's reading"),
        (Distribution, None, W1, "push") => (1.10, "SHA-256 of all of it, at both ends"),
        (Idle, None, W2, "pull") => (0.60, "flushing"),
        (Idle, None, W2, "push") => (0.75, "SHA-256 of all of it"),
        (Idle, None, W3, "pull") => (1.20, "two files are made for each blob, by name and by rename; flushing"),
        (Idle, None, W3, "push") => (1.00, "system calls for each request"),
        (Distribution, Some(30), W2, "pull" | "push") => (1.00, "round trips, and the gigabit"),
        (Distribution, Some(30), W3, "pull") => (1.00, "round trips, and the registry"),
        (Distribution, Some(30), W3, "push") => (0.80, "round trips, and the registry"),
        _ => return None,
    };
    Some((most, limit)).filter(|_| !track.tls)
}

/// How many requests a step may take.
fn requests(step: &str, blobs: u64) -> Option<u64> {
    match step {
        "push" => Some(2 * blobs + 3),
        "pull" => Some(blobs + 1),
        "push, nothing changed (W4)" | "pull, nothing changed (W4)" => Some(1),
        "push, one asset changed (W5)" => Some(8),
        "pull, one asset changed (W5)" => Some(3),
        _ => None,
    }
}

/// The places of the tools: see [`crate::tools::ALL`].
const YARDSTICK: usize = 0;
const OURS: usize = 1;
/// After `spinreg copy`.
const PEERS: usize = 3;
/// Those that push without hashing, because they believe an image layout.
const BELIEVING: [&str; 2] = ["crane", "oras cp"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Cost;

    #[test]
    fn every_goal_of_a_step_has_its_row() {
        let mut table = Table::default();
        let cost = |wall, cpu, peak| Cost { wall, cpu, peak };
        table.add("push", YARDSTICK, cost(1.0, 0.5, 10.0), Some(130));
        table.add("push", OURS, cost(0.7, 0.4, 17.0), Some(131));
        table.add("push", PEERS, cost(2.0, 0.5, 10.0), Some(200));
        let track = Track { registry: Make::Idle, rtt_ms: None, tls: false };
        let met: Vec<String> = rows(track, Workload::W2, 64, &table)
            .iter()
            .map(|row| row.split(" | ").skip(1).take(3).collect::<Vec<_>>().join(": "))
            .collect();
        assert_eq!(
            met,
            [
                "at most 0.75 of curl's time: 0.70: met",
                "below every peer's 0.500 s of CPU: 0.400 s: met",
                "at most 16 MiB: 17.0 MiB: **not met**",
                "at most 131 requests: 131: met",
            ]
        );
        assert_eq!(
            rows(Track { tls: true, ..track }, Workload::W2, 64, &table).len(),
            3,
            "curl's goals are without TLS"
        );
    }
}
