//! The table of a race.

use std::collections::BTreeMap;

use crate::measure::Cost;

/// What was measured: for each step, in order, and each tool the costs of its rounds and the requests of the last.
#[derive(Default)]
pub struct Table {
    steps: Vec<&'static str>,
    cells: BTreeMap<(usize, usize), (Vec<Cost>, Option<u64>)>,
}

impl Table {
    /// Takes note of one round.
    pub fn add(&mut self, step: &'static str, tool: usize, cost: Cost, requests: Option<u64>) {
        let column = self.steps.iter().position(|known| *known == step).unwrap_or_else(|| {
            self.steps.push(step);
            self.steps.len() - 1
        });
        let cell = self.cells.entry((tool, column)).or_default();
        cell.0.push(cost);
        cell.1 = requests;
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[&'static str] {
        &self.steps
    }

    /// How many tools there may be: one more than the last that was measured.
    pub fn tools(&self) -> usize {
        self.cells.keys().map(|(tool, _)| tool + 1).max().unwrap_or_default()
    }

    /// What a step of a tool took: the middle of the rounds.
    pub fn measured(&self, tool: usize, step: &str) -> Option<Measured> {
        let column = self.steps.iter().position(|known| *known == step)?;
        let (costs, requests) = self.cells.get(&(tool, column))?;
        let of = |value: fn(&Cost) -> f64| median(costs.iter().map(value).collect());
        let (wall, cpu, peak) = (of(|cost| cost.wall), of(|cost| cost.cpu), of(|cost| cost.peak));
        Some(Measured { wall, cpu, peak, requests: *requests })
    }

    /// Renders it as Markdown. The first tool is the yardstick: the others' times are multiples of its own.
    pub fn markdown(&self, names: &[&str]) -> String {
        let mut text = format!("| | {} |\n|---|{}\n", self.steps.join(" | "), "---|".repeat(self.steps.len()));
        for (tool, name) in names.iter().enumerate() {
            let cells: Vec<String> = (0..self.steps.len()).map(|column| self.cell(tool, column)).collect();
            if cells.iter().any(|cell| cell != NOTHING) {
                text += &format!("| {name} | {} |\n", cells.join(" | "));
            }
        }
        text
    }

    fn cell(&self, tool: usize, column: usize) -> String {
        let step = self.steps[column];
        let Some(Measured { wall, cpu, peak, requests }) = self.measured(tool, step) else { return NOTHING.to_owned() };
        let wall = match self.measured(0, step) {
            Some(yard) if tool > 0 => format!("{:.2}", wall / yard.wall),
            _ => format!("{wall:.3} s"),
        };
        let requests = requests.map_or_else(String::new, |n| format!(" · {n}"));
        format!("{wall} · {cpu:.3} · {peak:.0}{requests}")
    }
}

/// What a step of a tool took.
pub struct Measured {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of processor time.
    pub cpu: f64,
    /// The largest resident size, in MiB.
    pub peak: f64,
    /// Requests of the last round, where the registry counts them.
    pub requests: Option<u64>,
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }
}

const NOTHING: &str = "–";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_rounds_counts_and_times_are_multiples_of_the_first() {
        let mut table = Table::default();
        let cost = |wall| Cost { wall, cpu: 0.5, peak: 10.0 };
        for (tool, walls) in [(0, [1.0, 9.0, 2.0]), (1, [3.0, 5.0, 4.0])] {
            for wall in walls {
                table.add("push", tool, cost(wall), Some(7));
            }
        }
        let expected = "| | push |\n|---|---|\n| yard | 2.000 s · 0.500 · 10 · 7 |\n| ours | 2.00 · 0.500 · 10 · 7 |\n";
        assert_eq!(table.markdown(&["yard", "ours", "absent"]), expected);
    }
}
