//! The service workers of a user agent (<https://w3c.github.io/ServiceWorker/>): one owner of all
//! registrations and their workers, which realms talk to in messages.

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
use crate::message::{AtStart, Connection, FromRealm, Import, RealmId, ToRealm, WorkerState};
use crate::network::Network;
use crate::page_state::PageState;
use crate::policies::snapshot;
use crate::realm::{Realm, RealmOptions};
use crate::resources::AgentResources;
use crate::script_loader::{ScriptKind, ScriptLoader};
use registration::State;
use worker::Worker;

/// How the service workers of a user agent are kept.
pub struct ServiceWorkersOptions {
    /// Loads their scripts.
    pub loader: Arc<dyn ScriptLoader>,
    /// The file that the registrations are kept in. None keeps them for the life of the process.
    pub file: Option<PathBuf>,
    /// What the realms of the user agent share.
    pub resources: AgentResources,
    /// Where consoles write to.
    pub console: Console,
    /// How scripts reach the network. None where they do not: there is no `fetch()` then.
    pub network: Option<Network>,
    /// Opens windows for workers. None where they cannot.
    pub open_window: Option<OpenWindow>,
    /// How long a worker without events goes on running. Browsers take 30 seconds.
    pub idle_limit: Duration,
    /// How long a worker's script, its `install`, `activate` and `message` events may each take. Browsers
    /// take 5 minutes.
    pub event_limit: Duration,
}

impl fmt::Debug for ServiceWorkersOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceWorkersOptions").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The service workers of a user agent, and the windows that they are for. Clones are the same.
///
/// When the last is dropped the workers end. It must not be dropped by one of its own realms.
#[derive(Clone)]
pub struct ServiceWorkers(Arc<Inner>);

/// Service workers that end with their user agent. What belongs to a realm must not keep them.
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
    /// [Job queues](https://w3c.github.io/ServiceWorker/#dfn-job-queue): who waits gets the lock in
    /// the order of asking.
    jobs: Mutex<HashMap<RegistrationKey, Arc<AsyncMutex<()>>>>,
    /// Held while the file is written.
    file: AsyncMutex<()>,
}

impl ServiceWorkers {
    /// Reads the registrations that are kept. To be called in a tokio runtime of several threads,
    /// where jobs run and scripts are loaded.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not one of this program's.
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
        // No window is there that a waiting worker would wait for.
        for key in waiting {
            inner.spawn(Arc::clone(&inner).try_activate(key));
        }
        Ok(Self(inner))
    }

    /// What starts workers for an engine's events: for [`Builder::worker_host`]. Events wait until
    /// the engine is [connected](Self::connect).
    ///
    /// [`Builder::worker_host`]: bgfetch::Builder::worker_host
    #[must_use]
    pub fn worker_host(&self) -> impl WorkerHost + use<> {
        host::Host(Arc::downgrade(&self.0))
    }

    /// Gives realms an engine, which is told of the registrations that have an active worker.
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

    /// The engine that realms have.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        self.0.engine()
    }

    /// Takes the engine away from realms, and gives it back. They go on with the next one that is
    /// [connected](Self::connect).
    #[must_use]
    pub fn disconnect(&self) -> Option<Engine> {
        self.0.engine.send_replace(None)
    }

    /// Ends the engine in good order, and the workers. Windows are closed before.
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

    /// Opens a page without scripts: a window at `url` with those policies. The registration of
    /// the longest scope that has the URL controls it. Dropping the realm closes the page.
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
            (realm, state.add_window(realm, storage_key, url.clone(), page.loaded.is_frame, inbox))
        };
        let connection = self.0.connection(realm, at_start, messages, None);
        let of_page = Arc::clone(&page);
        let policies = move || of_page.policies();
        let options = self.0.realm_options(RealmKind::Window, url, policies, None);
        Realm::connected(options, Some(connection), Some(page))
    }

    /// Starts the realm of a dedicated or shared worker, which imports scripts by `import`.
    pub(crate) fn open_worker_realm(
        &self,
        kind: RealmKind,
        url: Url,
        policies: PolicySnapshot,
        import: Import,
    ) -> io::Result<Realm> {
        // Nothing is sent to it, as it is no client.
        let (_, messages) = mpsc::unbounded_channel();
        let realm = RealmId(self.0.state.lock().next_id());
        let connection = self.0.connection(realm, AtStart::default(), messages, Some(import));
        let options = self.0.realm_options(kind, url, move || policies.clone(), None);
        Realm::connected(options, Some(connection), None)
    }

    /// The URL of the script of that registration's active worker.
    #[must_use]
    pub fn active_script(&self, registration: &RegistrationKey) -> Option<Url> {
        Some(self.0.active(registration)?.script_url.clone())
    }

    /// Whether the active worker of that registration runs.
    pub async fn is_running(&self, registration: &RegistrationKey) -> bool {
        let active = self.0.active(registration);
        match active {
            Some(worker) => worker.is_running().await,
            None => false,
        }
    }

    /// Whether no worker runs, and none is being installed.
    #[must_use]
    pub fn are_quiet(&self) -> bool {
        let jobs = self.0.jobs.lock();
        let under_way = jobs.values().any(|job| job.try_lock().is_err());
        !under_way && self.0.state.lock().workers().iter().all(|worker| worker.is_quiet())
    }

    /// Stops the active worker of that registration, as the user of a browser's developer tools
    /// can. Events that it handles are over, and fired again later.
    pub async fn stop(&self, registration: &RegistrationKey) {
        if let Some(worker) = self.0.active(registration) {
            worker.terminate().await;
        }
    }

    /// The storage key of pages at that URL: they are at the top level.
    #[must_use]
    pub fn storage_key(url: &Url) -> StorageKey {
        storage_key(url)
    }
}

