//! `report.html`: one file, readable without a network and without scripts.

use std::fmt::Write as _;

use super::causes::{Cause, causes};
use super::html_exchanges::exchanges;
use super::html_matrix::matrix;
use super::outcome::{Strictness, Verdict};
use super::script::reproduce;
use super::settings::{Setting, nested};
use crate::conformance::{Exchange, Finding, Level, Outcome, Report, Status, Step};
use crate::model::printable::{block, line};

/// Writes `report.html`: the verdict and the matrix, what failed with its cause, the precise checks by area, every step with
/// what went over the wire, and the settings.
pub fn html(report: &Report, strictness: Strictness) -> String {
    let mut page = Page { out: String::new(), report };
    page.head(strictness);
    page.out.push_str("<main>\n");
    matrix(report, &mut page.out);
    page.failures();
    page.checks();
    page.leftovers();
    page.steps();
    page.settings();
    page.out.push_str("</main>\n</body>\n</html>\n");
    page.out
}

/// Makes foreign text safe as text and as an attribute in double quotes; line ends stay.
pub(super) fn escaped(text: &str) -> String {
    markup(&block(text))
}

/// The same for text that has to stay on one line.
pub(super) fn escaped_line(text: &str) -> String {
    markup(&line(text))
}

fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Returns the class of a status in the style sheet.
pub(super) fn class(status: Status) -> &'static str {
    match status {
        Status::Unknown => "unknown",
        Status::Disabled => "disabled",
        Status::Skip => "skip",
        Status::Pass => "pass",
        Status::Fail => "fail",
        Status::Error => "error",
    }
}

struct Page<'a> {
    out: String,
    report: &'a Report,
}

