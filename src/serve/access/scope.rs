//! What is asked for: actions on repositories (distribution's token specification, "Token Scope Documentation").

use std::fmt;
use std::ops::{BitAnd, BitOr};

use crate::model::Name;
use crate::serve::route::Route;

/// What may be done with a repository: a set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Actions(u8);

impl Actions {
    /// Reading.
    pub(super) const PULL: Self = Self(1);
    /// Writing.
    pub(super) const PUSH: Self = Self(2);
    /// Deleting.
    pub(super) const DELETE: Self = Self(4);
    /// Everything.
    pub(super) const ALL: Self = Self(7);

    /// Says whether all of `other` is in here.
    pub(super) fn contains(self, other: Self) -> bool {
        self & other == other
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Returns the set as a number, and [`Self::from_bits`] takes it back.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits) & Self::ALL
    }

    /// Reads a word: an action, or `*` for all of them. Nobody is given what we do not know.
    fn named(word: &str) -> Self {
        if word == "*" {
            return Self::ALL;
        }
        NAMES.iter().find(|(_, name)| *name == word).map_or(Self::default(), |(action, _)| *action)
    }
}

impl BitOr for Actions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Actions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Self> for Actions {
    fn from_iter<I: IntoIterator<Item = Self>>(actions: I) -> Self {
        actions.into_iter().fold(Self::default(), BitOr::bitor)
    }
}

/// Prints `pull,push`.
impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.iter().filter(|(action, _)| self.contains(*action));
        for (n, (_, name)) in names.enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Actions on one repository. Prints `repository:NAME:ACTIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) name: Name,
    pub(super) actions: Actions,
}

impl Scope {
    /// Reads a scope; `None` where it is about something else than a repository.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        let actions = actions.split(',').map(Actions::named).collect();
        Some(Self { name: name.parse().ok()?, actions })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository:{}:{}", self.name, self.actions)
    }
}

/// Returns what a request needs; `None` where it is about no repository, and being somebody is enough.
pub(super) fn needed(route: &Route) -> Option<Scope> {
    let (name, actions) = match route {
        Route::Ping => return None,
        Route::Blob { name, .. }
        | Route::Manifest { name, .. }
        | Route::Tags { name, .. }
        | Route::Referrers { name, .. } => (name, Actions::PULL),
        Route::StartUpload { name, .. }
        | Route::PushBlob { name, .. }
        | Route::Mount { name, .. }
        | Route::UploadStatus { name, .. }
        | Route::Append { name, .. }
        | Route::Finish { name, .. }
        | Route::Cancel { name, .. }
        | Route::PutManifest { name, .. } => (name, Actions::PUSH),
        Route::DeleteBlob { name, .. } | Route::DeleteManifest { name, .. } => (name, Actions::DELETE),
    };
    Some(Scope { name: name.clone(), actions })
}

const NAMES: [(Actions, &str); 3] = [(Actions::PULL, "pull"), (Actions::PUSH, "push"), (Actions::DELETE, "delete")];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::route::route;

    #[test]
    fn scopes_are_read_as_far_as_they_are_about_repositories() {
        for (text, printed) in [
            ("repository:team/app:pull", Some("repository:team/app:pull")),
            ("repository:team/app:push,pull", Some("repository:team/app:pull,push")),
            ("repository:a:pull,push,delete", Some("repository:a:pull,push,delete")),
            ("repository:a:*", Some("repository:a:pull,push,delete")),
            ("repository:a:pull,admin", Some("repository:a:pull")),
            ("repository:a:", Some("repository:a:")),
            ("repository:..:pull", None),
            ("repository:a b:pull", None),
            ("repository:a", None),
            ("registry:catalog:*", None),
            ("", None),
        ] {
            assert_eq!(Scope::read(text).map(|scope| scope.to_string()).as_deref(), printed, "{text}");
        }
    }

    #[test]
    fn every_request_has_its_need() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let id = "0123456789abcdef0123456789abcdef";
        for (method, path, expected) in [
            ("GET", "/v2/", None),
            ("HEAD", "/v2/a/manifests/v1", Some("pull")),
            ("GET", "/v2/a/blobs/{D}", Some("pull")),
            ("GET", "/v2/a/tags/list", Some("pull")),
            ("GET", "/v2/a/referrers/{D}", Some("pull")),
            ("POST", "/v2/a/blobs/uploads/", Some("push")),
            ("POST", "/v2/a/blobs/uploads/?digest={D}", Some("push")),
            ("POST", "/v2/a/blobs/uploads/?mount={D}&from=b", Some("push")),
            ("GET", "/v2/a/blobs/uploads/{I}", Some("push")),
            ("PATCH", "/v2/a/blobs/uploads/{I}", Some("push")),
            ("PUT", "/v2/a/blobs/uploads/{I}?digest={D}", Some("push")),
            ("DELETE", "/v2/a/blobs/uploads/{I}", Some("push")),
            ("PUT", "/v2/a/manifests/v1", Some("push")),
            ("DELETE", "/v2/a/manifests/v1", Some("delete")),
            ("DELETE", "/v2/a/blobs/{D}", Some("delete")),
        ] {
            let uri = path.replace("{D}", digest).replace("{I}", id).parse().expect(path);
            let route = route(&method.parse().expect("a method"), &uri).expect(path);
            let need = needed(&route).map(|scope| (scope.name.to_string(), scope.actions.to_string()));
            assert_eq!(need, expected.map(|actions| ("a".to_owned(), actions.to_owned())), "{method} {path}");
        }
    }
}
