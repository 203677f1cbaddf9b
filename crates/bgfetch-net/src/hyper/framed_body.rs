//! A response's body, which ends where its framing says.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bgfetch_model::attempt::FaultKind;
use bytes::Bytes;
use futures_util::Stream;
use http::Version;
use http::header::{HeaderMap, TRANSFER_ENCODING};
use http_body::Body;

use super::error;
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

/// The data of a response's body as received by hyper, with its content codings.
///
/// hyper ends an HTTP/2 body without an error if the stream was reset with `NO_ERROR`, which a
/// server may send after a complete response. In the middle of a response, it is an interruption
/// like any other reset. After a complete body, a reset or the end of the connection does not
/// matter.
pub struct FramedBody<B, F> {
    body: B,
    version: Version,
    failed: F,
}

impl<B: Body, F: FnMut(B::Error) -> FetchError> FramedBody<B, F> {
    /// The body of a response of this HTTP version. `failed` converts an error that ends the body
    /// before it is whole.
    pub fn new(body: B, version: Version, failed: F) -> Self {
        Self { body, version, failed }
    }

    /// Whether all bytes were received, as far as the framing says.
    fn is_whole(&self) -> bool {
        match self.body.size_hint().exact() {
            Some(missing) => missing == 0,
            // Over HTTP/1.1, a missing last chunk and a connection that was not closed properly are
            // reported as errors.
            None => self.version != Version::HTTP_2 || self.body.is_end_stream(),
        }
    }
}

impl<B, F> Stream for FramedBody<B, F>
where
    B: Body<Data = Bytes> + Unpin,
    F: FnMut(B::Error) -> FetchError + Unpin,
{
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let end = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // Trailers.
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    let known = self.body.size_hint().exact() == Some(0);
                    let whole = known && self.version == Version::HTTP_2;
                    (!whole).then(|| (self.failed)(error))
                }
                None => {
                    let cut = "the response ended early";
                    (!self.is_whole()).then(|| FetchError::new(FaultKind::Interrupted, true, cut))
                }
            };
            return Poll::Ready(end.map(Err));
        }
    }
}
