//! Profiles at work: a real server that stands before our own registry and keeps the rules of another.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

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
use super::super::reply::Names;
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
    pub(crate) speech: Speech,
    pub(crate) storage: Keeps,
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

/// How a registry speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Plain,
    Tls,
}

/// Where a registry keeps blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    Here,
    Elsewhere,
}

impl Profile {
    /// An open registry.
    pub(super) fn plain(name: &'static str, rules: &'static [Rule]) -> Self {
        Self {
            name,
            account: None,
            speech: Speech::Plain,
            storage: Keeps::Here,
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
        Self { storage: Keeps::Elsewhere, ..self }
    }

    pub(super) fn over_tls(self) -> Self {
        Self { speech: Speech::Tls, ..self }
    }

    pub(super) fn pushing(self, repositories: &'static [&'static str]) -> Self {
        Self { repositories, ..self }
    }

    pub(super) fn expecting<const N: usize>(self, expected: [Expected; N]) -> Self {
        Self { expected: expected.into(), ..self }
    }

    /// Starts to play.
    pub(crate) async fn start(&self) -> Played {
        let registry = Embedded::start().await;
        let authority = (self.speech == Speech::Tls).then(Authority::new);
        let storage = match self.storage {
            Keeps::Here => None,
            Keeps::Elsewhere => Some(Storage::start(registry.address(), authority.as_ref()).await),
        };
        let door = Door(Arc::new(Inner {
            upstream: registry.address(),
            rules: self.rules,
            wire: Wire::new(),
            stage: OnceLock::new(),
        }));
        let listener = match &authority {
            None => Listener::plain(door.clone()).await,
            Some(authority) => Listener::tls(door.clone(), authority.server()).await,
        };
        let guard = self.account.map(|account| (account.guard)(account.username, account.secret));
        let stage = Stage::new(listener.origin(), storage.as_ref().map(Storage::origin), guard);
        assert!(door.0.stage.set(stage).is_ok(), "a profile starts once");
        Played { registry, storage, authority, listener, door }
    }
}

/// A profile at work.
pub(crate) struct Played {
    pub(crate) registry: Embedded,
    pub(crate) storage: Option<Storage>,
    pub(crate) authority: Option<Authority>,
    listener: Listener,
    door: Door,
}

impl Played {
    /// Returns the name of the registry as references have it.
    pub(crate) fn registry_name(&self) -> String {
        let origin = self.listener.origin();
        origin.split_once("://").map_or(origin.clone(), |(_, host)| host.to_owned())
    }

    /// Returns what went by.
    pub(crate) fn wire(&self) -> &Wire {
        &self.door.0.wire
    }

    /// Returns what the rules share.
    pub(crate) fn stage(&self) -> &Stage {
        self.door.0.stage()
    }
}

#[derive(Clone)]
struct Door(Arc<Inner>);

struct Inner {
    upstream: SocketAddr,
    rules: &'static [Rule],
    wire: Wire,
    stage: OnceLock<Stage>,
}

impl Inner {
    fn stage(&self) -> &Stage {
        self.stage.get().expect("nobody knows the port before the stage is set")
    }

    async fn answer(
        &self,
        asked: &Asked<'_>,
        uri: &http::Uri,
        connection: &Connection,
    ) -> Result<Response<Body>, Hangup> {
        let rules = || self.rules.iter().filter(|rule| rule.is_about(asked.method, asked.target));
        let replies = || rules().find_map(|rule| if let Act::Instead(act) = rule.play { act(asked) } else { None });
        let guard = self.stage().guard.as_ref();
        let is_token = guard.is_some_and(|guard| guard.serves(uri));
        let refused = match guard {
            Some(guard) if !is_token => guard.check(asked.method, uri, asked.headers, &self.stage().origin).await,
            _ => None,
        };
        let answer = match refused {
            Some(refused) => refused,
            None => match replies() {
                Some(reply) => return reply.play(asked.method, &Names::of(&self.stage().origin), connection).await,
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
            stage: inner.stage(),
        };
        let answer = inner.answer(&asked, &head.uri, connection).await?;
        inner.wire.record(&head.method, &head.uri, &head.headers, answer.status());
        Ok(answer)
    }
}
