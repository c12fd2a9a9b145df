//! Grants: what token services give us, kept, renewed, and shared by all requests that it is good for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use tokio::time::Instant;

use super::Scopes;
use super::token::{Denied, NoToken, Token};
use crate::model::{Name, Registry};
use crate::transport::Origin;

/// Whose credentials count, and who gets to see what they bring.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    /// Who asked.
    pub(crate) origin: Origin,
    /// The registry that the credentials are for.
    pub(crate) registry: Registry,
    /// The repository, since credentials may be for a namespace alone.
    pub(crate) name: Option<Name>,
    /// In whose name.
    pub(crate) identity: Identity,
}

/// In whose name something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// Our own, as far as there are credentials.
    Own,
    /// Nobody's: as if there were no credentials.
    Nobody,
}

/// What one token service gives for one set of scopes. Its lock makes one request out of many that want the same.
pub(crate) struct Grant {
    /// The token service.
    pub(crate) realm: Uri,
    /// What it calls the registry.
    pub(crate) service: Option<String>,
    /// What it is asked for.
    pub(crate) scopes: Scopes,
    state: tokio::sync::Mutex<State>,
}

enum State {
    Empty,
    Held(Arc<Token>),
    /// Refused, at that time.
    Denied(Instant, Box<Denied>),
}

impl Grant {
    /// Says whether a token was ever held, so that renewing it needs no challenge.
    pub(crate) fn is_proven(&self) -> bool {
        // Locked by whoever gets one.
        self.state.try_lock().map_or(true, |state| matches!(*state, State::Held(_)))
    }

    fn is_denied(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| matches!(*state, State::Denied(..)))
    }

    /// Returns a token other than `rejected`: the one held, where it is good, else a new one from `fetch`.
    ///
    /// Callers that come while one fetches wait, and get what that one got: the token, or the refusal. A wrong password
    /// is so shown once and not once per request. Other failures are each caller's own to repeat.
    pub(crate) async fn token<F>(
        &self,
        rejected: Option<&Arc<Token>>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Token>, NoToken>
    where
        F: Future<Output = Result<Token, NoToken>>,
    {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        match &*state {
            State::Held(token) => {
                let is_rejected = rejected.is_some_and(|rejected| Arc::ptr_eq(rejected, token));
                if !is_rejected && Instant::now() < token.until {
                    return Ok(token.clone());
                }
            }
            State::Denied(at, denied) if asked <= *at => return Err(NoToken::Denied(denied.clone())),
            State::Denied(..) | State::Empty => {}
        }
        match fetch().await {
            Ok(token) => {
                let token = Arc::new(token);
                *state = State::Held(token.clone());
                Ok(token)
            }
            Err(NoToken::Denied(denied)) => {
                *state = State::Denied(Instant::now(), denied.clone());
                Err(NoToken::Denied(denied))
            }
            Err(failed) => Err(failed),
        }
    }
}

/// All grants, by account.
#[derive(Default)]
pub(crate) struct Grants(Mutex<HashMap<Account, Vec<Arc<Grant>>>>);

impl Grants {
    /// Returns a grant that is good for `scopes` and needs no challenge.
    pub(crate) fn find(&self, account: &Account, scopes: &Scopes) -> Option<Arc<Grant>> {
        let grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.get(account)?.iter().find(|grant| grant.scopes.covers(scopes) && grant.is_proven()).cloned()
    }

    /// Returns the grant of this token service that is good for `scopes`, which may be new. One that was asked for more
    /// and refused is not it: the less may still be given.
    pub(crate) fn open(&self, account: &Account, realm: &Uri, service: Option<&str>, scopes: Scopes) -> Arc<Grant> {
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let grants = grants.entry(account.clone()).or_default();
        let is_same = |grant: &Grant| grant.realm == *realm && grant.service.as_deref() == service;
        let is_good = |grant: &Grant| grant.scopes == scopes || grant.scopes.covers(&scopes) && !grant.is_denied();
        if let Some(known) = grants.iter().find(|grant| is_same(grant) && is_good(grant)) {
            return known.clone();
        }
        let (realm, service) = (realm.clone(), service.map(str::to_owned));
        let grant = Arc::new(Grant { realm, service, scopes, state: tokio::sync::Mutex::new(State::Empty) });
        grants.push(grant.clone());
        grant
    }

