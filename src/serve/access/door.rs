//! The door: every request is let in, or told why not.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, AUTHORIZATION, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use super::challenge::{self, Want, challenge, denied};
use super::credentials::Credentials;
use super::htpasswd::Htpasswd;
use super::mint::Mint;
use super::passwords::{Passwords, Proof};
use super::rules::{Caller, Rules, Ruling};
use super::scope::{Actions, Scope, needed};
use super::token_service::{self, Ask};
use super::watched::{Kind, Watched};
use crate::content::Body;
use crate::error::Error;
use crate::model::{ErrorCode, ParseError};
use crate::serve::exchange::Signed;
use crate::serve::readable::Readable;
use crate::serve::registry::drain;
use crate::serve::respond::Refusal;
use crate::serve::route::route;
use crate::serve::server::Handler;

/// Who may do what with a registry.
///
/// Without a password file everybody may do everything, but for what [`Self::writes`] says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessOptions {
    /// The password file: lines `USER:HASH`, with bcrypt hashes alone. It is looked at before each use, and read again when
    /// it was changed.
    pub passwords: Option<PathBuf>,
    /// The file of rules (TOML, see `docs/serve.md`); without one, who has a password may do everything. It is looked at
    /// before each use, too.
    pub rules: Option<PathBuf>,
    /// What may be done without a password.
    pub anonymous: Anonymous,
    /// Whether anything can be changed, by whomever.
    pub writes: Writes,
    /// What clients are asked for.
    pub scheme: Scheme,
    /// Where clients find the registry, as in `https://r.example`; without it, what they call it by. Needed behind a proxy
    /// that speaks TLS for it.
    pub url: Option<String>,
    /// How long a token is good, 5 min. What it says of the user is final until then; rules and the file of passwords are
    /// asked with each request besides.
    pub tokens_last: Duration,
    /// Is told when a file that was good has become bad; what was in it before counts then.
    pub notify: fn(&Error),
}

/// What may be done without a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// What the rules say: nothing, without any.
    #[default]
    ByRules,
    /// Pulling everything, besides.
    MayPull,
}

/// Whether anything can be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// By whoever may.
    #[default]
    Accepted,
    /// By nobody: the answer is 405 `UNSUPPORTED`.
    Refused,
}

/// What clients are asked for. Either is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// A token for each repository, which they get for the password.
    #[default]
    Token,
    /// The password, with each request.
    Basic,
}

impl Default for AccessOptions {
    fn default() -> Self {
        let (passwords, rules, url) = Default::default();
        let (anonymous, writes, scheme) = Default::default();
        let notify = |error: &Error| {
            tracing::error!(error = error as &dyn std::error::Error, "a file has become bad: the old one counts");
        };
        Self { passwords, rules, anonymous, writes, scheme, url, tokens_last: Duration::from_secs(300), notify }
    }
}

/// Stands before a registry and lets in who may come in.
///
/// What clients see: 401 `UNAUTHORIZED` with a challenge where credentials would help, 403 `DENIED` where they are known
/// and not enough, 405 `UNSUPPORTED` for every change where there are none, and 429 `TOOMANYREQUESTS` where too many
/// passwords are being checked. A mount takes a blob from a repository alone that the caller may pull from; elsewhere it is
/// as if the blob were not there.
pub struct Access<H> {
    handler: H,
    writes: Writes,
    guard: Option<Guard>,
}

struct Guard {
    users: Watched<Htpasswd>,
    rules: Source,
    anonymous: Anonymous,
    scheme: Scheme,
    url: Option<String>,
    passwords: Passwords,
    mint: Mint,
}

enum Source {
    Fixed(Arc<Rules>),
    File(Watched<Rules>),
}

impl<H: Handler> Access<H> {
    /// Stands before `handler`. Reads the files, and blocks for that.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read, [`Error::Parse`] where it makes no sense: the message names the line, and
    /// never what may be a password.
    pub fn new(handler: H, options: AccessOptions) -> Result<Self, Error> {
        let tell = options.notify;
        let Some(passwords) = options.passwords else {
            return Ok(Self { handler, writes: options.writes, guard: None });
        };
        let users = Watched::open(passwords, USERS, tell)?;
        let rules = match options.rules {
            Some(path) => Source::File(Watched::open(path, RULES, tell)?),
            None => Source::Fixed(Arc::new(Rules::permissive())),
        };
        let AccessOptions { anonymous, writes, scheme, url, tokens_last, .. } = options;
        let url = url.as_deref().map(checked).transpose()?;
        let (passwords, mint) = (Passwords::new()?, Mint::new(tokens_last)?);
        let guard = Guard { users, rules, anonymous, scheme, url, passwords, mint };
        Ok(Self { handler, writes, guard: Some(guard) })
    }

