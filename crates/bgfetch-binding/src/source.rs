//! Bytes that a host supplies, against credit: nobody stores more of them than the engine has asked for.

use std::io;
use std::sync::Arc;

use bgfetch::bytes::Bytes;
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::completion::Completion;
use crate::error::{Code, Error, Result};
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;

/// The most bytes that wait in a source.
const WINDOW: usize = 256 << 10;

/// How many bytes have to be taken before the host is told of more credit. Otherwise there would be a completion for
/// each of its chunks.
const STEP: usize = WINDOW / 4;

/// The host's end of a stream of bytes.
pub(crate) struct Source<E> {
    sender: Mutex<Option<mpsc::UnboundedSender<std::result::Result<Bytes, E>>>>,
    credit: Arc<Mutex<usize>>,
}

/// The engine's end, before it is read.
pub(crate) struct Sink<E> {
    receiver: mpsc::UnboundedReceiver<std::result::Result<Bytes, E>>,
    credit: Arc<Mutex<usize>>,
}

/// Both ends. There is no credit before the stream is read.
pub(crate) fn source<E>() -> (Source<E>, Sink<E>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let credit = Arc::default();
    (
        Source { sender: Mutex::new(Some(sender)), credit: Arc::clone(&credit) },
        Sink { receiver, credit },
    )
}

impl<E> Source<E> {
    pub(crate) fn credit(&self) -> usize {
        *self.credit.lock()
    }

    /// Hands over all of the bytes, or none if there is no credit for them.
    pub(crate) fn write(&self, bytes: impl Into<Bytes>) -> Result<()> {
        let bytes = bytes.into();
        let mut credit = self.credit.lock();
        let left = credit.checked_sub(bytes.len()).ok_or_else(|| {
            let message = format!("there is credit for {} bytes, not for {}", *credit, bytes.len());
            Error::new(Code::NoCredit, message)
        })?;
        if bytes.is_empty() {
            return Ok(());
        }
        let sender = self.sender.lock();
        let sender = sender.as_ref().ok_or_else(ended)?;
        sender.send(Ok(bytes)).map_err(|_| Error::closed())?;
        *credit = left;
        Ok(())
    }

    /// Ends the stream, with or without an error.
    pub(crate) fn end(&self, error: Option<E>) -> Result<()> {
        let sender = self.sender.lock().take().ok_or_else(ended)?;
        if let Some(error) = error {
            sender.send(Err(error)).map_err(|_| Error::closed())?;
        }
        Ok(())
    }
}

impl<E: Send + 'static> Sink<E> {
    /// The bytes. `token` gets the credit: at first when the stream is read, and then whenever enough was taken. The
    /// guard is dropped with the stream.
    pub(crate) fn stream(
        self,
        queue: Arc<Queue>,
        token: Handle,
        guard: impl Send + 'static,
    ) -> impl Stream<Item = std::result::Result<Bytes, E>> + Send + 'static {
        let Self { receiver, credit } = self;
        let start = (receiver, WINDOW, guard);
        stream::try_unfold(start, move |(mut receiver, mut taken, guard)| {
            let (queue, credit) = (Arc::clone(&queue), Arc::clone(&credit));
            async move {
                if taken >= STEP {
                    *credit.lock() += taken;
                    queue.push(Completion::Credit { token, bytes: taken as u64 });
                    taken = 0;
                }
                let Some(bytes) = receiver.recv().await.transpose()? else { return Ok(None) };
                taken += bytes.len();
                Ok(Some((bytes, (receiver, taken, guard))))
            }
        })
    }
}

fn ended() -> Error {
    Error::state("it was ended before")
}

/// The body of a request that the host supplies.
pub(crate) struct Upload {
    source: Source<io::Error>,
    sink: Mutex<Option<Sink<io::Error>>>,
    queue: Arc<Queue>,
    handle: Handle,
}

impl Object for Upload {
    const KIND: Kind = Kind::Source;
}

/// Makes a source for the body of one request: the host writes to it when there is
/// [credit](Completion::Credit), and [ends](end) it. Freeing it earlier makes the body unreadable.
///
/// # Errors
///
/// A bad handle.
pub fn new(queue: Handle) -> Result<Handle> {
    let queue = handle::get::<Queue>(queue)?;
    let owner = queue.handle;
    let (source, sink) = source();
    let sink = Mutex::new(Some(sink));
    Ok(handle::insert(owner, |handle| Upload { source, sink, queue, handle })?.0)
}

/// For how many bytes there is credit.
///
/// # Errors
///
/// A bad handle.
pub fn credit(source: Handle) -> Result<usize> {
    Ok(handle::get::<Upload>(source)?.source.credit())
}

/// Writes all of these bytes.
///
/// # Errors
///
/// [`Code::NoCredit`]: none of them were taken; [`Code::WrongState`] after its end; [`Code::Closed`] if nobody reads
/// the source any more; a bad handle.
pub fn write(source: Handle, bytes: impl Into<Bytes>) -> Result<()> {
    handle::get::<Upload>(source)?.source.write(bytes)
}

/// Ends a source: the body is complete, or cannot be read for the given reason.
///
/// # Errors
///
/// [`Code::WrongState`] if it has ended; [`Code::Closed`] if nobody reads the source any more; a bad handle.
pub fn end(source: Handle, failure: Option<&str>) -> Result<()> {
    handle::get::<Upload>(source)?.source.end(failure.map(io::Error::other))
}

/// Frees a source.
///
/// # Errors
///
/// A bad handle.
pub fn free(source: Handle) -> Result<()> {
    let upload = handle::take::<Upload>(source)?;
    // An end that was not announced is no end.
    drop(upload.source.end(Some(io::Error::other("the host gave up the body"))));
    Ok(())
}

/// The bytes of a source, for the body of a request.
pub(crate) fn body(
    source: Handle,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static> {
    let upload = handle::get::<Upload>(source)?;
    let sink = upload.sink.lock().take();
    let sink = sink.ok_or_else(|| Error::state("the source is the body of another request"))?;
    Ok(sink.stream(Arc::clone(&upload.queue), upload.handle, ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_use_up_their_credit_and_too_many_are_not_taken() {
        let (source, mut sink) = source::<()>();
        *sink.credit.lock() = 10;
        source.write(&b"012345"[..]).unwrap();
        assert_eq!(source.credit(), 4);
        assert_eq!(source.write(&b"67890"[..]).unwrap_err().code(), Code::NoCredit);
        source.write(&b"6789"[..]).unwrap();
        assert_eq!(source.write(&b"x"[..]).unwrap_err().code(), Code::NoCredit);
        source.end(None).unwrap();
        assert_eq!(sink.receiver.try_recv().unwrap().unwrap(), "012345");
        assert_eq!(sink.receiver.try_recv().unwrap().unwrap(), "6789");
        assert!(sink.receiver.try_recv().is_err());
    }
}
