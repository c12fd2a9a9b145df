//! `spinreg version`.

use clap::Args;
use serde::Serialize;

use super::failure::Problem;
use super::output;
use super::sight::SCHEMA;

/// Say which spinreg this is, and what it was built with.
#[derive(Args)]
pub(crate) struct Version {
    /// Print JSON; docs/shell.md describes the document.
    #[arg(long)]
    json: bool,
}

/// What this program is.
#[derive(Serialize)]
struct Built {
    schema: u32,
    version: &'static str,
    /// Of the sources, where the builder knew it.
    commit: Option<&'static str>,
    target: &'static str,
    rustc: &'static str,
    profile: &'static str,
    features: Vec<&'static str>,
    protocols: Protocols,
}

/// The newest version that is spoken of each.
#[derive(Serialize)]
struct Protocols {
    distribution: &'static str,
    image: &'static str,
    spin_manifest: &'static str,
    spin_lock: &'static str,
}

impl Version {
    pub(super) fn run(self) -> Result<(), Problem> {
        let built = Built::this();
        if self.json {
            return Ok(output::json(&built)?);
        }
        let Built { version, commit, target, rustc, profile, features, protocols, .. } = built;
        let Protocols { distribution, image, .. } = protocols;
        Ok(output::page(&format!(
            "spinreg {version}\ncommit     {}\ntarget     {target}\nrustc      {rustc}\nprofile    {profile}\nfeatures   {}\nprotocols  OCI distribution {distribution}, OCI image {image}\n",
            commit.unwrap_or("not known"),
            features.join(", "),
        ))?)
    }
}

impl Built {
    fn this() -> Self {
        let on = [
            ("cli", cfg!(feature = "cli")),
            ("client", cfg!(feature = "client")),
            ("compose", cfg!(feature = "compose")),
            ("conformance", cfg!(feature = "conformance")),
            ("serve", cfg!(feature = "serve")),
            ("spin", cfg!(feature = "spin")),
            ("tls-aws-lc", cfg!(feature = "tls-aws-lc")),
            ("tls-ring", cfg!(feature = "tls-ring")),
        ];
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SPINREG_COMMIT").filter(|commit| !commit.is_empty()),
            target: env!("SPINREG_TARGET"),
            rustc: env!("SPINREG_RUSTC"),
            profile: env!("SPINREG_PROFILE"),
            features: on.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect(),
            protocols: Protocols { distribution: "1.1", image: "1.1", spin_manifest: "2", spin_lock: "1" },
        }
    }
}
