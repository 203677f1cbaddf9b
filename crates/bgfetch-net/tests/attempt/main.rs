//! The attempt driver against a scripted fetcher, in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod interleavings;
mod rates;
mod script;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bgfetch_model::attempt::AttemptCommand::{Cancel, Grant, RecallGrant, Receive, TakeSlot};
use bgfetch_model::attempt::AttemptEvent::{
    GrantReturned, Head, LookUp, NeedGrant, NeedPermission, NeedSlot, Progress, Uploaded,
};
use bgfetch_model::attempt::{AttemptEnd, FaultKind};
use bgfetch_model::ids::HostKey;
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_net::attempt::Timeouts;
use bgfetch_net::slot::Slot;
use script::{BODY, Cut, Disk, Script, Send, Wait, chunk, fault, start, start_with};
use tokio::time::{Instant, sleep};
use url::Url;

const MIB: usize = 1 << 20;

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
async fn a_grant_is_used_before_a_recall_that_follows_it() {
    let mut run = start(Script::body(&[Send(10), Wait(Duration::from_secs(1))]));
    run.receive(0, 0).await;
    assert_eq!(run.hear().await, NeedGrant(0));
    // Otherwise two attempts could pass the last bytes back and forth for ever.
    run.tell(Grant(5));
    run.tell(RecallGrant);
    assert_eq!(run.hear().await, NeedGrant(5));
    assert_eq!(run.hear().await, GrantReturned(5));
    run.tell(Grant(20));
    run.tell(RecallGrant);
    assert_eq!(run.hear().await, GrantReturned(10));
    assert_eq!(run.ended().await, (Some(10), AttemptEnd::Complete));
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
    assert_eq!(stored, Some(12), "the last bytes that fit count");
    let fault = fault(end);
    assert_eq!(fault.kind, FaultKind::Storage);
    assert!(fault.message.contains("disk is full"), "{}", fault.message);
}

#[tokio::test(start_paused = true)]
async fn a_closed_command_channel_cancels() {
    let forever = Wait(Duration::from_secs(10_000));
    let patient = Timeouts::default().with(|it| {
        it.head = Duration::MAX;
        it.stall = Duration::MAX;
    });
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
#[cfg(feature = "rt-multi-thread")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_batches_are_written_on_a_multi_threaded_runtime_too() {
    let mut run = start(Script::body(&[Send(MIB / 2); 8]));
    run.receive(0, u64::MAX).await;
    assert_eq!(run.ended().await, (Some(4 * MIB as u64), AttemptEnd::Complete));
    let written = run.disk.bytes.lock().clone();
    assert!(written == chunk(0, 4 * MIB));
}
