//! Peers that stop half way are not waited for forever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How many requests of one connection are being answered: while we work, the peer has every right to be silent.
#[derive(Clone, Default)]
pub(super) struct Busy(Arc<AtomicUsize>);

/// One request that is being answered, until it is dropped.
pub(super) struct Working(Arc<AtomicUsize>);

impl Busy {
    pub(super) fn working(&self) -> Working {
        self.0.fetch_add(1, Ordering::Relaxed);
        Working(self.0.clone())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that fails with [`io::ErrorKind::TimedOut`] once neither side has moved a byte for `limit` and the peer
/// is to blame: no request is being answered, or the peer does not take what we send.
pub(super) struct Idle<C> {
    connection: C,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
    busy: Busy,
    /// Whether the last attempt to write has found no room.
    blocked: bool,
}

impl<C> Idle<C> {
    pub(super) fn new(connection: C, limit: Duration, busy: Busy) -> Self {
        Self { connection, limit, deadline: Box::pin(sleep(limit)), busy, blocked: false }
    }

    /// Lets progress move the deadline, and the deadline end what makes none.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.deadline.as_mut().reset(Instant::now() + self.limit);
            return outcome;
        }
        while self.deadline.as_mut().poll(context).is_ready() {
            if self.blocked || self.busy.0.load(Ordering::Relaxed) == 0 {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.deadline.as_mut().reset(Instant::now() + self.limit);
        }
        Poll::Pending
    }
}

/// A body that fails with [`Late::Silent`] once it was waited for, for `limit`, and brought nothing. The time between
/// two looks at it does not count.
pub(super) struct Timely<B> {
    body: B,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

/// Why a body ended too early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Late<E> {
    /// The peer has stopped sending.
    #[error("nothing came for too long")]
    Silent,
    /// The connection failed.
    #[error(transparent)]
    Broken(E),
}

impl<B> Timely<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self { body, limit, waiting: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Timely<B> {
    type Data = Bytes;
    type Error = Late<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame.map(|outcome| outcome.map_err(Late::Broken)));
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting.as_mut().poll(context).map(|()| Some(Err(Late::Silent)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Idle<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.connection).poll_read(context, buffer);
        self.watch(context, outcome)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Idle<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.blocked = outcome.is_pending();
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.connection).poll_write_vectored(context, slices);
        self.blocked = outcome.is_pending();
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    // Flushing moves no bytes of its own: it must not keep a dead connection alive.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_and_progress_does_not() {
        let (mut near, far) = tokio::io::duplex(16);
        let mut far = Idle::new(far, LIMIT, Busy::default());
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(9)).await;
            near.write_all(b"x").await.expect("room");
            assert_eq!(far.read_u8().await.expect("a byte"), b'x');
        }
        assert_eq!(far.read_u8().await.expect_err("silence").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_ends_a_connection() {
        let (_near, far) = tokio::io::duplex(16);
        let mut far = Idle::new(far, LIMIT, Busy::default());
        assert_eq!(far.write_all(&[0; 17]).await.expect_err("full").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_while_we_work_is_no_fault() {
        let (mut near, far) = tokio::io::duplex(16);
        let busy = Busy::default();
        let mut far = Idle::new(far, LIMIT, busy.clone());
        let working = busy.working();
        let late = async {
            tokio::time::advance(LIMIT * 5).await;
            near.write_all(b"x").await.expect("room");
        };
        let (read, ()) = tokio::join!(far.read_u8(), late);
        assert_eq!(read.expect("a byte"), b'x');
        drop(working);
        assert_eq!(far.read_u8().await.expect_err("silence").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_at_fault_even_then() {
        let (_near, far) = tokio::io::duplex(16);
        let busy = Busy::default();
        let mut far = Idle::new(far, LIMIT, busy.clone());
        let _working = busy.working();
        assert_eq!(far.write_all(&[0; 17]).await.expect_err("full").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_not_waited_for() {
        use crate::error::Error;
        let first = futures_util::stream::iter([Ok::<_, Error>(Bytes::from_static(b"x"))]);
        let body = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        let mut body = Timely::new(crate::content::Body::from_stream(body, None), LIMIT);
        let mut next = async || std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(matches!(next().await, Some(Ok(_))));
        tokio::time::advance(LIMIT * 5).await;
        let started = Instant::now();
        assert!(matches!(next().await, Some(Err(Late::Silent))));
        assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs(), "what passed before it was waited for does not count");
    }
}
