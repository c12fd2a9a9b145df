//! Docker's `config.json`, `DOCKER_AUTH_CONFIG` and podman's `auth.json`: one format, read only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::account::{is_below, place as place_of};
use super::credential::Lookup;
use super::explain::{Answer, Testimony, Within};
use super::helper::Helper;
use super::{Account, Credential, Found, Keychain, Kind, Secret, Standing, basic, document};
use crate::error::Error;
use crate::model::{Name, Registry};

/// Credentials in docker's format: in a file, or in a variable.
///
/// The order inside is `credHelpers` for this very registry, then `auths`, then `credsStore`. Docker Hub is found under
/// each of its names. A key such as `ghcr.io/ada` (podman) is good for the repositories below it; the longest one wins.
///
/// A lookup reads the file again each time. A missing file has no credentials. A helper that is missing or fails is passed
/// over for what comes after it, and is the error of the lookup where nothing does.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    content: Content,
    helper_limit: Duration,
}

#[derive(Clone, Debug)]
enum Content {
    File(PathBuf),
    Inline { name: &'static str, text: Secret },
}

impl DockerConfig {
    /// Reads the file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { content: Content::File(path.into()), helper_limit: Helper::LIMIT }
    }

    /// Reads the value of the variable `name`, which is `text`.
    pub fn inline(name: &'static str, text: Secret) -> Self {
        Self { content: Content::Inline { name, text }, helper_limit: Helper::LIMIT }
    }

    /// Gives each run of a credential helper this long, instead of 5 s: then it is killed, with whatever it has started.
    #[must_use]
    pub fn helper_limit(self, limit: Duration) -> Self {
        Self { helper_limit: limit, ..self }
    }

    /// Returns the name of the source, for people.
    fn place(&self) -> String {
        match &self.content {
            Content::File(path) => path.display().to_string(),
            Content::Inline { name, .. } => (*name).to_owned(),
        }
    }

    async fn load(&self) -> Result<Option<Document>, Error> {
        match &self.content {
            Content::Inline { name, text } => document::parse(text.reveal().as_bytes(), name).map(Some),
            Content::File(path) => {
                let (owned, place) = (path.clone(), self.place());
                let task = tokio::task::spawn_blocking(move || {
                    document::read(&owned)?.map(|bytes| document::parse(&bytes, &place)).transpose()
                });
                task.await.unwrap_or_else(|error| Err(Error::io("read", path, std::io::Error::other(error))))
            }
        }
    }

    async fn lookup(&self, registry: &Registry, name: Option<&Name>) -> Result<Option<Found>, Error> {
        let place = self.place();
        let mut failed = None;
        for step in self.load().await?.unwrap_or_default().steps(registry, name) {
            match self.take(step, &place).await? {
                Taken::Found(credential, within) => {
                    let source = match &within {
                        Within::Helper { program, .. } => quoted(program),
                        Within::Key(_) => quoted(&place),
                    };
                    return Ok(Some(Found { credential, source }));
                }
                Taken::Otherwise(Answer::Helper(failure)) => failed = failed.or(Some(failure)),
                Taken::Otherwise(_) => {}
            }
        }
        failed.map_or(Ok(None), |failure| Err(Box::new(failure).into()))
    }

    /// Says what it has for a repository, and where; see [`super::Sources::explain`].
    pub(crate) async fn explain(&self, registry: &Registry, name: Option<&Name>) -> Testimony {
        let place = self.place();
        let source = if matches!(self.content, Content::Inline { .. }) { quoted(&place) } else { place.clone() };
        let mut answers = Vec::new();
        match self.load().await {
            Err(error) => answers.push(Answer::Failed(error)),
            Ok(None) => answers.push(Answer::FileMissing),
            Ok(Some(document)) => {
                for step in document.steps(registry, name) {
                    match self.take(step, &place).await {
                        Ok(Taken::Found(credential, within)) => {
                            answers.push(Answer::of(&credential, Some(within)));
                            break;
                        }
                        Ok(Taken::Otherwise(answer)) => answers.push(answer),
                        Err(error) => {
                            answers.push(Answer::Failed(error));
                            break;
                        }
                    }
                }
            }
        }
        Testimony { source, answers }
    }

    /// Lists what it has, in the order of asking. Helpers are asked for their lists, and for no secrets; what they do not list
    /// has no user.
    pub(crate) async fn accounts(&self) -> (Vec<Account>, Vec<(String, Error)>) {
        let place = self.place();
        let source = if matches!(self.content, Content::Inline { .. }) { quoted(&place) } else { place.clone() };
        let (mut accounts, mut failures) = (Vec::new(), Vec::new());
        let document = match self.load().await {
            Ok(document) => document.unwrap_or_default(),
            Err(error) => {
                failures.push((source, error));
                return (accounts, failures);
            }
        };
        let account = |key: String, username: Option<String>, kind, helper| Account {
            key,
            username: username.filter(|username| !username.is_empty()),
            kind,
            source: source.clone(),
            helper,
            standing: Standing::Used,
        };
        let mut lists = BTreeMap::new();
        for (server, name) in document.cred_helpers.unwrap_or_default() {
            let Some(helper) = Helper::named(&name, self.helper_limit) else {
                let expected = "helpers without a path in their name";
                failures.push((source.clone(), document::blame_entry(&place, &name, expected)));
                continue;
            };
            if !lists.contains_key(&name) {
                // Many cannot list, and nobody has asked for more than their names.
                lists.insert(name.clone(), helper.list().await.unwrap_or_default());
            }
            let users = &lists[&name];
            let registry = place_of(&server).map(|(registry, _)| registry);
            let user = users.get(&server).or_else(|| {
                let same = |key: &String| place_of(key).map(|(registry, _)| registry) == registry;
                users.iter().find(|(key, _)| registry.is_some() && same(key)).map(|(_, user)| user)
            });
            accounts.push(account(server, user.cloned(), None, Some(helper.program().to_owned())));
        }
        for (key, entry) in document.auths.unwrap_or_default() {
            match entry.unwrap_or_default().credential(&place, &key) {
                Ok(None) => {}
                Ok(Some(credential)) => {
                    let kind = Some(Kind::of(&credential));
                    accounts.push(account(key, Some(credential.username().to_owned()), kind, None));
                }
                Err(error) => failures.push((source.clone(), error)),
            }
        }
        if let Some(store) = document.creds_store.filter(|store| !store.is_empty()) {
            match Helper::named(&store, self.helper_limit) {
                None => {
                    let expected = "helpers without a path in their name";
                    failures.push((source.clone(), document::blame_entry(&place, &store, expected)));
                }
                Some(helper) => match helper.list().await {
                    Ok(list) => accounts.extend(list.into_iter().map(|(key, user)| {
                        account(
                            key,
                            Some(user).filter(|user| user != "<token>"),
                            None,
                            Some(helper.program().to_owned()),
                        )
                    })),
                    Err(failure) => failures.push((source.clone(), Box::new(failure).into())),
                },
            }
        }
        (accounts, failures)
    }

