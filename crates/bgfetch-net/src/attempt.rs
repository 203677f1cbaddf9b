//! The attempt driver: runs one fetch by the model's protocol
//! ([`bgfetch_model::attempt`]) and moves its body from the network to the store.
//!
//! The driver makes no decisions. It reports the response with [`AttemptEvent::Head`], writes the
//! bytes that it was granted at the rate that is allowed, and reports how it ended. It buffers a
//! bounded number of bytes: one batch, and one chunk of the fetcher. While it may not write those, it
//! does not read, and the sender has to wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent, Fault, FaultKind};
use bgfetch_model::ids::BodyKey;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::coop;

use crate::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher, UploadProgress};
use crate::handover;
use crate::progress::{Coalesced, Watchdog};
use crate::slot::{self, Slot};
use crate::throttle::Share;

/// A writer for a response's body: the bytes of one representation, from an offset on.
pub trait BodySink: Send {
    /// Appends all of `bytes`. It may block for as long as a write to a file does.
    ///
    /// # Errors
    /// The bytes could not be stored. Some of them may have been.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// How many bytes the body has, also after an error. They count, because a process that starts
    /// again finds them.
    fn length(&self) -> u64;

    /// Appends all of `chunks` in order. A sink over a file should write them with one call,
    /// because HTTP/2 delivers small frames.
    ///
    /// # Errors
    /// See [`write`](Self::write).
    fn write_batch(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        chunks.iter().try_for_each(|chunk| self.write(chunk))
    }
}

/// How long an attempt may be idle. If one of these runs out, the attempt ends as
/// [`FaultKind::Interrupted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// The longest wait for a response's head, since the start, since the attempt took its slot
    /// again or since the network last took bytes of the request's body; 60 s by default. Name
    /// look-ups, the wait for a permission, and the wait for the slot after them do not count, nor
    /// does time for which a [rate](crate::throttle) holds back the request's body.
    pub head: Duration,
    /// The longest wait for the next byte of the response's body; 30 s by default. Time spent
    /// waiting for a grant, for memory to decode the body or for the disk does not count, nor does
    /// time for which a [rate](crate::throttle) holds the attempt back, or on a connection that
    /// multiplexes any attempt of its site.
    pub stall: Duration,
}

bgfetch_model::impl_with!(Timeouts);

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: Duration::from_secs(60), stall: Duration::from_secs(30) }
    }
}

/// OPTIMIZATION: below this, copying into the page cache costs less than moving the runtime's
/// worker to another thread.
const WORTH_A_HANDOVER: u64 = 64 << 10;

/// Runs one attempt to its end, which is the last event passed to `report`.
///
/// `open` is called at most once, with the body and the offset of [`AttemptCommand::Receive`]. A
/// closed command channel counts as [`AttemptCommand::Cancel`]: the engine is gone. Dropping the
/// future stops the attempt without a report. The bodies of the request and the response move at
/// the rate of `share`.
///
/// It needs a tokio runtime with its time driver. On a multi-threaded one it must be spawned as a
/// task of its own (`tokio::spawn`), because large writes call `block_in_place`, which a `LocalSet`
/// does not allow.
pub async fn run<O, R>(
    fetcher: &dyn Fetcher,
    request: FetchRequest,
    timeouts: Timeouts,
    share: Share,
    open: O,
    commands: UnboundedReceiver<AttemptCommand>,
    report: R,
) where
    O: FnOnce(BodyKey, u64) -> io::Result<Box<dyn BodySink>> + Send,
    R: FnMut(AttemptEvent) + Send,
{
    let mut attempt = Attempt {
        timeouts,
        share,
        commands,
        report,
        uploads: request.uploaded.clone(),
        uploaded: Coalesced::new(0),
        slot: watch::Sender::new(slot::State::Held),
        stored: None,
    };
    let end = match attempt.exchange(fetcher, request, open).await {
        Ok(()) => AttemptEnd::Complete,
        Err(Stop::Cancelled) => AttemptEnd::Cancelled,
        Err(Stop::Failed(fault)) => AttemptEnd::Failed(fault),
    };
    attempt.flush_uploaded();
    let stored = attempt.stored;
    (attempt.report)(AttemptEvent::Ended { stored, end });
}

/// Why an attempt stops before its body is complete.
enum Stop {
    Cancelled,
    Failed(Fault),
}

impl From<FetchError> for Stop {
    fn from(error: FetchError) -> Self {
        Self::Failed(error.into())
    }
}

struct Attempt<R> {
    timeouts: Timeouts,
    share: Share,
    commands: UnboundedReceiver<AttemptCommand>,
    report: R,
    uploads: UploadProgress,
    uploaded: Coalesced,
    slot: watch::Sender<slot::State>,
    /// The length of the stored body, once there is a sink.
    stored: Option<u64>,
}

