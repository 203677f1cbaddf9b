//! Request bodies: written to the store when `fetch()` is called, and read from it when they are
//! sent.

use std::fmt;
use std::io;
use std::sync::Arc;

use bgfetch_model::action::BodiesCommand;
use bgfetch_model::ids::{CallId, FetchKey, RecordIndex, RecordKey};
use bgfetch_model::input::{BodyError, Input};
use bgfetch_net::fetcher;
use bgfetch_store::{Bodies, BodyReader, BodyWriter, StoreError};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use crate::blocking::Blocking;
use crate::request_info::RequestBody;

/// How many bytes of a stored body are read at once.
const CHUNK: usize = 256 << 10;

/// Why the bodies of a call were not stored.
#[derive(Debug)]
pub(crate) enum StoreBodiesError {
    Read(io::Error),
    Store(StoreError),
}

impl fmt::Display for StoreBodiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl From<StoreBodiesError> for BodyError {
    fn from(error: StoreBodiesError) -> Self {
        match error {
            StoreBodiesError::Read(_) => Self::Unreadable,
            // To the page, a full disk is an exceeded quota.
            StoreBodiesError::Store(_) => Self::QuotaExceeded,
        }
    }
}

impl From<StoreError> for StoreBodiesError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// How many bytes the bodies of a call may take, and how to get more.
pub(crate) struct Granted<F> {
    call: CallId,
    grant: u64,
    stored: u64,
    commands: mpsc::UnboundedReceiver<BodiesCommand>,
    report: F,
}

impl<F: Fn(Input)> Granted<F> {
    pub(crate) fn new(
        call: CallId,
        grant: u64,
        commands: mpsc::UnboundedReceiver<BodiesCommand>,
        report: F,
    ) -> Self {
        Self { call, grant, stored: 0, commands, report }
    }

    /// Obeys the next command, once there is one.
    async fn obey(&mut self) {
        match self.commands.recv().await {
            Some(BodiesCommand::Grant(grant)) => self.grant = grant,
            Some(BodiesCommand::RecallGrant) => {
                self.grant = self.stored;
                let (call, stored) = (self.call, self.stored);
                (self.report)(Input::BodiesGrantReturned { call, stored });
            }
            // The call is over, and this task is about to be aborted.
            None => std::future::pending().await,
        }
    }

    /// The next bytes of a stream. Grants that are recalled meanwhile are returned.
    async fn next<T>(&mut self, stream: &mut BoxStream<'static, T>) -> Option<T> {
        loop {
            tokio::select! {
                biased;
                () = self.obey() => {}
                next = stream.next() => return next,
            }
        }
    }

    async fn write(
        &mut self,
        writer: &mut dyn BodyWriter,
        mut bytes: &[u8],
    ) -> Result<(), StoreBodiesError> {
        while !bytes.is_empty() {
            if self.grant == self.stored {
                let (call, stored) = (self.call, self.stored);
                (self.report)(Input::BodiesNeedGrant { call, stored });
                while self.grant == self.stored {
                    self.obey().await;
                }
            }
            let granted = usize::try_from(self.grant - self.stored).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(bytes.len().min(granted).min(CHUNK));
            writer.write(piece)?;
            self.stored += piece.len() as u64;
            bytes = rest;
            // A body of several gigabytes must not delay the engine's other tasks.
            tokio::task::yield_now().await;
            while !self.commands.is_empty() {
                self.obey().await;
            }
        }
        Ok(())
    }
}

/// Stores the bodies of a call and returns their lengths.
pub(crate) async fn store_bodies(
    store: &dyn Bodies,
    fetch: FetchKey,
    bodies: Vec<Option<RequestBody>>,
    mut granted: Granted<impl Fn(Input)>,
) -> Result<Vec<u64>, StoreBodiesError> {
    let mut lengths = Vec::new();
    for (index, body) in (0..).zip(bodies) {
        let Some(body) = body else { continue };
        let record = RecordKey { fetch, index: RecordIndex(index) };
        let mut writer = store.create_request_body(record)?;
        match body {
            RequestBody::Bytes(bytes) => granted.write(&mut *writer, &bytes).await?,
            RequestBody::Stream(mut stream) => {
                while let Some(bytes) = granted.next(&mut stream).await {
                    let bytes = bytes.map_err(StoreBodiesError::Read)?;
                    granted.write(&mut *writer, &bytes).await?;
                }
            }
        }
        lengths.push(writer.length());
    }
    Ok(lengths)
}

/// A stored body, which can be sent any number of times.
pub(crate) struct StoredBody {
    pub(crate) record: RecordKey,
    pub(crate) length: u64,
    pub(crate) bodies: Arc<dyn Bodies>,
    pub(crate) blocking: Blocking,
}

impl fetcher::BodySource for StoredBody {
    fn length(&self) -> u64 {
        self.length
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        let (record, length) = (self.record, self.length);
        let (bodies, blocking) = (Arc::clone(&self.bodies), self.blocking.clone());
        let start: (Option<Arc<dyn BodyReader>>, u64) = (None, 0);
        stream::try_unfold(start, move |(reader, offset)| {
            let (bodies, blocking) = (Arc::clone(&bodies), blocking.clone());
            async move {
                if offset == length {
                    return Ok(None);
                }
                let read = blocking.run(move || -> Result<_, StoreError> {
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
