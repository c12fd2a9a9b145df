//! `docs/conformance-verdicts.md`: what it says of a registry is what the tools said just now. `SPINREG_BLESS=1` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::support::root;

/// Registries whose answers to a check are a matter of luck.
const AT_TIMES: [(&str, &str); 1] = [("olareg", "referrer.concurrent")];

/// Holds the column of a registry; `which` is 0 for the defaults and 1 for everything.
pub(super) fn hold_verdicts(heading: &str, which: usize, verdicts: &BTreeMap<&str, &str>) {
    hold(heading, |text| {
        let (before, after) = text.split_once(CHECKS).expect("a table of checks");
        let mut column = 0;
        let line = |line: &str| {
            let Some(mut cells) = cells(line) else { return line.to_owned() };
            if let Some(found) = cells.iter().position(|cell| cell.starts_with(heading)) {
                column = found;
            } else if column > 0 && !cells[0].starts_with("---") {
                let (stable, everything) = cells[column].split_once(" / ").unwrap_or(("", ""));
                let mut words = [stable, everything].map(str::to_owned);
                words[which] = (*verdicts.get(cells[0].as_str()).unwrap_or(&"–")).to_owned();
                cells[column] = words.join(" / ");
            }
            row(&cells)
        };
        let held: Vec<String> = before.lines().map(line).collect();
        let missing: Vec<_> = verdicts.keys().filter(|label| !before.contains(&format!("| {label} |"))).collect();
        assert!(missing.is_empty(), "the page has no line for {missing:?}");
        format!("{}\n{CHECKS}{after}", held.join("\n"))
    });
}

/// Holds the column of a registry in the table of broken checks: which are broken, and what the official suite says there.
pub(super) fn hold_checks(heading: &str, report: &Value) {
    let checks: Vec<&Value> = report["checks"].as_array().expect("a list").iter().collect();
    let broken = checks.iter().filter(|check| check["outcome"] == "broken");
    let mut found: BTreeMap<&str, (BTreeSet<&str>, &Value)> = BTreeMap::new();
    for check in broken {
        let (algorithms, _) = found.entry(text(&check["id"])).or_insert_with(|| (BTreeSet::new(), check));
        algorithms.insert(check["algorithm"].as_str().unwrap_or_default());
    }
    for (_, id) in AT_TIMES.iter().filter(|(lucky, _)| *lucky == heading) {
        let check = checks.iter().find(|check| check["id"] == *id).expect("a check");
        found.insert(id, (BTreeSet::new(), check));
    }
    hold(heading, |page| {
        let (before, rest) = page.split_once(CHECKS).expect("a table of checks");
        let (table, after) = rest.split_once("\n\n").expect("an end of the table");
        let mut lines = table.lines().map(|line| cells(line).expect("a row"));
        let head = lines.next().expect("headings");
        let column = head.iter().position(|cell| cell.starts_with(heading)).expect("a column of the registry");
        let mut rows: BTreeMap<String, Vec<String>> = lines.skip(1).map(|cells| (cells[0].clone(), cells)).collect();
        for cells in rows.values_mut() {
            cells[column].clear();
        }
        for (id, (algorithms, check)) in &found {
            let fresh = || {
                let mut cells = vec![String::new(); head.len()];
                (cells[0], cells[1]) = (format!("`{id}`"), text(&check["level"]).to_owned());
                cells[head.len() - 1] = "the same".to_owned();
                cells
            };
            let cells = rows.entry(format!("`{id}`")).or_insert_with(fresh);
            let algorithms: Vec<&str> = algorithms.iter().copied().collect();
            cells[column] = match algorithms[..] {
                [] => "at times".to_owned(),
                ["sha512"] => "sha512".to_owned(),
                _ => "broken".to_owned(),
            };
            // Where another registry has the check broken as well, its reason is as good.
            let is_alone = cells[2..head.len() - 1].iter().filter(|cell| !cell.is_empty()).count() == 1;
            let is_lucky = AT_TIMES.contains(&(heading, id));
            match check["differs"].as_str() {
                Some(why) => cells[head.len() - 1] = why.to_owned(),
                None if is_alone && !is_lucky => cells[head.len() - 1] = "the same".to_owned(),
                None => (),
            }
        }
        rows.retain(|_, cells| cells[2..head.len() - 1].iter().any(|cell| !cell.is_empty()));
        let rows: Vec<String> = rows.values().map(|cells| row(cells)).collect();
        let line = "|---".repeat(head.len());
        format!("{before}{CHECKS}{}\n{line}|\n{}\n\n{after}", row(&head), rows.join("\n"))
    });
}

/// Holds how many steps fail, and how many of them not because of another.
pub(super) fn hold_causes(heading: &str, report: &Value) {
    let steps = report["steps"].as_array().expect("a list");
    let failing: Vec<&Value> = steps.iter().filter(|step| ["FAIL", "Error"].contains(&text(&step["status"]))).collect();
    let causes = failing.iter().filter(|step| step.get("blocked_by").is_none()).count();
    hold(heading, |page| {
        let (before, after) = page.split_once(CAUSES).expect("a table of causes");
        let line = |line: &str| match cells(line) {
            Some(mut cells) if cells[0].starts_with(heading) => {
                (cells[1], cells[2]) = (failing.len().to_string(), causes.to_string());
                row(&cells)
            }
            _ => line.to_owned(),
        };
        assert!(after.contains(&format!("| {heading}")), "the page says no causes of {heading}");
        format!("{before}{CAUSES}{}\n", after.lines().map(line).collect::<Vec<_>>().join("\n"))
    });
}

/// Has `write` put into the page what was found, which must change nothing; nobody else writes meanwhile.
fn hold(heading: &str, write: impl FnOnce(&str) -> String) {
    static PAGE: Mutex<()> = Mutex::new(());
    let _alone = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = root("docs/conformance-verdicts.md");
    let page = std::fs::read_to_string(&path).expect("a page of the docs");
    let held = write(&page);
    if std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path, held).expect("a file of the crate");
        return;
    }
    let differing: Vec<String> = page
        .lines()
        .filter(|line| !held.lines().any(|found| found == *line))
        .map(|line| format!("- {line}"))
        .chain(held.lines().filter(|line| !page.lines().any(|said| said == *line)).map(|line| format!("+ {line}")))
        .collect();
    let told = differing.join("\n");
    assert!(page == held, "the page says otherwise of {heading}; `SPINREG_BLESS=1` writes it anew:\n{told}");
}

/// Returns the cells of a row of a table.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect())
}

fn row(cells: &[String]) -> String {
    if cells[0].starts_with("---") {
        return format!("|{}|", cells.join("|"));
    }
    let cells: String =
        cells.iter().map(|cell| if cell.is_empty() { " |".to_owned() } else { format!(" {cell} |") }).collect();
    format!("|{cells}")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// What stands before the table of broken checks.
const CHECKS: &str = "<!-- checks -->\n";
/// What stands before the table of causes.
const CAUSES: &str = "<!-- causes -->\n";
