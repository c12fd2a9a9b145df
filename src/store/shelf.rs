//! Where blobs stand under their digests, and where they grow until then.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use super::ingest::blocking;
use crate::content::{Blob, Body, Open, Verifier};
use crate::disk::{self, Mode};
use crate::error::{Actual, Details, Error, Missing, ParseError, Place};
use crate::model::{Descriptor, Digest};

/// A folder of blobs named by their digests, and a private folder beside it for what is not finished.
///
/// Both must be on one file system, because finished files are renamed. Neither has to exist.
#[derive(Clone, Debug)]
pub struct Shelf {
    blobs: PathBuf,
    partials: PathBuf,
    naming: Naming,
    mode: Mode,
    patience: Duration,
}

/// How a blob's file is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `<algorithm>/<hex>`: OCI image layouts (image-spec 1.1, image-layout.md, "Blobs").
    Folders,
    /// `<algorithm>:<hex>`, on Windows `<algorithm>_<hex>`: Spin's cache.
    Flat,
}

impl Shelf {
    /// How long to wait, by default, for somebody else who writes the same blob and makes no progress: longer than
    /// any retry of a transfer takes.
    pub const PATIENCE: Duration = Duration::from_secs(600);

    /// Puts finished blobs below `blobs`, with `mode`; what is not finished grows in `partials`.
    pub fn new(blobs: impl Into<PathBuf>, partials: impl Into<PathBuf>, naming: Naming, mode: Mode) -> Self {
        Self { blobs: blobs.into(), partials: partials.into(), naming, mode, patience: Self::PATIENCE }
    }

    /// Waits at most this long for somebody else who writes the same blob and makes no progress.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Returns where the blob stands once it is finished.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        match self.naming {
            Naming::Folders => self.blobs.join(digest.algorithm().name()).join(digest.hex()),
            Naming::Flat if cfg!(windows) => self.blobs.join(digest.to_string().replace(':', "_")),
            Naming::Flat => self.blobs.join(digest.to_string()),
        }
    }

    /// Says whether the blob is there: a file of exactly its length. A file of another length counts as absent, so
    /// that what a power cut has damaged is fetched again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file system does not tell.
    pub async fn has(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let (shelf, digest, size) = (self.clone(), descriptor.digest, descriptor.size);
        blocking(move || shelf.holds(&digest, size)).await
    }

    /// Returns the length of the blob that stands here, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file system does not tell.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.path(digest);
        blocking(move || file_size(&path)).await
    }

    /// Makes a handle for a blob that stands here. Nothing is opened now.
    ///
    /// Opening fails with [`Error::NotFound`] where it is not there, with [`Error::Mismatch`] where its length is
    /// another one.
    pub fn blob(&self, descriptor: &Descriptor) -> Blob {
        let path = self.path(&descriptor.digest);
        Blob::new(descriptor.clone(), Standing { descriptor: descriptor.clone(), path, blobs: self.blobs.clone() })
    }

    /// Returns how much of the session `id` was written, without waiting for whoever writes to it; `None` where
    /// there is no such session.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file system does not tell.
    pub async fn session_size(&self, id: &SessionId) -> Result<Option<u64>, Error> {
        let path = self.session_path(id);
        blocking(move || file_size(&path)).await
    }

    /// As [`Shelf::has`], blocking.
    pub(crate) fn holds(&self, digest: &Digest, size: u64) -> Result<bool, Error> {
        Ok(file_size(&self.path(digest))? == Some(size))
    }

    /// Says whether the blob is there, as [`Shelf::has`] does, and whether it was written within `recent`. Blocks.
    pub(super) fn sight(&self, digest: &Digest, size: u64, recent: Duration) -> Result<Sight, Error> {
        let metadata = metadata(&self.path(digest))?.filter(|metadata| metadata.len() == size);
        Ok(metadata.map_or(Sight::Absent, |metadata| match disk::was_written_before(&metadata, recent) {
            true => Sight::Old,
            false => Sight::Recent,
        }))
    }

    pub(super) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.partials.join(format!("{}-{}", digest.algorithm(), digest.hex()))
    }

    pub(super) fn session_path(&self, id: &SessionId) -> PathBuf {
        self.partials.join(format!("session-{}", id.0))
    }

    pub(super) fn partials(&self) -> &Path {
        &self.partials
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }
}

