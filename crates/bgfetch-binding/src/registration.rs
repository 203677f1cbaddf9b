//! Service worker registrations, as one page or worker sees them, with the interface
//! [BackgroundFetchManager](https://wicg.github.io/background-fetch/#background-fetch-manager).

use std::sync::Arc;

use bgfetch::{
    BackgroundFetchManager, FetchKey, FetchOptions, ImageResource, PolicySnapshot, Principal,
    RegistrationKey, ServiceWorkerRegistration, StorageKey,
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::completion::{Guard, Value};
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::event::{self, Started};
use crate::fetch;
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;
use crate::request;

pub(crate) struct Registration {
    handle: Handle,
    queue: Arc<Queue>,
    worker: ServiceWorkerRegistration,
    principal: Mutex<Principal>,
    started: Arc<Started>,
    /// Added to each request that has none of the name.
    headers: Arc<[(String, String)]>,
}

impl Object for Registration {
    const KIND: Kind = Kind::Registration;
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.started.stop(self.worker.key(), self.handle);
    }
}

impl Registration {
    fn manager(&self) -> BackgroundFetchManager {
        let principal = self.principal.lock().clone();
        self.worker.background_fetch().acting_for(principal).with_calls_that_go_on()
    }
}

/// Registers a registration with an active worker, as must be done at each start for every registration that exists:
/// answered by [`Value::Handle`]. Its events are held until it is [started](start).
///
/// It acts for a page at its scope, until [`set_principal`] says otherwise.
///
/// # Errors
///
/// [`Code::InvalidUrl`](crate::Code::InvalidUrl); a bad handle. The call fails if the engine is closed.
pub fn register(engine: Handle, token: u64, storage_key: &str, scope: &str) -> Result<()> {
    let engine = handle::get::<Engine>(engine)?;
    let worker = engine.open()?.registration(key(storage_key, scope)?);
    let queue = Arc::clone(&engine.queue);
    let to = Arc::clone(&queue);
    to.call(token, async move {
        worker.set_active_worker(true).await?;
        Ok(Value::Handle(insert(&queue, &engine, worker)?))
    });
    Ok(())
}

/// Another handle for a registration that was registered with the engine: for a page or worker with policies of its
/// own.
///
/// # Errors
///
/// [`Code::InvalidUrl`](crate::Code::InvalidUrl); a bad handle; a closed engine.
pub fn open(engine: Handle, storage_key: &str, scope: &str) -> Result<Handle> {
    let engine = handle::get::<Engine>(engine)?;
    let worker = engine.open()?.registration(key(storage_key, scope)?);
    insert(&engine.queue, &engine, worker)
}

fn key(storage_key: &str, scope: &str) -> Result<RegistrationKey> {
    let scope = scope.parse().map_err(bgfetch::Error::from)?;
    Ok(RegistrationKey { storage_key: StorageKey(storage_key.into()), scope })
}

fn insert(
    queue: &Arc<Queue>,
    engine: &engine::Engine,
    worker: ServiceWorkerRegistration,
) -> Result<Handle> {
    let page = Principal::Page(PolicySnapshot::of(&worker.key().scope));
    let (started, headers) = (Arc::clone(&engine.started), Arc::clone(&engine.headers));
    let (principal, queue, owner) = (Mutex::new(page), Arc::clone(queue), queue.handle);
    let registration = |handle| Registration { handle, queue, worker, principal, started, headers };
    Ok(handle::insert(owner, registration)?.0)
}

/// Its storage key and scope.
///
/// # Errors
///
/// A bad handle.
pub fn identity(registration: Handle) -> Result<RegistrationKey> {
    Ok(handle::get::<Registration>(registration)?.worker.key().clone())
}

/// Sets on whose behalf fetches are made from now on, in JSON: `"user"`, for whom CORS and similar checks do not apply,
/// or `{ "page": { … } }` with the members of [`PolicySnapshot`]. The policies are persisted with each fetch.
///
/// # Errors
///
/// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if the JSON is not valid; a bad handle.
pub fn set_principal(registration: Handle, principal: &str) -> Result<()> {
    let registration = handle::get::<Registration>(registration)?;
    *registration.principal.lock() = request::parse_json(principal)?;
    Ok(())
}

/// The arguments of `fetch()`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Call {
    id: String,
    requests: Vec<Json>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    icons: Vec<ImageResource>,
    #[serde(default)]
    download_total: u64,
    /// Whether the page was told that its service worker is active.
    #[serde(default = "yes")]
    sees_active_worker: bool,
    /// Whether the fetch waits for [`fetch::start`].
    #[serde(default)]
    held: bool,
}

const fn yes() -> bool {
    true
}

