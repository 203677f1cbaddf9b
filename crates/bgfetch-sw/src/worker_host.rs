//! The interface behind which an embedder runs service workers.

use std::error::Error;

use bgfetch_model::delivery::NotHandledReason;
use futures_util::future::BoxFuture;

use crate::functional_event::FunctionalEvent;

/// Starts service workers and fires events at them: the embedder's part of
/// [fire functional event](https://w3c.github.io/ServiceWorker/#fire-functional-event-algorithm).
pub trait WorkerHost: Send + Sync + 'static {
    /// Starts the active worker of the event's registration, if it is not running, fires the event
    /// at its global, and resolves when the listeners (and the microtasks after them) have run.
    ///
    /// A listener that throws is reported as the worker's exception and counts as having run.
    /// Without a listener the event is done at once. Extensions of the event's lifetime continue
    /// after the future has resolved; if the worker ends before they have settled, the host calls
    /// [`FunctionalEvent::worker_terminated`]. A worker should be kept alive while one of its
    /// events is [active](FunctionalEvent::is_active); [`FunctionalEvent::ended`] reports when that
    /// ends.
    ///
    /// The future is dropped if the event ends first: a time limit passed, the engine shut down, or
    /// the host itself reported the end. Several events may be dispatched at the same time, even to
    /// one worker. A panic counts as a crash of the worker.
    ///
    /// # Errors
    ///
    /// [`DispatchError`] if not all listeners ran. If no worker was started, the event waits until
    /// the registration's pending events are asked for; otherwise it is fired again later.
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>>;
}

/// A worker written in Rust, for programs without service workers: `handler` runs for each event.
///
/// ```
/// use bgfetch_sw::worker_fn;
///
/// let host = worker_fn(|event| async move {
///     let log = format!("{}: {}", event.id(), event.kind().name());
///     std::fs::write("log", log)
/// });
/// ```
///
/// Its future has to end within [`Timeouts::start_and_dispatch`](crate::Timeouts), and the event
/// may be fired again after a crash. Work that takes longer belongs in
/// [`FunctionalEvent::wait_until`].
///
/// The handler may return errors of any type. A [`DispatchError`] says what happened; after any
/// other error, the event is fired again later, as after [`DispatchError::Crashed`].
pub fn worker_fn<F, R, E>(handler: F) -> impl WorkerHost + use<F, R, E>
where
    F: Fn(FunctionalEvent) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    WorkerFn(handler)
}

struct WorkerFn<F>(F);

impl<F, R, E> WorkerHost for WorkerFn<F>
where
    F: Fn(FunctionalEvent) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let handled = (self.0)(event);
        Box::pin(async move {
            handled.await.map_err(|error| match error.into().downcast() {
                Ok(error) => *error,
                Err(error) => DispatchError::Crashed(error.to_string()),
            })
        })
    }
}

/// Why the listeners did not run. The texts are sentences for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// The registration is unknown to the host or has no active worker.
    #[error("the registration has no active worker")]
    NoActiveWorker,
    /// The worker must not be started now, for example because the site has no window or the system
    /// sleeps.
    #[error("the worker is not to be started yet")]
    NotYet,
    /// The worker could not be started: its script did not load, or threw.
    #[error("the worker did not start: {0}")]
    StartFailed(String),
    /// The worker ended before the listeners had run.
    #[error("the worker ended before its listeners had run: {0}")]
    Crashed(String),
}

impl From<DispatchError> for NotHandledReason {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::NoActiveWorker => Self::NoActiveWorker,
            DispatchError::NotYet => Self::NotYet,
            DispatchError::StartFailed(reason) => Self::StartFailed(reason),
            DispatchError::Crashed(reason) => Self::Crashed(reason),
        }
    }
}
