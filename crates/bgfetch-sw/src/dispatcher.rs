//! [Fire functional event](https://w3c.github.io/ServiceWorker/#fire-functional-event-algorithm):
//! one event, from its dispatch to the moment at which it is no longer active.

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bgfetch_model::delivery::{NotHandledReason, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::Instrument;

use crate::functional_event::{FunctionalEvent, FunctionalEventInit, LifetimePromise};
use crate::update_ui::UiSink;
use crate::worker_host::{DispatchError, WorkerHost};

/// The time limits of one event. When one passes, the event ends as
/// [`NotHandledReason::TimedOut`] and is fired again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// The limit from firing until [`WorkerHost::dispatch`] resolves: the worker's start and its
    /// listeners. 60 seconds by default, because a cold start on a slow machine can take long.
    pub start_and_dispatch: Duration,
    /// The limit from then on until the last extension of the lifetime has settled: the optional
    /// delay of the spec's [timed out
    /// flag](https://w3c.github.io/ServiceWorker/#extendableevent-timed-out-flag). 5 minutes by
    /// default.
    pub lifetime: Duration,
}

bgfetch_model::impl_with!(Timeouts);

impl Default for Timeouts {
    fn default() -> Self {
        Self { start_and_dispatch: Duration::from_secs(60), lifetime: Duration::from_secs(5 * 60) }
    }
}

/// Fires events at a worker host.
#[derive(Clone)]
pub struct Dispatcher {
    host: Arc<dyn WorkerHost>,
    ui: UiSink,
    timeouts: Timeouts,
}

impl Dispatcher {
    /// A dispatcher that fires at `host` and passes the changes of `updateUI()` to `ui`.
    #[must_use]
    pub fn new(host: Arc<dyn WorkerHost>, ui: UiSink, timeouts: Timeouts) -> Self {
        Self { host, ui, timeouts }
    }

    /// Fires one event, waits until it is no longer active and returns how it ended. The caller
    /// then makes the fetch's records unavailable, or fires the event again.
    ///
    /// Every settled fetch has its own event, and events do not wait for each other: those of one
    /// registration may overlap and end in any order, as the service worker standard specifies. The
    /// caller fires at most one settling event of a fetch at a time.
    ///
    /// Needs a tokio runtime with timers. Dropping the future ends the event: from then on,
    /// `waitUntil()` and `updateUI()` refuse, as after a crash.
    pub fn fire(&self, init: FunctionalEventInit) -> Firing {
        let (host, timeouts) = (Arc::clone(&self.host), self.timeouts);
        let span =
            tracing::debug_span!("functional_event", name = init.kind.name(), fetch = init.fetch.0);
        let (event, promises) = FunctionalEvent::new(init, self.ui.clone());
        Firing {
            event: event.clone(),
            steps: async move {
                let outcome = tokio::select! {
                    biased;
                    outcome = event.ended() => outcome,
                    outcome = run(&*host, &event, timeouts) => outcome,
                    never = poll_promises(promises) => match never {},
                };
                tracing::debug!(outcome = outcome.as_str());
                outcome
            }
            .instrument(span)
            .boxed(),
        }
    }
}

/// An event being fired: the future of [`Dispatcher::fire`].
// Dropping it ends the event before the steps and their promises are dropped, so no handle outlives
// it as an active event and no promise looks abandoned.
#[must_use = "it does nothing unless polled"]
pub struct Firing {
    event: FunctionalEvent,
    steps: BoxFuture<'static, Outcome>,
}

impl Firing {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &FunctionalEvent {
        &self.event
    }
}

impl fmt::Debug for Firing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Firing").field("event", &self.event).finish_non_exhaustive()
    }
}

impl Future for Firing {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.steps.as_mut().poll(cx)
    }
}

impl Drop for Firing {
    fn drop(&mut self) {
        self.event.worker_terminated("the engine stopped waiting");
    }
}

/// Dispatches the event and waits for its end, within the limits.
async fn run(host: &dyn WorkerHost, event: &FunctionalEvent, timeouts: Timeouts) -> Outcome {
    let dispatch = AssertUnwindSafe(async { host.dispatch(event.clone()).await })
        .catch_unwind()
        .map(|result| result.unwrap_or_else(|_| Err(DispatchError::Crashed("it panicked".into()))));
    match timeout(timeouts.start_and_dispatch, dispatch).await {
        Ok(Ok(())) => event.end_dispatch(),
        Ok(Err(error)) => event.end_unhandled(error.into()),
        Err(_) => event.end_unhandled(NotHandledReason::TimedOut),
    }
    if let Ok(outcome) = timeout(timeouts.lifetime, event.ended()).await {
        return outcome;
    }
    event.end_unhandled(NotHandledReason::TimedOut);
    event.ended().await
}

/// Polls the promises of workers written in Rust, for as long as it is polled itself.
async fn poll_promises(mut added: mpsc::UnboundedReceiver<LifetimePromise>) -> Infallible {
    let mut pending = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(promise) = added.recv() => pending.push(promise),
            Some(()) = pending.next() => {}
            else => std::future::pending().await,
        }
    }
}