impl Page<'_> {
    fn head(&mut self, strictness: Strictness) {
        let report = self.report;
        let verdict = report.verdict(strictness);
        let registry = escaped_line(&report.registry);
        let class = if verdict == Verdict::Passed { "pass" } else { "fail" };
        let of = |count: usize, all: usize, what: &str| format!("<li><b>{count}</b> of {all} {what}</li>");
        let passed = |status: &Status| *status == Status::Pass;
        let judged = |status: &Status| *status > Status::Disabled;
        let apis = report.apis.values().copied().filter(judged).collect::<Vec<_>>();
        let data = report.data.values().copied().filter(judged).collect::<Vec<_>>();
        let steps = report.steps.iter().map(|step| step.status).filter(judged).collect::<Vec<_>>();
        let outcomes = || report.findings.iter().map(|finding| &finding.outcome);
        let met = outcomes().filter(|outcome| **outcome == Outcome::Met).count();
        let broken = outcomes().filter(|outcome| **outcome == Outcome::Broken).count();
        let counts = [
            of(apis.iter().filter(|status| passed(status)).count(), apis.len(), "APIs pass"),
            of(data.iter().filter(|status| passed(status)).count(), data.len(), "data sets pass"),
            of(steps.iter().filter(|status| passed(status)).count(), steps.len(), "steps pass"),
            if met + broken > 0 { of(met, met + broken, "precise checks met") } else { String::new() },
        ];
        let version = report.settings.get("version").map(|version| escaped_line(version)).unwrap_or_default();
        let _ = write!(
            self.out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{registry}: {verdict}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
             <h1><span class=\"badge {class}\">{verdict}</span> {registry}</h1>\n<ul class=\"counts\">{counts}</ul>\n\
             <p class=\"faint\">OCI distribution-spec {version}, judged in {elapsed:.1} s by spinreg {tool}, seed {seed}</p>\n</header>\n",
            verdict = verdict.as_str(),
            counts = counts.concat(),
            seed = report.seed,
            elapsed = report.elapsed.as_secs_f64(),
            tool = env!("CARGO_PKG_VERSION"),
        );
        if let Some(why) = &report.aborted {
            let why = escaped_line(why);
            let _ = writeln!(
                self.out,
                "<p class=\"ended\">The run ended early: {why}. What comes after that is missing.</p>"
            );
        }
    }

    fn failures(&mut self) {
        let causes = causes(self.report);
        if causes.is_empty() {
            return;
        }
        let blocked: usize = causes.iter().map(|cause| cause.blocked.len()).sum();
        let _ = writeln!(self.out, "<section>\n<h2 id=\"failures\">What failed</h2>");
        if blocked > 0 {
            let _ = writeln!(
                self.out,
                "<p>{} by themselves; {blocked} more only because of these, folded under their cause.</p>",
                steps_in_words(causes.len())
            );
        }
        for cause in &causes {
            self.cause(cause);
        }
        self.out.push_str("</section>\n");
    }

    fn cause(&mut self, cause: &Cause<'_>) {
        self.open_step(cause.index, cause.step, " open");
        self.step_body(cause.step, cause.step.decisive);
        if !cause.blocked.is_empty() {
            let summary = format!("{} blocked by this", steps_in_words(cause.blocked.len()));
            let _ = writeln!(self.out, "<details class=\"blocked\"><summary>{summary}</summary>");
            for (index, step) in &cause.blocked {
                self.open_step(*index, step, "");
                self.step_body(step, None);
                self.out.push_str("</details>\n");
            }
            self.out.push_str("</details>\n");
        }
        self.out.push_str("</details>\n");
    }

    fn open_step(&mut self, index: usize, step: &Step, open: &str) {
        let apis: Vec<_> = step.apis.iter().map(|api| api.label()).collect();
        let _ = writeln!(
            self.out,
            "<details class=\"step\" id=\"step-{index}\"{open}><summary><span class=\"badge {}\">{}</span> \
             <span class=\"name\">{}</span> <span class=\"faint\">{}</span></summary>",
            class(step.status),
            step.status,
            escaped_line(&step.path.join("/")),
            apis.join(", "),
        );
    }

    fn step_body(&mut self, step: &Step, unfolded: Option<usize>) {
        self.list(&step.reasons);
        if step.status.is_bad() {
            self.repetition(&step.exchanges, step.decisive);
        }
        exchanges(&step.exchanges, unfolded, &mut self.out);
    }

    fn list(&mut self, sentences: &[String]) {
        if sentences.is_empty() {
            return;
        }
        let items: Vec<_> = sentences.iter().map(|text| format!("<li>{}</li>", escaped(text))).collect();
        let _ = writeln!(self.out, "<ul class=\"reasons\">{}</ul>", items.concat());
    }

    fn repetition(&mut self, list: &[Exchange], decisive: Option<usize>) {
        if let Some(command) = reproduce(self.report, list, decisive) {
            let _ = writeln!(self.out, "<pre class=\"command\">{}</pre>", escaped(&command));
        }
    }

    fn checks(&mut self) {
        let findings = &self.report.findings;
        if findings.is_empty() {
            return;
        }
        let _ = writeln!(self.out, "<section>\n<h2 id=\"checks\">Precise checks</h2>");
        let mut areas: Vec<&str> = Vec::new();
        for finding in findings {
            if !areas.contains(&area(finding)) {
                areas.push(area(finding));
            }
        }
        for name in areas {
            let _ = writeln!(self.out, "<h3>{}</h3>", escaped_line(name));
            for finding in findings.iter().filter(|finding| area(finding) == name) {
                self.finding(finding);
            }
        }
        self.out.push_str("</section>\n");
    }

    fn finding(&mut self, finding: &Finding) {
        let check = &finding.check;
        let class = match (&finding.outcome, check.level) {
            (Outcome::Met, _) => "pass",
            (Outcome::Broken, Level::Must) => "fail",
            (Outcome::Broken, _) => "skip",
            _ => "disabled",
        };
        let is_broken = finding.outcome == Outcome::Broken;
        let open = if is_broken { " open" } else { "" };
        let algorithm = finding.algorithm.map(|algorithm| format!(" <span class=\"tag\">{algorithm}</span>"));
        let _ = writeln!(
            self.out,
            "<details class=\"step\"{open}><summary><span class=\"badge {class}\">{}</span> <span class=\"tag\">{}</span> \
             <span class=\"name\">{}</span>{} <span class=\"rule\">{}</span></summary>",
            finding.outcome.as_str(),
            check.level.as_str(),
            escaped_line(check.id),
            algorithm.unwrap_or_default(),
            escaped_line(check.rule),
        );
        let _ = writeln!(
            self.out,
            "<p class=\"faint\">{}, specification: {}</p>",
            escaped_line(check.endpoint),
            escaped_line(check.section)
        );
        if let Outcome::Blocked(by) = finding.outcome {
            let _ = writeln!(self.out, "<p>Blocked by <code>{}</code>, which failed first.</p>", escaped_line(by));
        }
        self.list(&finding.notes);
        if let Some(why) = finding.differs {
            let _ = writeln!(self.out, "<p>The official suite says something else: {}</p>", escaped_line(why));
        }
        if is_broken {
            self.repetition(&finding.exchanges, finding.decisive);
        }
        exchanges(&finding.exchanges, finding.decisive, &mut self.out);
        self.out.push_str("</details>\n");
    }

    fn leftovers(&mut self) {
        for (list, what) in [
            (&self.report.leftovers, "This was pushed and could not be removed."),
            (&self.report.sessions, "These upload sessions were opened and could not be given up."),
        ] {
            if list.is_empty() {
                continue;
            }
            let _ = writeln!(self.out, "<section>\n<h2>Left behind</h2>\n<p>{what}</p>");
            let items: Vec<_> =
                list.iter().map(|path| format!("<li><code>{}</code></li>", escaped_line(path))).collect();
            let _ = writeln!(self.out, "<ul>{}</ul>\n</section>", items.concat());
        }
        if self.report.unnamed.is_empty() {
            return;
        }
        let what = "These requests may have opened upload sessions, and no answer said where these are.";
        let _ = writeln!(self.out, "<section>\n<h2>Left behind</h2>\n<p>{what}</p>\n<ul>");
        for unnamed in &self.report.unnamed {
            let asker = self.report.asker(unnamed).map(|asker| format!(" in <code>{}</code>", escaped_line(&asker)));
            let (url, why) = (escaped_line(&unnamed.url), escaped_line(&unnamed.why));
            let _ = writeln!(self.out, "<li><code>POST {url}</code>{}: {why}</li>", asker.unwrap_or_default());
        }
        let _ = writeln!(self.out, "</ul>\n</section>");
    }

    /// Writes every step by its group. What failed stands above, and is linked to.
    fn steps(&mut self) {
        if self.report.steps.is_empty() {
            return;
        }
        let _ = writeln!(self.out, "<section>\n<h2 id=\"steps\">All steps</h2>");
        let steps: Vec<(usize, &Step)> = self.report.steps.iter().enumerate().collect();
        // Neighbours with the same first name are one group.
        for group in steps.chunk_by(|(_, a), (_, b)| a.path.first() == b.path.first()) {
            let worst = group.iter().map(|(_, step)| step.status).max().unwrap_or_default();
            let name = group[0].1.path.first().map(|name| escaped_line(name)).unwrap_or_default();
            let _ = writeln!(
                self.out,
                "<details class=\"group\"><summary><span class=\"badge {}\">{worst}</span> <span class=\"name\">{name}</span> \
                 <span class=\"faint\">{}</span></summary>",
                class(worst),
                steps_in_words(group.len()),
            );
            for (index, step) in group {
                self.step(*index, step);
            }
            self.out.push_str("</details>\n");
        }
        self.out.push_str("</section>\n");
    }

    fn step(&mut self, index: usize, step: &Step) {
        if step.status.is_bad() {
            let _ = writeln!(
                self.out,
                "<p class=\"step link\"><span class=\"badge {}\">{}</span> <a class=\"name\" href=\"#step-{index}\">{}</a></p>",
                class(step.status),
                step.status,
                escaped_line(&step.path.join("/")),
            );
            return;
        }
        self.open_step(index, step, "");
        self.step_body(step, None);
        self.out.push_str("</details>\n");
    }

    fn settings(&mut self) {
        let mut rows = String::new();
        flatten("", &Setting::Group(nested(&self.report.settings)), &mut rows);
        let _ = writeln!(
            self.out,
            "<section>\n<h2>Settings</h2>\n<details><summary>as in <code>results.yaml</code></summary>\n\
             <table class=\"settings\">{rows}</table></details>\n</section>"
        );
    }
}

