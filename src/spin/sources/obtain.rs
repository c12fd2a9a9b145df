//! Finding what a manifest wants: in the cache, or by way of a [`Fetch`].

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Uri;
use semver::{Version, VersionReq};

use super::super::cache::Cache;
use super::super::dependency_name::PackageName;
use super::super::error::{self, Position};
use super::super::load::blocking;
use super::super::media;
use super::config::PackageConfig;
use super::metadata::Metadata;
use super::notes::Notes;
use super::place::Home;
use super::{Access, Differing, Fetch, Storage, Unobtained, Wanted, Wanter, Why, version};
use crate::content::{Blob, Body, Open};
use crate::error::{Actual, Error};
use crate::model::{Descriptor, Digest, Identifier, Manifest, Reference, Registry, Tag};
use crate::store::{Ingest, SessionId};

/// Where WebAssembly comes from that is no file of the application; cheap to clone.
///
/// What was obtained once is in Spin's cache, under its digest, and found there again; every time it is read from there
/// its digest is compared.
#[derive(Clone)]
pub struct Sources(Option<Arc<Ways>>);

#[derive(Clone)]
pub(super) struct Ways {
    pub(super) cache: Cache,
    pub(super) fetch: Arc<dyn Fetch>,
    config: Option<PathBuf>,
    pub(super) ask: Ask,
}

/// When others are asked for what may be in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// Where that can make a difference: several versions fit, and there may be a new one.
    #[default]
    Always,
    /// Where the cache has nothing that fits.
    Missing,
    /// Never.
    Never,
}

impl Sources {
    /// Has nothing: an application has to be made of its own files.
    pub fn none() -> Self {
        Self(None)
    }

    /// Keeps in `cache` what `fetch` brings.
    pub fn new(cache: Cache, fetch: Arc<dyn Fetch>) -> Self {
        Self(Some(Arc::new(Ways { cache, fetch, config: None, ask: Ask::Always })))
    }

    /// Asks only then.
    #[must_use]
    pub fn asking(self, ask: Ask) -> Self {
        self.amend(|ways| ways.ask = ask)
    }

    /// Reads the [`PackageConfig`] from this file once a package is wanted; it need not be there.
    #[must_use]
    pub fn configured_by(self, file: impl Into<PathBuf>) -> Self {
        self.amend(|ways| ways.config = Some(file.into()))
    }

    fn amend(self, change: impl FnOnce(&mut Ways)) -> Self {
        Self(self.0.map(|ways| {
            let mut ways = Arc::unwrap_or_clone(ways);
            change(&mut ways);
            Arc::new(ways)
        }))
    }

    /// Obtains all that is ordered, several things at a time.
    ///
    /// **Requests**: for a URL none where its digest is in the cache, else one `GET`. For a package, none where one version
    /// alone fits and was obtained before; else one `GET` of what its registry says about itself, one for each registry,
    /// one list of tags (where several versions fit), one manifest and one blob (where the version is new).
    ///
    /// # Errors
    ///
    /// [`error::Error::Source`] for the first thing that cannot be had; without any way to ask, for all that is missing.
    pub(in crate::spin) async fn obtain(&self, orders: &[Order]) -> Result<Obtained, error::Error> {
        let Some(first) = orders.first() else { return Ok(Obtained::new()) };
        let Some(ways) = &self.0 else { return Err(first.failed(None, Why::NoWay)) };
        let config = ways.config(orders).await?;
        let mut said = HashMap::new();
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for (index, order) in orders.iter().enumerate() {
            if orders[..index].iter().any(|earlier| earlier.wanted == order.wanted) {
                continue;
            }
            let mut storage = None;
            match ways.find(&order.wanted, &config, &mut said, &mut storage).await {
                Ok(Some(place)) => found.push((order.clone(), storage, place)),
                Ok(None) => missing.push(order),
                Err(why) => return Err(order.failed(storage, why)),
            }
        }
        if let Some((first, others)) = missing.split_first() {
            let also = others.iter().map(|order| order.wanted.clone()).collect();
            return Err(first.failed(None, Why::Offline { also }));
        }
        let ways = Arc::clone(ways);
        let brought = found.into_iter().map(move |(order, storage, place): (Order, Option<Storage>, Found)| {
            let ways = Arc::clone(&ways);
            async move {
                match ways.bring(place).await {
                    Ok(path) => Ok((order.wanted, path)),
                    Err(why) => Err(order.failed(storage, why)),
                }
            }
        });
        stream::iter(brought).buffer_unordered(AT_ONCE).try_collect().await
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Sources(none)"),
            Some(ways) => write!(f, "Sources({:?}, {:?})", ways.cache.root(), ways.ask),
        }
    }
}

