//! The bench: it asks, writes down, and keeps the findings; what is pushed on it is removed from it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use tokio::time::sleep;

use super::super::answer::Answer;
use super::super::probe::{Asking, Probe, with_digest};
use super::super::{Exchange, Finding, Outcome};
use super::content::{Blob, Document, IMAGE, INDEX, at};
use super::rule::{Fall, Rule, Verdict, blocked, seen_in};
use super::{manifests, uploads};
use crate::model::{Algorithm, Name};

/// Where checks are made, and what came of them.
pub(super) struct Bench {
    probe: Probe,
    /// The repository that everything happens in.
    pub(super) name: Name,
    /// Where blobs are mounted from.
    pub(super) other: Name,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// Since the last check was over.
    exchanges: Vec<Exchange>,
    notes: Vec<String>,
    differs: Option<&'static str>,
    /// Which column is being filled, and why it is empty where it is.
    algorithm: Option<Algorithm>,
    shut: Option<Fall>,
    findings: Vec<Finding>,
    litter: Vec<String>,
    leftovers: Vec<String>,
    manners: Manners,
}

/// What is seen by the way, in any answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Manners {
    /// Answers with warnings.
    pub(super) warned: Vec<(Vec<String>, Exchange)>,
    /// 429s, and whether they said when to come back.
    pub(super) throttled: Vec<(bool, Exchange)>,
    /// 401s, and whether they said how to be met.
    pub(super) challenged: Vec<(bool, Exchange)>,
}

impl Bench {
    pub(super) fn new(probe: Probe, name: Name, other: Name) -> Self {
        Self { probe, name, other, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a check: polls `judge` and keeps what came of it, with every exchange since the check before.
    pub(super) async fn check(&self, rule: &'static Rule, judge: impl Future<Output = Verdict>) {
        let shut = self.book().shut.clone();
        let verdict = match shut {
            Some(fall) => Err(fall),
            None => judge.await,
        };
        self.keep(rule, verdict);
    }

    /// Keeps what came of a check that was judged elsewhere.
    pub(super) fn keep(&self, rule: &'static Rule, verdict: Verdict) {
        let mut book = self.book();
        let (mut exchanges, mut notes) = (std::mem::take(&mut book.exchanges), std::mem::take(&mut book.notes));
        let mut differs = book.differs.take();
        let mut decisive = None;
        let outcome = match verdict {
            Ok(()) => Outcome::Met,
            Err(Fall::Broken(why, seen)) => {
                notes.insert(0, why);
                decisive = decide(&mut exchanges, seen);
                differs = differs.or(rule.unseen);
                Outcome::Broken
            }
            Err(Fall::Unsupported(why)) => {
                notes.insert(0, why);
                Outcome::Unsupported
            }
            Err(Fall::Blocked(by)) => Outcome::Blocked(by),
        };
        let algorithm = book.algorithm;
        book.findings.push(Finding { check: rule.check, algorithm, outcome, notes, differs, exchanges, decisive });
    }

    /// Adds a sentence to the check that is being made.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.book().notes.push(text.into());
    }

    /// Says that the official suite takes the answer differently, and why.
    pub(super) fn differs(&self, why: &'static str) {
        self.book().differs = Some(why);
    }

    /// Begins a column: what is checked from here on has content of this algorithm. `None` ends the columns.
    pub(super) fn column(&self, algorithm: Option<Algorithm>) {
        let mut book = self.book();
        (book.algorithm, book.shut) = (algorithm, None);
    }

    /// Gives up the column: what is left of it fails for this reason.
    pub(super) fn shut(&self, fall: Fall) {
        self.book().shut = Some(fall);
    }

    /// The algorithm of the column.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.book().algorithm.unwrap_or(Algorithm::Sha256)
    }

    pub(super) fn manners(&self) -> Manners {
        self.book().manners.clone()
    }

    /// Takes what was found, and what could not be removed.
    pub(super) fn finish(self) -> (Vec<Finding>, Vec<String>) {
        let book = self.book.into_inner().unwrap_or_else(PoisonError::into_inner);
        (book.findings, book.leftovers)
    }

    /// Begins a request that this repository's rights are enough for.
    pub(super) fn request(&self, method: Method, target: &str) -> Asking {
        self.probe.request(method, target).within(&self.name)
    }

