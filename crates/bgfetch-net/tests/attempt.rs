//! The attempt driver against a scripted fetcher, in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bgfetch_model::attempt::AttemptCommand::{Cancel, Grant, RecallGrant, Receive, TakeSlot};
use bgfetch_model::attempt::AttemptEvent::{
    Ended, GrantReturned, Head, LookUp, NeedGrant, NeedPermission, NeedSlot, Progress, Uploaded,
};
use bgfetch_model::attempt::{
    AttemptCommand, AttemptEnd, AttemptEvent, AttemptSpec, Fault, FaultKind,
};
use bgfetch_model::ids::{
    BodyKey, FetchKey, Generation, HostKey, RecordIndex, RecordKey, StorageKey,
};
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::Request;
use bgfetch_model::response::{ResponseHead, ResponseType};
use bgfetch_net::attempt::{BodySink, Timeouts, run};
use bgfetch_net::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};
use bgfetch_net::slot::Slot;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};
use url::Url;

const MIB: usize = 1 << 20;

/// The body that every attempt here is told to write.
const BODY: BodyKey = BodyKey {
    record: RecordKey { fetch: FetchKey(1), index: RecordIndex(2) },
    generation: Generation(3),
};

/// One step of a scripted response body.
#[derive(Clone, Copy, Debug)]
enum Step {
    Bytes(usize),
    Wait(Duration),
    Cut,
}
use Step::{Bytes as Send, Cut, Wait};

#[derive(Clone, Debug, Default)]
struct Script {
    /// Request bytes that were sent, and how long after the previous step.
    uploads: Vec<(Duration, u64)>,
    /// How long the look-up of the host's name takes.
    look_up: Duration,
    /// Whether the fetch begins before its future is returned, as on another thread.
    is_eager: bool,
    /// Whether the look-up ends when it is polled for the second time.
    quick_look_up: bool,
    /// Whether the page needs a permission.
    needs_permission: bool,
    head_after: Duration,
    /// How long the body waits for memory.
    memory_after: Duration,
    body: Vec<Step>,
    fails: Option<FaultKind>,
    /// The page that makes the request, instead of the user.
    page: Option<&'static str>,
}

impl Script {
    fn body(steps: &[Step]) -> Self {
        Self { body: steps.to_vec(), ..Self::default() }
    }
}

/// The byte at `offset` of every scripted representation.
fn byte(offset: usize) -> u8 {
    (offset % 251) as u8
}

fn chunk(offset: usize, length: usize) -> Bytes {
    (offset..offset + length).map(byte).collect()
}

impl Fetcher for Script {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        let script = self.clone();
        let is_eager = script.is_eager;
        let mut fetch: BoxFuture<'static, _> = Box::pin(async move {
            let look_up = async {
                if script.quick_look_up {
                    tokio::task::yield_now().await;
                }
                if script.look_up > Duration::ZERO {
                    sleep(script.look_up).await;
                }
                match script.fails {
                    Some(FaultKind::NoRoute) => {
                        Err(FetchError::new(FaultKind::NoRoute, false, "scripted"))
                    }
                    _ => Ok(()),
                }
            };
            request.slot.look_up(&request.request.url, look_up).await?;
            if script.needs_permission {
                let (url, space) = (&request.request.url, IpAddressSpace::Local);
                let granted = request.slot.permission(url, space).await;
                granted.map_err(|denied| FetchError::new(FaultKind::Blocked, false, denied))?;
            }
            for (after, offset) in script.uploads {
                sleep(after).await;
                request.uploaded.advance_to(offset);
            }
            sleep(script.head_after).await;
            let url = request.request.url.clone();
            if let Some(kind) = script.fails {
                return Err(FetchError::new(kind, false, "scripted"));
            }
            let steps = script.body.into_iter();
            let body = stream::unfold((steps, 0), |(mut steps, mut offset)| async move {
                loop {
                    match steps.next()? {
                        Send(length) => {
                            let bytes = chunk(offset, length);
                            offset += length;
                            return Some((Ok(bytes), (steps, offset)));
                        }
                        Wait(time) => sleep(time).await,
                        Cut => {
                            let error = FetchError::new(FaultKind::Interrupted, true, "cut");
                            return Some((Err(error), (steps, offset)));
                        }
                    }
                }
            });
            let memory = async move {
                if script.memory_after > Duration::ZERO {
                    request.slot.memory(sleep(script.memory_after)).await;
                }
                body
            };
            let body = stream::once(memory).flatten();
            Ok(FetchResponse {
                head: ResponseHead {
                    status: 200,
                    status_text: String::new(),
                    headers: Default::default(),
                    url_list: vec![url],
                    response_type: ResponseType::Default,
                    cors_exposed_header_names: Vec::new(),
                    selecting_headers: None,
                },
                request_headers: None,
                retry_after: Some(Duration::from_secs(7)),
                multiplexed: true,
                address: None,
                body: body.boxed(),
            })
        });
        match is_eager.then(|| (&mut fetch).now_or_never()).flatten() {
            Some(done) => Box::pin(std::future::ready(done)),
            None => fetch,
        }
    }
}

