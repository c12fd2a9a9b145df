//! The run as text, for people at a terminal.

use std::fmt::Write as _;

use super::causes::{Cause, causes};
use super::groups::{self, alike};
use super::matrix::Matrix;
use super::outcome::{Strictness, Verdict};
use super::script::reproduce;
use crate::conformance::{Comparison, DataSet, Exchange, Finding, Kind, Level, Outcome, Report, Row, Status, Step};
use crate::model::printable::{block, line};

/// How a piece of text is meant, for who paints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Something is broken.
    Bad,
    /// Something that people may want to know.
    Fair,
    /// A heading.
    Strong,
    /// Nothing to look at.
    Faint,
}

/// Paints nothing.
pub fn plain(_: Tone, text: &str) -> String {
    text.to_owned()
}

/// Writes the verdict in one line, the tables of the APIs and the data sets, and what failed with its cause and the lines that
/// show it again: the first failures, and those that say the same once. `whole` is what shows the others, as in
/// "`report.html`". Nothing that a peer has sent moves the cursor.
pub fn text(report: &Report, strictness: Strictness, whole: &str, paint: fn(Tone, &str) -> String) -> String {
    let mut page = Page { out: String::new(), paint, report, strictness, whole };
    page.verdict();
    page.apis();
    page.data();
    page.failures();
    page.checks();
    page.ending();
    page.out
}

/// Writes verdicts beside those of the file `name`.
pub fn text_compared(comparison: &Comparison, name: &str, paint: fn(Tone, &str) -> String) -> String {
    let count = comparison.differences().count();
    let outcome = match count {
        0 => paint(Tone::Good, "every verdict is the same"),
        1 => paint(Tone::Bad, "1 verdict differs"),
        n => paint(Tone::Bad, &format!("{n} verdicts differ")),
    };
    let mut out = format!("\nCompared with {}: {outcome}\n\n", line(name));
    let head = format!("  {:<32}  {:<8}  {}", "", "here", "there");
    let _ = writeln!(out, "{}", paint(Tone::Strong, head.trim_end()));
    // Of the many checks only those that say something.
    let worth = |row: &&Row| row.kind != Kind::Check || row.here != row.there;
    for row in comparison.rows.iter().filter(worth) {
        let mark = if row.here == row.there { " " } else { "≠" };
        let words = [row.here, row.there].map(|status| word(status, paint));
        let _ = writeln!(out, "{mark} {:<32}  {}  {}", line(&row.label), words[0], words[1].trim_end());
    }
    out.push_str(&strangers(comparison));
    out
}

/// Writes what has become worse than in the file `name`.
pub fn text_regressed(comparison: &Comparison, name: &str, paint: fn(Tone, &str) -> String) -> String {
    let rows: Vec<&Row> = comparison.regressions().collect();
    let outcome = match rows.len() {
        0 => paint(Tone::Good, "no regressions"),
        1 => paint(Tone::Bad, "1 regression"),
        n => paint(Tone::Bad, &format!("{n} regressions")),
    };
    let mut out = format!("\nMeasured by {}: {outcome}\n", line(name));
    for row in rows {
        let here = paint(Tone::Bad, row.here.as_str());
        let _ = writeln!(out, "  {} ({}): {here}, and was {}", line(&row.label), row.kind.as_str(), row.there);
    }
    out.push_str(&strangers(comparison));
    out
}

fn strangers(comparison: &Comparison) -> String {
    let mut out = String::new();
    for label in &comparison.strangers {
        let _ = writeln!(out, "  `{}` is not known here and does not count", line(label));
    }
    out
}

struct Page<'a> {
    out: String,
    paint: fn(Tone, &str) -> String,
    report: &'a Report,
    strictness: Strictness,
    /// Where everything is told.
    whole: &'a str,
}