/// Something that a component is made of, or held to, and where the manifest says so.
#[derive(Clone, Debug)]
pub(in crate::spin) struct Order {
    pub(in crate::spin) file: PathBuf,
    pub(in crate::spin) at: Position,
    pub(in crate::spin) wanter: Wanter,
    pub(in crate::spin) wanted: Wanted,
}

/// Where things are that were wanted.
pub(in crate::spin) type Obtained = HashMap<Wanted, PathBuf>;

impl Order {
    fn failed(&self, storage: Option<Storage>, why: Why) -> error::Error {
        let Self { file, at, wanter, wanted } = self.clone();
        Box::new(Unobtained { file, at, wanter, wanted, storage, why }).into()
    }
}

/// Where something is.
enum Found {
    /// Here.
    Here(PathBuf),
    /// At this URL.
    Url(Uri, Digest),
    /// In a registry; the note is to be made once it is here.
    Blob(Box<(Blob, Notes, String)>),
}

impl Ways {
    /// Reads the configuration, where that matters.
    async fn config(&self, orders: &[Order]) -> Result<PackageConfig, error::Error> {
        let matters = orders.iter().any(|order| matches!(order.wanted, Wanted::Package { .. }));
        match self.config.as_deref().filter(|_| matters) {
            Some(file) => blocking(file, PackageConfig::read).await,
            None => Ok(PackageConfig::default()),
        }
    }

    /// Finds out where something is; `None` where that may not be asked.
    async fn find(
        &self,
        wanted: &Wanted,
        config: &PackageConfig,
        said: &mut HashMap<Registry, Metadata>,
        storage: &mut Option<Storage>,
    ) -> Result<Option<Found>, Why> {
        match wanted {
            Wanted::Url { url, digest } => match self.cache.verified_wasm(digest).await? {
                Some(path) => Ok(Some(Found::Here(path))),
                None if self.ask == Ask::Never => Ok(None),
                None => Ok(Some(Found::Url(url.clone(), *digest))),
            },
            Wanted::Package { registry, package, version } => {
                let home = config.home(registry.as_ref(), package)?;
                match home.directory() {
                    Some(directory) => {
                        let (directory, package, version) = (directory?, package.clone(), version.clone());
                        let look = move || in_directory(&directory, &package, &version);
                        let looked = tokio::task::spawn_blocking(look).await;
                        let path = looked.map_err(|error| Error::io("read", "", io::Error::other(error)))??;
                        Ok(Some(Found::Here(path)))
                    }
                    None => self.find_package(&home, package, version, said, storage).await,
                }
            }
            Wanted::Artifact { reference } => self.find_artifact(reference, storage).await,
            Wanted::Environment { .. } | Wanted::Document { .. } => Ok(self.definition(wanted).await?.map(Found::Here)),
        }
    }

    async fn find_package(
        &self,
        home: &Home<'_>,
        package: &PackageName,
        requirement: &VersionReq,
        said: &mut HashMap<Registry, Metadata>,
        storage: &mut Option<Storage>,
    ) -> Result<Option<Found>, Why> {
        let notes = Notes::of(&self.cache, &home.registry, package);
        let exact = version::exact(requirement);
        if let Some(path) = self.noted(&notes, requirement, exact.as_ref()).await? {
            return Ok(Some(Found::Here(path)));
        }
        if self.ask == Ask::Never {
            return Ok(None);
        }
        let metadata = self.metadata(home, said).await?;
        let storage = &*storage.insert(home.storage(package, metadata)?);
        let version = match exact {
            Some(version) => version,
            None => {
                let versions = version::of_tags(&self.fetch.tags(storage).await?);
                let newest = version::newest(requirement, &versions).cloned();
                newest.ok_or_else(|| no_version(storage, versions))?
            }
        };
        if let Some(path) = self.noted_version(&notes, &version).await? {
            return Ok(Some(Found::Here(path)));
        }
        let manifest = self.manifest(storage, &version).await?;
        let content = package_of(format_args!("{storage}:{version}"), &manifest)?;
        // It has been pushed under several media types; here it is what it is wanted for.
        let blob = self.fetch.blob(storage, &content).await?;
        let content = Descriptor::new(media::WASM, content.digest, content.size);
        Ok(Some(Found::Blob(Box::new((Blob::new(content, Same(blob)), notes, version.to_string())))))
    }

