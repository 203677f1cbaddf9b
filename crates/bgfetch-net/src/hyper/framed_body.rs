//! A response's body, which ends where its framing says.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::hyper::body::Incoming;
use bgfetch_model::attempt::FaultKind;
use bytes::Bytes;
use futures_util::Stream;
use http::Version;
use http_body::Body as _;

use super::error;
use crate::fetcher::FetchError;

/// The data of a response's body as it comes, codings and all.
///
/// hyper lets an HTTP/2 body end without an error where the stream was reset with `NO_ERROR`, which
/// a server sends after a response that is complete. In the middle of one it is an interruption as
/// any other reset. What follows a complete body, a reset or the end of the connection, says nothing
/// about it.
pub(super) struct FramedBody {
    incoming: Incoming,
    version: Version,
}

impl FramedBody {
    pub(super) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming, version }
    }

    /// Whether every byte came, as far as the framing tells.
    fn is_whole(&self) -> bool {
        match self.incoming.size_hint().exact() {
            Some(missing) => missing == 0,
            // HTTP/1.1 reports a missing last chunk, and the end of a connection that was not closed
            // in order, as errors.
            None => self.version != Version::HTTP_2 || self.incoming.is_end_stream(),
        }
    }
}

impl Stream for FramedBody {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let whole = match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // Trailers.
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    let known = self.incoming.size_hint().exact() == Some(0);
                    let whole = known && self.version == Version::HTTP_2;
                    return Poll::Ready((!whole).then(|| Err(error::from_body(error))));
                }
                None => self.is_whole(),
            };
            let cut = || FetchError::new(FaultKind::Interrupted, true, "the response ended early");
            return Poll::Ready((!whole).then(|| Err(cut())));
        }
    }
}
