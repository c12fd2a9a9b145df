//! The one concrete streaming body.

use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Verifier;
use super::reader::Reader;
use crate::error::Error;
use crate::model::Descriptor;

/// A stream of bytes that may fail: what an opened blob yields, a request sends, a response brings.
///
/// It implements [`http_body::Body`], so it goes onto the wire as it is. Bytes are not verified
/// here; whoever takes them is responsible (see [`super::Verifier`]).
pub struct Body {
    kind: Kind,
    /// Bytes still to be dropped from the front.
    skip: u64,
    /// Bytes still to be yielded, where that is bounded or known.
    left: Option<u64>,
    /// Whether `left` is a bound laid upon the stream (`take`) or what its origin announced.
    bounded: bool,
    /// Held until the body is dropped.
    guards: Vec<Box<dyn Send>>,
    seams: Seams,
}

/// Whether the bytes of a body were put together from several answers: shared by the body and whoever does that.
///
/// Where such bytes turn out to be wrong, the pieces may be right and not fit; all of them anew is worth one try.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seams(Arc<AtomicBool>);

impl Seams {
    /// Takes note of a seam.
    pub(crate) fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Says whether there is one.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

enum Kind {
    Bytes(Bytes),
    File(Reader),
    Wrapped(Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>),
}

impl Body {
    /// Yields nothing.
    pub fn empty() -> Self {
        Self::from_bytes(Bytes::new())
    }

    /// Yields `bytes`.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let left = Some(bytes.len() as u64);
        Self::new(Kind::Bytes(bytes), left)
    }

    /// Reads `file` from `offset` to its end at `size` (in bytes), up to 256 KiB at a time and fewer where many files are read:
    /// at once what the system has in memory, the rest on the blocking pool, while what came before is on its way.
    ///
    /// A file that is shorter when it is read ends the body with an error that names `path`.
    pub fn from_file(file: File, path: impl AsRef<Path>, offset: u64, size: u64) -> Self {
        let left = size.saturating_sub(offset);
        Self::new(Kind::File(Reader::new(file, path.as_ref(), offset, left, None)), Some(left))
    }

    /// Reads `file` from its beginning as [`Body::from_file`] does, and compares it with `expected`: where it differs, the
    /// body ends with [`Error::Mismatch`] instead of its last bytes.
    pub(crate) fn from_file_of(file: File, path: impl AsRef<Path>, expected: &Descriptor) -> Self {
        let check = Some(Box::new(Verifier::new(expected)));
        let reader = Reader::new(file, path.as_ref(), 0, expected.size, check);
        Self::new(Kind::File(reader), Some(expected.size))
    }

    /// Wraps any other body. Its errors are mapped by `blame`.
    pub fn wrap<B, F>(body: B, blame: F) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        F: Fn(B::Error) -> Error + Send + Unpin + 'static,
    {
        let left = body.size_hint().exact();
        Self::new(Kind::Wrapped(Box::pin(Blaming { body: Box::pin(body), blame })), left)
    }

    /// Wraps a stream of bytes whose length is `left`, if that is known.
    pub fn from_stream<S>(stream: S, left: Option<u64>) -> Self
    where
        S: futures_util::Stream<Item = Result<Bytes, Error>> + Send + 'static,
    {
        Self::new(Kind::Wrapped(Box::pin(Streamed(Box::pin(stream)))), left)
    }

    fn new(kind: Kind, left: Option<u64>) -> Self {
        Self { kind, skip: 0, left, bounded: false, guards: Vec::new(), seams: Seams::default() }
    }

    /// Ends the body after `n` bytes at the latest.
    #[must_use]
    pub fn take(self, n: u64) -> Self {
        let left = Some(self.left.map_or(n, |left| left.min(n)));
        Self { left, bounded: true, ..self }
    }

    /// Drops the first `n` bytes.
    #[must_use]
    pub fn skip(mut self, n: u64) -> Self {
        self.skip += n;
        self.left = self.left.map(|left| left.saturating_sub(n));
        self
    }

    /// Keeps `guard` (a permit, a connection, a lock) until the body is dropped.
    #[must_use]
    pub fn holding(mut self, guard: impl Send + 'static) -> Self {
        self.guards.push(Box::new(guard));
        self
    }

    /// Says where seams will be marked.
    #[must_use]
    pub(crate) fn with_seams(self, seams: Seams) -> Self {
        Self { seams, ..self }
    }

