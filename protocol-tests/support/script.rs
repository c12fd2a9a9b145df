//! A server that follows a script: an unexpected request or an unplayed step fails the test.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use spinreg::content::Body;

use super::listen::{Connection, Handler, Hangup, Listener, collect};
use super::pattern::{Pattern, target};
use super::reply::{Names, Reply};
use super::tls::Authority;

/// The steps of a scripted server, before it starts.
///
/// A request is answered by the first step that means it and is not used up. Steps that must come
/// in order are tested by [`Scripted::requests`].
#[derive(Default)]
pub(crate) struct Script {
    steps: Vec<Step>,
}

struct Step {
    pattern: Pattern,
    expected: Vec<(String, Expected)>,
    body: Option<Bytes>,
    replies: Vec<Reply>,
    played: usize,
    endless: bool,
}

enum Expected {
    Value(String),
    Absent,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers one request.
    pub(crate) fn on(self, pattern: &str, reply: Reply) -> Self {
        self.on_each(pattern, [reply])
    }

    /// Answers as many requests as there are replies, in this order.
    pub(crate) fn on_each(mut self, pattern: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.steps.push(Step {
            pattern: Pattern::new(pattern),
            expected: Vec::new(),
            body: None,
            replies: replies.into_iter().collect(),
            played: 0,
            endless: false,
        });
        self
    }

    /// Answers any number of requests, none included.
    pub(crate) fn always(self, pattern: &str, reply: Reply) -> Self {
        self.on(pattern, reply).amend(|step| step.endless = true)
    }

    /// The step before wants this header.
    pub(crate) fn with(self, name: &str, value: impl Into<String>) -> Self {
        let expected = (name.to_owned(), Expected::Value(value.into()));
        self.amend(|step| step.expected.push(expected))
    }

    /// The step before wants this header to be absent.
    pub(crate) fn without(self, name: &str) -> Self {
        let expected = (name.to_owned(), Expected::Absent);
        self.amend(|step| step.expected.push(expected))
    }

    /// The step before wants this body.
    pub(crate) fn with_body(self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.amend(|step| step.body = Some(body))
    }

    fn amend(mut self, change: impl FnOnce(&mut Step)) -> Self {
        change(self.steps.last_mut().expect("a step comes first"));
        self
    }

    /// Starts to serve plain HTTP.
    pub(crate) async fn start(self) -> Scripted {
        let state = self.state();
        let listener = Listener::plain(Player(state.clone())).await;
        Scripted::new(state, listener)
    }

    /// Starts to serve over TLS, as `localhost`.
    pub(crate) async fn start_tls(self, authority: &Authority) -> Scripted {
        self.start_as(authority.server()).await
    }

    /// Starts to serve over TLS with a configuration of its own.
    pub(crate) async fn start_as(self, config: Arc<rustls::ServerConfig>) -> Scripted {
        let state = self.state();
        let listener = Listener::tls(Player(state.clone()), config).await;
        Scripted::new(state, listener)
    }

    fn state(self) -> Arc<State> {
        let play = Play { steps: self.steps, requests: Vec::new(), complaints: Vec::new() };
        Arc::new(State { names: Mutex::default(), play: Mutex::new(play) })
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: http::Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// Returns a header as text; absent is empty.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }
}

/// A scripted server at work. End it by [`Scripted::finish`], which is where it complains.
pub(crate) struct Scripted {
    state: Arc<State>,
    listener: Listener,
    finished: bool,
}

impl Scripted {
    fn new(state: Arc<State>, listener: Listener) -> Self {
        *state.names.lock().expect("no test panics in here") = Names::of(&listener.origin());
        Self { state, listener, finished: false }
    }

    /// Lets `name` stand for `value` in header values from now on.
    pub(crate) fn knows(&self, name: &str, value: impl Into<String>) {
        self.state.names.lock().expect("no test panics in here").0.push((name.to_owned(), value.into()));
    }

    /// Returns `http://127.0.0.1:PORT`.
    pub(crate) fn origin(&self) -> String {
        self.listener.origin()
    }

