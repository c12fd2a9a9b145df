//! Profiles at work: a real server that stands before our own registry and keeps the rules of another.
//!
//! It has a name as the real one has, which ends in `.test` and is never resolved, a certificate for it, and listens on
//! loopback: whoever wants to talk to it connects the name to the address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use spinreg::content::Body;

use super::super::client::read;
use super::super::front::forward;
use super::super::guard::Guard;
use super::super::listen::{Connection, Handler, Hangup, Listener, collect};
use super::super::pattern::target;
use super::super::registry::Embedded;
use super::super::reply::{Names, Reply};
use super::super::tls::Authority;
use super::super::wire::Wire;
use super::rule::{Act, Answer, Asked, Rule, Stage};
use super::storage::Storage;

/// A registry that people use.
#[derive(Clone)]
pub(crate) struct Profile {
    /// As `docs/registries.md` calls it.
    pub(crate) name: &'static str,
    /// Who may use it; absent where nobody has to say who they are.
    pub(crate) account: Option<Account>,
    /// The port in its name, where it is not the usual one.
    port: Option<u16>,
    /// Where the token service is.
    tokens: Place,
    /// Where the blobs are.
    storage: Place,
    pub(crate) rules: &'static [Rule],
    /// The repositories that the application is pushed to.
    pub(crate) repositories: &'static [&'static str],
    /// What does not work, and what people are told.
    pub(crate) expected: Vec<Expected>,
}

/// Somebody whom a registry knows.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) username: &'static str,
    pub(crate) secret: &'static str,
    /// What the secret is.
    pub(crate) kind: Kind,
    /// Makes the door that lets them in.
    guard: fn(&str, &str) -> Guard,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A password, or what is used as one.
    Password,
    /// An identity token, as `docker login` and the clouds' tools store it.
    Identity,
}

/// Something that fails, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) attempt: Attempt,
    /// The repository and the tag.
    pub(crate) reference: &'static str,
    pub(crate) exit: i32,
    /// Part of what people are told.
    pub(crate) words: &'static str,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Pull,
    /// A pull by somebody who has not logged in.
    AnonymousPull,
    Push,
    /// A push of another application than the one that is there.
    PushOther,
}

impl Expected {
    pub(super) fn pull(reference: &'static str, exit: i32, words: &'static str) -> Self {
        Self { attempt: Attempt::Pull, reference, exit, words }
    }

    pub(super) fn anonymous_pull(reference: &'static str, exit: i32, words: &'static str) -> Self {
        Self { attempt: Attempt::AnonymousPull, reference, exit, words }
    }

    pub(super) fn push(reference: &'static str, exit: i32, words: &'static str) -> Self {
        Self { attempt: Attempt::Push, reference, exit, words }
    }

    pub(super) fn push_other(reference: &'static str, exit: i32, words: &'static str) -> Self {
        Self { attempt: Attempt::PushOther, reference, exit, words }
    }
}

/// Where a part of a registry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the registry's own name.
    Here,
    /// At another one.
    Elsewhere,
}

impl Profile {
    /// An open registry.
    pub(super) fn open(name: &'static str, rules: &'static [Rule]) -> Self {
        Self {
            name,
            account: None,
            port: None,
            tokens: Place::Here,
            storage: Place::Here,
            rules,
            repositories: &["apps/static-site"],
            expected: vec![Expected::pull("apps/static-site:absent", 3, "manifest `absent`")],
        }
    }

    /// Lets nobody in but this user.
    pub(super) fn guarded(self, username: &'static str, secret: &'static str, guard: fn(&str, &str) -> Guard) -> Self {
        Self { account: Some(Account { username, secret, kind: Kind::Password, guard }), ..self }
    }

    /// Says that the secret is an identity token.
    pub(super) fn by_identity(self) -> Self {
        Self { account: self.account.map(|account| Account { kind: Kind::Identity, ..account }), ..self }
    }

    /// Keeps blobs at an origin of their own, which wants no credentials.
    pub(super) fn with_storage(self) -> Self {
        Self { storage: Place::Elsewhere, ..self }
    }

    /// Gives out tokens at an origin of their own.
    pub(super) fn with_token_service(self) -> Self {
        Self { tokens: Place::Elsewhere, ..self }
    }

