//! Request bodies: written to the store when `fetch()` is called, and read from it when they are
//! sent.

use std::fmt;
use std::io;
use std::sync::Arc;

use bgfetch_model::ids::{FetchKey, RecordIndex, RecordKey};
use bgfetch_model::input::BodyError;
use bgfetch_net::fetcher;
use bgfetch_store::{Bodies, BodyReader, BodyWriter, StoreError};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::runtime::Handle;

use crate::request_info::RequestBody;

/// How many bytes of a stored body are read at once.
const CHUNK: usize = 256 << 10;

/// Why the bodies of a call were not stored.
#[derive(Debug)]
pub(crate) enum StoreBodiesError {
    Read(io::Error),
    TooLarge,
    Store(StoreError),
}

impl fmt::Display for StoreBodiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::TooLarge => f.write_str("the request bodies are larger than the quota"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl From<StoreBodiesError> for BodyError {
    fn from(error: StoreBodiesError) -> Self {
        match error {
            StoreBodiesError::Read(_) => Self::Unreadable,
            // To the page, a full disk is an exceeded quota.
            StoreBodiesError::TooLarge | StoreBodiesError::Store(_) => Self::QuotaExceeded,
        }
    }
}

impl From<StoreError> for StoreBodiesError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Stores the bodies of a call, at most `limit` bytes in all, and returns their lengths.
pub(crate) async fn store_bodies(
    store: &dyn Bodies,
    fetch: FetchKey,
    bodies: Vec<Option<RequestBody>>,
    limit: u64,
) -> Result<Vec<u64>, StoreBodiesError> {
    let mut lengths = Vec::new();
    let mut left = limit;
    for (index, body) in (0..).zip(bodies) {
        let Some(body) = body else { continue };
        let record = RecordKey { fetch, index: RecordIndex(index) };
        let mut writer = store.create_request_body(record)?;
        match body {
            RequestBody::Bytes(bytes) => write(&mut *writer, &bytes, &mut left).await?,
            RequestBody::Stream(mut stream) => {
                while let Some(bytes) = stream.next().await {
                    let bytes = bytes.map_err(StoreBodiesError::Read)?;
                    write(&mut *writer, &bytes, &mut left).await?;
                }
            }
        }
        lengths.push(writer.length());
    }
    Ok(lengths)
}

async fn write(
    writer: &mut dyn BodyWriter,
    bytes: &[u8],
    left: &mut u64,
) -> Result<(), StoreBodiesError> {
    *left = left.checked_sub(bytes.len() as u64).ok_or(StoreBodiesError::TooLarge)?;
    for piece in bytes.chunks(CHUNK) {
        writer.write(piece)?;
        // A body of several gigabytes must not delay the engine's other tasks.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A stored body, which can be sent any number of times.
pub(crate) struct StoredBody {
    pub(crate) record: RecordKey,
    pub(crate) length: u64,
    pub(crate) bodies: Arc<dyn Bodies>,
    pub(crate) runtime: Handle,
}

impl fetcher::BodySource for StoredBody {
    fn length(&self) -> u64 {
        self.length
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        let (record, length) = (self.record, self.length);
        let (bodies, runtime) = (Arc::clone(&self.bodies), self.runtime.clone());
        let start: (Option<Arc<dyn BodyReader>>, u64) = (None, 0);
        stream::try_unfold(start, move |(reader, offset)| {
            let (bodies, runtime) = (Arc::clone(&bodies), runtime.clone());
            async move {
                if offset == length {
                    return Ok(None);
                }
                let read = runtime.spawn_blocking(move || -> Result<_, StoreError> {
                    let reader = match reader {
                        Some(reader) => reader,
                        None => bodies.open_request_body(record)?.into(),
                    };
                    let left = usize::try_from(length - offset).unwrap_or(CHUNK);
                    let mut buffer = vec![0; CHUNK.min(left)];
                    let read = reader.read_at(offset, &mut buffer)?;
                    buffer.truncate(read);
                    Ok((reader, buffer))
                });
                let (reader, buffer) = read.await.map_err(io::Error::other)??;
                if buffer.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let next = (Some(reader), offset + buffer.len() as u64);
                Ok(Some((Bytes::from(buffer), next)))
            }
        })
        .boxed()
    }
}
