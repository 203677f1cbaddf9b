//! The functional events of a service worker's realm, from the embedder's
//! [`WorkerHost`](bgfetch::WorkerHost) to the realm's listeners.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use bgfetch::{
    DispatchError, DomException, EventInterface, FunctionalEvent, ImageResource, LifetimeExtension,
    Rejection, UiUpdate,
};
use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::exceptions::{exception, misuse, update_ui_failed};
use crate::realm::{look_up, with_realm};

/// Connects a worker host to the realm of one running service worker.
#[must_use]
pub fn functional_events() -> (EventsSender, Events) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (EventsSender(sender), Events(receiver))
}

/// The worker host's end. Clones refer to the same realm.
#[derive(Clone)]
pub struct EventsSender(mpsc::UnboundedSender<ToDispatch>);

/// The realm's end, for [`Options::events`](crate::Options::events).
pub struct Events(mpsc::UnboundedReceiver<ToDispatch>);

struct ToDispatch {
    event: FunctionalEvent,
    dispatched: Dispatched,
}

type Dispatched = oneshot::Sender<Result<(), DispatchError>>;

impl EventsSender {
    /// Fires the event in the realm, as [`WorkerHost::dispatch`](bgfetch::WorkerHost::dispatch)
    /// requires: resolves when the listeners, and the microtasks after them, have run. The worker's
    /// script must have run before.
    ///
    /// # Errors
    ///
    /// [`DispatchError::Crashed`] when the realm is gone, or ends before the listeners have run.
    pub async fn dispatch(&self, event: FunctionalEvent) -> Result<(), DispatchError> {
        let (dispatched, done) = oneshot::channel();
        let crashed = || DispatchError::Crashed("the worker's realm has ended".into());
        self.0.send(ToDispatch { event, dispatched }).map_err(|_| crashed())?;
        done.await.map_err(|_| crashed())?
    }
}

impl fmt::Debug for EventsSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventsSender").finish_non_exhaustive()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").finish_non_exhaustive()
    }
}

/// The events that scripts of the realm hold, in its `OpState`.
pub(crate) struct RealmEvents {
    /// The events to be dispatched; `None` while something waits for the next one.
    incoming: Option<Events>,
    /// Events whose lifetime has not ended, and the senders that report the end of their dispatch.
    active: HashMap<u32, (FunctionalEvent, Option<Dispatched>)>,
    extensions: HashMap<u32, LifetimeExtension>,
    next: u32,
}

impl RealmEvents {
    pub(crate) fn new(incoming: Option<Events>) -> Self {
        Self { incoming, active: HashMap::new(), extensions: HashMap::new(), next: 0 }
    }

    fn next_id(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn active(&self, id: u32) -> Result<&FunctionalEvent, JsErrorBox> {
        let event = self.active.get(&id).map(|(event, _)| event);
        event.ok_or_else(|| exception(DomException::InvalidStateError, NOT_ACTIVE))
    }

    /// Drops events that have ended. An event that is no longer in the map is not active.
    fn sweep(&mut self) {
        self.active.retain(|_, (event, dispatched)| dispatched.is_some() || event.is_active());
    }
}

const NOT_ACTIVE: &str = "the event is no longer active";

/// An event to be fired.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsEvent {
    event: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    updates_ui: bool,
    /// The key of the event's registration.
    registration: u64,
}

