//! An OCI image layout directory (image-spec 1.1, image-layout.md).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::access::{Access, Purpose};
use super::catalog::{Catalog, Remembered};
use super::index::Index;
use super::ingest::{Ingest, Started, blocking, fetch, flush};
use super::shelf::{Naming, Shelf, Sight, missing};
use super::subjects::Subjects;
use crate::disk::{self, Lock, Mode};
use crate::error::{Error, ParseError};
use crate::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Tag};

/// An OCI image layout directory, version 1.0.0; cheap to clone.
///
/// ```text
/// PATH/oci-layout                {"imageLayoutVersion":"1.0.0"}
/// PATH/index.json                every manifest; tags are `org.opencontainers.image.ref.name` annotations
/// PATH/blobs/<algorithm>/<hex>   manifests and blobs, read-only
/// PATH/.spinreg/partial/         what is not finished
/// PATH/.spinreg/index.lock       held while `index.json` is changed
/// PATH/.spinreg/content.lock     shared while something is published, held alone while something is removed
/// PATH/.spinreg/gate.lock        held while somebody waits to remove
/// ```
///
/// Layouts of other tools are read as they are, and what we do not know in their `index.json` is kept. Several
/// processes may use one layout at a time.
///
/// Content is flushed before `index.json` names it, and `index.json` is replaced as a whole, flushed as well: whatever
/// the moment at which a process is killed or the power fails, what was listed is there.
#[derive(Clone, Debug)]
pub struct Layout {
    root: Arc<Path>,
    shelf: Shelf,
    remembered: Remembered,
    subjects: Subjects,
}

impl Layout {
    /// How large an `index.json` is read, in bytes: as large as any other index.
    pub const MAX_INDEX: u64 = 8 << 20;

