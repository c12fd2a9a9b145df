//! Who answers a TLS handshake with plain HTTP?

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// What the first bytes of a peer were, known to whoever holds a clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Sniffed(Arc<AtomicUsize>);

impl Sniffed {
    /// Says whether the peer began with `HTTP/`.
    pub(super) fn is_http(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HTTP.len()
    }

    fn is_settled(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= HTTP.len()
    }

    fn see(&self, bytes: &[u8]) {
        let mut seen = self.0.load(Ordering::Relaxed);
        for byte in bytes {
            match HTTP.get(seen) {
                Some(expected) if expected == byte => seen += 1,
                Some(_) => seen = OTHER,
                None => break,
            }
        }
        self.0.store(seen, Ordering::Relaxed);
    }
}

/// A stream whose first bytes are looked at while they pass.
pub(super) struct Sniffing<S> {
    inner: S,
    sniffed: Sniffed,
}

impl<S> Sniffing<S> {
    pub(super) fn new(inner: S, sniffed: Sniffed) -> Self {
        Self { inner, sniffed }
    }
}

impl<S: Read + Unpin> Read for Sniffing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.sniffed.is_settled() || buffer.remaining() == 0 {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        // What is in a caller's buffer cannot be read back, so the first bytes come through one of ours.
        let mut first = [0; HTTP.len()];
        let room = first.len().min(buffer.remaining());
        let mut first = ReadBuf::new(&mut first[..room]);
        ready!(Pin::new(&mut self.inner).poll_read(context, first.unfilled()))?;
        self.sniffed.see(first.filled());
        buffer.put_slice(first.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Sniffing<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}

impl<S: Connection> Connection for Sniffing<S> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

/// How every answer in HTTP/1 begins.
const HTTP: &[u8; 5] = b"HTTP/";

/// Some other beginning was seen.
const OTHER: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_beginning_counts() {
        for (reads, http) in [
            (&["HTTP/1.1 400"][..], true),
            (&["H", "TT", "P/", "1.0"], true),
            (&["HTTP"], false),
            (&["HTTQ/", "HTTP/"], false),
            (&["XHTTP/"], false),
            (&["\u{15}\u{3}\u{1}"], false),
            (&[], false),
        ] {
            let sniffed = Sniffed::default();
            for read in reads {
                sniffed.see(read.as_bytes());
            }
            assert_eq!(sniffed.is_http(), http, "{reads:?}");
        }
    }
}