    /// Returns where seams are marked; it outlives the body.
    pub(crate) fn seams(&self) -> Seams {
        self.seams.clone()
    }

    /// Returns how many bytes are left, where that is known.
    pub fn remaining(&self) -> Option<u64> {
        self.left
    }

    /// Waits for the next bytes; `None` is the end.
    ///
    /// # Errors
    ///
    /// Whatever the origin of the bytes reports. After an error the body yields nothing of use.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|context| self.poll_chunk(context)).await
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if self.left == Some(0) && (self.bounded || matches!(self.kind, Kind::Bytes(_) | Kind::File(_))) {
                return Poll::Ready(None);
            }
            let mut chunk = match ready!(self.kind.poll(context)) {
                Some(Ok(chunk)) => chunk,
                end => return Poll::Ready(end),
            };
            if self.skip > 0 {
                let dropped = self.skip.min(chunk.len() as u64);
                self.skip -= dropped;
                // `dropped` is at most the chunk's length, which is a usize.
                chunk = chunk.slice(dropped as usize..);
            }
            if chunk.is_empty() {
                continue;
            }
            if let Some(left) = &mut self.left {
                if self.bounded && *left < chunk.len() as u64 {
                    chunk.truncate(*left as usize);
                }
                *left = left.saturating_sub(chunk.len() as u64);
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
    }
}

impl Kind {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::File(reader) => reader.poll(context),
            Self::Wrapped(body) => loop {
                // Trailers carry nothing that anybody here asks for.
                match ready!(body.as_mut().poll_frame(context)) {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            },
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll_chunk(context).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0) && !matches!(self.kind, Kind::Wrapped(_))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Bytes(_) => "bytes",
            Kind::File(_) => "file",
            Kind::Wrapped(_) => "stream",
        };
        write!(f, "Body({kind}, {:?} left)", self.left)
    }
}

struct Blaming<B, F> {
    body: Pin<Box<B>>,
    blame: F,
}

impl<B, F> http_body::Body for Blaming<B, F>
where
    B: http_body::Body<Data = Bytes>,
    F: Fn(B::Error) -> Error + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.body.as_mut().poll_frame(context));
        Poll::Ready(frame.map(|outcome| outcome.map_err(&self.blame)))
    }
}

struct Streamed<S>(Pin<Box<S>>);

impl<S: futures_util::Stream<Item = Result<Bytes, Error>>> http_body::Body for Streamed<S> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.as_mut().poll_next(context).map_ok(Frame::data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collect(mut body: Body) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(chunk) = body.chunk().await {
            all.extend_from_slice(&chunk.expect("bytes in memory do not fail"));
        }
        all
    }

    fn stream(parts: &[&'static str]) -> Body {
        let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
        Body::from_stream(futures_util::stream::iter(parts), None)
    }

    #[tokio::test]
    async fn take_and_skip_cut_anywhere() {
        for (skip, take, expected) in [
            (0, 10, "abcdef"),
            (0, 6, "abcdef"),
            (0, 4, "abcd"),
            (1, 4, "bcde"),
            (3, 1, "d"),
            (4, 9, "ef"),
            (6, 1, ""),
            (9, 9, ""),
            (2, 0, ""),
        ] {
            let body = stream(&["abc", "", "de", "f"]).skip(skip).take(take);
            assert_eq!(collect(body).await, expected.as_bytes(), "skip {skip}, take {take}");
            let body = Body::from_bytes("abcdef").skip(skip).take(take);
            assert_eq!(collect(body).await, expected.as_bytes(), "bytes: skip {skip}, take {take}");
        }
    }

    #[tokio::test]
    async fn a_wrapped_body_longer_than_announced_is_not_cut() {
        let parts = [Ok(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"def"))];
        let body = Body::from_stream(futures_util::stream::iter(parts), Some(3));
        assert_eq!(collect(body).await, b"abcdef");
    }

    #[test]
    fn remaining_is_known_where_it_can_be() {
        assert_eq!(Body::from_bytes("abc").skip(1).remaining(), Some(2));
        assert_eq!(Body::from_bytes("abc").take(2).remaining(), Some(2));
        assert_eq!(stream(&["a"]).remaining(), None);
        assert_eq!(stream(&["a"]).take(5).remaining(), Some(5));
    }
}
