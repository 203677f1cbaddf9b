//! Attempts that a rate holds back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bgfetch_model::attempt::AttemptCommand::{Cancel, Grant, RecallGrant};
use bgfetch_model::attempt::AttemptEvent::{Ended, GrantReturned, NeedGrant, Progress, Uploaded};
use bgfetch_model::attempt::{AttemptEnd, FaultKind};
use bgfetch_model::ids::FetchKey;
use bgfetch_net::attempt::Timeouts;
use bgfetch_net::throttle::Throttle;
use tokio::time::{Instant, sleep, timeout};

use crate::script::{Disk, Run, Script, Send, Wait, chunk, fault, share, start_in};

const HOUR: Duration = Duration::from_secs(3600);

fn start(script: Script, throttle: &Throttle, fetch: u64) -> Run {
    start_in(script, Disk::default(), Timeouts::default(), share(throttle, fetch))
}

/// Starts an attempt and lets it receive everything.
async fn receive(script: Script, throttle: &Throttle, fetch: u64) -> Run {
    let mut run = start(script, throttle, fetch);
    run.receive(0, u64::MAX).await;
    run
}

#[tokio::test(start_paused = true)]
async fn a_body_arrives_at_the_rate_and_is_not_read_ahead() {
    const RATE: u64 = 100_000;
    let throttle = Throttle::new(Some(RATE));
    let script = Script::body(&[Send(1000); 1000]);
    let pulled = script.pulled.clone();
    let mut run = receive(script, &throttle, 1).await;
    let began = Instant::now();
    loop {
        match run.hear().await {
            Progress(stored) => {
                // A burst is a tenth of a second, and a piece a fiftieth.
                let allowed = RATE * began.elapsed().as_millis() as u64 / 1000 + RATE / 10;
                assert!(stored <= allowed, "{stored} bytes instead of {allowed}");
                assert!(pulled.load(Ordering::Relaxed) <= stored + RATE / 50);
            }
            Ended { stored, end } => {
                assert_eq!((stored, end), (Some(1_000_000), AttemptEnd::Complete));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let elapsed = began.elapsed();
    assert!((Duration::from_millis(9900)..Duration::from_millis(10_100)).contains(&elapsed));
    assert!(*run.disk.bytes.lock() == chunk(0, 1_000_000));
}

#[tokio::test(start_paused = true)]
async fn a_rate_takes_effect_at_once_also_for_what_waits() {
    let (throttle, ten) = (Throttle::new(None), Duration::from_secs(10));
    let steps = [Send(10), Wait(ten), Send(100_000)];
    let mut run = receive(Script::body(&steps), &throttle, 1).await;
    assert_eq!(run.hear().await, Progress(10), "there is no rate");
    throttle.set_rate(Some(1));
    sleep(ten + ten).await;
    assert_eq!(run.stored(), 21, "with what was saved up while nothing came");
    throttle.set_rate(Some(1000));
    sleep(ten).await;
    assert!((9_900..=10_200).contains(&run.stored()), "{}", run.stored());
    // The lower of both rates applies.
    throttle.set_fetch_rate(FetchKey(1), Some(100));
    let before = run.stored();
    sleep(ten).await;
    assert!((980..=1010).contains(&(run.stored() - before)), "{}", run.stored() - before);
    throttle.set_rate(None);
    throttle.set_fetch_rate(FetchKey(1), None);
    let now = Instant::now();
    assert_eq!(run.ended().await, (Some(100_010), AttemptEnd::Complete));
    assert_eq!(now.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_rate_imposes_is_no_stall() {
    let throttle = Throttle::new(Some(0));
    let mut run = receive(Script::body(&[Send(10), Wait(HOUR)]), &throttle, 1).await;
    sleep(HOUR).await;
    assert!(run.events.is_empty() && run.stored() == 0);
    throttle.set_rate(None);
    let freed = Instant::now();
    // From then on, a stall counts.
    let (stored, end) = run.ended().await;
    assert_eq!((stored, fault(end).kind), (Some(10), FaultKind::Interrupted));
    assert_eq!(freed.elapsed(), Timeouts::default().stall);
}

#[tokio::test(start_paused = true)]
async fn on_a_shared_connection_a_body_does_not_stall_while_others_of_its_site_are_held_back() {
    let stall = Timeouts::default().stall;
    for multiplexed in [true, false] {
        let throttle = Throttle::new(Some(0));
        let held = receive(Script::body(&[Send(10)]), &throttle, 1).await;
        let began = Instant::now();
        let silent = Script { http1: !multiplexed, ..Script::body(&[Wait(2 * HOUR)]) };
        let mut same_site = receive(silent.clone(), &throttle, 1).await;
        // Fetches with odd and even numbers are of different sites.
        let mut other_site = receive(silent, &throttle, 2).await;
        assert_eq!(fault(other_site.ended().await.1).kind, FaultKind::Interrupted);
        assert_eq!(began.elapsed(), stall);
        if multiplexed {
            sleep(HOUR).await;
            assert!(same_site.events.is_empty());
            drop(held);
            throttle.set_rate(None);
        }
        let freed = Instant::now();
        assert_eq!(fault(same_site.ended().await.1).kind, FaultKind::Interrupted);
        assert!(freed.elapsed() <= stall);
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_can_be_recalled_from_an_attempt_that_waits() {
    let throttle = Throttle::new(Some(0));
    let mut run = start(Script::body(&[Send(50)]), &throttle, 1);
    run.receive(0, 40).await;
    sleep(HOUR).await;
    run.tell(RecallGrant);
    assert_eq!(run.hear().await, GrantReturned(0));
    // It needs no grant before the rate lets its bytes through.
    sleep(HOUR).await;
    assert!(run.events.is_empty());
    run.disk.limit.store(0, Ordering::Relaxed);
    throttle.set_rate(None);
    assert_eq!(run.hear().await, NeedGrant(0));
    throttle.set_rate(Some(0));
    run.tell(Grant(45));
    assert_eq!(run.hear().await, NeedGrant(45), "these were let through already");
    run.tell(Grant(50));
    assert_eq!(run.ended().await, (Some(50), AttemptEnd::Complete));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_cancelled_or_dropped_while_it_waits_holds_back_nobody() {
    let throttle = Throttle::new(Some(10));
    let mut runs = Vec::new();
    // The first one watches the time for the others.
    for fetch in 1..=4 {
        runs.push(receive(Script::body(&[Send(1000)]), &throttle, fetch).await);
    }
    let mut last = runs.remove(3);
    sleep(Duration::from_secs(4)).await;
    runs[0].tell(Cancel);
    assert_eq!(runs[0].ended().await.1, AttemptEnd::Cancelled);
    for run in &runs[1..] {
        run.task.abort();
    }
    let before = last.stored();
    assert!((9..=11).contains(&before), "{before}");
    sleep(Duration::from_secs(10)).await;
    assert!((99..=101).contains(&(last.stored() - before)), "it is alone now");
    assert_eq!(last.ended().await, (Some(1000), AttemptEnd::Complete));
}

#[tokio::test(start_paused = true)]
async fn many_attempts_share_a_rate_evenly_and_none_is_forgotten() {
    let throttle = Throttle::new(Some(60_000));
    let mut runs = Vec::new();
    for fetch in 0..60 {
        runs.push(receive(Script::body(&[Send(700); 200]), &throttle, fetch).await);
    }
    let began = Instant::now();
    sleep(Duration::from_secs(60)).await;
    for run in &runs {
        assert!((57_000..=63_000).contains(&run.stored()), "{}", run.stored());
    }
    for run in &mut runs {
        assert_eq!(run.ended().await, (Some(140_000), AttemptEnd::Complete));
    }
    assert!((139..=141).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_at_the_rate_and_its_wait_is_no_silence() {
    let throttle = Throttle::new(Some(1000));
    let script = Script { sends: 10_000, ..Script::default() };
    let mut run = start(script.clone(), &throttle, 1);
    let began = Instant::now();
    let mut sent = 0;
    while sent < 10_000 {
        let Uploaded(more) = run.hear().await else { panic!("no progress") };
        sent = more;
        assert!(sent <= began.elapsed().as_millis() as u64 + 101, "{sent}");
    }
    assert!((9800..=10_100).contains(&began.elapsed().as_millis()));
    run.receive(0, 0).await;
    assert_eq!(run.ended().await, (Some(0), AttemptEnd::Complete));

    throttle.set_rate(Some(0));
    let mut run = start(Script { head_after: HOUR, ..script }, &throttle, 1);
    assert!(timeout(HOUR, run.events.recv()).await.is_err(), "it waits");
    throttle.set_rate(None);
    let freed = Instant::now();
    assert_eq!(run.hear().await, Uploaded(10_000));
    assert_eq!(fault(run.ended().await.1).kind, FaultKind::Interrupted);
    assert_eq!(freed.elapsed(), Timeouts::default().head);
}
