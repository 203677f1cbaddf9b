//! A connection whose incoming bytes are checked before the HTTP library gets them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Heads;
use super::framing_lines::FramingLines;

/// A connection whose reads fail once a check has failed.
pub(super) struct Watched<S> {
    inner: S,
    watch: Watch,
}

enum Watch {
    Nothing,
    Frames(Heads),
    Lines(FramingLines),
}

impl<S: Connection> Watched<S> {
    /// Allows `informational` heads on each HTTP/2 stream besides the final one.
    pub(super) fn new(inner: S, informational: usize) -> Self {
        let watch = if inner.connected().is_negotiated_h2() {
            Watch::Frames(Heads::new(informational))
        } else {
            Watch::Nothing
        };
        Self { inner, watch }
    }

    /// For one request over HTTP/1.1 whose response is parsed tolerantly.
    pub(super) fn for_tolerant_parser(inner: S) -> Self {
        Self { inner, watch: Watch::Lines(FramingLines::default()) }
    }
}

impl Watch {
    fn see(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Frames(heads) => heads.count(bytes),
            Self::Lines(lines) => lines.read(bytes),
        }
    }
}

impl<S: Connection> Connection for Watched<S> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        Poll::Ready(this.watch.see(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
