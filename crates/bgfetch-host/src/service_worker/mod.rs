//! The service workers of a user agent (<https://w3c.github.io/ServiceWorker/>): a single owner of
//! all registrations and their workers, with which realms exchange messages.

#[cfg(test)]
mod handles;
mod host;
mod job;
mod registration;
mod stored;
mod update;
mod windows;
mod worker;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak, mpsc as sync_mpsc};
use std::time::Duration;

use bgfetch::{Engine, PolicySnapshot, RegistrationKey, StorageKey, WorkerHost};
use bgfetch_deno::{EventsSender, functional_events};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use url::Url;

pub use windows::OpenWindow;

use crate::console::{Console, ConsoleLevel, ConsoleSource, RealmKind};
use crate::message::{
    AtStart, Connection, FromRealm, Import, Imported, RealmId, ToRealm, WorkerState,
};
use crate::network::Network;
use crate::page_state::PageState;
use crate::realm::{Realm, RealmOptions};
use crate::resources::AgentResources;
use crate::script_loader::{ScriptKind, ScriptLoader};
use registration::{State, Window};
use worker::Worker;

/// The options of a user agent's service workers.
pub struct ServiceWorkersOptions {
    /// Loads their scripts.
    pub loader: Arc<dyn ScriptLoader>,
    /// The file of the registrations. `None` keeps them only while the process runs.
    pub file: Option<PathBuf>,
    /// The resources that the realms of the user agent share.
    pub resources: AgentResources,
    /// The output of the consoles.
    pub console: Console,
    /// The network for scripts. `None` if they have none: there is no `fetch()` then.
    pub network: Option<Network>,
    /// Opens windows for workers. `None` if that is not supported.
    pub open_window: Option<OpenWindow>,
    /// How long a worker without events keeps running. Browsers use 30 seconds.
    pub idle_limit: Duration,
    /// How long a worker's script and its `install`, `activate` and `message` events may each take.
    /// Browsers use 5 minutes.
    pub event_limit: Duration,
}

impl fmt::Debug for ServiceWorkersOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceWorkersOptions").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The service workers of a user agent, and their windows. Clones refer to the same workers.
///
/// Dropping the last clone ends the workers. One of its own realms must not do that.
#[derive(Clone)]
pub struct ServiceWorkers(Arc<Inner>);

/// Service workers that end with their user agent. The state of a realm must not keep them alive,
/// so it holds this.
#[derive(Clone)]
pub(crate) struct WeakServiceWorkers(Weak<Inner>);

impl WeakServiceWorkers {
    pub(crate) fn upgrade(&self) -> Option<ServiceWorkers> {
        self.0.upgrade().map(ServiceWorkers)
    }
}

impl fmt::Debug for ServiceWorkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceWorkers").finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    options: ServiceWorkersOptions,
    runtime: Handle,
    engine: watch::Sender<Option<Engine>>,
    state: Mutex<State>,
    outbox: mpsc::UnboundedSender<(RealmId, FromRealm)>,
    /// [Job queues](https://w3c.github.io/ServiceWorker/#dfn-job-queue): the lock is granted in
    /// order of request.
    jobs: Mutex<HashMap<RegistrationKey, Arc<AsyncMutex<()>>>>,
    /// Held while the file is written.
    file: AsyncMutex<()>,
}

