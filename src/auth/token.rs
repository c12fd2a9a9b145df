//! The token service (distribution's token specification, and its OAuth 2 flavour).

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Credential, Scopes, Secret, basic};
use crate::content::Body;
use crate::error::{Details, Error, Refused, RequestLine};
use crate::model::{ErrorBody, ErrorCode, ErrorEntry};
use crate::transport::{Attempts, Budget, Confidence, Payload, Redirects, Traffic, Transport, headers};

/// A registry token, ready to be sent.
pub(crate) struct Token {
    /// The value of `Authorization`.
    pub(crate) header: HeaderValue,
    /// When to get the next one.
    pub(crate) until: Instant,
}

/// What to ask a token service for.
pub(crate) struct Ask<'a> {
    /// The token service, checked by [`super::realm`].
    pub(crate) realm: &'a Uri,
    /// What it calls the registry.
    pub(crate) service: Option<&'a str>,
    /// What the token is to be good for.
    pub(crate) scopes: &'a Scopes,
    /// Who asks; `None` is anybody.
    pub(crate) credential: Option<&'a Credential>,
}

/// Why there is no token.
#[derive(Debug)]
pub(crate) enum NoToken {
    /// The service does not accept the credentials, or wants some.
    Denied(Box<Denied>),
    /// Anything else.
    Failed(Error),
}

/// A request that was not let through, and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// The request.
    pub(crate) request: RequestLine,
    /// What the registry or its token service said.
    pub(crate) errors: Vec<ErrorEntry>,
    /// What else the answer says about itself.
    pub(crate) details: Details,
}

impl From<Error> for NoToken {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Gets a token. One `GET`; with a refresh token one `POST`, and a `GET` besides where the service has no `POST`.
pub(crate) async fn fetch(transport: &Transport, ask: &Ask<'_>, budget: &mut Budget) -> Result<Token, NoToken> {
    let request = match ask.credential {
        Some(Credential::Identity { token }) => {
            let exchange = exchange(transport, ask.post(token), budget).await?;
            if !is_without_post(exchange.status) {
                return exchange.token();
            }
            // Old services take the refresh token in the password's place. If that fails too, what the service said
            // first is the better explanation, unless all it said is that it has no POST.
            let second = self::exchange(transport, ask.get(Some(("", token))), budget).await?;
            let explains = matches!(exchange.status.as_u16(), 400 | 401) && !second.status.is_success();
            return if explains { exchange.token() } else { second.token() };
        }
        Some(Credential::Password { username, secret }) => ask.get(Some((username, secret))),
        Some(Credential::Bearer { .. }) | None => ask.get(None),
    };
    exchange(transport, request, budget).await?.token()
}

impl Ask<'_> {
    fn get(&self, account: Option<(&str, &Secret)>) -> Request<Payload> {
        let mut query = Query::default();
        if let Some(service) = self.service {
            query.add("service", service);
        }
        // One parameter each. None at all where there is no scope: some services reject an empty one.
        for scope in self.scopes.iter() {
            query.add("scope", &scope.to_string());
        }
        query.add("client_id", CLIENT);
        let separator = if self.realm.query().is_some() { '&' } else { '?' };
        let uri = format!("{}{separator}{}", self.realm, query.0.as_str());
        let mut request = request(Method::GET, &uri, Payload::Empty);
        if let Some((username, secret)) = account
            && let Some(value) = header("Basic", basic::encode(username, secret).reveal())
        {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        request
    }

    fn post(&self, token: &Secret) -> Request<Payload> {
        let mut form = Query::default();
        form.add("grant_type", "refresh_token");
        form.add("service", self.service.or(self.realm.host()).unwrap_or_default());
        form.add("client_id", CLIENT);
        if !self.scopes.is_empty() {
            form.add("scope", &self.scopes.to_string());
        }
        form.add("refresh_token", token.reveal());
        let payload = Payload::Bytes(form.0.as_bytes().to_vec().into());
        let mut request = request(Method::POST, &self.realm.to_string(), payload);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        request.extensions_mut().insert(Confidence(Zeroizing::new(token.reveal().to_owned())));
        request
    }
}

fn request(method: Method, uri: &str, payload: Payload) -> Request<Payload> {
    let mut request = Request::new(payload);
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().expect("a valid URI is valid with escaped text behind it");
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    // A redirect would carry the password to where no rule has looked.
    request.extensions_mut().insert(Redirects::Return);
    request.extensions_mut().insert(Traffic::Small);
    request
}

/// Makes the value of an `Authorization` that debug output leaves out; `None` where the text is no header.
pub(crate) fn header(scheme: &str, text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&Zeroizing::new(format!("{scheme} {text}"))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Says whether a service that answers so to a `POST` may know `GET` only.
fn is_without_post(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 404 | 405)
}

/// A token service's answer, read.
struct Exchange {
    request: RequestLine,
    status: StatusCode,
    attempts: u32,
    details: Details,
    body: Zeroizing<Vec<u8>>,
}

async fn exchange(transport: &Transport, request: Request<Payload>, budget: &mut Budget) -> Result<Exchange, Error> {
    let line = RequestLine::new(request.method(), request.uri());
    let response = transport.send(request, budget).await?;
    let status = response.status();
    let attempts = response.extensions().get::<Attempts>().map_or(1, |attempts| attempts.0);
    let details = Details {
        request_id: headers::request_id(response.headers()),
        page: None,
        allowance: headers::allowance(response.headers()),
    };
    match read(response).await? {
        Some(body) => Ok(Exchange { request: line, status, attempts, details, body }),
        None => Err(Error::protocol(line, "the token service's answer is longer than 128 KiB")),
    }
}

async fn read(response: Response<Body>) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let mut body = response.into_body();
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

impl Exchange {
    /// Judges the answer.
    fn token(self) -> Result<Token, NoToken> {
        let Self { request, status, attempts, details, body } = self;
        if status.is_success() {
            let granted = Granted::read(&body).map_err(|rule| Error::protocol(request, rule))?;
            return Ok(Token { until: Instant::now() + granted.useful(), header: granted.header });
        }
        if status.is_redirection() {
            return Err(Error::protocol(request, "the token service redirects, which is not followed").into());
        }
        let errors = complaints(&body);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                NoToken::Denied(Box::new(Denied { request, errors, details }))
            }
            // OAuth 2 says so where a refresh token has expired.
            StatusCode::BAD_REQUEST if errors.iter().any(|entry| entry.code.as_str() == "invalid_grant") => {
                NoToken::Denied(Box::new(Denied { request, errors, details }))
            }
            status => NoToken::Failed(Box::new(Refused { request, status, errors, attempts, details }).into()),
        })
    }
}

