//! The bodies of responses, which may still be arriving.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bgfetch::ResponseBody;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::completion::{Completion, Value};
use crate::error::{Error, Result};
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes, at least one.
    Ready(usize),
    /// The bytes are still to come. [`Completion::BodyReady`] tells when to try again.
    Again,
    /// The body ends here, or earlier.
    End,
}

pub(crate) struct Body {
    handle: Handle,
    queue: Arc<Queue>,
    /// Only cloned, because a body as a stream is not `Sync`.
    body: Mutex<ResponseBody>,
    /// The offsets that were read in vain, each with the task that waits there.
    awaited: Mutex<BTreeMap<u64, AbortHandle>>,
}

impl Object for Body {
    const KIND: Kind = Kind::Body;
}

impl Drop for Body {
    fn drop(&mut self) {
        self.awaited.get_mut().values().for_each(AbortHandle::abort);
    }
}

impl Body {
    fn at(&self, offset: u64) -> ResponseBody {
        self.body.lock().body_at(offset..)
    }
}

pub(crate) fn new(queue: &Arc<Queue>, body: ResponseBody) -> Result<Handle> {
    let (body, awaited) = (Mutex::new(body), Mutex::default());
    let (queue, owner) = (Arc::clone(queue), queue.handle);
    Ok(handle::insert(owner, |handle| Body { handle, queue, body, awaited })?.0)
}

/// Reads bytes at `offset` of the whole body into `buffer`. It never waits for the network, but may wait for the disk.
///
/// # Errors
///
/// [`Code::RecordFailed`](crate::Code::RecordFailed), [`Code::Aborted`](crate::Code::Aborted) or
/// [`Code::Replaced`](crate::Code::Replaced) if the rest will not come; an error of the store; a bad handle.
pub fn read(body: Handle, offset: u64, buffer: &mut [u8]) -> Result<Read> {
    let object = handle::get::<Body>(body)?;
    if buffer.is_empty() {
        return Err(Error::argument("the buffer is empty"));
    }
    Ok(match object.at(offset).try_read_at(offset, buffer)? {
        Some(0) => Read::End,
        Some(read) => Read::Ready(read),
        None => {
            wait(&object, offset);
            Read::Again
        }
    })
}

/// Reads at most `limit` bytes at `offset` on another thread, and waits for the first of them: answered by
/// [`Value::Bytes`], which is empty at the end of the body.
///
/// # Errors
///
/// A bad handle. The call fails as [`read`] does.
pub fn read_later(body: Handle, token: u64, offset: u64, limit: usize) -> Result<()> {
    let body = handle::get::<Body>(body)?;
    let at = body.at(offset);
    body.queue.call(token, async move {
        let limit = at.readable(offset).await?.min(limit as u64);
        let buffer = vec![0; usize::try_from(limit).unwrap_or(usize::MAX)];
        let (read, mut buffer) = at.read_at(offset, buffer).await?;
        buffer.truncate(read);
        Ok(Value::Bytes(buffer))
    });
    Ok(())
}

/// The length of the whole body in bytes, once it is known.
///
/// # Errors
///
/// A bad handle.
pub fn length(body: Handle) -> Result<Option<u64>> {
    Ok(handle::get::<Body>(body)?.body.lock().length())
}

/// Frees a body.
///
/// # Errors
///
/// A bad handle.
pub fn free(body: Handle) -> Result<()> {
    handle::take::<Body>(body).map(drop)
}

/// Tells the host when there is something at `offset`.
fn wait(body: &Arc<Body>, offset: u64) {
    let mut awaited = body.awaited.lock();
    let Entry::Vacant(place) = awaited.entry(offset) else { return };
    let (at, waiting) = (body.at(offset), Arc::downgrade(body));
    let task = body.queue.spawn(async move {
        // After an error, the next read returns it.
        let ready = at.readable(offset).await;
        tracing::trace!(offset, ready = ready.is_ok(), "a body can be read");
        if let Some(body) = waiting.upgrade() {
            body.awaited.lock().remove(&offset);
            body.queue.push(Completion::BodyReady { body: body.handle, offset });
        }
    });
    place.insert(task);
}
