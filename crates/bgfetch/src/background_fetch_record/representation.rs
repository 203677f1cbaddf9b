//! The stored bytes of one response, at any offset, and those that are still to come.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bgfetch_model::ids::BodyKey;
use bgfetch_model::response::{FailureReason, RecordResult, ResponseData};
use bgfetch_store::{Bodies, BodyReader, Handover, StoreError};
use bytes::Bytes;
use tokio::sync::watch;

use super::RecordError;
use super::export::export;
use crate::blocking::Blocking;

/// The bytes of one generation of a record's response.
#[derive(Clone)]
pub(super) struct Representation {
    pub(super) key: BodyKey,
    pub(super) data: watch::Receiver<ResponseData>,
    pub(super) reader: Arc<dyn BodyReader>,
    pub(super) bodies: Arc<dyn Bodies>,
    pub(super) blocking: Blocking,
}

impl Representation {
    /// How many bytes there are from `offset` on, which is 0 at the end of the body, or none if that
    /// is not known yet. `gone` is whether the record is gone, so that nothing changes any more.
    fn find(
        &self,
        data: &ResponseData,
        gone: bool,
        offset: u64,
    ) -> Result<Option<u64>, RecordError> {
        // The bytes belong to a response that became redundant.
        if data.generation != self.key.generation {
            return Err(RecordError::Replaced);
        }
        // Step 2.8.3, a slice of what is stored, where it may be exposed.
        if data.is_exposed() && data.stored > offset {
            return Ok(Some(data.stored - offset));
        }
        // Step 2.8.4, the end.
        match data.result {
            Some(result) if result.exposes_response() => Ok(Some(0)),
            None if !gone => Ok(None),
            None | Some(RecordResult::Failure(FailureReason::Aborted)) => Err(RecordError::Aborted),
            Some(_) => Err(RecordError::Failed),
        }
    }

    /// How many bytes there are from `offset` on. Waits for the first of them, or the end.
    pub(super) async fn readable(&self, offset: u64) -> Result<u64, RecordError> {
        let mut data = self.data.clone();
        loop {
            // Step 2.8.1, wait for more bytes or the end.
            let is_known =
                |data: &ResponseData| !matches!(self.find(data, false, offset), Ok(None));
            let seen = data.wait_for(is_known).await.map(|data| *data);
            let gone = seen.is_err();
            let now = seen.unwrap_or_else(|_| *data.borrow());
            if let Some(length) = self.find(&now, gone, offset)? {
                return Ok(length);
            }
        }
    }

    /// Reads into `buffer` on this thread what is stored at `offset`, and returns how many bytes:
    /// 0 at the end, or none if there is nothing yet.
    pub(super) fn try_read_at(
        &self,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, RecordError> {
        let gone = self.data.has_changed().is_err();
        let data = *self.data.borrow();
        let Some(length) = self.find(&data, gone, offset)? else { return Ok(None) };
        read(&*self.reader, offset, length, buffer).map(Some).map_err(RecordError::Store)
    }

    /// Reads into `buffer`, and returns how many bytes: 0 at the end. Waits for the first of them.
    pub(super) async fn read_at<B>(
        &self,
        offset: u64,
        mut buffer: B,
    ) -> Result<(usize, B), RecordError>
    where
        B: AsMut<[u8]> + Send + 'static,
    {
        let length = self.readable(offset).await?;
        if length == 0 {
            return Ok((0, buffer));
        }
        let reader = Arc::clone(&self.reader);
        let read = self.blocking.run(move || {
            let read = read(&*reader, offset, length, buffer.as_mut())?;
            Ok((read, buffer))
        });
        read.await.map_err(|_| RecordError::Aborted)?.map_err(RecordError::Store)
    }

    /// At most `limit` bytes from `offset` on; none at the end. Waits for the first of them.
    pub(super) async fn chunk_at(&self, offset: u64, limit: u64) -> Result<Bytes, RecordError> {
        let length = self.readable(offset).await?.min(limit);
        let buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let (read, mut buffer) = self.read_at(offset, buffer).await?;
        buffer.truncate(read);
        Ok(buffer.into())
    }

    /// The length of the whole body, once the response has announced it or the record has ended.
    pub(super) fn length(&self) -> Option<u64> {
        let data = *self.data.borrow();
        if data.generation != self.key.generation {
            return None;
        }
        match data.result {
            Some(result) => result.exposes_response().then_some(data.stored),
            // The body of an error status may be dropped.
            None => data.response.filter(|head| head.is_ok())?.announced,
        }
    }

    /// See [`ResponseBody::export`](super::ResponseBody::export).
    pub(super) async fn export(&self, to: &Path, how: Handover) -> Result<(), RecordError> {
        let mut data = self.data.clone();
        let ended =
            |data: &ResponseData| data.generation != self.key.generation || data.result.is_some();
        let now = *data.wait_for(ended).await.map_err(|_| RecordError::Aborted)?;
        // Once the record is gone, its file is deleted or soon will be.
        if data.has_changed().is_err() {
            return Err(RecordError::Aborted);
        }
        if now.generation != self.key.generation {
            return Err(RecordError::Replaced);
        }
        if !now.result.is_some_and(RecordResult::exposes_response) {
            return Err(RecordError::Failed);
        }
        export(&self.blocking, &self.bodies, (self.key, now.stored), to, how).await
    }
}

/// Reads at least one and at most `length` bytes at `offset`, of which there are so many.
fn read(
    reader: &dyn BodyReader,
    offset: u64,
    length: u64,
    buffer: &mut [u8],
) -> Result<usize, StoreError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
    let buffer = buffer.get_mut(..length).unwrap_or_default();
    let read = reader.read_at(offset, buffer)?;
    if read == 0 && length > 0 {
        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Err(StoreError::io("a stored body", error));
    }
    Ok(read)
}
