//! Configures and opens an engine.

use std::collections::{BTreeMap, VecDeque};
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::config::Config;
use bgfetch_model::model::Model;
use bgfetch_model::time::{Instant, Now};
use bgfetch_net::attempt::Timeouts;
use bgfetch_net::connectivity::ConnectivitySource;
use bgfetch_net::fetcher::Fetcher;
use bgfetch_net::scheduler::{Limits, Priority, Scheduler};
use bgfetch_net::throttle::Throttle;
use bgfetch_store::{Ack, Store, StoreError, StoreThread};
use bgfetch_sw::{Dispatcher, UiSink, UiSinkError, UiUpdate, WorkerHost};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::blocking::{Blocking, Pace};
use crate::clients::Clients;
use crate::embedder::{Defaults, EverySiteMayFetch, Permissions, Quota, WallClock};
use crate::engine::{Engine, WeakEngine};
use crate::error::{Error, Kind, Result};
use crate::event_loop::{EventLoop, Prioritize};
use crate::inbox::{Inbox, Message, Owed};
use crate::observer::Observers;
use crate::turns::Turns;
use crate::watchers::Watchers;
use bgfetch_model::ids::{FetchKey, RegistrationKey};
use bgfetch_model::input::Input;

/// Collects an embedder's choices; see [`Engine::builder`].
///
/// By default an engine uses its own thread, hyper and the system's connectivity, and
/// [every site may fetch](EverySiteMayFetch). Only the location of the store must be given.
#[must_use]
pub struct Builder {
    storage: Storage,
    config: Config,
    limits: Limits,
    rate: Option<u64>,
    prioritize: Arc<Prioritize>,
    timeouts: Timeouts,
    event_timeouts: bgfetch_sw::Timeouts,
    runtime: Option<Handle>,
    inline: Option<Arc<Pace>>,
    fetcher: Option<Arc<dyn Fetcher>>,
    worker_host: Box<MakeHost>,
    permissions: Arc<dyn Permissions>,
    quota: Arc<dyn Quota>,
    wall_clock: Arc<dyn WallClock>,
    connectivity: Option<Arc<dyn ConnectivitySource>>,
}

type MakeHost = dyn FnOnce(WeakEngine) -> Arc<dyn WorkerHost> + Send;

enum Storage {
    Unset,
    #[cfg(feature = "sqlite")]
    Directory(PathBuf, bgfetch_store::Options),
    #[cfg(feature = "sqlite")]
    Ephemeral,
    Custom(Box<dyn Store>),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            storage: Storage::Unset,
            config: Config::default().with(|it| it.seed = random_seed()),
            limits: Limits::default(),
            rate: None,
            prioritize: Arc::new(|_, _| Priority::Normal),
            timeouts: Timeouts::default(),
            event_timeouts: bgfetch_sw::Timeouts::default(),
            runtime: None,
            inline: None,
            fetcher: None,
            worker_host: Box::new(|_| Arc::new(Defaults)),
            permissions: Arc::new(EverySiteMayFetch),
            quota: Arc::new(Defaults),
            wall_clock: Arc::new(Defaults),
            connectivity: None,
        }
    }
}

impl Engine {
    /// A builder with every default.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Keeps everything in this directory, which is created if it is missing. It is private to its
    /// user: a directory that another user made, or could have changed, is refused.
    #[cfg(feature = "sqlite")]
    pub fn directory(self, path: impl Into<PathBuf>) -> Self {
        self.directory_with(path, bgfetch_store::Options::default())
    }

    /// Like [`Self::directory`], with a choice of durability.
    #[cfg(feature = "sqlite")]
    pub fn directory_with(
        mut self,
        path: impl Into<PathBuf>,
        options: bgfetch_store::Options,
    ) -> Self {
        self.storage = Storage::Directory(path.into(), options);
        self
    }

    /// Leaves nothing behind, for private browsing.
    #[cfg(feature = "sqlite")]
    pub fn ephemeral(mut self) -> Self {
        self.storage = Storage::Ephemeral;
        self
    }

    /// Uses an embedder's store.
    pub fn store(mut self, store: Box<dyn Store>) -> Self {
        self.storage = Storage::Custom(store);
        self
    }

    /// Runs service workers. Without a host, events wait in the store.
    ///
    /// Events that an earlier engine did not deliver are fired once their registration is
    /// [registered](Engine::register).
    pub fn worker_host(self, host: impl WorkerHost) -> Self {
        self.worker_host_with(|_| host)
    }

