//! What an answer has to be, and what is wrong where it is not.

use bytes::Bytes;

use crate::conformance::answer::{Answer, End};
use crate::conformance::record::Exchange;
use crate::conformance::verdict::Status;
use crate::model::{ErrorBody, excerpt};

/// Why a step does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// `Fail`, `Skip` where the registry does without it as it may, or `Error` where it says one thing and does another.
    pub(super) status: Status,
    /// A sentence each.
    pub(super) reasons: Vec<String>,
    /// When the exchange began that shows it; none for the last one of the step.
    pub(super) seen: Option<u64>,
}

impl Fault {
    /// Says that a rule is broken.
    pub(super) fn fail(reason: impl Into<String>) -> Self {
        Self { status: Status::Fail, reasons: vec![reason.into()], seen: None }
    }

    /// Says that the registry does without something.
    pub(super) fn unsupported(reason: impl Into<String>) -> Self {
        Self { status: Status::Skip, reasons: vec![reason.into()], seen: None }
    }

    /// Says that an answer contradicts itself.
    pub(super) fn contradiction(reason: impl Into<String>) -> Self {
        Self { status: Status::Error, reasons: vec![reason.into()], seen: None }
    }

    /// Says that the last exchange so far shows it, where nothing nearer has said so.
    pub(super) fn at_end_of(self, tape: &[Exchange]) -> Self {
        Self { seen: self.seen.or(tape.last().map(|exchange| exchange.trace.began)), ..self }
    }

    /// Joins faults as the official suite does: a contradiction stands above all, and what is not supported hides what
    /// is broken. No faults are none.
    pub(super) fn join(faults: Vec<Self>) -> Result<(), Self> {
        let rank =
            |status: Status| [Status::Fail, Status::Skip, Status::Error].iter().position(|known| *known == status);
        let Some(status) = faults.iter().map(|fault| fault.status).max_by_key(|status| rank(*status)) else {
            return Ok(());
        };
        let seen = faults.iter().find(|fault| fault.status == status).and_then(|fault| fault.seen);
        let mut reasons: Vec<String> = faults.into_iter().flat_map(|fault| fault.reasons).collect();
        let more = reasons.len().saturating_sub(REASONS);
        if more > 0 {
            reasons.truncate(REASONS);
            reasons.push(format!("and {more} more"));
        }
        Err(Self { status, reasons, seen })
    }
}

/// Collects what is wrong with one answer.
pub(super) struct Verdict<'a> {
    answer: &'a Answer,
    wrong: Vec<String>,
    /// Whether the status is wrong: then all else is that of another answer, and not worth a word.
    other: bool,
}

impl<'a> Verdict<'a> {
    /// Begins with nothing wrong.
    pub(super) fn on(answer: &'a Answer) -> Self {
        Self { answer, wrong: Vec::new(), other: false }
    }

    /// Wants one of these statuses.
    pub(super) fn status(mut self, wanted: &[u16]) -> Self {
        let status = self.answer.status.map(|status| status.as_u16());
        if !status.is_some_and(|status| wanted.contains(&status)) {
            let wanted: Vec<String> = wanted.iter().map(u16::to_string).collect();
            let got = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            self.add(format!("wanted {}, got {got}{}", wanted.join(" or "), self.said()));
            self.other = true;
        }
        self
    }

    /// Wants a header to be there.
    pub(super) fn present(mut self, name: &str) -> Self {
        if !self.answer.headers.contains_key(name) {
            self.add(format!("there is no `{name}`"));
        }
        self
    }

    /// Wants a header to say exactly this, in one of its lines.
    pub(super) fn header(self, name: &str, wanted: &str) -> Self {
        self.header_among(name, &[wanted])
    }

    /// Wants a header to say one of these.
    pub(super) fn header_among(mut self, name: &str, wanted: &[&str]) -> Self {
        let lines: Vec<&str> =
            self.answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if !lines.iter().any(|line| wanted.contains(line)) {
            let got =
                if lines.is_empty() { "nothing".to_owned() } else { format!("`{}`", excerpt(&lines.join("`, `"))) };
            self.add(format!("`{name}` should be `{}` and is {got}", wanted[0]));
        }
        self
    }

    /// Wants exactly these bytes.
    pub(super) fn body(mut self, wanted: &[u8]) -> Self {
        let got = &self.answer.body;
        if got != wanted || self.answer.end != End::Whole {
            self.add(match got.iter().zip(wanted).position(|(got, wanted)| got != wanted) {
                Some(at) => format!("the body differs from what was pushed at byte {at}"),
                None => format!("the body has {} bytes instead of {}", got.len(), wanted.len()),
            });
        }
        self
    }

    /// Wants `Content-Length` to say how long this is.
    pub(super) fn length(self, bytes: &Bytes) -> Self {
        self.header("content-length", &bytes.len().to_string())
    }

