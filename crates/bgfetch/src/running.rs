//! Runs attempts: the engine's side of [`bgfetch_net::attempt::run`].

use std::io;
use std::sync::Arc;

use bgfetch_model::attempt::{
    AttemptCommand, AttemptEnd, AttemptEvent, AttemptSpec, Fault, FaultKind,
};
use bgfetch_model::fetch_info::FetchInfo;
use bgfetch_model::ids::{AttemptId, RecordKey};
use bgfetch_model::input::Input;
use bgfetch_model::request::Request;
use bgfetch_net::attempt::{self, BodySink};
use bgfetch_net::fetcher::{BodySource, FetchRequest};
use bgfetch_store::BodyWriter;
use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::event_loop::EventLoop;
use crate::execute::partition_of;
use crate::inbox::{Message, Owed};
use crate::log;
use crate::request_bodies::StoredBody;

impl EventLoop {
    pub(crate) fn start_attempt(
        &mut self,
        id: AttemptId,
        record: RecordKey,
        fetch: &FetchInfo,
        request: Arc<Request>,
        spec: AttemptSpec,
    ) {
        let (storage_key, principal) =
            (fetch.registration.storage_key.clone(), Arc::clone(&fetch.principal));
        let (commands, receiver) = mpsc::unbounded_channel();
        let body = request.body_length.map(|length| -> Arc<dyn BodySource> {
            let (bodies, blocking) = (Arc::clone(&self.bodies), self.inbox.blocking().clone());
            Arc::new(StoredBody { record, length, bodies, blocking })
        });
        let bodies = Arc::clone(&self.bodies);
        let open = move |body, offset| -> io::Result<Box<dyn BodySink>> {
            let body = bodies.open_writer(body, offset)?;
            Ok(Box::new(Sink { body, gathered: Vec::new() }))
        };
        let inbox = self.inbox.clone();
        let mut end = Some(Owed::new(&inbox, Message::Input(Input::Attempt(id, gave_up()))));
        let report = move |event| {
            let is_end = matches!(event, AttemptEvent::Ended { .. });
            if let AttemptEvent::Ended { stored, end } = &event {
                log::attempt_ended(*stored, end);
            }
            let message = Message::Input(Input::Attempt(id, event));
            match end.take_if(|_| is_end) {
                Some(end) => end.pay(message),
                None => inbox.send(message),
            }
        };
        let share = self.throttle.share(partition_of(fetch), record.fetch);
        let (fetcher, timeouts) = (Arc::clone(&self.fetcher), self.timeouts);
        let span = log::attempt_started(id, record, &spec);
        let attempt = async move {
            let request = FetchRequest::new(storage_key, principal, request, spec, body);
            attempt::run(&*fetcher, request, timeouts, share, open, receiver, report).await;
        };
        self.tasks.spawn(attempt.instrument(span));
        self.attempts.insert(id, commands);
    }

    pub(crate) fn command(&mut self, id: AttemptId, command: AttemptCommand) {
        // An attempt that is over has reported its end, or is about to.
        if let Some(commands) = self.attempts.get(&id) {
            commands.send(command).unwrap_or_default();
        }
    }
}

/// The report of an attempt whose fetcher panicked.
fn gave_up() -> AttemptEvent {
    let message = String::from("the fetcher panicked");
    let fault = Fault { kind: FaultKind::Interrupted, sent: true, message };
    AttemptEvent::Ended { stored: None, end: AttemptEnd::Failed(fault) }
}

/// The store's body as the attempt's sink.
struct Sink {
    body: Box<dyn BodyWriter>,
    /// Collects small chunks; empty between batches.
    gathered: Vec<u8>,
}

impl BodySink for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Ok(self.body.write(bytes)?)
    }

    fn length(&self) -> u64 {
        self.body.length()
    }

    // OPTIMIZATION: HTTP/2 delivers in frames of 16 KiB, and copying them together costs less than
    // a system call for each.
    fn write_batch(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        if let [chunk] = chunks {
            return self.write(chunk);
        }
        self.gathered.clear();
        chunks.iter().for_each(|chunk| self.gathered.extend_from_slice(chunk));
        Ok(self.body.write(&self.gathered)?)
    }
}
