//! Connections that are torn on purpose: the peer sees a reset instead of an end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What tears the connection that a request came on, as an extension of the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Rupture(Arc<AtomicBool>);

impl Rupture {
    /// From now on the connection ends by a reset (RFC 9293, section 3.5.2), whoever ends it.
    pub(super) fn tear(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_torn(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A socket that ends by a reset once it was torn.
pub(super) struct Tearable {
    stream: TcpStream,
    rupture: Rupture,
}

impl Tearable {
    pub(super) fn new(stream: TcpStream, rupture: Rupture) -> Self {
        Self { stream, rupture }
    }
}

impl Drop for Tearable {
    fn drop(&mut self) {
        if self.rupture.is_torn() {
            // Where the system does not do that, it is an end like others.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Tearable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tearable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An orderly end would come before the reset, and be taken for all there is to it.
        if self.rupture.is_torn() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
