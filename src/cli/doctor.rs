//! `spinreg doctor`.

use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::failure::Problem;
use super::options::{Account, Connection};
use super::paint::painter;
use super::reach::{Patience, Reached, reach};
use super::server::Scheme;
use super::{credentials, interrupts, output};
use crate::auth::{Exposure, Keychain as _};
use crate::conformance::{Patient, Probe, Reply, Topic, abandon, examine};
use crate::model::{Location, ParseError, Reference};

/// Look what a registry can do for one repository, and what you may do there.
///
/// Asks some ten harmless questions: nothing is pushed and nothing deleted, but an upload is begun and cancelled. What
/// cannot be known without leaving something behind is said to be unknown.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// The repository: `REGISTRY/NAME`, and a tag or digest to look at in it.
    #[arg(value_parser = in_a_registry)]
    reference: Reference,

    /// Print JSON; docs/conformance.md lists its keys.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    account: Account,

    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    patience: Patience,
}

impl Doctor {
    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, json, account, connection, patience } = self;
        let given = credentials::given(&account, &Location::Registry(reference.clone()))?;
        let keychain = Arc::new(credentials::sources()?.chain(given));
        let (registry, name) = (reference.registry(), reference.name());
        let reaching = reach(registry, &connection, Scheme::Unsaid, Exposure::Guarded, keychain.clone(), patience);
        let reached = interrupts::until(reaching).await??;
        let Reached { authorizer, scheme, base, ping, protection } = reached;
        let patient = Patient {
            probe: Probe::new(authorizer.clone(), registry.clone(), scheme),
            authorizer,
            base,
            ping,
            name: name.clone(),
            identifier: reference.identifier(),
            found: keychain.credential(registry, Some(name)).await?,
            protection: protection.to_owned(),
        };
        let diagnosis = match interrupts::until(examine(&patient)).await {
            Ok(diagnosis) => diagnosis,
            Err(interrupted) => {
                // A second Ctrl-C does not wait for this.
                let left = interrupts::until(abandon(&patient)).await?;
                left.iter().for_each(|sentence| output::remark(&format!("warning: {sentence}")));
                return Err(interrupted);
            }
        };
        match (json, context.quiet) {
            (true, _) => output::page(&diagnosis.json())?,
            (false, true) => output::line(&diagnosis.summary())?,
            (false, false) => output::page(&diagnosis.text(painter()))?,
        }
        let refused = [Topic::Pull, Topic::Push].iter().all(|topic| diagnosis.reply(*topic) == Reply::No);
        if refused { Err(Problem::Forbidden(Box::new(reference))) } else { Ok(()) }
    }
}

/// Reads a reference to a registry; there is nothing to ask a directory.
fn in_a_registry(text: &str) -> Result<Reference, ParseError> {
    match text.parse()? {
        Location::Registry(reference) => Ok(reference),
        Location::Layout { .. } | Location::Archive { .. } => {
            Err(ParseError::new("repository", text, "one of a registry: a layout has no ills"))
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg doctor ghcr.io/me/app
  spinreg doctor --json registry.example:5000/me/app:v1

Exit codes: 0 examined, 2 usage, 4 neither pull nor push is permitted, 6 unreachable, 130 interrupted, 1 anything else";