/// The `fetch()` method: answered by [`Value::Fetch`] when the fetch is durable. Its arguments are JSON:
///
/// ```json
/// {
///   "id": "film",
///   "requests": ["https://a.example/1", { "url": "https://a.example/2", "headers": [["x", "y"]] }],
///   "title": "A film",
///   "downloadTotal": 1000000
/// }
/// ```
///
/// A request is a URL or an object with a `url`, and with `method`, `headers`, `mode`, `credentials`, `redirect`,
/// `cache`, `referrer`, `referrer_policy`, `integrity` and `body` as needed. A body is a text, or the handle of a
/// [source](crate::source). There may be `icons`; with `"held": true` the fetch waits for [`fetch::start`], and with
/// `"seesActiveWorker": false` it is refused as in a page that was not told of its worker.
///
/// # Errors
///
/// [`Code::InvalidArgument`](crate::Code::InvalidArgument) and others if an argument is not valid; a bad handle. The
/// call fails with any code from 100 on.
pub fn fetch(registration: Handle, token: u64, call: &str) -> Result<()> {
    let registration = handle::get::<Registration>(registration)?;
    let call: Call = request::parse_json(call)?;
    let requests = call.requests.into_iter();
    let requests = requests.map(|json| request::of(json, &registration.headers));
    let requests = requests.collect::<Result<Vec<_>>>()?;
    let manager = registration.manager().seeing_active_worker(call.sees_active_worker);
    let options = FetchOptions::default().with(|it| {
        it.title = call.title;
        it.icons = call.icons;
        it.download_total = call.download_total;
    });
    let (queue, worker) = (Arc::clone(&registration.queue), registration.worker.clone());
    registration.queue.call(token, async move {
        let (found, hold) = manager.fetch_held(call.id, requests, options).await?;
        let key = found.key();
        let (held, begins) = if call.held { (Some(hold), None) } else { (None, Some(hold)) };
        let (handle, known) = fetch::adopt(&queue, &worker, found, held).await?;
        Ok(Value::Fetch { handle, key, known: Guard::new((known, begins)) })
    });
    Ok(())
}

/// Checks one request, without its body, of a call of `fetch()`, which checks it again: for a page that creates one after the other.
///
/// # Errors
///
/// What the call would fail with.
pub fn check_request(request: &str) -> Result<()> {
    let request = request::parse(request)?;
    Ok(bgfetch::check_request(request.request()).map_err(bgfetch::Error::from)?)
}

/// The `get()` method: answered by [`Value::Fetch`], or [`Value::None`] if no active fetch has the id.
///
/// # Errors
///
/// A bad handle. The call fails as [`Code::EmptyId`](crate::Code::EmptyId), or if the engine is closed.
pub fn get(registration: Handle, token: u64, id: &str) -> Result<()> {
    let registration = handle::get::<Registration>(registration)?;
    let (manager, id) = (registration.manager(), id.to_owned());
    let (queue, worker) = (Arc::clone(&registration.queue), registration.worker.clone());
    registration.queue.call(token, async move {
        let found = manager.get(id).await?;
        fetch::found(&queue, &worker, found).await
    });
    Ok(())
}

/// The `getIds()` method: answered by [`Value::Ids`].
///
/// # Errors
///
/// A bad handle. The call fails if the engine is closed.
pub fn get_ids(registration: Handle, token: u64) -> Result<()> {
    let registration = handle::get::<Registration>(registration)?;
    let manager = registration.manager();
    registration.queue.call(token, async move { Ok(Value::Ids(manager.get_ids().await?)) });
    Ok(())
}

/// The registration's fetch with that identity, also if it has finished: answered by [`Value::Fetch`] or
/// [`Value::None`]. A fetch of another registration is not found.
///
/// # Errors
///
/// A bad handle. The call fails if the engine is closed.
pub fn find(registration: Handle, token: u64, key: FetchKey) -> Result<()> {
    let registration = handle::get::<Registration>(registration)?;
    let (queue, worker) = (Arc::clone(&registration.queue), registration.worker.clone());
    registration.queue.call(token, async move {
        let found = worker.fetch(key).await?;
        fetch::found(&queue, &worker, found).await
    });
    Ok(())
}

/// Takes the registration's events from now on, and first those that wait: each comes as
/// [`Completion::Event`](crate::Completion::Event). They come until the handle is freed, or another one of the same
/// registration is started. Answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle. The call fails as [`Code::NoActiveWorker`](crate::Code::NoActiveWorker), or if the engine is closed.
pub fn start(registration: Handle, token: u64) -> Result<()> {
    let object = handle::get::<Registration>(registration)?;
    let (started, worker) = (Arc::clone(&object.started), object.worker.clone());
    object.queue.call(token, async move { event::start(&started, &worker, registration).await });
    Ok(())
}

/// Sets whether the registration has an active worker. Without one, `fetch()` is refused and events wait. Answered by
/// [`Value::None`].
///
/// # Errors
///
/// A bad handle. The call fails if the engine is closed.
pub fn set_active_worker(registration: Handle, token: u64, active: bool) -> Result<()> {
    let registration = handle::get::<Registration>(registration)?;
    let worker = registration.worker.clone();
    registration.queue.call(token, async move {
        worker.set_active_worker(active).await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Removes a registration that was unregistered, or whose data was cleared: its fetches end without events, and their
/// bytes are deleted. Answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle. The call fails if the engine is closed.
pub fn unregister(registration: Handle, token: u64) -> Result<()> {
    let registration = handle::get::<Registration>(registration)?;
    let worker = registration.worker.clone();
    registration.queue.call(token, async move {
        worker.unregister().await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Frees a registration. It stays registered.
///
/// # Errors
///
/// A bad handle.
pub fn free(registration: Handle) -> Result<()> {
    handle::take::<Registration>(registration).map(drop)
}