    /// Opens a layout that exists.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no `oci-layout` file, [`Error::Parse`] where it has another version than
    /// 1, [`Error::Io`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let layout = Self::at(path.into());
        let root = layout.root.clone();
        blocking(move || check_version(&root)).await?;
        Ok(layout)
    }

    /// Opens a layout, making what is missing of it.
    ///
    /// # Errors
    ///
    /// As [`Layout::open`], but for what is missing.
    pub async fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let layout = Self::at(path.into());
        let inner = layout.clone();
        blocking(move || inner.make()).await?;
        Ok(layout)
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where its blobs stand; uploads are ingested there.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Returns the file of a blob or manifest, whether it is there or not.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.shelf.path(digest)
    }

    /// Returns the tags, sorted by their bytes. One reading of `index.json`, if it has changed since the last one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Parse`] where `index.json` cannot be read.
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.catalog().await?.tags().map(|(tag, _)| tag.clone()).collect())
    }

    /// Returns every manifest that is listed, tagged or not, each once. Costs what [`Layout::tags`] does.
    ///
    /// # Errors
    ///
    /// As [`Layout::tags`].
    pub async fn manifests(&self) -> Result<Vec<Descriptor>, Error> {
        Ok(self.catalog().await?.manifests().to_vec())
    }

    /// Returns the entry that bears this very name, or lists the manifest of this digest. Unlike
    /// [`resolve`](crate::content::Source::resolve) it guesses nothing, and does not look whether the manifest is there.
    /// Costs what [`Layout::tags`] does.
    ///
    /// # Errors
    ///
    /// As [`Layout::tags`].
    pub async fn listed(&self, id: &Identifier) -> Result<Option<Descriptor>, Error> {
        let catalog = self.catalog().await?;
        Ok(match id {
            Identifier::Tag(tag) => catalog.tag(tag).cloned(),
            Identifier::Digest(digest) => catalog.manifest(digest).cloned(),
        })
    }

    /// Points `tag` to a manifest that is there. `index.json` is replaced durably, unless nothing changes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the manifest's blob is not there; else as [`Layout::tags`].
    pub async fn tag(&self, tag: &Tag, manifest: &Descriptor) -> Result<(), Error> {
        let adding = self.adding().await?;
        if !self.shelf.has(manifest).await? {
            return Err(missing(format!("manifest `{}`", manifest.digest), &self.root));
        }
        self.list(&adding, manifest.clone(), vec![tag.clone()]).await
    }

    /// Takes a tag away. What it named stays, listed without it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no such tag; else as [`Layout::tags`].
    pub async fn delete_tag(&self, tag: &Tag) -> Result<(), Error> {
        let (wanted, root) = (tag.clone(), self.root.clone());
        self.edit(
            move |index| {
                if index.unname(&wanted) { Ok(true) } else { Err(missing(format!("tag `{wanted}`"), &root)) }
            },
        )
        .await
        .map(drop)
    }

    /// Removes a manifest, with every tag that names it; the blobs below it stay.
    ///
    /// Waits until nobody publishes anything. First it is not listed any more, and then its file goes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is neither listed nor there; else as [`Layout::tags`].
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), Error> {
        let _alone = self.removing().await?;
        let (layout, digest) = (self.clone(), *digest);
        let listed = self.edit(move |index| Ok(index.remove(&digest))).await?;
        let removed = blocking(move || layout.remove_file(&digest)).await?;
        if listed || removed { Ok(()) } else { Err(missing(format!("manifest `{digest}`"), &self.root)) }
    }

    /// Removes a blob. Nothing keeps manifests from needing it: the caller knows. Waits until nobody publishes anything.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is not there; [`Error::Io`].
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        let alone = self.removing().await?;
        self.remove_blob(&alone, digest).await
    }

    /// Takes a blob over from another layout and returns its size: by a hard link where the file system has them,
    /// else by a verified copy. Blobs are read-only, so that sharing one does no harm. What this returns survives a power
    /// cut.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the other one has it not; [`Error::Io`]; [`Error::Mismatch`] where a copy shows that
    /// the other one's is damaged.
    pub async fn adopt(&self, other: &Self, digest: &Digest) -> Result<u64, Error> {
        let Some(size) = other.shelf.size(digest).await? else {
            return Err(missing(format!("blob `{digest}`"), &other.root));
        };
        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, *digest, size);
        if self.keep(&descriptor).await? {
            return Ok(size);
        }
        let adding = self.adding().await?;
        let (from, to) = (other.blob_path(digest), self.blob_path(digest));
        let linked = blocking(move || {
            to.parent().map_or(Ok(()), disk::create_dirs_durably)?;
            disk::link(&from, &to)?;
            disk::touch(&to)?;
            disk::flush(&[to])
        });
        let linked = linked.await;
        drop(adding);
        if linked.is_err() {
            // Another file system, or one without links.
            fetch(&self.shelf, &other.shelf.blob(&descriptor)).await?;
            flush(vec![self.blob_path(digest)]).await?;
        }
        Ok(size)
    }

    /// Returns what `index.json` lists.
    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, Error> {
        let layout = self.clone();
        blocking(move || layout.catalog_now()).await
    }

    /// Returns which manifests are known to refer to which.
    pub(super) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// As [`Layout::catalog`], blocking.
    pub(super) fn catalog_now(&self) -> Result<Arc<Catalog>, Error> {
        self.remembered.read(&self.index_path())
    }

    /// Says whether the directory is still a layout.
    #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a registry asks for it"))]
    pub(crate) async fn is_there(&self) -> Result<bool, Error> {
        let path = self.root.join(VERSION_FILE);
        blocking(move || Ok(path.is_file())).await
    }

    /// Makes the folder for what is not finished, durably, and no layout yet.
    #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a registry asks for it"))]
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        let partials = self.shelf.partials().to_owned();
        blocking(move || disk::create_dirs_durably(&partials)).await
    }

    /// Removes the directories of a layout that was never made, as far as they are empty, and those above it up to `top`.
    /// Whoever is about to use one of them finds it gone, and makes it again.
    #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a registry asks for it"))]
    pub(crate) async fn vacate(&self, top: &Path) -> Result<(), Error> {
        let (partials, top, version) = (self.shelf.partials().to_owned(), top.to_owned(), self.root.join(VERSION_FILE));
        blocking(move || {
            let below = |directory: &&Path| **directory != *top && directory.starts_with(&top);
            // Only what is empty goes: `remove_dir` fails otherwise, and what stands above is not empty either then.
            let has_gone = |directory: &Path| std::fs::remove_dir(directory).is_ok();
            if !version.is_file() {
                let _ = partials.ancestors().take_while(below).all(has_gone);
            }
            Ok(())
        })
        .await
    }

    /// Returns how long the index is that is kept in memory, in bytes.
    #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a registry asks for it"))]
    pub(crate) fn weight(&self) -> u64 {
        self.remembered.length()
    }

    /// Waits for the right to publish something, with others who do.
    pub(crate) async fn adding(&self) -> Result<Access, Error> {
        Access::gain(self.private(), Purpose::Add, self.shelf.patience()).await
    }

    /// Waits for the right to remove something: nobody publishes or removes anything meanwhile.
    pub(crate) async fn removing(&self) -> Result<Access, Error> {
        Access::gain(self.private(), Purpose::Remove, self.shelf.patience()).await
    }

    /// Says whether a blob is there, for somebody who is going to rely on it: it counts as new from now on, so that
    /// collecting garbage leaves it alone until what needs it is listed.
    pub(crate) async fn keep(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let (shelf, digest, size) = (self.shelf.clone(), descriptor.digest, descriptor.size);
        // Size and age are of one look: a second one may find that a collection has removed the file in between.
        match blocking(move || shelf.sight(&digest, size, RENEWAL)).await? {
            Sight::Absent => return Ok(false),
            Sight::Recent => return Ok(true),
            Sight::Old => {}
        }
        let _adding = match self.adding().await {
            // Where nothing can be written nothing is collected, either.
            Err(Error::Io(failure)) if is_read_only(failure.source.kind()) => return Ok(true),
            access => access?,
        };
        let (shelf, path) = (self.shelf.clone(), self.shelf.path(&digest));
        blocking(move || match shelf.holds(&digest, size)? {
            true => disk::touch(&path).map(|()| true),
            false => Ok(false),
        })
        .await
    }

    /// Gives an upload that was verified its name. What this returns survives a power cut.
    #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a registry asks for it"))]
    pub(crate) async fn publish(&self, ingest: Ingest) -> Result<Descriptor, Error> {
        let _adding = self.adding().await?;
        ingest.commit_durably().await
    }

    /// Stores a manifest's exact bytes, flushes them together with `files`, and lists it under all of `tags` at once.
    pub(crate) async fn put_manifest(
        &self,
        adding: &Access,
        manifest: &Manifest,
        tags: Vec<Tag>,
        mut files: Vec<PathBuf>,
    ) -> Result<(), Error> {
        match Ingest::start(&self.shelf, manifest.descriptor()).await? {
            Started::Ingest(ingest) => {
                // Manifests are small: a partial of one is not worth going on with.
                let mut ingest = ingest.restart().await?;
                ingest.write(manifest.bytes().clone()).await?;
                ingest.commit_durably().await?;
            }
            // Whoever has put it there may not have flushed it yet.
            Started::Exists => files.push(self.blob_path(&manifest.digest())),
        }
        flush(files).await?;
        self.list(adding, manifest.descriptor().clone(), tags).await
    }

    /// Removes a blob's file.
    pub(crate) async fn remove_blob(&self, _alone: &Access, digest: &Digest) -> Result<(), Error> {
        let (layout, digest) = (self.clone(), *digest);
        blocking(move || match layout.remove_file(&digest)? {
            true => Ok(()),
            false => Err(missing(format!("blob `{digest}`"), &layout.root)),
        })
        .await
    }

    /// Reads `index.json`; one that is not there has no entries.
    pub(super) async fn index(&self) -> Result<Index, Error> {
        let path = self.index_path();
        blocking(move || read_index(&path)).await
    }

    /// Lists a manifest in `index.json` under all of `tags`.
    async fn list(&self, _adding: &Access, manifest: Descriptor, tags: Vec<Tag>) -> Result<(), Error> {
        let listed = self.edit(move |index| {
            let untagged = index.list(&manifest, None);
            Ok(tags.iter().fold(untagged, |changed, tag| index.list(&manifest, Some(tag)) || changed))
        });
        listed.await.map(drop)
    }

    /// Changes `index.json` under its lock, where `change` says that there is a change; returns that.
    async fn edit(
        &self,
        change: impl FnOnce(&mut Index) -> Result<bool, Error> + Send + 'static,
    ) -> Result<bool, Error> {
        let layout = self.clone();
        blocking(move || layout.edit_now(change)).await
    }

    /// As [`Layout::edit`], blocking.
    pub(super) fn edit_now(&self, change: impl FnOnce(&mut Index) -> Result<bool, Error>) -> Result<bool, Error> {
        let _lock = self.lock()?;
        let mut index = read_index(&self.index_path())?;
        let changed = change(&mut index)?;
        if changed {
            self.replace_index(&index.to_bytes())?;
        }
        Ok(changed)
    }

    /// Writes `index.json`, unless nobody could read it afterwards: one that is too long would hide what it lists.
    fn replace_index(&self, bytes: &[u8]) -> Result<(), Error> {
        let path = self.index_path();
        if bytes.len() as u64 > Self::MAX_INDEX {
            let full = io::Error::new(io::ErrorKind::FileTooLarge, "the index of a layout has at most 8 MiB");
            return Err(Error::io("write", path, full));
        }
        disk::replace(&path, bytes, Mode::Shared)
    }

    /// Names a layout that need not be there. What it keeps in its own folder may be there before the layout is.
    pub(crate) fn at(root: PathBuf) -> Self {
        let shelf = Shelf::new(root.join("blobs"), root.join(PRIVATE).join("partial"), Naming::Folders, Mode::ReadOnly);
        Self { root: root.into(), shelf, remembered: Remembered::default(), subjects: Subjects::default() }
    }

    fn make(&self) -> Result<(), Error> {
        match check_version(&self.root) {
            Err(Error::NotFound(_)) => {}
            known => return known,
        }
        disk::create_dirs_durably(&self.root)?;
        let _lock = self.lock()?;
        if !self.index_path().exists() {
            disk::replace(&self.index_path(), &Index::new().to_bytes(), Mode::Shared)?;
        }
        // The blobs' folder is part of a layout even while it is empty.
        disk::create_dirs(&self.root.join("blobs"))?;
        disk::replace(&self.root.join(VERSION_FILE), VERSION, Mode::Shared)
    }

    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let private = self.private();
        disk::create_dirs(&private)?;
        Lock::exclusive(&private.join("index.lock"))
    }

    /// Returns our own folder in it.
    fn private(&self) -> PathBuf {
        self.root.join(PRIVATE)
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    /// Removes a blob's file and says whether there was one.
    fn remove_file(&self, digest: &Digest) -> Result<bool, Error> {
        let path = self.blob_path(digest);
        if !path.is_file() {
            return Ok(false);
        }
        disk::remove_if_present(&path)?;
        path.parent().map_or(Ok(()), disk::sync_dir).map(|()| true)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: String,
}

fn check_version(root: &Path) -> Result<(), Error> {
    let path = root.join(VERSION_FILE);
    let Some(bytes) = disk::read_bounded(&path, MAX_VERSION)? else {
        return Err(missing("an image layout (a directory with the file `oci-layout`)".to_owned(), root));
    };
    Ok(check_version_file(&bytes)?)
}

/// Refuses an `oci-layout` file of another version than 1.
pub(super) fn check_version_file(bytes: &[u8]) -> Result<(), ParseError> {
    let refuse = || ParseError::new("image layout", &String::from_utf8_lossy(bytes), "`imageLayoutVersion` 1.0.0");
    let version: Version = serde_json::from_slice(bytes).map_err(|error| refuse().because(&error))?;
    // Versions are semantic (image-layout.md): what 1.x adds does not change what is there.
    if version.image_layout_version.starts_with("1.") { Ok(()) } else { Err(refuse()) }
}

fn read_index(path: &Path) -> Result<Index, Error> {
    match disk::read_bounded(path, Layout::MAX_INDEX)? {
        Some(bytes) => Ok(Index::parse(&bytes)?),
        None => Ok(Index::new()),
    }
}

fn is_read_only(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

pub(super) const VERSION_FILE: &str = "oci-layout";
/// What we write into that file.
pub(super) const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Our own folder inside a layout; other tools pass over it.
const PRIVATE: &str = ".spinreg";

/// How old content may be that is asked for and not touched: a second look costs no writing.
const RENEWAL: Duration = Duration::from_secs(60);

/// How large an `oci-layout` file is read, in bytes: it has one line.
pub(super) const MAX_VERSION: u64 = 4 << 10;