    /// Finds what is published by itself: what a tag means is asked every time, unless that may not be.
    async fn find_artifact(&self, reference: &Reference, storage: &mut Option<Storage>) -> Result<Option<Found>, Why> {
        let (registry, name) = (reference.registry().clone(), reference.name().clone());
        let storage = &*storage.insert(Storage { registry, name, access: Access::default() });
        let notes = Notes::of_repository(&self.cache, storage);
        let id = reference.identifier();
        let note = match &id {
            Identifier::Tag(tag) => tag.to_string(),
            Identifier::Digest(digest) => digest.hex(),
        };
        if (self.ask != Ask::Always || matches!(id, Identifier::Digest(_)))
            && let Some(path) = self.noted_content(&notes, &note).await?
        {
            return Ok(Some(Found::Here(path)));
        }
        if self.ask == Ask::Never {
            return Ok(None);
        }
        let manifest = self.fetch.manifest(storage, &id).await?;
        let content = package_of(reference, &manifest)?;
        let blob = self.fetch.blob(storage, &content).await?;
        let content = Descriptor::new(media::WASM, content.digest, content.size);
        Ok(Some(Found::Blob(Box::new((Blob::new(content, Same(blob)), notes, note)))))
    }

    /// Finds what was obtained before, as far as that settles the matter.
    async fn noted(
        &self,
        notes: &Notes,
        requirement: &VersionReq,
        exact: Option<&Version>,
    ) -> Result<Option<PathBuf>, Why> {
        if let Some(version) = exact {
            return self.noted_version(notes, version).await;
        }
        if self.ask == Ask::Always {
            return Ok(None);
        }
        let mut versions = notes.versions().await?;
        versions.retain(|version| requirement.matches(version));
        versions.sort();
        for version in versions.iter().rev() {
            if let Some(path) = self.noted_version(notes, version).await? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    async fn noted_version(&self, notes: &Notes, version: &Version) -> Result<Option<PathBuf>, Why> {
        self.noted_content(notes, &version.to_string()).await
    }

    async fn noted_content(&self, notes: &Notes, name: &str) -> Result<Option<PathBuf>, Why> {
        match notes.read(name).await? {
            Some(content) => Ok(self.cache.verified_wasm(&content.digest).await?),
            None => Ok(None),
        }
    }

    /// Finds out what a registry says about itself, once.
    async fn metadata<'s>(
        &self,
        home: &Home<'_>,
        said: &'s mut HashMap<Registry, Metadata>,
    ) -> Result<&'s Metadata, Why> {
        if !said.contains_key(&home.registry) {
            let document = match home.speaks_for_itself() {
                true => self.fetch.metadata(&home.registry, &home.access()).await?,
                false => None,
            };
            let metadata = document.map(|bytes| Metadata::parse(&bytes)).transpose()?.unwrap_or_default();
            said.insert(home.registry.clone(), metadata);
        }
        Ok(&said[&home.registry])
    }

    /// Gets the manifest of a version. Where there is none, says which versions there are.
    async fn manifest(&self, storage: &Storage, version: &Version) -> Result<Manifest, Why> {
        let tag: Tag = version.to_string().parse().map_err(Error::from)?;
        match self.fetch.manifest(storage, &Identifier::Tag(tag)).await {
            Err(error) if error.is_not_found() => match self.fetch.tags(storage).await {
                Ok(tags) => Err(no_version(storage, version::of_tags(&tags))),
                Err(_) => Err(error.into()),
            },
            other => Ok(other?),
        }
    }

    async fn bring(&self, found: Found) -> Result<PathBuf, Why> {
        match found {
            Found::Here(path) => Ok(path),
            Found::Url(url, digest) => self.download(&url, &digest).await,
            Found::Blob(it) => {
                let (blob, notes, name) = *it;
                self.cache.put(&blob).await?;
                notes.write(&name, blob.descriptor()).await?;
                Ok(self.cache.wasm(&blob.descriptor().digest).await?)
            }
        }
    }

