//! What went over the wire, one line per request, and the comparison with what should have.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::sync::Notify;

use super::root;

/// Collects `GET /v2/app/manifests/v1 200` lines. Clones write into the same book.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Book>);

#[derive(Default)]
struct Book {
    lines: Mutex<Vec<String>>,
    grown: Notify,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Notes a request and how it was answered, with what differs from run to run left out.
    pub(crate) fn record(&self, method: &Method, uri: &Uri, request: &HeaderMap, status: StatusCode) {
        let range = request.get("range").and_then(|range| range.to_str().ok());
        let range = range.map(|range| format!(" [{range}]")).unwrap_or_default();
        self.push(format!("{method} {}{range} {}", normal(super::pattern::target(uri)), status.as_u16()));
    }

    /// Notes a line as another observer has written it.
    pub(crate) fn note(&self, line: &str) {
        self.push(line.split(' ').map(normal).collect::<Vec<_>>().join(" "));
    }

    /// Notes a line as it is.
    pub(crate) fn hear(&self, line: String) {
        self.push(line);
    }

    /// Waits for a line with this text, and returns it.
    pub(crate) async fn says(&self, text: &str) -> String {
        let said = tokio::time::timeout(WATCHDOG, self.hears(text)).await;
        said.unwrap_or_else(|_| panic!("nobody says `{text}`: {:#?}", self.lines()))
    }

    async fn hears(&self, text: &str) -> String {
        loop {
            let grown = self.0.grown.notified();
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(text)) {
                return line;
            }
            grown.await;
        }
    }

    /// Returns the lines so far, in the order in which the answers were given.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lines.lock().expect("no test panics in here").clone()
    }

    /// Returns the lines so far and forgets them.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lines.lock().expect("no test panics in here"))
    }

    /// Counts the lines that begin like this.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(start)).count()
    }

    /// Waits until there are `n` lines.
    pub(crate) async fn reaches(&self, n: usize) {
        loop {
            // Listening before looking: a line in between is not missed.
            let grown = self.0.grown.notified();
            if self.lines().len() >= n {
                return;
            }
            grown.await;
        }
    }

    fn push(&self, line: String) {
        self.0.lines.lock().expect("no test panics in here").push(line);
        self.0.grown.notify_waiters();
    }
}

/// Who waits for what is never said must not hang the tests; nothing waits this long otherwise.
const WATCHDOG: Duration = Duration::from_secs(120);

/// Sorts each run of requests for blobs, because blobs move several at a time.
pub(crate) fn settled(mut lines: Vec<String>) -> Vec<String> {
    lines.chunk_by_mut(|a, b| a.contains("/blobs/") && b.contains("/blobs/")).for_each(<[String]>::sort);
    lines
}

/// Compares a transcript with `fixtures/transcripts/NAME.txt`; `SPINREG_BLESS=1` rewrites that file instead.
pub(crate) fn compare(name: &str, lines: &[String]) {
    let path = root("fixtures/transcripts").join(format!("{name}.txt"));
    let actual: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(root("fixtures/transcripts")).expect("a directory of the crate");
        std::fs::write(&path, actual).expect("a file of the crate");
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read `{}`: {error}\n{actual}", path.display()));
    let (expected, actual): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    assert!(expected == actual, "the wire differs from `{name}.txt`:\n{}", difference(&expected, &actual));
}

/// Writes both sides as one, `-` before what is missing and `+` before what is new.
pub(crate) fn difference(expected: &[&str], actual: &[&str]) -> String {
    // The longest common subsequence; transcripts are short.
    let mut common = vec![vec![0usize; actual.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..actual.len()).rev() {
            common[i][j] = if expected[i] == actual[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < expected.len() || j < actual.len() {
        let (sign, line) = if i < expected.len() && j < actual.len() && expected[i] == actual[j] {
            (i, j) = (i + 1, j + 1);
            (' ', expected[i - 1])
        } else if j == actual.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', expected[i - 1])
        } else {
            j += 1;
            ('+', actual[j - 1])
        };
        writeln!(text, "  {sign} {line}").expect("a string takes text");
    }
    text
}

/// Leaves out what differs from run to run: the host, and the name and state of an upload session.
fn normal(target: &str) -> String {
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => target,
    };
    let Some((before, session)) = target.split_once("/blobs/uploads/") else { return target.to_owned() };
    let (id, query) = session.split_once('?').unwrap_or((session, ""));
    let known = ["digest=", "mount=", "from="];
    let query: Vec<_> = query.split('&').filter(|pair| known.iter().any(|key| pair.starts_with(key))).collect();
    let id = if id.is_empty() { "" } else { "{session}" };
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{before}/blobs/uploads/{id}{mark}{}", query.join("&")).replace("%3A", ":").replace("%2F", "/")
}

#[test]
fn what_differs_from_run_to_run_is_left_out() {
    for (target, expected) in [
        ("/v2/app/manifests/v1", "/v2/app/manifests/v1"),
        ("http://127.0.0.1:4711/v2/", "/v2/"),
        ("https://registry.test/v2/", "/v2/"),
        ("/v2/app/blobs/uploads/", "/v2/app/blobs/uploads/"),
        ("/v2/app/blobs/uploads/?mount=sha256:ab&from=b", "/v2/app/blobs/uploads/?mount=sha256:ab&from=b"),
        (
            "/v2/app/blobs/uploads/6f1c?_state=xyz&digest=sha256%3Aab",
            "/v2/app/blobs/uploads/{session}?digest=sha256:ab",
        ),
    ] {
        assert_eq!(normal(target), expected);
    }
}

#[test]
fn a_difference_shows_both_sides() {
    let text = difference(&["GET /a 200", "GET /b 200"], &["GET /a 200", "GET /c 200", "GET /b 200"]);
    assert_eq!(text, "    GET /a 200\n  + GET /c 200\n    GET /b 200\n");
    assert_eq!(difference(&["GET /a 200"], &["GET /a 404"]), "  - GET /a 200\n  + GET /a 404\n");
}

#[test]
fn runs_of_blobs_settle() {
    let lines = ["GET /v2/a/manifests/v 200", "GET /v2/a/blobs/2 200", "GET /v2/a/blobs/1 200", "PUT /v2/b 201"];
    let settled = settled(lines.map(str::to_owned).into());
    let expected = ["GET /v2/a/manifests/v 200", "GET /v2/a/blobs/1 200", "GET /v2/a/blobs/2 200", "PUT /v2/b 201"];
    assert_eq!(settled, expected);
}