    /// Takes one step; a helper is run here.
    async fn take(&self, step: Step, place: &str) -> Result<Taken, Error> {
        match step {
            Step::Entry(key, entry) => Ok(match entry.credential(place, &key)? {
                Some(credential) => Taken::Found(credential, Within::Key(key)),
                None => Taken::Otherwise(Answer::Empty(Within::Key(key))),
            }),
            Step::Helper(helper, servers) => {
                let Some(helper) = Helper::named(&helper, self.helper_limit) else {
                    return Err(document::blame_entry(place, &helper, "helpers without a path in their name"));
                };
                let program = helper.program().to_owned();
                Ok(match helper.first(&servers).await {
                    Ok(Some((server, credential))) => {
                        Taken::Found(credential, Within::Helper { program, server: server.to_owned() })
                    }
                    Ok(None) => Taken::Otherwise(Answer::NotFound { program, servers }),
                    Err(failure) => Taken::Otherwise(Answer::Helper(failure)),
                })
            }
        }
    }
}

/// What came of a step.
enum Taken {
    Found(Credential, Within),
    /// No credentials, for this reason.
    Otherwise(Answer),
}

impl Keychain for DockerConfig {
    fn credential<'a>(&'a self, registry: &'a Registry, name: Option<&'a Name>) -> Lookup<'a> {
        Box::pin(self.lookup(registry, name))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// One thing to try, in order.
pub(super) enum Step {
    Entry(String, Entry),
    /// A helper, and the names under which it may know the registry.
    Helper(String, Vec<String>),
}

impl Document {
    /// Lists what to try for a registry.
    pub(super) fn steps(self, registry: &Registry, name: Option<&Name>) -> Vec<Step> {
        let servers = servers(registry);
        let helpers = self.cred_helpers.unwrap_or_default();
        let own = servers.iter().find_map(|server| helpers.get(server));
        let own = own.map(|helper| Step::Helper(helper.clone(), servers.clone()));

        let entries = self.auths.unwrap_or_default().into_iter();
        let matching = entries.filter_map(|(key, entry)| Some((rank(&key, registry, name)?, key, entry?)));
        let mut matching: Vec<_> = matching.collect();
        matching.sort_by(|(left, ..), (right, ..)| right.cmp(left));
        let entries = matching.into_iter().map(|(_, key, entry)| Step::Entry(key, entry));

        let store = self.creds_store.filter(|store| !store.is_empty());
        own.into_iter().chain(entries).chain(store.map(|store| Step::Helper(store, servers))).collect()
    }
}

impl Entry {
    /// Returns what the entry holds; docker leaves an empty one where a helper has the credentials.
    pub(super) fn credential(self, place: &str, key: &str) -> Result<Option<Credential>, Error> {
        let filled = |secret: Option<Secret>| secret.filter(|secret| !secret.is_empty());
        if let Some(token) = filled(self.registrytoken) {
            return Ok(Some(Credential::Bearer { token }));
        }
        if let Some(token) = filled(self.identitytoken) {
            return Ok(Some(Credential::Identity { token }));
        }
        if let Some(auth) = filled(self.auth) {
            let decoded = basic::decode(auth.reveal());
            return decoded
                .map(Some)
                .ok_or_else(|| document::blame_entry(place, key, "an `auth` that is `user:password` in Base64"));
        }
        let username = self.username.filter(|username| !username.is_empty());
        Ok(username.zip(self.password).map(|(username, secret)| Credential::Password { username, secret }))
    }
}

/// Says whether and how well a key of `auths` fits: the longest namespace first, then the registry's own spelling.
pub(super) fn rank(key: &str, registry: &Registry, name: Option<&Name>) -> Option<(usize, bool)> {
    let (known, namespace) = place_of(key)?;
    if known != *registry {
        return None;
    }
    if namespace.is_empty() {
        return Some((0, key == registry.as_str()));
    }
    is_below(name?.as_str(), namespace).then_some((namespace.len(), true))
}

/// The names under which helpers may know a registry.
fn servers(registry: &Registry) -> Vec<String> {
    if registry.is_docker_hub() {
        // The first is what docker stores; Spin and others ask for the rest.
        ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
            .map(str::to_owned)
            .into()
    } else {
        vec![registry.as_str().to_owned()]
    }
}

fn quoted(place: &str) -> String {
    format!("`{place}`")
}

#[cfg(test)]
mod tests;
