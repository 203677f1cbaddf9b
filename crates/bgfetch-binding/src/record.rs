//! Records of background fetches: the interface
//! [BackgroundFetchRecord](https://wicg.github.io/background-fetch/#background-fetch-record-interface).

use std::path::PathBuf;
use std::sync::Arc;

use bgfetch::{BackgroundFetchRecord, Handover, RecordKey, RecordResult, Request};

use crate::completion::Value;
use crate::error::Result;
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;
use crate::{body, stream};

pub(crate) struct Record {
    queue: Arc<Queue>,
    record: BackgroundFetchRecord,
}

impl Object for Record {
    const KIND: Kind = Kind::Record;
}

pub(crate) fn new(queue: &Arc<Queue>, record: BackgroundFetchRecord) -> Result<Handle> {
    let record = Record { queue: Arc::clone(queue), record };
    Ok(handle::insert(queue.handle, |_| record)?.0)
}

/// What is known of a record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Its identity.
    pub key: RecordKey,
    /// The request without its body.
    pub request: Request,
    /// The status of the response, once there is one that may be exposed.
    pub status: Option<u16>,
    /// The length of the stored body in bytes.
    pub stored: u64,
    /// How it ended, or `None`.
    pub result: Option<RecordResult>,
}

/// What is known of a record now.
///
/// # Errors
///
/// A bad handle.
pub fn info(record: Handle) -> Result<Info> {
    let record = handle::get::<Record>(record)?;
    let it = &record.record;
    Ok(Info {
        key: it.key(),
        request: it.request().clone(),
        status: it.status(),
        stored: it.stored(),
        result: it.result(),
    })
}

/// The request of a record, as an answer to a call: [`Value::Request`]. For hosts that get texts from the queue alone.
///
/// # Errors
///
/// A bad handle.
pub fn request(record: Handle, token: u64) -> Result<()> {
    let object = handle::get::<Record>(record)?;
    let request = Box::new(object.record.request().clone());
    object.queue.call(token, async move { Ok(Value::Request(request)) });
    Ok(())
}

/// The `responseReady` promise: answered by [`Value::Response`] when the head of the response has arrived.
///
/// # Errors
///
/// A bad handle. The call fails as [`Code::Aborted`](crate::Code::Aborted) or
/// [`Code::RecordFailed`](crate::Code::RecordFailed) if there will be no response, or with an error of the store.
pub fn response_ready(record: Handle, token: u64) -> Result<()> {
    let object = handle::get::<Record>(record)?;
    let (queue, record) = (Arc::clone(&object.queue), object.record.clone());
    object.queue.call(token, async move {
        let response = record.response_ready().await?;
        let body = body::new(&queue, response.body)?;
        Ok(Value::Response { head: Box::new(response.head), body })
    });
    Ok(())
}

/// The body of the request: a [stream] that the host reads and frees. `None` if it has no body.
///
/// # Errors
///
/// A bad handle.
pub fn request_body(record: Handle) -> Result<Option<Handle>> {
    let record = handle::get::<Record>(record)?;
    record.record.request_body().map(|bytes| stream::new(&record.queue, bytes)).transpose()
}

/// Makes the finished body a file: answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle. The call fails as [`Code::RecordFailed`](crate::Code::RecordFailed) if the record has not succeeded,
/// or with an error of the store, as when there is such a file already.
pub fn export(record: Handle, token: u64, to: PathBuf, how: Handover) -> Result<()> {
    let object = handle::get::<Record>(record)?;
    let record = object.record.clone();
    object.queue.call(token, async move {
        record.export(&to, how).await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Whether a file has exactly the bytes of the finished body, as after an export that a crash interrupted: answered by
/// [`Value::Bool`].
///
/// # Errors
///
/// As [`export`].
pub fn is_exported_at(record: Handle, token: u64, path: PathBuf) -> Result<()> {
    let object = handle::get::<Record>(record)?;
    let record = object.record.clone();
    object.queue.call(token, async move { Ok(Value::Bool(record.is_exported_at(&path).await?)) });
    Ok(())
}

/// Frees a record.
///
/// # Errors
///
/// A bad handle.
pub fn free(record: Handle) -> Result<()> {
    handle::take::<Record>(record).map(drop)
}
