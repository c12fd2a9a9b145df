//! Which source answers for a repository, and why the others do not: for people who wonder.

use std::error::Error as _;
use std::fmt;

use super::Credential;
use crate::error::{Error, HelperFailure};

/// What one source of credentials has to say about a repository. Holds no secret.
#[derive(Debug)]
pub struct Testimony {
    /// The source, for people: a path, or the name of a variable in backticks.
    pub source: String,
    /// What it says; one line for each entry and each helper that it was asked for, in the order of asking. Empty where
    /// it has nothing that fits.
    pub answers: Vec<Answer>,
}

/// What an entry or a helper of a source says.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// It has credentials.
    Credentials {
        /// What kind of credentials they are.
        kind: Kind,
        /// The user; empty for a token.
        username: String,
        /// Where in the source they are; `None` where there is but one place.
        place: Option<Within>,
    },
    /// There is an entry, and it is empty: docker leaves these where a helper has the credentials.
    Empty(Within),
    /// The helper knows nothing of the registry.
    NotFound {
        /// The program.
        program: String,
        /// The names by which it was asked.
        servers: Vec<String>,
    },
    /// The helper gives no answer.
    Helper(HelperFailure),
    /// The variable that is the source is not set.
    VariableUnset,
    /// There is no such file.
    FileMissing,
    /// The file cannot be read, or is corrupt.
    Failed(Error),
}

/// A place within a source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Within {
    /// The entry with this key.
    Key(String),
    /// The helper that is this program, asked by this name of the registry.
    Helper {
        /// The program.
        program: String,
        /// The name.
        server: String,
    },
}

/// A kind of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A user and a password.
    Password,
    /// An identity token: a refresh token.
    Identity,
    /// A registry token.
    Bearer,
}

impl Testimony {
    /// Says whether this source has credentials: the first one that has is the one that is used.
    pub fn has_credentials(&self) -> bool {
        self.answers.iter().any(|answer| matches!(answer, Answer::Credentials { .. }))
    }

    /// Says whether the search ends here, with credentials or with an error.
    pub fn ends_the_search(&self) -> bool {
        self.answers.iter().any(|answer| matches!(answer, Answer::Credentials { .. } | Answer::Failed(_)))
    }
}

impl Kind {
    pub(crate) fn of(credential: &Credential) -> Self {
        match credential {
            Credential::Password { .. } => Self::Password,
            Credential::Identity { .. } => Self::Identity,
            Credential::Bearer { .. } => Self::Bearer,
        }
    }
}

impl Answer {
    pub(crate) fn of(credential: &Credential, place: Option<Within>) -> Self {
        let kind = Kind::of(credential);
        Self::Credentials { kind, username: credential.username().to_owned(), place }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials { kind, username, place } => {
                match kind {
                    Kind::Password => write!(f, "a password of `{username}`"),
                    Kind::Identity => f.write_str("an identity token"),
                    Kind::Bearer => f.write_str("a registry token"),
                }?;
                place.as_ref().map_or(Ok(()), |place| write!(f, " {place}"))
            }
            Self::Empty(place) => write!(f, "nothing {place}"),
            Self::NotFound { program, servers } => {
                write!(f, "the credential helper `{program}` knows nothing of `{}`", servers.join("`, `"))
            }
            Self::Helper(failure) => failure.fmt(f),
            Self::VariableUnset => f.write_str("it is not set"),
            Self::FileMissing => f.write_str("there is no such file"),
            Self::Failed(error) => {
                error.fmt(f)?;
                error.source().map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
        }
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "under the key `{key}`"),
            Self::Helper { program, server } => write!(f, "from the credential helper `{program}`, for `{server}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;
    use crate::error::HelperTrouble;

    #[test]
    fn answers_are_sentences_without_secrets() {
        let password = Credential::Password { username: "ada".into(), secret: Secret::new("hunter2") };
        let identity = Credential::Identity { token: Secret::new("hunter2") };
        let bearer = Credential::Bearer { token: Secret::new("hunter2") };
        let key = || Within::Key("ghcr.io/ada".into());
        let helper = Within::Helper { program: "docker-credential-x".into(), server: "ghcr.io".into() };
        let failure = HelperFailure { program: "docker-credential-x".into(), trouble: HelperTrouble::Missing };
        let servers = vec!["index.docker.io".into(), "docker.io".into()];
        for (answer, said) in [
            (Answer::of(&password, None), "a password of `ada`"),
            (Answer::of(&password, Some(key())), "a password of `ada` under the key `ghcr.io/ada`"),
            (
                Answer::of(&identity, Some(helper)),
                "an identity token from the credential helper `docker-credential-x`, for `ghcr.io`",
            ),
            (Answer::of(&bearer, Some(key())), "a registry token under the key `ghcr.io/ada`"),
            (Answer::Empty(key()), "nothing under the key `ghcr.io/ada`"),
            (
                Answer::NotFound { program: "docker-credential-x".into(), servers },
                "the credential helper `docker-credential-x` knows nothing of `index.docker.io`, `docker.io`",
            ),
            (Answer::Helper(failure), "the credential helper `docker-credential-x` is not installed"),
            (Answer::VariableUnset, "it is not set"),
            (Answer::FileMissing, "there is no such file"),
        ] {
            assert_eq!(answer.to_string(), said);
            assert!(!format!("{answer:?}").contains("hunter2"));
        }
    }
}
