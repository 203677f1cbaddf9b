//! What happens to an event for each behaviour of the worker. Time is virtual.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{dispatcher, event, no_ui, timeouts};
use bgfetch_model::delivery::{DeliveryPolicy, Redelivery};
use bgfetch_model::time::{Now, UnixTime};
use bgfetch_sw::mock::{Behaviour, ScriptedHost};
use bgfetch_sw::{
    BoxFuture, DispatchError, Dispatcher, EventKind, FunctionalEvent, NotActive, NotHandledReason,
    Outcome, Rejection, WorkerHost, worker_fn,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

const HANDLED: Outcome = Outcome::Handled { rejection: None };

fn crashed(reason: &str) -> Outcome {
    Outcome::NotHandled(NotHandledReason::Crashed(reason.into()))
}

/// Fires one event with `behaviour`; returns the outcome, whether the listeners ran, and the
/// virtual time that it took.
async fn fire(behaviour: Behaviour) -> (Outcome, bool, Duration) {
    let host = ScriptedHost::new([behaviour]);
    let begun = Instant::now();
    let outcome = dispatcher(&host).fire(event(EventKind::Success, 1)).await;
    let ran = host.received().iter().all(|event| event.listeners_ran);
    (outcome, ran, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_ran_has_handled_the_event_even_if_it_threw_or_its_promise_rejected() {
    let at_once = Duration::ZERO;
    assert_eq!(fire(Behaviour::Succeed).await, (HANDLED, true, at_once));
    assert_eq!(fire(Behaviour::Throw).await, (HANDLED, true, at_once));
    let rejected = Outcome::Handled { rejection: Some(Rejection("scripted".into())) };
    assert_eq!(fire(Behaviour::Reject).await, (rejected, true, at_once));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_missing_or_does_not_start_has_not_handled_it() {
    let missing = Outcome::NotHandled(NotHandledReason::NoActiveWorker);
    let failed = Outcome::NotHandled(NotHandledReason::StartFailed("scripted".into()));
    let at_once = Duration::ZERO;
    let not_yet = Outcome::NotHandled(NotHandledReason::NotYet);
    assert_eq!(fire(Behaviour::Absent).await, (missing, false, at_once));
    assert_eq!(fire(Behaviour::NotYet).await, (not_yet, false, at_once));
    assert_eq!(fire(Behaviour::FailToStart).await, (failed, false, at_once));
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_or_after_the_listeners_has_not_handled_it() {
    let (before, after) = (Behaviour::CrashBeforeListeners, Behaviour::CrashAfterListeners);
    let at_once = Duration::ZERO;
    assert_eq!(fire(before).await, (crashed("scripted"), false, at_once));
    assert_eq!(fire(after).await, (crashed("scripted"), true, at_once));
}

#[tokio::test(start_paused = true)]
async fn each_time_limit_ends_the_event() {
    let timed_out = Outcome::NotHandled(NotHandledReason::TimedOut);
    assert_eq!(
        fire(Behaviour::NeverStart).await,
        (timed_out.clone(), false, timeouts().start_and_dispatch)
    );
    assert_eq!(fire(Behaviour::NeverSettle).await, (timed_out, true, timeouts().lifetime));
}

#[tokio::test(start_paused = true)]
async fn a_promise_added_by_a_pending_promise_extends_the_event() {
    let (outcome, _, elapsed) = fire(Behaviour::run(|event| async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let added = event.wait_until(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(())
        });
        assert_eq!(added, Ok(()));
        Ok(())
    }))
    .await;
    assert_eq!((outcome, elapsed), (HANDLED, Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn after_its_end_an_event_is_inactive_and_refuses_promises() {
    let (send, handle) = oneshot::channel();
    let send = Arc::new(parking_lot::Mutex::new(Some(send)));
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let send = send.lock().take();
        async move {
            assert!(event.is_active());
            let sent = send.map(|send| send.send(event));
            assert!(matches!(sent, Some(Ok(()))));
            Ok(())
        }
    })]);
    let init = event(EventKind::Abort, 7);
    assert_eq!(dispatcher(&host).fire(init.clone()).await, HANDLED);

    let event = handle.await.unwrap();
    assert_eq!(event.kind(), EventKind::Abort);
    assert_eq!(event.fetch(), init.fetch);
    assert_eq!(event.registration(), &init.registration);
    assert_eq!(event.id(), init.id);
    assert!(!event.is_active());
    assert_eq!(event.ended().await, HANDLED);
    assert_eq!(event.wait_until(async { Ok(()) }), Err(NotActive));
    assert!(event.extend().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_function_can_be_the_worker() {
    let host = worker_fn(|event| async move {
        event.wait_until(async { Err(Rejection("late".into())) }).unwrap();
        match event.kind() {
            EventKind::Success => Ok(()),
            _ => Err(DispatchError::Crashed("no room".into())),
        }
    });
    let dispatcher = Dispatcher::new(Arc::new(host), no_ui(), timeouts());
    let handled = dispatcher.fire(event(EventKind::Success, 1)).await;
    assert_eq!(handled, Outcome::Handled { rejection: Some(Rejection("late".into())) });
    let failed = dispatcher.fire(event(EventKind::Fail, 1)).await;
    let reason = NotHandledReason::Crashed("no room".into());
    assert_eq!(failed, Outcome::NotHandled(reason));
}

/// The outcome of an event whose handler returns this error.
async fn after<E>(error: fn() -> E) -> Outcome
where
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    let host = worker_fn(move |_| async move { Err(error()) });
    Dispatcher::new(Arc::new(host), no_ui(), timeouts()).fire(event(EventKind::Fail, 1)).await
}

#[tokio::test(start_paused = true)]
async fn a_function_fails_with_an_error_of_its_own_or_says_what_happened() {
    let crashed = |reason: &str| Outcome::NotHandled(NotHandledReason::Crashed(reason.into()));
    let own = after(|| std::io::Error::other("no room"));
    assert_eq!(own.await, crashed("no room"));
    assert_eq!(after(|| "no time").await, crashed("no time"));
    let not_yet = Outcome::NotHandled(NotHandledReason::NotYet);
    assert_eq!(after(|| DispatchError::NotYet).await, not_yet);
    let in_a_box = after(|| Box::<dyn Error + Send + Sync>::from(DispatchError::NotYet));
    assert_eq!(in_a_box.await, not_yet);
}

/// A host whose worker "lives elsewhere": it passes every event on and resolves at once, or never.
struct Elsewhere {
    events: mpsc::UnboundedSender<FunctionalEvent>,
    resolves: bool,
}

impl WorkerHost for Elsewhere {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        // The worker's listener calls waitUntil() before the event is passed on.
        let sent = self.events.send(event);
        let resolves = self.resolves;
        Box::pin(async move {
            sent.map_err(|error| DispatchError::StartFailed(error.to_string()))?;
            if !resolves {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }
}

/// Fires an event at a worker elsewhere and gives `worker` the event's handle during the dispatch.
async fn fire_elsewhere<R>(worker: impl FnOnce(FunctionalEvent) -> R) -> (Outcome, R) {
    let (events, mut received) = mpsc::unbounded_channel();
    let host = Elsewhere { events, resolves: false };
    let dispatcher = Dispatcher::new(Arc::new(host), no_ui(), timeouts());
    let fired = tokio::spawn(dispatcher.fire(event(EventKind::Success, 1)));
    let result = worker(received.recv().await.unwrap());
    (fired.await.unwrap(), result)
}

#[tokio::test(start_paused = true)]
async fn a_host_ends_the_dispatch_and_settles_extensions_from_outside() {
    let rejection = Rejection("TypeError".into());
    let (outcome, ()) = fire_elsewhere(|event| {
        let (first, second) = (event.extend().unwrap(), event.extend().unwrap());
        event.end_dispatch();
        event.end_dispatch();
        first.settle(Err(rejection.clone()));
        assert!(event.is_active());
        second.settle(Ok(()));
        assert!(!event.is_active());
        event.worker_terminated("after the end");
    })
    .await;
    let rejection = Some(rejection);
    assert_eq!(outcome, Outcome::Handled { rejection });
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_while_extensions_are_pending_has_not_handled_it() {
    let (outcome, extension) = fire_elsewhere(|event| {
        let extension = event.extend().unwrap();
        event.end_dispatch();
        event.worker_terminated("out of memory");
        extension
    })
    .await;
    extension.settle(Ok(()));
    assert_eq!(outcome, crashed("out of memory"));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_extension_is_not_waited_for_but_the_others_are() {
    let (outcome, ()) = fire_elsewhere(|event| {
        let (lost, other) = (event.extend().unwrap(), event.extend().unwrap());
        event.end_dispatch();
        drop(lost);
        assert!(event.is_active());
        other.settle(Ok(()));
        assert!(!event.is_active());
    })
    .await;
    assert_eq!(outcome, crashed("a lifetime promise was abandoned"));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_dispatch_future_unsets_the_dispatch_flag() {
    let (events, mut received) = mpsc::unbounded_channel();
    let host = Elsewhere { events, resolves: true };
    let dispatcher = Dispatcher::new(Arc::new(host), no_ui(), timeouts());
    assert_eq!(dispatcher.fire(event(EventKind::Click, 1)).await, HANDLED);
    assert!(!received.recv().await.unwrap().is_active());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_promise_or_of_the_host_is_a_crash() {
    let promise = Behaviour::run(|_| async { panic!("a handler broke") });
    let (outcome, _, _) = fire(promise).await;
    assert_eq!(outcome, crashed("a lifetime promise was abandoned"));

    let host = ScriptedHost::choosing(|_| panic!("the host broke"));
    let outcome = dispatcher(&host).fire(event(EventKind::Fail, 1)).await;
    assert_eq!(outcome, crashed("it panicked"));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_ends_the_event_and_its_promises() {
    let (send, mut events) = mpsc::unbounded_channel();
    let (alive, dropped) = oneshot::channel::<()>();
    let alive = Arc::new(parking_lot::Mutex::new(Some(alive)));
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let (send, alive) = (send.clone(), alive.lock().take());
        async move {
            assert!(send.send(event).is_ok());
            std::future::pending::<()>().await;
            drop(alive);
            Ok(())
        }
    })]);
    let fired = tokio::spawn(dispatcher(&host).fire(event(EventKind::Success, 1)));
    let event = events.recv().await.unwrap();
    assert!(event.is_active());
    fired.abort();
    assert!(fired.await.unwrap_err().is_cancelled());
    assert!(dropped.await.is_err());
    assert!(!event.is_active());
    assert_eq!(event.ended().await, crashed("the engine stopped waiting"));
}

#[tokio::test(start_paused = true)]
async fn events_of_one_registration_do_not_wait_for_each_other() {
    let host = ScriptedHost::choosing(|event| match event.id() {
        "fetch-1" => Behaviour::NeverSettle,
        _ => Behaviour::Succeed,
    });
    let dispatcher = dispatcher(&host);
    let slow = tokio::spawn(dispatcher.fire(event(EventKind::Success, 1)));
    let mut events = host.events();
    assert_eq!(events.next().await.id, "fetch-1");

    let begun = Instant::now();
    let second = dispatcher.fire(event(EventKind::Success, 2)).await;
    assert_eq!((second, begun.elapsed()), (HANDLED, Duration::ZERO));
    assert_eq!(events.next().await.id, "fetch-2");
    assert!(!slow.await.unwrap().is_handled());
}

#[tokio::test(start_paused = true)]
async fn with_the_policy_an_event_is_fired_until_it_is_handled() {
    let host = ScriptedHost::new([
        Behaviour::Absent,
        Behaviour::NotYet,
        Behaviour::FailToStart,
        Behaviour::CrashAfterListeners,
        Behaviour::NeverSettle,
        Behaviour::Succeed,
    ]);
    let (dispatcher, policy) = (dispatcher(&host), DeliveryPolicy::default());
    let mut attempts = 0;
    while let Outcome::NotHandled(reason) = dispatcher.fire(event(EventKind::Success, 1)).await {
        attempts += u32::from(reason.worker_was_started());
        match policy.next(&reason, attempts, UnixTime(0), Now::default(), 1) {
            Redelivery::After(wait) => tokio::time::sleep(wait).await,
            // The pending events are asked for at once.
            Redelivery::WhenAsked => {}
            _ => break,
        }
    }
    let received = host.received();
    assert_eq!((attempts, received.len()), (3, 6));
    let ran: Vec<_> = received.iter().map(|event| event.listeners_ran).collect();
    assert_eq!(ran, [false, false, false, true, true, true]);
    assert!(received.iter().all(|event| event.id == "fetch-1"));
}