impl<R: FnMut(AttemptEvent) + Send> Attempt<R> {
    async fn exchange<O>(
        &mut self,
        fetcher: &dyn Fetcher,
        mut request: FetchRequest,
        open: O,
    ) -> Result<(), Stop>
    where
        O: FnOnce(BodyKey, u64) -> io::Result<Box<dyn BodySink>>,
    {
        request.slot = Slot::new(self.slot.clone());
        let response = self.head(fetcher, request).await?;
        // A response implies the server's consent; without it, the fetch would have failed.
        self.uploads.approve();
        self.flush_uploaded();
        (self.report)(AttemptEvent::Head {
            head: response.head,
            request_headers: response.request_headers,
            address: response.address,
            retry_after: response.retry_after,
            multiplexes: response.multiplexed,
        });
        let (body, offset, grant) = self.verdict().await?;
        self.stored = Some(offset);
        let sink = open(body, offset).map_err(storage_fault)?;
        let intake = Intake::new(response.body, response.multiplexed);
        self.receive(intake, sink, offset, grant).await
    }

    /// Waits for the response's head while the request's body is sent.
    async fn head(
        &mut self,
        fetcher: &dyn Fetcher,
        mut request: FetchRequest,
    ) -> Result<FetchResponse, Stop> {
        let upload_held = watch::Sender::new(false);
        let mut held = upload_held.subscribe();
        request.body = request.body.map(|body| self.share.body(body, upload_held));
        // Before the fetch begins: it may run on another thread, and no change must be missed.
        let mut taken = self.uploads.subscribe();
        let mut slot = self.slot.subscribe();
        let mut fetch = fetcher.fetch(request);
        let mut holds_slot = true;
        let mut silence = Watchdog::new(self.timeouts.head);
        loop {
            let is_held = *held.borrow();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(AttemptCommand::TakeSlot) => {
                        // Not when the state is seen, because the fetch may have left it again by then.
                        holds_slot = true;
                        self.slot.send_replace(slot::State::Held);
                    }
                    Some(AttemptCommand::Cancel) | None => return Err(Stop::Cancelled),
                    // Nothing is granted yet.
                    Some(_) => {}
                },
                response = &mut fetch => return Ok(response?),
                Ok(()) = slot.changed() => {
                    // Not in the `match`, because it would hold the lock of the state.
                    let state = slot.borrow_and_update().clone();
                    match state {
                        slot::State::Held => silence.feed(),
                        // There is no body yet.
                        slot::State::NeedMemory => {}
                        slot::State::Left(host) => {
                            holds_slot = false;
                            (self.report)(AttemptEvent::LookUp(host));
                        }
                        slot::State::NeedPermission(url, space) => {
                            holds_slot = false;
                            (self.report)(AttemptEvent::NeedPermission { url, space });
                        }
                        slot::State::Wanted if holds_slot => {
                            // The look-up ended before it was reported.
                            self.slot.send_replace(slot::State::Held);
                        }
                        slot::State::Wanted => (self.report)(AttemptEvent::NeedSlot),
                    }
                }
                Ok(()) = held.changed() => {
                    silence.feed();
                }
                Ok(()) = taken.changed() => {
                    silence.feed();
                    let shown = taken.borrow_and_update().shown;
                    if let Some(offset) = self.uploaded.advance_to(shown) {
                        (self.report)(AttemptEvent::Uploaded(offset));
                    }
                }
                offset = self.uploaded.due() => {
                    (self.report)(AttemptEvent::Uploaded(offset));
                }
                () = silence.expired(), if holds_slot && !is_held => {
                    return Err(Stop::Failed(timed_out("no response came", self.timeouts.head)));
                }
            }
        }
    }

    /// Waits for the model's decision about the head: where to write the body, and how far.
    async fn verdict(&mut self) -> Result<(BodyKey, u64, u64), Stop> {
        loop {
            match self.commands.recv().await {
                Some(AttemptCommand::Receive { body, offset, grant }) => {
                    return Ok((body, offset, grant));
                }
                Some(AttemptCommand::Cancel) | None => return Err(Stop::Cancelled),
                Some(
                    AttemptCommand::Grant(_)
                    | AttemptCommand::RecallGrant
                    | AttemptCommand::TakeSlot,
                ) => {}
            }
        }
    }

    /// Moves the body into `sink`, within the grant and at the rate.
    async fn receive(
        &mut self,
        mut intake: Intake,
        mut sink: Box<dyn BodySink>,
        offset: u64,
        grant: u64,
    ) -> Result<(), Stop> {
        let mut stored = offset;
        let mut grant = grant.max(offset);
        let mut progress = Coalesced::new(offset);
        let mut silence = Watchdog::new(self.timeouts.stall);
        // How many of the bytes in hand the rate has let through. They are written as soon as they are
        // granted.
        let mut released = 0;
        // Set while the model knows that one of them is beyond the grant.
        let mut needs_grant = false;
        let mut slot = self.slot.subscribe();
        let mut needs_memory = false;
        loop {
            let in_hand = intake.length();
            let piece = if in_hand == 0 { self.share.piece() } else { 0 };
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(AttemptCommand::Grant(to)) => {
                        grant = grant.max(to);
                        needs_grant &= grant == stored;
                    }
                    Some(AttemptCommand::RecallGrant) => {
                        grant = stored;
                        progress.settle(stored);
                        (self.report)(AttemptEvent::GrantReturned(stored));
                    }
                    Some(AttemptCommand::Receive { .. } | AttemptCommand::TakeSlot) => {}
                    Some(AttemptCommand::Cancel) | None => return Err(Stop::Cancelled),
                },
                Ok(()) = slot.changed() => {
                    needs_memory = *slot.borrow_and_update() == slot::State::NeedMemory;
                    silence.feed();
                }
                given = self.share.take(in_hand), if in_hand > 0 && released == 0 => released = given,
                () = intake.fill(piece), if in_hand == 0 => {}
                offset = progress.due() => (self.report)(AttemptEvent::Progress(offset)),
                () = silence.expired(), if in_hand == 0 && !needs_memory => {
                    // Bytes that are held back fill the window of the connection.
                    if !intake.multiplexed || !self.share.holds_back_site() {
                        return Err(Stop::Failed(timed_out("no byte came", self.timeouts.stall)));
                    }
                    silence.feed();
                }
            }

            let batch = intake.take(released.min(grant - stored));
            if !batch.is_empty() {
                released -= length(&batch);
                let written = write(sink.as_mut(), &batch);
                stored = sink.length();
                self.stored = Some(stored);
                written.map_err(storage_fault)?;
                silence.feed();
            }
            if intake.is_over() {
                return Ok(intake.end.unwrap_or(Ok(()))?);
            } else if released == 0 {
                if let Some(offset) = progress.advance_to(stored) {
                    (self.report)(AttemptEvent::Progress(offset));
                }
            } else if !needs_grant {
                needs_grant = true;
                progress.settle(stored);
                (self.report)(AttemptEvent::NeedGrant(stored));
            }
            // A fetcher that is always ready (a cache, a decoder) must not starve other tasks.
            coop::consume_budget().await;
        }
    }

    fn flush_uploaded(&mut self) {
        let last = self.uploaded.advance_to(self.uploads.shown());
        if let Some(offset) = last.or_else(|| self.uploaded.flush()) {
            (self.report)(AttemptEvent::Uploaded(offset));
        }
    }
}

