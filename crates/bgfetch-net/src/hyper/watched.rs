//! A connection whose incoming bytes are checked before the HTTP library gets them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use super::framing_lines::FramingLines;
use super::limits::ServerLimits;

/// A connection that fails once a check has failed.
pub(super) struct Watched<S> {
    inner: S,
    watch: Watch,
}

enum Watch {
    Nothing,
    Frames(Frames),
    Lines(FramingLines),
}

impl<S: Connection> Watched<S> {
    /// Counts frames if the connection uses HTTP/2.
    pub(super) fn new(inner: S, limits: &ServerLimits) -> Self {
        let watch = if inner.connected().is_negotiated_h2() {
            Watch::Frames(Frames::new(limits))
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
    fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Frames(frames) => frames.receive(bytes),
            Self::Lines(lines) => lines.read(bytes),
        }
    }

    fn send<'a>(
        &mut self,
        slices: impl IntoIterator<Item = &'a [u8]>,
        mut written: usize,
    ) -> io::Result<()> {
        let Self::Frames(frames) = self else { return Ok(()) };
        for slice in slices {
            let (sent, _) = slice.split_at(written.min(slice.len()));
            frames.send(sent)?;
            written -= sent.len();
        }
        Ok(())
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
        Poll::Ready(this.watch.receive(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(context, bytes))?;
        this.watch.send([bytes], written)?;
        Poll::Ready(Ok(written))
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
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(context, slices))?;
        this.watch.send(slices.iter().map(|slice| &**slice), written)?;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
