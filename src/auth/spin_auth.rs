//! Spin's `registry-auth.json`: the file that `login` writes, so that an installed `spin` sees the login too.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::account::{is_below, place};
use super::credential::Lookup;
use super::docker_config::rank;
use super::explain::{Answer, Testimony, Within};
use super::{Account, Credential, Found, Keychain, Kind, Secret, Standing, basic, document};
use crate::disk::{self, Lock, Mode};
use crate::error::{Error, ParseError};
use crate::model::{Name, Registry};

/// Spin's credential file: `{"auths": {"ghcr.io": "<user:password in Base64>"}}`.
///
/// A key may name a namespace of a registry as well: `ghcr.io/team` is good for the repositories below it, and the longest one
/// wins. Spin passes over these.
///
/// Reading a missing file finds nothing. Writing changes one entry and keeps everything else, replaces the file
/// atomically with mode 0600, and excludes other writers by a lock file beside it. A file that cannot be read or
/// understood is an error and is left as it is.
#[derive(Clone, Debug)]
pub struct SpinAuth {
    path: PathBuf,
}

/// What became of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logout {
    /// It was there and is gone.
    Removed,
    /// There was none.
    Absent,
}

impl SpinAuth {
    /// Uses the file at `path`, which need not exist. Where Spin has it: [`super::Environment::spin_auth_file`].
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Saves a user and a password for `registry`, or for what is below a namespace of it, replacing what is there for the same
    /// under any of its names.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where the user has a colon, which the format cannot hold, or the file is corrupt;
    /// [`Error::Io`] where it cannot be read or written. The file is as before then.
    pub async fn login(
        &self,
        registry: &Registry,
        namespace: Option<&Name>,
        username: &str,
        secret: &Secret,
    ) -> Result<(), Error> {
        if let Some((before, _)) = username.split_once(':') {
            // What stands behind it may be a password.
            return Err(ParseError::new("user", &format!("{before}:…"), "no colon").at(before.len()).into());
        }
        let (site, entry) = (Site::of(registry, namespace), basic::encode(username, secret));
        self.change(move |auths| {
            auths.retain(|known, _| !site.is_called(known));
            auths.insert(site.key(), Value::String(entry.reveal().to_owned()));
            Change::Write(())
        })
        .await
    }

    /// Removes what is saved for `registry`, or for this namespace of it, under any of its names; what is saved for others of
    /// its namespaces stays. Creates nothing where there is nothing.
    ///
    /// # Errors
    ///
    /// As for [`Self::login`].
    pub async fn logout(&self, registry: &Registry, namespace: Option<&Name>) -> Result<Logout, Error> {
        let site = Site::of(registry, namespace);
        // Nothing is made, and no lock taken, where there is nothing to remove.
        if self.keys().await.is_ok_and(|keys| !keys.iter().any(|known| site.is_called(known))) {
            return Ok(Logout::Absent);
        }
        self.change(move |auths| {
            let before = auths.len();
            auths.retain(|known, _| !site.is_called(known));
            if auths.len() == before { Change::Keep(Logout::Absent) } else { Change::Write(Logout::Removed) }
        })
        .await
    }

    /// Lists the keys of what is saved for namespaces of `registry`, below `namespace` where one is named.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Parse`] where the file cannot be read or understood.
    pub async fn narrower(&self, registry: &Registry, namespace: Option<&Name>) -> Result<Vec<String>, Error> {
        let wider = namespace.map_or("", Name::as_str);
        let is_narrower = |key: &String| {
            place(key).is_some_and(|(known, path)| known == *registry && path != wider && is_below(path, wider))
        };
        Ok(self.keys().await?.into_iter().filter(is_narrower).collect())
    }

    async fn keys(&self) -> Result<Vec<String>, Error> {
        let mut content = self.load().await?.unwrap_or_default();
        Ok(auths(&mut content, &self.path)?.keys().cloned().collect())
    }

    /// Lists what is saved.
    pub(crate) async fn accounts(&self) -> (Vec<Account>, Vec<(String, Error)>) {
        let source = self.path.display().to_string();
        let (mut accounts, mut failures) = (Vec::new(), Vec::new());
        let mut content = match self.load().await {
            Ok(content) => content.unwrap_or_default(),
            Err(error) => return (accounts, vec![(source, error)]),
        };
        match auths(&mut content, &self.path) {
            Err(error) => failures.push((source, error)),
            Ok(auths) => {
                for (key, entry) in auths.iter() {
                    match decode(key, entry, &self.path) {
                        Err(error) => failures.push((source.clone(), error)),
                        Ok(credential) => accounts.push(Account {
                            key: key.clone(),
                            username: Some(credential.username().to_owned()),
                            kind: Some(Kind::of(&credential)),
                            source: source.clone(),
                            helper: None,
                            standing: Standing::Used,
                        }),
                    }
                }
            }
        }
        (accounts, failures)
    }