impl Page<'_> {
    fn verdict(&mut self) {
        let report = self.report;
        let verdict = report.verdict(self.strictness);
        let tone = if verdict == Verdict::Passed { Tone::Good } else { Tone::Bad };
        let passed = |statuses: &mut dyn Iterator<Item = &Status>| {
            let judged: Vec<_> = statuses.filter(|status| **status > Status::Disabled).collect();
            (judged.iter().filter(|status| ***status == Status::Pass).count(), judged.len())
        };
        let (apis, all_apis) = passed(&mut report.apis.values());
        let (sets, all_sets) = passed(&mut report.data.values());
        let broken = |level| {
            let is_broken = |finding: &&Finding| finding.outcome == Outcome::Broken && finding.check.level == level;
            report.findings.iter().filter(is_broken).count()
        };
        let _ = writeln!(
            self.out,
            "{}: {}. {apis} of {all_apis} APIs and {sets} of {all_sets} data sets pass; broken checks: {} MUST, {} SHOULD",
            line(&report.registry),
            (self.paint)(tone, verdict.as_str()),
            broken(Level::Must),
            broken(Level::Should),
        );
        if let Some(why) = &report.aborted {
            let _ = writeln!(self.out, "{} {}", (self.paint)(Tone::Bad, "the run ended early:"), line(why));
        }
    }

    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.out, "\n{}", (self.paint)(Tone::Strong, text));
    }

    fn apis(&mut self) {
        let matrix = Matrix::of(self.report);
        let rows: Vec<_> = matrix.rows.iter().filter(|row| row.verdict != Status::Unknown).collect();
        if rows.is_empty() {
            return;
        }
        self.heading(&format!("{:<30}  {:<8}  {:<8}  {}", "API", "verdict", "sha256", "sha512"));
        for row in rows {
            let words = [row.verdict, row.sha256.status, row.sha512.status].map(|status| word(status, self.paint));
            let all = format!("{:<30}  {}", row.api, words.join("  "));
            let _ = writeln!(self.out, "{}", all.trim_end());
        }
    }

    fn data(&mut self) {
        let verdict = |set: &DataSet| self.report.data.get(set).copied().unwrap_or_default();
        let sets: Vec<_> = DataSet::ALL.iter().filter(|set| verdict(set) != Status::Unknown).collect();
        if sets.is_empty() {
            return;
        }
        let rows: Vec<String> =
            sets.iter().map(|set| format!("{set:<30}  {}", word(verdict(set), self.paint).trim_end())).collect();
        self.heading(&format!("{:<30}  verdict", "data"));
        for row in rows {
            let _ = writeln!(self.out, "{row}");
        }
    }

    fn failures(&mut self) {
        let causes = causes(self.report);
        if causes.is_empty() {
            return;
        }
        let blocked: usize = causes.iter().map(|cause| cause.blocked.len()).sum();
        let because = if blocked > 0 { format!(", and {blocked} more because of them") } else { String::new() };
        self.heading(&format!("failed steps: {}{because}", causes.len()));
        let groups = alike(&causes);
        for group in groups.iter().take(MOST) {
            self.group(group);
        }
        self.others(groups.iter().skip(MOST).map(Vec::len).sum(), "failed step");
    }

    /// Writes causes that say the same: the first in full, the others by their names.
    fn group(&mut self, group: &[&Cause<'_>]) {
        let Some((first, others)) = group.split_first() else { return };
        let step = first.step;
        let status = (self.paint)(Tone::Bad, &format!("{:<6}", step.status));
        let apis: Vec<_> = step.apis.iter().map(|api| api.label()).collect();
        let apis = if apis.is_empty() { String::new() } else { format!("  ({})", apis.join(", ")) };
        let _ = writeln!(self.out, "\n  {status} {}{apis}", line(&step.path.join("/")));
        for reason in &step.reasons {
            self.indented(reason);
        }
        self.named("the same in", others.iter().map(|cause| cause.step));
        self.named("blocks", group.iter().flat_map(|cause| cause.blocked.iter().map(|(_, step)| *step)));
        self.repetition(&step.exchanges, step.decisive);
    }

    /// Writes the names of some steps, faintly.
    fn named<'a>(&mut self, what: &str, steps: impl Iterator<Item = &'a Step>) {
        let mut names: Vec<String> = Vec::new();
        let mut more = 0;
        for step in steps {
            match names.len() < SHOWN {
                true => names.push(line(&step.path.join("/")).into_owned()),
                false => more += 1,
            }
        }
        if !names.is_empty() {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let all = (self.paint)(Tone::Faint, &format!("{what} {}{more}", names.join(", ")));
            let _ = writeln!(self.out, "         {all}");
        }
    }

    /// Says how many more there are, and where.
    fn others(&mut self, count: usize, what: &str) {
        if count > 0 {
            let ending = if count == 1 { "" } else { "s" };
            let _ = writeln!(self.out, "\n  and {count} more {what}{ending}, which {} shows", line(self.whole));
        }
    }

    fn checks(&mut self) {
        let findings = &self.report.findings;
        if findings.is_empty() {
            return;
        }
        let count = |outcome: fn(&Outcome) -> bool| findings.iter().filter(|finding| outcome(&finding.outcome)).count();
        self.heading(&format!(
            "precise checks: {} broken, {} met, {} unsupported, {} blocked, {} disabled",
            count(|outcome| *outcome == Outcome::Broken),
            count(|outcome| *outcome == Outcome::Met),
            count(|outcome| *outcome == Outcome::Unsupported),
            count(|outcome| matches!(outcome, Outcome::Blocked(_))),
            count(|outcome| *outcome == Outcome::Disabled),
        ));
        let mut groups = groups::broken(findings);
        // What has to hold comes before what should.
        groups.sort_by_key(|group| group[0].check.level);
        for group in groups.iter().take(MOST) {
            self.finding(group);
        }
        self.others(groups.iter().skip(MOST).map(Vec::len).sum(), "broken check");
        let differing = findings.iter().filter(|finding| finding.outcome != Outcome::Broken);
        for finding in differing {
            if let Some(why) = finding.differs {
                let _ = writeln!(self.out, "\n  {:<6} {}", finding.outcome.as_str(), finding.check.id);
                self.indented(&format!("the official suite says something else: {why}"));
            }
        }
    }

    /// Writes a broken check, once for the algorithms for which it is broken in the same way.
    fn finding(&mut self, group: &[&Finding]) {
        let Some(finding) = group.first() else { return };
        let check = &finding.check;
        let tone = if self.strictness.minds(check.level) { Tone::Bad } else { Tone::Fair };
        let level = (self.paint)(tone, &format!("{:<6}", check.level.as_str()));
        let algorithms: Vec<_> = group.iter().filter_map(|finding| Some(finding.algorithm?.name())).collect();
        let algorithm = if algorithms.is_empty() { String::new() } else { format!(", {}", algorithms.join(" and ")) };
        let _ = writeln!(self.out, "\n  {level} {}  ({}{algorithm})", check.id, check.endpoint);
        self.indented(&format!("{} [{}]", check.rule, check.section));
        for note in &finding.notes {
            self.indented(note);
        }
        if let Some(why) = finding.differs {
            self.indented(&format!("the official suite says something else: {why}"));
        }
        self.repetition(&finding.exchanges, finding.decisive);
    }

    fn repetition(&mut self, exchanges: &[Exchange], decisive: Option<usize>) {
        let Some(script) = reproduce(self.report, exchanges, decisive) else { return };
        if script.len() > LONGEST {
            let pointer = format!("{} has the lines that show it again", line(self.whole));
            let _ = writeln!(self.out, "         {}", (self.paint)(Tone::Faint, &pointer));
            return;
        }
        // No line end in it is part of a body: it may be indented, and copied as it stands.
        for line in block(&script).lines() {
            let _ = writeln!(self.out, "         {line}");
        }
    }

    fn ending(&mut self) {
        if self.report.verdict(self.strictness) == Verdict::Failed {
            let seed = format!("with `--seed {}` the content is the same again", self.report.seed);
            let _ = writeln!(self.out, "\n{}", (self.paint)(Tone::Faint, &seed));
        }
        for (list, what) in [
            (&self.report.leftovers, "left behind, because it could not be removed"),
            (&self.report.sessions, "upload sessions left open, because they could not be given up"),
        ] {
            if list.is_empty() {
                continue;
            }
            self.heading(what);
            for path in list {
                let _ = writeln!(self.out, "  {}", line(path));
            }
        }
        if !self.report.unnamed.is_empty() {
            self.heading("upload sessions that may be left open, because no answer said where they are");
        }
        for unnamed in &self.report.unnamed {
            let asker = self.report.asker(unnamed).map(|asker| format!(" in `{asker}`")).unwrap_or_default();
            let _ = writeln!(self.out, "  POST {}{}: {}", line(&unnamed.url), line(&asker), line(&unnamed.why));
        }
    }

    fn indented(&mut self, text: &str) {
        let _ = writeln!(self.out, "         {}", line(text));
    }
}

