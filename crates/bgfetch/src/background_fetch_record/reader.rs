//! A response's body as a file that is still growing.

use std::fmt;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};

use super::RecordError;
use super::representation::Representation;
use super::response::CHUNK;

/// The least that is read from the file at once, if so much is stored: for consumers that read a
/// few bytes at a time, as demultiplexers do.
const LEAST: u64 = 64 << 10;

/// A response's body as a file that can be read and sought while it arrives; see
/// [`ResponseBody::reader`](super::ResponseBody::reader).
///
/// Reading waits for bytes that are still to come, so the end of the file is the end of the body.
/// Errors are [`RecordError`]s within [`io::Error`]s: that the download failed, or that the response
/// was [replaced](RecordError::Replaced).
///
/// Seeking is immediate, also to an offset beyond the bytes that are stored. [`SeekFrom::End`] needs
/// the [length](super::ResponseBody::length) of the body. Before it is known, the error is of the
/// kind [`Unsupported`](io::ErrorKind::Unsupported).
pub struct ResponseReader {
    representation: Representation,
    /// Where the next read begins.
    offset: u64,
    /// Bytes from that offset on that were read already.
    ahead: Bytes,
    reading: Option<BoxFuture<'static, Result<Bytes, RecordError>>>,
}

impl ResponseReader {
    pub(super) fn new(representation: Representation) -> Self {
        Self { representation, offset: 0, ahead: Bytes::new(), reading: None }
    }
}

impl AsyncRead for ResponseReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() && buffer.remaining() > 0 {
            let reading = this.reading.get_or_insert_with(|| {
                let (representation, offset) = (this.representation.clone(), this.offset);
                let limit = (buffer.remaining() as u64).clamp(LEAST, CHUNK);
                Box::pin(async move { representation.chunk_at(offset, limit).await })
            });
            let chunk = ready!(reading.as_mut().poll(cx));
            this.reading = None;
            this.ahead = chunk?;
        }
        let length = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(this.ahead.get(..length).unwrap_or_default());
        this.ahead.advance(length);
        this.offset += length as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for ResponseReader {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let offset = match position {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(distance) => self.offset.checked_add_signed(distance),
            SeekFrom::End(distance) => {
                let Some(length) = self.representation.length() else {
                    let unknown = "the length of the response is not known";
                    return Err(io::Error::new(io::ErrorKind::Unsupported, unknown));
                };
                length.checked_add_signed(distance)
            }
        };
        let Some(offset) = offset else {
            let outside = "an offset must not be negative";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, outside));
        };
        if offset != self.offset {
            (self.ahead, self.reading) = (Bytes::new(), None);
            self.offset = offset;
        }
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.offset))
    }
}

impl fmt::Debug for ResponseReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseReader").field("offset", &self.offset).finish_non_exhaustive()
    }
}
