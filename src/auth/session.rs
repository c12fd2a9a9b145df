//! What an [`Authorizer`](super::Authorizer) remembers, and how it meets a demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderValue, Uri};
use tokio::sync::OnceCell;

use super::authorizer::{Exposure, Pass, Remark, unmet};
use super::demand::{Bearer, Carried};
use super::grant::{Account, Grant, Grants, Identity};
use super::token::{self, Ask, NoToken, Token};
use super::{Credential, Found, Keychain, Scopes, basic, realm};
use crate::error::{Error, RequestLine, Tried, Violation};
use crate::model::{Name, Registry};
use crate::transport::{Budget, Origin, Transport};

pub(super) struct Session {
    pub(super) transport: Transport,
    pub(super) exposure: Exposure,
    keychain: Arc<dyn Keychain>,
    grants: Grants,
    /// What was looked up: helpers are slow, and may ask the user.
    credentials: Mutex<HashMap<(Registry, Option<Name>), Cell>>,
    /// The origins that take a credential as it is.
    direct: Mutex<HashMap<Origin, Direct>>,
    /// What is known about the accounts whose credentials got us nowhere.
    anonymous: Mutex<HashMap<Account, Anonymous>>,
    tell: Box<dyn Fn(Remark<'_>) + Send + Sync>,
}

/// What became of doing without credentials that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anonymous {
    /// Anybody may read here.
    Welcome,
    /// That did not help either.
    Unwelcome,
}

type Cell = Arc<OnceCell<Option<Arc<Found>>>>;

/// What an origin takes without a token service in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    /// A user and a password (Basic).
    Password,
    /// A registry token (Bearer).
    Token,
}

impl Direct {
    /// Returns the value of `Authorization`; `None` where the credential is of another kind, or no header can carry it.
    pub(super) fn header(self, credential: &Credential) -> Option<HeaderValue> {
        match (self, credential) {
            (Self::Password, Credential::Password { username, secret }) => {
                token::header("Basic", basic::encode(username, secret).reveal())
            }
            (Self::Token, Credential::Bearer { token }) => token::header("Bearer", token.reveal()),
            _ => None,
        }
    }
}

/// How a demand was met.
pub(super) enum Met {
    /// With this.
    Pass(Pass),
    /// Not at all, for want of credentials, or because these were refused already.
    Nothing(Tried),
}

/// In whose name something is asked for.
struct Asker {
    found: Option<Arc<Found>>,
    tried: Tried,
}

