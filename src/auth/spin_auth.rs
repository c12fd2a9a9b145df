//! Spin's `registry-auth.json`: the file that `login` writes, so that an installed `spin` sees the login too.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::credential::Lookup;
use super::explain::{Answer, Testimony, Within};
use super::{Credential, Found, Keychain, Secret, basic, document};
use crate::disk::{self, Lock, Mode};
use crate::error::{Error, ParseError};
use crate::model::{Name, Registry};

/// Spin's credential file: `{"auths": {"ghcr.io": "<user:password in Base64>"}}`.
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

    /// Saves a user and a password for `registry`, replacing what is there under any of its names.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where the user has a colon, which the format cannot hold, or the file is corrupt;
    /// [`Error::Io`] where it cannot be read or written. The file is as before then.
    pub async fn login(&self, registry: &Registry, username: &str, secret: &Secret) -> Result<(), Error> {
        if let Some((before, _)) = username.split_once(':') {
            // What stands behind it may be a password.
            return Err(ParseError::new("user", &format!("{before}:…"), "no colon").at(before.len()).into());
        }
        let (registry, entry) = (registry.clone(), basic::encode(username, secret));
        self.change(move |auths| {
            auths.retain(|known, _| !is_key_of(known, &registry));
            auths.insert(key(&registry), Value::String(entry.reveal().to_owned()));
            Change::Write(())
        })
        .await
    }

    /// Removes what is saved for `registry`, under any of its names. Creates nothing where there is nothing.
    ///
    /// # Errors
    ///
    /// As for [`Self::login`].
    pub async fn logout(&self, registry: &Registry) -> Result<Logout, Error> {
        if self.lookup(registry).await.is_ok_and(|found| found.is_none()) {
            return Ok(Logout::Absent);
        }
        let registry = registry.clone();
        self.change(move |auths| {
            let before = auths.len();
            auths.retain(|known, _| !is_key_of(known, &registry));
            if auths.len() == before { Change::Keep(Logout::Absent) } else { Change::Write(Logout::Removed) }
        })
        .await
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

    async fn lookup(&self, registry: &Registry) -> Result<Option<Found>, Error> {
        find(&mut self.load().await?.unwrap_or_default(), &self.path, registry)
    }

    /// Says what it has for a registry, and under which key; see [`super::Sources::explain`].
    pub(crate) async fn explain(&self, registry: &Registry) -> Testimony {
        let answer = match self.load().await {
            Err(error) => Some(Answer::Failed(error)),
            Ok(None) => Some(Answer::FileMissing),
            Ok(Some(mut content)) => match entry(&mut content, &self.path, registry) {
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
    fn credential<'a>(&'a self, registry: &'a Registry, _: Option<&'a Name>) -> Lookup<'a> {
        Box::pin(self.lookup(registry))
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

pub(super) fn find(content: &mut Map<String, Value>, path: &Path, registry: &Registry) -> Result<Option<Found>, Error> {
    let source = format!("`{}`", path.display());
    Ok(entry(content, path, registry)?.map(|(_, credential)| Found { credential, source }))
}

/// Finds the key and the credentials of a registry.
fn entry(
    content: &mut Map<String, Value>,
    path: &Path,
    registry: &Registry,
) -> Result<Option<(String, Credential)>, Error> {
    let auths = auths(content, path)?;
    let own = key(registry);
    let known = auths.get_key_value(&own).or_else(|| auths.iter().find(|(known, _)| is_key_of(known, registry)));
    let Some((known, entry)) = known else { return Ok(None) };
    let credential: Option<Credential> = entry.as_str().and_then(basic::decode);
    let place = path.display().to_string();
    match credential {
        Some(credential) => Ok(Some((known.clone(), credential))),
        None => Err(document::blame_entry(&place, known, "entries that are `user:password` in Base64")),
    }
}

/// Prints as Spin does: indented by two spaces, no newline at the end.
fn print(content: &Map<String, Value>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(format!("{:#}", Value::Object(content.clone())).into_bytes())
}

/// The key that Spin looks for.
fn key(registry: &Registry) -> String {
    if registry.is_docker_hub() { "index.docker.io".to_owned() } else { registry.as_str().to_owned() }
}

/// [`Registry`] folds the names of Docker Hub into one.
fn is_key_of(key: &str, registry: &Registry) -> bool {
    key.parse::<Registry>().is_ok_and(|known| known == *registry)
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
            let found = find(&mut content(text), Path::new("/x"), &registry).expect("a valid file");
            assert_eq!(found.as_ref().map(|found| found.credential.username()), username, "{registry}");
        }
        for text in ["{}", r#"{"auths":null}"#, r#"{"auths":{}}"#, r#"{"other":1}"#] {
            let registry = "ghcr.io".parse().expect("a registry");
            assert_eq!(find(&mut content(text), Path::new("/x"), &registry).expect(text), None);
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
            let error = find(&mut content(text), Path::new("/x"), &registry).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn what_is_not_ours_is_printed_again() {
        let text = "{\n  \"auths\": {\n    \"ghcr.io\": \"YTpi\",\n    \"odd\": {\n      \"x\": 1\n    }\n  },\n  \"other\": [\n    true\n  ]\n}";
        assert_eq!(print(&content(text)).as_slice(), text.as_bytes());
    }
}
