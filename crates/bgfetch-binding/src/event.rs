//! Functional events, from the engine to the host's workers. The host fires an event at its listeners, and says when
//! these have run. Until then, and while an extension of it is open, the event is active.

use std::collections::HashMap;
use std::sync::Arc;

use bgfetch::embedder::BoxFuture;
use bgfetch::{
    DispatchError, FunctionalEvent, ImageResource, LifetimeExtension, RegistrationKey, Rejection,
    ServiceWorkerRegistration, UiUpdate, WeakEngine, WorkerHost,
};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::completion::{Completion, Value};
use crate::error::{Error, Result};
use crate::fetch;
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;
use crate::request::parse_json;

/// The registrations whose events go to the host, each with the handle that started it.
#[derive(Default)]
pub(crate) struct Started(Mutex<HashMap<RegistrationKey, Handle>>);

impl Started {
    pub(crate) fn start(&self, key: &RegistrationKey, handle: Handle) {
        self.0.lock().insert(key.clone(), handle);
    }

    pub(crate) fn stop(&self, key: &RegistrationKey, handle: Handle) {
        let mut started = self.0.lock();
        if started.get(key) == Some(&handle) {
            started.remove(key);
        }
    }

    fn find(&self, key: &RegistrationKey) -> Option<Handle> {
        self.0.lock().get(key).copied()
    }
}

/// The host's workers, of one engine.
pub(crate) struct Workers {
    pub(crate) queue: Arc<Queue>,
    pub(crate) engine: WeakEngine,
    pub(crate) started: Arc<Started>,
}

type Dispatched = oneshot::Sender<std::result::Result<(), DispatchError>>;

pub(crate) struct Event {
    queue: Arc<Queue>,
    event: FunctionalEvent,
    dispatched: Mutex<Option<Dispatched>>,
}

impl Object for Event {
    const KIND: Kind = Kind::Event;
}

struct Extension(LifetimeExtension);

impl Object for Extension {
    const KIND: Kind = Kind::Extension;
}

impl WorkerHost for Workers {
    fn dispatch(
        &self,
        event: FunctionalEvent,
    ) -> BoxFuture<'static, std::result::Result<(), DispatchError>> {
        let Some(registration) = self.started.find(event.registration()) else {
            return Box::pin(std::future::ready(Err(DispatchError::NotYet)));
        };
        let (queue, engine) = (Arc::clone(&self.queue), self.engine.clone());
        Box::pin(async move {
            let crashed = |error: Error| DispatchError::Crashed(error.to_string());
            let done = fire(&queue, &engine, registration, event).await.map_err(crashed)?;
            let freed = || DispatchError::Crashed("the host freed the event".into());
            done.await.unwrap_or_else(|_| Err(freed()))
        })
    }
}

type Done = oneshot::Receiver<std::result::Result<(), DispatchError>>;

async fn fire(
    queue: &Arc<Queue>,
    engine: &WeakEngine,
    registration: Handle,
    event: FunctionalEvent,
) -> Result<Done> {
    let found = engine.background_fetch(&event).await?;
    let worker = engine.upgrade().ok_or_else(Error::closed)?;
    let worker = worker.registration(event.registration().clone());
    let (fetch, known) = fetch::adopt(queue, &worker, found, None).await?;
    let (dispatched, done) = oneshot::channel();
    let (kind, ended) = (event.kind(), event.clone());
    let object =
        Event { queue: Arc::clone(queue), event, dispatched: Mutex::new(Some(dispatched)) };
    let (handle, _) = handle::insert(queue.handle, |_| object)?;
    queue.push(Completion::Event { registration, event: handle, fetch, kind });
    drop(known);
    let to = Arc::clone(queue);
    queue.spawn(async move {
        let outcome = ended.ended().await;
        to.push(Completion::EventEnded { event: handle, outcome });
    });
    Ok(done)
}

/// Takes the events of a registration from now on, and first those that wait.
pub(crate) async fn start(
    started: &Started,
    worker: &ServiceWorkerRegistration,
    registration: Handle,
) -> Result<Value> {
    started.start(worker.key(), registration);
    worker.deliver_pending().await?;
    Ok(Value::None)
}

