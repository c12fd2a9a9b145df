//! The token service: `GET` and `POST /token` (distribution's token specification, and its OAuth 2 flavour).

use std::time::SystemTime;

use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use zeroize::Zeroizing;

use super::challenge;
use super::credentials::Credentials;
use super::mint::{Mint, Pass};
use super::rules::{Caller, Ruling};
use super::scope::Scope;
use crate::content::Body;
use crate::model::ErrorCode;
use crate::serve::moment::rfc3339;
use crate::serve::respond::{Refusal, json};

/// Where it is.
pub(super) const PATH: &str = "/token";

/// What is asked of the service.
pub(super) struct Ask {
    /// In whose name.
    pub(super) credentials: Credentials,
    scopes: Vec<Scope>,
}

impl Ask {
    /// Reads a request: its query and `Authorization`, or the form that it posts.
    pub(super) async fn read(request: &mut Request<Body>) -> Result<Self, Refusal> {
        match *request.method() {
            Method::GET | Method::HEAD => {
                let form = Form::parse(request.uri().query().unwrap_or_default());
                Ok(Self { credentials: Credentials::read(request.headers()), scopes: form.scopes()? })
            }
            Method::POST => {
                let form = Form::parse(&body(request.body_mut()).await?);
                let credentials = match form.one("grant_type") {
                    Some("password") => Credentials::Password {
                        user: form.one("username").unwrap_or_default().to_owned(),
                        password: Zeroizing::new(form.one("password").unwrap_or_default().to_owned()),
                    },
                    // No refresh tokens are given out, so that none can be right.
                    Some("refresh_token") => Credentials::Strange,
                    _ => return Err(bad("`grant_type` is `password`, or this is a `GET`")),
                };
                Ok(Self { credentials, scopes: form.scopes()? })
            }
            _ => Err(Refusal::method("GET, HEAD, POST")),
        }
    }

    /// Grants what may be granted of what was asked for, which may be nothing: the token then says who it is for.
    pub(super) fn grant(&self, mint: &Mint, caller: Caller, ruling: &Ruling) -> Response<Body> {
        let mut scopes: Vec<Scope> = Vec::new();
        for Scope { name, actions } in &self.scopes {
            let actions = *actions & ruling.allowed(&caller, name);
            match scopes.iter_mut().find(|scope| scope.name == *name) {
                Some(scope) => scope.actions = scope.actions | actions,
                None if actions.is_empty() => {}
                None => scopes.push(Scope { name: name.clone(), actions }),
            }
        }
        let pass = Pass { caller, scopes };
        let token = mint.issue(&pass);
        let scope = pass.scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ");
        let expires_in = mint.lifetime().as_secs();
        let issued_at = rfc3339(SystemTime::now());
        let answer = Answer { token: &token, access_token: &token, token_type: "Bearer", expires_in, issued_at, scope };
        let mut response = json(StatusCode::OK, &answer);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Refuses a token: 401, with what to come back with.
pub(super) fn refused(said: &str) -> Refusal {
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, said);
    refusal.with(WWW_AUTHENTICATE, challenge::basic())
}

/// Both flavours in one: clients take what they know.
#[derive(Serialize)]
struct Answer<'a> {
    token: &'a str,
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    issued_at: String,
    scope: String,
}

/// `key=value` pairs, decoded; a `+` is a space here.
struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = Zeroizing::new(text.replace('+', " "));
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(key, value)| (decode(key), Zeroizing::new(decode(value)))).collect())
    }

    fn one(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    /// What is about something else than repositories is passed over, as other services do.
    fn scopes(&self) -> Result<Vec<Scope>, Refusal> {
        let values = self.0.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
        let scopes: Vec<_> = values.filter(|scope| !scope.is_empty()).map(Scope::read).take(MAX_SCOPES + 1).collect();
        if scopes.len() > MAX_SCOPES {
            return Err(bad(format!("a token is for {MAX_SCOPES} scopes at most")));
        }
        Ok(scopes.into_iter().flatten().collect())
    }
}

async fn body(body: &mut Body) -> Result<Zeroizing<String>, Refusal> {
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        if bytes.len() + chunk.len() > MAX_FORM {
            let said = format!("a form has at most {MAX_FORM} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::Unsupported, said));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

fn bad(said: impl Into<String>) -> Refusal {
    Refusal::bad(ErrorCode::Unsupported, said)
}

/// How many scopes a token may be for: mounts from many repositories ask for some ten. Names are long, and a token has to
/// fit into a header: so many of the longest make one of 12 KiB.
const MAX_SCOPES: usize = 32;

/// How long a form may be, in bytes: as long as the headers of a request.
const MAX_FORM: usize = 64 << 10;