    async fn change<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Map<String, Value>) -> Change<T> + Send + 'static,
    ) -> Result<T, Error> {
        let path = self.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            // Whoever keeps the file elsewhere and links to it wants the file changed, not the link replaced.
            let path = path.canonicalize().unwrap_or(path);
            if let Some(directory) = path.parent() {
                disk::create_dirs(directory)?;
            }
            let _lock = Lock::exclusive(&path.with_added_extension("lock"))?;
            let mut content = load(&path)?.unwrap_or_default();
            match edit(auths(&mut content, &path)?) {
                Change::Keep(outcome) => Ok(outcome),
                Change::Write(outcome) => disk::replace(&path, &print(&content), Mode::Private).map(|()| outcome),
            }
        });
        task.await.unwrap_or_else(|error| Err(Error::io("write", &self.path, io::Error::other(error))))
    }

    async fn lookup(&self, registry: &Registry, name: Option<&Name>) -> Result<Option<Found>, Error> {
        find(&mut self.load().await?.unwrap_or_default(), &self.path, registry, name)
    }

    /// Says what it has for a repository, and under which key; see [`super::Sources::explain`].
    pub(crate) async fn explain(&self, registry: &Registry, name: Option<&Name>) -> Testimony {
        let answer = match self.load().await {
            Err(error) => Some(Answer::Failed(error)),
            Ok(None) => Some(Answer::FileMissing),
            Ok(Some(mut content)) => match entry(&mut content, &self.path, registry, name) {
                Err(error) => Some(Answer::Failed(error)),
                Ok(found) => found.map(|(key, credential)| Answer::of(&credential, Some(Within::Key(key)))),
            },
        };
        Testimony { source: self.path.display().to_string(), answers: answer.into_iter().collect() }
    }

    async fn load(&self) -> Result<Option<Map<String, Value>>, Error> {
        let path = self.path.clone();
        let task = tokio::task::spawn_blocking(move || load(&path));
        task.await.unwrap_or_else(|error| Err(Error::io("read", &self.path, io::Error::other(error))))
    }
}

impl Keychain for SpinAuth {
    fn credential<'a>(&'a self, registry: &'a Registry, name: Option<&'a Name>) -> Lookup<'a> {
        Box::pin(self.lookup(registry, name))
    }
}

enum Change<T> {
    Keep(T),
    Write(T),
}

fn load(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    document::read(path)?.map(|bytes| document::parse(&bytes, &path.display().to_string())).transpose()
}

fn auths<'a>(content: &'a mut Map<String, Value>, path: &Path) -> Result<&'a mut Map<String, Value>, Error> {
    let auths = content.entry("auths").or_insert(Value::Null);
    if auths.is_null() {
        *auths = Value::Object(Map::new());
    }
    auths.as_object_mut().ok_or_else(|| document::blame_entry(&path.display().to_string(), "auths", "an object"))
}

pub(super) fn find(
    content: &mut Map<String, Value>,
    path: &Path,
    registry: &Registry,
    name: Option<&Name>,
) -> Result<Option<Found>, Error> {
    let source = format!("`{}`", path.display());
    Ok(entry(content, path, registry, name)?.map(|(_, credential)| Found { credential, source }))
}

/// Finds the key and the credentials of a repository: the longest namespace first, then the key that Spin has.
fn entry(
    content: &mut Map<String, Value>,
    path: &Path,
    registry: &Registry,
    name: Option<&Name>,
) -> Result<Option<(String, Credential)>, Error> {
    let own = key(registry);
    let fitting = auths(content, path)?.iter().filter_map(|(known, entry)| {
        // A URL is nobody's key here.
        let (length, _) = rank(known, registry, name).filter(|_| !known.contains("://"))?;
        Some(((length, *known == own), known, entry))
    });
    let Some((_, known, entry)) = fitting.max_by_key(|(rank, ..)| *rank) else { return Ok(None) };
    Ok(Some((known.clone(), decode(known, entry, path)?)))
}

fn decode(key: &str, entry: &Value, path: &Path) -> Result<Credential, Error> {
    let expected = "entries that are `user:password` in Base64";
    let decoded = entry.as_str().and_then(basic::decode);
    decoded.ok_or_else(|| document::blame_entry(&path.display().to_string(), key, expected))
}

