//! The journal of a run: what changed the registry and in which order, where answers led, and which upload sessions are
//! open, or may be.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, StatusCode};

use super::answer::{Answer, printable};
use super::record::{Exchange, Unnamed};
use crate::model::Name;

/// Where an exchange stands in its run, and what it takes to repeat it. No secret is in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// When it began: the run's clock ticks at each beginning and each end. 0 where nobody counts.
    pub(super) began: u64,
    /// When it was over.
    pub(super) ended: u64,
    /// What was pushed in one scene is removed at its end, and no other scene knows of it.
    pub(super) scene: u64,
    /// The whole body that was sent.
    pub(super) sent: Bytes,
    /// The URL, where it is of our own making and therefore no secret.
    pub(super) target: Option<String>,
    /// The answer that led to this request.
    pub(super) lead: Option<Lead>,
    /// Whether the answer came from where a redirect led, or did not come.
    pub(super) redirected: bool,
}

/// The answer whose `Location` a request was sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    /// When that exchange began.
    pub(super) began: u64,
    /// What was added to the place.
    pub(super) rest: String,
}

/// An upload session that was opened and neither closed nor given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// Where it goes on. May hold what grants access.
    pub(super) place: String,
    /// The repository, where that is known.
    pub(super) name: Option<Name>,
}

/// Keeps the journal; shared by all who ask.
#[derive(Debug, Default)]
pub(super) struct Journal {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    clock: u64,
    scene: u64,
    entries: Vec<Exchange>,
    /// By place: when the exchange began that led there, and in which scene.
    places: HashMap<String, (u64, u64)>,
    /// By when they were opened, or what led there was asked: when the first exchange of the session began.
    roots: HashMap<u64, u64>,
    /// Open sessions, by when they were opened.
    sessions: Vec<(u64, Session)>,
    /// Requests that may have opened a session, as long as no answer has said otherwise.
    unnamed: Vec<Unnamed>,
}

impl Journal {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a scene.
    pub(super) fn scene(&self) {
        self.book().scene += 1;
    }

    /// Takes note of a request that is about to be sent to `target`, a whole URL; `is_ours` where no answer named it.
    pub(super) fn begin(&self, method: &Method, target: &str, is_ours: bool, sent: Bytes) -> Trace {
        let mut book = self.book();
        book.clock += 1;
        let began = book.clock;
        if *method == Method::POST {
            // Nobody may wait for the answer.
            let why = "the run ended before the answer".to_owned();
            book.unnamed.push(Unnamed { url: printable(target), why, began });
        }
        let lead = if is_ours { None } else { book.lead(target) };
        let root = lead.as_ref().and_then(|lead| book.roots.get(&lead.began).copied()).unwrap_or(began);
        book.roots.insert(began, root);
        let target = is_ours.then(|| target.to_owned());
        Trace { began, ended: began, scene: book.scene, sent, target, lead, redirected: false }
    }

    /// Takes note of how that ended.
    pub(super) fn end(&self, answer: &mut Answer, method: &Method, name: Option<Name>) {
        let mut book = self.book();
        book.clock += 1;
        answer.exchange.trace.ended = book.clock;
        let began = answer.exchange.trace.began;
        let place = answer.place().ok();
        if let Some(place) = &place {
            let new = (began, answer.exchange.trace.scene);
            let known = book.places.entry(place.clone()).or_insert(new);
            // A session stays where it is; whatever else is named again is another thing.
            if known.1 != new.1 || !answer.is(StatusCode::ACCEPTED) && !answer.is(StatusCode::NO_CONTENT) {
                *known = new;
            }
        }
        book.follow(began, answer, method, place, name);
        let unnamed = why_unnamed(answer);
        book.unnamed.retain_mut(|other| match &unnamed {
            Some(why) if other.began == began => {
                other.why.clone_from(why);
                true
            }
            _ => other.began != began,
        });
        if !matches!(*method, Method::GET | Method::HEAD) || answer.location().is_some() {
            book.entries.push(answer.exchange.clone());
        }
    }

