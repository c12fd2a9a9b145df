//! Which accounts are known, without their secrets: for people who wonder.

use crate::error::Error;
use crate::model::Registry;

use super::Kind;

/// An account that a source of credentials has. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// What the source calls the registry, or the part of it: a host, a URL, or a host and a namespace.
    pub key: String,
    /// The user; `None` where it is a token, or where a helper knows and does not say.
    pub username: Option<String>,
    /// What kind of credentials they are; `None` where a helper has them, and was not asked.
    pub kind: Option<Kind>,
    /// The source, for people: a path, or the name of a variable in backticks.
    pub source: String,
    /// The program that has them, where that is a helper.
    pub helper: Option<String>,
    /// Whether another one always goes before it.
    pub standing: Standing,
}

/// Whether credentials are ever used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are, for some repository at least.
    Used,
    /// Others that are asked for first have something for everything that these are for.
    Shadowed,
}

/// All accounts that the sources have, in the order in which they are asked, and the sources that cannot be read.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Accounts {
    /// The accounts.
    pub accounts: Vec<Account>,
    /// What went wrong, with the name of the source.
    pub failures: Vec<(String, Error)>,
}

/// What a key stands for: a registry, and the namespace below which it is good; empty for all of it. `None` where no registry
/// has such a name.
///
/// Docker's URLs are of the API (`https://index.docker.io/v1/`) and mean the host; what follows a host without a scheme is a
/// namespace, as for podman, even where it is called `v1`.
pub(super) fn place(key: &str) -> Option<(Registry, &str)> {
    let (bare, is_uri) = match key.split_once("://") {
        Some((_, bare)) => (bare, true),
        None => (key, false),
    };
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = if is_uri { "" } else { path.trim_end_matches('/') };
    Some((host.parse().ok()?, path))
}

/// Says whether something below `namespace` is meant by `name`; everything is below none.
pub(super) fn is_below(name: &str, namespace: &str) -> bool {
    namespace.is_empty() || name.strip_prefix(namespace).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

impl Accounts {
    /// Adds the accounts of one source, which is asked after those before, and finds out which of them are used.
    pub(super) fn add(&mut self, found: Vec<Account>) {
        let earlier = self.accounts.len();
        for mut account in found {
            let shadowed = place(&account.key).is_some_and(|(registry, namespace)| {
                self.accounts.iter().enumerate().any(|(n, other)| {
                    place(&other.key).is_some_and(|(theirs, wider)| {
                        // Within a source the longest key wins, and of two equal ones the first; helpers are for all of a
                        // registry.
                        let covers = n < earlier || wider == namespace || (other.helper.is_some() && wider.is_empty());
                        theirs == registry && covers && is_below(namespace, wider)
                    })
                })
            });
            account.standing = if shadowed { Standing::Shadowed } else { Standing::Used };
            self.accounts.push(account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(key: &str, helper: Option<&str>) -> Account {
        Account {
            key: key.into(),
            username: None,
            kind: None,
            source: String::new(),
            helper: helper.map(str::to_owned),
            standing: Standing::Used,
        }
    }

    #[test]
    fn what_goes_before_shadows_what_it_covers() {
        for (sources, used) in [
            (vec![vec!["r.example", "r.example/a"]], vec![true, true]),
            (vec![vec!["r.example"], vec!["r.example/a", "s.example"]], vec![true, false, true]),
            (
                vec![vec!["r.example/a"], vec!["r.example", "r.example/a/b", "r.example/ab"]],
                vec![true, true, false, true],
            ),
            (vec![vec!["https://index.docker.io/v1/"], vec!["docker.io"]], vec![true, false]),
            (vec![vec!["r.example", "https://r.example"]], vec![true, false]),
            (vec![vec!["no host"], vec!["no host"]], vec![true, true]),
        ] {
            let mut accounts = Accounts::default();
            for keys in &sources {
                accounts.add(keys.iter().map(|key| account(key, None)).collect());
            }
            let standing: Vec<_> = accounts.accounts.iter().map(|it| it.standing == Standing::Used).collect();
            assert_eq!(standing, used, "{sources:?}");
        }
        let mut accounts = Accounts::default();
        accounts.add(vec![account("r.example", Some("docker-credential-x")), account("r.example/a", None)]);
        assert_eq!(accounts.accounts[1].standing, Standing::Shadowed, "a helper goes before entries");
    }
}