/// What a look at a blob's file tells whoever is going to rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Absent,
    /// It is there, and a collection may take it for what nobody needs.
    Old,
    /// It is there, and was written so lately that no collection touches it.
    Recent,
}

/// The name of a session: 1 to 64 ASCII letters, digits, `_` and `-`, so that it is safe in a file name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() || text.len() > 64 {
            return Err(ParseError::new("session id", text, "1 to 64 characters"));
        }
        match text.bytes().position(|b| !b.is_ascii_alphanumeric() && !b"_-".contains(&b)) {
            Some(bad) => Err(ParseError::new("session id", text, "letters, digits, `_` and `-` only").at(bad)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Opens a blob where it stands.
struct Standing {
    descriptor: Descriptor,
    path: PathBuf,
    blobs: PathBuf,
}

impl Open for Standing {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        let (path, expected) = (self.path.clone(), self.descriptor.size);
        Box::pin(async move {
            let opened = blocking(move || open_file(&path)).await?;
            let Some((file, size)) = opened else {
                let what = format!("blob `{}`", self.descriptor.digest);
                return Err(missing(what, &self.blobs));
            };
            match size {
                size if size < expected => Err(Actual::Short(size)),
                size if size > expected => Err(Actual::Long),
                _ => Ok(Body::from_file(file, &self.path, offset, size)),
            }
            .map_err(|actual| Verifier::blame(&self.descriptor, actual, Place::file(&self.path)))
        })
    }
}

/// Says that `what` is not below `place`.
pub(crate) fn missing(what: String, place: &Path) -> Error {
    Error::NotFound(Box::new(Missing {
        what,
        place: Place::file(place),
        errors: Vec::new(),
        details: Details::default(),
    }))
}

fn open_file(path: &Path) -> Result<Option<(File, u64)>, Error> {
    let file = match File::open(path) {
        Err(error) if is_absence(&error) => return Ok(None),
        opened => opened.map_err(|error| Error::io("open", path, error))?,
    };
    let metadata = file.metadata().map_err(|error| Error::io("read", path, error))?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}

/// Returns the length of a file; `None` where there is none, or something that is no file.
fn file_size(path: &Path) -> Result<Option<u64>, Error> {
    Ok(metadata(path)?.map(|metadata| metadata.len()))
}

/// Returns what the file system says of a file; `None` where there is none.
fn metadata(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata).filter(Metadata::is_file)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_tells_size_and_age() {
        let folder = tempfile::tempdir().expect("a directory");
        let shelf = Shelf::new(folder.path(), folder.path().join("partial"), Naming::Flat, Mode::Shared);
        let digest = Digest::of(b"abc");
        let sight = |size| shelf.sight(&digest, size, Duration::from_secs(60)).expect("it looks");
        assert_eq!(sight(3), Sight::Absent);
        fs::write(shelf.path(&digest), "abc").expect("a file");
        assert_eq!((sight(3), sight(4)), (Sight::Recent, Sight::Absent));
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(61);
        File::open(shelf.path(&digest)).expect("a file").set_modified(long_ago).expect("our own file");
        assert_eq!(sight(3), Sight::Old);
    }

    #[test]
    fn paths_follow_the_naming() {
        let digest = Digest::of(b"");
        let shelf = |naming| Shelf::new("/s/blobs", "/s/partial", naming, Mode::Shared);
        let hex = digest.hex();
        assert_eq!(shelf(Naming::Folders).path(&digest), Path::new("/s/blobs/sha256").join(&hex));
        assert_eq!(shelf(Naming::Folders).partial_path(&digest), Path::new("/s/partial").join(format!("sha256-{hex}")));
        if cfg!(unix) {
            assert_eq!(shelf(Naming::Flat).path(&digest), Path::new("/s/blobs").join(format!("sha256:{hex}")));
        }
    }

    #[test]
    fn session_ids_are_safe_names() {
        let long = "x".repeat(65);
        for text in ["", ".", "..", "a/b", "a\\b", "a.b", "a b", "ü", "a\0", long.as_str()] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
        for text in ["a", "0b9d3c1e-7f4e-4a52-9d56-2f1d3b1e6c11", "_", &long[1..]] {
            assert_eq!(text.parse::<SessionId>().expect(text).as_str(), text);
        }
    }
}
