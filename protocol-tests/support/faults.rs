//! A door to a registry where anything may go wrong, as a seed has it.
//!
//! What happens to an exchange depends on the seed, on what is asked for, and on how often it was asked for before, but
//! not on when: the same seed gives the same faults however the requests overtake each other.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use spinreg::content::Body;
use spinreg::model::Digest;

use super::client::read;
use super::front::{forward, head};
use super::guard::Guard;
use super::listen::{Connection, Handler, Hangup, Listener, collect};
use super::pattern::target;
use super::reply::{End, Names, Reply};

/// A door at work, with a second one that has another origin and leads to the same registry.
pub(crate) struct Faults {
    door: Door,
    registry: Listener,
    _elsewhere: Listener,
}

impl Faults {
    /// Stands before the registry at `upstream`. As long as the rate is 0 nothing goes wrong.
    pub(crate) async fn before(upstream: SocketAddr, guard: Guard, seed: u64) -> Self {
        let inner = Inner {
            upstream,
            guard,
            seed,
            rate: AtomicU32::new(0),
            origins: OnceLock::new(),
            leaks: AtomicUsize::new(0),
            book: Mutex::default(),
        };
        let inner = Arc::new(inner);
        let door = Door { inner: inner.clone(), is_registry: true };
        let registry = Listener::plain(door.clone()).await;
        let elsewhere = Listener::plain(Door { inner: inner.clone(), is_registry: false }).await;
        inner.origins.set((registry.origin(), elsewhere.origin())).expect("a door is opened once");
        Self { door, registry, _elsewhere: elsewhere }
    }

    /// Returns the registry's name: `127.0.0.1:PORT`.
    pub(crate) fn registry(&self) -> String {
        self.registry.address().to_string()
    }

    /// Sets how many exchanges in a thousand go wrong.
    pub(crate) fn rate(&self, per_mille: u32) {
        self.door.inner.rate.store(per_mille, Ordering::SeqCst);
    }

    /// Returns how many requests brought credentials to the other origin.
    pub(crate) fn leaks(&self) -> usize {
        self.door.inner.leaks.load(Ordering::SeqCst)
    }

    /// Returns the upload sessions that the client has used, has not finished, and has not tried to cancel. One that was
    /// opened and never used is no evidence: the answer may still be on its way when the client gives everything up.
    pub(crate) fn abandoned(&self) -> BTreeSet<String> {
        let book = self.door.inner.book();
        let abandoned = book.sessions.iter().filter(|(_, session)| session.open && session.used);
        abandoned.map(|(path, _)| path.clone()).collect()
    }

    /// Returns what was asked and what was done about it, for people who look for the reason of a failure.
    pub(crate) fn story(&self) -> String {
        self.door.inner.book().story.join("\n")
    }
}

#[derive(Clone)]
struct Door {
    inner: Arc<Inner>,
    is_registry: bool,
}

struct Inner {
    upstream: SocketAddr,
    guard: Guard,
    seed: u64,
    rate: AtomicU32,
    origins: OnceLock<(String, String)>,
    leaks: AtomicUsize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// How often each thing was asked for.
    asked: BTreeMap<String, u64>,
    /// What goes on to be refused, with what, and how often.
    refused: BTreeMap<String, (u32, u16)>,
    sessions: BTreeMap<String, Session>,
    story: Vec<String>,
}

struct Session {
    number: usize,
    open: bool,
    used: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// The registry is never asked, and the connection ends so.
    Silence(Ending),
    /// The registry has done it, and its answer never comes.
    Lost(Ending),
    /// The registry says so for some times.
    Refused(u32, u16),
    /// The answer's body ends after a part of it.
    Cut(u64, Ending),
    /// A bit of the answer's body is another one.
    Spoilt(u64),
    /// The answer claims to be longer, or shorter, than it is.
    Claims(i64),
    /// The whole comes instead of the part.
    Whole,
    /// All tokens end before the request is looked at.
    Expired,
    /// The upload goes on at another origin.
    Moved,
    /// The request breaks after a part of its body has reached the registry.
    Torn(u64),
    /// A bit of the request's body is another one.
    SpoiltOnTheWay(u64),
    /// The registry says that it has the first byte.
    StaleRange,
    /// The registry names another digest.
    OtherDigest,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Close,
    Reset,
    Stall,
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Close => Self::Close,
            Ending::Reset => Self::Reset,
            Ending::Stall => Self::Stall,
        }
    }
}

