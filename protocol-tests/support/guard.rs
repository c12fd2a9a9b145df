//! A door with credentials: Basic, or Bearer with a token service at `/token`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, Method, Response, Uri};
use percent_encoding::percent_decode_str;
use spinreg::content::Body;
use tokio::sync::Barrier;

/// Lets requests pass whose credentials are good enough. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Inner>);

struct Inner {
    scheme: Scheme,
    username: String,
    password: String,
    public: bool,
    refresh_token: Option<String>,
    token_field: &'static str,
    expires_in: Option<u64>,
    uses: usize,
    gather: Option<(usize, Barrier)>,
    challenged: AtomicUsize,
    book: Mutex<Book>,
}

#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    Basic,
    Bearer,
}

#[derive(Default)]
struct Book {
    /// What each token may do, as `pull app`, and how often it may still be used.
    tokens: BTreeMap<String, (BTreeSet<String>, usize)>,
    issued: usize,
    requests: Vec<String>,
}

impl Guard {
    /// Wants this user's Basic credentials for everything.
    pub(crate) fn basic(username: &str, password: &str) -> Self {
        Self::new(Scheme::Basic, username, password)
    }

    /// Wants a token of the service at `/token`, which wants this user's Basic credentials.
    pub(crate) fn bearer(username: &str, password: &str) -> Self {
        Self::new(Scheme::Bearer, username, password)
    }

    fn new(scheme: Scheme, username: &str, password: &str) -> Self {
        Self(Arc::new(Inner {
            scheme,
            username: username.to_owned(),
            password: password.to_owned(),
            public: false,
            refresh_token: None,
            token_field: "token",
            expires_in: None,
            uses: usize::MAX,
            gather: None,
            challenged: AtomicUsize::new(0),
            book: Mutex::default(),
        }))
    }

    /// Gives anybody a token to pull.
    pub(crate) fn public(self) -> Self {
        self.set(|inner| inner.public = true)
    }

    /// Accepts this identity token by the OAuth 2 form besides.
    pub(crate) fn refresh_token(self, token: &str) -> Self {
        self.set(|inner| inner.refresh_token = Some(token.to_owned()))
    }

    /// Names the token in the answer like this: `token` or `access_token`.
    pub(crate) fn token_field(self, name: &'static str) -> Self {
        self.set(|inner| inner.token_field = name)
    }

    /// Says how long tokens live, in seconds; nothing is done about it.
    pub(crate) fn expires_in(self, seconds: u64) -> Self {
        self.set(|inner| inner.expires_in = Some(seconds))
    }

    /// Makes each token good for `n` requests.
    pub(crate) fn good_for(self, n: usize) -> Self {
        self.set(|inner| inner.uses = n)
    }

    /// Holds back the first `n` challenges until all `n` are due.
    pub(crate) fn gather(self, n: usize) -> Self {
        self.set(|inner| inner.gather = Some((n, Barrier::new(n))))
    }