/// A token and how long it lives.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    header: HeaderValue,
    lifetime: Duration,
}

impl Granted {
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<Secret>,
            access_token: Option<Secret>,
            #[serde(default)]
            expires_in: Value,
        }
        let start = body.trim_ascii_start().first();
        let answer: Answer = serde_json::from_slice(body).map_err(|_| match start {
            // A portal's or a proxy's login page.
            Some(b'<') => "the token service answers with HTML",
            _ => "the token service's answer is not the JSON of a token",
        })?;
        let filled = |token: Option<Secret>| token.filter(|token| !token.is_empty());
        let token = filled(answer.token).or(filled(answer.access_token));
        let token = token.ok_or("the token service's answer has neither `token` nor `access_token`")?;
        let header = header("Bearer", token.reveal()).ok_or("the token has characters that no header can carry")?;
        Ok(Self { header, lifetime: lifetime(&answer.expires_in) })
    }

    /// Returns how long the token is used: not to its very end, because a request takes time to arrive, and clocks
    /// differ.
    fn useful(&self) -> Duration {
        self.lifetime - (self.lifetime / 10).min(MAX_MARGIN)
    }
}

/// Reads `expires_in`, in seconds, which some services send as text. It counts from now: `issued_at` is another clock's.
fn lifetime(expires_in: &Value) -> Duration {
    let seconds = match expires_in {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_f64(),
    };
    match seconds {
        Some(seconds) if seconds > 0.0 => Duration::from_secs_f64(seconds.min(MAX_LIFETIME.as_secs_f64())),
        _ => DEFAULT_LIFETIME,
    }
}

/// Reads what a service complains about: in the words of the distribution spec, of OAuth 2, or of Docker Hub.
pub(super) fn complaints(body: &[u8]) -> Vec<ErrorEntry> {
    #[derive(Deserialize)]
    struct Complaint {
        error: Option<String>,
        #[serde(alias = "details", alias = "message")]
        error_description: Option<String>,
    }
    let known = ErrorBody::parse(body).errors;
    if !known.is_empty() {
        return known;
    }
    match serde_json::from_slice(body) {
        Ok(Complaint { error: None, error_description: None }) | Err(_) => Vec::new(),
        Ok(Complaint { error, error_description }) => {
            let code = error.map_or(ErrorCode::Unauthorized, |error| ErrorCode::from(error.as_str()));
            vec![ErrorEntry::new(code, error_description.unwrap_or_default())]
        }
    }
}

/// Escaped `key=value` pairs.
#[derive(Default)]
struct Query(Zeroizing<String>);

impl Query {
    fn add(&mut self, key: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(key);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, ESCAPED));
    }
}

/// What RFC 3986 lets stand in a query, and forms too, as far as scopes have it: they stay readable in logs.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b',')
    .remove(b'*');
/// How we call ourselves before token services.
const CLIENT: &str = "spinreg";
/// Bytes of an answer: tokens that list many scopes have some 10 KiB.
const MAX_ANSWER: usize = 128 << 10;
/// The token specification's, for services that do not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
/// A day: no token is worth more trust in the service's arithmetic.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// More than any request takes to arrive.
const MAX_MARGIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
