//! Files whose digest is found out while they are read for another purpose.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc::{Sender, channel};

use super::{Body, Event, Open, Progress};
use crate::error::Error;
use crate::model::{Algorithm, Digest, Digester};

/// A file of which nobody knows the digest (SHA-256) yet; cheap to clone.
///
/// Whoever opens it gets its bytes, and they are hashed on the blocking pool on their way, each once, however often it is
/// opened and wherever. At most 1 MiB is in memory for each opening. A file that has changed meanwhile ends the body with an
/// error instead of its last bytes.
#[derive(Clone)]
pub struct Unhashed(Arc<Inner>);

struct Inner {
    path: PathBuf,
    look: Look,
    hashing: Mutex<Hashing>,
    progress: Arc<dyn Progress>,
}

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    size: u64,
    modified: Option<SystemTime>,
}

/// How far the digest has come.
struct Hashing {
    digester: Digester,
    /// How many bytes it covers, from the first one on.
    covered: u64,
}

impl Unhashed {
    /// Looks at a file; it is read when it is opened. What is then read is told to `progress`. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where there is no such file.
    pub fn at(path: impl Into<PathBuf>, progress: Arc<dyn Progress>) -> Result<Self, Error> {
        let path = path.into();
        let look = Look::at(&path).map_err(|error| Error::io("read", &path, error))?;
        let hashing = Mutex::new(Hashing { digester: Digester::new(Algorithm::Sha256), covered: 0 });
        Ok(Self(Arc::new(Inner { path, look, hashing, progress })))
    }

    /// Returns how many bytes it has.
    pub fn size(&self) -> u64 {
        self.0.look.size
    }

    /// Returns its digest, once all of its bytes were read.
    pub fn digest(&self) -> Option<Digest> {
        let hashing = self.0.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        (hashing.covered == self.0.look.size).then(|| hashing.digester.clone().finish())
    }
}

impl Open for Unhashed {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        let (inner, left) = (self.0.clone(), self.0.look.size.saturating_sub(offset));
        Box::pin(async move {
            let progress = inner.progress.clone();
            let (sender, mut receiver) = channel(WAITING);
            // It ends with the file, or at the next piece when nobody wants it any more.
            tokio::task::spawn_blocking(move || inner.read(offset, &sender));
            let pieces = stream::poll_fn(move |context| {
                let piece = receiver.poll_recv(context);
                if let std::task::Poll::Ready(Some(Ok(bytes))) = &piece {
                    let bytes: &Bytes = bytes;
                    progress.event(Event::Ahead { bytes: bytes.len() as u64 });
                }
                piece
            });
            Ok(Body::from_stream(pieces, Some(left)))
        })
    }
}

impl Inner {
    /// Reads the file from `offset` on for whoever is at the other end. Blocks.
    fn read(&self, mut offset: u64, taker: &Sender<Result<Bytes, Error>>) {
        let mut file = File::open(&self.path).and_then(|mut file| file.seek(SeekFrom::Start(offset)).map(|_| file));
        while offset < self.look.size {
            let piece = match &mut file {
                Ok(file) => self.piece(file, offset),
                Err(error) => Err(std::mem::replace(error, io::ErrorKind::Other.into())),
            };
            let is_broken = piece.is_err();
            offset += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let piece = piece.map_err(|error| Error::io("read", &self.path, error));
            if taker.blocking_send(piece).is_err() || is_broken {
                return;
            }
        }
    }

    /// Reads the piece at `offset`, where `file` stands, and hashes it; the last one of a file that has changed is an error.
    fn piece(&self, file: &mut File, offset: u64) -> io::Result<Bytes> {
        let wanted = (self.look.size - offset).min(PIECE);
        // At most `PIECE`.
        let mut buffer = Vec::with_capacity(wanted as usize);
        let read = file.take(wanted).read_to_end(&mut buffer)? as u64;
        let is_last = offset + read == self.look.size;
        if read < wanted || is_last && Look::at(&self.path)? != self.look {
            return Err(io::Error::other("the file changed while it was read"));
        }
        self.hashing.lock().unwrap_or_else(PoisonError::into_inner).cover(offset, &buffer);
        Ok(buffer.into())
    }
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        Ok(Self { size: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl Hashing {
    /// Adds what is new of the bytes at `offset`; what does not join what was there before adds nothing.
    fn cover(&mut self, offset: u64, bytes: &[u8]) {
        let known = usize::try_from(self.covered.saturating_sub(offset)).unwrap_or(usize::MAX);
        if offset <= self.covered && known < bytes.len() {
            self.digester.update(&bytes[known..]);
            self.covered = offset + bytes.len() as u64;
        }
    }
}

impl fmt::Debug for Unhashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unhashed({}, {} bytes)", self.0.path.display(), self.0.look.size)
    }
}

/// How much is read and hashed at once, in bytes.
const PIECE: u64 = 256 << 10;
/// How many pieces may wait for the network: so many that the hashing never does where the network is faster.
const WAITING: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_hashed_once_and_in_order() {
        let all: Vec<u8> = (0..=255).collect();
        for pieces in [
            &[0..100, 100..256][..],
            &[0..256, 256..256],
            // The connection breaks, and the registry has less than was read, or more.
            &[0..100, 100..200, 50..150, 150..256],
            &[0..100, 0..256],
            &[0..256, 10..20],
        ] {
            let mut hashing = Hashing { digester: Digester::new(Algorithm::Sha256), covered: 0 };
            for piece in pieces {
                hashing.cover(piece.start as u64, &all[piece.clone()]);
            }
            assert_eq!((hashing.covered, hashing.digester.finish()), (256, Digest::of(&all)), "{pieces:?}");
        }
        let mut hashing = Hashing { digester: Digester::new(Algorithm::Sha256), covered: 0 };
        hashing.cover(0, &all[..10]);
        hashing.cover(20, &all[20..]);
        assert_eq!(hashing.covered, 10, "what lies between was not read");
    }
}