    /// Has a port in its name.
    pub(super) fn at_port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    pub(super) fn pushing(self, repositories: &'static [&'static str]) -> Self {
        Self { repositories, ..self }
    }

    pub(super) fn expecting<const N: usize>(self, expected: [Expected; N]) -> Self {
        Self { expected: expected.into(), ..self }
    }

    /// Starts to play.
    pub(crate) async fn start(&self) -> Played {
        let (registry, authority) = (Embedded::start().await, Authority::new());
        let host = format!("{}.test", self.name);
        let tokens = match self.tokens {
            Place::Here => None,
            Place::Elsewhere => Some(format!("auth.{host}")),
        };
        let storage = match self.storage {
            Place::Here => None,
            Place::Elsewhere => Some(Storage::start(&format!("storage.{host}"), registry.address(), &authority).await),
        };
        let name = self.port.map_or(host.clone(), |port| format!("{host}:{port}"));
        let origin = format!("https://{name}");
        let stage = Stage {
            tokens: tokens.as_ref().map_or(origin.clone(), |tokens| format!("https://{tokens}")),
            origin,
            storage: storage.as_ref().map(|storage| storage.origin().to_owned()),
            guard: self.account.map(|account| (account.guard)(account.username, account.secret)),
            book: Mutex::default(),
        };
        let inner = Inner { upstream: registry.address(), rules: self.rules, wire: Wire::new(), stage };
        let door = Door(Arc::new(inner));
        let certified: Vec<_> = [Some(&host), tokens.as_ref()].into_iter().flatten().map(String::as_str).collect();
        let listener = Listener::tls(door.clone(), authority.server_named(&certified, PROTOCOLS)).await;
        Played { _registry: registry, name, tokens, storage, authority, listener, door }
    }
}

/// A profile at work.
pub(crate) struct Played {
    _registry: Embedded,
    name: String,
    tokens: Option<String>,
    pub(crate) storage: Option<Storage>,
    pub(crate) authority: Authority,
    listener: Listener,
    door: Door,
}

impl Played {
    /// Returns the name of the registry as references have it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns every name that the registry has or sends people to, and the address to connect it to.
    pub(crate) fn names(&self) -> Vec<(&str, SocketAddr)> {
        let own = [Some(&self.name), self.tokens.as_ref()].into_iter().flatten();
        let own = own.map(|name| (name.as_str(), self.listener.address()));
        let storage = self.storage.iter().map(|storage| (host(storage.origin()), storage.address()));
        own.chain(storage).collect()
    }

    /// Returns what went by.
    pub(crate) fn wire(&self) -> &Wire {
        &self.door.0.wire
    }
}

/// What is agreed on in the handshake.
pub(super) const PROTOCOLS: &[&str] = &["h2", "http/1.1"];

#[derive(Clone)]
struct Door(Arc<Inner>);

struct Inner {
    upstream: SocketAddr,
    rules: &'static [Rule],
    wire: Wire,
    stage: Stage,
}

impl Inner {
    async fn answer(
        &self,
        asked: &Asked<'_>,
        uri: &http::Uri,
        connection: &Connection,
    ) -> Result<Response<Body>, Hangup> {
        let rules = || self.rules.iter().filter(|rule| rule.is_about(asked.method, asked.target));
        let replies = || rules().find_map(|rule| if let Act::Instead(act) = rule.play { act(asked) } else { None });
        let guard = self.stage.guard.as_ref();
        let is_token = guard.is_some_and(|guard| guard.serves(uri));
        let origin = if is_token { &self.stage.tokens } else { &self.stage.origin };
        if asked.host(uri) != host(origin) {
            // Whoever comes by another name has mixed up two hosts.
            return Reply::status(421).play(asked.method, &Names::default(), connection).await;
        }
        let refused = match guard {
            Some(guard) if !is_token => guard.check(asked.method, uri, asked.headers, &self.stage.tokens).await,
            _ => None,
        };
        let answer = match refused {
            Some(refused) => refused,
            None => match replies() {
                Some(reply) => return reply.play(asked.method, &Names::of(&self.stage.origin), connection).await,
                None if is_token => {
                    let guard = guard.expect("there is a token service");
                    guard.token(asked.method, uri, asked.headers, asked.body)
                }
                None => {
                    let mut request = Request::new(Body::from_bytes(asked.body.clone()));
                    *request.method_mut() = asked.method.clone();
                    *request.uri_mut() = uri.clone();
                    *request.headers_mut() = asked.headers.clone();
                    // The registry behind speaks for itself; the lengths are those of the body.
                    for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
                        request.headers_mut().remove(name);
                    }
                    forward(self.upstream, request).await?
                }
            },
        };
        let (head, body) = answer.into_parts();
        let (body, end) = read(body).await;
        end.map_err(|_| Hangup)?;
        let mut answer = Answer::from_parts(head, body);
        for rule in rules() {
            if let Act::After(act) = rule.play {
                act(asked, &mut answer);
            }
        }
        if asked.method != Method::HEAD {
            answer.headers_mut().remove(header::CONTENT_LENGTH);
        }
        for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
            answer.headers_mut().remove(name);
        }
        Ok(answer.map(Body::from_bytes))
    }
}

impl Handler for Door {
    async fn handle(&self, request: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Hangup> {
        let (head, body) = request.into_parts();
        let body: Bytes = collect(body).await?;
        let inner = &*self.0;
        let asked = Asked {
            method: &head.method,
            target: target(&head.uri),
            headers: &head.headers,
            body: &body,
            stage: &inner.stage,
        };
        let answer = inner.answer(&asked, &head.uri, connection).await?;
        inner.wire.record(&head.method, &head.uri, &head.headers, answer.status());
        Ok(answer)
    }
}

/// Returns the host, and the port where there is one, of an origin.
fn host(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}
