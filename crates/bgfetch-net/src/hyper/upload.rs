//! Sends a stored request body to the network.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bgfetch_model::attempt::FaultKind;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use http_body::{Body, Frame, SizeHint};

use crate::fetch::TransportRequest;
use crate::fetcher::FetchError;

/// The body of one message; most messages have none.
pub(super) struct UploadBody {
    source: Option<BoxStream<'static, io::Result<Bytes>>>,
    length: u64,
    taken: u64,
    failure: Arc<OnceLock<String>>,
}

/// The outcome of an [`UploadBody`] that the HTTP library owns. Over HTTP/2, a body that cannot be
/// read would only be reported as a reset stream.
pub(super) struct Upload(Arc<OnceLock<String>>);

impl Upload {
    /// The error of reading the body, if there was one.
    pub(super) fn failure(&self) -> Option<FetchError> {
        let message = self.0.get()?.as_str();
        Some(FetchError::new(FaultKind::Storage, true, message))
    }
}

impl UploadBody {
    pub(super) fn new(request: &TransportRequest) -> (Self, Upload) {
        let failure = Arc::new(OnceLock::new());
        let upload = Upload(Arc::clone(&failure));
        let body = Self {
            source: request.upload(),
            length: request.body.as_ref().map_or(0, |body| body.length()),
            taken: 0,
            failure,
        };
        (body, upload)
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        match ready!(source.poll_next_unpin(context)) {
            Some(Ok(chunk)) => {
                self.taken += chunk.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Some(Err(error)) => {
                self.source = None;
                let message = || format!("the request's body could not be read: {error}");
                self.failure.get_or_init(message);
                Poll::Ready(Some(Err(error)))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none() || self.taken == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length.saturating_sub(self.taken))
    }
}