impl Inner {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().expect("no test panics in here")
    }

    /// Chooses what goes wrong with this exchange.
    fn fault(&self, method: &Method, wanted: &str, headers: &HeaderMap) -> Fault {
        let mut book = self.book();
        let key = book.key(method, wanted);
        if let Some(session) = book.sessions.get_mut(path(wanted)) {
            session.used = true;
        }
        let turn = book.asked.entry(key.clone()).or_default();
        *turn += 1;
        let turn = *turn;
        if self.rate.load(Ordering::SeqCst) == 0 {
            return Fault::Nothing;
        }
        if let Some((left, status)) = book.refused.get_mut(&key).filter(|(left, _)| *left > 0) {
            *left -= 1;
            return Fault::Refused(0, *status);
        }
        let mut hasher = DefaultHasher::new();
        (self.seed, &key, turn).hash(&mut hasher);
        let mut rng = fastrand::Rng::with_seed(hasher.finish());
        if rng.u32(0..1000) >= self.rate.load(Ordering::SeqCst) {
            return Fault::Nothing;
        }
        let fault = choose(&mut rng, method, wanted, headers);
        if let Fault::Refused(more, status) = fault {
            book.refused.insert(key, (more, status));
        }
        fault
    }

    fn tell(&self, method: &Method, wanted: &str, what: &impl std::fmt::Debug) {
        let mut book = self.book();
        let key = book.key(method, wanted);
        book.story.push(format!("{key}: {what:?}"));
    }

    /// Notes what became of an upload session, as the client knows it.
    fn follow(&self, method: &Method, path: &str, status: StatusCode) {
        let mut book = self.book();
        match (method, book.sessions.get_mut(path)) {
            (&Method::DELETE, Some(session)) => session.open = false,
            (&Method::PUT, Some(session)) if status == StatusCode::CREATED => session.open = false,
            // The client cannot cancel what the registry says is not there.
            (_, Some(session)) if status == StatusCode::NOT_FOUND => session.open = false,
            _ => {}
        }
    }

    /// Whoever gets no token cannot cancel anything.
    fn excuse(&self) {
        self.book().sessions.values_mut().for_each(|session| session.open = false);
    }

    fn opened(&self, location: &str) {
        let mut book = self.book();
        let number = book.sessions.len();
        book.sessions.insert(path(location).to_owned(), Session { number, open: true, used: false });
    }
}

impl Book {
    /// Names what is asked for by what does not change from run to run.
    fn key(&self, method: &Method, wanted: &str) -> String {
        match self.sessions.get(path(wanted)) {
            Some(session) => format!("{method} session {}", session.number),
            None => format!("{method} {wanted}"),
        }
    }
}

fn path(wanted: &str) -> &str {
    wanted.split_once('?').map_or(wanted, |(path, _)| path)
}

/// Chooses a fault that fits the request.
fn choose(rng: &mut fastrand::Rng, method: &Method, wanted: &str, headers: &HeaderMap) -> Fault {
    let ending = |rng: &mut fastrand::Rng| match rng.u8(0..8) {
        0..4 => Ending::Close,
        4..7 => Ending::Reset,
        _ => Ending::Stall,
    };
    let general = rng.u8(0..10);
    let of_uploads = wanted.contains("/blobs/uploads/");
    match general {
        0 => Fault::Silence(ending(rng)),
        1 => Fault::Lost(ending(rng)),
        2 | 3 => {
            let status = [408, 429, 429, 500, 502, 503, 503, 504][rng.usize(0..8)];
            Fault::Refused(rng.u32(0..7), status)
        }
        4 => Fault::Expired,
        _ => match *method {
            // Whose digest nobody knows is believed: what a tag names is not spoilt here.
            Method::GET if wanted.contains("sha256:") => match rng.u8(0..6) {
                0 | 1 => Fault::Cut(rng.u64(..), ending(rng)),
                2 => Fault::Spoilt(rng.u64(..)),
                3 => Fault::Claims(rng.i64(-500..500)),
                4 if headers.contains_key(header::RANGE) => Fault::Whole,
                4 => Fault::Cut(0, ending(rng)),
                _ => Fault::OtherDigest,
            },
            Method::POST if of_uploads => Fault::Moved,
            Method::PUT | Method::PATCH if of_uploads => match rng.u8(0..4) {
                0 => Fault::SpoiltOnTheWay(rng.u64(..)),
                1 => Fault::StaleRange,
                _ => Fault::Torn(rng.u64(..)),
            },
            Method::GET if of_uploads => Fault::StaleRange,
            Method::PUT if rng.bool() => Fault::OtherDigest,
            _ => Fault::Lost(ending(rng)),
        },
    }
}

impl Handler for Door {
    async fn handle(&self, request: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Hangup> {
        let inner = &*self.inner;
        let (parts, body) = request.into_parts();
        let (method, wanted) = (parts.method.clone(), target(&parts.uri).to_owned());
        if !self.is_registry
            && [header::AUTHORIZATION, header::COOKIE].iter().any(|name| parts.headers.contains_key(name))
        {
            inner.leaks.fetch_add(1, Ordering::SeqCst);
        }
        let fault = inner.fault(&method, &wanted, &parts.headers);
        if method == Method::DELETE {
            // It has come, whatever becomes of it.
            inner.follow(&method, path(&wanted), StatusCode::OK);
        }
        if parts.uri.path() == "/token" && matches!(fault, Fault::Silence(_) | Fault::Lost(_) | Fault::Refused(..)) {
            inner.excuse();
        }
        inner.tell(&method, &wanted, &fault);
        let outcome = self.answer(&parts, body, fault, connection).await;
        inner.tell(&method, &wanted, &outcome.as_ref().map(Response::status));
        let response = outcome?;
        inner.follow(&method, path(&wanted), response.status());
        if method == Method::POST
            && response.status() == StatusCode::ACCEPTED
            && let Some(location) = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok())
        {
            let location = location
                .split_once("://")
                .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))
                .unwrap_or(location);
            inner.opened(location);
        }
        Ok(response)
    }
}

