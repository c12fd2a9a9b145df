//! `spinreg auth`.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::auth_list::{self, List, SCHEMA};
use super::context::Context;
use super::failure::Problem;
use super::options::Account;
use super::{credentials, interrupts, output};
use crate::auth::{Answer, Testimony, Within};
use crate::model::{Location, ParseError, Reference};

/// Look into what is known about credentials.
#[derive(Args)]
pub(crate) struct Auth {
    #[command(subcommand)]
    verb: AuthVerb,
}

#[derive(Subcommand)]
enum AuthVerb {
    List(List),
    Explain(Explain),
}

/// Say which source of credentials answers for a repository, and why the others do not.
///
/// Asks every source in order and prints what each says; the first that has credentials is the one that push and pull use.
/// Runs the credential helpers that are configured for the registry. Sends nothing, and shows no secret.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// The repository: `REGISTRY/NAME`; a tag or digest makes no difference.
    #[arg(value_parser = in_a_registry)]
    reference: Reference,

    /// Print a JSON document instead.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    account: Account,
}

impl Auth {
    pub(super) fn reference(&self) -> Option<&Reference> {
        match &self.verb {
            AuthVerb::Explain(Explain { reference, .. }) => Some(reference),
            AuthVerb::List(_) => None,
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.verb {
            AuthVerb::List(list) => list.run(context).await,
            AuthVerb::Explain(explain) => explain.run(context).await,
        }
    }
}

impl Explain {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, json, account } = self;
        let given = credentials::given(&account, &Location::Registry(reference.clone()))?;
        let sources = credentials::sources()?;
        let explain = sources.explain(given.as_ref(), reference.registry(), Some(reference.name()));
        let mut told = interrupts::until(explain).await?;
        if given.is_none() {
            told.insert(0, Testimony { source: OUTRIGHT.to_owned(), answers: Vec::new() });
        }
        let what = format!("{}/{}", reference.registry(), reference.name());
        if json {
            return Ok(output::json(&document(&what, &told))?);
        }
        let lines = report(&what, &told);
        for line in lines.iter().take(if context.quiet { 1 } else { usize::MAX }) {
            output::line(line)?;
        }
        Ok(())
    }
}

/// Reads a reference to a registry; a layout has no credentials.
fn in_a_registry(text: &str) -> Result<Reference, ParseError> {
    match text.parse()? {
        Location::Registry(reference) => Ok(reference),
        Location::Layout { .. } | Location::Archive { .. } => {
            Err(ParseError::new("repository", text, "one of a registry: a layout needs no credentials"))
        }
    }
}

/// Puts what was told into lines: the outcome, and one for each answer. Pure.
fn report(what: &str, told: &[Testimony]) -> Vec<String> {
    let end = told.iter().position(Testimony::ends_the_search);
    let outcome = match end.map(|end| &told[end]) {
        None => format!("{what}: no source has credentials"),
        Some(testimony) => match testimony.answers.last() {
            Some(answer @ Answer::Credentials { .. }) => format!("{what}: {answer}, in {}", testimony.source),
            _ => format!("{what}: the search ends with an error, at {}", testimony.source),
        },
    };
    let mut lines = vec![outcome, String::new()];
    for (n, Testimony { source, answers }) in told.iter().enumerate() {
        if answers.is_empty() {
            lines.push(format!("{source}: nothing for it"));
        }
        let note = if end.is_some_and(|end| end < n) { " (not reached)" } else { "" };
        for answer in answers {
            let note = if matches!(answer, Answer::Credentials { .. } | Answer::Failed(_)) { note } else { "" };
            lines.push(format!("{source}: {answer}{note}"));
        }
    }
    lines
}

/// What `explain --json` prints.
#[derive(Serialize)]
struct Explained<'a> {
    schema: u32,
    repository: &'a str,
    /// The place in `sources` of the one that ends the search.
    ends_at: Option<usize>,
    sources: Vec<Source<'a>>,
}

#[derive(Serialize)]
struct Source<'a> {
    source: &'a str,
    answers: Vec<Said>,
}