    fn set(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::get_mut(&mut self.0).expect("a guard is set up before it is shared"));
        self
    }

    /// Forgets all tokens.
    pub(crate) fn expire(&self) {
        self.book().tokens.clear();
    }

    /// Returns the scopes of each token request so far, as `repository:app:pull repository:b:pull`.
    pub(crate) fn token_requests(&self) -> Vec<String> {
        self.book().requests.clone()
    }

    /// Returns how many requests met a challenge.
    pub(crate) fn challenged(&self) -> usize {
        self.0.challenged.load(Ordering::SeqCst)
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.book.lock().expect("no test panics in here")
    }

    /// Says whether a request is for the token service.
    pub(crate) fn serves(&self, uri: &Uri) -> bool {
        self.0.scheme == Scheme::Bearer && uri.path() == "/token"
    }

    /// Lets a request pass (`None`) or answers it.
    pub(crate) async fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        origin: &str,
    ) -> Option<Response<Body>> {
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        let needed = needed(method, uri.path());
        let passes = match self.0.scheme {
            Scheme::Basic => authorization.is_some_and(|value| self.is_user(value)),
            Scheme::Bearer => authorization.is_some_and(|value| self.is_good(value, &needed)),
        };
        if passes {
            return None;
        }
        let turn = self.0.challenged.fetch_add(1, Ordering::SeqCst);
        if let Some((n, barrier)) = &self.0.gather
            && turn < *n
        {
            barrier.wait().await;
        }
        let challenge = match self.0.scheme {
            Scheme::Basic => "Basic realm=\"test\"".to_owned(),
            Scheme::Bearer => {
                let scope = needed.map(|(name, actions)| format!(",scope=\"repository:{name}:{actions}\""));
                let scope = scope.unwrap_or_default();
                format!("Bearer realm=\"{origin}/token\",service=\"test\"{scope}")
            }
        };
        let response = Response::builder().status(401).header("www-authenticate", challenge);
        Some(refusal(response, "UNAUTHORIZED", &quoting("authentication required", authorization, "")))
    }

    /// Answers a request to the token service.
    pub(crate) fn token(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        let form = String::from_utf8_lossy(body);
        let parameters = if method == Method::POST { &form } else { uri.query().unwrap_or("") };
        let parameters = parse(parameters);
        let scopes: Vec<_> =
            values(&parameters, "scope").flat_map(|scope| scope.split(' ')).filter(|scope| !scope.is_empty()).collect();
        let value = |key| values(&parameters, key).next();
        self.book().requests.push(scopes.join(" "));
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        let known = match (authorization, method == Method::POST) {
            (Some(value), _) => Some(self.is_user(value)),
            (None, true) => match value("grant_type") {
                Some("refresh_token") => Some(value("refresh_token") == self.0.refresh_token.as_deref()),
                Some("password") => {
                    Some(value("username") == Some(&self.0.username) && value("password") == Some(&self.0.password))
                }
                _ => Some(false),
            },
            (None, false) => None,
        };
        if known == Some(false) {
            let message = quoting("incorrect username or password", authorization, &form);
            return refusal(Response::builder().status(401), "UNAUTHORIZED", &message);
        }
        let mut granted = BTreeSet::new();
        for scope in scopes {
            let mut parts = scope.rsplitn(2, ':');
            let (actions, resource) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let name = resource.strip_prefix("repository:").unwrap_or(resource);
            let granting = |action: &&str| known == Some(true) || (self.0.public && *action == "pull");
            granted.extend(actions.split(',').filter(granting).map(|action| format!("{action} {name}")));
        }
        let mut book = self.book();
        book.issued += 1;
        let token = format!("test-token-{}", book.issued);
        book.tokens.insert(token.clone(), (granted, self.0.uses));
        let mut answer = serde_json::json!({ self.0.token_field: token });
        if let Some(seconds) = self.0.expires_in {
            answer["expires_in"] = seconds.into();
        }
        let response = Response::builder().header("content-type", "application/json");
        response.body(Body::from_bytes(answer.to_string())).expect("a response")
    }

    fn is_user(&self, authorization: &str) -> bool {
        let expected = BASE64_STANDARD.encode(format!("{}:{}", self.0.username, self.0.password));
        authorization.strip_prefix("Basic ") == Some(&expected)
    }

    fn is_good(&self, authorization: &str, needed: &Option<(String, &str)>) -> bool {
        let Some(token) = authorization.strip_prefix("Bearer ") else { return false };
        let mut book = self.book();
        let Some((granted, uses)) = book.tokens.get_mut(token) else { return false };
        let enough = needed.as_ref().is_none_or(|(name, actions)| {
            actions.split(',').all(|action| granted.contains(&format!("{action} {name}")))
        });
        if !enough || *uses == 0 {
            return false;
        }
        *uses -= 1;
        true
    }
}

/// Returns the repository of a request and the actions that it takes.
fn needed(method: &Method, path: &str) -> Option<(String, &'static str)> {
    let rest = path.strip_prefix("/v2/")?;
    let name = ["/manifests/", "/blobs/", "/tags/", "/referrers/"]
        .iter()
        .find_map(|part| rest.rfind(part).map(|end| rest[..end].to_owned()))?;
    let actions = match *method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE => "delete",
        _ => "pull,push",
    };
    Some((name, actions))
}

fn parse(parameters: &str) -> Vec<(String, String)> {
    let text = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    parameters.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (text(key), text(value))).collect()
}

fn values<'a>(parameters: &'a [(String, String)], key: &'a str) -> impl Iterator<Item = &'a str> {
    parameters.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Makes a complaint as the worst of registries would: it repeats all that it was shown in confidence, to whoever reads
/// the log.
fn quoting(complaint: &str, authorization: Option<&str>, form: &str) -> String {
    let Some((scheme, text)) = authorization.and_then(|value| value.split_once(' ')) else {
        let token = parse(form).into_iter().find(|(key, _)| key == "refresh_token");
        return token.map_or(complaint.to_owned(), |(_, token)| format!("{complaint}: {token}"));
    };
    let pair = BASE64_STANDARD.decode(text).map(|pair| String::from_utf8_lossy(&pair).into_owned()).unwrap_or_default();
    format!("{complaint}: {scheme} {text} {pair}")
}

fn refusal(response: http::response::Builder, code: &str, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] }).to_string();
    let response = response.header("content-type", "application/json");
    response.body(Body::from_bytes(body)).expect("a response")
}

#[test]
fn each_request_needs_its_actions() {
    for (method, path, expected) in [
        (Method::GET, "/v2/", None),
        (Method::HEAD, "/v2/a/b/manifests/v1", Some(("a/b".to_owned(), "pull"))),
        (Method::POST, "/v2/a/blobs/uploads/", Some(("a".to_owned(), "pull,push"))),
        (Method::DELETE, "/v2/a/manifests/v1", Some(("a".to_owned(), "delete"))),
    ] {
        assert_eq!(needed(&method, path), expected, "{method} {path}");
    }
}
