//! Response bodies: computed, held, coded and cut in transit.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader, ReadBuf};

use super::log::{Ending, Serving};
use super::reply::{Coding, Cut};
use super::wire::Plug;
use crate::gate::Gate;
use crate::resource::Resource;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The most that is handed to hyper at once.
const CHUNK: u64 = 64 * 1024;

/// How many times a second a paced body sends data.
const SENDS_PER_SECOND: u64 = 20;

/// What happens to a body in transit.
pub(super) struct Faults {
    /// Gates by the offset at which they hold.
    pub(super) holds: VecDeque<(u64, Gate)>,
    pub(super) cut: Option<Cut>,
    /// The most bytes per second.
    pub(super) pace: Option<u64>,
}

/// A body in transit.
pub(super) struct Sending {
    source: Pin<Box<dyn AsyncRead + Send>>,
    /// The length, unless a coding makes it unknown.
    length: Option<u64>,
    faults: Faults,
    at: u64,
    serving: Serving,
    plug: Plug,
}

impl Sending {
    pub(super) fn new(
        content: Content,
        coding: Option<Coding>,
        faults: Faults,
        (serving, plug): (Serving, Plug),
    ) -> Self {
        let length = coding.is_none().then_some(content.end - content.at);
        let source: Pin<Box<dyn AsyncRead + Send>> = match coding {
            None => Box::pin(content),
            Some(Coding::Gzip) => Box::pin(GzipEncoder::new(BufReader::new(content))),
            Some(Coding::Brotli) => Box::pin(BrotliEncoder::new(BufReader::new(content))),
            Some(Coding::Zstd) => Box::pin(ZstdEncoder::new(BufReader::new(content))),
        };
        Self { source, length, faults, at: 0, serving, plug }
    }

    pub(super) fn into_body(self) -> Body {
        let faultless = self.faults.holds.is_empty() && self.faults.cut.is_none();
        if self.length == Some(0) && faultless {
            // hyper does not poll a body that it knows to be empty.
            self.serving.0.ended(Ending::Complete);
            return Empty::new().boxed_unsync();
        }
        StreamBody::new(stream::unfold(self, Self::next)).boxed_unsync()
    }

    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Infallible>, Self)> {
        while let Some((_, gate)) = self.faults.holds.pop_front_if(|(at, _)| *at == self.at) {
            gate.pass().await;
        }
        if let Some(cut) = self.faults.cut.filter(|cut| cut.after == self.at) {
            self.serving.0.ended(Ending::Cut);
            self.plug.pull(cut.how);
            std::future::pending::<()>().await;
        }
        let Faults { holds, cut, pace } = &self.faults;
        let stops = [self.length, cut.map(|cut| cut.after), holds.front().map(|(at, _)| *at)];
        let stop = stops.into_iter().flatten().min().unwrap_or(u64::MAX);
        let mut most = CHUNK.min(stop - self.at);
        if let Some(pace) = *pace {
            most = most.min(pace.div_ceil(SENDS_PER_SECOND));
            tokio::time::sleep(Duration::from_secs_f64(most as f64 / pace as f64)).await;
        }
        let mut chunk = BytesMut::with_capacity(CHUNK as usize);
        let read = (&mut self.source)
            .take(most)
            .read_buf(&mut chunk)
            .await
            .expect("computed content can always be read");
        self.at += read as u64;
        self.serving.0.sent(read);
        // hyper stops asking at Content-Length, so the end is recorded with the last chunk.
        if read == 0 || self.length == Some(self.at) {
            self.serving.0.ended(Ending::Complete);
        }
        (read > 0).then(|| (Ok(Frame::data(chunk.freeze())), self))
    }
}

/// Part of a resource, a text, or nothing, as a reader.
#[derive(Default)]
pub(super) struct Content {
    source: Option<Source>,
    at: u64,
    end: u64,
}

enum Source {
    Resource(Resource),
    Text(Bytes),
}

impl Source {
    fn fill(&self, at: u64, buffer: &mut [u8]) {
        match self {
            Self::Resource(resource) => resource.fill(at, buffer),
            Self::Text(text) => {
                let at = usize::try_from(at).unwrap();
                buffer.copy_from_slice(&text[at..at + buffer.len()]);
            }
        }
    }
}

impl Content {
    pub(super) fn text(text: Bytes) -> Self {
        let end = text.len() as u64;
        Self { source: Some(Source::Text(text)), at: 0, end }
    }

    pub(super) fn new(resource: Resource, part: std::ops::Range<u64>) -> Self {
        Self { source: Some(Source::Resource(resource)), at: part.start, end: part.end }
    }

    pub(super) fn length(&self) -> u64 {
        self.end - self.at
    }
}

impl AsyncRead for Content {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(source) = &this.source {
            let left = usize::try_from(this.end - this.at).unwrap_or(usize::MAX);
            let unfilled = buf.initialize_unfilled_to(buf.remaining().min(left));
            source.fill(this.at, unfilled);
            let filled = unfilled.len();
            this.at += filled as u64;
            buf.advance(filled);
        }
        Poll::Ready(Ok(()))
    }
}
