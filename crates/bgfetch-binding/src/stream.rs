//! Bytes that a host reads in order: the bodies of requests.

use std::io;
use std::sync::Arc;

use bgfetch::bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::Mutex;

use crate::completion::Value;
use crate::error::{Code, Error, Result};
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;

pub(crate) struct BodyStream {
    queue: Arc<Queue>,
    chunks: Arc<Mutex<BoxStream<'static, io::Result<Bytes>>>>,
}

impl Object for BodyStream {
    const KIND: Kind = Kind::Stream;
}

pub(crate) fn new(
    queue: &Arc<Queue>,
    chunks: BoxStream<'static, io::Result<Bytes>>,
) -> Result<Handle> {
    let stream = BodyStream { queue: Arc::clone(queue), chunks: Arc::new(Mutex::new(chunks)) };
    Ok(handle::insert(queue.handle, |_| stream)?.0)
}

/// Reads the next bytes: answered by [`Value::Bytes`], which is empty at the end.
///
/// # Errors
///
/// A bad handle. The call fails as [`Code::BodyUnreadable`].
pub fn read(stream: Handle, token: u64) -> Result<()> {
    let stream = handle::get::<BodyStream>(stream)?;
    let chunks = Arc::clone(&stream.chunks);
    stream.queue.call(token, async move {
        let unreadable = |error: io::Error| Error::new(Code::BodyUnreadable, error.to_string());
        let chunk = chunks.lock().await.next().await.transpose().map_err(unreadable)?;
        Ok(Value::Bytes(chunk.map(Vec::from).unwrap_or_default()))
    });
    Ok(())
}

/// Frees a stream.
///
/// # Errors
///
/// A bad handle.
pub fn free(stream: Handle) -> Result<()> {
    handle::take::<BodyStream>(stream).map(drop)
}
