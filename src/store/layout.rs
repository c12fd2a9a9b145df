//! An OCI image layout directory (image-spec 1.1, image-layout.md).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::index::Index;
use super::ingest::{blocking, fetch};
use super::shelf::{Naming, Shelf, missing};
use crate::disk::{self, Lock, Mode};
use crate::error::{Error, ParseError};
use crate::model::{Descriptor, Digest, MediaType, Tag};

/// An OCI image layout directory, version 1.0.0; cheap to clone.
///
/// ```text
/// PATH/oci-layout                {"imageLayoutVersion":"1.0.0"}
/// PATH/index.json                every manifest; tags are `org.opencontainers.image.ref.name` annotations
/// PATH/blobs/<algorithm>/<hex>   manifests and blobs, read-only
/// PATH/.spinreg/partial/         what is not finished
/// PATH/.spinreg/index.lock       held while `index.json` is changed
/// ```
///
/// Layouts of other tools are read as they are, and what we do not know in their `index.json` is kept. Several
/// processes may use one layout at a time.
#[derive(Clone, Debug)]
pub struct Layout {
    root: Arc<Path>,
    shelf: Shelf,
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

    /// Returns the tags, sorted by their bytes. One reading of `index.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Parse`] where `index.json` cannot be read.
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        let mut tags: Vec<Tag> = self.index().await?.tags().map(|(tag, _)| tag).collect();
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    /// Returns every manifest that is listed, tagged or not, each once. One reading of `index.json`.
    ///
    /// # Errors
    ///
    /// As [`Layout::tags`].
    pub async fn manifests(&self) -> Result<Vec<Descriptor>, Error> {
        let mut seen = std::collections::HashSet::new();
        Ok(self.index().await?.descriptors().filter(|entry| seen.insert(entry.digest)).collect())
    }

    /// Points `tag` to a manifest that is there. `index.json` is replaced durably, unless nothing changes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the manifest's blob is not there; else as [`Layout::tags`].
    pub async fn tag(&self, tag: &Tag, manifest: &Descriptor) -> Result<(), Error> {
        if !self.shelf.has(manifest).await? {
            return Err(missing(format!("manifest `{}`", manifest.digest), &self.root));
        }
        self.list(manifest.clone(), Some(tag.clone())).await
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
    }

    /// Removes a manifest, with every tag that names it; the blobs below it stay.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is neither listed nor there; else as [`Layout::tags`].
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), Error> {
        let (layout, digest) = (self.clone(), *digest);
        self.edit(move |index| {
            let listed = index.remove(&digest);
            let removed = layout.remove_file(&digest)?;
            let what = || missing(format!("manifest `{digest}`"), &layout.root);
            if listed || removed { Ok(listed) } else { Err(what()) }
        })
        .await
    }

    /// Removes a blob. Nothing keeps manifests from needing it: the caller knows.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is not there; [`Error::Io`].
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        let (layout, digest) = (self.clone(), *digest);
        blocking(move || match layout.remove_file(&digest)? {
            true => Ok(()),
            false => Err(missing(format!("blob `{digest}`"), &layout.root)),
        })
        .await
    }

    /// Takes a blob over from another layout and returns its size: by a hard link where the file system has them,
    /// else by a verified copy. Blobs are read-only, so that sharing one does no harm.
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
        if self.shelf.has(&descriptor).await? {
            return Ok(size);
        }
        let (from, to) = (other.blob_path(digest), self.blob_path(digest));
        let linked = blocking(move || {
            to.parent().map_or(Ok(()), disk::create_dirs)?;
            disk::link(&from, &to)
        });
        match linked.await {
            Ok(()) => Ok(size),
            // Another file system, or one without links.
            Err(_) => fetch(&self.shelf, &other.shelf.blob(&descriptor)).await.map(|_| size),
        }
    }

    /// Reads `index.json`; one that is not there has no entries.
    pub(super) async fn index(&self) -> Result<Index, Error> {
        let path = self.index_path();
        blocking(move || read_index(&path)).await
    }

    /// Lists a manifest in `index.json`.
    pub(crate) async fn list(&self, manifest: Descriptor, tag: Option<Tag>) -> Result<(), Error> {
        self.edit(move |index| Ok(index.list(&manifest, tag.as_ref()))).await
    }

    /// Changes `index.json` under its lock, where `change` says that there is a change.
    async fn edit(&self, change: impl FnOnce(&mut Index) -> Result<bool, Error> + Send + 'static) -> Result<(), Error> {
        let layout = self.clone();
        blocking(move || {
            let _lock = layout.lock()?;
            let mut index = read_index(&layout.index_path())?;
            match change(&mut index)? {
                true => layout.replace_index(&index.to_bytes()),
                false => Ok(()),
            }
        })
        .await
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

    fn at(root: PathBuf) -> Self {
        let shelf = Shelf::new(root.join("blobs"), root.join(PRIVATE).join("partial"), Naming::Folders, Mode::ReadOnly);
        Self { root: root.into(), shelf }
    }

    fn make(&self) -> Result<(), Error> {
        match check_version(&self.root) {
            Err(Error::NotFound(_)) => {}
            known => return known,
        }
        let _lock = self.lock()?;
        if !self.index_path().exists() {
            disk::replace(&self.index_path(), &Index::new().to_bytes(), Mode::Shared)?;
        }
        // The blobs' folder is part of a layout even while it is empty.
        disk::create_dirs(&self.root.join("blobs"))?;
        disk::replace(&self.root.join(VERSION_FILE), br#"{"imageLayoutVersion":"1.0.0"}"#, Mode::Shared)
    }

    fn lock(&self) -> Result<Lock, Error> {
        let private = self.root.join(PRIVATE);
        disk::create_dirs(&private)?;
        Lock::exclusive(&private.join("index.lock"))
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    /// Removes a blob's file and says whether there was one.
    fn remove_file(&self, digest: &Digest) -> Result<bool, Error> {
        let path = self.blob_path(digest);
        let present = path.is_file();
        disk::remove_if_present(&path).map(|()| present)
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
    let refuse = || ParseError::new("image layout", &String::from_utf8_lossy(&bytes), "`imageLayoutVersion` 1.0.0");
    let version: Version = serde_json::from_slice(&bytes).map_err(|error| refuse().because(&error))?;
    // Versions are semantic (image-layout.md): what 1.x adds does not change what is there.
    if version.image_layout_version.starts_with("1.") { Ok(()) } else { Err(refuse().into()) }
}

fn read_index(path: &Path) -> Result<Index, Error> {
    match disk::read_bounded(path, Layout::MAX_INDEX)? {
        Some(bytes) => Ok(Index::parse(&bytes)?),
        None => Ok(Index::new()),
    }
}

const VERSION_FILE: &str = "oci-layout";

/// Our own folder inside a layout; other tools pass over it.
const PRIVATE: &str = ".spinreg";

/// How large an `oci-layout` file is read, in bytes: it has one line.
const MAX_VERSION: u64 = 4 << 10;