/// Prints as Spin does: indented by two spaces, no newline at the end.
fn print(content: &Map<String, Value>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(format!("{:#}", Value::Object(content.clone())).into_bytes())
}

/// The key that Spin looks for.
fn key(registry: &Registry) -> String {
    if registry.is_docker_hub() { "index.docker.io".to_owned() } else { registry.as_str().to_owned() }
}

/// What credentials are good for.
struct Site {
    registry: Registry,
    namespace: Option<Name>,
}

impl Site {
    fn of(registry: &Registry, namespace: Option<&Name>) -> Self {
        Self { registry: registry.clone(), namespace: namespace.cloned() }
    }

    fn key(&self) -> String {
        let host = key(&self.registry);
        self.namespace.as_ref().map_or(host.clone(), |namespace| format!("{host}/{namespace}"))
    }

    /// [`Registry`] folds the names of Docker Hub into one.
    fn is_called(&self, key: &str) -> bool {
        let namespace = self.namespace.as_ref().map_or("", Name::as_str);
        !key.contains("://") && place(key).is_some_and(|(known, path)| known == self.registry && path == namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Map<String, Value> {
        document::parse(text.as_bytes(), "test").expect(text)
    }

    #[test]
    fn entries_are_found_under_every_name_of_a_registry() {
        let text = r#"{"auths":{"ghcr.io":"YTpi","r.example:5000":"YzpkOmU","index.docker.io":"aDpi"}}"#;
        for (registry, username) in [
            ("ghcr.io", Some("a")),
            ("r.example:5000", Some("c")),
            ("r.example", None),
            ("docker.io", Some("h")),
            ("registry-1.docker.io", Some("h")),
        ] {
            let registry = registry.parse().expect("a registry");
            let found = find(&mut content(text), Path::new("/x"), &registry, None).expect("a valid file");
            assert_eq!(found.as_ref().map(|found| found.credential.username()), username, "{registry}");
        }
        for text in ["{}", r#"{"auths":null}"#, r#"{"auths":{}}"#, r#"{"other":1}"#] {
            let registry = "ghcr.io".parse().expect("a registry");
            assert_eq!(find(&mut content(text), Path::new("/x"), &registry, None).expect(text), None);
        }
    }

    #[test]
    fn the_longest_namespace_wins() {
        let text = r#"{"auths":{"ghcr.io":"YTpi","ghcr.io/team":"dDpi","ghcr.io/team/app":"cDpi","docker.io/me":"bTpi","x/y":1}}"#;
        for (registry, name, username) in [
            ("ghcr.io", None, Some("a")),
            ("ghcr.io", Some("other/app"), Some("a")),
            ("ghcr.io", Some("teams/app"), Some("a")),
            ("ghcr.io", Some("team"), Some("t")),
            ("ghcr.io", Some("team/other"), Some("t")),
            ("ghcr.io", Some("team/app/deep"), Some("p")),
            ("docker.io", None, None),
            ("docker.io", Some("me/app"), Some("m")),
        ] {
            let (registry, name): (_, Option<Name>) =
                (registry.parse().expect("a registry"), name.map(|name| name.parse().expect("a name")));
            let found = find(&mut content(text), Path::new("/x"), &registry, name.as_ref()).expect("a valid file");
            assert_eq!(found.as_ref().map(|found| found.credential.username()), username, "{registry} {name:?}");
        }
    }

    #[test]
    fn corrupt_entries_are_errors_that_do_not_show_them() {
        for (text, message) in [
            (r#"{"auths":["hunter2"]}"#, "credential file `/x` expects an object: entry `auths`"),
            (
                r#"{"auths":{"ghcr.io":"hunter2"}}"#,
                "credential file `/x` expects entries that are `user:password` in Base64: entry `ghcr.io`",
            ),
            (
                r#"{"auths":{"ghcr.io":{"auth":"YTpi"}}}"#,
                "credential file `/x` expects entries that are `user:password` in Base64: entry `ghcr.io`",
            ),
        ] {
            let registry = "ghcr.io".parse().expect("a registry");
            let error = find(&mut content(text), Path::new("/x"), &registry, None).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn what_is_not_ours_is_printed_again() {
        let text = "{\n  \"auths\": {\n    \"ghcr.io\": \"YTpi\",\n    \"odd\": {\n      \"x\": 1\n    }\n  },\n  \"other\": [\n    true\n  ]\n}";
        assert_eq!(print(&content(text)).as_slice(), text.as_bytes());
    }
}
