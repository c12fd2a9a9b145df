//! The script that makes a registry show again what it did.

use std::collections::BTreeSet;

use super::curl::{Call, Target};
use super::needs::needed;
use super::shell::quoted;
use crate::conformance::{Exchange, Report};

/// Returns lines of POSIX shell, each a call of curl, that push what the failing request is about, as the run did, and then
/// make that request. They need nothing that the run has left behind: it leaves nothing.
///
/// `decisive` is which of the exchanges shows the failure; the last one if nothing is said.
pub(super) fn reproduce(report: &Report, exchanges: &[Exchange], decisive: Option<usize>) -> Option<String> {
    let last = decisive.and_then(|at| exchanges.get(at)).or(exchanges.last())?;
    let before = needed(&report.journal, exchanges, last);
    let leads = |exchange: &Exchange| exchange.trace.lead.as_ref().map(|lead| lead.began);
    let known: BTreeSet<u64> = before.iter().map(|exchange| exchange.trace.began).collect();
    let led: Vec<u64> =
        before.iter().copied().chain([last]).filter_map(leads).filter(|lead| known.contains(lead)).collect();
    let mut script = Script { report, variables: Vec::new(), lines: Vec::new(), unwritten: Vec::new() };
    let mut rest = &before[..];
    while let Some(first) = rest.first() {
        let length = if led.contains(&first.trace.began) { 1 } else { abreast(rest, &led) };
        let (these, others) = rest.split_at(length);
        match these {
            [one] if led.contains(&one.trace.began) => script.lead(one),
            [one] => script.quiet(one),
            all => script.at_once(all),
        }
        rest = others;
    }
    script.last(last);
    Some(script.end())
}

/// Counts the exchanges at the front that went on at the same time.
fn abreast(exchanges: &[&Exchange], led: &[u64]) -> usize {
    let mut ended = exchanges[0].trace.ended;
    let mut count = 1;
    for exchange in &exchanges[1..] {
        if exchange.trace.began > ended || led.contains(&exchange.trace.began) {
            break;
        }
        ended = ended.max(exchange.trace.ended);
        count += 1;
    }
    count
}

struct Script<'a> {
    report: &'a Report,
    /// Which answers are in which variables.
    variables: Vec<(u64, String)>,
    lines: Vec<String>,
    /// The lengths of bodies that are too long for a line.
    unwritten: Vec<usize>,
}

impl Script<'_> {
    fn call(&mut self, exchange: &Exchange) -> Call {
        let lead = exchange.trace.lead.as_ref();
        let variable = lead.and_then(|lead| {
            self.variables.iter().find(|(began, _)| *began == lead.began).map(|(_, name)| (name, lead))
        });
        let target = match &variable {
            Some((name, lead)) => Target::Variable(name, &lead.rest),
            None => Target::Url,
        };
        let call = Call::of(exchange, &target, &self.report.settings);
        self.unwritten.extend(call.unwritten);
        call
    }

    /// Makes a request, and keeps where its answer leads.
    fn lead(&mut self, exchange: &Exchange) {
        let call = self.call(exchange).line("-sSgi");
        let name = format!("at{}", self.variables.len() + 1);
        let prefix = base(exchange).map_or("".into(), quoted);
        self.lines.push(format!("{name}={prefix}$({call} | {PICK_LOCATION})"));
        self.variables.push((exchange.trace.began, name));
    }

    /// Makes a request whose answer does not matter.
    fn quiet(&mut self, exchange: &Exchange) {
        let call = self.call(exchange).line(QUIET);
        self.lines.push(call);
    }

    /// Makes requests at the same time.
    fn at_once(&mut self, exchanges: &[&Exchange]) {
        let calls: Vec<String> = exchanges.iter().map(|exchange| self.call(exchange).line(QUIET)).collect();
        self.lines.extend(calls.into_iter().map(|call| format!("{{ {call}; }} &")));
        self.lines.push("wait".to_owned());
    }

    /// Makes the request that fails, and shows all of its answer.
    fn last(&mut self, exchange: &Exchange) {
        let call = self.call(exchange).line(if exchange.method == "HEAD" { "-sSgI" } else { "-sSgi" });
        self.lines.push(call);
    }

    fn end(self) -> String {
        let note = |bytes: &usize| format!("  # `body` is a file with the {bytes} bytes that were sent");
        self.lines.join("\n") + &self.unwritten.last().map(note).unwrap_or_default()
    }
}

/// Returns what stands before a `Location` that is a path; none where that is a whole URL.
fn base(exchange: &Exchange) -> Option<&str> {
    let location = exchange.headers.iter().find(|header| header.name == "location")?;
    let is_path = location.value.starts_with('/') && !location.value.starts_with("//");
    let authority = exchange.url.find("://")? + 3;
    let end = exchange.url[authority..].find('/').map_or(exchange.url.len(), |end| authority + end);
    is_path.then_some(&exchange.url[..end])
}