/// Whether the event is active.
///
/// # Errors
///
/// A bad handle.
pub fn is_active(event: Handle) -> Result<bool> {
    Ok(handle::get::<Event>(event)?.event.is_active())
}

/// `waitUntil()`: the event stays active until the extension that is returned is [settled](settle). Freeing the
/// extension instead says that its promise will never settle; then the event is fired again.
///
/// # Errors
///
/// [`Code::NotActive`](crate::Code::NotActive); a bad handle.
pub fn extend(event: Handle) -> Result<Handle> {
    let event = handle::get::<Event>(event)?;
    let extension = Extension(event.event.extend()?);
    Ok(handle::insert(event.queue.handle, |_| extension)?.0)
}

/// A promise that was given to `waitUntil()` has settled: it was fulfilled, or rejected for this reason. Frees the
/// extension.
///
/// # Errors
///
/// A bad handle.
pub fn settle(extension: Handle, rejection: Option<&str>) -> Result<()> {
    let extension = handle::take::<Extension>(extension)?;
    let result = rejection.map_or(Ok(()), |reason| Err(Rejection(reason.to_owned())));
    // Nobody else holds it: each function that takes one frees it.
    if let Some(Extension(extension)) = Arc::into_inner(extension) {
        extension.settle(result);
    }
    Ok(())
}

/// Frees an extension whose promise will never settle.
///
/// # Errors
///
/// A bad handle.
pub fn free_extension(extension: Handle) -> Result<()> {
    handle::take::<Extension>(extension).map(drop)
}

/// The listeners, and the microtasks after them, have run.
///
/// # Errors
///
/// [`Code::WrongState`](crate::Code::WrongState) if that was said before, or that they did not run; a bad handle.
pub fn end_dispatch(event: Handle) -> Result<()> {
    let event = handle::get::<Event>(event)?;
    let dispatched = take_dispatched(&event)?;
    event.event.end_dispatch();
    // The engine may have given up the event.
    drop(dispatched.send(Ok(())));
    Ok(())
}

/// Not all listeners ran. If no worker was started, the event waits until the registration is
/// [started](crate::registration::start) again; otherwise it is fired again later.
///
/// # Errors
///
/// As [`end_dispatch`].
pub fn not_handled(event: Handle, reason: DispatchError) -> Result<()> {
    let event = handle::get::<Event>(event)?;
    drop(take_dispatched(&event)?.send(Err(reason)));
    Ok(())
}

/// The worker ended, by a crash or otherwise. If the event is still active, it ends, and is fired again later.
///
/// # Errors
///
/// A bad handle.
pub fn worker_terminated(event: Handle, reason: &str) -> Result<()> {
    handle::get::<Event>(event)?.event.worker_terminated(reason);
    Ok(())
}

fn take_dispatched(event: &Event) -> Result<Dispatched> {
    let dispatched = event.dispatched.lock().take();
    dispatched.ok_or_else(|| Error::state("the event was dispatched before"))
}

/// The spec's `BackgroundFetchUIOptions`, in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UiOptions {
    title: Option<String>,
    icons: Option<Vec<ImageResource>>,
}

/// `updateUI()`, with `title` and `icons` in JSON, each optional. The checks are made now; the call is answered by
/// [`Value::None`] when the update is kept.
///
/// # Errors
///
/// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if the JSON is not valid; a bad handle. The call fails as
/// [`Code::NotActive`](crate::Code::NotActive), [`Code::AlreadyUpdated`](crate::Code::AlreadyUpdated),
/// [`Code::NotUpdateUiEvent`](crate::Code::NotUpdateUiEvent) or [`Code::UpdateUiFailed`](crate::Code::UpdateUiFailed).
pub fn update_ui(event: Handle, token: u64, options: &str) -> Result<()> {
    let event = handle::get::<Event>(event)?;
    let UiOptions { title, icons } = parse_json(options)?;
    let updated = event.event.update_ui(UiUpdate::default().with(|it| {
        it.title = title;
        it.icons = icons;
    }));
    event.queue.call(token, async move {
        updated.await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Frees an event. If it was not dispatched, the worker counts as crashed.
///
/// # Errors
///
/// A bad handle.
pub fn free(event: Handle) -> Result<()> {
    handle::take::<Event>(event).map(drop)
}
