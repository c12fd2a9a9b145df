//! Progress: what is being moved, told to whoever wants to know.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use super::{Body, Open, Pushed};
use crate::error::Error;
use crate::model::{Descriptor, Digest};

/// Something that happened while content was moved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The plan is made: so many blobs of so many bytes altogether may have to move.
    Planned {
        /// How many blobs.
        blobs: u64,
        /// Their sizes together, in bytes.
        bytes: u64,
    },
    /// A blob is about to move.
    Started(&'a Descriptor),
    /// A blob was opened at `offset`: what was reported beyond that is moved again.
    Opened {
        /// Which blob.
        digest: &'a Digest,
        /// From where on, in bytes.
        offset: u64,
    },
    /// More bytes of a blob have moved.
    Moved {
        /// Which blob.
        digest: &'a Digest,
        /// How many more bytes.
        bytes: u64,
    },
    /// More bytes of a file have moved whose digest is not known yet; the plan comes after it, and counts it again as a blob.
    Ahead {
        /// How many more bytes.
        bytes: u64,
    },
    /// A blob is where it should be.
    Finished {
        /// Which blob.
        descriptor: &'a Descriptor,
        /// How it came there.
        how: Pushed,
    },
}

/// Listens to events. Called synchronously from inside transfers: it must not block.
pub trait Progress: Send + Sync {
    /// Takes note of `event`.
    fn event(&self, event: Event<'_>);
}

/// Silence.
impl Progress for () {
    fn event(&self, _: Event<'_>) {}
}

/// Opens something else and reports the bytes that come out of it.
pub(super) struct Observed {
    descriptor: Arc<Descriptor>,
    inner: Arc<dyn Open>,
    progress: Arc<dyn Progress>,
}

impl Observed {
    pub(super) fn new(descriptor: Arc<Descriptor>, inner: Arc<dyn Open>, progress: Arc<dyn Progress>) -> Self {
        Self { descriptor, inner, progress }
    }
}

impl Open for Observed {
    fn open(&self, offset: u64) -> Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move {
            let body = self.inner.open(offset).await?;
            self.progress.event(Event::Opened { digest: &self.descriptor.digest, offset });
            let (left, seams) = (body.remaining(), body.seams());
            let counted = Counted { body, digest: self.descriptor.digest, progress: self.progress.clone() };
            Ok(Body::from_stream(counted, left).with_seams(seams))
        })
    }
}

struct Counted {
    body: Body,
    digest: Digest,
    progress: Arc<dyn Progress>,
}

impl Stream for Counted {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        use http_body::Body as _;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let chunk = frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()));
        if let Some(Ok(bytes)) = &chunk {
            self.progress.event(Event::Moved { digest: &self.digest, bytes: bytes.len() as u64 });
        }
        Poll::Ready(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::content::Blob;
    use crate::model::MediaType;

    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    impl Progress for Log {
        fn event(&self, event: Event<'_>) {
            let line = match event {
                Event::Opened { offset, .. } => format!("open {offset}"),
                Event::Moved { bytes, .. } => format!("moved {bytes}"),
                other => format!("{other:?}"),
            };
            self.0.lock().expect("no test panics while logging").push(line);
        }
    }

    #[tokio::test]
    async fn observed_blobs_report_and_keep_their_length() {
        let log = Arc::new(Log::default());
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "abcdef").observed(log.clone());
        let mut body = blob.open(2).await.expect("memory opens");
        assert_eq!(body.remaining(), Some(4));
        while body.chunk().await.is_some() {}
        assert_eq!(*log.0.lock().expect("no test panics while logging"), ["open 2", "moved 4"]);
    }
}