/// What was written, and how much was granted.
#[derive(Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    limit: Arc<AtomicU64>,
    full_at: Option<u64>,
}

impl BodySink for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stored = self.bytes.lock();
        let length = (stored.len() + bytes.len()) as u64;
        if self.full_at.is_some_and(|full| length > full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(length <= self.limit.load(Ordering::Relaxed), "beyond the grant");
        stored.extend_from_slice(bytes);
        Ok(())
    }
}

/// A running attempt; the test takes the place of the model.
struct Run {
    began: Instant,
    commands: Option<UnboundedSender<AttemptCommand>>,
    events: UnboundedReceiver<AttemptEvent>,
    disk: Disk,
}

fn start(script: Script) -> Run {
    start_with(script, Disk::default(), Timeouts::default())
}

fn start_with(script: Script, disk: Disk, timeouts: Timeouts) -> Run {
    let (commands, receiver) = unbounded_channel();
    let (report, events) = unbounded_channel();
    let sink = disk.clone();
    tokio::spawn(async move {
        let request = Request::get(Url::parse("http://a.test/").unwrap());
        let request = match script.page {
            None => user_request(request),
            Some(page) => page_request(page, request),
        };
        let open = move |body, offset| {
            assert_eq!(body, BODY);
            let zeros = vec![0; usize::try_from(offset).unwrap()];
            *sink.bytes.lock() = zeros;
            Ok(Box::new(sink) as Box<dyn BodySink>)
        };
        let reporter = move |event| {
            // The test may have dropped its receiver.
            report.send(event).unwrap_or_default();
        };
        run(&script, request, timeouts, open, receiver, reporter).await;
    });
    Run { began: Instant::now(), commands: Some(commands), events, disk }
}

impl Run {
    fn tell(&self, command: AttemptCommand) {
        if let Receive { grant, .. } | Grant(grant) = command {
            self.disk.limit.fetch_max(grant, Ordering::Relaxed);
        }
        self.commands.as_ref().unwrap().send(command).unwrap();
    }

    async fn hear(&mut self) -> AttemptEvent {
        self.events.recv().await.expect("the attempt has ended")
    }

    async fn receive(&mut self, offset: u64, grant: u64) {
        assert!(matches!(self.hear().await, Head { .. }));
        self.tell(Receive { body: BODY, offset, grant });
    }

    /// The next event other than progress, which must be the end and the last one.
    async fn ended(&mut self) -> (Option<u64>, AttemptEnd) {
        loop {
            match self.hear().await {
                Progress(_) => {}
                Ended { stored, end } => {
                    assert_eq!(self.events.recv().await, None, "an event after the end");
                    return (stored, end);
                }
                other => panic!("not the end: {other:?}"),
            }
        }
    }

    fn stored(&self) -> usize {
        self.disk.bytes.lock().len()
    }
}