impl ServiceWorkers {
    /// Reads the stored registrations. Call it in a multi-threaded tokio runtime, which runs jobs
    /// and loads scripts.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or was not written by this program.
    pub fn open(options: ServiceWorkersOptions) -> io::Result<Self> {
        let stored = options.file.as_deref().map(stored::read).transpose()?.unwrap_or_default();
        let mut state = State::default();
        let mut waiting = Vec::new();
        for stored in stored {
            if stored.waiting.is_some() {
                waiting.push(stored.key.clone());
            }
            state.restore(stored);
        }
        let (outbox, messages) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            options,
            runtime: Handle::current(),
            engine: watch::Sender::new(None),
            state: Mutex::new(state),
            outbox,
            jobs: Mutex::default(),
            file: AsyncMutex::default(),
        });
        inner.runtime.spawn(receive(Arc::downgrade(&inner), messages));
        // There are no windows yet for which a waiting worker would have to wait.
        for key in waiting {
            inner.spawn(Arc::clone(&inner).try_activate(key));
        }
        Ok(Self(inner))
    }

    /// Starts workers for an engine's events: for [`Builder::worker_host`]. Events wait until the
    /// engine is [connected](Self::connect).
    ///
    /// [`Builder::worker_host`]: bgfetch::Builder::worker_host
    #[must_use]
    pub fn worker_host(&self) -> impl WorkerHost + use<> {
        host::Host(Arc::downgrade(&self.0))
    }

    /// Connects an engine to the realms, and registers the registrations that have an active worker
    /// with it.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn connect(&self, engine: Engine) -> bgfetch::Result<()> {
        let active = self.0.state.lock().active_keys();
        for RegistrationKey { storage_key, scope } in active {
            engine.register(storage_key, scope).await?;
        }
        self.0.engine.send_replace(Some(engine));
        Ok(())
    }

    /// The engine of the realms.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        self.0.engine()
    }

    /// Disconnects the engine from the realms and returns it. The realms continue with the next
    /// engine that is [connected](Self::connect).
    #[must_use]
    pub fn disconnect(&self) -> Option<Engine> {
        self.0.engine.send_replace(None)
    }

    /// Ends the engine gracefully, and the workers. Close windows before.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::shutdown`].
    pub async fn shutdown(self) -> bgfetch::Result<()> {
        let engine = self.disconnect();
        let workers = self.0.state.lock().workers();
        for worker in workers {
            worker.terminate().await;
        }
        match engine {
            Some(engine) => engine.shutdown().await,
            None => Ok(()),
        }
    }

    /// Opens a page without scripts: a window at `url` with those policies. It is controlled by the
    /// registration with the longest matching scope. Dropping the realm closes the page.
    ///
    /// # Errors
    ///
    /// When the window's thread could not be started.
    pub fn open_window(&self, url: Url, policies: PolicySnapshot) -> io::Result<Realm> {
        self.open_page_window(url, Arc::new(PageState::empty(policies)))
    }

    pub(crate) fn downgrade(&self) -> WeakServiceWorkers {
        WeakServiceWorkers(Arc::downgrade(&self.0))
    }

    /// Opens the window of a page.
    pub(crate) fn open_page_window(&self, url: Url, page: Arc<PageState>) -> io::Result<Realm> {
        let (inbox, messages) = mpsc::unbounded_channel();
        let storage_key = storage_key(&url);
        self.0.soft_update(&storage_key, &url);
        let (realm, at_start) = {
            let mut state = self.0.state.lock();
            let realm = RealmId(state.next_id());
            let window = Window { url: url.clone(), page: Arc::clone(&page) };
            (realm, state.add_window(realm, storage_key, window, inbox))
        };
        let connection = self.0.connection(realm, at_start, messages, None);
        let of_page = Arc::clone(&page);
        let policies = move || of_page.policies();
        let options = self.0.realm_options(RealmKind::Window, url, policies, None);
        Realm::connected(options, Some(connection), Some(page))
    }

    /// Starts the realm of a dedicated or shared worker, which imports scripts with `import`.
    pub(crate) fn open_worker_realm(
        &self,
        kind: RealmKind,
        url: Url,
        policies: PolicySnapshot,
        import: Import,
    ) -> io::Result<Realm> {
        // It is not a client, so it gets no messages.
        let (_, messages) = mpsc::unbounded_channel();
        let realm = RealmId(self.0.state.lock().next_id());
        let connection = self.0.connection(realm, AtStart::default(), messages, Some(import));
        let options = self.0.realm_options(kind, url, move || policies.clone(), None);
        Realm::connected(options, Some(connection), None)
    }

    /// The script URL of that registration's active worker.
    #[must_use]
    pub fn active_script(&self, registration: &RegistrationKey) -> Option<Url> {
        Some(self.0.active(registration)?.script_url.clone())
    }

    /// Whether the active worker of that registration is running.
    pub async fn is_running(&self, registration: &RegistrationKey) -> bool {
        let active = self.0.active(registration);
        match active {
            Some(worker) => worker.is_running().await,
            None => false,
        }
    }

    /// Whether no worker is running or being installed.
    #[must_use]
    pub fn are_quiet(&self) -> bool {
        let jobs = self.0.jobs.lock();
        let under_way = jobs.values().any(|job| job.try_lock().is_err());
        !under_way && self.0.state.lock().workers().iter().all(|worker| worker.is_quiet())
    }

    /// Stops the active worker of that registration, as developer tools of browsers can. Events
    /// that it was handling end, and are fired again later.
    pub async fn stop(&self, registration: &RegistrationKey) {
        if let Some(worker) = self.0.active(registration) {
            worker.terminate().await;
        }
    }

    /// The storage key of pages at that URL, which are at the top level.
    #[must_use]
    pub fn storage_key(url: &Url) -> StorageKey {
        storage_key(url)
    }
}

fn storage_key(url: &Url) -> StorageKey {
    StorageKey(url.origin().ascii_serialization())
}

/// The parts of a started worker's realm.
struct StartedRealm {
    realm: Realm,
    id: RealmId,
    events: EventsSender,
    inbox: mpsc::UnboundedSender<ToRealm>,
}

