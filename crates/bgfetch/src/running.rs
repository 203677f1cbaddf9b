//! Running attempts: the shell around [`bgfetch_net::attempt::run`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bgfetch_model::attempt::{
    AttemptCommand, AttemptEnd, AttemptEvent, AttemptSpec, Fault, FaultKind,
};
use bgfetch_model::ids::{AttemptId, BodyKey, Generation, RecordKey};
use bgfetch_model::input::Input;
use bgfetch_net::attempt::{self, BodySink, Reporter};
use bgfetch_net::fetcher::{BodySource, FetchRequest};
use bgfetch_net::scheduler::HostKey;
use bgfetch_store::BodyWriter;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::event_loop::{EventLoop, Message};
use crate::request_bodies::StoredBody;
use crate::shared::Shared;

/// The loop's side of an attempt.
pub(crate) struct RunningAttempt {
    record: RecordKey,
    commands: mpsc::UnboundedSender<AttemptCommand>,
    /// The generation whose body it writes; set before it is told to receive.
    generation: Arc<AtomicU32>,
}

impl EventLoop {
    pub(crate) fn start_attempt(&mut self, id: AttemptId, key: RecordKey, spec: AttemptSpec) {
        let Some(fetch) = self.model.fetch(key.fetch) else { return };
        let Some(record) = fetch.record(key.index) else { return };
        let request = Arc::clone(record.request());
        let (storage_key, principal) =
            (fetch.registration().storage_key.clone(), Arc::clone(fetch.principal()));
        let (commands, receiver) = mpsc::unbounded_channel();
        let generation = Arc::new(AtomicU32::new(0));
        let reporter = Report {
            attempt: id,
            host: HostKey::of(&request.url),
            shared: self.shared.clone(),
            ended: false,
        };
        let body = request.body_length.map(|length| -> Arc<dyn BodySource> {
            let (bodies, runtime) = (Arc::clone(&self.bodies), self.shared.runtime().clone());
            Arc::new(StoredBody { record: key, length, bodies, runtime })
        });
        let (bodies, written) = (Arc::clone(&self.bodies), Arc::clone(&generation));
        let open = move |offset| -> io::Result<Box<dyn BodySink>> {
            let generation = Generation(written.load(Ordering::Acquire));
            let body = bodies.open_writer(BodyKey { record: key, generation }, offset)?;
            Ok(Box::new(Sink { body, gathered: Vec::new() }))
        };
        let (fetcher, timeouts) = (Arc::clone(&self.fetcher), self.timeouts);
        self.tasks.spawn(async move {
            let request = FetchRequest::new(storage_key, principal, request, spec, body);
            attempt::run(&*fetcher, request, timeouts, open, receiver, reporter).await;
        });
        self.attempts.insert(id, RunningAttempt { record: key, commands, generation });
    }

    pub(crate) fn command(&mut self, id: AttemptId, command: AttemptCommand) {
        let Some(attempt) = self.attempts.get(&id) else {
            return;
        };
        if let AttemptCommand::Receive { .. } = command {
            let record = attempt.record;
            let generation = self
                .model
                .fetch(record.fetch)
                .and_then(|fetch| fetch.record(record.index))
                .map_or(0, |record| record.response_data().generation.0);
            attempt.generation.store(generation, Ordering::Release);
        }
        // An attempt that is over has said so, or is about to.
        attempt.commands.send(command).unwrap_or_default();
    }
}

/// Sends an attempt's reports to the loop, the last of them even where its task is dropped.
struct Report {
    attempt: AttemptId,
    host: HostKey,
    shared: Shared,
    ended: bool,
}

impl Reporter for Report {
    fn event(&mut self, event: AttemptEvent) {
        self.ended |= matches!(event, AttemptEvent::Ended { .. });
        self.shared.send(Message::Input(Input::Attempt(self.attempt, event)));
    }

    fn connection(&mut self, multiplexed: bool) {
        if multiplexed {
            self.shared.send(Message::Multiplexes(self.host.clone()));
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.ended {
            let message = String::from("the fetcher gave up without a word");
            let fault = Fault { kind: FaultKind::Interrupted, sent: true, message };
            self.event(AttemptEvent::Ended { stored: None, end: AttemptEnd::Failed(fault) });
        }
    }
}

/// The store's body as the attempt's sink.
struct Sink {
    body: Box<dyn BodyWriter>,
    /// Where chunks are gathered; empty in between.
    gathered: Vec<u8>,
}

impl BodySink for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Ok(self.body.write(bytes)?)
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