    async fn answer(&self, mut request: Request<Body>) -> Response<Body> {
        let decided = self.decide(&mut request).await;
        let refusal = match decided {
            Decided::In(None) => return self.handler.handle(request).await,
            Decided::In(Some((caller, ruling))) => {
                // Nobody behind the door needs it.
                request.headers_mut().remove(AUTHORIZATION);
                let user = caller.user().cloned();
                let readable = move |name: &_| ruling.allowed(&caller, name).contains(Actions::PULL);
                request.extensions_mut().insert(Readable::new(readable));
                return signed(self.handler.handle(request).await, user);
            }
            Decided::Answered(response) => return response,
            Decided::Refused(refusal, user) => signed(refusal.into_response(), user),
        };
        // Many clients read no answer before they have sent everything, and would see a broken connection.
        if !request.headers().contains_key(EXPECT) {
            drain(request.body_mut()).await;
        }
        refusal
    }

    async fn decide(&self, request: &mut Request<Body>) -> Decided {
        let guard = match &self.guard {
            Some(guard) if guard.scheme == Scheme::Token && request.uri().path() == token_service::PATH => {
                return guard.give_token(request).await;
            }
            guard => guard.as_ref(),
        };
        // What is malformed is so for everybody, and goes no further.
        let route = match route(request.method(), request.uri()) {
            Ok(route) => route,
            Err(refusal) => return Decided::Refused(refusal, None),
        };
        if self.writes == Writes::Refused && !matches!(*request.method(), Method::GET | Method::HEAD) {
            let refusal =
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, "the registry is read-only");
            return Decided::Refused(refusal.with(ALLOW, HeaderValue::from_static("GET, HEAD")), None);
        }
        match guard {
            None => Decided::In(None),
            Some(guard) => {
                let base = guard.url.clone().unwrap_or_else(|| challenge::base(request));
                guard.admit(Credentials::read(request.headers()), needed(&route), &base).await
            }
        }
    }
}

impl<H: Handler> Handler for Access<H> {
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        self.answer(request)
    }
}

impl<H> fmt::Debug for Access<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guarded = self.guard.is_some();
        f.debug_struct("Access").field("writes", &self.writes).field("guarded", &guarded).finish_non_exhaustive()
    }
}

/// What becomes of a request.
enum Decided {
    /// It goes on, in somebody's name where anybody asks for names.
    In(Option<(Caller, Ruling)>),
    /// It does not, and somebody known may be told of it.
    Refused(Refusal, Option<Arc<str>>),
    /// It was for us.
    Answered(Response<Body>),
}

/// Who asks, and for how much that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    /// Nobody, so far.
    Nobody,
    /// Who has shown the password.
    Known(Arc<str>),
    /// Who has shown a token, which is for so much.
    Token(Caller, Vec<Scope>),
}

impl Guard {
    async fn admit(&self, credentials: Credentials, need: Option<Scope>, base: &str) -> Decided {
        let ask = |want| Decided::Refused(challenge(self.scheme, base, want, need.as_ref()), None);
        let identity = match self.identify(credentials).await {
            Ok(identity) => identity,
            Err(Some(want)) => return ask(want),
            Err(None) => return Decided::Refused(challenge::busy(), None),
        };
        let ruling = self.ruling().await;
        match judge(&identity, need.as_ref(), &ruling) {
            Verdict::In => Decided::In(Some((identity.caller(), ruling))),
            Verdict::Ask(want) => ask(want),
            Verdict::Deny(user, need) => Decided::Refused(denied(&user, need), Some(user.clone())),
        }
    }

    async fn give_token(&self, request: &mut Request<Body>) -> Decided {
        let ask = match Ask::read(request).await {
            Ok(ask) => ask,
            Err(refusal) => return Decided::Refused(refusal, None),
        };
        let refuse = |said| Decided::Refused(token_service::refused(said), None);
        let ruling = self.ruling().await;
        let caller = match &ask.credentials {
            Credentials::None if ruling.welcomes_anybody() => Caller::Anonymous,
            Credentials::None => return refuse("nobody may do anything here without logging in"),
            Credentials::Password { user, password } => match self.prove(user, password).await {
                Proof::Right(user) => Caller::User(user),
                Proof::Wrong => return refuse("there is no such user, or the password is another one"),
                Proof::Busy => return Decided::Refused(challenge::busy(), None),
            },
            Credentials::Token(_) | Credentials::Strange => {
                return refuse("a token is given for a user and a password");
            }
        };
        let user = caller.user().cloned();
        Decided::Answered(signed(ask.grant(&self.mint, caller, &ruling), user))
    }

    /// Finds out who shows this. The error is what to ask for; without one there is no time to find out.
    async fn identify(&self, credentials: Credentials) -> Result<Identity, Option<Want>> {
        match credentials {
            Credentials::None => Ok(Identity::Nobody),
            Credentials::Password { user, password } => match self.prove(&user, &password).await {
                Proof::Right(user) => Ok(Identity::Known(user)),
                Proof::Wrong => Err(Some(Want::Password)),
                Proof::Busy => Err(None),
            },
            Credentials::Token(token) => match self.mint.read(&token) {
                Some(pass) => Ok(Identity::Token(pass.caller, pass.scopes)),
                None => Err(Some(Want::Token)),
            },
            Credentials::Strange => Err(Some(Want::Sense)),
        }
    }

    async fn prove(&self, user: &str, password: &str) -> Proof {
        self.passwords.prove(&*self.users.current().await, user, password).await
    }

