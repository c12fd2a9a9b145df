//! What a request sends, and how it is produced again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::content::Body;
use crate::error::Error;

/// What a request sends. Cloning is cheap, and a clone produces the same bytes again.
///
/// Who may do that, and when, depends on what went wrong: [`Transport::send`](super::Transport::send) replays
/// [`Empty`](Self::Empty) and [`Bytes`](Self::Bytes) after failures; a [`Reopen`](Self::Reopen) it sends once, because
/// only its owner knows how much of it the peer has kept. After a redirect or a 401 every payload is produced again:
/// both mean that nothing of it was processed.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stream that can be opened again.
    Reopen(Reopen),
}

/// A stream that can be opened again, from its beginning.
#[derive(Clone)]
pub struct Reopen {
    length: Option<u64>,
    open: Arc<dyn Fn() -> Opening + Send + Sync>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Body, Error>> + Send>>;

impl Payload {
    /// Sends what `open` yields; `length` is how many bytes that is, where it is known.
    ///
    /// A known length is sent as `Content-Length`, an unknown one means chunks on HTTP/1.1, which many registries
    /// refuse for uploads.
    pub fn reopen<F>(length: Option<u64>, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Body, Error>> + Send + 'static,
    {
        Self::Reopen(Reopen { length, open: Arc::new(move || Box::pin(open())) })
    }

    /// Returns how many bytes will be sent, where that is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Reopen(stream) => stream.length,
        }
    }

    /// Says whether a failed request may be repeated without asking the payload's owner.
    pub(super) fn is_replayable(&self) -> bool {
        !matches!(self, Self::Reopen(_))
    }

    /// Produces the bytes, from the first one.
    pub(super) async fn open(&self) -> Result<Body, Error> {
        match self {
            Self::Empty => Ok(Body::empty()),
            Self::Bytes(bytes) => Ok(Body::from_bytes(bytes.clone())),
            Self::Reopen(stream) => (stream.open)().await,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl fmt::Debug for Reopen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reopen").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_payload_can_be_produced_again() {
        let stream = Payload::reopen(Some(3), || async { Ok(Body::from_bytes("abc")) });
        for (payload, length, replayable) in [
            (Payload::Empty, Some(0), true),
            (Payload::Bytes(Bytes::from_static(b"abc")), Some(3), true),
            (stream, Some(3), false),
            (Payload::reopen(None, || async { Ok(Body::from_bytes("abc")) }), None, false),
        ] {
            assert_eq!(payload.length(), length, "{payload:?}");
            assert_eq!(payload.is_replayable(), replayable, "{payload:?}");
            for _ in 0..2 {
                let mut body = payload.clone().open().await.expect("it opens");
                let first = body.chunk().await.map(|chunk| chunk.expect("bytes in memory"));
                let expected = if length == Some(0) { None } else { Some(Bytes::from_static(b"abc")) };
                assert_eq!(first, expected, "{payload:?}");
            }
        }
    }
}
