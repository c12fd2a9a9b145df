//! Blobs: a descriptor, a way to open it, and where it came from.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::progress::Observed;
use super::{Body, Progress, Verifier};
use crate::error::{Actual, Error, Place};
use crate::model::{Algorithm, Descriptor, Digest, Digester, MediaType, Name, Registry};

/// Content that can be opened again, anywhere.
pub trait Open: Send + Sync {
    /// Yields exactly the bytes from `offset` to the end, unverified.
    ///
    /// # Errors
    ///
    /// Whatever keeps the content from being opened: a missing file, a registry's refusal.
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>>;
}

/// Content by its descriptor, openable again and again at any offset; cheap to clone.
#[derive(Clone)]
pub struct Blob {
    descriptor: Arc<Descriptor>,
    origin: Option<Arc<(Registry, Name)>>,
    open: Arc<dyn Open>,
}

impl Blob {
    /// Puts a blob together.
    pub fn new(descriptor: Descriptor, open: impl Open + 'static) -> Self {
        Self { descriptor: Arc::new(descriptor), origin: None, open: Arc::new(open) }
    }

    /// Makes a blob of `bytes` in memory, hashing them with SHA-256.
    pub fn from_bytes(media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(Descriptor::of(media_type, &bytes), Memory(bytes))
    }

    /// Makes a blob of `bytes` in memory whose descriptor is known. Nothing is hashed now.
    pub fn memory(descriptor: Descriptor, bytes: impl Into<Bytes>) -> Self {
        Self::new(descriptor, Memory(bytes.into()))
    }

    /// Makes a blob of a file, reading it once on the blocking pool to hash it (SHA-256, 64 KiB at a time).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be read.
    pub async fn from_file(media_type: MediaType, path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let task = tokio::task::spawn_blocking(move || {
            let hashed = File::open(&path).and_then(|mut file| hash_file(&mut file, 0));
            (path, hashed)
        });
        let (path, hashed) = task.await.map_err(|error| Error::io("read", "", io::Error::other(error)))?;
        let (digest, size, _) = hashed.map_err(|error| Error::io("read", &path, error))?;
        Ok(Self::file(Descriptor::new(media_type, digest, size), path))
    }

    /// Makes a blob of a file whose descriptor is known. Nothing is read now.
    pub fn file(descriptor: Descriptor, path: impl Into<PathBuf>) -> Self {
        Self::on_disk(descriptor, path.into(), Trust::Given)
    }

    /// Makes a blob of a file whose descriptor was right when it was read last. Nothing is read now; what is sent from its
    /// beginning is compared with the descriptor, and its last bytes are not sent where it is not that.
    pub fn recalled(descriptor: Descriptor, path: impl Into<PathBuf>) -> Self {
        Self::on_disk(descriptor, path.into(), Trust::Compared)
    }

    /// Shares the descriptor with whoever opens the file: some applications have ten thousand of them.
    fn on_disk(descriptor: Descriptor, path: PathBuf, trust: Trust) -> Self {
        let descriptor = Arc::new(descriptor);
        Self { origin: None, open: Arc::new(OnDisk { path, descriptor: descriptor.clone(), trust }), descriptor }
    }

    /// Says in which repository the blob is, so that a target on the same registry may mount it.
    #[must_use]
    pub fn from_repository(mut self, registry: Registry, name: Name) -> Self {
        self.origin = Some(Arc::new((registry, name)));
        self
    }

    /// Returns the descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns the repository it is in, if it is in one.
    pub fn origin(&self) -> Option<(&Registry, &Name)> {
        self.origin.as_deref().map(|(registry, name)| (registry, name))
    }

    /// Opens the content at `offset` (in bytes). The bytes are not verified.
    ///
    /// # Errors
    ///
    /// As [`Open::open`].
    pub async fn open(&self, offset: u64) -> Result<Body, Error> {
        self.open.open(offset).await
    }

    /// Reads the whole content, verified; for small content only. What was put together from the answers to several
    /// requests and does not match is read once more.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where the descriptor claims more than `limit` bytes (before anything
    /// is opened) or where the content is not what the descriptor says.
    pub async fn read(&self, limit: u64) -> Result<Bytes, Error> {
        let expected = self.descriptor();
        if expected.size > limit {
            return Err(Verifier::blame(expected, Actual::Long, Place::Unknown));
        }
        let body = self.open(0).await?;
        let seams = body.seams();
        match self.verified(body).await {
            Err(Error::Mismatch(_)) if seams.any() => self.verified(self.open(0).await?).await,
            other => other,
        }
    }