    /// Forgets the grants that this one makes superfluous, now that it has a token.
    pub(crate) fn settle(&self, account: &Account, grant: &Arc<Grant>) {
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(grants) = grants.get_mut(account) else { return };
        grants.retain(|known| Arc::ptr_eq(known, grant) || !grant.scopes.covers(&known.scopes));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use http::{HeaderValue, Method};

    use super::*;
    use crate::error::{Details, RequestLine};

    fn account() -> Account {
        let origin = Origin::of(&"https://r.example/".parse().expect("a URI")).expect("an origin");
        Account { origin, registry: "r.example".parse().expect("a registry"), name: None, identity: Identity::Own }
    }

    fn grant(grants: &Grants, realm: &str, scopes: &str) -> Arc<Grant> {
        grants.open(&account(), &realm.parse().expect(realm), None, Scopes::read(scopes))
    }

    fn denial() -> NoToken {
        let request = RequestLine::new(&Method::GET, &Uri::from_static("https://a.example/t"));
        NoToken::Denied(Box::new(Denied { request, errors: vec![], details: Details::default() }))
    }

    fn token(seconds: u64) -> Token {
        let until = Instant::now() + Duration::from_secs(seconds);
        Token { header: HeaderValue::from_static("Bearer t"), until }
    }

    #[tokio::test]
    async fn a_wider_grant_replaces_narrower_ones_once_it_has_a_token() {
        let grants = Grants::default();
        let narrow = grant(&grants, "https://a.example/t", "repository:a:pull");
        assert!(Arc::ptr_eq(&narrow, &grant(&grants, "https://a.example/t", "repository:a:pull")));
        narrow.token(None, || async { Ok(token(60)) }).await.expect("a token");
        let wide = grant(&grants, "https://a.example/t", "repository:a:pull,push repository:b:pull");
        let find = |scopes| grants.find(&account(), &Scopes::read(scopes));
        assert!(find("repository:b:pull").is_none(), "it has no token yet");
        assert!(find("repository:a:pull").is_some_and(|found| Arc::ptr_eq(&found, &narrow)));

        let _denied = wide.token(None, || async { Err(denial()) }).await;
        let less = grant(&grants, "https://a.example/t", "repository:a:pull,push");
        assert!(!Arc::ptr_eq(&less, &wide), "the less may still be given");

        wide.token(None, || async { Ok(token(60)) }).await.expect("a token");
        grants.settle(&account(), &wide);
        for scopes in ["", "repository:a:pull", "repository:a:pull,push", "repository:b:pull"] {
            assert!(find(scopes).is_some_and(|found| Arc::ptr_eq(&found, &wide)), "{scopes}");
        }
        assert!(find("repository:b:push").is_none());
        let moved = grant(&grants, "https://b.example/t", "repository:a:pull");
        assert!(!Arc::ptr_eq(&wide, &moved));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_until_it_is_old_or_rejected() {
        let (grants, fetched) = (Grants::default(), Cell::new(0));
        let grant = grant(&grants, "https://a.example/t", "");
        let fetch = || async {
            fetched.set(fetched.get() + 1);
            Ok(token(60))
        };
        assert!(!grant.is_proven());
        let first = grant.token(None, fetch).await.expect("a token");
        assert!(grant.is_proven());
        grant.token(None, fetch).await.expect("the same");
        assert_eq!(fetched.get(), 1);
        let second = grant.token(Some(&first), fetch).await.expect("another");
        grant.token(Some(&first), fetch).await.expect("the second");
        assert_eq!(fetched.get(), 2);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(grant.is_proven());
        let third = grant.token(None, fetch).await.expect("a third");
        assert!(!Arc::ptr_eq(&second, &third));
        assert_eq!(fetched.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_want_a_token_make_one_request() {
        let (grants, fetched) = (Grants::default(), Cell::new(0));
        let grant = grant(&grants, "https://a.example/t", "");
        let fetch = || async {
            fetched.set(fetched.get() + 1);
            tokio::task::yield_now().await;
            Ok(token(60))
        };
        let many = (0..16).map(|_| grant.token(None, fetch));
        assert!(futures_util::future::join_all(many).await.into_iter().all(|token| token.is_ok()));
        assert_eq!(fetched.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_shared_by_those_who_wait_and_forgotten_after() {
        let (grants, fetched) = (Grants::default(), Cell::new(0));
        let grant = grant(&grants, "https://a.example/t", "");
        let fetch = || async {
            fetched.set(fetched.get() + 1);
            tokio::task::yield_now().await;
            Err(denial())
        };
        let many = (0..16).map(|_| grant.token(None, fetch));
        let denied = |outcome: &Result<_, _>| matches!(outcome, Err(NoToken::Denied(_)));
        assert!(futures_util::future::join_all(many).await.iter().all(denied));
        assert_eq!(fetched.get(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(denied(&grant.token(None, fetch).await));
        assert_eq!(fetched.get(), 2);
    }
}
