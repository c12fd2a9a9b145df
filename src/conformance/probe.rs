//! Raw requests: nothing is judged here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use tokio::time::{Instant, sleep};

use super::answer::{Answer, printable};
use super::journal::{Journal, Session};
use super::record::{Exchange, Header, Sample, Unnamed};
use crate::auth::{Actions, Authorizer, Scope, Scopes};
use crate::content::Body;
use crate::error::{Error, UnreachableKind};
use crate::model::{Name, Registry};
use crate::transport::{Budget, Payload, Policy, Redirects, Scheme, headers};

/// Asks one registry, and records what it says. Clones share connections and tokens.
///
/// A verdict has to see what the registry answered, so nothing is retried that the transport would retry for a user: a 500
/// stays a 500. Three things are none of the registry's verdicts, and repeated: a 429 or 503 that says with `Retry-After`
/// when to come back, a 401 that a credential meets, and a `GET` or `HEAD` whose connection broke, since a server may close
/// an idle one at any time. Redirects are followed, without credentials where they lead to another origin.
#[derive(Clone)]
pub struct Probe {
    inner: Arc<Inner>,
    observer: Option<Arc<Observer>>,
    journal: Arc<Journal>,
}

/// Who is told of exchanges.
type Observer = dyn Fn(&Exchange) + Send + Sync;

struct Inner {
    authorizer: Authorizer,
    registry: Registry,
    base: String,
}

impl Probe {
    /// Aims at a registry. Makes no request.
    pub fn new(authorizer: Authorizer, registry: Registry, scheme: Scheme) -> Self {
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let base = format!("{scheme}://{}", registry.api_host());
        Self { inner: Arc::new(Inner { authorizer, registry, base }), observer: None, journal: Arc::default() }
    }

    /// Tells `observer` of every exchange from now on, for people who wait. It must not block.
    #[must_use]
    pub fn observed(self, observer: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    /// Returns a probe with a journal of its own, which is empty.
    #[must_use]
    pub(super) fn journaled(&self) -> Self {
        Self { journal: Arc::default(), ..self.clone() }
    }

    /// Says that what was pushed so far is removed, and has nothing to do with what comes.
    pub(super) fn scene(&self) {
        self.journal.scene();
    }

    /// Returns what changed the registry so far.
    pub(super) fn journal(&self) -> Vec<Exchange> {
        self.journal.entries()
    }

    /// Gives up every upload session that is open, and returns those that stay, as URLs without what grants access.
    ///
    /// **Requests**: a `DELETE` for each; none any more once one of them has no answer.
    pub(super) async fn give_up(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mut heard = true;
        for Session { place, name } in self.journal.sessions() {
            let asking = self.request(Method::DELETE, &place);
            let asking = name.iter().fold(asking, |asking, name| asking.within(name));
            let status = if heard { asking.send().await.status } else { None };
            heard = status.is_some();
            if !status.is_some_and(|status| status.is_success() || status == StatusCode::NOT_FOUND) {
                left.push(printable(&place));
            }
        }
        left
    }

    /// Returns the requests that may have opened an upload session whose place nobody was told.
    pub(super) fn unnamed(&self) -> Vec<Unnamed> {
        self.journal.unnamed()
    }

    /// Returns the registry that is asked.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Begins a request to `target`, an absolute path with its query, or a whole URI, as a `Location` may be.
    pub fn request(&self, method: Method, target: &str) -> Asking {
        let whole = if target.starts_with('/') { format!("{}{target}", self.inner.base) } else { target.to_owned() };
        Asking {
            probe: self.clone(),
            method,
            target: whole,
            is_ours: target.starts_with('/'),
            headers: HeaderMap::new(),
            bytes: Bytes::new(),
            framing: Framing::Length,
            redirects: Redirects::Follow,
            name: None,
            limit: MAX_BODY,
        }
    }
}

/// A request that is being put together.
#[must_use]
pub struct Asking {
    probe: Probe,
    method: Method,
    target: String,
    /// Whether no answer named the target.
    is_ours: bool,
    headers: HeaderMap,
    bytes: Bytes,
    framing: Framing,
    redirects: Redirects,
    name: Option<Name>,
    limit: usize,
}

/// How the other side learns where a body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
}

