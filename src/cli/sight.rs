//! One place that a command looks at, or changes something in.

use std::sync::Arc;

use bytes::Bytes;
use clap::Args;

use super::context::Context;
use super::copy_sides::Way;
use super::credentials;
use super::endpoint::{self, Purpose};
use super::failure::Problem;
use super::options::CacheDir;
use super::status::{Status, Voice};
use crate::content::Source as _;
use crate::copy::{Endpoint, select};
use crate::error::Error;
use crate::model::{Descriptor, Identifier, Location, Manifest, Platform, Reference};
use crate::spin::{self, CachedApplication, Unrunnable};

/// Where a command looks, and how it gets there.
#[derive(Args)]
pub(crate) struct Look {
    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    way: Way,
}

impl Look {
    /// Opens what is to be looked at: without a network, what was pulled under this reference. A registry is not asked yet.
    pub(super) async fn open(&self, location: &Location, context: &Context) -> Result<Sight, Problem> {
        match location {
            Location::Registry(reference) if context.offline => Sight::cached(reference, &self.cache).await,
            _ => Ok(Sight::Site(Site::open(location, Purpose::Pull, &self.way).await?)),
        }
    }

    /// Returns where the cache is, which is looked at in any case.
    pub(super) fn cache(&self) -> &CacheDir {
        &self.cache
    }
}

/// What is looked at.
pub(super) enum Sight {
    /// A registry, a layout or an archive.
    Site(Site),
    /// What was pulled, and its manifest.
    Cached(CachedApplication, Box<Manifest>),
}

impl Sight {
    /// Opens what was pulled under a reference.
    ///
    /// # Errors
    ///
    /// [`Unrunnable::NotCached`]; a cache that cannot be read.
    pub(super) async fn cached(reference: &Reference, cache: &CacheDir) -> Result<Self, Problem> {
        let cache = cache.open()?;
        let application = cache.application(reference);
        // What is cached under a tag may have another digest than the one that is wanted with it.
        if cache.missing(reference).await?.is_some()
            && let Some(manifest) = application.manifest().await?
        {
            return Ok(Self::Cached(application, Box::new(manifest)));
        }
        let missing = reference.digest().copied().into_iter().collect();
        let reference = Box::new(reference.clone());
        Err(spin::Error::from(Unrunnable::NotCached { reference, missing }).into())
    }

    /// Says what `id` names; of an index, with a platform, the manifest for that. One request to a registry; with a
    /// platform one that reads the manifest.
    pub(super) async fn resolve(&self, id: &Identifier, platform: Option<&Platform>) -> Result<Descriptor, Problem> {
        match self {
            Self::Site(site) => Ok(site.resolve(id, platform).await?),
            Self::Cached(_, manifest) => Ok(manifest.descriptor().clone()),
        }
    }

    /// Reads what `id` names; of an index, with a platform, the manifest for that. One request to a registry, and one more
    /// for the manifest of a platform.
    pub(super) async fn pick(&self, id: &Identifier, platform: Option<&Platform>) -> Result<Manifest, Problem> {
        let manifest = self.manifest(id).await?;
        let (Some(platform), Some(index)) = (platform, manifest.index()) else { return Ok(manifest) };
        let child = select(index, id, std::slice::from_ref(platform))?;
        self.manifest(&Identifier::Digest(child.digest)).await
    }

    /// Reads what `id` names. One request to a registry.
    pub(super) async fn manifest(&self, id: &Identifier) -> Result<Manifest, Problem> {
        match self {
            Self::Site(site) => Ok(site.end.manifest(id).await?),
            Self::Cached(_, manifest) => Ok((**manifest).clone()),
        }
    }

    /// Reads a lock file or a config, verified. One request to a registry.
    pub(super) async fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Bytes, Problem> {
        match self {
            Self::Site(site) => Ok(site.end.blob(descriptor).read(limit).await?),
            Self::Cached(application, _) => Ok(application.document_bytes(descriptor).await?),
        }
    }
}

/// A registry, a layout or an archive that is open. It says nothing but warnings.
pub(super) struct Site {
    pub(super) end: Endpoint,
    /// Who is told of them; the client knows it by a weak reference alone.
    _status: Arc<Status>,
}

impl Site {
    /// Takes what is open already, and who is told of warnings.
    pub(super) fn of(end: Endpoint, status: &Arc<Status>) -> Self {
        Self { end, _status: status.clone() }
    }

    /// Opens it for a purpose. A registry is not asked yet.
    pub(super) async fn open(location: &Location, purpose: Purpose, way: &Way) -> Result<Self, Problem> {
        let given = credentials::given(&way.account, location)?;
        let status = Arc::new(Status::begin(Voice::Silent, ("", ""), String::new()));
        let end = endpoint::open(location, purpose, given, &way.connection, &status).await?;
        Ok(Self { end, _status: status })
    }

    /// Says what `id` names; of an index, with a platform, the manifest for that. One request to a registry.
    pub(super) async fn resolve(&self, id: &Identifier, platform: Option<&Platform>) -> Result<Descriptor, Error> {
        let Some(platform) = platform else { return self.end.resolve(id).await };
        let manifest = self.end.manifest(id).await?;
        Ok(match manifest.index() {
            Some(index) => select(index, id, std::slice::from_ref(platform))?.clone(),
            None => manifest.descriptor().clone(),
        })
    }

    /// Opens what is there already and is to be changed.
    pub(super) async fn open_to_change(location: &Location, way: &Way) -> Result<Self, Problem> {
        if !matches!(location, Location::Registry(_)) {
            Self::open(location, Purpose::Pull, way).await?;
        }
        Self::open(location, Purpose::Push, way).await
    }
}

/// Says where something is, without a tag or digest: `HOST/NAME`, `oci:DIRECTORY` or `oci-archive:FILE`.
pub(super) fn repository(location: &Location) -> String {
    match location {
        Location::Registry(reference) => format!("{}/{}", reference.registry(), reference.name()),
        Location::Layout { path, .. } => format!("oci:{}", path.display()),
        Location::Archive { path, .. } => format!("oci-archive:{}", path.display()),
    }
}

/// What all commands print as JSON has this number; it is raised where a program could misread it otherwise.
pub(super) const SCHEMA: u32 = 1;
