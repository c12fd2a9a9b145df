//! The sources of credentials that are in force, in order.

use std::sync::Arc;
use std::time::Duration;

use super::explain::{Answer, Testimony};
use super::{Accounts, Chain, DockerConfig, Environment, Given, Keychain, Secret, SpinAuth};
use crate::model::{Name, Registry};

/// Every source that the environment points to.
///
/// The order: what is [`Given`], Spin's file, the file that `REGISTRY_AUTH_FILE` names, what `DOCKER_AUTH_CONFIG` holds,
/// docker's `config.json`, podman's `auth.json`.
#[derive(Clone, Debug)]
pub struct Sources {
    spin: Option<SpinAuth>,
    others: Vec<Other>,
}

/// A source besides Spin's file.
#[derive(Clone, Debug)]
enum Other {
    Config(DockerConfig),
    /// A variable that would name one, and does not.
    Unset(&'static str),
}

impl Sources {
    /// Finds the sources. Opens no file.
    pub fn new(environment: &Environment) -> Self {
        let file = environment.registry_auth_file().map(DockerConfig::at);
        let inline = environment.docker_auth_config().map(|text| DockerConfig::inline(INLINE, Secret::new(text)));
        let mut others =
            vec![file.map_or(Other::Unset(FILE), Other::Config), inline.map_or(Other::Unset(INLINE), Other::Config)];
        let files = environment.docker_config_file().into_iter().chain(environment.podman_auth_files());
        others.extend(files.map(|file| Other::Config(DockerConfig::at(file))));
        Self { spin: environment.spin_auth_file().map(SpinAuth::at), others }
    }

    /// Gives each run of a credential helper this long, instead of 5 s.
    #[must_use]
    pub fn helper_limit(self, limit: Duration) -> Self {
        let limited = |other| match other {
            Other::Config(config) => Other::Config(config.helper_limit(limit)),
            unset @ Other::Unset(_) => unset,
        };
        Self { others: self.others.into_iter().map(limited).collect(), ..self }
    }

    /// Returns Spin's file: the one that `login` and `logout` change. `None` where there is no home directory.
    pub fn spin(&self) -> Option<&SpinAuth> {
        self.spin.as_ref()
    }

    /// Chains the sources, what is given outright first.
    pub fn chain(&self, given: Option<Given>) -> Chain {
        let mut chain: Vec<Arc<dyn Keychain>> = Vec::new();
        chain.extend(given.map(|given| Arc::new(given) as Arc<dyn Keychain>));
        chain.extend(self.spin.clone().map(|spin| Arc::new(spin) as Arc<dyn Keychain>));
        chain.extend(self.configs().cloned().map(|config| Arc::new(config) as Arc<dyn Keychain>));
        Chain::new(chain)
    }

    /// Asks every source, in order, what it has for a repository, or for the whole of a registry: also those after the one
    /// that is used, which is the first that [has credentials](Testimony::has_credentials). Runs the credential helpers
    /// that are configured for it; sends nothing. What is told holds no secret.
    pub async fn explain(&self, given: Option<&Given>, registry: &Registry, name: Option<&Name>) -> Vec<Testimony> {
        let mut told: Vec<_> = given.and_then(|given| given.explain(registry)).into_iter().collect();
        if let Some(spin) = &self.spin {
            told.push(spin.explain(registry, name).await);
        }
        for other in &self.others {
            told.push(match other {
                Other::Config(config) => config.explain(registry, name).await,
                Other::Unset(variable) => {
                    Testimony { source: format!("`{variable}`"), answers: vec![Answer::VariableUnset] }
                }
            });
        }
        told
    }

    /// Lists the accounts that all sources have. Runs the credential helpers that are configured, to ask for their lists and
    /// for no secrets; sends nothing. What is told holds no secret.
    pub async fn accounts(&self) -> Accounts {
        let mut all = Accounts::default();
        if let Some(spin) = &self.spin {
            let (accounts, failures) = spin.accounts().await;
            all.add(accounts);
            all.failures.extend(failures);
        }
        for config in self.configs() {
            let (accounts, failures) = config.accounts().await;
            all.add(accounts);
            all.failures.extend(failures);
        }
        all
    }

    fn configs(&self) -> impl Iterator<Item = &DockerConfig> {
        self.others.iter().filter_map(|other| match other {
            Other::Config(config) => Some(config),
            Other::Unset(_) => None,
        })
    }

    /// Names the sources other than Spin's file that have credentials for the whole of `registry`, or for what is below
    /// `namespace`: what `logout` leaves behind. May run credential helpers. A source that cannot be read is passed over with a warning.
    pub async fn elsewhere(&self, registry: &Registry, namespace: Option<&Name>) -> Vec<String> {
        let mut names = Vec::new();
        for config in self.configs() {
            match config.credential(registry, namespace).await {
                Ok(found) => names.extend(found.map(|found| found.source)),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        names.dedup();
        names
    }
}

const FILE: &str = "REGISTRY_AUTH_FILE";
const INLINE: &str = "DOCKER_AUTH_CONFIG";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_environment_is_anonymous() {
        let sources = Sources::new(&Environment::default());
        let registry = "r.example".parse().expect("a registry");
        assert!(sources.spin().is_none());
        assert_eq!(sources.chain(None).credential(&registry, None).await.expect("no source fails"), None);
        assert!(sources.elsewhere(&registry, None).await.is_empty());
    }

    #[tokio::test]
    async fn the_variable_is_asked_and_named() {
        let text = r#"{"auths":{"r.example":{"auth":"YTpi"}}}"#;
        let environment = Environment::from_lookup(|name| (name == "DOCKER_AUTH_CONFIG").then(|| text.into()));
        let registry = "r.example".parse().expect("a registry");
        assert_eq!(Sources::new(&environment).elsewhere(&registry, None).await, ["`DOCKER_AUTH_CONFIG`"]);
    }
}
