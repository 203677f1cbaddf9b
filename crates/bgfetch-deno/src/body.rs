//! A stored body as a resource from which Deno's streams pull: it is read only when the script
//! asks, and waits for bytes that have not arrived yet.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use bgfetch::{Handover, RecordError, ResponseBody};
use bytes::Bytes;
use deno_core::{
    AsyncRefCell, AsyncResult, BufView, CancelHandle, CancelTryFuture, RcRef, Resource,
};
use deno_error::JsErrorBox;
use futures_util::stream::{BoxStream, Stream, StreamExt, TryStreamExt};

use crate::exceptions::record_failed;

/// A body that scripts read through one of Deno's streams. The stream closes it at its end, which
/// ends pending reads.
pub struct BodyResource {
    unread: AsyncRefCell<Unread>,
    closed: CancelHandle,
}

struct Unread {
    /// The rest of the last chunk.
    rest: Bytes,
    chunks: Chunks,
}

enum Chunks {
    Record(ResponseBody),
    Other(BoxStream<'static, Result<Bytes, JsErrorBox>>),
}

impl BodyResource {
    /// A body of these chunks.
    pub fn new(chunks: impl Stream<Item = Result<Bytes, JsErrorBox>> + Send + 'static) -> Self {
        Self::of(Chunks::Other(chunks.boxed()))
    }

    /// The body of a record's response.
    pub(crate) fn of_record(body: ResponseBody) -> Self {
        Self::of(Chunks::Record(body))
    }

    fn of(chunks: Chunks) -> Self {
        let unread = Unread { rest: Bytes::new(), chunks };
        Self { unread: AsyncRefCell::new(unread), closed: CancelHandle::default() }
    }

    /// Exports the whole body as a file, without reading it, if it is the body of a background
    /// fetch record: see [`ResponseBody::export`]. `None` for other bodies. Those can still be
    /// read, and so can this body after an error.
    pub async fn export(
        self: Rc<Self>,
        to: &Path,
        how: Handover,
    ) -> Option<Result<(), RecordError>> {
        let unread = RcRef::map(&self, |body| &body.unread).borrow_mut().await;
        match &unread.chunks {
            Chunks::Record(body) => Some(body.export(to, how).await),
            Chunks::Other(_) => None,
        }
    }
}

impl Unread {
    /// Reads at most `limit` bytes; none at the end.
    async fn read(&mut self, limit: usize) -> Result<Bytes, JsErrorBox> {
        while self.rest.is_empty() {
            match self.chunks.next().await? {
                Some(chunk) => self.rest = chunk,
                None => break,
            }
        }
        Ok(self.rest.split_to(limit.min(self.rest.len())))
    }
}

impl Chunks {
    async fn next(&mut self) -> Result<Option<Bytes>, JsErrorBox> {
        match self {
            Self::Record(body) => body.try_next().await.map_err(record_failed),
            Self::Other(chunks) => chunks.try_next().await,
        }
    }
}

impl Resource for BodyResource {
    fn name(&self) -> Cow<'_, str> {
        "backgroundFetchBody".into()
    }

    fn read(self: Rc<Self>, limit: usize) -> AsyncResult<BufView> {
        Box::pin(async move {
            let closed = RcRef::map(&self, |body| &body.closed);
            let read = async {
                let mut unread = RcRef::map(&self, |body| &body.unread).borrow_mut().await;
                unread.read(limit).await
            };
            Ok(BufView::from(read.try_or_cancel(closed).await?))
        })
    }

    fn close(self: Rc<Self>) {
        self.closed.cancel();
    }
}

impl fmt::Debug for BodyResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyResource").finish_non_exhaustive()
    }
}