    /// Wants `Docker-Content-Digest` to say this where it says anything.
    pub(super) fn digest(mut self, wanted: &str, presence: Presence) -> Self {
        match self.answer.digest() {
            None if presence == Presence::Required => self.add("there is no `docker-content-digest`"),
            Some(got) if got != wanted => {
                let got = excerpt(got);
                self.add(format!("`docker-content-digest` should be `{wanted}` and is `{got}`"));
            }
            _ => {}
        }
        self
    }

    /// Returns what is wrong.
    pub(super) fn end(self) -> Result<(), Fault> {
        let seen = Some(self.answer.exchange.trace.began);
        if self.wrong.is_empty() { Ok(()) } else { Err(Fault { status: Status::Fail, reasons: self.wrong, seen }) }
    }

    fn add(&mut self, what: impl AsRef<str>) {
        if !self.other {
            self.wrong.push(format!("`{}`: {}", self.answer.exchange.method, what.as_ref()));
        }
    }

    /// Repeats why there is no answer, or by which codes it refuses.
    fn said(&self) -> String {
        if let Some(why) = self.answer.failure() {
            return format!(" ({why})");
        }
        let errors = ErrorBody::parse(&self.answer.body).errors;
        let mut codes: Vec<String> = Vec::new();
        for code in errors.iter().map(|error| format!("`{}`", excerpt(&error.code.to_string()))) {
            if !codes.contains(&code) && codes.len() < CODES {
                codes.push(code);
            }
        }
        if codes.is_empty() { String::new() } else { format!(" with {}", codes.join(", ")) }
    }
}

/// Whether a header may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

/// Sentences of one step at most: a hostile list could have a hundred thousand.
const REASONS: usize = 20;

/// Codes of one refusal that are repeated at most.
const CODES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_say_what_is_wrong() {
        let blob = Bytes::from_static(b"abc");
        let answer = Answer::example(
            206,
            &[("content-length", "3"), ("content-type", "a/b; c=d"), ("docker-content-digest", "x")],
            "abd",
        );
        for (verdict, said) in [
            (Verdict::on(&answer).status(&[200, 206]), None),
            (Verdict::on(&answer).status(&[200, 201]), Some("`GET`: wanted 200 or 201, got 206")),
            (Verdict::on(&answer).status(&[200]).present("location"), Some("`GET`: wanted 200, got 206")),
            (Verdict::on(&answer).length(&blob), None),
            (Verdict::on(&answer).body(b"abd"), None),
            (Verdict::on(&answer).body(b"abc"), Some("`GET`: the body differs from what was pushed at byte 2")),
            (Verdict::on(&answer).body(b"abdef"), Some("`GET`: the body has 3 bytes instead of 5")),
            (
                Verdict::on(&answer).header("content-type", "a/b"),
                Some("`GET`: `content-type` should be `a/b` and is `a/b; c=d`"),
            ),
            (Verdict::on(&answer).header("range", "0-0"), Some("`GET`: `range` should be `0-0` and is nothing")),
            (Verdict::on(&answer).present("location"), Some("`GET`: there is no `location`")),
            (Verdict::on(&answer).digest("x", Presence::Required), None),
            (
                Verdict::on(&answer).digest("y", Presence::Optional),
                Some("`GET`: `docker-content-digest` should be `y` and is `x`"),
            ),
        ] {
            let reasons = verdict.end().err().map(|fault| fault.reasons.join("; "));
            assert_eq!(reasons.as_deref(), said);
        }
        let refused = Answer::example(400, &[], r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
        let fault = Verdict::on(&refused).status(&[201]).end().expect_err("another status");
        assert_eq!(fault.reasons, ["`GET`: wanted 201, got 400 with `DIGEST_INVALID`"]);
        let silent = Answer::default();
        assert!(Verdict::on(&silent).digest("x", Presence::Optional).end().is_ok());
        assert!(Verdict::on(&silent).digest("x", Presence::Required).end().is_err());
    }

    #[test]
    fn what_is_not_supported_hides_what_is_broken() {
        let (fail, skip, error) = (Fault::fail("f"), Fault::unsupported("s"), Fault::contradiction("e"));
        for (faults, status) in [
            (vec![], None),
            (vec![fail.clone()], Some(Status::Fail)),
            (vec![fail.clone(), skip.clone()], Some(Status::Skip)),
            (vec![skip.clone(), fail.clone(), error.clone()], Some(Status::Error)),
        ] {
            assert_eq!(Fault::join(faults).err().map(|fault| fault.status), status);
        }
        let joined = Fault::join(vec![fail, skip]).expect_err("two faults");
        assert_eq!(joined.reasons, ["f", "s"]);
        let many = Fault::join((0..100_000).map(|n| Fault::fail(n.to_string())).collect()).expect_err("many faults");
        assert_eq!((many.reasons.len(), many.reasons[20].as_str()), (21, "and 99980 more"));
    }
}