fn storage_key(url: &Url) -> StorageKey {
    StorageKey(url.origin().ascii_serialization())
}

/// What came of starting a worker's realm.
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

    /// Writes to the console of a worker that does not run, or not any more.
    fn tell(&self, worker: &Worker, message: &str) {
        let kind = RealmKind::ServiceWorker;
        let source = ConsoleSource { kind, url: worker.script_url.clone() };
        (self.options.console)(&source, ConsoleLevel::Uncaught, message);
    }

    /// The engine, for the length of a call.
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
        let policies = snapshot(&url, worker.scripts.lock().policies.clone());
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
    /// what is not stored, as long as the worker is not installed.
    fn import(&self, worker: &Arc<Worker>) -> Import {
        // The worker's realm must not keep the worker, which keeps the realm.
        let worker = Arc::downgrade(worker);
        let (loader, runtime) = (Arc::clone(&self.options.loader), self.runtime.clone());
        Box::new(move |url: Url| {
            let worker = worker.upgrade().ok_or("the worker has ended")?;
            if let Some(source) = worker.scripts.lock().by_url.get(&url) {
                return Ok(source.clone());
            }
            if !matches!(worker.state(), WorkerState::Parsed | WorkerState::Installing) {
                return Err("the script was not imported while the worker was installed".into());
            }
            let (sender, receiver) = sync_mpsc::channel();
            let loading = loader.load(ScriptKind::Imported, url.clone());
            // The script is waited for right below.
            drop(runtime.spawn(async move { drop(sender.send(loading.await)) }));
            let loaded = receiver.recv().map_err(|_| "the user agent ends")?;
            let source = loaded.map_err(|error| error.to_string())?.source;
            worker.scripts.lock().by_url.insert(url, source.clone());
            Ok(source)
        })
    }

    /// Keeps the registrations that have a worker which is installed.
    async fn store(&self) {
        let Some(path) = self.options.file.clone() else {
            return;
        };
        let _order = self.file.lock().await;
        let registrations = self.state.lock().to_store();
        let written = tokio::task::spawn_blocking(move || stored::write(&path, &registrations));
        // The user agent goes on without: the next start has the registrations of the file.
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "service worker registrations not stored"),
            Err(error) => tracing::error!(%error, "service worker registrations not stored"),
        }
    }
}

/// Does what realms ask for, in the order in which they do.
async fn receive(inner: Weak<Inner>, mut messages: mpsc::UnboundedReceiver<(RealmId, FromRealm)>) {
    while let Some((realm, message)) = messages.recv().await {
        // The sender is part of the owner and of realms, which may outlive it.
        let Some(inner) = inner.upgrade() else { return };
        inner.receive(realm, message);
    }
}
