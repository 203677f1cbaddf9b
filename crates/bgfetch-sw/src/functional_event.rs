//! The event that a worker host holds: the state machine of `extendable_event` behind a lock, with
//! the fetch that the event is about.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bgfetch_model::delivery::{NotHandledReason, Outcome, Rejection};
use bgfetch_model::ids::{FetchKey, RegistrationKey};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::extendable_event::{ExtendableEvent, NotActive, Settlement};
use crate::update_ui::{UiSink, UiUpdate, UpdateUiError};
use bgfetch_model::event::{EventInterface, EventKind};

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionalEventInit {
    /// Which event.
    pub kind: EventKind,
    /// The background fetch.
    pub fetch: FetchKey,
    /// The service worker registration at whose active worker the event is fired.
    pub registration: RegistrationKey,
    /// The id that the page gave the fetch.
    pub id: String,
}

/// A promise given to `waitUntil()`, polled until it reports its own end.
pub(crate) type LifetimePromise = BoxFuture<'static, ()>;

/// A functional event that is being fired. This is a handle: all clones are the same event.
///
/// Only events that the engine fires have one. An event that a script constructed is not trusted
/// and has no handle, so the binding makes its `updateUI()` reject and its `waitUntil()` throw an
/// `InvalidStateError`. This type therefore has no untrusted state.
#[derive(Clone)]
pub struct FunctionalEvent(Arc<Shared>);

struct Shared {
    init: FunctionalEventInit,
    lifetime: Mutex<ExtendableEvent>,
    ended: Notify,
    ui_updated: AtomicBool,
    ui: UiSink,
    promises: mpsc::UnboundedSender<LifetimePromise>,
}

impl FunctionalEvent {
    /// An event whose dispatch begins, and the receiver of the promises given to it.
    pub(crate) fn new(
        init: FunctionalEventInit,
        ui: UiSink,
    ) -> (Self, mpsc::UnboundedReceiver<LifetimePromise>) {
        let (promises, added) = mpsc::unbounded_channel();
        let event = Self(Arc::new(Shared {
            init,
            lifetime: Mutex::new(ExtendableEvent::new()),
            ended: Notify::new(),
            ui_updated: AtomicBool::new(false),
            ui,
            promises,
        }));
        (event, added)
    }

