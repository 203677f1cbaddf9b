//! Decodes the members of a coded body one after the other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bgfetch_model::attempt::FaultKind;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::coding::{Coding, ZSTD_WINDOW_LOG, brotli_window};
use super::error;
use crate::fetcher::FetchError;

pub(super) type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// How many bytes are needed to detect a format.
const SIGNATURE: usize = 4;

/// Decodes one coding of a body as browsers do.
///
/// Bytes after the coded data that are not another member are skipped. They are read to the end, so
/// that a truncation is detected there too and the connection can be reused. An empty body stays
/// empty. `deflate` without the required zlib header is decoded as raw deflate.
pub(super) struct Members {
    coding: Coding,
    state: State,
}

enum State {
    /// At the start of a member or of other data.
    Begin {
        reader: Peekable,
        is_first: bool,
    },
    Member(Box<dyn Member>),
    /// Skipping the rest.
    Rest(Peekable),
    /// Only while the state is replaced, or after an error.
    Over,
}

impl Members {
    pub(super) fn new(reader: Reader, coding: Coding) -> Self {
        let reader = Peekable { inner: reader, peeked: Vec::new(), ended: false };
        Self { coding, state: State::Begin { reader, is_first: true } }
    }
}

impl AsyncRead for Members {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Begin { reader, .. } => ready!(reader.poll_peek(context))?,
                State::Member(member) => {
                    let before = buffer.filled().len();
                    let read = ready!(Pin::new(&mut **member).poll_read(context, buffer));
                    if let Err(error) = read {
                        return Poll::Ready(Err(member.reader().judge(error)));
                    }
                    if buffer.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                State::Rest(reader) => ready!(reader.poll_drain(context))?,
                State::Over => return Poll::Ready(Ok(())),
            }
            this.state = match std::mem::replace(&mut this.state, State::Over) {
                State::Begin { reader, is_first } => this.coding.begin(reader, is_first)?,
                State::Member(member) => {
                    State::Begin { reader: member.into_reader(), is_first: false }
                }
                State::Rest(_) | State::Over => State::Over,
            };
        }
    }
}

impl Coding {
    /// Detects the format of the next bytes of `reader`.
    fn begin(self, reader: Peekable, is_first: bool) -> io::Result<State> {
        let is_member = match (self, reader.peeked.as_slice()) {
            (_, []) => false,
            (_, _) if is_first => true,
            (Self::Gzip, signature) => signature.starts_with(&[0x1F, 0x8B]),
            // A frame, or a skippable frame.
            (Self::Zstd, [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18]) => true,
            (Self::Zstd | Self::Deflate | Self::Brotli, _) => false,
        };
        if !is_member {
            return Ok(State::Rest(reader));
        }
        if let (Self::Brotli, [first, ..]) = (self, reader.peeked.as_slice())
            && brotli_window(*first).is_none()
        {
            let large = error::protocol("the response's brotli window is too large");
            return Err(io::Error::other(large));
        }
        Ok(State::Member(match self {
            Self::Gzip => Box::new(GzipDecoder::new(reader)),
            Self::Deflate if is_zlib(&reader.peeked) => Box::new(ZlibDecoder::new(reader)),
            Self::Deflate => Box::new(DeflateDecoder::new(reader)),
            Self::Brotli => Box::new(BrotliDecoder::new(reader)),
            Self::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
                Box::new(ZstdDecoder::with_params(reader, &window))
            }
        }))
    }
}

/// Whether these bytes are a [zlib header](https://www.rfc-editor.org/rfc/rfc1950#section-2.2).
fn is_zlib(signature: &[u8]) -> bool {
    let &[method, flags, ..] = signature else {
        return false;
    };
    method & 0x0F == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0
}

/// A decoder that can return its reader.
trait Member: AsyncRead + Send + Unpin {
    fn reader(&self) -> &Peekable;
    fn into_reader(self: Box<Self>) -> Peekable;
}

macro_rules! members {
    ($($decoder:ident),*) => {$(
        impl Member for $decoder<Peekable> {
            fn reader(&self) -> &Peekable {
                self.get_ref()
            }

            fn into_reader(self: Box<Self>) -> Peekable {
                self.into_inner()
            }
        }
    )*};
}

members!(GzipDecoder, ZlibDecoder, DeflateDecoder, BrotliDecoder, ZstdDecoder);

/// A reader whose next bytes can be peeked at.
struct Peekable {
    inner: Reader,
    /// Bytes that were peeked at and not consumed.
    peeked: Vec<u8>,
    /// Whether `inner` is at its end.
    ended: bool,
}

impl Peekable {
    /// Fills `peeked` until it is full or the reader ends.
    fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.peeked.len() < SIGNATURE && !self.ended {
            let chunk = ready!(self.inner.as_mut().poll_fill_buf(context))?;
            self.ended = chunk.is_empty();
            let taken = chunk.len().min(SIGNATURE - self.peeked.len());
            self.peeked.extend(chunk.iter().take(taken));
            self.inner.as_mut().consume(taken);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads to the end.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.ended {
            let chunk = ready!(self.inner.as_mut().poll_fill_buf(context))?.len();
            self.ended = chunk == 0;
            self.inner.as_mut().consume(chunk);
        }
        Poll::Ready(Ok(()))
    }

    /// Classifies an error of the decoder. If it had read everything, the data was truncated.
    fn judge(&self, error: io::Error) -> io::Error {
        let is_below = error.get_ref().is_some_and(|error| error.is::<FetchError>());
        if is_below || !self.ended {
            return error;
        }
        io::Error::other(FetchError::new(
            FaultKind::Interrupted,
            true,
            "the coded response ended early",
        ))
    }
}

impl AsyncBufRead for Peekable {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if !this.peeked.is_empty() {
            return Poll::Ready(Ok(&this.peeked));
        }
        let chunk = ready!(this.inner.as_mut().poll_fill_buf(context))?;
        this.ended = chunk.is_empty();
        Poll::Ready(Ok(chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        if this.peeked.is_empty() {
            this.inner.as_mut().consume(amount);
        } else {
            this.peeked.drain(..amount.min(this.peeked.len()));
        }
    }
}

impl AsyncRead for Peekable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(context))?;
        let length = chunk.len().min(buffer.remaining());
        buffer.put_slice(chunk.get(..length).unwrap_or_default());
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}