/// Takes the place of the session out of an answer.
const PICK_LOCATION: &str = "grep -i '^location:' | cut -d' ' -f2- | tr -d '\\r'";
/// Shows only what keeps the request from being made.
const QUIET: &str = "-sSg -o /dev/null";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::conformance::journal::Lead;
    use crate::conformance::report::sample::{exchange, header};
    use crate::model::Digest;

    /// Numbers exchanges as if one came after the other.
    fn numbered(mut exchanges: Vec<Exchange>) -> Report {
        for (exchange, at) in exchanges.iter_mut().zip(1..) {
            (exchange.trace.began, exchange.trace.ended) = (2 * at, 2 * at + 1);
        }
        Report { journal: exchanges, ..Report::default() }
    }

    fn sending(method: &str, url: &str, sent: &str) -> Exchange {
        let mut exchange = exchange(method, url, 200);
        exchange.trace.sent = Bytes::copy_from_slice(sent.as_bytes());
        exchange
    }

    fn following(mut exchange: Exchange, line: u64, rest: &str) -> Exchange {
        exchange.trace.lead = Some(Lead { began: 2 * line, rest: rest.to_owned() });
        exchange
    }

    fn script(report: &Report) -> String {
        reproduce(report, &report.journal, None).expect("there is an exchange")
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(reproduce(&Report::default(), &[], None), None);
        assert_eq!(reproduce(&Report::default(), &[], Some(7)), None);
    }

    #[test]
    fn the_failing_request_is_made_and_not_the_last_one() {
        let report =
            numbered(vec![exchange("GET", "http://r/v2/a/tags/list", 500), exchange("GET", "http://r/v2/", 200)]);
        let script = reproduce(&report, &report.journal, Some(0));
        assert_eq!(script.as_deref(), Some("curl -sSgi http://r/v2/a/tags/list"));
        let head = Report { journal: vec![exchange("HEAD", "http://r/v2/a/blobs/sha256:00", 500)], ..report };
        assert_eq!(reproduce(&head, &head.journal, None).as_deref(), Some("curl -sSgI http://r/v2/a/blobs/sha256:00"));
    }

    #[test]
    fn a_session_is_opened_anew() {
        let digest = Digest::of(b"one");
        let mut post = exchange("POST", "http://r:5/v2/a/blobs/uploads/", 202);
        post.headers = vec![header("location", "/up/1?s=***")];
        let mut patch = following(sending("PATCH", "http://r:5/up/1?s=***", "one"), 1, "");
        patch.headers = vec![header("location", "http://other/up/2")];
        let rest = format!("?digest=sha256%3A{}", digest.hex());
        let put = following(exchange("PUT", &format!("http://other/up/2{rest}"), 500), 2, &rest);
        let get = exchange("GET", &format!("http://r:5/v2/a/blobs/{digest}"), 404);
        let pick = "grep -i '^location:' | cut -d' ' -f2- | tr -d '\\r'";
        let expected = [
            format!("at1=http://r:5$(curl -sSgi -X POST http://r:5/v2/a/blobs/uploads/ | {pick})"),
            format!("at2=$(curl -sSgi -X PATCH -H Content-Type: --data-raw one \"$at1\" | {pick})"),
            format!("curl -sSg -o /dev/null -X PUT \"$at2\"'{rest}'"),
            format!("curl -sSgi http://r:5/v2/a/blobs/{digest}"),
        ];
        assert_eq!(script(&numbered(vec![post, patch, put, get])), expected.join("\n"));
    }

    #[test]
    fn what_went_on_at_the_same_time_does_so_again() {
        let mut report = numbered(vec![
            sending("PUT", "http://r/v2/a/manifests/v1", "{}"),
            sending("PUT", "http://r/v2/a/manifests/v2", "[]"),
            exchange("GET", "http://r/v2/a/tags/list", 200),
        ]);
        (report.journal[0].trace.ended, report.journal[1].trace.ended) = (5, 4);
        let put = "curl -sSg -o /dev/null -X PUT -H Accept: -H Content-Type: --data-raw";
        let expected = format!(
            "{{ {put} '{{}}' http://r/v2/a/manifests/v1; }} &\n{{ {put} '[]' http://r/v2/a/manifests/v2; }} &\nwait\n\
             curl -sSgi http://r/v2/a/tags/list"
        );
        assert_eq!(script(&report), expected);
    }

    #[test]
    fn a_body_too_long_for_a_line_is_named() {
        let mut put = exchange("PUT", "http://r/v2/a/manifests/v1", 500);
        put.trace.sent = Bytes::from(vec![255; 90_000]);
        let script = script(&numbered(vec![put]));
        assert!(script.ends_with("/v1  # `body` is a file with the 90000 bytes that were sent"), "{script}");
    }
}