    /// The kind of event, which determines its name and interface.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.0.init.kind
    }

    /// The background fetch it is about.
    #[must_use]
    pub fn fetch(&self) -> FetchKey {
        self.0.init.fetch
    }

    /// The service worker registration at whose active worker the event is fired.
    #[must_use]
    pub fn registration(&self) -> &RegistrationKey {
        &self.0.init.registration
    }

    /// The id that the page gave the fetch. Another fetch may have taken it since; the identity is
    /// [`fetch`](Self::fetch).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.init.id
    }

    /// Whether it is [active](https://w3c.github.io/ServiceWorker/#extendableevent-active): its
    /// dispatch or an extension of its lifetime is in progress. An event that is no longer active
    /// never becomes active again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.0.lifetime.lock().is_active()
    }

    /// How the event ended, or `None` while it is active.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.lifetime.lock().outcome().cloned()
    }

    /// Waits until the event is no longer active. From then on it does not keep the worker alive.
    pub async fn ended(&self) -> Outcome {
        loop {
            // Created before the check, so that an end between the two wakes it.
            let ended = self.0.ended.notified();
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            ended.await;
        }
    }

    /// [`waitUntil()`](https://w3c.github.io/ServiceWorker/#dom-extendableevent-waituntil) for a
    /// worker written in Rust: the event stays active until `promise` ends.
    ///
    /// The event's [`Dispatcher`](crate::Dispatcher) polls the promise, so it needs no task of its
    /// own, and drops it if the event ends first. Blocking in it blocks the event's time limits
    /// too. A panic in it abandons the extension; see [`LifetimeExtension`].
    ///
    /// # Errors
    ///
    /// [`NotActive`] if the event is no longer active; the promise is then dropped.
    pub fn wait_until(
        &self,
        promise: impl Future<Output = Result<(), Rejection>> + Send + 'static,
    ) -> Result<(), NotActive> {
        let extension = self.extend()?;
        let promise = async move {
            if let Ok(result) = AssertUnwindSafe(promise).catch_unwind().await {
                extension.settle(result);
            }
        };
        self.0.promises.send(promise.boxed()).map_err(|_| NotActive)
    }

    /// `waitUntil()` for a worker whose promises live elsewhere, such as in a JavaScript engine:
    /// the event stays active until the returned guard is settled or dropped.
    ///
    /// Service workers decrease the pending promises count in a microtask that is queued when the
    /// promise settles, so that reactions queued earlier may still extend the lifetime. Settle the
    /// guard in such a microtask.
    ///
    /// # Errors
    ///
    /// [`NotActive`] if the event is no longer active.
    pub fn extend(&self) -> Result<LifetimeExtension, NotActive> {
        self.0.lifetime.lock().extend()?;
        Ok(LifetimeExtension { event: self.clone(), settled: false })
    }

    /// Reports that the listeners have run: the dispatch flag is unset, and without a pending
    /// extension the event ends at once. Further calls have no effect.
    ///
    /// The end of [`WorkerHost::dispatch`](crate::WorkerHost::dispatch) implies this call. A host
    /// whose worker runs on another thread makes the call there as soon as the listeners and the
    /// microtasks after them have run, so that the script's next task finds the event in its true
    /// state.
    pub fn end_dispatch(&self) {
        self.change(ExtendableEvent::end_dispatch);
    }

    /// Reports that the worker ended, by a crash or otherwise: the event ends at once, even with
    /// pending promises, and counts as not handled. Has no effect if the event is no longer active.
    ///
    /// `reason` is a sentence for people.
    pub fn worker_terminated(&self, reason: impl Into<String>) {
        self.end_unhandled(NotHandledReason::Crashed(reason.into()));
    }

    pub(crate) fn end_unhandled(&self, reason: NotHandledReason) {
        self.change(|lifetime| lifetime.end_unhandled(reason));
    }

    /// [`updateUI()`](https://wicg.github.io/background-fetch/#background-fetch-update-ui-event-update-ui).
    ///
    /// This call makes the checks and passes the update on; the returned future resolves once the
    /// update was kept, and may be dropped. It does not extend the event's lifetime. An empty
    /// update counts as the one allowed update.
    ///
    /// # Errors
    ///
    /// The future returns an [`UpdateUiError`] if the event is not active or is an abort or a click
    /// event, if the call is repeated, or if the update could not be kept.
    pub fn update_ui(
        &self,
        update: UiUpdate,
    ) -> impl Future<Output = Result<(), UpdateUiError>> + Send + 'static + use<> {
        let begun = self.begin_ui_update().map(|()| {
            // Steps 3 to 6: replace what the options contain; empty options change nothing.
            (!update.is_empty()).then(|| self.0.ui.apply(self.fetch(), update))
        });
        async move {
            if let Some(applied) = begun? {
                applied.await?;
            }
            Ok(())
        }
    }

    /// Steps 1 and 2 of `updateUI()`: refuse, or set the UI updated flag.
    fn begin_ui_update(&self) -> Result<(), UpdateUiError> {
        if self.kind().interface() != EventInterface::BackgroundFetchUpdateUiEvent {
            return Err(UpdateUiError::NotUpdateUiEvent);
        }
        if !self.is_active() {
            return Err(NotActive.into());
        }
        if self.0.ui_updated.swap(true, Ordering::Relaxed) {
            return Err(UpdateUiError::AlreadyUpdated);
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut ExtendableEvent)) {
        change(&mut self.0.lifetime.lock());
        // Those who wait for the end look whether it has come.
        self.0.ended.notify_waiters();
    }
}

impl fmt::Debug for FunctionalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionalEvent")
            .field("kind", &self.kind())
            .field("fetch", &self.fetch())
            .field("active", &self.is_active())
            .finish_non_exhaustive()
    }
}

/// One extension of an event's lifetime: a pending promise.
///
/// Dropping it unsettled abandons it: the promise can no longer settle, because the script lost it
/// or the worker broke. The event no longer waits for it. Once the others have settled, the event
/// ends as not handled ([`NotHandledReason::Crashed`]), so that it is fired again.
#[must_use = "dropping it abandons the promise"]
#[derive(Debug)]
pub struct LifetimeExtension {
    event: FunctionalEvent,
    settled: bool,
}

impl LifetimeExtension {
    /// The promise settled: it was fulfilled, or rejected with this reason.
    pub fn settle(mut self, result: Result<(), Rejection>) {
        self.settled = true;
        let settlement = result.map_or_else(Settlement::Rejected, |()| Settlement::Fulfilled);
        self.event.change(|lifetime| lifetime.settle(settlement));
    }
}

impl Drop for LifetimeExtension {
    fn drop(&mut self) {
        if !self.settled {
            self.event.change(|lifetime| lifetime.settle(Settlement::Abandoned));
        }
    }
}
