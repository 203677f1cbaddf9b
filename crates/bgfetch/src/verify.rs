//! Compares stored bodies with the integrity metadata of their requests, as the model asks.

use std::io;
use std::sync::Arc;

use bgfetch_model::ids::BodyKey;
use bgfetch_model::input::{Input, Verification};
use bgfetch_model::request::Request;
use bgfetch_model::response::ResponseData;
use bgfetch_net::integrity::Verifier;
use bgfetch_store::{Bodies, BodyReader, StoreError};
use tokio::sync::{Semaphore, watch};

use crate::blocking::Blocking;
use crate::event_loop::EventLoop;
use crate::inbox::{Message, Owed};

/// How many bytes are hashed between two checks of whether the answer is still needed.
const CHUNK: usize = 1 << 20;

impl EventLoop {
    pub(crate) fn verify_integrity(
        &mut self,
        turns: Arc<Semaphore>,
        body: BodyKey,
        length: u64,
        request: &Request,
        data: ResponseData,
    ) {
        let reading = Reading {
            bodies: Arc::clone(&self.bodies),
            body,
            length,
            offset: 0,
            reader: None,
            verifier: Verifier::new(&request.integrity),
            buffer: Vec::new(),
        };
        let data = self.watchers.watch(body.record, data);
        let verified =
            move |verification| Message::Input(Input::IntegrityVerified(body, verification));
        let answer = Owed::new(&self.inbox, verified(Verification::Unreadable));
        let blocking = self.inbox.blocking().clone();
        self.tasks.spawn(async move {
            let turn = turns.acquire().await;
            if turn.is_ok()
                && let Some(verification) = verify(&blocking, reading, &data).await
            {
                answer.pay(verified(verification));
            }
        });
    }
}

/// Reads the body; `None` if the answer is no longer needed.
async fn verify(
    blocking: &Blocking,
    mut reading: Reading,
    data: &watch::Receiver<ResponseData>,
) -> Option<Verification> {
    while reading.verifier.needs_bytes() && reading.offset < reading.length {
        // The record was aborted, or is gone.
        if data.borrow().result.is_some() || data.has_changed().is_err() {
            return None;
        }
        // Piece by piece, so that this ends when the engine ends.
        match blocking.run(move || reading.advance()).await {
            Ok(Ok(next)) => reading = next,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a stored body cannot be verified");
                return Some(Verification::Unreadable);
            }
            Err(error) => {
                tracing::error!(%error, "the task that verifies a stored body failed");
                return Some(Verification::Unreadable);
            }
        }
    }
    Some(match reading.verifier.matches() {
        true => Verification::Matches,
        false => Verification::Mismatch,
    })
}

/// A body that is being read.
struct Reading {
    bodies: Arc<dyn Bodies>,
    body: BodyKey,
    length: u64,
    offset: u64,
    reader: Option<Box<dyn BodyReader>>,
    verifier: Verifier,
    buffer: Vec<u8>,
}

impl Reading {
    /// Reads the next piece. Blocks.
    fn advance(mut self) -> Result<Self, StoreError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.bodies.open_reader(self.body)?,
        };
        let left = usize::try_from(self.length - self.offset).unwrap_or(CHUNK);
        self.buffer.resize(left.min(CHUNK), 0);
        let read = reader.read_at(self.offset, &mut self.buffer)?;
        if read == 0 {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(StoreError::io("a stored body", error));
        }
        self.verifier.update(self.buffer.get(..read).unwrap_or_default());
        self.offset += read as u64;
        self.reader = Some(reader);
        Ok(self)
    }
}