    /// Downloads what has this digest, going on where an earlier attempt has stopped. How long it is nobody has said.
    async fn download(&self, url: &Uri, digest: &Digest) -> Result<PathBuf, Why> {
        let shelf = self.cache.wasm_shelf();
        let id: SessionId = digest.hex().parse().expect("64 hexadecimal digits name a session");
        let mut ingest = Ingest::session(shelf, &id).await?;
        // Whoever has held it until now may have brought it.
        if let Some(path) = self.cache.verified_wasm(digest).await? {
            ingest.abort().await?;
            return Ok(path);
        }
        let mut pieced = ingest.offset() > 0;
        let mut is_anew = false;
        loop {
            pieced |= match self.pour(url, &mut ingest).await {
                Ok(pieced) => pieced,
                Err(why) => {
                    // What has no end is no beginning, either.
                    if ingest.offset() == 0 || matches!(why, Why::TooLarge) {
                        ingest.abort().await?;
                    } else {
                        // What has come goes on file, and why no more came is worth more than whether that succeeds.
                        let _ = ingest.settle().await;
                    }
                    return Err(why);
                }
            };
            ingest.expect(*digest).await?;
            match ingest.commit().await {
                Ok(_) => return Ok(shelf.path(digest)),
                // The pieces may be right and not fit: all of it anew is worth one try.
                Err(Error::Mismatch(_)) if pieced && !is_anew => {
                    ingest = Ingest::session(shelf, &id).await?.restart().await?;
                    is_anew = true;
                }
                Err(error) => return Err(differs(error, digest)),
            }
        }
    }

    /// Writes what comes from where the ingest is; says whether it came in pieces.
    async fn pour(&self, url: &Uri, ingest: &mut Ingest) -> Result<bool, Why> {
        let mut body = self.fetch.download(url, ingest.offset()).await?;
        let seams = body.seams();
        while let Some(chunk) = ingest.next_of(&mut body).await? {
            let chunk = chunk?;
            if ingest.offset() + chunk.len() as u64 > MAX_SOURCE {
                return Err(Why::TooLarge);
            }
            ingest.write(chunk).await?;
        }
        Ok(seams.any())
    }
}

/// Says that another content has come than was wanted.
fn differs(error: Error, expected: &Digest) -> Why {
    match error {
        Error::Mismatch(mismatch) => match mismatch.actual {
            Actual::Digest(actual) => Box::new(Differing { expected: *expected, actual }).into(),
            Actual::Short(_) | Actual::Long => Why::Transfer(Error::Mismatch(mismatch)),
        },
        other => Why::Transfer(other),
    }
}

fn no_version(place: impl ToString, mut known: Vec<Version>) -> Why {
    known.sort();
    known.reverse();
    Why::NoVersion { place: place.to_string(), known }
}

/// Returns the content of a package: the first layer of its manifest, as other tools take it.
fn package_of(place: impl fmt::Display, manifest: &Manifest) -> Result<Descriptor, Why> {
    let no_package = |found| Why::NoPackage { place: place.to_string(), found };
    let image = manifest.image().ok_or_else(|| no_package("it is an index"))?;
    let content = image.layers.first().cloned().ok_or_else(|| no_package("it has no layers"))?;
    if content.size > MAX_SOURCE { Err(Why::TooLarge) } else { Ok(content) }
}

/// Finds a package in a directory: `NAMESPACE/NAME/VERSION.wasm`.
fn in_directory(root: &Path, package: &PackageName, requirement: &VersionReq) -> Result<PathBuf, Why> {
    let directory = root.join(package.namespace()).join(package.name());
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(no_version(directory.display(), Vec::new()));
        }
        other => other.map_err(|error| Error::io("read", &directory, error))?,
    };
    let names = entries.take(MAX_FILES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let versions: Vec<Version> = names.filter_map(|name| name.strip_suffix(".wasm")?.parse().ok()).collect();
    match version::newest(requirement, &versions) {
        Some(version) => Ok(directory.join(format!("{version}.wasm"))),
        None => Err(no_version(directory.display(), versions)),
    }
}

/// The same content under another media type.
struct Same(Blob);

impl Open for Same {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(self.0.open(offset))
    }
}

/// How large a source may be, in bytes: the largest component known has 40 MB, and one that has no end must not fill the
/// disk.
pub(super) const MAX_SOURCE: u64 = 1 << 30;
/// How many things are obtained at a time.
const AT_ONCE: usize = 4;
/// How many files of one directory are looked at.
const MAX_FILES: usize = 10_000;