/// The response's body: the bytes that were received and not written yet.
struct Intake {
    body: BoxStream<'static, Result<Bytes, FetchError>>,
    /// Whether its connection carries other bodies, too.
    multiplexed: bool,
    ready: VecDeque<Bytes>,
    /// How the body ended; nothing is read after that.
    end: Option<Result<(), FetchError>>,
}

impl Intake {
    fn new(body: BoxStream<'static, Result<Bytes, FetchError>>, multiplexed: bool) -> Self {
        Self { body, multiplexed, ready: VecDeque::new(), end: None }
    }

    /// Waits for bytes or the end, and takes all bytes that are available, until there are `enough`.
    /// Cancel safe.
    async fn fill(&mut self, enough: u64) {
        poll_fn(|context| {
            let mut length = 0;
            while length < enough && self.end.is_none() {
                match self.body.poll_next_unpin(context) {
                    Poll::Ready(Some(Ok(bytes))) if bytes.is_empty() => {}
                    Poll::Ready(Some(Ok(bytes))) => {
                        length += bytes.len() as u64;
                        self.ready.push_back(bytes);
                    }
                    Poll::Ready(Some(Err(error))) => self.end = Some(Err(error)),
                    Poll::Ready(None) => self.end = Some(Ok(())),
                    Poll::Pending => break,
                }
            }
            if self.ready.is_empty() && self.end.is_none() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// How many bytes there are to write.
    fn length(&self) -> u64 {
        self.ready.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// Whether everything up to the end was written.
    fn is_over(&self) -> bool {
        self.ready.is_empty() && self.end.is_some()
    }

    /// Removes the first `room` bytes, or all if there are fewer.
    fn take(&mut self, room: u64) -> Vec<Bytes> {
        let mut room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut batch = Vec::with_capacity(self.ready.len());
        while room > 0
            && let Some(mut chunk) = self.ready.pop_front()
        {
            if chunk.len() > room {
                self.ready.push_front(chunk.split_off(room));
            }
            room -= chunk.len();
            batch.push(chunk);
        }
        batch
    }
}

fn length(batch: &[Bytes]) -> u64 {
    batch.iter().map(|chunk| chunk.len() as u64).sum()
}

fn write(sink: &mut dyn BodySink, batch: &[Bytes]) -> io::Result<()> {
    if length(batch) >= WORTH_A_HANDOVER {
        handover::block(|| sink.write_batch(batch))
    } else {
        sink.write_batch(batch)
    }
}

fn storage_fault(error: io::Error) -> Stop {
    let message = match error.kind() {
        io::ErrorKind::StorageFull => format!("the disk is full: {error}"),
        io::ErrorKind::QuotaExceeded => format!("the disk quota is used up: {error}"),
        _ => format!("the body could not be stored: {error}"),
    };
    Stop::Failed(Fault { kind: FaultKind::Storage, sent: true, message })
}

fn timed_out(what: &str, limit: Duration) -> Fault {
    Fault {
        kind: FaultKind::Interrupted,
        // The fetcher may be anywhere between connecting and receiving the response.
        sent: true,
        message: format!("{what} for {} s", limit.as_secs_f32()),
    }
}
