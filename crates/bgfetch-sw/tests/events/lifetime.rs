//! Random workers in virtual time: an event ends with the last of its promises or at the first time
//! limit that passes, and its outcome says which.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{event, no_ui};
use bgfetch_sw::{
    BoxFuture, DispatchError, Dispatcher, EventKind, FunctionalEvent, NotHandledReason, Outcome,
    Rejection, Timeouts, WorkerHost,
};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

/// A promise that settles after an even number of seconds and adds others just before.
#[derive(Clone, Debug)]
struct Promise {
    seconds: u64,
    rejects: bool,
    adds: Vec<Promise>,
}

/// A worker whose dispatch adds the promises halfway through, and which may crash at some time.
#[derive(Clone, Debug)]
struct Worker {
    /// Half of the time until the listeners have run; an even number of seconds.
    half: u64,
    promises: Vec<Promise>,
    /// Half a second after this second, when nothing else happens.
    crashes_at: Option<u64>,
}

// Odd, so that no promise settles exactly at a limit.
fn timeouts() -> Timeouts {
    Timeouts::default().with(|it| {
        it.start_and_dispatch = Duration::from_secs(41);
        it.lifetime = Duration::from_secs(61);
    })
}

fn promise() -> impl Strategy<Value = Promise> {
    let leaf = (0_u64..40, any::<bool>()).prop_map(|(half, rejects)| Promise {
        seconds: 2 * half,
        rejects,
        adds: Vec::new(),
    });
    leaf.prop_recursive(3, 8, 2, |inner| {
        (0_u64..12, any::<bool>(), prop::collection::vec(inner, 0..3))
            .prop_map(|(half, rejects, adds)| Promise { seconds: 2 * half, rejects, adds })
    })
}

fn worker() -> impl Strategy<Value = Worker> {
    (0_u64..24, prop::collection::vec(promise(), 0..4), prop::option::weighted(0.3, 0_u64..60))
        .prop_map(|(half, promises, crashes_at)| Worker { half: 2 * half, promises, crashes_at })
}

/// The ends of the promise and of all promises that it adds, and whether each rejects.
fn ends(promise: &Promise, begin: u64, all: &mut Vec<(u64, bool)>) {
    let end = begin + promise.seconds;
    all.push((end, promise.rejects));
    for added in &promise.adds {
        ends(added, end, all);
    }
}

/// When the event must end, and how; times are in half seconds.
fn expected(worker: &Worker) -> (u64, &'static str) {
    let dispatched = 2 * worker.half;
    let mut all = Vec::new();
    for promise in &worker.promises {
        ends(promise, worker.half, &mut all);
    }
    let last = all.iter().map(|(end, _)| *end).max().unwrap_or(0);
    let natural = 2 * last.max(dispatched);
    let limit = if dispatched > timeouts().start_and_dispatch.as_secs() {
        2 * timeouts().start_and_dispatch.as_secs()
    } else {
        2 * (dispatched + timeouts().lifetime.as_secs())
    };
    let crash = worker.crashes_at.map_or(u64::MAX, |at| 2 * at + 1);
    let end = natural.min(limit).min(crash);
    let how = if end == crash {
        "crashed"
    } else if end == limit {
        "timed-out"
    } else if all.iter().any(|(_, rejects)| *rejects) {
        "rejected"
    } else {
        "handled"
    };
    (end, how)
}

fn add(event: &FunctionalEvent, promise: Promise) {
    let handle = event.clone();
    let added = event.wait_until(async move {
        sleep(Duration::from_secs(promise.seconds)).await;
        for added in promise.adds {
            add(&handle, added);
        }
        if promise.rejects {
            return Err(Rejection("random".into()));
        }
        Ok(())
    });
    assert_eq!(added, Ok(()), "a running promise sees an active event");
}

impl WorkerHost for Worker {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let worker = self.clone();
        Box::pin(async move {
            if let Some(at) = worker.crashes_at {
                let event = event.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(1000 * at + 500)).await;
                    event.worker_terminated("random");
                });
            }
            sleep(Duration::from_secs(worker.half)).await;
            for promise in worker.promises {
                add(&event, promise);
            }
            sleep(Duration::from_secs(worker.half)).await;
            Ok(())
        })
    }
}

proptest! {
    #[test]
    fn an_event_ends_once_when_and_how_its_promises_and_limits_say(worker in worker()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let (outcome, elapsed) = runtime.block_on(async {
            let begun = Instant::now();
            let host = Arc::new(worker.clone());
            let dispatcher = Dispatcher::new(host, no_ui(), timeouts());
            (dispatcher.fire(event(EventKind::Success, 1)).await, begun.elapsed())
        });
        let (half_seconds, how) = expected(&worker);
        prop_assert_eq!(outcome.as_str(), how);
        prop_assert_eq!(elapsed, Duration::from_millis(500 * half_seconds));
        let may_redeliver = matches!(
            outcome,
            Outcome::NotHandled(NotHandledReason::Crashed(_) | NotHandledReason::TimedOut)
        );
        prop_assert_eq!(outcome.is_handled(), !may_redeliver);
    }
}
