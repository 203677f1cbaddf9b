//! Functional events from the engine: the worker is started for them if it is not running.

use std::sync::{Arc, Weak};

use bgfetch::embedder::BoxFuture;
use bgfetch::{DispatchError, FunctionalEvent, NotHandledReason, Outcome, WorkerHost};

use super::Inner;
use crate::message::WorkerState;

/// Does not keep the workers alive: they hold the engine, and the engine holds this.
pub(super) struct Host(pub(super) Weak<Inner>);

impl WorkerHost for Host {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let inner = inner.upgrade().ok_or(DispatchError::NoActiveWorker)?;
            dispatch(inner, event).await
        })
    }
}

/// [Handle Functional Event](https://w3c.github.io/ServiceWorker/#handle-functional-event-algorithm).
async fn dispatch(inner: Arc<Inner>, event: FunctionalEvent) -> Result<(), DispatchError> {
    let worker = inner.active(event.registration()).ok_or(DispatchError::NoActiveWorker)?;
    let lease = worker.lease(&inner);
    // An activating worker gets its events once it is activated.
    let mut state = worker.state.subscribe();
    let settled =
        |state: &WorkerState| matches!(state, WorkerState::Activated | WorkerState::Redundant);
    let state = state.wait_for(settled).await.map(|state| *state);
    if state.is_ok_and(|state| state == WorkerState::Redundant) {
        return Err(DispatchError::NoActiveWorker);
    }
    // The worker's realm looks up the event's registration in the engine.
    let mut engine = inner.engine.subscribe();
    let connected = engine.wait_for(Option::is_some).await.map(drop);
    connected.map_err(|_| DispatchError::NoActiveWorker)?;
    let running = worker.run(&inner).await.map_err(DispatchError::StartFailed)?;
    running.keep(event.clone());
    let events = running.events.clone();
    drop(running);
    let of_event = event.clone();
    inner.spawn(async move {
        // An event that timed out may run forever, and would delay the next event.
        if of_event.ended().await == Outcome::NotHandled(NotHandledReason::TimedOut) {
            worker.terminate().await;
        }
        drop(lease);
    });
    drop(inner);
    events.dispatch(event).await
}