    /// Asks, and writes down what came. A 429 is no answer to a question: it is asked again, a few times.
    pub(super) async fn ask(&self, make: impl Fn() -> Asking) -> Answer {
        let mut attempts = PATIENCE;
        loop {
            let answer = make().send().await;
            self.record(&answer);
            attempts -= 1;
            if !answer.is(StatusCode::TOO_MANY_REQUESTS) || attempts == 0 {
                return answer;
            }
            sleep(PAUSE).await;
        }
    }

    fn record(&self, answer: &Answer) {
        let mut book = self.book();
        let texts: Vec<String> = answer
            .headers
            .get_all("warning")
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        if !texts.is_empty() {
            book.manners.warned.push((texts, answer.exchange.clone()));
        }
        if answer.is(StatusCode::TOO_MANY_REQUESTS) {
            book.manners.throttled.push((answer.header("retry-after").is_some(), answer.exchange.clone()));
        }
        if answer.is(StatusCode::UNAUTHORIZED) {
            // What could be met and was not, for want of credentials, comes as a failure.
            let met = answer.header("www-authenticate").is_some() || answer.failure().is_some();
            book.manners.challenged.push((met, answer.exchange.clone()));
        }
        book.exchanges.push(answer.exchange.clone());
    }

    /// Asks without a body.
    pub(super) async fn bare(&self, method: Method, target: &str) -> Answer {
        self.ask(|| self.request(method.clone(), target)).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.bare(Method::GET, target).await
    }

    /// Asks where this repository's rights are not enough for.
    pub(super) async fn elsewhere(&self, target: &str) -> Answer {
        self.ask(|| self.probe.request(Method::GET, target)).await
    }

    /// Asks for a manifest, of any kind we know.
    pub(super) async fn fetch(&self, method: Method, reference: &str) -> Answer {
        let path = at(&self.name, reference);
        self.ask(|| self.request(method.clone(), &path).header(ACCEPT, INDEX).header(ACCEPT, IMAGE)).await
    }

    /// Sends bytes.
    pub(super) async fn put(&self, target: &str, media_type: &str, bytes: &bytes::Bytes) -> Answer {
        self.ask(|| self.request(Method::PUT, target).header(CONTENT_TYPE, media_type).body(bytes.clone())).await
    }

    /// Opens an upload session and returns its place, whatever the status says.
    pub(super) async fn open(&self) -> Result<String, Fall> {
        let answer = self.bare(Method::POST, &self.uploads()).await;
        match answer.place() {
            Ok(place) if succeeded(&answer) => Ok(place),
            _ => blocked(&uploads::POST),
        }
    }

    /// Where upload sessions are opened.
    pub(super) fn uploads(&self) -> String {
        format!("/v2/{}/blobs/uploads/", self.name)
    }

    /// Closes a session with bytes.
    pub(super) async fn close(&self, place: &str, digest: &str, bytes: &bytes::Bytes) -> Answer {
        self.put(&with_digest(place, digest), OCTETS, bytes).await
    }

    /// Pushes a blob in whatever way works.
    pub(super) async fn push(&self, blob: &Blob) -> Verdict {
        self.push_to(&self.name, blob).await
    }

    /// Pushes a blob to a repository in whatever way works.
    pub(super) async fn push_to(&self, name: &Name, blob: &Blob) -> Verdict {
        self.litter(&blob.path(name));
        let uploads = format!("/v2/{name}/blobs/uploads/");
        let digest = blob.digest.to_string();
        let started = self.ask(|| self.probe.request(Method::POST, &uploads)).await;
        if let (Ok(place), true) = (started.place(), succeeded(&started)) {
            let target = with_digest(&place, &digest);
            let closing = || {
                let asking = self.probe.request(Method::PUT, &target).within(name);
                asking.header(CONTENT_TYPE, OCTETS).body(blob.bytes.clone())
            };
            if succeeded(&self.ask(closing).await) {
                return Ok(());
            }
        }
        let whole = format!("{uploads}?digest={digest}");
        let posting = || {
            let asking = self.probe.request(Method::POST, &whole);
            asking.header(CONTENT_TYPE, OCTETS).body(blob.bytes.clone())
        };
        if self.ask(posting).await.is(StatusCode::CREATED) { Ok(()) } else { blocked(&uploads::PUT) }
    }

    /// Pushes a manifest by its digest or by a tag.
    pub(super) async fn publish(&self, document: &Document, reference: &str) -> Result<Answer, Fall> {
        let answer = self.offer(document, reference).await;
        if succeeded(&answer) {
            return Ok(answer);
        }
        blocked(if reference.contains(':') { &manifests::PUT_DIGEST } else { &manifests::PUT_TAG })
    }

