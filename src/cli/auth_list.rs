//! `spinreg auth list`.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::{Problem, describe};
use super::{credentials, interrupts, output};
use crate::auth::{Account, Accounts, Credential, Kind, Standing};
use crate::model::printable::line;

/// List the registries for which there are credentials, for whom, and where.
///
/// In the order in which the sources are asked: the variables, Spin's own file, where `login` saves, and the files of docker and
/// podman. Credential helpers are asked for their lists and for no secrets; many do not say for whom they have something. Sends
/// nothing, and shows no secret.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct List {
    /// Print a JSON document instead.
    #[arg(long)]
    json: bool,
}

/// What `list --json` prints.
#[derive(Serialize)]
struct Report {
    schema: u32,
    accounts: Vec<Row>,
    failures: Vec<Failed>,
}

/// An account, for people and programs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    /// `null` where it is good for whatever registry a command is about.
    key: Option<String>,
    username: Option<String>,
    kind: Option<&'static str>,
    source: String,
    helper: Option<String>,
    used: bool,
}

#[derive(Serialize)]
struct Failed {
    source: String,
    message: String,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let given = credentials::from_variables()?;
        let sources = credentials::sources()?;
        let Accounts { accounts, failures, .. } = interrupts::until(sources.accounts()).await?;
        let given = given.into_iter().map(|found| Row {
            key: None,
            username: Some(found.credential.username().to_owned()).filter(|username| !username.is_empty()),
            kind: Some(match found.credential {
                Credential::Password { .. } => kind(Kind::Password),
                Credential::Identity { .. } => kind(Kind::Identity),
                Credential::Bearer { .. } => kind(Kind::Bearer),
            }),
            source: found.source,
            helper: None,
            used: true,
        });
        let rows: Vec<Row> = given.chain(accounts.into_iter().map(row)).collect();
        let failures = failures.into_iter().map(|(source, error)| Failed { source, message: describe(&error) });
        let failures: Vec<Failed> = failures.collect();
        for Failed { message, .. } in &failures {
            context.warn(message);
        }
        if self.json {
            return Ok(output::json(&Report { schema: SCHEMA, accounts: rows, failures })?);
        }
        let text = if context.quiet { keys(&rows) } else { table(&rows) };
        if text.is_empty() {
            if !context.quiet && failures.is_empty() {
                output::remark("there are no credentials: `spinreg login REGISTRY` saves some");
            }
            return Ok(());
        }
        Ok(output::page(&text)?)
    }
}

fn row(account: Account) -> Row {
    let Account { key, username, kind: known, source, helper, standing, .. } = account;
    Row {
        key: Some(key),
        username: username.filter(|username| !username.is_empty()),
        kind: known.map(kind),
        source,
        helper,
        used: standing == Standing::Used,
    }
}

/// Names a kind of credentials for programs.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Password => "password",
        Kind::Identity => "identity_token",
        Kind::Bearer => "registry_token",
    }
}

/// Lists what the accounts are for, each once. Pure.
fn keys(rows: &[Row]) -> String {
    let mut text = String::new();
    for key in rows.iter().filter(|row| row.used).filter_map(|row| row.key.as_deref()) {
        text += &format!("{}\n", line(key));
    }
    text
}

/// Puts accounts into columns: what for, for whom, and where. Pure.
fn table(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let what = row.key.as_deref().map_or("(any registry)".to_owned(), |key| line(key).into_owned());
        let whom = match (&row.username, row.kind) {
            (Some(username), _) => line(username).into_owned(),
            (None, Some("identity_token")) => "(identity token)".to_owned(),
            (None, Some("registry_token")) => "(registry token)".to_owned(),
            (None, _) => "(unknown)".to_owned(),
        };
        let source = line(&row.source);
        let place = match &row.helper {
            Some(helper) => format!("{helper}, named by {source}"),
            None => source.into_owned(),
        };
        (what, whom, format!("{place}{}", if row.used { "" } else { "  (another one goes before it)" }))
    });
    let cells: Vec<_> = cells.collect();
    let width = |of: fn(&(String, String, String)) -> &String| cells.iter().map(|row| of(row).chars().count()).max();
    let (first, second) = (width(|row| &row.0).unwrap_or(0), width(|row| &row.1).unwrap_or(0));
    cells.iter().map(|(what, whom, place)| format!("{what:<first$}  {whom:<second$}  {place}\n")).collect()
}

/// The version of the documents of `auth`.
pub(super) const SCHEMA: u32 = 1;

const EXAMPLES: &str = "\
Examples:
  spinreg auth list
  spinreg auth list --json
  spinreg auth explain ghcr.io/me/app     (which of them push and pull would use)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_stand_in_columns_and_steer_no_terminal() {
        let row = |key: Option<&str>, username: Option<&str>, kind, helper: Option<&str>, used| Row {
            key: key.map(str::to_owned),
            username: username.map(str::to_owned),
            kind,
            source: "/f".to_owned(),
            helper: helper.map(str::to_owned),
            used,
        };
        let rows = [
            row(None, Some("ada"), Some("password"), None, true),
            row(Some("r.example/team"), None, Some("registry_token"), None, true),
            row(Some("s.example"), None, None, Some("docker-credential-x"), true),
            row(Some("a\u{1b}[2J"), Some("b\nc"), Some("password"), None, false),
        ];
        let table = table(&rows);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "(any registry)  ada               /f");
        assert_eq!(lines[1], "r.example/team  (registry token)  /f");
        assert_eq!(lines[2], "s.example       (unknown)         docker-credential-x, named by /f");
        assert!(lines.len() == 4 && lines[3].ends_with("/f  (another one goes before it)"), "{table}");
        assert!(!table.contains('\u{1b}'));
        assert_eq!(keys(&rows), "r.example/team\ns.example\n");
    }
}
