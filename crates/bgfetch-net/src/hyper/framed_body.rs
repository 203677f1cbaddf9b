//! A response's body, which ends where its framing says.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::hyper::body::Incoming;
use bgfetch_model::attempt::FaultKind;
use bytes::Bytes;
use futures_util::Stream;
use http::Version;
use http::header::{HeaderMap, TRANSFER_ENCODING};
use http_body::Body as _;

use super::error;
use super::pools::Alone;
use crate::fetcher::FetchError;

/// Refuses transfer codings that the HTTP library does not undo: their data is not the content. No
/// request asks for them.
///
/// # Errors
/// If there is a coding other than `chunked`.
pub(super) fn check_transfer_codings(headers: &HeaderMap) -> Result<(), FetchError> {
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let mut names = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let is_known = |name: &[u8]| {
        let name = name.trim_ascii();
        // Old servers send `identity`, which changes nothing.
        [&b""[..], b"chunked", b"identity"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    match names.all(is_known) {
        true => Ok(()),
        false => {
            Err(error::protocol("the server applied a transfer coding that was not asked for"))
        }
    }
}

/// The data of a response's body as received, with its content codings.
///
/// hyper ends an HTTP/2 body without an error if the stream was reset with `NO_ERROR`, which a
/// server may send after a complete response. In the middle of a response, it is an interruption
/// like any other reset. After a complete body, a reset or the end of the connection does not
/// matter.
pub(super) struct FramedBody<F> {
    incoming: Incoming,
    version: Version,
    http1_required: F,
    _alone: Option<Alone>,
}

impl<F> FramedBody<F> {
    /// Calls `http1_required` if the server ends the body because it requires HTTP/1.1.
    pub(super) fn new(
        incoming: Incoming,
        version: Version,
        http1_required: F,
        alone: Option<Alone>,
    ) -> Self {
        Self { incoming, version, http1_required, _alone: alone }
    }

    /// Whether all bytes were received, as far as the framing says.
    fn is_whole(&self) -> bool {
        match self.incoming.size_hint().exact() {
            Some(missing) => missing == 0,
            // Over HTTP/1.1, a missing last chunk and a connection that was not closed properly are
            // reported as errors.
            None => self.version != Version::HTTP_2 || self.incoming.is_end_stream(),
        }
    }
}

impl<F: Fn() + Unpin> Stream for FramedBody<F> {
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
                    if !whole && error::requires_http1(&error) {
                        (self.http1_required)();
                    }
                    return Poll::Ready((!whole).then(|| Err(error::from_body(error))));
                }
                None => self.is_whole(),
            };
            let cut = || FetchError::new(FaultKind::Interrupted, true, "the response ended early");
            return Poll::Ready((!whole).then(|| Err(cut())));
        }
    }
}