/// Writes a status in its column.
fn word(status: Status, paint: fn(Tone, &str) -> String) -> String {
    let (text, tone) = match status {
        Status::Unknown => ("-", Tone::Faint),
        Status::Disabled => (status.as_str(), Tone::Faint),
        Status::Skip => (status.as_str(), Tone::Fair),
        Status::Pass => (status.as_str(), Tone::Good),
        Status::Fail | Status::Error => (status.as_str(), Tone::Bad),
    };
    paint(tone, &format!("{text:<8}"))
}

/// Steps that are named of those that a cause blocks, or that fail as it does.
const SHOWN: usize = 3;
/// Failures that are written in full: whoever has more begins with the first.
const MOST: usize = 20;
/// Bytes of a script that is worth its place: a dozen lines of a terminal.
const LONGEST: usize = 1200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::report::sample::{SECRET, hostile};
    use crate::conformance::{Step, Verdicts};

    #[test]
    fn causes_come_with_the_line_that_shows_them_again() {
        let text = text(&hostile(), Strictness::Must, "`report.html`", plain);
        let lines: Vec<&str> = text.lines().collect();
        let first = "r.example: failed. 1 of 3 APIs and 1 of 3 data sets pass; broken checks: 1 MUST, 0 SHOULD";
        assert_eq!(lines[0], first);
        for expected in [
            "Blob get                        FAIL      -         FAIL",
            "Blobs sha512                    FAIL",
            "failed steps: 2, and 1 more because of them",
            "  FAIL   sha512 blobs/post only/blob-get  (Blob get)",
            "         blocks sha512 blobs/delete",
            "         curl -sSgi -u \"$OCI_USERNAME:$OCI_PASSWORD\" -H 'accept: */*' https://r.example/v2/a/blobs/sha512:00",
            "precise checks: 1 broken, 1 met, 1 unsupported, 1 blocked, 1 disabled",
            "  MUST   upload.patch-range  (end-5, sha512)",
            "with `--seed 7` the content is the same again",
            "the run ended early: nobody answers any more \\u{1b}[2J",
            "         the official suite says something else: it does not look at `Range`",
            "left behind, because it could not be removed",
        ] {
            assert!(lines.contains(&expected), "no `{expected}` in\n{text}");
        }
    }

    #[test]
    fn nothing_in_it_moves_the_cursor_or_is_secret() {
        let text = text(&hostile(), Strictness::Must, "`report.html`", plain);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains('\u{202e}'), "{text:?}");
        assert!(text.contains("\\u{1b}[2J\\u{0}\\u{202e}"), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }

    #[test]
    fn an_empty_run_is_one_line() {
        let report = Report { registry: "r".to_owned(), ..Report::default() };
        let expected = "r: nothing judged. 0 of 0 APIs and 0 of 0 data sets pass; broken checks: 0 MUST, 0 SHOULD\n";
        assert_eq!(text(&report, Strictness::Must, "`report.html`", plain), expected);
    }

    #[test]
    fn many_blocked_steps_are_counted() {
        let step = |n: usize| {
            let blocked_by = (n > 0).then(|| vec!["s".to_owned(), "0".to_owned()]);
            Step { path: vec!["s".into(), n.to_string()], status: Status::Fail, blocked_by, ..Step::default() }
        };
        let report = Report { steps: (0..9).map(step).collect(), ..Report::default() };
        let text = text(&report, Strictness::Must, "`report.html`", plain);
        assert!(text.contains("blocks s/1, s/2, s/3 and 5 more\n"), "{text}");
    }

    #[test]
    fn files_stand_beside_the_run() {
        let there =
            Verdicts::parse("apis: {Ping: Pass, Blob get: Pass, Novelty: Pass}\ndata: {Image: Pass}").expect("YAML");
        let comparison = Comparison::new(&Verdicts::of(&hostile()), &there);
        let text = text_compared(&comparison, "official/results.yaml", plain);
        for expected in [
            "Compared with official/results.yaml: 5 verdicts differ",
            "                                    here      there",
            "  Ping                              Pass      Pass",
            "≠ Blob get                          FAIL      Pass",
            "≠ Blob mount                        Skip      -",
            "  `Novelty` is not known here and does not count",
        ] {
            assert!(text.lines().any(|line| line == expected), "no `{expected}` in\n{text}");
        }
        let text = text_regressed(&comparison, "old.yaml", plain);
        assert!(
            text.starts_with("\nMeasured by old.yaml: 3 regressions\n  Blob get (api): FAIL, and was Pass\n"),
            "{text}"
        );
    }
}
