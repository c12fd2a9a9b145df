//! Credentials from the command line, from variables, from standard input, and from people.

use std::io::{self, BufRead as _, IsTerminal as _, Read, Write as _};

use zeroize::Zeroizing;

use super::config::Config;
use super::failure::Problem;
use super::misuse::Misuse;
use super::options::Account;
use crate::auth::{Credential, Environment, Found, Given, Secret, Sources};
use crate::error::Error;
use crate::model::Location;

/// What the command line and the variables come to. Pure: nobody was asked yet.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// The stored credentials are to be used.
    Stored,
    /// The password is on standard input.
    PasswordOnStdin { username: String },
    /// The token is on standard input.
    TokenOnStdin,
    /// Somebody has to be asked.
    Ask { username: String },
    /// Here they are.
    Found(Found),
}

/// Finds the credentials that were given for this command alone; `None` where there are none.
///
/// May read standard input, or ask on the terminal.
///
/// # Errors
///
/// Where half of something is given, or two things at once.
pub(super) fn given(account: &Account, location: &Location) -> Result<Option<Given>, Problem> {
    given_by(account, location, &ONE)
}

/// As [`given`], with the variables of one registry of several.
///
/// # Errors
///
/// As [`given`].
pub(super) fn given_by(
    account: &Account,
    location: &Location,
    variables: &Variables,
) -> Result<Option<Given>, Problem> {
    // A directory asks for no credentials, and nobody is asked for any.
    let Location::Registry(reference) = location else { return Ok(None) };
    let password = |username: String, secret| {
        Some(Found { credential: Credential::Password { username, secret }, source: COMMAND_LINE.to_owned() })
    };
    let choice = choose(account, variables, variable)?;
    if let Choice::PasswordOnStdin { username } | Choice::Ask { username } = &choice {
        check_username(username)?;
    }
    if let Choice::Found(Found { credential: Credential::Password { username, .. }, .. }) = &choice {
        check_username(username)?;
    }
    let found = match choice {
        Choice::Stored => None,
        Choice::Found(found) => Some(found),
        Choice::PasswordOnStdin { username } => password(username, secret_from_stdin("password")?),
        Choice::Ask { username } => password(username, ask_secret("Password: ")?),
        Choice::TokenOnStdin => {
            let token = secret_from_stdin("token")?;
            Some(Found { credential: Credential::Bearer { token }, source: COMMAND_LINE.to_owned() })
        }
    };
    Ok(found.map(|found| Given::new(reference.registry().clone(), found)))
}

/// Finds the credentials that the variables hold for every command.
///
/// # Errors
///
/// Where half of something is set, or two things at once.
pub(super) fn from_variables() -> Result<Option<Found>, Misuse> {
    let nothing = Account { username: None, password_stdin: false, token_stdin: false };
    match choose(&nothing, &ONE, variable)? {
        Choice::Found(found) => Ok(Some(found)),
        _ => Ok(None),
    }
}

/// Finds the sources of credentials that the environment points to; opens none of them, but the configuration file.
pub(super) fn sources() -> Result<Sources, Problem> {
    let sources = Sources::new(&Environment::capture());
    let limit = Config::read()?.helper_limit;
    Ok(limit.into_iter().fold(sources, Sources::helper_limit))
}

/// Which variables hold the credentials for a registry.
#[derive(Debug)]
pub(super) struct Variables {
    /// What all of them begin with.
    pub(super) prefix: &'static str,
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) token: &'static str,
}

/// What an environment variable has; empty counts as absent.
pub(super) type Variable = Result<Option<String>, Misuse>;

/// Reads a variable of this process.
pub(super) fn variable(name: &'static str) -> Variable {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Misuse::VariableEncoding(name)),
    }
}

