//! A stored body as a resource, which Deno's streams pull from: it is read only when the script
//! asks, and waits for what has not arrived.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::{
    AsyncRefCell, AsyncResult, BufView, CancelHandle, CancelTryFuture, RcRef, Resource,
};
use deno_error::JsErrorBox;
use futures_util::stream::{BoxStream, Stream, StreamExt, TryStreamExt};

/// The resource. Closing it, which the stream does at its end, ends reads that wait.
pub(crate) struct BodyResource {
    unread: AsyncRefCell<Unread>,
    closed: CancelHandle,
}

struct Unread {
    /// What is left of the last chunk.
    rest: Bytes,
    chunks: BoxStream<'static, Result<Bytes, JsErrorBox>>,
}

impl BodyResource {
    pub(crate) fn new(
        chunks: impl Stream<Item = Result<Bytes, JsErrorBox>> + Send + 'static,
    ) -> Self {
        let unread = Unread { rest: Bytes::new(), chunks: chunks.boxed() };
        Self { unread: AsyncRefCell::new(unread), closed: CancelHandle::default() }
    }
}

impl Unread {
    /// At most `limit` bytes; none at the end.
    async fn read(&mut self, limit: usize) -> Result<Bytes, JsErrorBox> {
        while self.rest.is_empty() {
            match self.chunks.try_next().await? {
                Some(chunk) => self.rest = chunk,
                None => break,
            }
        }
        Ok(self.rest.split_to(limit.min(self.rest.len())))
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
