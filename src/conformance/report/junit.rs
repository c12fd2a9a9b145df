//! `junit.xml`: the names of the official suite, with elements that readers of JUnit files look for.

use std::fmt::Write as _;
use std::time::Duration;

use super::script::reproduce;
use crate::conformance::{Exchange, Finding, Header, Outcome, Report, Sample, Status, Step};
use crate::model::printable::is_harmless;

/// Writes `junit.xml`: the steps of the official suite as one suite, the precise checks as a second one.
///
/// A broken check is a failure whatever its level; the level is in its message.
pub fn junit(report: &Report) -> String {
    let mut out = Xml::default();
    let steps: Vec<Case<'_>> = report.steps.iter().map(|step| Case::of_step(step, report)).collect();
    let checks: Vec<Case<'_>> = report.findings.iter().map(|finding| Case::of_finding(finding, report)).collect();
    out.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.open("testsuites", &[("name", report.registry.clone()), ("time", seconds(report.elapsed))]);
    out.suite(ROOT, &steps);
    out.suite("spinreg precise checks", &checks);
    out.close("testsuites");
    out.text
}

/// How a test case ended, in the words of the official file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Passed,
    Skipped,
    Failure,
    Error,
}

struct Case<'a> {
    name: String,
    class: String,
    elapsed: Duration,
    ending: Ending,
    message: String,
    details: Vec<String>,
    exchanges: &'a [Exchange],
}

impl<'a> Case<'a> {
    fn of_step(step: &'a Step, report: &Report) -> Self {
        let ending = match step.status {
            Status::Pass => Ending::Passed,
            Status::Skip | Status::Disabled => Ending::Skipped,
            Status::Fail => Ending::Failure,
            Status::Unknown | Status::Error => Ending::Error,
        };
        let blocked = step.blocked_by.as_ref().filter(|_| step.status.is_bad());
        let blocked = blocked.map(|path| format!("blocked by `{}`", path.join("/")));
        let message = blocked.or_else(|| step.reasons.first().cloned()).unwrap_or_else(|| step.status.to_string());
        let mut details = step.reasons.clone();
        details.extend(repetition(ending, &step.exchanges, step.decisive, report));
        Self {
            name: format!("{ROOT}/{}", step.path.join("/")),
            class: step.path.first().map_or_else(|| ROOT.to_owned(), |group| format!("{ROOT}/{group}")),
            elapsed: step.elapsed,
            ending,
            message,
            details,
            exchanges: &step.exchanges,
        }
    }

    fn of_finding(finding: &'a Finding, report: &Report) -> Self {
        let check = &finding.check;
        let ending = match finding.outcome {
            Outcome::Met => Ending::Passed,
            Outcome::Broken => Ending::Failure,
            Outcome::Unsupported | Outcome::Blocked(_) | Outcome::Disabled => Ending::Skipped,
        };
        let message = match finding.outcome {
            Outcome::Blocked(by) => format!("blocked by `{by}`"),
            _ => format!("{} ({}): {}", check.level.as_str(), check.endpoint, check.rule),
        };
        let mut details = finding.notes.clone();
        details.push(format!("specification: {}", check.section));
        details.extend(finding.differs.map(|why| format!("the official suite says something else: {why}")));
        details.extend(repetition(ending, &finding.exchanges, finding.decisive, report));
        let algorithm = finding.algorithm.map(|algorithm| format!(" {algorithm}")).unwrap_or_default();
        Self {
            name: format!("{}{algorithm}", check.id),
            class: format!("spinreg/{}", check.id.split('.').next().unwrap_or_default()),
            elapsed: finding.exchanges.iter().map(|exchange| exchange.elapsed).sum(),
            ending,
            message,
            details,
            exchanges: &finding.exchanges,
        }
    }
}

/// Returns the lines that show a failure again.
fn repetition(ending: Ending, exchanges: &[Exchange], decisive: Option<usize>, report: &Report) -> Option<String> {
    let is_bad = matches!(ending, Ending::Failure | Ending::Error);
    is_bad.then(|| reproduce(report, exchanges, decisive))?
}

