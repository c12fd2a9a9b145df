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
/// left as they are, and so are logins to parts of the registry.
#[derive(Args)]
#[command(after_help = "Example:\n  spinreg logout ghcr.io")]
pub(crate) struct Logout {
    /// The registry: `HOST`, `HOST:PORT`, or a URL of it; or a part of it: `HOST/NAMESPACE`.
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
        let said = match store.logout(&server.registry, server.namespace.as_ref()).await? {
            Removed::Removed => "Logged out of",
            Removed::Absent => "Not logged in to",
        };
        if !context.quiet {
            output::line(&format!("{said} registry {server}"))?;
        }
        for key in store.narrower(&server.registry, server.namespace.as_ref()).await? {
            output::remark(&format!("warning: there still are credentials for `{key}`: `spinreg logout {key}`"));
        }
        let what = match &server.namespace {
            None => server.registry.to_string(),
            Some(namespace) => format!("{}/{namespace}", server.registry),
        };
        for source in sources.elsewhere(&server.registry, server.namespace.as_ref()).await {
            output::remark(&format!("warning: {source} still has credentials for `{what}`"));
        }
        Ok(())
    }
}