    /// Reads `body`, of which no more is kept than the descriptor says.
    async fn verified(&self, mut body: Body) -> Result<Bytes, Error> {
        let expected = self.descriptor();
        let mut verifier = Verifier::new(expected);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.chunk().await {
            let chunk = chunk?;
            verifier.update(&chunk).map_err(|actual| Verifier::blame(expected, actual, Place::Unknown))?;
            bytes.extend_from_slice(&chunk);
        }
        verifier.finish().map_err(|actual| Verifier::blame(expected, actual, Place::Unknown))?;
        Ok(bytes.freeze())
    }

    /// Reports every byte that is read from the blob to `progress`.
    #[must_use]
    pub fn observed(self, progress: Arc<dyn Progress>) -> Self {
        let open = Observed::new(self.descriptor.clone(), self.open, progress);
        Self { open: Arc::new(open), ..self }
    }
}

impl Open for Blob {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        self.open.open(offset)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.descriptor.digest, self.descriptor.size)
    }
}

struct Memory(Bytes);

impl Open for Memory {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move { Ok(Body::from_bytes(self.0.clone()).skip(offset)) })
    }
}

struct OnDisk {
    path: PathBuf,
    descriptor: Arc<Descriptor>,
    trust: Trust,
}

/// Whether a file is what its descriptor says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It was just hashed, or whoever takes it compares.
    Given,
    /// It is compared while it is read.
    Compared,
}

impl Open for OnDisk {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move {
            let path = self.path.clone();
            let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
            let file =
                opened.map_err(io::Error::other).flatten().map_err(|error| Error::io("open", &self.path, error))?;
            Ok(match self.trust {
                // Of a part nobody can tell.
                Trust::Compared if offset == 0 => Body::from_file_of(file, &self.path, &self.descriptor),
                Trust::Compared | Trust::Given => Body::from_file(file, &self.path, offset, self.descriptor.size),
            })
        })
    }
}

/// Hashes a file from where it is to its end with SHA-256, 64 KiB at a time: digest, size, and the content itself where
/// that has at most `keep` bytes. Blocks.
pub(crate) fn hash_file(file: &mut File, keep: u64) -> io::Result<(Digest, u64, Option<Bytes>)> {
    let mut digester = Digester::new(Algorithm::Sha256);
    let likely = file.metadata().map_or(0, |metadata| metadata.len()).saturating_add(1);
    let mut buffer = Vec::with_capacity(likely.min(HASH_READ) as usize);
    let mut size = 0;
    loop {
        buffer.clear();
        let read = file.take(HASH_READ).read_to_end(&mut buffer)? as u64;
        digester.update(&buffer);
        size += read;
        if read < HASH_READ {
            let inline = (size <= keep).then(|| Bytes::copy_from_slice(&buffer));
            return Ok((digester.finish(), size, inline));
        }
    }
}

/// How much of a file is read at once while it is hashed.
const HASH_READ: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_opens_at_any_offset() {
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "abcdef");
        for (offset, rest) in [(0, "abcdef"), (4, "ef"), (6, ""), (9, "")] {
            let mut body = blob.open(offset).await.expect("memory opens");
            let chunk = body.chunk().await.map(|chunk| chunk.expect("memory does not fail"));
            assert_eq!(chunk.unwrap_or_default(), rest);
        }
        assert_eq!(blob.read(6).await.expect("its own bytes"), "abcdef");
    }

    #[tokio::test]
    async fn read_is_bounded_and_verified() {
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "abcdef");
        assert!(blob.read(5).await.is_err());
        let liar = Blob::new(blob.descriptor().clone(), Memory(Bytes::from_static(b"abcdeX")));
        assert!(matches!(liar.read(6).await, Err(Error::Mismatch(_))));
        let long = Blob::new(blob.descriptor().clone(), Memory(Bytes::from_static(b"abcdefg")));
        assert!(matches!(long.read(6).await, Err(Error::Mismatch(_))));
    }
}
