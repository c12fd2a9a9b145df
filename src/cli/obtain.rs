//! From a source on the command line to an application of which everything is here.

use clap::{Args, ValueEnum};

use super::app_source::AppSource;
use super::context::Context;
use super::failure::Problem;
use super::fetch::Remote;
use super::misuse::Misuse;
use super::options::{Account, CacheDir, Connection, Transfer};
use super::{build, endpoint, pull, push};
use crate::error::Error;
use crate::model::Location;
use crate::spin::{self, Cache, LoadOptions, Mounting, Outside, Runnable, Unrunnable};

/// How an application gets here.
#[derive(Args, Debug)]
pub(crate) struct Obtain {
    /// When to ask the registry, and those of packages that a `spin.toml` names.
    ///
    /// `--offline` is the same as `never`: what is not in the cache is an error that names it [default: always].
    #[arg(long, value_enum, value_name = "WHEN")]
    pull: Option<Ask>,

    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    transfer: Transfer,
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    connection: Connection,
}

/// How an application on this disk is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    pub(super) profile: Option<String>,
    pub(super) mounting: Mounting,
    /// Whether it was built just now.
    pub(super) built: bool,
}

impl Local {
    /// Returns what that means for its manifest. Nothing is published, so files may be anywhere, as in Spin.
    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions { profile: self.profile.clone(), outside: Outside::Allowed, mounting: self.mounting }
    }
}

/// When a registry is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ask {
    /// Every time: one request where nothing has changed, two for a package of which a newer version would do.
    Always,
    /// Where something is not in the cache.
    Missing,
    /// Never.
    Never,
}

impl From<Ask> for spin::Ask {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::Always => Self::Always,
            Ask::Missing => Self::Missing,
            Ask::Never => Self::Never,
        }
    }
}

impl Obtain {
    /// Finds everything of the application; pulls what is not here, if that is allowed.
    pub(super) async fn runnable(
        self,
        source: &AppSource,
        local: &Local,
        context: &Context,
    ) -> Result<Runnable, Problem> {
        let ask = self.ask(context)?;
        match source {
            AppSource::Pulled(location) => {
                // Until all of it is prepared: the application that is made of it keeps it.
                let cache = self.cache.open()?.in_use().await?;
                self.pull(location, ask, &cache, context).await?;
                cache.application(&endpoint::cached_as(location)).note_use().await;
                Ok(Runnable::cached(&cache, &endpoint::cached_as(location)).await?)
            }
            AppSource::Manifest(path) => {
                let remote = Remote::new(&self.connection, context.voice);
                let remotes = remote.sources(&self.cache, ask.into()).await?;
                let app = remotes.load(path, &local.options()).await?;
                if local.built {
                    remotes.check_targets(&app).await?;
                }
                app.warnings().iter().for_each(|warning| context.warn(&warning.to_string()));
                if !local.built
                    && let Some(stale) = app.stale().await
                {
                    context.warn(&push::warning(&stale, &app));
                }
                app.other_build().await.iter().for_each(|other| context.warn(&build::warning(other)));
                Ok(Runnable::local(&app).await?)
            }
            AppSource::Component(path) => Ok(Runnable::component(path).await?),
        }
    }

    fn ask(&self, context: &Context) -> Result<Ask, Misuse> {
        match (context.offline, self.pull) {
            (true, None | Some(Ask::Never)) => Ok(Ask::Never),
            (true, Some(_)) => Err(Misuse::OfflinePull),
            (false, pull) => Ok(pull.unwrap_or(Ask::Always)),
        }
    }

    async fn pull(self, location: &Location, ask: Ask, cache: &Cache, context: &Context) -> Result<(), Problem> {
        let reference = endpoint::cached_as(location);
        // A layout is no registry: reading it again costs nothing, and it may have changed.
        let is_remote = matches!(location, Location::Registry(_));
        if is_remote && ask != Ask::Always {
            match (cache.missing(&reference).await?, ask) {
                (Some(missing), _) if missing.is_empty() => return Ok(()),
                (missing, Ask::Never) => {
                    let missing = missing.or(reference.digest().map(|digest| vec![*digest])).unwrap_or_default();
                    return Err(
                        spin::Error::from(Unrunnable::NotCached { reference: reference.into(), missing }).into()
                    );
                }
                _ => {}
            }
        }
        let Self { transfer, account, connection, .. } = self;
        match pull::pull(location, cache, &transfer, &account, &connection, context).await {
            Err(Problem::Transfer(error @ Error::Unreachable(_))) if is_remote => {
                if cache
                    .missing(&reference)
                    .await
                    .is_ok_and(|missing| missing.is_some_and(|missing| missing.is_empty()))
                {
                    context.warn("all of it is in the cache as it was pulled last: `--offline` takes that");
                }
                Err(error.into())
            }
            Err(other) => Err(other),
            Ok(_) => Ok(()),
        }
    }
}