    /// Returns what changed the registry, or led somewhere, in the order in which it was over.
    pub(super) fn entries(&self) -> Vec<Exchange> {
        self.book().entries.clone()
    }

    /// Returns the sessions that are open, the oldest first.
    pub(super) fn sessions(&self) -> Vec<Session> {
        self.book().sessions.iter().map(|(_, session)| session.clone()).collect()
    }

    /// Returns the requests that may have opened a session whose place nobody was told.
    pub(super) fn unnamed(&self) -> Vec<Unnamed> {
        self.book().unnamed.clone()
    }
}

impl Book {
    /// Finds the answer that led to a place: to all of it, or to what is left without the parameters that were added.
    fn lead(&self, target: &str) -> Option<Lead> {
        let ends = target.rmatch_indices(['?', '&']).map(|(at, _)| at);
        std::iter::once(target.len()).chain(ends).find_map(|end| {
            let (began, _) = *self.places.get(&target[..end])?;
            Some(Lead { began, rest: target[end..].to_owned() })
        })
    }

    /// Keeps the list of open sessions.
    fn follow(&mut self, began: u64, answer: &Answer, method: &Method, place: Option<String>, name: Option<Name>) {
        let Some(status) = answer.status else { return };
        let root = self.roots.get(&began).copied().unwrap_or(began);
        let known = self.sessions.iter().position(|(opened, _)| *opened == root);
        match (known, place) {
            (None, Some(place)) if *method == Method::POST && status == StatusCode::ACCEPTED => {
                self.sessions.push((root, Session { place, name }));
            }
            (Some(at), _) if is_over(method, status) => {
                self.sessions.remove(at);
            }
            (Some(at), Some(place)) if status.is_success() => self.sessions[at].1.place = place,
            _ => {}
        }
    }
}

/// Says whether a session has ended with this answer.
fn is_over(method: &Method, status: StatusCode) -> bool {
    let closes = matches!(*method, Method::PUT | Method::DELETE);
    closes && status.is_success() || status == StatusCode::NOT_FOUND && *method != Method::PUT
}