impl Asking {
    /// Adds a header; one that is there already stays beside it. A value that no header can have is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// Sends bytes, with their length.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.bytes = bytes.into();
        self
    }

    /// Sends the bytes in chunks, without saying how many they are.
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunks;
        self
    }

    /// Returns redirects as they are.
    pub fn without_redirects(mut self) -> Self {
        self.redirects = Redirects::Return;
        self
    }

    /// Says to which repository the request belongs, where its path does not: an upload session may be anywhere.
    pub fn within(mut self, name: &Name) -> Self {
        self.name = Some(name.clone());
        self
    }

    /// Reads at most this many bytes of the answer's body.
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Sends the request and reads the answer.
    ///
    /// **Requests**: one; besides, what the credentials take, redirects, and the repetitions that [`Probe`] names.
    pub async fn send(self) -> Answer {
        let started = Instant::now();
        let journal = &self.probe.journal;
        let exchange = Exchange {
            method: self.method.to_string(),
            url: printable(&self.target),
            request_headers: self.printable_headers(),
            request_body: Sample::of(&self.bytes),
            trace: journal.begin(&self.method, &self.target, self.is_ours, self.bytes.clone()),
            ..Exchange::default()
        };
        let uri = self.target.parse::<Uri>();
        let answer = match &uri {
            Ok(uri) => match self.exchange(uri).await {
                Ok(response) => Answer::read(response, uri, self.limit, exchange).await,
                Err(error) => Answer::failed(&error, uri, exchange),
            },
            Err(error) => Answer::none(format!("the target is no URI: {error}"), exchange),
        };
        let uri = uri.unwrap_or_default();
        let mut answer = answer.after(started.elapsed());
        let may_have_moved = self.redirects == Redirects::Follow && answer.status.is_none();
        answer.exchange.trace.redirected = may_have_moved || answer.status.is_some() && answer.uri != uri;
        journal.end(&mut answer, &self.method, self.name.clone().or_else(|| repository(uri.path())));
        if let Some(observer) = &self.probe.observer {
            observer(&answer.exchange);
        }
        answer
    }

    /// Sends the request until there is an answer that counts.
    async fn exchange(&self, uri: &Uri) -> Result<Response<Body>, Error> {
        let Inner { authorizer, registry, .. } = &*self.probe.inner;
        let policy = authorizer.transport().policy();
        let scopes = self.scopes(uri);
        let mut attempts = 1;
        loop {
            // Nothing is left for the transport to repeat by itself.
            let mut spent = Budget::new(&Policy { attempts: 1, ..policy.clone() });
            let mut request = Request::new(self.payload());
            *request.method_mut() = self.method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = self.headers.clone();
            request.extensions_mut().insert(self.redirects);
            // On the heap: otherwise it lies within the future of every step, and those of whole runs outgrow the stack.
            let outcome = Box::pin(authorizer.send(registry, request, &scopes, &mut spent)).await;
            let pause = match &outcome {
                Ok(response) => asked_to_wait(response),
                // Once: a server that closes a fresh connection as well means it.
                Err(Error::Unreachable(lost)) if lost.kind == UnreachableKind::Broken && self.reads() => {
                    (attempts == 1).then_some(Duration::ZERO)
                }
                Err(_) => None,
            };
            match pause {
                Some(pause) if attempts < policy.attempts && pause <= policy.retry_after_max => sleep(pause).await,
                _ => return outcome,
            }
            attempts += 1;
        }
    }

    fn payload(&self) -> Payload {
        let bytes = self.bytes.clone();
        match self.framing {
            Framing::Length if bytes.is_empty() => Payload::Empty,
            Framing::Length => Payload::Bytes(bytes),
            Framing::Chunks => Payload::reopen(None, move || {
                let bytes = bytes.clone();
                async { Ok(Body::from_stream(stream::iter([Ok(bytes)]), None)) }
            }),
        }
    }

    fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Says what a token has to be good for.
    fn scopes(&self, uri: &Uri) -> Scopes {
        let Some(name) = self.name.clone().or_else(|| repository(uri.path())) else { return Scopes::none() };
        let session = uri.path().contains("/blobs/uploads/");
        let actions = match self.method {
            Method::GET | Method::HEAD if !session => Actions::PULL,
            Method::DELETE if !session => Actions::PULL | Actions::DELETE,
            _ => Actions::PULL | Actions::PUSH,
        };
        let scopes = Scopes::repository(&name, actions);
        let source = query(uri, "from").and_then(|text| text.replace("%2F", "/").parse::<Name>().ok());
        match source {
            Some(source) => scopes.with(Scope::repository(&source, Actions::PULL)),
            None => scopes,
        }
    }

    fn printable_headers(&self) -> Vec<Header> {
        let mut headers: Vec<Header> = self.headers.iter().map(|(name, value)| Header::of(name, value)).collect();
        let framing = match self.payload().length() {
            Some(0) if self.reads() || self.method == Method::DELETE => None,
            Some(length) => Some((CONTENT_LENGTH, length.to_string())),
            None => Some((TRANSFER_ENCODING, "chunked".to_owned())),
        };
        headers.extend(framing.map(|(name, value)| Header { name: name.to_string(), value }));
        headers
    }
}