fn fault(end: AttemptEnd) -> Fault {
    match end {
        AttemptEnd::Failed(fault) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_arrives_whole() {
    let mut run = start(Script::body(&[Send(10), Wait(Duration::from_millis(1)), Send(5)]));
    let Head { head, retry_after, multiplexes, .. } = run.hear().await else {
        panic!("no head");
    };
    assert_eq!((head.status, retry_after), (200, Some(Duration::from_secs(7))));
    assert!(multiplexes);
    run.tell(Receive { body: BODY, offset: 0, grant: 15 });
    assert_eq!(run.ended().await, (Some(15), AttemptEnd::Complete));
    assert_eq!(*run.disk.bytes.lock(), chunk(0, 15));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_memory_is_no_stall_and_returns_a_grant_that_is_recalled() {
    let memory_after = Duration::from_secs(3600);
    let steps = [Wait(Duration::from_secs(20)), Send(10), Wait(Duration::from_secs(3600))];
    let mut run = start(Script { memory_after, ..Script::body(&steps) });
    run.receive(0, 100).await;
    run.tell(RecallGrant);
    assert_eq!(run.hear().await, GrantReturned(0));
    run.tell(Grant(50));
    // From then on, a stall counts from the last byte.
    let (stored, end) = run.ended().await;
    assert_eq!((stored, fault(end).kind), (Some(10), FaultKind::Interrupted));
    let stall = Timeouts::default().stall;
    assert_eq!(run.began.elapsed(), memory_after + Duration::from_secs(20) + stall);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_before_the_verdict_and_offsets_count_from_the_representations_start() {
    let mut run = start(Script::body(&[Send(10)]));
    assert!(matches!(run.hear().await, Head { .. }));
    sleep(Duration::from_secs(3600)).await;
    assert!(run.events.is_empty(), "waiting for the model is no stall");
    run.tell(Receive { body: BODY, offset: 90, grant: 95 });
    assert_eq!(run.hear().await, NeedGrant(95));
    run.tell(Grant(u64::MAX));
    assert_eq!(run.ended().await, (Some(100), AttemptEnd::Complete));
    assert_eq!(run.disk.bytes.lock()[90..], chunk(0, 10));
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_needs_no_grant() {
    for steps in [&[][..], &[Send(0)]] {
        let mut run = start(Script::body(steps));
        run.receive(0, 0).await;
        assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));
    }
}

#[tokio::test(start_paused = true)]
async fn grants_are_used_to_the_byte_and_asked_for_once() {
    let mut run = start(Script::body(&[Send(10), Send(10)]));
    run.receive(0, 13).await;
    assert_eq!(run.hear().await, NeedGrant(13));
    sleep(Duration::from_secs(3600)).await;
    assert!(run.events.is_empty());
    // No more than was granted before: the same request is still open.
    run.tell(Grant(13));
    sleep(Duration::from_secs(1)).await;
    assert!(run.events.is_empty());
    run.tell(Grant(14));
    assert_eq!(run.hear().await, NeedGrant(14));
    // Exactly enough: the end of the body needs no further grant.
    run.tell(Grant(20));
    assert_eq!(run.ended().await, (Some(20), AttemptEnd::Complete));
}

#[tokio::test(start_paused = true)]
async fn a_recalled_grant_is_what_was_written() {
    let second = Wait(Duration::from_secs(1));
    let mut run = start(Script::body(&[Send(10), second, Send(10), second, Send(1)]));
    run.receive(0, 100).await;
    assert_eq!(run.hear().await, Progress(10));
    run.tell(RecallGrant);
    assert_eq!(run.hear().await, GrantReturned(10));
    run.disk.limit.store(10, Ordering::Relaxed);
    assert_eq!(run.hear().await, NeedGrant(10));
    // Recalled again while it waits: it answers again, but does not ask a second time.
    run.tell(RecallGrant);
    assert_eq!(run.hear().await, GrantReturned(10));
    sleep(Duration::from_secs(60)).await;
    assert!(run.events.is_empty());
    run.tell(Grant(21));
    assert_eq!(run.ended().await, (Some(21), AttemptEnd::Complete));
}

#[tokio::test(start_paused = true)]
async fn progress_is_reported_by_size_or_by_time() {
    let tick = Wait(Duration::from_millis(1));
    // 256 KiB per millisecond, so reports are due by size; then one byte, which is reported by
    // time.
    let mut steps = [Send(MIB / 4), tick].repeat(8);
    steps.extend([Send(1), Wait(Duration::from_secs(9))]);
    let mut run = start(Script::body(&steps));
    let began = Instant::now();
    run.receive(0, u64::MAX).await;
    assert_eq!(run.hear().await, Progress(MIB as u64));
    assert_eq!(run.hear().await, Progress(2 * MIB as u64));
    let before = began.elapsed();
    assert_eq!(run.hear().await, Progress(2 * MIB as u64 + 1));
    assert_eq!(began.elapsed() - before, Duration::from_millis(50));
    assert_eq!(run.ended().await, (Some(2 * MIB as u64 + 1), AttemptEnd::Complete));
}

#[tokio::test(start_paused = true)]
async fn a_silent_body_stalls_after_its_time() {
    let almost = Wait(Duration::from_secs(29));
    let mut run = start(Script::body(&[almost, Send(1), almost, Send(1), Wait(Duration::MAX / 2)]));
    let began = Instant::now();
    run.receive(0, 9).await;
    let (stored, end) = run.ended().await;
    assert_eq!(stored, Some(2));
    let fault = fault(end);
    assert_eq!((fault.kind, fault.sent), (FaultKind::Interrupted, true));
    assert_eq!(began.elapsed(), Duration::from_secs(29 + 29 + 30));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_grant_is_no_stall_and_does_not_shorten_the_next_wait() {
    let mut run = start(Script::body(&[Send(10), Wait(Duration::from_secs(29)), Send(10)]));
    run.receive(0, 5).await;
    assert_eq!(run.hear().await, NeedGrant(5));
    sleep(Duration::from_secs(300)).await;
    run.tell(Grant(20));
    assert_eq!(run.ended().await, (Some(20), AttemptEnd::Complete));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_waited_for_from_the_last_upload() {
    let script = Script {
        uploads: vec![(Duration::from_secs(50), 1), (Duration::from_secs(50), 2)],
        head_after: Duration::from_secs(3600),
        ..Script::default()
    };
    let mut run = start(script);
    let began = Instant::now();
    assert_eq!(run.hear().await, Uploaded(1));
    assert_eq!(run.hear().await, Uploaded(2));
    let (stored, end) = run.ended().await;
    assert_eq!(stored, None);
    assert_eq!(fault(end).kind, FaultKind::Interrupted);
    assert_eq!(began.elapsed(), Duration::from_secs(50 + 50 + 60));
}

#[tokio::test(start_paused = true)]
async fn uploads_are_coalesced_and_exact_before_the_head() {
    let script = Script {
        uploads: (1..=100).map(|n| (Duration::from_millis(1), n)).collect(),
        ..Script::default()
    };
    let mut run = start(script);
    assert_eq!(run.hear().await, Uploaded(50));
    assert_eq!(run.hear().await, Uploaded(100));
    run.receive(0, 0).await;
    assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));

    let script = Script {
        uploads: vec![(Duration::from_millis(1), 7)],
        fails: Some(FaultKind::Interrupted),
        ..Script::default()
    };
    let mut run = start(script);
    assert_eq!(run.hear().await, Uploaded(7));
    assert_eq!(fault(run.ended().await.1).message, "scripted");
}

#[tokio::test(start_paused = true)]
async fn a_pages_upload_to_another_origin_is_shown_once_there_is_a_response() {
    let script = Script {
        // So slow that only the progress of the upload keeps the attempt alive.
        uploads: vec![(Duration::from_secs(50), 1), (Duration::from_secs(50), 2)],
        page: Some("http://page.test/"),
        ..Script::default()
    };
    let began = Instant::now();
    let mut run = start(script.clone());
    assert_eq!(run.hear().await, Uploaded(2));
    assert_eq!(began.elapsed(), Duration::from_secs(100));
    run.receive(0, 0).await;
    assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));

    let mut refused = start(Script { fails: Some(FaultKind::Blocked), ..script.clone() });
    assert_eq!(fault(refused.ended().await.1).kind, FaultKind::Blocked);
    let mut silent = start(Script { head_after: Duration::from_secs(3600), ..script.clone() });
    assert_eq!(fault(silent.ended().await.1).kind, FaultKind::Interrupted);

    let mut own = start(Script { page: Some("http://a.test/page"), ..script });
    assert_eq!(own.hear().await, Uploaded(1));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_leaves_the_slot_and_neither_it_nor_the_wait_for_the_slot_is_timed() {
    let hour = Duration::from_secs(3600);
    let script = Script { look_up: hour, head_after: Duration::from_secs(59), ..Script::default() };
    let mut run = start(script.clone());
    let host = HostKey::of(&Url::parse("http://a.test/").unwrap());
    assert_eq!(run.hear().await, LookUp(host.clone()));
    assert_eq!(run.hear().await, NeedSlot);
    sleep(hour).await;
    run.tell(TakeSlot);
    run.receive(0, 0).await;
    assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));
    // Then the limit applies as at the start.
    let mut slow = start(Script { head_after: Duration::from_secs(61), ..script.clone() });
    assert_eq!(slow.hear().await, LookUp(host.clone()));
    assert_eq!(slow.hear().await, NeedSlot);
    slow.tell(TakeSlot);
    assert_eq!(fault(slow.ended().await.1).kind, FaultKind::Interrupted);
    // A name that is not found needs no slot afterwards.
    let mut lost = start(Script { fails: Some(FaultKind::NoRoute), ..script.clone() });
    assert_eq!(lost.hear().await, LookUp(host.clone()));
    assert_eq!(fault(lost.ended().await.1).kind, FaultKind::NoRoute);
    // It can be cancelled at any time.
    for waits_for_slot in [false, true] {
        let mut run = start(script.clone());
        assert_eq!(run.hear().await, LookUp(host.clone()));
        if waits_for_slot {
            assert_eq!(run.hear().await, NeedSlot);
        }
        run.tell(Cancel);
        assert_eq!(run.ended().await, (None, AttemptEnd::Cancelled));
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_up_may_end_before_it_is_reported() {
    let mut run = start(Script { quick_look_up: true, ..Script::default() });
    run.receive(0, 0).await;
    assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));
    // The slot may be left again at the moment when it was taken, and at the very beginning.
    for is_eager in [false, true] {
        let quick_look_up = !is_eager;
        let script =
            Script { is_eager, quick_look_up, needs_permission: true, ..Script::default() };
        let mut run = start(script);
        assert!(matches!(run.hear().await, NeedPermission { .. }));
        run.tell(TakeSlot);
        run.receive(0, 0).await;
        assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_is_awaited_without_a_slot_and_without_a_time_limit() {
    let hour = Duration::from_secs(3600);
    let script =
        Script { needs_permission: true, head_after: Duration::from_secs(59), ..Script::default() };
    let asks = || NeedPermission {
        url: Url::parse("http://a.test/").unwrap(),
        space: IpAddressSpace::Local,
    };
    let mut run = start(script.clone());
    assert_eq!(run.hear().await, asks());
    sleep(hour).await;
    run.tell(TakeSlot);
    run.receive(0, 0).await;
    assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));
    // After a look-up, it is asked for before the slot.
    let mut run = start(Script { look_up: hour, ..script.clone() });
    assert!(matches!(run.hear().await, LookUp(_)));
    assert_eq!(run.hear().await, NeedSlot);
    run.tell(TakeSlot);
    assert_eq!(run.hear().await, asks());
    run.tell(TakeSlot);
    run.receive(0, 0).await;
    assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));
    let mut run = start(script);
    assert_eq!(run.hear().await, asks());
    run.tell(Cancel);
    assert_eq!(run.ended().await, (None, AttemptEnd::Cancelled));
}