fn flatten(key: &str, setting: &Setting, rows: &mut String) {
    let value = match setting {
        Setting::Text(text) => escaped_line(text),
        Setting::Switch(on) => on.to_string(),
        Setting::List(list) => escaped_line(&list.join(" ")),
        Setting::Group(group) => {
            for (name, inner) in group {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&key, inner, rows);
            }
            return;
        }
    };
    let _ = write!(rows, "<tr><th scope=\"row\">{}</th><td>{value}</td></tr>", escaped_line(key));
}

fn area(finding: &Finding) -> &'static str {
    finding.check.id.split('.').next().unwrap_or_default()
}

fn steps_in_words(count: usize) -> String {
    if count == 1 { "1 step".to_owned() } else { format!("{count} steps") }
}

const STYLE: &str = include_str!("report.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::report::sample::{SECRET, hostile};

    /// Returns the tags of a document in which only they may hold `<` and `>`.
    fn tags(html: &str) -> Vec<&str> {
        html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()).collect()
    }

    #[test]
    fn nothing_foreign_becomes_markup() {
        let page = html(&hostile(), Strictness::Must);
        let known = [
            "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "header", "main", "section", "h1", "h2",
            "h3", "p", "ul", "li", "span", "b", "a", "code", "pre", "details", "summary", "table", "thead", "tbody",
            "tr", "th", "td", "div", "colgroup", "col",
        ];
        for tag in tags(&page) {
            let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
            assert!(known.contains(&name), "`{tag}` is none of ours");
            assert!(!tag.contains("://"), "`{tag}` leads out of the file");
        }
        assert!(!page.contains("<script") && !page.contains(" onclick"), "{page}");
        assert!(!page.contains(|c: char| c.is_control() && !"\n\t".contains(c)), "{page:?}");
        assert!(!page.contains(SECRET), "{page}");
        assert!(page.contains("&lt;/pre&gt;&lt;/details&gt;&lt;script&gt;alert(1)"), "{page}");
    }

    #[test]
    fn what_is_opened_is_closed() {
        let page = html(&hostile(), Strictness::Must);
        let mut open = Vec::new();
        for tag in tags(&page) {
            let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
            match name {
                "!DOCTYPE" | "meta" | "col" => {}
                name if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "at `{tag}`"),
                name => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn every_link_leads_to_a_place() {
        let page = html(&hostile(), Strictness::Must);
        let links: Vec<_> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.contains(&"step-1"), "{links:?}");
        for link in links {
            assert_eq!(page.matches(&format!("id=\"{link}\"")).count(), 1, "`{link}`");
        }
    }

    #[test]
    fn blocked_steps_are_folded_under_their_cause() {
        let page = html(&hostile(), Strictness::Must);
        let cause = page.find("id=\"step-1\"").expect("the cause");
        let folded = page.find("1 step blocked by this").expect("its cascade");
        let blocked = page.find("id=\"step-2\"").expect("the blocked step");
        assert!(cause < folded && folded < blocked, "{cause} {folded} {blocked}");
    }
}