/// Waits for the next event. `None` when there will be no more.
#[op2]
#[serde]
pub(crate) async fn op_bgfetch_next_event(
    state: Rc<RefCell<OpState>>,
) -> Result<Option<JsEvent>, JsErrorBox> {
    let taken = state.borrow_mut().borrow_mut::<RealmEvents>().incoming.take();
    let Some(mut incoming) = taken else {
        return Ok(None);
    };
    loop {
        let Some(ToDispatch { event, dispatched }) = incoming.0.recv().await else {
            return Ok(None);
        };
        match registration_of(&state, &event).await {
            Ok(registration) => {
                let kind = event.kind();
                let mut state = state.borrow_mut();
                let events = state.borrow_mut::<RealmEvents>();
                events.incoming = Some(incoming);
                let id = events.next_id();
                events.active.insert(id, (event, Some(dispatched)));
                return Ok(Some(JsEvent {
                    event: id,
                    kind: kind.name(),
                    updates_ui: kind.interface() == EventInterface::BackgroundFetchUpdateUiEvent,
                    registration,
                }));
            }
            // The worker host may be gone, too.
            Err(error) => drop(dispatched.send(Err(error))),
        }
    }
}

/// The key of the event's registration, which the realm keeps.
async fn registration_of(
    state: &Rc<RefCell<OpState>>,
    event: &FunctionalEvent,
) -> Result<u64, DispatchError> {
    let crashed = |reason: &dyn ToString| DispatchError::Crashed(reason.to_string());
    let registration = with_realm(state, |realm| realm.own_registration(event.registration()));
    let registration = registration.map_err(|error| crashed(&error))?;
    let found = registration.fetch(event.fetch());
    let key = look_up(state, found, |_, registration| registration).await;
    let key = key.map_err(|error| crashed(&error))?;
    key.map(|key| key.0).ok_or_else(|| crashed(&"the background fetch is gone"))
}

/// `waitUntil()` extends the event's lifetime. Returns the number of the extension.
#[op2(fast)]
#[smi]
pub(crate) fn op_bgfetch_extend(state: &mut OpState, #[smi] event: u32) -> Result<u32, JsErrorBox> {
    let events = state.borrow_mut::<RealmEvents>();
    let extension = events.active(event)?.extend();
    let extension = extension.map_err(|error| exception(DomException::InvalidStateError, error))?;
    let id = events.next_id();
    events.extensions.insert(id, extension);
    Ok(id)
}

/// A promise that was passed to `waitUntil()` settled; `rejection` is the reason if it was
/// rejected.
#[op2]
pub(crate) fn op_bgfetch_settle(
    state: &mut OpState,
    #[smi] extension: u32,
    #[string] rejection: Option<String>,
) {
    let events = state.borrow_mut::<RealmEvents>();
    if let Some(extension) = events.extensions.remove(&extension) {
        extension.settle(rejection.map_or(Ok(()), |rejection| Err(Rejection(rejection))));
    }
    events.sweep();
}

/// The listeners, and the microtasks after them, have run.
#[op2(fast)]
pub(crate) fn op_bgfetch_end_dispatch(
    state: &mut OpState,
    #[smi] event: u32,
) -> Result<(), JsErrorBox> {
    let events = state.borrow_mut::<RealmEvents>();
    let (event, dispatched) =
        events.active.get_mut(&event).ok_or_else(|| misuse("an unknown event"))?;
    event.end_dispatch();
    if let Some(dispatched) = dispatched.take() {
        // The worker host may be gone.
        drop(dispatched.send(Ok(())));
    }
    events.sweep();
    Ok(())
}

/// The members of the spec's `BackgroundFetchUIOptions` that were present.
#[derive(Deserialize)]
pub(crate) struct JsUiUpdate {
    title: Option<String>,
    icons: Option<Vec<ImageResource>>,
}

/// The `updateUI()` method. It makes its checks when it is called.
#[op2]
pub(crate) fn op_bgfetch_update_ui(
    state: &mut OpState,
    #[smi] event: u32,
    #[serde] update: JsUiUpdate,
) -> Result<impl Future<Output = Result<(), JsErrorBox>> + use<>, JsErrorBox> {
    let event = state.borrow::<RealmEvents>().active(event)?;
    let updated = event.update_ui(UiUpdate::default().with(|it| {
        it.title = update.title;
        it.icons = update.icons;
    }));
    Ok(async move { updated.await.map_err(update_ui_failed) })
}