#[tokio::test]
async fn without_an_engine_there_is_no_permission() {
    let url = Url::parse("http://a.test/").unwrap();
    let denied = Slot::default().permission(&url, IpAddressSpace::Loopback).await.unwrap_err();
    assert_eq!(denied.to_string(), "the page has no permission to access this machine");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_fails_ends_with_its_fault() {
    let mut run = start(Script { fails: Some(FaultKind::Unreachable), ..Script::default() });
    let (stored, end) = run.ended().await;
    assert_eq!(stored, None);
    let fault = fault(end);
    assert_eq!((fault.kind, fault.sent), (FaultKind::Unreachable, false));
}

#[tokio::test(start_paused = true)]
async fn a_cut_keeps_the_bytes_before_it_even_where_they_wait_for_a_grant() {
    let mut run = start(Script::body(&[Send(10), Cut]));
    run.receive(0, 4).await;
    assert_eq!(run.hear().await, NeedGrant(4));
    run.tell(Grant(100));
    let (stored, end) = run.ended().await;
    assert_eq!((stored, fault(end).kind), (Some(10), FaultKind::Interrupted));
    assert_eq!(run.stored(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_named_and_what_was_stored_is_exact() {
    let disk = Disk { full_at: Some(12), ..Disk::default() };
    let steps = [Send(10), Wait(Duration::from_secs(1)), Send(10)];
    let mut run = start_with(Script::body(&steps), disk, Timeouts::default());
    run.receive(0, 100).await;
    let (stored, end) = run.ended().await;
    assert_eq!(stored, Some(10));
    let fault = fault(end);
    assert_eq!(fault.kind, FaultKind::Storage);
    assert!(fault.message.contains("disk is full"), "{}", fault.message);
}

#[tokio::test(start_paused = true)]
async fn a_closed_command_channel_cancels() {
    let forever = Wait(Duration::from_secs(10_000));
    let patient = Timeouts { head: Duration::MAX, stall: Duration::MAX };
    for events_before in 0..3 {
        let script =
            Script { head_after: Duration::from_secs(1), ..Script::body(&[Send(9), forever]) };
        let mut run = start_with(script, Disk::default(), patient);
        if events_before > 0 {
            run.receive(0, 3).await;
        }
        if events_before > 1 {
            assert_eq!(run.hear().await, NeedGrant(3));
        }
        let commands = run.commands.take();
        drop(commands);
        assert_eq!(run.ended().await.1, AttemptEnd::Cancelled);
    }
}

/// On a multi-threaded runtime, large batches are written in `block_in_place`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_batches_are_written_on_a_multi_threaded_runtime_too() {
    let mut run = start(Script::body(&[Send(MIB / 2); 8]));
    run.receive(0, u64::MAX).await;
    assert_eq!(run.ended().await, (Some(4 * MIB as u64), AttemptEnd::Complete));
    let written = run.disk.bytes.lock().clone();
    assert!(written == chunk(0, 4 * MIB));
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0usize..3000).prop_map(Send),
        (0u64..40).prop_map(|ms| Wait(Duration::from_millis(ms))),
    ];
    prop::collection::vec(step, 0..20)
}

proptest! {
    /// Whatever the attempt is doing when it is cancelled or its grant is recalled, it never writes
    /// beyond the grant, ends exactly once and immediately, and reports exactly what it stored.
    #[test]
    fn a_cancel_is_obeyed_at_every_point(
        body in steps(),
        uploads in prop::collection::vec((0u64..20, 0u64..1000), 0..4),
        head_after in 0u64..40,
        look_up in 0u64..20,
        needs_permission: bool,
        verdict_after in 0u64..40,
        first_grant in 0u64..4000,
        more in 1u64..4000,
        grant_after in 0u64..40,
        recall_at in 0u64..500,
        cancel_at in 0u64..500,
    ) {
        let script = Script {
            look_up: Duration::from_millis(look_up),
            uploads: uploads.into_iter().map(|(ms, n)| (Duration::from_millis(ms), n)).collect(),
            head_after: Duration::from_millis(head_after),
            body,
            needs_permission,
            ..Script::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async move {
            let began = Instant::now();
            let cancel_at = began + Duration::from_millis(cancel_at);
            let recall_at = began + Duration::from_millis(recall_at);
            let mut run = start(script);
            let mut answer: Option<(Instant, AttemptCommand)> = None;
            let (mut cancelled, mut recalled) = (false, false);
            let (mut last_offset, mut granted) = (0, 0);
            let (stored, end) = loop {
                let answer_at = answer.map_or(cancel_at, |(at, _)| at);
                // An attempt that has ended takes no commands, and its end event is queued.
                let alive = !run.commands.as_ref().unwrap().is_closed();
                let event = tokio::select! {
                    biased;
                    event = run.hear() => event,
                    () = tokio::time::sleep_until(answer_at), if alive && answer.is_some() => {
                        let (_, command) = answer.take().unwrap();
                        if let Receive { grant, .. } | Grant(grant) = command {
                            granted = grant;
                        }
                        run.tell(command);
                        continue;
                    }
                    () = tokio::time::sleep_until(recall_at), if alive && !recalled => {
                        recalled = true;
                        run.tell(RecallGrant);
                        continue;
                    }
                    () = tokio::time::sleep_until(cancel_at), if alive && !cancelled => {
                        cancelled = true;
                        run.tell(Cancel);
                        continue;
                    }
                };
                let wait = |ms, command| Some((Instant::now() + Duration::from_millis(ms), command));
                match event {
                    Uploaded(_) | LookUp(_) => {}
                    NeedSlot | NeedPermission { .. } => answer = wait(grant_after, TakeSlot),
                    Head { .. } => {
                        let receive = Receive { body: BODY, offset: 0, grant: first_grant };
                        answer = wait(verdict_after, receive);
                    }
                    Progress(offset) => {
                        assert!(offset > last_offset, "progress falls or repeats");
                        last_offset = offset;
                    }
                    NeedGrant(offset) => {
                        assert!(offset >= last_offset);
                        assert_eq!(offset, granted);
                        last_offset = offset;
                        answer = wait(grant_after, Grant(offset + more));
                    }
                    GrantReturned(offset) => {
                        assert!(offset >= last_offset);
                        last_offset = offset;
                        granted = offset;
                        run.disk.limit.store(offset, Ordering::Relaxed);
                    }
                    Ended { stored, end } => break (stored, end),
                }
            };
            assert_eq!(run.events.recv().await, None, "an event after the end");
            assert_eq!(stored.unwrap_or(0), run.stored() as u64);
            let written = run.disk.bytes.lock().clone();
            assert_eq!(written, chunk(0, written.len()));
            match end {
                AttemptEnd::Complete => assert!(Instant::now() <= cancel_at),
                AttemptEnd::Cancelled => assert_eq!(Instant::now(), cancel_at),
                AttemptEnd::Failed(fault) => panic!("{fault:?}"),
            }
        });
    }
}

fn user_request(request: Request) -> FetchRequest {
    let (key, user) = (StorageKey("user".into()), Arc::new(Principal::User));
    FetchRequest::new(key, user, Arc::new(request), AttemptSpec::default(), None)
}

fn page_request(page: &str, request: Request) -> FetchRequest {
    let page = PolicySnapshot::of(&Url::parse(page).unwrap());
    let (key, page) = (StorageKey("page".into()), Arc::new(Principal::Page(page)));
    FetchRequest::new(key, page, Arc::new(request), AttemptSpec::default(), None)
}