    /// Like [`Self::worker_host`], for a host that uses the engine: workers read records with
    /// [`WeakEngine::background_fetch`]. The function is called by [`Self::open`], before any event
    /// is fired.
    ///
    /// ```
    /// use bgfetch::mock::{Behaviour, ScriptedHost};
    /// use bgfetch::{Engine, Rejection};
    ///
    /// let builder = Engine::builder().ephemeral().worker_host_with(|engine| {
    ///     ScriptedHost::new([Behaviour::run(move |event| {
    ///         let engine = engine.clone();
    ///         async move {
    ///             let fetch = engine.background_fetch(&event).await;
    ///             let fetch = fetch.map_err(|error| Rejection(error.to_string()))?;
    ///             println!("{} has ended", fetch.id());
    ///             Ok(())
    ///         }
    ///     })])
    /// });
    /// # let engine = builder.open()?;
    /// # Ok::<(), bgfetch::Error>(())
    /// ```
    pub fn worker_host_with<H: WorkerHost>(
        mut self,
        host: impl FnOnce(WeakEngine) -> H + Send + 'static,
    ) -> Self {
        self.worker_host = Box::new(|engine| Arc::new(host(engine)));
        self
    }

    /// Holds the settling events of all registrations: each waits in the store until
    /// [`ServiceWorkerRegistration::deliver_pending`] is called for its registration. For embedders
    /// that cannot start a worker at any time, and for tools that only inspect the store.
    ///
    /// [`ServiceWorkerRegistration::deliver_pending`]:
    /// crate::ServiceWorkerRegistration::deliver_pending
    pub fn hold_events(mut self) -> Self {
        self.config.hold_events = true;
        self
    }

    /// Fetches through an embedder's network stack.
    pub fn fetcher(mut self, fetcher: impl Fetcher) -> Self {
        self.fetcher = Some(Arc::new(fetcher));
        self
    }

    /// Decides whether `fetch()` is permitted; [`EverySiteMayFetch`] by default.
    pub fn permissions(mut self, permissions: impl Permissions) -> Self {
        self.permissions = Arc::new(permissions);
        self
    }

    /// Limits the bytes that a storage key may store.
    pub fn quota(mut self, quota: impl Quota) -> Self {
        self.quota = Arc::new(quota);
        self
    }

    /// Reports whether the network is available; by default the system's watcher does.
    pub fn connectivity(mut self, source: impl ConnectivitySource + 'static) -> Self {
        self.connectivity = Some(Arc::new(source));
        self
    }

    /// Supplies the wall clock's time.
    pub fn wall_clock(mut self, clock: impl WallClock) -> Self {
        self.wall_clock = Arc::new(clock);
        self
    }

    /// Changes the model's configuration: retries, progress, limits. Its seed stays random unless
    /// it is set here.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// How many attempts may run at once; see [`Engine::set_limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The most bytes per second that all fetches together move; no limit by default. See
    /// [`Engine::set_rate`].
    pub fn rate(mut self, rate: Option<u64>) -> Self {
        self.rate = rate;
        self
    }

    /// Sets the urgency of a fetch, by its registration and id, relative to other fetches of its
    /// storage key; [`Priority::Normal`] by default. Called whenever a record of the fetch is
    /// queued.
    pub fn prioritize(
        mut self,
        priority: impl Fn(&RegistrationKey, &str) -> Priority + Send + Sync + 'static,
    ) -> Self {
        self.prioritize = Arc::new(priority);
        self
    }

    /// How long an attempt may be idle.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long a service worker's event may take.
    pub fn event_timeouts(mut self, timeouts: bgfetch_sw::Timeouts) -> Self {
        self.event_timeouts = timeouts;
        self
    }

    /// Runs the engine's tasks on this runtime instead of a thread of the engine. The runtime needs
    /// its I/O and time drivers.
    ///
    /// Dropping the engine then only asks its tasks to end. Await [`Engine::shutdown`] to know when
    /// the store can be opened again. If the runtime ends, the engine ends as in a crash.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Runs all work that blocks on the engine's runtime instead of threads, each piece of it after
    /// the time that `pace` returns: the store's commits, and reading, hashing and exporting files.
    /// After no time, a piece of work runs before any other task.
    ///
    /// For tests in virtual time. On a [`runtime`](Self::runtime) with one thread and a paused
    /// clock, everything that happens is then a function of what the test does, and if the runtime
    /// is dropped, all that was not yet written or committed is lost, as in a crash. A
    /// [store](Self::store) of the embedder's own must not use threads either.
    pub fn inline_io(mut self, pace: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.inline = Some(Arc::new(pace));
        self
    }

