//! Bodies of responses: they break off, stall, or have another length than announced.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bgfetch::{FaultKind, FetchError};
use bgfetch_net::hyper::FramedBody;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::Version;
use http_body::{Frame, SizeHint};
use tokio::time::sleep;

use super::network::Flight;

/// How a body ends if not as it should.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// The connection breaks.
    Cut,
    /// Before its end, as if it were the end: because the stream is reset with `NO_ERROR`, for
    /// example.
    Short,
    Stall,
    /// There are more bytes than announced.
    Long,
}

/// A body that is being sent.
pub(crate) struct Body {
    pub(crate) flight: Flight,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) at: usize,
    pub(crate) end: usize,
    pub(crate) stop: Option<Stop>,
}

impl Body {
    /// The body as the network stack gives it. `framed` if that checks its framing, with the length
    /// that was announced.
    pub(crate) fn stream(
        self,
        framed: Option<Option<u64>>,
    ) -> BoxStream<'static, Result<Bytes, FetchError>> {
        let is_multiplexed = self.flight.wanted().is_multiplexed();
        let ended = Arc::new(AtomicBool::new(false));
        let (body, ends) = (self, Arc::clone(&ended));
        let pieces = stream::unfold(body, move |mut body| {
            let ends = Arc::clone(&ends);
            async move {
                let stop = body.stop;
                let next = body.next().await;
                if next.is_none() {
                    ends.store(!matches!(stop, Some(Stop::Short)), Ordering::Relaxed);
                }
                Some((next?, body))
            }
        })
        .boxed();
        let Some(missing) = framed else { return pieces };
        let version = if is_multiplexed { Version::HTTP_2 } else { Version::HTTP_11 };
        FramedBody::new(Received { pieces, missing, ended }, version, |error| error).boxed()
    }

    async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        let world = self.flight.world.clone();
        if self.at >= self.end {
            return match self.stop.take()? {
                Stop::Short => None,
                Stop::Cut => Some(Err(self.flight.fails(FaultKind::Interrupted, true))),
                Stop::Stall => {
                    sleep(Duration::from_secs(40)).await;
                    Some(Err(self.flight.fails(FaultKind::Interrupted, true)))
                }
                Stop::Long => Some(Ok(Bytes::from_static(b"and more"))),
            };
        }
        let delay = match world.draw(|rng| rng.u8(0..16)) {
            0..8 => Duration::ZERO,
            8..15 => world.time(30),
            _ => world.time(5000),
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if !self.flight.line_is_up() {
            return Some(Err(self.flight.fails(FaultKind::Interrupted, true)));
        }
        let length = world.draw(|rng| rng.usize(1..8000)).min(self.end - self.at);
        let piece = Bytes::copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        self.flight.note(|record| record.served = true);
        Some(Ok(piece))
    }
}

/// A body as hyper gives it.
struct Received {
    pieces: BoxStream<'static, Result<Bytes, FetchError>>,
    /// How much of what was announced is missing.
    missing: Option<u64>,
    /// The end of the stream was received.
    ended: Arc<AtomicBool>,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = FetchError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FetchError>>> {
        let piece = ready!(self.pieces.poll_next_unpin(context));
        if let (Some(Ok(piece)), Some(missing)) = (&piece, &mut self.missing) {
            *missing = missing.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn size_hint(&self) -> SizeHint {
        self.missing.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
