//! The one concrete streaming body.

use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::Verifier;
use crate::error::{Error, Place};
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

    /// Reads `file` from `offset` to its end at `size` (in bytes), on the blocking pool: up to 256 KiB at a time, fewer where
    /// many files are read, and the next ones while those are on their way.
    ///
    /// A file that is shorter when it is read ends the body with an error that names `path`.
    pub fn from_file(file: File, path: impl AsRef<Path>, offset: u64, size: u64) -> Self {
        let left = size.saturating_sub(offset);
        Self::from_opened(Opened { file, check: None }, path, offset, left)
    }

    /// Reads `file` from its beginning as [`Body::from_file`] does, and compares it with `expected`: where it differs, the
    /// body ends with [`Error::Mismatch`] instead of its last bytes.
    pub(crate) fn from_file_of(file: File, path: impl AsRef<Path>, expected: &Descriptor) -> Self {
        let check = Some(Box::new(Verifier::new(expected)));
        Self::from_opened(Opened { file, check }, path, 0, expected.size)
    }

    fn from_opened(opened: Opened, path: impl AsRef<Path>, offset: u64, left: u64) -> Self {
        let (path, state) = (path.as_ref().into(), State::Idle(opened));
        let reader = Reader { path, state, seek: Some(offset), left, _counted: Counted::new() };
        Self::new(Kind::File(reader), Some(left))
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

/// Reads a file chunk by chunk, one ahead of what was taken. The file travels to the blocking pool and back, so that
/// dropping the body never waits and at most one read is under way.
struct Reader {
    path: Arc<Path>,
    state: State,
    seek: Option<u64>,
    /// How much nobody has begun to read.
    left: u64,
    _counted: Counted,
}

/// How many files are being read: what each may take at a time depends on that.
static READERS: AtomicU64 = AtomicU64::new(0);

/// One of those that read.
struct Counted;

impl Counted {
    fn new() -> Self {
        READERS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

enum State {
    /// There is nothing more to read, or it cannot be read.
    Done,
    Idle(Opened),
    Reading(JoinHandle<(Opened, Result<Bytes, Error>)>),
}

/// What travels.
struct Opened {
    file: File,
    /// What the content has to be, where that is to be found out.
    check: Option<Box<Verifier>>,
}

impl Reader {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(opened) => self.read_on(opened),
                State::Reading(mut task) => {
                    let Poll::Ready(outcome) = Pin::new(&mut task).poll(context) else {
                        self.state = State::Reading(task);
                        return Poll::Pending;
                    };
                    let lost = |error| Error::io("read", &*self.path, io::Error::other(error));
                    let read = outcome.map_err(lost).and_then(|(opened, read)| {
                        let bytes = read?;
                        // While these are on their way the next ones come.
                        self.read_on(opened);
                        Ok(bytes)
                    });
                    return Poll::Ready(Some(read));
                }
            }
        }
    }

    /// Begins to read the next chunk, if there is one.
    fn read_on(&mut self, mut opened: Opened) {
        let share = (TOGETHER / READERS.load(Ordering::Relaxed).max(1)).clamp(LEAST, MOST);
        let wanted = self.left.min(share);
        if wanted > 0 {
            self.left -= wanted;
            let (path, seek, last) = (self.path.clone(), self.seek.take(), self.left == 0);
            self.state = State::Reading(tokio::task::spawn_blocking(move || {
                let read = opened.read(&path, seek, wanted).and_then(|bytes| opened.compare(&path, bytes, last));
                (opened, read)
            }));
        }
    }
}

impl Opened {
    fn read(&mut self, path: &Path, seek: Option<u64>, wanted: u64) -> Result<Bytes, Error> {
        // At most `MOST`.
        let mut buffer = Vec::with_capacity(wanted as usize);
        let outcome = seek
            .map_or(Ok(0), |offset| self.file.seek(SeekFrom::Start(offset)))
            .and_then(|_| (&self.file).take(wanted).read_to_end(&mut buffer))
            .and_then(|read| match read as u64 == wanted {
                true => Ok(buffer.into()),
                false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read")),
            });
        outcome.map_err(|error| Error::io("read", path, error))
    }

    /// Returns what was read, unless it is the last of something wrong.
    fn compare(&mut self, path: &Path, bytes: Bytes, last: bool) -> Result<Bytes, Error> {
        let Some(verifier) = &mut self.check else { return Ok(bytes) };
        let expected = verifier.expected().clone();
        let compared = verifier.update(&bytes).and_then(|()| match self.check.take_if(|_| last) {
            Some(verifier) => verifier.finish().map(|_| ()),
            None => Ok(()),
        });
        let blame = |actual| Verifier::blame(&expected, actual, Place::File(path.to_owned()));
        compared.map(|()| bytes).map_err(blame)
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

/// How much all files that are being read may take at once, in bytes.
const TOGETHER: u64 = 1 << 20;
/// How much of one file is read at once, at the least and at the most: large enough that the trip to the blocking pool does
/// not show.
const LEAST: u64 = 32 << 10;
const MOST: u64 = 256 << 10;

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
