//! `spinreg login`.

use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::credentials::{self, COMMAND_LINE};
use super::failure::Problem;
use super::misuse::Misuse;
use super::options::Connection;
use super::output;
use super::server::Server;
use crate::auth::{Credential, Environment, Found, Keychain as _, Proof, Secret, Sources};
use crate::model::Registry;

/// Log in to a registry.
///
/// The credentials are proved by a real request, and then saved where an installed `spin` finds them too. What is
/// missing is asked for.
///
/// With several accounts at one registry, log in to a part of it: `ghcr.io/team` is good for the repositories below it, and the
/// longest one goes before the others. Spin does not know these, and uses what is saved for the whole registry.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Login {
    /// The registry: `HOST`, `HOST:PORT`, or a URL of it, where `http://` means plain HTTP; or a part of it: `HOST/NAMESPACE`.
    server: Server,

    /// The user name [default: asked for].
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,

    /// The password or access token [default: asked for]. Other users of this computer may see it while the command
    /// runs; `--password-stdin` hides it.
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,

    /// Read the password from standard input; one newline at its end is dropped.
    #[arg(long, requires = "username")]
    password_stdin: bool,

    #[command(flatten)]
    connection: Connection,
}

impl Login {
    pub(super) fn registry(&self) -> &Registry {
        &self.server.registry
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { server, username, password, password_stdin, connection } = self;
        let sources = Sources::new(&Environment::capture());
        let store = sources.spin().ok_or(Misuse::NoHome)?;
        // Before anybody is asked for anything: a file that cannot be read now could not be added to later.
        store.credential(&server.registry, server.namespace.as_ref()).await?;

        let username = username.map_or_else(credentials::ask_username, Ok)?;
        if username.is_empty() {
            return Err(Misuse::EmptySecret("user name").into());
        }
        credentials::check_username(&username)?;
        let secret = match password {
            Some(password) if password.is_empty() => return Err(Misuse::EmptySecret("password").into()),
            Some(password) => Secret::new(password),
            None if password_stdin => credentials::secret_from_stdin("password")?,
            None => credentials::ask_secret("Password: ")?,
        };

        let credential = Credential::Password { username: username.clone(), secret: secret.clone() };
        let found = Found { credential, source: COMMAND_LINE.to_owned() };
        let warn = |text: &str| output::remark(&format!("warning: {text}"));
        let client = Context::client(&server.registry, &connection, server.scheme, Arc::new(()), warn)?;
        let proof = client.prove(&server.registry, &found).await?;
        store.login(&server.registry, server.namespace.as_ref(), &username, &secret).await?;
        if !context.quiet {
            if proof == Proof::NotAsked {
                output::remark(&format!("warning: `{server}` asks for no credentials, so these could not be checked"));
            }
            output::line(&format!("Successfully logged in as {username} to registry {server}"))?;
        }
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg login ghcr.io
  echo \"$TOKEN\" | spinreg login ghcr.io --username me --password-stdin
  spinreg login ghcr.io/team            (another account, for what is below it)
  spinreg login --plain-http registry.lan:5000";