impl Session {
    pub(super) fn new(
        transport: Transport,
        keychain: Arc<dyn Keychain>,
        exposure: Exposure,
        tell: Box<dyn Fn(Remark<'_>) + Send + Sync>,
    ) -> Self {
        let (grants, credentials, direct, anonymous) = Default::default();
        Self { transport, exposure, keychain, grants, credentials, direct, anonymous, tell }
    }

    /// Returns what is known about reading without the credentials of `account`.
    pub(super) fn anonymous(&self, account: &Account) -> Option<Anonymous> {
        lock(&self.anonymous).get(account).copied()
    }

    /// Remembers what became of reading without the credentials of `account`, and tells people why, once.
    pub(super) fn conclude(&self, account: &Account, anonymous: Anonymous, remark: Remark<'_>) {
        let is_new = lock(&self.anonymous).insert(account.clone(), anonymous).is_none();
        if is_new && anonymous == Anonymous::Welcome {
            (self.tell)(remark);
        }
    }

    /// Says whether an origin wants a password for everything, so that there is nothing to ask for without one.
    pub(super) fn wants_passwords(&self, origin: &Origin) -> bool {
        lock(&self.direct).get(origin) == Some(&Direct::Password)
    }

    /// Returns what worked before for this account and scopes, renewed where it has expired.
    pub(super) async fn remembered(
        &self,
        account: &Account,
        scopes: &Scopes,
        budget: &mut Budget,
    ) -> Result<Pass, Error> {
        let direct = lock(&self.direct).get(&account.origin).copied();
        if let Some(direct) = direct.filter(|_| account.identity == Identity::Own) {
            let Asker { found, tried } = self.asker(account, None).await?;
            let header = found.and_then(|found| direct.header(&found.credential));
            if header.is_some() {
                return Ok(Pass { header, carried: Carried::Remembered, token: None, tried });
            }
        }
        match self.grants.find(account, scopes) {
            Some(grant) => {
                let asker = self.asker(account, Some(&grant.realm)).await?;
                let token = self.token(account, &grant, None, &asker, budget).await?;
                Ok(pass(token, Carried::Remembered, asker))
            }
            None => Ok(Pass::none()),
        }
    }

    /// Meets the demand for a user and a password.
    pub(super) async fn meet_basic(&self, account: &Account, refused: &Pass) -> Result<Met, Error> {
        let asker = self.asker_after(account, refused).await?;
        Ok(self.meet_directly(account, Direct::Password, &asker, refused))
    }

    /// Meets the demand for a token, which `answered` made.
    pub(super) async fn meet_bearer(
        &self,
        account: &Account,
        bearer: &Bearer,
        scopes: &Scopes,
        refused: &Pass,
        answered: &Uri,
        budget: &mut Budget,
    ) -> Result<Met, Error> {
        let asker = self.asker_after(account, refused).await?;
        if matches!(asker.found.as_deref(), Some(Found { credential: Credential::Bearer { .. }, .. })) {
            return Ok(self.meet_directly(account, Direct::Token, &asker, refused));
        }
        let realm = service(bearer, answered)?;
        let asker = self.asker(account, Some(&realm)).await?;
        let scopes = scopes.clone().merge(&bearer.scopes);
        let (scopes, is_second) = match &refused.carried {
            Carried::Fresh(before) => (scopes.merge(before), true),
            _ => (scopes, false),
        };
        let grant = self.grants.open(account, &realm, bearer.service.as_deref(), scopes);
        let token = self.token(account, &grant, refused.token.as_ref(), &asker, budget).await?;
        self.grants.settle(account, &grant);
        let carried = if is_second { Carried::Best } else { Carried::Fresh(grant.scopes.clone()) };
        Ok(Met::Pass(pass(token, carried, asker)))
    }

    fn meet_directly(&self, account: &Account, direct: Direct, asker: &Asker, refused: &Pass) -> Met {
        let header = asker.found.as_ref().and_then(|found| direct.header(&found.credential));
        if header.is_none() || header == refused.header {
            return Met::Nothing(asker.tried.clone());
        }
        lock(&self.direct).insert(account.origin.clone(), direct);
        Met::Pass(Pass { header, carried: Carried::Best, token: None, tried: asker.tried.clone() })
    }

    /// Returns a token of the grant, other than the rejected one.
    async fn token(
        &self,
        account: &Account,
        grant: &Grant,
        rejected: Option<&Arc<Token>>,
        asker: &Asker,
        budget: &mut Budget,
    ) -> Result<Arc<Token>, Error> {
        let ask = Ask {
            realm: &grant.realm,
            service: grant.service.as_deref(),
            scopes: &grant.scopes,
            credential: asker.found.as_ref().map(|found| &found.credential),
        };
        match grant.token(rejected, || token::fetch(&self.transport, &ask, budget)).await {
            Ok(token) => Ok(token),
            Err(NoToken::Failed(error)) => Err(error),
            Err(NoToken::Denied(denied)) => {
                self.forget(account);
                Err(unmet(&account.registry, asker.tried.clone(), *denied))
            }
        }
    }

    /// Finds out in whose name to ask, after something was refused: a password that worked before may have been replaced
    /// since (ECR's are good for twelve hours).
    async fn asker_after(&self, account: &Account, refused: &Pass) -> Result<Asker, Error> {
        if refused.carried == Carried::Remembered && refused.token.is_none() {
            self.forget(account);
        }
        self.asker(account, None).await
    }

    /// Finds out in whose name to ask: nobody's, where the credentials would be seen on the way.
    async fn asker(&self, account: &Account, realm: Option<&Uri>) -> Result<Asker, Error> {
        let found = match account.identity {
            Identity::Own => self.credential(account).await?,
            Identity::Nobody => None,
        };
        let Some(found) = found else {
            return Ok(Asker { found: None, tried: Tried::Nothing });
        };
        let realm = realm.and_then(Origin::of);
        let is_guarded =
            [Some(&account.origin), realm.as_ref()].into_iter().flatten().all(|to| self.exposure.allows(to));
        Ok(match is_guarded {
            true => Asker { tried: found.tried(), found: Some(found) },
            false => Asker { found: None, tried: Tried::Withheld },
        })
    }

    /// Looks up the credentials, once for all who want to know.
    async fn credential(&self, account: &Account) -> Result<Option<Arc<Found>>, Error> {
        let cell = lock(&self.credentials).entry((account.registry.clone(), account.name.clone())).or_default().clone();
        let lookup = || async {
            let found = self.keychain.credential(&account.registry, account.name.as_ref()).await?;
            Ok(found.map(Arc::new))
        };
        cell.get_or_try_init(lookup).await.cloned()
    }

    fn forget(&self, account: &Account) {
        lock(&self.credentials).remove(&(account.registry.clone(), account.name.clone()));
    }
}

/// Finds the token service that a challenge of `answered` names, and checks it.
pub(super) fn service(bearer: &Bearer, answered: &Uri) -> Result<Uri, Error> {
    let request = || RequestLine::new(&http::Method::GET, answered);
    let Some(realm) = &bearer.realm else {
        return Err(Error::protocol(request(), "the `Bearer` challenge has no `realm`"));
    };
    realm::check(answered, realm).map_err(|error| {
        let rule = "the challenge names a token service that gets no credentials";
        Error::Protocol(Box::new(Violation { request: request(), rule, cause: Some(Box::new(error)) }))
    })
}

fn pass(token: Arc<Token>, carried: Carried, asker: Asker) -> Pass {
    Pass { header: Some(token.header.clone()), carried, token: Some(token), tried: asker.tried }
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;

    #[test]
    fn each_kind_of_credential_has_its_header() {
        let password = Credential::Password { username: "ada".into(), secret: Secret::new("pw") };
        let bearer = Credential::Bearer { token: Secret::new("t") };
        let broken = Credential::Bearer { token: Secret::new("a\nb") };
        let identity = Credential::Identity { token: Secret::new("t") };
        for (direct, credential, expected) in [
            (Direct::Password, &password, Some("Basic YWRhOnB3")),
            (Direct::Password, &bearer, None),
            (Direct::Password, &identity, None),
            (Direct::Token, &bearer, Some("Bearer t")),
            (Direct::Token, &password, None),
            (Direct::Token, &identity, None),
            (Direct::Token, &broken, None),
        ] {
            let header = direct.header(credential);
            assert_eq!(header.as_ref().and_then(|value| value.to_str().ok()), expected, "{direct:?} {credential:?}");
            assert!(header.is_none_or(|value| value.is_sensitive()));
        }
    }
}
