//! Scopes: what a token is to be good for (distribution's token specification, "Requesting a token").

use std::fmt;
use std::ops::BitOr;

use crate::model::Name;

/// What may be done with a repository: a set of actions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Actions(u8);

impl Actions {
    /// Reading.
    pub const PULL: Self = Self(1);
    /// Writing.
    pub const PUSH: Self = Self(2);
    /// Deleting.
    pub const DELETE: Self = Self(4);

    /// Says whether all of `other` is in here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Actions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ACTIONS.iter().filter(|(action, _)| self.contains(*action));
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

/// One thing that a token is to be good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// `repository:NAME:ACTIONS`.
    Repository {
        /// The repository.
        name: Name,
        /// What is to be done with it.
        actions: Actions,
    },
    /// `registry:catalog:*`: listing the repositories.
    Catalog,
    /// What a registry asks for in its own words, such as `aws` or an action that we do not know.
    Other(String),
}

impl Scope {
    /// Makes the scope of `actions` on one repository.
    pub fn repository(name: &Name, actions: Actions) -> Self {
        Self::Repository { name: name.clone(), actions }
    }

    /// Reads one scope out of a challenge; what is not understood is kept as it is.
    fn read(text: &str) -> Self {
        if text == CATALOG {
            return Self::Catalog;
        }
        let repository = || {
            let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
            let actions = actions.split(',').map(action).reduce(|left, right| Some(left? | right?))??;
            Some(Self::Repository { name: name.parse().ok()?, actions })
        };
        repository().unwrap_or_else(|| Self::Other(text.to_owned()))
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Repository { name, actions }, Self::Repository { name: wanted, actions: needed }) => {
                name == wanted && actions.contains(*needed)
            }
            (mine, other) => mine == other,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { name, actions } => write!(f, "repository:{name}:{actions}"),
            Self::Catalog => f.write_str(CATALOG),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// All that a token is to be good for; empty where there is nothing to name.
///
/// The order is kept, because some token services honour only the first scope: put what matters most
/// first. Repositories are merged: each is named once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Names nothing, as for `GET /v2/`.
    pub fn none() -> Self {
        Self::default()
    }

    /// Names `actions` on one repository.
    pub fn repository(name: &Name, actions: Actions) -> Self {
        Self(vec![Scope::repository(name, actions)])
    }

    /// Adds a scope: to the actions of its repository where that is named already, else at the end.
    #[must_use]
    pub fn with(mut self, scope: Scope) -> Self {
        if self.0.iter().any(|known| known.covers(&scope)) {
            return self;
        }
        if let Scope::Repository { name, actions } = &scope {
            for known in &mut self.0 {
                if let Scope::Repository { name: same, actions: both } = known
                    && same == name
                {
                    *both = *both | *actions;
                    return self;
                }
            }
        }
        self.0.push(scope);
        self
    }

    /// Adds all of `other`, behind what is here.
    #[must_use]
    pub fn merge(self, other: &Self) -> Self {
        other.0.iter().cloned().fold(self, Self::with)
    }

    /// Says whether whoever has these scopes has those of `other`.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|wanted| self.0.iter().any(|scope| scope.covers(wanted)))
    }

    /// Says whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether nothing is to be changed.
    pub(crate) fn is_reading(&self) -> bool {
        self.0.iter().all(|scope| match scope {
            Scope::Repository { actions, .. } => *actions == Actions::PULL,
            Scope::Catalog => true,
            Scope::Other(_) => false,
        })
    }

    /// Yields the scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Returns the repository that is named first: the one whose credentials count.
    pub fn first_name(&self) -> Option<&Name> {
        self.0.iter().find_map(|scope| match scope {
            Scope::Repository { name, .. } => Some(name),
            _ => None,
        })
    }

    /// Reads the `scope` parameter of a challenge, as far as it is bounded and printable.
    pub(crate) fn read(text: &str) -> Self {
        let words = text.split_ascii_whitespace().filter(|word| word.len() <= MAX_SCOPE && word.is_ascii());
        words.take(MAX_SCOPES).map(Scope::read).fold(Self::none(), Self::with)
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self(vec![scope])
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::none(), Self::with)
    }
}

impl fmt::Display for Scopes {
    /// Prints them as OAuth 2 does: separated by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, scope) in self.0.iter().enumerate() {
            write!(f, "{}{scope}", if n == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

fn action(name: &str) -> Option<Actions> {
    ACTIONS.iter().find(|(_, known)| *known == name).map(|(action, _)| *action)
}

const ACTIONS: [(Actions, &str); 3] = [(Actions::PULL, "pull"), (Actions::PUSH, "push"), (Actions::DELETE, "delete")];
const CATALOG: &str = "registry:catalog:*";
/// Bytes of one scope that a registry may ask for: a name, its type and its actions.
const MAX_SCOPE: usize = Name::MAX + 128;
/// Scopes that a registry may ask for at once; a mount needs two.
const MAX_SCOPES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_the_order_and_names_each_repository_once() {
        for (left, right, merged) in [
            ("", "", ""),
            ("repository:a:pull", "", "repository:a:pull"),
            ("", "aws", "aws"),
            ("repository:b:push", "repository:b:pull,push", "repository:b:pull,push"),
            ("repository:b:push", "repository:a:pull", "repository:b:push repository:a:pull"),
            ("repository:b:pull", "repository:a:pull repository:b:push", "repository:b:pull,push repository:a:pull"),
            ("repository:a:pull", "repository:a:*", "repository:a:pull repository:a:*"),
            ("repository:a:pull", "registry:catalog:*", "repository:a:pull registry:catalog:*"),
            ("repository:a:pull", "repository:a:metadata_read", "repository:a:pull repository:a:metadata_read"),
        ] {
            assert_eq!(Scopes::read(left).merge(&Scopes::read(right)).to_string(), merged);
        }
    }

    #[test]
    fn coverage_looks_at_actions_and_not_at_order() {
        for (mine, wanted, covers) in [
            ("repository:a:pull,push", "repository:a:pull", true),
            ("repository:a:pull", "repository:a:push,pull", false),
            ("repository:a:pull", "repository:b:pull", false),
            ("repository:a:pull repository:b:pull", "repository:b:pull repository:a:pull", true),
            ("aws", "", true),
            ("", "aws", false),
        ] {
            assert_eq!(Scopes::read(mine).covers(&Scopes::read(wanted)), covers, "{mine} / {wanted}");
        }
    }

    #[test]
    fn pulling_alone_is_reading() {
        for (scopes, reading) in [
            ("", true),
            ("repository:a:pull", true),
            ("repository:a:pull registry:catalog:*", true),
            ("repository:a:pull,push", false),
            ("repository:a:pull repository:b:delete", false),
            ("aws", false),
        ] {
            assert_eq!(Scopes::read(scopes).is_reading(), reading, "{scopes}");
        }
    }

    #[test]
    fn what_a_registry_asks_for_is_bounded() {
        let flood: String = (0..10_000).map(|n| format!("repository:a{n}:pull ")).collect();
        assert_eq!(Scopes::read(&flood).iter().count(), MAX_SCOPES);
        assert!(Scopes::read(&"x".repeat(1 << 20)).is_empty());
    }
}
