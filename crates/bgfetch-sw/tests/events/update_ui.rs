//! `updateUI()`: once, while the event is active, on success and fail events only (D23).

use std::sync::Arc;

use crate::common::{event, timeouts};
use bgfetch_model::ids::FetchKey;
use bgfetch_model::store_op::ImageResource;
use bgfetch_sw::mock::{Behaviour, ScriptedHost};
use bgfetch_sw::{
    Dispatcher, EventKind, NotActive, Outcome, Rejection, UiSink, UiSinkError, UiUpdate,
    UpdateUiError,
};
use parking_lot::Mutex;

type Applied = Arc<Mutex<Vec<(FetchKey, UiUpdate)>>>;
type Results = Vec<Result<(), UpdateUiError>>;

fn title(title: &str) -> UiUpdate {
    UiUpdate::default().with(|it| it.title = Some(title.into()))
}

/// Fires one event at a worker with this behaviour, waits until `calls` calls of `updateUI()`
/// ended, and returns the outcome, their results and the updates that reached the sink.
async fn fire(
    kind: EventKind,
    behaviour: Behaviour,
    calls: usize,
) -> (Outcome, Results, Vec<(FetchKey, UiUpdate)>) {
    let applied = Applied::default();
    let ui = UiSink::new({
        let applied = Arc::clone(&applied);
        move |fetch, update| {
            applied.lock().push((fetch, update));
            async { Ok(()) }
        }
    });
    let host = ScriptedHost::new([behaviour]);
    let dispatcher = Dispatcher::new(Arc::new(host.clone()), ui, timeouts());
    let outcome = dispatcher.fire(event(kind, 5)).await;
    let received = host
        .until(|received| matches!(received, [one] if one.update_ui_results.len() == calls))
        .await;
    let results = received[0].update_ui_results.clone();
    let applied = applied.lock().clone();
    (outcome, results, applied)
}

#[tokio::test(start_paused = true)]
async fn an_update_reaches_the_sink_with_the_members_that_were_present() {
    for kind in [EventKind::Success, EventKind::Fail] {
        let update = UiUpdate::default().with(|it| {
            it.icons = Some(vec![ImageResource::new("https://a.test/done.png".parse().unwrap())])
        });
        let (outcome, results, applied) = fire(kind, Behaviour::UpdateUi(update.clone()), 1).await;
        assert!(outcome.is_handled());
        assert_eq!(results, [Ok(())]);
        assert_eq!(applied, [(FetchKey(5), update)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_update_is_refused_and_changes_nothing() {
    let behaviour = Behaviour::UpdateUiTwice(title("done"));
    let (outcome, results, applied) = fire(EventKind::Success, behaviour, 2).await;
    assert_eq!(results, [Ok(()), Err(UpdateUiError::AlreadyUpdated)]);
    assert_eq!(applied.len(), 1);
    let rejection = Some(Rejection("the event has updated the UI already".into()));
    assert_eq!(outcome, Outcome::Handled { rejection });
}

#[tokio::test(start_paused = true)]
async fn an_empty_update_resolves_without_reaching_the_sink_and_is_the_only_one() {
    let behaviour = Behaviour::UpdateUiTwice(UiUpdate::default());
    let (_, results, applied) = fire(EventKind::Success, behaviour, 2).await;
    assert_eq!(results, [Ok(()), Err(UpdateUiError::AlreadyUpdated)]);
    assert!(applied.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_update_after_the_event_ended_is_refused() {
    let behaviour = Behaviour::UpdateUiLate(title("late"));
    let (outcome, results, applied) = fire(EventKind::Success, behaviour, 1).await;
    assert_eq!(outcome, Outcome::Handled { rejection: None });
    assert_eq!(results, [Err(UpdateUiError::NotActive(NotActive))]);
    assert!(applied.is_empty());
}

#[tokio::test(start_paused = true)]
async fn abort_and_click_events_do_not_have_the_method() {
    for kind in [EventKind::Abort, EventKind::Click] {
        let (_, results, applied) = fire(kind, Behaviour::UpdateUi(title("x")), 1).await;
        assert_eq!(results, [Err(UpdateUiError::NotUpdateUiEvent)]);
        assert!(results[0].as_ref().is_err_and(UpdateUiError::is_invalid_state));
        assert!(applied.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_checks_are_made_and_the_update_is_handed_over_at_the_call() {
    let behaviour = Behaviour::run(|event| async move {
        drop(event.update_ui(title("first")));
        let refused = event.update_ui(title("second")).await;
        assert_eq!(refused, Err(UpdateUiError::AlreadyUpdated));
        Ok(())
    });
    let (outcome, _, applied) = fire(EventKind::Success, behaviour, 0).await;
    assert_eq!(outcome, Outcome::Handled { rejection: None });
    assert_eq!(applied, [(FetchKey(5), title("first"))]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_sink_rejects_with_another_error_and_is_not_retried() {
    let failure = UiSinkError("the disk is full".into());
    let ui = UiSink::new({
        let failure = failure.clone();
        move |_, _| std::future::ready(Err(failure.clone()))
    });
    let host = ScriptedHost::new([Behaviour::UpdateUiTwice(title("done"))]);
    let dispatcher = Dispatcher::new(Arc::new(host.clone()), ui, timeouts());
    assert!(dispatcher.fire(event(EventKind::Success, 1)).await.is_handled());
    let expected = [Err(UpdateUiError::Sink(failure)), Err(UpdateUiError::AlreadyUpdated)];
    assert_eq!(host.received()[0].update_ui_results, expected);
    assert!(!expected[0].as_ref().is_err_and(UpdateUiError::is_invalid_state));
}