/// Says why the answer to a `POST` leaves open whether there is a session now, and where.
fn why_unnamed(answer: &Answer) -> Option<String> {
    match answer.status {
        None if answer.unsent => None,
        None => Some(answer.failure().unwrap_or("there was no answer").to_owned()),
        Some(StatusCode::ACCEPTED) => answer.place().err().map(|why| format!("202, but {why}")),
        // A proxy says so for a registry that may have done it all the same.
        Some(status @ (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)) => {
            Some(format!("a proxy answered {} for the registry", status.as_u16()))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLOADS: &str = "http://r/v2/a/blobs/uploads/";

    /// Tells the journal of a request and its answer.
    fn ask(journal: &Journal, method: Method, target: &str, status: u16, location: Option<&str>) -> Exchange {
        let trace = journal.begin(&method, target, target == UPLOADS, Bytes::new());
        let headers: Vec<(&'static str, &str)> = location.map(|location| ("location", location)).into_iter().collect();
        let mut answer = Answer::example(status, &headers, "");
        answer.uri = target.parse().expect("a URI");
        answer.exchange.trace = trace;
        journal.end(&mut answer, &method, None);
        answer.exchange
    }

    fn open(journal: &Journal) -> Vec<String> {
        journal.sessions().into_iter().map(|session| session.place).collect()
    }

    #[test]
    fn requests_follow_the_answers_that_led_to_them() {
        let journal = Journal::default();
        let post = ask(&journal, Method::POST, UPLOADS, 202, Some("/up/1?s=x"));
        let patch = ask(&journal, Method::PATCH, "http://r/up/1?s=x", 202, Some("http://other/up/2"));
        let put =
            ask(&journal, Method::PUT, "http://other/up/2?digest=sha256%3A00", 201, Some("/v2/a/blobs/sha256:00"));
        let lead = |exchange: &Exchange, rest: &str| Some(Lead { began: exchange.trace.began, rest: rest.to_owned() });
        assert_eq!(post.trace.lead, None);
        assert_eq!(patch.trace.lead, lead(&post, ""));
        assert_eq!(put.trace.lead, lead(&patch, "?digest=sha256%3A00"));
        let more = ask(&journal, Method::PUT, "http://r/up/1?s=x&digest=sha256%3A00", 400, None);
        assert_eq!(more.trace.lead, lead(&post, "&digest=sha256%3A00"));
        let other = ask(&journal, Method::GET, "http://r/up/10", 404, None);
        assert_eq!(other.trace.lead, None);
        assert_eq!(journal.entries().len(), 4, "what only reads is no entry");
    }

    #[test]
    fn sessions_are_open_until_they_are_closed_or_given_up() {
        for (requests, left) in [
            (&[][..], Some("http://r/up/1")),
            (&[(Method::PATCH, 202, Some("/up/2"))], Some("http://r/up/2")),
            (&[(Method::PATCH, 416, Some("/up/2"))], Some("http://r/up/1")),
            (&[(Method::PUT, 400, None)], Some("http://r/up/1")),
            (&[(Method::PUT, 404, None)], Some("http://r/up/1")),
            (&[(Method::DELETE, 405, None)], Some("http://r/up/1")),
            (&[(Method::PUT, 201, Some("/v2/a/blobs/x"))], None),
            (&[(Method::DELETE, 204, None)], None),
            (&[(Method::DELETE, 404, None)], None),
            (&[(Method::GET, 404, None)], None),
        ] {
            let journal = Journal::default();
            ask(&journal, Method::POST, UPLOADS, 202, Some("/up/1"));
            for (method, status, location) in requests {
                ask(&journal, method.clone(), "http://r/up/1", *status, *location);
            }
            assert_eq!(open(&journal).first().map(String::as_str), left, "{requests:?}");
        }
        let journal = Journal::default();
        ask(&journal, Method::POST, UPLOADS, 201, Some("/v2/a/blobs/x"));
        ask(&journal, Method::POST, UPLOADS, 500, Some("/up/1"));
        assert_eq!(open(&journal), Vec::<String>::new());
    }
    #[test]
    fn sessions_that_no_answer_named_are_remembered() {
        let journal = Journal::default();
        let whys = |journal: &Journal| journal.unnamed().into_iter().map(|unnamed| unnamed.why).collect::<Vec<_>>();
        ask(&journal, Method::POST, UPLOADS, 202, Some("/up/1"));
        ask(&journal, Method::POST, UPLOADS, 201, None);
        ask(&journal, Method::POST, UPLOADS, 500, None);
        ask(&journal, Method::GET, UPLOADS, 502, None);
        assert_eq!(whys(&journal), Vec::<String>::new());
        ask(&journal, Method::POST, UPLOADS, 202, None);
        ask(&journal, Method::POST, UPLOADS, 504, None);
        let trace = journal.begin(&Method::POST, UPLOADS, true, Bytes::new());
        let mut lost = Answer { exchange: Exchange { trace, ..Exchange::default() }, ..Answer::default() };
        lost.exchange.failure = Some("the connection broke".to_owned());
        journal.end(&mut lost, &Method::POST, None);
        let trace = journal.begin(&Method::POST, UPLOADS, true, Bytes::new());
        let mut unsent = Answer { exchange: Exchange { trace, ..Exchange::default() }, ..Answer::default() };
        unsent.unsent = true;
        journal.end(&mut unsent, &Method::POST, None);
        journal.begin(&Method::POST, &format!("{UPLOADS}?sig=secret"), true, Bytes::new());
        let expected = [
            "202, but the answer has no `Location`",
            "a proxy answered 504 for the registry",
            "the connection broke",
            "the run ended before the answer",
        ];
        assert_eq!(whys(&journal), expected);
        assert!(journal.unnamed().iter().all(|unnamed| !unnamed.url.contains("secret")));
    }
}