    /// Opens the store and starts the engine. Blocks until the store is open.
    ///
    /// # Errors
    ///
    /// The store cannot be opened ([`Error::store_error`]), TLS cannot be set up, or a required
    /// part is missing because the feature that provides its default is disabled.
    pub fn open(self) -> Result<Engine> {
        let Self { storage, config, limits, timeouts, event_timeouts, runtime, inline, .. } = self;
        let mut store: Box<dyn Store> = match storage {
            Storage::Unset => return Err(Error(Kind::NoStore)),
            #[cfg(feature = "sqlite")]
            Storage::Directory(path, options) => {
                let options = if inline.is_some() { options.inline() } else { options };
                Box::new(bgfetch_store::SqliteStore::open(&path, options)?)
            }
            #[cfg(feature = "sqlite")]
            Storage::Ephemeral => Box::new(bgfetch_store::SqliteStore::ephemeral()?),
            Storage::Custom(store) => store,
        };
        let snapshot = store.load()?;
        let bodies = store.bodies();
        let fetcher = self.fetcher.map_or_else(default_fetcher, Ok)?;
        let (handle, own) = match runtime {
            Some(handle) => (handle, None),
            None => {
                let (own, handle) = OwnRuntime::start()?;
                (handle, Some(own))
            }
        };
        let (sender, messages) = mpsc::unbounded_channel();
        let without_threads = inline.is_some();
        let inbox = Inbox::new(sender, Blocking::new(handle.clone(), inline));
        let engine = Engine::new(inbox.clone());
        let worker_host = (self.worker_host)(engine.downgrade());
        let acknowledgements = inbox.clone();
        // A store that panics takes its thread with it. This reports it as a store that failed.
        let end = Owed::new(&inbox, Message::Ack(Ack::Failed(StoreError::Stopped)));
        let acknowledge = move |ack| {
            let _held = &end;
            acknowledgements.send(Message::Ack(ack));
        };
        let store = if without_threads {
            StoreThread::inline(store, acknowledge)
        } else {
            StoreThread::start(store, acknowledge)?
        };
        let entered = handle.enter();
        let opened = tokio::time::Instant::now();
        let now = Now { monotonic: Instant::default(), wall: self.wall_clock.now() };
        let event_loop = EventLoop {
            model: Model::open(config, snapshot, now),
            scheduler: Scheduler::new(limits),
            throttle: Throttle::new(self.rate),
            prioritize: self.prioritize,
            store,
            bodies,
            fetcher,
            timeouts,
            dispatcher: Dispatcher::new(worker_host, ui_sink(&inbox), event_timeouts),
            permissions: self.permissions,
            quota: self.quota,
            wall_clock: self.wall_clock,
            connectivity: self.connectivity,
            clients: Clients::default(),
            observers: Observers::default(),
            watchers: Watchers::default(),
            inbox: inbox.clone(),
            messages,
            opened,
            calls: BTreeMap::new(),
            fetch_calls: BTreeMap::new(),
            call_bodies: BTreeMap::new(),
            attempts: BTreeMap::new(),
            answers: VecDeque::new(),
            fetch_tasks: BTreeMap::new(),
            events: BTreeMap::new(),
            body_commands: BTreeMap::new(),
            verifications: Turns::default(),
            tasks: JoinSet::new(),
        };
        drop(entered);
        match own {
            None => {
                handle.spawn(event_loop.run());
            }
            Some(runtime) => {
                let builder = std::thread::Builder::new().name("bgfetch".into());
                let run = move || runtime.run(event_loop);
                engine.runs_on(builder.spawn(run).map_err(|error| Error(Kind::Thread(error)))?);
            }
        }
        Ok(engine)
    }
}

/// The runtime of an engine that was not given one.
///
/// It is dropped without waiting: an ordinary drop would panic inside another runtime, and would
/// deadlock if a blocking task of the embedder dropped the last engine.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    /// The engine's tasks seldom compute: one thread serves them all, and body writes that wait for
    /// the disk delay no other task.
    fn start() -> Result<(Self, Handle)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("bgfetch-blocking")
            .max_blocking_threads(4)
            .build()
            .map_err(|error| Error(Kind::Thread(error)))?;
        let handle = runtime.handle().clone();
        Ok((Self(Some(runtime)), handle))
    }

    fn run(&self, event_loop: EventLoop) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(event_loop.run());
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(feature = "hyper")]
fn default_fetcher() -> Result<Arc<dyn Fetcher>> {
    let fetcher = bgfetch_net::hyper::HyperFetcher::new();
    Ok(Arc::new(fetcher.map_err(|error| Error(Kind::Tls(error.into())))?))
}

#[cfg(not(feature = "hyper"))]
fn default_fetcher() -> Result<Arc<dyn Fetcher>> {
    Err(Error(Kind::NoFetcher))
}

/// Sends the changes of `updateUI()` to the model.
fn ui_sink(inbox: &Inbox) -> UiSink {
    let inbox = inbox.clone();
    UiSink::new(move |fetch: FetchKey, update: UiUpdate| {
        let UiUpdate { title, icons, .. } = update;
        let (reply, answer) = oneshot::channel();
        // Sent when it is called, so that the update is kept even if nobody awaits the result.
        inbox.send_call(|call| Input::UpdateUi { call, fetch, title, icons }, reply);
        async move {
            match answer.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(UiSinkError(error.to_string())),
                Err(_) => Err(UiSinkError("the engine was closed".into())),
            }
        }
    })
}

/// Jitter needs numbers that differ between processes, not secrets.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