    async fn ruling(&self) -> Ruling {
        let rules = match &self.rules {
            Source::Fixed(rules) => rules.clone(),
            Source::File(file) => file.current().await,
        };
        Ruling { rules, anonymous: self.anonymous }
    }
}

impl Identity {
    fn caller(&self) -> Caller {
        match self {
            Self::Nobody => Caller::Anonymous,
            Self::Known(user) => Caller::User(user.clone()),
            Self::Token(caller, _) => caller.clone(),
        }
    }
}

/// What to do with somebody.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'a> {
    In,
    Ask(Want),
    Deny(Arc<str>, &'a Scope),
}

/// Decides whether what is needed is allowed. Pure.
fn judge<'a>(identity: &Identity, need: Option<&'a Scope>, ruling: &Ruling) -> Verdict<'a> {
    let Some(need) = need else {
        // By this clients find out whether they are known.
        return if *identity == Identity::Nobody { Verdict::Ask(Want::Login) } else { Verdict::In };
    };
    let caller = identity.caller();
    if !ruling.allowed(&caller, &need.name).contains(need.actions) {
        return match caller {
            Caller::User(user) => Verdict::Deny(user, need),
            Caller::Anonymous => Verdict::Ask(Want::Login),
        };
    }
    match identity {
        Identity::Token(_, scopes) if !is_for(scopes, need) => Verdict::Ask(Want::Scope),
        _ => Verdict::In,
    }
}

/// It becomes a part of headers.
fn checked(url: &str) -> Result<String, ParseError> {
    let refuse = || ParseError::new("address of the registry", url, "`https://` or `http://`, and a host");
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or_else(refuse)?;
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"\"\\@?#".contains(&b);
    match host.trim_end_matches('/') {
        "" => Err(refuse()),
        host if host.bytes().all(is_plain) => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(refuse()),
    }
}

fn is_for(scopes: &[Scope], need: &Scope) -> bool {
    scopes.iter().any(|scope| scope.name == need.name && scope.actions.contains(need.actions))
}

fn signed(mut response: Response<Body>, user: Option<Arc<str>>) -> Response<Body> {
    if let Some(user) = user {
        response.extensions_mut().insert(Signed(user));
    }
    response
}

const USERS: Kind<Htpasswd> =
    Kind { what: "password file", expected: "lines `USER:HASH` with bcrypt hashes", parse: Htpasswd::parse };

const RULES: Kind<Rules> = Kind { what: "access file", expected: "rules in TOML", parse: Rules::parse };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_comes_in_and_others_are_told_what_would_help() {
        let rules = "[[rule]]\nwho = [\"ada\"]\nrepositories = [\"team/*\"]\nallow = [\"pull\", \"push\"]\n\
                     [[rule]]\nwho = [\"anonymous\"]\nrepositories = [\"public\"]\nallow = [\"pull\"]\n";
        let rules = Arc::new(Rules::parse(rules).expect("rules"));
        let ruling = Ruling { rules, anonymous: Anonymous::ByRules };
        let scope = |text: &str| Scope::read(text).expect(text);
        let known = |user: &str| Identity::Known(user.into());
        let token = |user: &str, scopes: &[&str]| {
            let caller = if user.is_empty() { Caller::Anonymous } else { Caller::User(user.into()) };
            Identity::Token(caller, scopes.iter().map(|text| scope(text)).collect())
        };
        let (login, more) = (Verdict::Ask(Want::Login), Verdict::Ask(Want::Scope));
        for (identity, need, expected) in [
            (Identity::Nobody, "", &login),
            (known("ada"), "", &Verdict::In),
            (token("ada", &[]), "", &Verdict::In),
            (token("", &[]), "", &Verdict::In),
            (Identity::Nobody, "repository:public:pull", &Verdict::In),
            (Identity::Nobody, "repository:public:push", &login),
            (Identity::Nobody, "repository:team/a:pull", &login),
            (known("ada"), "repository:team/a:push", &Verdict::In),
            (known("ada"), "repository:public:pull", &Verdict::In),
            (token("ada", &["repository:team/a:pull,push"]), "repository:team/a:push", &Verdict::In),
            (token("ada", &["repository:team/a:pull"]), "repository:team/a:push", &more),
            (token("ada", &["repository:team/b:push"]), "repository:team/a:push", &more),
            (token("ada", &[]), "repository:team/a:pull", &more),
            (token("", &["repository:public:pull"]), "repository:public:pull", &Verdict::In),
            (token("", &[]), "repository:public:pull", &more),
            (token("", &["repository:team/a:pull"]), "repository:team/a:pull", &login),
        ] {
            let need = (!need.is_empty()).then(|| scope(need));
            assert_eq!(judge(&identity, need.as_ref(), &ruling), *expected, "{identity:?} {need:?}");
        }
        for identity in [known("bob"), token("bob", &["repository:team/a:push"])] {
            let need = scope("repository:team/a:push");
            assert_eq!(judge(&identity, Some(&need), &ruling), Verdict::Deny("bob".into(), &need));
        }
    }
}
