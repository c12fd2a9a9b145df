//! Credentials, and where they come from.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::explain::{Answer, Testimony};
use crate::error::{Error, Tried};
use crate::model::{Name, Registry};

/// A text that never prints, and that is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text, for sending and for storing.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Says whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Something to show to a registry or to its token service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password (or an access token that passes for one).
    Password {
        /// The user.
        username: String,
        /// The password.
        secret: Secret,
    },
    /// A refresh token, which the token service exchanges for a registry token; docker calls it identity token.
    Identity {
        /// The refresh token.
        token: Secret,
    },
    /// A ready-made registry token, sent as it is.
    Bearer {
        /// The registry token.
        token: Secret,
    },
}

impl Credential {
    /// Returns the user; empty for a token.
    pub fn username(&self) -> &str {
        match self {
            Self::Password { username, .. } => username,
            Self::Identity { .. } | Self::Bearer { .. } => "",
        }
    }
}

/// A credential and the source that had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The credential.
    pub credential: Credential,
    /// Where it came from, for people: "the command line", "`DOCKER_AUTH_CONFIG`", a path.
    pub source: String,
}

impl Found {
    /// Says that these credentials were tried.
    pub(crate) fn tried(&self) -> Tried {
        Tried::Account { username: self.credential.username().to_owned(), source: self.source.clone() }
    }
}

/// A source of credentials. It is asked only once a registry wants some.
pub trait Keychain: Send + Sync {
    /// Looks up the credentials for `registry`, for the repository `name` where one is concerned; `None` where this
    /// source has none.
    ///
    /// # Errors
    ///
    /// Where the source exists and cannot be read or understood; [`Error::Helper`] where it is a program that gives no
    /// answer. The error names it and never shows a secret.
    fn credential<'a>(&'a self, registry: &'a Registry, name: Option<&'a Name>) -> Lookup<'a>;
}

/// What [`Keychain::credential`] returns.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Option<Found>, Error>> + Send + 'a>>;

/// Nobody: every registry is met anonymously.
impl Keychain for () {
    fn credential<'a>(&'a self, _: &'a Registry, _: Option<&'a Name>) -> Lookup<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Several sources, of which the first that has something answers.
///
/// A credential helper that gives no answer is passed over for the sources after it, with a warning in the log; where those
/// have nothing either, it is the error of the lookup.
#[derive(Clone, Default)]
pub struct Chain(Vec<Arc<dyn Keychain>>);

impl Chain {
    /// Puts sources in order, the strongest first.
    pub fn new(sources: Vec<Arc<dyn Keychain>>) -> Self {
        Self(sources)
    }
}

impl Keychain for Chain {
    fn credential<'a>(&'a self, registry: &'a Registry, name: Option<&'a Name>) -> Lookup<'a> {
        Box::pin(async move {
            let mut failed = None;
            for source in &self.0 {
                match source.credential(registry, name).await {
                    Ok(Some(found)) => {
                        if let Some(failure) = failed {
                            tracing::warn!(%registry, "{failure}; going on with credentials from {}", found.source);
                        }
                        return Ok(Some(found));
                    }
                    Ok(None) => {}
                    Err(Error::Helper(failure)) => failed = failed.or(Some(failure)),
                    Err(error) => return Err(error),
                }
            }
            failed.map_or(Ok(None), |failure| Err(Error::Helper(failure)))
        })
    }
}

/// Credentials that the user gave outright. They are good for one registry, and no other gets to see them.
#[derive(Clone, Debug)]
pub struct Given {
    registry: Registry,
    found: Found,
}

impl Given {
    /// Gives credentials for one registry.
    pub fn new(registry: Registry, found: Found) -> Self {
        Self { registry, found }
    }

    /// Says what was given for `registry`, if anything.
    pub(crate) fn explain(&self, registry: &Registry) -> Option<Testimony> {
        let answers = || vec![Answer::of(&self.found.credential, None)];
        (*registry == self.registry).then(|| Testimony { source: self.found.source.clone(), answers: answers() })
    }
}

impl Keychain for Given {
    fn credential<'a>(&'a self, registry: &'a Registry, _: Option<&'a Name>) -> Lookup<'a> {
        let found = (*registry == self.registry).then(|| self.found.clone());
        Box::pin(std::future::ready(Ok(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(registry: &str, username: &str) -> Given {
        let credential = Credential::Password { username: username.into(), secret: Secret::new("hunter2") };
        Given::new(registry.parse().expect("a registry"), Found { credential, source: "the command line".into() })
    }

    #[test]
    fn secrets_do_not_print() {
        let found = given("r.example", "ada").found;
        let identity = Credential::Identity { token: Secret::new("hunter2") };
        for printed in
            [format!("{found:?}"), format!("{found:#?}"), format!("{identity:?}"), Secret::new("hunter2").to_string()]
        {
            assert!(printed.contains("***") && !printed.contains("hunter2"), "{printed}");
        }
    }

    #[tokio::test]
    async fn the_first_source_that_has_something_answers() {
        let chain = Chain::new(vec![
            Arc::new(()),
            Arc::new(given("r.example", "ada")),
            Arc::new(given("r.example", "bob")),
            Arc::new(given("r.example:5000", "eve")),
        ]);
        for (registry, username) in
            [("r.example", Some("ada")), ("r.example:5000", Some("eve")), ("r.example:5001", None), ("docker.io", None)]
        {
            let registry = registry.parse().expect("a registry");
            let found = chain.credential(&registry, None).await.expect("no source fails");
            assert_eq!(found.as_ref().map(|found| found.credential.username()), username, "{registry}");
        }
    }
}
