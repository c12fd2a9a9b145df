//! `spinreg logout`.

use clap::Args;

use super::context::Context;
use super::failure::Problem;
use super::misuse::Misuse;
use super::server::Server;
use super::{credentials, output};
use crate::auth::Logout as Removed;
use crate::model::Registry;

/// Forget the credentials of a registry.
///
/// Removes them from the file that `login` saves to. Other places that still have some, such as Docker's, are named and
/// left as they are.
#[derive(Args)]
#[command(after_help = "Example:\n  spinreg logout ghcr.io")]
pub(crate) struct Logout {
    /// The registry: `HOST`, `HOST:PORT`, or a URL of it.
    server: Server,
}

impl Logout {
    pub(super) fn registry(&self) -> &Registry {
        &self.server.registry
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { server } = self;
        let sources = credentials::sources()?;
        let store = sources.spin().ok_or(Misuse::NoHome)?;
        let said = match store.logout(&server.registry).await? {
            Removed::Removed => "Logged out of",
            Removed::Absent => "Not logged in to",
        };
        if !context.quiet {
            output::line(&format!("{said} registry {server}"))?;
        }
        for source in sources.elsewhere(&server.registry).await {
            output::remark(&format!("warning: {source} still has credentials for `{}`", server.registry));
        }
        Ok(())
    }
}
