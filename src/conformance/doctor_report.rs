//! What `doctor` found, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::doctor::{Diagnosis, Reply, Topic};
use super::report::Tone;
use crate::model::printable::line;

impl Diagnosis {
    /// Says in one line what most people want to know.
    pub fn summary(&self) -> String {
        let [pull, push] = [Topic::Pull, Topic::Push].map(|topic| self.reply(topic).as_str());
        format!("{}/{}: pull {pull}, push {push}", self.registry, self.repository)
    }

    /// Writes everything for people.
    pub fn text(&self, paint: fn(Tone, &str) -> String) -> String {
        let mut out = format!("{}\n\n", paint(Tone::Strong, &self.summary()));
        for point in &self.points {
            let tone = match point.reply {
                Reply::Yes => Tone::Good,
                Reply::No => Tone::Fair,
                Reply::Unknown => Tone::Faint,
            };
            let reply = paint(tone, &format!("{:<7}", point.reply.as_str()));
            let _ = writeln!(out, "{:<15} {reply}  {}", point.topic.as_str().replace('-', " "), line(&point.text));
        }
        let _ = writeln!(out, "\nspinreg will talk to it like this:");
        for habit in &self.habits {
            let _ = writeln!(out, "  {habit}");
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "\nthe registry says: {}", line(warning));
        }
        out
    }

    /// Writes everything for machines.
    pub fn json(&self) -> String {
        let points = self.points.iter().map(|point| {
            let point_json = PointJson { reply: point.reply.as_str(), text: &point.text };
            (point.topic.as_str(), point_json)
        });
        let document = Document {
            schema: 1,
            registry: self.registry.as_str(),
            repository: self.repository.as_str(),
            reference: &self.reference,
            findings: points.collect(),
            habits: &self.habits,
            warnings: &self.warnings,
        };
        serde_json::to_string_pretty(&document).expect("texts, lists and maps with texts as keys are JSON")
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    registry: &'a str,
    repository: &'a str,
    reference: &'a str,
    findings: BTreeMap<&'static str, PointJson<'a>>,
    habits: &'a [String],
    warnings: &'a [String],
}

#[derive(Serialize)]
struct PointJson<'a> {
    reply: &'static str,
    text: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::doctor::Point;
    use crate::conformance::report::plain;

    fn diagnosis() -> Diagnosis {
        let point = |topic, reply, text: &str| Point { topic, reply, text: text.to_owned() };
        Diagnosis {
            registry: "r.example".parse().expect("a registry"),
            repository: "ada/app".parse().expect("a name"),
            reference: "v1".to_owned(),
            points: vec![
                point(Topic::Pull, Reply::Yes, "`v1` is there"),
                point(Topic::Push, Reply::No, "403 \u{1b}[2J"),
                point(Topic::TagDeletion, Reply::Unknown, "only known by deleting one"),
            ],
            habits: vec!["a pull that breaks goes on where it stopped".to_owned()],
            warnings: vec!["going away\u{7}".to_owned()],
        }
    }

    #[test]
    fn people_read_lines_that_move_nothing() {
        let expected = "\
r.example/ada/app: pull yes, push no

pull            yes      `v1` is there
push            no       403 \\u{1b}[2J
tag deletion    unknown  only known by deleting one

spinreg will talk to it like this:
  a pull that breaks goes on where it stopped

the registry says: going away\\u{7}
";
        assert_eq!(diagnosis().text(plain), expected);
    }

    #[test]
    fn machines_read_keys() {
        let read: serde_json::Value = serde_json::from_str(&diagnosis().json()).expect("JSON");
        assert_eq!(read["schema"], 1);
        assert_eq!(read["findings"]["push"]["reply"], "no");
        assert_eq!(read["findings"]["tag-deletion"]["reply"], "unknown");
        assert_eq!(read["habits"][0], "a pull that breaks goes on where it stopped");
    }
}