fn choose(
    account: &Account,
    variables: &Variables,
    variable: impl Fn(&'static str) -> Variable,
) -> Result<Choice, Misuse> {
    let Variables { username: of_name, password: of_password, token: of_token, .. } = *variables;
    if account.token_stdin {
        return Ok(Choice::TokenOnStdin);
    }
    if account.password_stdin {
        let username = account.username.clone().map_or_else(|| variable(of_name), |username| Ok(Some(username)))?;
        return username.map(|username| Choice::PasswordOnStdin { username }).ok_or(Misuse::NoUsername);
    }
    let password = variable(of_password)?;
    let found = |credential, source: &str| Choice::Found(Found { credential, source: format!("`{source}`") });
    if let Some(username) = account.username.clone() {
        return Ok(match password {
            Some(secret) => found(Credential::Password { username, secret: Secret::new(secret) }, of_password),
            None => Choice::Ask { username },
        });
    }
    match (variable(of_token)?, variable(of_name)?, password) {
        (Some(_), _, Some(_)) => Err(Misuse::TwoSecrets),
        (Some(token), _, None) => Ok(found(Credential::Bearer { token: Secret::new(token) }, of_token)),
        (None, Some(username), Some(secret)) => {
            Ok(found(Credential::Password { username, secret: Secret::new(secret) }, of_password))
        }
        (None, None, Some(_)) => Err(Misuse::NoUsername),
        // A user name alone proves nothing: somebody may have it set for other commands.
        (None, _, None) => Ok(Choice::Stored),
    }
}

/// Reads a secret from standard input to its end; exactly one newline at the end is not part of it.
pub(super) fn secret_from_stdin(what: &'static str) -> Result<Secret, Problem> {
    let mut bytes = Zeroizing::new(Vec::new());
    let limited = io::stdin().lock().take(MAX_SECRET + 1).read_to_end(&mut bytes);
    limited.map_err(|error| Error::io("read", "standard input", error))?;
    Ok(secret(what, &bytes)?)
}

/// Asks for a secret on the terminal, which does not show it.
pub(super) fn ask_secret(prompt: &str) -> Result<Secret, Problem> {
    if !io::stdin().is_terminal() {
        return Err(Misuse::NoPassword.into());
    }
    let typed = rpassword::prompt_password(prompt).map(Zeroizing::new);
    let typed = typed.map_err(|error| Error::io("read", "the terminal", error))?;
    Ok(secret("password", typed.as_bytes())?)
}

/// Asks for a user name on the terminal.
pub(super) fn ask_username() -> Result<String, Problem> {
    if !io::stdin().is_terminal() {
        return Err(Misuse::NobodyToAsk.into());
    }
    let failed = |error| Error::io("read", "the terminal", error);
    let mut prompt = io::stderr().lock();
    prompt.write_all(b"Username: ").and_then(|()| prompt.flush()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().take(MAX_SECRET).read_line(&mut line).map_err(failed)?;
    match line.trim() {
        "" => Err(Misuse::EmptySecret("user name").into()),
        name => Ok(name.to_owned()),
    }
}

fn secret(what: &'static str, bytes: &[u8]) -> Result<Secret, Misuse> {
    if bytes.len() as u64 > MAX_SECRET {
        return Err(Misuse::StrangeSecret(what, "more than 64 KiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Misuse::StrangeSecret(what, "bytes that are not UTF-8"))?;
    match without_newline(text) {
        "" => Err(Misuse::EmptySecret(what)),
        text => Ok(Secret::new(text)),
    }
}

/// Refuses a user name with a colon, which would move where the password begins.
pub(super) fn check_username(username: &str) -> Result<(), Misuse> {
    match username.split_once(':') {
        Some((before, _)) => Err(Misuse::ColonInUsername(before.to_owned())),
        None => Ok(()),
    }
}

/// Drops exactly one newline from the end, which `echo` adds and nobody means.
fn without_newline(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

/// Those of a command that is about one registry.
const ONE: Variables = Variables {
    prefix: "SPINREG_",
    username: "SPINREG_USERNAME",
    password: "SPINREG_PASSWORD",
    token: "SPINREG_TOKEN",
};
/// What errors call the place where these credentials came from.
pub(super) const COMMAND_LINE: &str = "the command line";
/// Tokens of real services reach some KiB; bytes.
const MAX_SECRET: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn account(username: Option<&str>, password_stdin: bool, token_stdin: bool) -> Account {
        Account { username: username.map(str::to_owned), password_stdin, token_stdin }
    }

    #[test]
    fn flags_come_before_variables_and_halves_are_refused() {
        let password = |username: &str| {
            let credential = Credential::Password { username: username.into(), secret: Secret::new("p") };
            Choice::Found(Found { credential, source: "`SPINREG_PASSWORD`".into() })
        };
        let token = || {
            let credential = Credential::Bearer { token: Secret::new("t") };
            Choice::Found(Found { credential, source: "`SPINREG_TOKEN`".into() })
        };
        let on_stdin = |username: &str| Choice::PasswordOnStdin { username: username.into() };
        type Row = (Account, [Option<&'static str>; 3], Result<Choice, &'static str>);
        let rows: Vec<Row> = vec![
            (account(None, false, false), [None, None, None], Ok(Choice::Stored)),
            (account(None, false, false), [Some("ada"), None, None], Ok(Choice::Stored)),
            (account(None, false, false), [Some("ada"), Some("p"), None], Ok(password("ada"))),
            (account(None, false, false), [None, Some("p"), None], Err("no user name")),
            (account(None, false, false), [None, None, Some("t")], Ok(token())),
            (account(None, false, false), [Some("ada"), None, Some("t")], Ok(token())),
            (account(None, false, false), [Some("ada"), Some("p"), Some("t")], Err("both")),
            (account(Some("bob"), false, false), [Some("ada"), Some("p"), Some("t")], Ok(password("bob"))),
            (account(Some("bob"), false, false), [None; 3], Ok(Choice::Ask { username: "bob".into() })),
            (account(Some("bob"), true, false), [Some("ada"), Some("p"), None], Ok(on_stdin("bob"))),
            (account(None, true, false), [Some("ada"), None, Some("t")], Ok(on_stdin("ada"))),
            (account(None, true, false), [None; 3], Err("no user name")),
            (account(None, false, true), [Some("ada"), Some("p"), Some("t")], Ok(Choice::TokenOnStdin)),
        ];
        for (account, variables, expected) in rows {
            let variable = |name: &'static str| {
                let index = [ONE.username, ONE.password, ONE.token].iter().position(|known| *known == name);
                Ok(index.and_then(|index| variables[index]).map(str::to_owned))
            };
            match (choose(&account, &ONE, variable), expected) {
                (Ok(choice), Ok(expected)) => assert_eq!(choice, expected),
                (Err(misuse), Err(said)) => assert!(misuse.to_string().contains(said), "{misuse}"),
                (got, expected) => panic!("{account:?} {variables:?}: {got:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn exactly_one_newline_is_dropped() {
        for (typed, kept) in
            [("p", "p"), ("p\n", "p"), ("p\r\n", "p"), ("p\n\n", "p\n"), ("p\r", "p\r"), (" p ", " p ")]
        {
            assert_eq!(secret("password", typed.as_bytes()).expect(typed).reveal(), kept);
        }
        for typed in ["", "\n", "\r\n"] {
            assert!(matches!(secret("password", typed.as_bytes()), Err(Misuse::EmptySecret("password"))));
        }
        let long = vec![b'x'; MAX_SECRET as usize + 1];
        for strange in [b"\xff".as_slice(), &long] {
            assert!(matches!(secret("password", strange), Err(Misuse::StrangeSecret(..))));
        }
    }
}