/// XML under construction: texts go in through the two methods that escape.
#[derive(Default)]
struct Xml {
    text: String,
}

impl Xml {
    fn raw(&mut self, markup: &str) {
        self.text.push_str(markup);
    }

    /// Adds text; what XML cannot have is shown by its number.
    fn chars(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\n' | '\t' => self.text.push(c),
                c if is_harmless(c) => self.text.push(c),
                c => {
                    let _ = write!(self.text, "\\u{{{:x}}}", c as u32);
                }
            }
        }
    }

    fn attributes(&mut self, attributes: &[(&str, String)]) {
        for (name, value) in attributes {
            self.raw(&format!(" {name}=\""));
            // A reader would take a line end for a space.
            self.chars(&value.replace(['\n', '\t'], " "));
            self.raw("\"");
        }
    }

    fn open(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.raw(&format!("<{name}"));
        self.attributes(attributes);
        self.raw(">\n");
    }

    fn close(&mut self, name: &str) {
        self.raw(&format!("</{name}>\n"));
    }

    fn element(&mut self, name: &str, attributes: &[(&str, String)], text: &str) {
        self.raw(&format!("<{name}"));
        self.attributes(attributes);
        self.raw(">");
        self.chars(text);
        self.close(name);
    }

    fn suite(&mut self, name: &str, cases: &[Case<'_>]) {
        let count = |ending| cases.iter().filter(|case| case.ending == ending).count().to_string();
        let attributes = [
            ("name", name.to_owned()),
            ("tests", cases.len().to_string()),
            ("failures", count(Ending::Failure)),
            ("errors", count(Ending::Error)),
            ("skipped", count(Ending::Skipped)),
            ("time", seconds(cases.iter().map(|case| case.elapsed).sum())),
        ];
        self.open("testsuite", &attributes);
        for case in cases {
            self.case(case);
        }
        self.close("testsuite");
    }

    fn case(&mut self, case: &Case<'_>) {
        let (status, element) = match case.ending {
            Ending::Passed => ("passed", None),
            Ending::Skipped => ("skipped", Some("skipped")),
            Ending::Failure => ("failure", Some("failure")),
            Ending::Error => ("error", Some("error")),
        };
        let attributes = [
            ("name", case.name.clone()),
            ("classname", case.class.clone()),
            ("time", seconds(case.elapsed)),
            ("status", status.to_owned()),
        ];
        self.open("testcase", &attributes);
        if let Some(element) = element {
            self.element(element, &[("message", case.message.clone())], &case.details.join("\n"));
        }
        if !case.exchanges.is_empty() {
            let log: Vec<String> = case.exchanges.iter().map(log).collect();
            self.element("system-err", &[], &log.join("\n"));
        }
        self.close("testcase");
    }
}

/// Writes an exchange as it went over the wire, `>` for what was sent and `<` for what came.
fn log(exchange: &Exchange) -> String {
    let mut out = format!("> {} {}\n", exchange.method, exchange.url);
    let headers = |sign: char, headers: &[Header], out: &mut String| {
        for header in headers {
            let _ = writeln!(out, "{sign} {}: {}", header.name, header.value);
        }
    };
    headers('>', &exchange.request_headers, &mut out);
    body(&exchange.request_body, &mut out);
    match exchange.status {
        Some(status) => {
            let _ = writeln!(out, "< {status}");
        }
        None => out.push_str("< no answer\n"),
    }
    headers('<', &exchange.headers, &mut out);
    body(&exchange.body, &mut out);
    if let Some(failure) = &exchange.failure {
        let _ = writeln!(out, "! {failure}");
    }
    out
}

fn body(sample: &Sample, out: &mut String) {
    match &sample.text {
        _ if sample.length == 0 => {}
        Some(text) => {
            out.push_str(text);
            let cut = sample.length.saturating_sub(text.len() as u64);
            out.push_str(&if cut > 0 { format!("[{cut} more bytes]\n") } else { "\n".to_owned() });
        }
        None => {
            let _ = writeln!(out, "[{} bytes]", sample.length);
        }
    }
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.6}", elapsed.as_secs_f64())
}