#[derive(Serialize)]
struct Said {
    says: &'static str,
    kind: Option<&'static str>,
    username: Option<String>,
    key: Option<String>,
    helper: Option<String>,
    text: String,
}

/// Puts what was told into a document. Pure.
fn document<'a>(what: &'a str, told: &'a [Testimony]) -> Explained<'a> {
    let sources =
        told.iter().map(|Testimony { source, answers }| Source { source, answers: answers.iter().map(said).collect() });
    let ends_at = told.iter().position(Testimony::ends_the_search);
    Explained { schema: SCHEMA, repository: what, ends_at, sources: sources.collect() }
}

fn said(answer: &Answer) -> Said {
    let within = |place: Option<&Within>| match place {
        Some(Within::Key(key)) => (Some(key.clone()), None),
        Some(Within::Helper { program, server }) => (Some(server.clone()), Some(program.clone())),
        _ => (None, None),
    };
    let (says, credentials, (key, helper)) = match answer {
        Answer::Credentials { kind, username, place } => {
            let username = Some(username.clone()).filter(|username| !username.is_empty());
            ("credentials", Some((*kind, username)), within(place.as_ref()))
        }
        Answer::Empty(place) => ("empty", None, within(Some(place))),
        Answer::NotFound { program, .. } => ("not_found", None, (None, Some(program.clone()))),
        Answer::Helper(failure) => ("helper_failed", None, (None, Some(failure.program.clone()))),
        Answer::VariableUnset => ("unset", None, (None, None)),
        Answer::FileMissing => ("no_file", None, (None, None)),
        Answer::Failed(_) => ("failed", None, (None, None)),
    };
    let (kind, username) = credentials.map_or((None, None), |(kind, username)| (Some(auth_list::kind(kind)), username));
    Said { says, kind, username, key, helper, text: answer.to_string() }
}

/// What is called a source where no flag and no variable gives anything.
const OUTRIGHT: &str = "the command line and `SPINREG_…`";

const EXAMPLES: &str = "\
Examples:
  spinreg auth explain ghcr.io/me/app
  spinreg auth explain --quiet ghcr.io/me/app      (the outcome alone)
  spinreg auth explain --json ghcr.io/me/app";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Kind;
    use crate::error::Error;

    fn testimony(source: &str, answers: Vec<Answer>) -> Testimony {
        Testimony { source: source.into(), answers }
    }

    fn credentials(username: &str) -> Answer {
        Answer::Credentials {
            kind: Kind::Password,
            username: username.into(),
            place: Some(Within::Key("r.example".into())),
        }
    }

    #[test]
    fn a_layout_has_no_credentials() {
        assert!(in_a_registry("ghcr.io/ada/hello:v1").is_ok());
        for layout in ["oci:out", "oci:out:v1"] {
            assert!(in_a_registry(layout).is_err(), "{layout}");
        }
    }

    #[test]
    fn the_outcome_comes_first() {
        let failed = || Answer::Failed(Error::io("read", "/b", std::io::Error::other("x")));
        for (told, expected) in [
            (vec![], vec!["r/a: no source has credentials", ""]),
            (
                vec![
                    testimony("/a", vec![]),
                    testimony("/b", vec![Answer::Empty(Within::Key("r.example".into())), credentials("ada")]),
                    testimony("/c", vec![Answer::FileMissing]),
                    testimony("/d", vec![credentials("bob")]),
                ],
                vec![
                    "r/a: a password of `ada` under the key `r.example`, in /b",
                    "",
                    "/a: nothing for it",
                    "/b: nothing under the key `r.example`",
                    "/b: a password of `ada` under the key `r.example`",
                    "/c: there is no such file",
                    "/d: a password of `bob` under the key `r.example` (not reached)",
                ],
            ),
            (
                vec![testimony("/b", vec![failed()]), testimony("/c", vec![credentials("bob")])],
                vec![
                    "r/a: the search ends with an error, at /b",
                    "",
                    "/b: cannot read `/b`: x",
                    "/c: a password of `bob` under the key `r.example` (not reached)",
                ],
            ),
        ] {
            assert_eq!(report("r/a", &told), expected);
        }
    }
}
