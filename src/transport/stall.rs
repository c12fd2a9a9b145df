//! Bodies under watch: how long may nothing move?

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::failure::Failure;
use super::limit::Permit;
use crate::content::Body;
use crate::error::{Cause, Error};

/// The body of an answer: fails when it brings nothing for too long, and gives its permit back at its end.
///
/// The time runs while somebody waits for bytes. A consumer that is slow itself is no stall.
pub(super) struct Incoming<B> {
    inner: B,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    permit: Option<Permit>,
}

impl<B: http_body::Body> Incoming<B> {
    pub(super) fn new(inner: B, limit: Duration, permit: Permit) -> Self {
        // An answer without a body holds nothing, however long it is kept.
        let permit = (!inner.is_end_stream()).then_some(permit);
        Self { inner, limit, timer: None, permit }
    }
}

impl<B> http_body::Body for Incoming<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Cause>,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let outcome = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(outcome) => outcome.map(|outcome| outcome.map_err(Failure::exchanging)),
            Poll::Pending => {
                let limit = this.limit;
                ready!(this.timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(context));
                Some(Err(Failure::late("more bytes", limit)))
            }
        };
        this.timer = None;
        if !matches!(outcome, Some(Ok(_))) {
            this.permit = None;
        }
        Poll::Ready(outcome)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a request: tells its [`Watch`] how it fares.
pub(super) struct Outgoing {
    inner: Body,
    watch: Arc<Watch>,
}

/// Knows whose turn it is while a request is under way, and since when.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the server's turn began; `None` while the request's own bytes are awaited from their source.
    since: Option<Instant>,
    sent: u64,
    /// Whether all bytes went out, so that what is awaited is the answer.
    complete: bool,
    /// What the source of the bytes reported.
    failure: Option<Error>,
}

impl Outgoing {
    pub(super) fn new(inner: Body) -> (Self, Arc<Watch>) {
        let complete = inner.remaining() == Some(0);
        let state = State { since: Some(Instant::now()), sent: 0, complete, failure: None };
        let watch = Arc::new(Watch { state: Mutex::new(state) });
        (Self { inner, watch: watch.clone() }, watch)
    }
}

impl Watch {
    /// Ends when the server had its turn for too long, and says with what.
    ///
    /// That is `limit` for each piece of the body, and then for the answer; an answer to a large body may take longer.
    pub(super) async fn overdue(&self, limit: Duration) -> Failure {
        loop {
            let (since, limit, what) = {
                let state = self.state();
                if state.complete {
                    let allowance = Duration::from_secs(state.sent / BYTES_PER_SECOND);
                    (state.since, limit + allowance, "answer")
                } else {
                    (state.since, limit, "progress of the upload")
                }
            };
            match since.map(|since| since + limit) {
                Some(deadline) if deadline <= Instant::now() => return Failure::late(what, limit),
                Some(deadline) => sleep_until(deadline).await,
                None => sleep(limit).await,
            }
        }
    }

    /// Returns what the source of the bytes reported, if the request failed for that.
    pub(super) fn failure(&self) -> Option<Error> {
        self.state().failure.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: there is no half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        // A client that knows the length does not ask for the end.
        let complete = self.inner.remaining() == Some(0) || matches!(polled, Poll::Ready(None));
        let mut state = self.watch.state();
        state.complete = complete;
        state.since = polled.is_ready().then(Instant::now);
        let outcome = match ready!(polled) {
            Some(Ok(frame)) => {
                state.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                state.failure = Some(error);
                Some(Err(Aborted))
            }
            None => None,
        };
        Poll::Ready(outcome)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Stands for the error that the watch keeps.
#[derive(Debug, thiserror::Error)]
#[error("the request's body failed")]
pub(super) struct Aborted;

/// What a registry can be expected to hash or move per second before it answers an upload.
const BYTES_PER_SECOND: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http_body::Body as _;

    use super::*;
    use crate::transport::limit::{Limits, Traffic};
    use crate::transport::{Origin, Policy};

    const LIMIT: Duration = Duration::from_secs(60);

    fn limits() -> (Limits, Origin) {
        let origin = Origin::of(&"https://r.example".parse().expect("a URI")).expect("an origin");
        (Limits::new(&Policy { down: 1, ..Policy::default() }, Arc::default()), origin)
    }

    async fn frame(
        body: &mut (impl http_body::Body<Data = Bytes, Error = Failure> + Unpin),
    ) -> Option<Result<Frame<Bytes>, Failure>> {
        std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_brings_nothing_ends_and_gives_its_permit_back() {
        let (limits, origin) = limits();
        let silent = stream::iter([Ok(Bytes::from_static(b"a"))]).chain(stream::pending());
        let permit = limits.permit(&origin, Traffic::Down).await;
        let mut body = Incoming::new(Body::from_stream(silent, None), LIMIT, permit);
        assert!(frame(&mut body).await.is_some_and(|frame| frame.is_ok()));
        assert!(limits.permit(&origin, Traffic::Down).now_or_never().is_none(), "it is under way");
        let failure = frame(&mut body).await.expect("an end").expect_err("a stall");
        assert_eq!(failure.to_string(), "no more bytes within 60 s");
        assert!(limits.permit(&origin, Traffic::Down).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_consumer_is_no_stall() {
        let (limits, origin) = limits();
        let permit = limits.permit(&origin, Traffic::Down).await;
        let parts = stream::iter([Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"b"))]);
        let mut body = Incoming::new(Body::from_stream(parts, None), LIMIT, permit);
        for _ in 0..2 {
            tokio::time::advance(2 * LIMIT).await;
            assert!(frame(&mut body).await.is_some_and(|frame| frame.is_ok()));
        }
        assert!(frame(&mut body).await.is_none());
        assert!(limits.permit(&origin, Traffic::Down).now_or_never().is_some(), "the end gives the permit back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_overdue_by_its_own_time_alone() {
        // Waiting for the source of an upload is not the server's fault.
        let (mut body, watch) = Outgoing::new(Body::from_stream(stream::pending(), None));
        let polled = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context))).await;
        assert!(polled.is_pending());
        assert!(tokio::time::timeout(10 * LIMIT, watch.overdue(LIMIT)).await.is_err());
        // Waiting for its answer is, and for it to take what was sent.
        let (_body, watch) = Outgoing::new(Body::empty());
        assert_eq!(watch.overdue(LIMIT).await.to_string(), "no answer within 60 s");
        let (_body, watch) = Outgoing::new(Body::from_bytes("abc"));
        assert_eq!(watch.overdue(LIMIT).await.to_string(), "no progress of the upload within 60 s");
        // Who was sent much has much to do.
        let much = vec![0; 2 * BYTES_PER_SECOND as usize];
        let (mut body, watch) = Outgoing::new(Body::from_bytes(much));
        assert!(std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some());
        assert_eq!(watch.overdue(LIMIT).await.to_string(), "no answer within 62 s");
    }

    #[tokio::test]
    async fn the_source_of_an_upload_takes_its_own_blame() {
        let error = Error::io("read", "/f", std::io::Error::other("gone"));
        let (mut body, watch) = Outgoing::new(Body::from_stream(stream::iter([Err(error)]), None));
        let polled = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(polled.is_some_and(|frame| frame.is_err()));
        assert!(matches!(watch.failure(), Some(Error::Io(_))));
        assert!(watch.failure().is_none());
    }
}