/// What the official suite calls the root of its steps.
const ROOT: &str = "OCI Conformance Test";

#[cfg(test)]
mod tests {
    use roxmltree::{Document, Node};

    use super::*;
    use crate::conformance::report::sample::{SECRET, hostile};

    fn children<'a>(node: Node<'a, 'a>, name: &'static str) -> Vec<Node<'a, 'a>> {
        node.children().filter(|child| child.has_tag_name(name)).collect()
    }

    #[test]
    fn every_step_and_every_check_is_a_case_with_its_element() {
        let report = hostile();
        let text = junit(&report);
        assert!(!text.contains(SECRET), "{text}");
        let document = Document::parse(&text).expect(&text);
        let suites = children(document.root_element(), "testsuite");
        let rows = |suite: Node<'_, '_>| -> Vec<(String, String, String)> {
            let cases = suite.children().filter(|child| child.has_tag_name("testcase"));
            let row = |case: Node<'_, '_>| {
                let first = case.children().find(|child| child.is_element());
                let element = first.map(|child| child.tag_name().name().to_owned()).unwrap_or_default();
                let attribute = |name| case.attribute(name).unwrap_or_default().to_owned();
                (attribute("name"), attribute("status"), element)
            };
            cases.map(row).collect()
        };
        let row = |name: &str, status: &str, element: &str| (name.to_owned(), status.to_owned(), element.to_owned());
        let steps = rows(suites[0]);
        assert_eq!(steps.len(), report.steps.len());
        assert_eq!(steps[0], row("OCI Conformance Test/ping", "passed", ""));
        assert_eq!(steps[1], row("OCI Conformance Test/sha512 blobs/post only/blob-get", "failure", "failure"));
        assert_eq!((steps[3].1.as_str(), steps[3].2.as_str()), ("error", "error"));
        assert_eq!(steps[4], row("OCI Conformance Test/sha256 blobs/mount", "skipped", "skipped"));
        assert_eq!(steps[5], row("OCI Conformance Test/Image/push/manifest-by-digest", "skipped", "skipped"));
        let checks = rows(suites[1]);
        assert_eq!(checks[0], row("ping.status", "passed", ""));
        assert_eq!(checks[1], row("upload.patch-range sha512", "failure", "failure"));
        assert_eq!(checks[2], row("upload.cancel", "skipped", "skipped"));
        let counts = |suite: Node<'_, '_>| {
            ["tests", "failures", "errors", "skipped"].map(|name| suite.attribute(name).unwrap_or_default().to_owned())
        };
        assert_eq!(counts(suites[0]), ["6", "2", "1", "2"]);
        assert_eq!(counts(suites[1]), ["5", "1", "0", "3"]);
    }

    #[test]
    fn a_failure_says_why_and_shows_what_went_over_the_wire() {
        let text = junit(&hostile());
        let document = Document::parse(&text).expect(&text);
        let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
        let child = |case: usize, name: &str| {
            let found = cases[case].children().find(|child| child.has_tag_name(name)).expect(name);
            (found.attribute("message").unwrap_or_default().to_owned(), found.text().unwrap_or_default().to_owned())
        };
        let (message, details) = child(1, "failure");
        assert!(message.starts_with("the body is </pre></details><script>"), "{message}");
        assert!(details.contains("curl -sSgi -u \"$OCI_USERNAME:$OCI_PASSWORD\""), "{details}");
        let (_, log) = child(1, "system-err");
        assert!(
            log.starts_with(
                "> GET https://r.example/v2/a/blobs/sha512:00\n> accept: */*\n> authorization: ***\n< 500\n"
            ),
            "{log}"
        );
        assert!(log.contains("\\u{1b}[2J\\u{0}\\u{202e}\\u{fffe}]]>"), "{log}");
        assert_eq!(child(2, "failure").0, "blocked by `sha512 blobs/post only/blob-get`");
        assert!(child(3, "system-err").1.contains("< no answer\n"));
        assert!(child(7, "failure").0.starts_with("MUST (end-5): says what it <has> & stored"));
    }
}