impl Door {
    async fn answer(
        &self,
        parts: &http::request::Parts,
        body: Incoming,
        fault: Fault,
        connection: &Connection,
    ) -> Result<Response<Body>, Hangup> {
        let inner = &*self.inner;
        let (own, elsewhere) = inner.origins.get().expect("nobody knows the port before the origins are set");
        match fault {
            Fault::Silence(ending) => return Err(hang_up(ending, connection).await),
            Fault::Refused(_, status) => {
                collect(body).await?;
                let reply = match status {
                    429 => Reply::refusal(429, "TOOMANYREQUESTS", "slow down").header("retry-after", "0"),
                    502 => Reply::status(502).header("content-type", "text/html").body("<html>Bad Gateway</html>"),
                    status => Reply::status(status),
                };
                return reply.play(&parts.method, &Names::of(own), connection).await;
            }
            Fault::Expired => inner.guard.expire(),
            _ => {}
        }
        let body = collect(body).await?;
        if self.is_registry {
            if inner.guard.serves(&parts.uri) {
                return Ok(inner.guard.token(&parts.method, &parts.uri, &parts.headers, &body));
            }
            if let Some(refusal) = inner.guard.check(&parts.method, &parts.uri, &parts.headers, own).await {
                return Ok(refusal);
            }
        }
        let mut request = Request::new(torn(&body, fault));
        (*request.method_mut(), *request.uri_mut()) = (parts.method.clone(), parts.uri.clone());
        *request.headers_mut() = parts.headers.clone();
        if fault == Fault::Whole {
            request.headers_mut().remove(header::RANGE);
        }
        let response = forward(inner.upstream, request).await?;
        let (mut answer, body) = response.into_parts();
        for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
            answer.headers.remove(name);
        }
        let (body, end) = read(body).await;
        end.map_err(|_| Hangup)?;
        let mut response = Response::from_parts(answer, body);
        match fault {
            Fault::Lost(ending) => {
                // Who has closed a session cannot cancel it, told or not.
                inner.follow(&parts.method, path(target(&parts.uri)), response.status());
                return Err(hang_up(ending, connection).await);
            }
            Fault::Cut(after, ending) if !response.body().is_empty() => {
                let after = (after % response.body().len() as u64) as usize;
                connection.write(&head(&response)).await;
                connection.write(&response.body()[..after]).await;
                return Err(hang_up(ending, connection).await);
            }
            Fault::Claims(more) if !response.body().is_empty() => {
                let length = response.body().len() as i64 + more;
                response.headers_mut().insert(header::CONTENT_LENGTH, length.max(0).into());
                connection.write(&head(&response)).await;
                connection.write(response.body()).await;
                return Err(Hangup);
            }
            Fault::Spoilt(place) => *response.body_mut() = spoilt(response.body(), place),
            Fault::Moved => {
                let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                if let Some(path) = location.filter(|location| location.starts_with('/')) {
                    let moved = HeaderValue::from_str(&format!("{elsewhere}{path}?moved=a%2Fb"));
                    response.headers_mut().insert(header::LOCATION, moved.expect("a header value"));
                }
            }
            Fault::StaleRange if response.headers().contains_key(header::RANGE) => {
                response.headers_mut().insert(header::RANGE, HeaderValue::from_static("0-0"));
            }
            Fault::OtherDigest if response.headers().contains_key("docker-content-digest") => {
                let other = HeaderValue::from_str(&Digest::of(b"something else").to_string());
                response.headers_mut().insert("docker-content-digest", other.expect("a header value"));
            }
            _ => {}
        }
        Ok(response.map(Body::from_bytes))
    }
}

/// Ends a connection.
async fn hang_up(ending: Ending, connection: &Connection) -> Hangup {
    match ending.into() {
        End::Close => {}
        End::Reset => connection.reset_at_the_end(),
        End::Stall => std::future::pending().await,
    }
    Hangup
}

/// Returns what the registry gets to see of a request's body.
fn torn(body: &Bytes, fault: Fault) -> Body {
    match fault {
        Fault::Torn(after) if !body.is_empty() => {
            let part = body.slice(..(after % body.len() as u64) as usize);
            let error = spinreg::Error::io("send", "the rest", std::io::ErrorKind::ConnectionReset.into());
            let chunks = futures_util::stream::iter([Ok(part), Err(error)]);
            Body::from_stream(chunks, Some(body.len() as u64))
        }
        Fault::SpoiltOnTheWay(place) => Body::from_bytes(spoilt(body, place)),
        _ => Body::from_bytes(body.clone()),
    }
}

/// Flips a bit.
fn spoilt(body: &Bytes, place: u64) -> Bytes {
    let mut bytes = body.to_vec();
    if !bytes.is_empty() {
        let place = (place % (bytes.len() as u64 * 8)) as usize;
        bytes[place / 8] ^= 1 << (place % 8);
    }
    bytes.into()
}
