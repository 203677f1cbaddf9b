//! The spec's [response of a
//! record](https://wicg.github.io/background-fetch/#create-settled-fetches-algorithm), and its body.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bgfetch_model::response::ResponseHead;
use bgfetch_store::Handover;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::Stream;

use super::representation::Representation;
use super::{RecordError, ResponseReader};

/// The largest piece of a response's body that is returned at once, in bytes.
pub(super) const CHUNK: u64 = 256 << 10;

/// A response and its body, which may still be arriving.
#[derive(Debug)]
#[non_exhaustive]
pub struct Response {
    /// The head as script may see it (Fetch's [filtered
    /// response](https://fetch.spec.whatwg.org/#concept-filtered-response)), without the headers
    /// that would contradict the stored body.
    pub head: ResponseHead,
    /// The body.
    pub body: ResponseBody,
}

/// A response's body as a stream: first the stored bytes, then those that arrive. It reads only
/// when it is polled, and can still be read long after the fetch is gone.
///
/// It can also be read at any offset, for example by a media element that seeks:
/// [as a stream](Self::body_at), [as a file](Self::reader), or [into a buffer](Self::read_at). The
/// bytes are always those of one response. If the server no longer has it and the record starts
/// again with another one, every read fails with [`RecordError::Replaced`].
///
/// ```no_run
/// use std::io::SeekFrom;
/// use tokio::io::AsyncSeekExt;
///
/// # async fn example(
/// #     worker: bgfetch::ServiceWorkerRegistration,
/// #     key: bgfetch::RecordKey,
/// #     frame: &mut [u8],
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let Some(record) = worker.record(key).await? else { return Ok(()) };
/// let body = record.response_ready().await?.body;
/// // The bytes that a `Range` header asks for, as a stream.
/// let part = body.body_at(1_000_000..2_000_000);
/// // A file that is still growing.
/// let mut file = body.reader();
/// file.seek(SeekFrom::Start(1_000_000)).await?;
/// // A buffer of the caller, for example memory that a renderer shares.
/// let (read, buffer) = body.read_at(1_000_000, vec![0; 65_536]).await?;
/// // Without waiting: `None` means "not yet". Then `readable` tells when to try again.
/// let read = body.try_read_at(1_000_000, frame)?;
/// # Ok(())
/// # }
/// ```
pub struct ResponseBody {
    representation: Representation,
    /// The spec's transmitted bytes: where the stream continues.
    offset: u64,
    /// Where the stream ends, if that is before the end of the body.
    end: u64,
    state: State,
}

enum State {
    Idle,
    Reading(BoxFuture<'static, Result<Bytes, RecordError>>),
    Ended,
}

impl ResponseBody {
    pub(super) fn new(representation: Representation) -> Self {
        Self { representation, offset: 0, end: u64::MAX, state: State::Idle }
    }

    /// The length of the whole body in bytes, once it is known: when the response's head has
    /// announced it, or when the download has ended. `None` if it failed or the response was
    /// replaced.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.representation.length()
    }

    /// The bytes at these offsets of the whole body, as a stream. It waits for those that are still
    /// to come, ends with the range even if the download is still running, and earlier if the body
    /// is shorter.
    #[must_use]
    pub fn body_at(&self, range: impl RangeBounds<u64>) -> Self {
        let offset = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let representation = self.representation.clone();
        Self { representation, offset, end, state: State::Idle }
    }

    /// The whole body as a file that can be read and sought while it arrives.
    #[must_use]
    pub fn reader(&self) -> ResponseReader {
        ResponseReader::new(self.representation.clone())
    }

    /// Waits until there is a byte at `offset` of the whole body, or until the body turns out to end
    /// there or earlier. Returns how many bytes can be read from `offset` on without waiting: 0 at
    /// the end. The future owns what it needs.
    ///
    /// # Errors
    ///
    /// [`RecordError::Replaced`]; [`RecordError::Failed`] or [`RecordError::Aborted`] when the record
    /// has no response any more.
    pub fn readable(
        &self,
        offset: u64,
    ) -> impl Future<Output = Result<u64, RecordError>> + Send + use<> {
        // The future can be a task of its own: this type is not `Sync`.
        let representation = self.representation.clone();
        async move { representation.readable(offset).await }
    }

    /// Reads bytes at `offset` of the whole body into a buffer. Returns how many, and the buffer: at
    /// least one byte and at most as many as fit, or 0 at the end of the body. Waits for the first
    /// of them. The bytes are not copied on their way, so a buffer can be memory that a renderer
    /// process shares.
    ///
    /// The file is read on a thread for blocking work, so the buffer is lost if the read fails or if
    /// the future is dropped. [`Self::try_read_at`] reads into a borrowed buffer.
    ///
    /// # Errors
    ///
    /// Those of [`Self::readable`], and [`RecordError::Store`].
    pub fn read_at<B>(
        &self,
        offset: u64,
        buffer: B,
    ) -> impl Future<Output = Result<(usize, B), RecordError>> + Send + use<B>
    where
        B: AsMut<[u8]> + Send + 'static,
    {
        let representation = self.representation.clone();
        async move { representation.read_at(offset, buffer).await }
    }

    /// Reads bytes at `offset` of the whole body into a buffer, and returns how many; 0 at the end of
    /// the body. `None` means that there are none yet: try again after [`Self::readable`].
    ///
    /// The file is read on the calling thread, which may have to wait for the disk, but never for
    /// the network. For hosts with threads of their own; on a thread that must not block, use
    /// [`Self::read_at`].
    ///
    /// # Errors
    ///
    /// As [`Self::read_at`].
    pub fn try_read_at(
        &self,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, RecordError> {
        self.representation.try_read_at(offset, buffer)
    }

    /// Reads the rest of the stream.
    ///
    /// # Errors
    ///
    /// The first error of the stream.
    pub async fn bytes(mut self) -> Result<Vec<u8>, RecordError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }

    /// Waits until the download has ended and exports the whole body to `to`, regardless of how
    /// much was read: see [`BackgroundFetchRecord::export`](super::BackgroundFetchRecord::export).
    ///
    /// # Errors
    ///
    /// The errors of reading the body to its end; also [`RecordError::Aborted`] when the records
    /// are no longer available. Reading may still succeed then.
    pub async fn export(&self, to: &Path, how: Handover) -> Result<(), RecordError> {
        self.representation.export(to, how).await
    }

    /// The next bytes of the stream. Waits for them while the download is running; `None` at the
    /// end.
    ///
    /// # Errors
    ///
    /// [`RecordError::Aborted`] or [`RecordError::Failed`] if the rest will not come,
    /// [`RecordError::Replaced`] once another response has taken the place of this one,
    /// [`RecordError::Store`] if stored bytes cannot be read. Nothing comes after an error.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, RecordError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes, RecordError>;

    /// The pull action of the spec's stream.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.state, State::Idle) {
            let (offset, limit) = (self.offset, self.end.saturating_sub(self.offset).min(CHUNK));
            if limit > 0 {
                let representation = self.representation.clone();
                let chunk = async move { representation.chunk_at(offset, limit).await };
                self.state = State::Reading(Box::pin(chunk));
            }
        }
        let State::Reading(reading) = &mut self.state else {
            return Poll::Ready(None);
        };
        let chunk = ready!(reading.as_mut().poll(cx));
        let length = chunk.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.offset += length;
        self.state = if length > 0 { State::Idle } else { State::Ended };
        Poll::Ready(chunk.map(|bytes| Some(bytes).filter(|bytes| !bytes.is_empty())).transpose())
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("offset", &self.offset).finish_non_exhaustive()
    }
}