    /// Offers a manifest, and says what the answer was.
    pub(super) async fn offer(&self, document: &Document, reference: &str) -> Answer {
        self.litter(&document.path(&self.name));
        let target = at(&self.name, reference);
        self.put(&target, document.media_type, &document.bytes).await
    }

    /// Pushes the configuration of an image, for manifests to name.
    pub(super) async fn config(&self) -> Result<Blob, Fall> {
        let config = Blob::config();
        self.push(&config).await.map(|()| config)
    }

    /// Notes what will have to be removed.
    pub(super) fn litter(&self, target: &str) {
        let mut book = self.book();
        if !book.litter.iter().any(|known| known == target) {
            book.litter.push(target.to_owned());
        }
    }

    /// Returns what was asked last in this check.
    pub(super) fn last(&self) -> Option<Box<Exchange>> {
        self.book().exchanges.last().cloned().map(Box::new)
    }

    /// Removes what was pushed: manifests before the blobs that they name, the last ones first. What comes then has nothing
    /// to do with what was before.
    pub(super) async fn clean(&self) {
        let mut litter = std::mem::take(&mut self.book().litter);
        litter.reverse();
        litter.sort_by_key(|target| !target.contains("/manifests/"));
        for target in litter {
            let answer = self.request(Method::DELETE, &target).send().await;
            let gone = answer.status.is_some_and(|status| status.is_success() || status == StatusCode::NOT_FOUND);
            // What is deleted already is refused in some other way by some.
            let stays = !gone && !self.request(Method::HEAD, &target).send().await.is(StatusCode::NOT_FOUND);
            if stays {
                self.book().leftovers.push(target);
            }
        }
        self.book().exchanges.clear();
        self.probe.scene();
    }
}

/// Finds the exchange that shows what is wrong, which may belong to an earlier check; it is the last one if nothing is said.
fn decide(exchanges: &mut Vec<Exchange>, seen: Option<Box<Exchange>>) -> Option<usize> {
    let Some(seen) = seen else { return exchanges.len().checked_sub(1) };
    let at = exchanges.iter().position(|exchange| exchange.trace.began >= seen.trace.began).unwrap_or(exchanges.len());
    if exchanges.get(at).is_none_or(|exchange| exchange.trace.began != seen.trace.began) {
        exchanges.insert(at, *seen);
    }
    Some(at)
}

/// Says whether an answer is a yes, of whatever kind.
pub(super) fn succeeded(answer: &Answer) -> bool {
    answer.status.is_some_and(|status| status.is_success())
}

/// Says what an answer was, for people.
pub(super) fn said(answer: &Answer) -> String {
    match (answer.status, answer.failure()) {
        (Some(status), _) => format!("{} answered {}", answer.exchange.method, status.as_u16()),
        (None, Some(why)) => format!("{} got no answer: {why}", answer.exchange.method),
        (None, None) => format!("{} got no answer", answer.exchange.method),
    }
}

/// Demands a status.
pub(super) fn expect(answer: &Answer, status: StatusCode) -> Verdict {
    seen_in(answer, super::rule::ensure(answer.is(status), || format!("{}, not {}", said(answer), status.as_u16())))
}

/// Demands one of some statuses.
pub(super) fn expect_any(answer: &Answer, statuses: &[StatusCode]) -> Verdict {
    let names = || statuses.iter().map(|status| status.as_u16().to_string()).collect::<Vec<_>>().join(" or ");
    let verdict = super::rule::ensure(statuses.iter().any(|status| answer.is(*status)), || {
        format!("{}, not {}", said(answer), names())
    });
    seen_in(answer, verdict)
}

/// Demands the exact bytes.
pub(super) fn expect_bytes(answer: &Answer, bytes: &[u8]) -> Verdict {
    use super::super::answer::End;
    let verdict = match &answer.end {
        End::Broken(why) => super::rule::broken(format!("the body broke off: {why}")),
        _ if answer.body == bytes => Ok(()),
        _ => super::rule::broken(format!(
            "the body has {} bytes that are not the {} bytes that were pushed",
            answer.body.len(),
            bytes.len()
        )),
    };
    seen_in(answer, verdict)
}

/// The media type of blobs.
pub(super) const OCTETS: &str = "application/octet-stream";
/// How often a question is put to a registry that says 429 and not when to come back.
const PATIENCE: u32 = 4;
/// The wait between two of them.
const PAUSE: Duration = Duration::from_millis(20);