impl Inner {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }

    fn active(&self, registration: &RegistrationKey) -> Option<Arc<Worker>> {
        self.state.lock().get(registration)?.active.clone()
    }

    /// Writes to the console of a worker that is not running.
    fn tell(&self, worker: &Worker, message: &str) {
        let kind = RealmKind::ServiceWorker;
        let source = ConsoleSource { kind, url: worker.script_url.clone() };
        (self.options.console)(&source, ConsoleLevel::Uncaught, message);
    }

    /// The engine, for the duration of a call.
    fn engine(&self) -> Option<Engine> {
        self.engine.borrow().clone()
    }

    fn job_queue(&self, key: &RegistrationKey) -> Arc<AsyncMutex<()>> {
        Arc::clone(self.jobs.lock().entry(key.clone()).or_default())
    }

    fn start_worker_realm(self: &Arc<Self>, worker: &Arc<Worker>) -> io::Result<StartedRealm> {
        let (inbox, messages) = mpsc::unbounded_channel();
        let (events, incoming) = functional_events();
        let (id, at_start) = {
            let mut state = self.state.lock();
            let id = RealmId(state.next_id());
            (id, state.add_worker(id, worker, inbox.clone()))
        };
        let import = self.import(worker);
        let connection = self.connection(id, at_start, messages, Some(import));
        let url = worker.script_url.clone();
        let policies = worker.client().policies;
        let kind = RealmKind::ServiceWorker;
        let mut options = self.realm_options(kind, url, move || policies.clone(), Some(incoming));
        options.scope = Some(worker.key.scope.clone());
        let realm = Realm::connected(options, Some(connection), None)?;
        Ok(StartedRealm { realm, id, events, inbox })
    }

    fn connection(
        &self,
        realm: RealmId,
        at_start: AtStart,
        inbox: mpsc::UnboundedReceiver<ToRealm>,
        import: Option<Import>,
    ) -> Connection {
        Connection { realm, at_start, inbox: Some(inbox), outbox: self.outbox.clone(), import }
    }

    fn realm_options(
        &self,
        kind: RealmKind,
        url: Url,
        policies: impl Fn() -> PolicySnapshot + Send + Sync + 'static,
        events: Option<bgfetch_deno::Events>,
    ) -> RealmOptions {
        let background_fetch = bgfetch_deno::Options {
            engine: self.engine.subscribe(),
            storage_key: storage_key(&url),
            policies: Arc::new(policies),
            events,
        };
        RealmOptions {
            kind,
            url,
            scope: None,
            background_fetch,
            resources: self.options.resources.clone(),
            console: Arc::clone(&self.options.console),
            network: self.options.network.clone(),
        }
    }

    /// [`importScripts()`](https://w3c.github.io/ServiceWorker/#importscripts) of a worker: loads
    /// scripts that are not stored, until the worker is installed.
    fn import(&self, worker: &Arc<Worker>) -> Import {
        // The worker's realm must not keep the worker alive, because the worker owns the realm.
        let worker = Arc::downgrade(worker);
        let (loader, runtime) = (Arc::clone(&self.options.loader), self.runtime.clone());
        Box::new(move |url: Url| {
            let worker = worker.upgrade().ok_or("the worker has ended")?;
            if let Some(stored) = worker.scripts.lock().imported(&url) {
                return Ok(stored);
            }
            if !matches!(worker.state(), WorkerState::Parsed | WorkerState::Installing) {
                return Err("the script was not imported while the worker was installed".into());
            }
            let (sender, receiver) = sync_mpsc::channel();
            let loading = loader.load(ScriptKind::Imported, url.clone(), worker.client());
            // The result is awaited right below.
            drop(runtime.spawn(async move { drop(sender.send(loading.await)) }));
            let loaded = receiver.recv().map_err(|_| "the user agent ends")?;
            let imported = Imported::from(loaded.map_err(|error| error.to_string())?);
            worker.scripts.lock().store_imported(url, &imported);
            Ok(imported)
        })
    }

    /// Stores the registrations that have an installed worker.
    async fn store(&self) {
        let Some(path) = self.options.file.clone() else {
            return;
        };
        let _order = self.file.lock().await;
        let registrations = self.state.lock().to_store();
        let written = tokio::task::spawn_blocking(move || stored::write(&path, &registrations));
        // The user agent continues without: the next start reads the registrations of the old file.
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "service worker registrations not stored"),
            Err(error) => tracing::error!(%error, "service worker registrations not stored"),
        }
    }
}

/// Handles the requests of realms, in the order of their arrival.
async fn receive(inner: Weak<Inner>, mut messages: mpsc::UnboundedReceiver<(RealmId, FromRealm)>) {
    while let Some((realm, message)) = messages.recv().await {
        // The owner and the realms have senders; realms may outlive the owner.
        let Some(inner) = inner.upgrade() else { return };
        inner.receive(realm, message);
    }
}
