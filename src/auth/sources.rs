//! The sources of credentials that are in force, in order.

use std::sync::Arc;

use super::{Chain, DockerConfig, Environment, Given, Keychain, Secret, SpinAuth};
use crate::model::Registry;

/// Every source that the environment points to.
///
/// The order: what is [`Given`], Spin's file, the file that `REGISTRY_AUTH_FILE` names, what `DOCKER_AUTH_CONFIG` holds,
/// docker's `config.json`, podman's `auth.json`.
#[derive(Clone, Debug)]
pub struct Sources {
    spin: Option<SpinAuth>,
    others: Vec<DockerConfig>,
}

impl Sources {
    /// Finds the sources. Opens no file.
    pub fn new(environment: &Environment) -> Self {
        let inline = environment.docker_auth_config();
        let inline = inline.map(|text| DockerConfig::inline("DOCKER_AUTH_CONFIG", Secret::new(text)));
        let mut others: Vec<_> = environment.registry_auth_file().map(DockerConfig::at).into_iter().collect();
        others.extend(inline);
        others.extend(environment.docker_config_file().map(DockerConfig::at));
        others.extend(environment.podman_auth_files().into_iter().map(DockerConfig::at));
        Self { spin: environment.spin_auth_file().map(SpinAuth::at), others }
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
        chain.extend(self.others.iter().cloned().map(|other| Arc::new(other) as Arc<dyn Keychain>));
        Chain::new(chain)
    }

    /// Names the sources other than Spin's file that have credentials for the whole of `registry`: what `logout`
    /// leaves behind. May run credential helpers. A source that cannot be read is passed over with a warning.
    pub async fn elsewhere(&self, registry: &Registry) -> Vec<String> {
        let mut names = Vec::new();
        for other in &self.others {
            match other.credential(registry, None).await {
                Ok(found) => names.extend(found.map(|found| found.source)),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_environment_is_anonymous() {
        let sources = Sources::new(&Environment::default());
        let registry = "r.example".parse().expect("a registry");
        assert!(sources.spin().is_none());
        assert_eq!(sources.chain(None).credential(&registry, None).await.expect("no source fails"), None);
        assert!(sources.elsewhere(&registry).await.is_empty());
    }

    #[tokio::test]
    async fn the_variable_is_asked_and_named() {
        let text = r#"{"auths":{"r.example":{"auth":"YTpi"}}}"#;
        let environment = Environment::from_lookup(|name| (name == "DOCKER_AUTH_CONFIG").then(|| text.into()));
        let registry = "r.example".parse().expect("a registry");
        assert_eq!(Sources::new(&environment).elsewhere(&registry).await, ["`DOCKER_AUTH_CONFIG`"]);
    }
}