    /// Returns the URI of `path` (and query) on this server.
    pub(crate) fn uri(&self, path: &str) -> Uri {
        self.listener.uri(path)
    }

    /// Returns `127.0.0.1:PORT`, the name of a registry at this server.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.listener.address()
    }

    /// Returns how many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.listener.connections()
    }

    /// Returns all requests so far, in the order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.play.lock().expect("no test panics in here").requests.clone()
    }

    /// Returns all requests so far as `GET /path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, target(&seen.uri))).collect()
    }

    /// Ends the server and fails the test when the play differed from the script.
    pub(crate) fn finish(mut self) {
        self.finished = true;
        let play = self.state.play.lock().expect("no test panics in here");
        let mut report = String::new();
        for complaint in &play.complaints {
            writeln!(report, "  {complaint}").expect("a string takes text");
        }
        for step in play.steps.iter().filter(|step| !step.endless && step.played < step.replies.len()) {
            let (played, wanted) = (step.played, step.replies.len());
            writeln!(report, "  `{}` was asked {played} of {wanted} times", step.pattern).expect("a string takes text");
        }
        assert!(report.is_empty(), "the script was not followed:\n{report}");
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "a test ends its scripts by `finish`");
    }
}

struct State {
    names: Mutex<Names>,
    play: Mutex<Play>,
}

struct Play {
    steps: Vec<Step>,
    requests: Vec<Seen>,
    complaints: Vec<String>,
}

impl Play {
    /// Finds the reply to a request; what it lacks is noted.
    fn reply(&mut self, seen: &Seen) -> Option<Reply> {
        let target = target(&seen.uri);
        let step = self.steps.iter_mut().find(|step| {
            step.pattern.matches(&seen.method, target) && (step.endless || step.played < step.replies.len())
        });
        let Some(step) = step else {
            self.complaints.push(format!("`{} {target}` was not expected", seen.method));
            return None;
        };
        let reply = step.replies[step.played.min(step.replies.len() - 1)].clone();
        step.played += 1;
        for (name, expected) in &step.expected {
            let actual = seen.header(name);
            match expected {
                Expected::Value(value) if value != actual => {
                    self.complaints.push(format!("`{}` came with `{name}: {actual}`, not `{value}`", step.pattern));
                }
                Expected::Absent if seen.headers.contains_key(name) => {
                    self.complaints.push(format!("`{}` came with `{name}: {actual}`", step.pattern));
                }
                _ => {}
            }
        }
        Some(reply)
    }

    /// Compares the body, where one is expected.
    fn check_body(&mut self, seen: &Seen) {
        let target = target(&seen.uri);
        let step = self.steps.iter().rfind(|step| step.played > 0 && step.pattern.matches(&seen.method, target));
        if let Some(Step { pattern, body: Some(body), .. }) = step
            && *body != seen.body
        {
            let (actual, wanted) = (seen.body.escape_ascii(), body.escape_ascii());
            self.complaints.push(format!("`{pattern}` came with the body `{actual}`, not `{wanted}`"));
        }
    }
}

struct Player(Arc<State>);

impl Handler for Player {
    async fn handle(&self, request: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Hangup> {
        let (head, body) = request.into_parts();
        let mut seen = Seen {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            body: Bytes::new(),
        };
        let (reply, index) = {
            let mut play = self.0.play.lock().expect("no test panics in here");
            play.requests.push(seen.clone());
            (play.reply(&seen), play.requests.len() - 1)
        };
        // A status that no client retries or understands.
        let reply = reply.unwrap_or_else(|| Reply::status(418).body("not in the script"));
        if !reply.unread {
            seen.body = collect(body).await?;
            let mut play = self.0.play.lock().expect("no test panics in here");
            play.check_body(&seen);
            play.requests[index].body = seen.body.clone();
        }
        let names = self.0.names.lock().expect("no test panics in here").clone();
        reply.play(&seen.method, &names, connection).await
    }
}