/// Puts `digest=` into the query of a place that an answer named, and leaves the rest of it alone.
pub fn with_digest(place: &str, digest: &str) -> String {
    let digest = digest.replace(':', "%3A");
    let Some((path, query)) = place.split_once('?') else { return format!("{place}?digest={digest}") };
    // A place that was read off an earlier closing request has one already.
    let others: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("digest=") && !pair.is_empty()).collect();
    let others = others.join("&");
    let and = if others.is_empty() { "" } else { "&" };
    format!("{path}?{others}{and}digest={digest}")
}

/// Returns the wait that a 429 or 503 asks for.
fn asked_to_wait(response: &Response<Body>) -> Option<Duration> {
    let busy = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    busy.then(|| headers::retry_after(response.headers(), SystemTime::now()))?
}

/// Returns the repository of a path of the API.
fn repository(path: &str) -> Option<Name> {
    let rest = path.strip_prefix("/v2/")?;
    let end = ["/blobs/", "/manifests/", "/tags/", "/referrers/"].iter().filter_map(|part| rest.rfind(part)).max()?;
    rest[..end].parse().ok()
}

/// Returns a value of the query.
fn query<'a>(uri: &'a Uri, key: &str) -> Option<&'a str> {
    uri.query()?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == key).then_some(value))
}

/// Bytes of a body that are read: four times the largest manifest that is pushed.
const MAX_BODY: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_joins_a_query_that_stays_as_it_is() {
        for (place, expected) in [
            ("http://r/u/1", "http://r/u/1?digest=sha256%3A00"),
            ("http://r/u/1?", "http://r/u/1?digest=sha256%3A00"),
            ("http://r/u/1?_state=a%2Bb==&z", "http://r/u/1?_state=a%2Bb==&z&digest=sha256%3A00"),
            ("http://r/u/1?digest=sha256:11&b=c", "http://r/u/1?b=c&digest=sha256%3A00"),
        ] {
            assert_eq!(with_digest(place, "sha256:00"), expected);
        }
    }

    #[test]
    fn a_path_tells_its_repository() {
        for (path, name) in [
            ("/v2/a/b/blobs/sha256:00", Some("a/b")),
            ("/v2/a/blobs/uploads/1", Some("a")),
            ("/v2/blobs/blobs/manifests/tags", Some("blobs/blobs")),
            ("/v2/a/tags/list", Some("a")),
            ("/v2/", None),
            ("/upload/1", None),
        ] {
            assert_eq!(repository(path).as_ref().map(Name::as_str), name, "{path}");
        }
    }
}
