//! A complete user agent: pages, service workers, and the engine of their background fetches.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgfetch::{Builder, Engine, Fetcher, PrivateDirectory};
use parking_lot::Mutex;
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::{Mutex as AsyncMutex, watch};
use url::Url;

use crate::cache::{CacheError, CacheStore};
use crate::console::{Console, RealmKind};
use crate::network::Network;
use crate::notifications::ShowNotification;
use crate::page::{Navigation, Page, PageError, Prelude};
use crate::realm::Realm;
use crate::resources::{AgentResources, QueryPermission};
use crate::script_loader::HttpScriptLoader;
use crate::service_worker::{OpenWindow, ServiceWorkers, ServiceWorkersOptions};
use crate::worker::{self, WorkerError};

/// The options of a user agent.
pub struct UserAgentOptions {
    /// The folder of all durable data: background fetches, service worker registrations and caches.
    /// `None` keeps it only as long as the user agent exists.
    pub folder: Option<PathBuf>,
    /// The network stack of pages, scripts, `fetch()` and background fetches.
    pub fetcher: Arc<dyn Fetcher>,
    /// The output of the consoles.
    pub console: Console,
    /// How long a service worker without events keeps running. Browsers use 30 seconds.
    pub idle_limit: Duration,
    /// How long a service worker's event may take. Browsers use 5 minutes.
    pub event_limit: Duration,
    /// Changes the engine's builder: permissions, limits, connectivity. Called at each start of the
    /// engine.
    pub configure: Arc<dyn Fn(Builder) -> Builder + Send + Sync>,
    /// A script that runs in each window before the page's scripts.
    pub prelude: Option<Prelude>,
    /// Opens windows for service workers. `None` if that is not supported.
    pub open_window: Option<OpenWindow>,
    /// Returns the states of permissions that scripts query: see
    /// [`AgentResources::query_permission`].
    pub query_permission: QueryPermission,
    /// Shows notifications to the user.
    pub show_notification: ShowNotification,
}

impl fmt::Debug for UserAgentOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgentOptions").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Why a user agent, or its engine, could not be started.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Data in the folder could not be read.
    #[error("the stored data cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The caches could not be opened.
    #[error(transparent)]
    Caches(#[from] CacheError),
    /// The engine could not be opened.
    #[error(transparent)]
    Engine(#[from] bgfetch::Error),
}

/// A headless user agent. Close its pages before it is dropped or shut down.
pub struct UserAgent {
    service_workers: ServiceWorkers,
    network: Network,
    configure: Arc<dyn Fn(Builder) -> Builder + Send + Sync>,
    prelude: Option<Prelude>,
    online: watch::Sender<bool>,
    store: PathBuf,
    /// Held while the engine restarts.
    restart: AsyncMutex<()>,
    /// Deleted with the user agent.
    temporary: Mutex<Option<TempDir>>,
}

impl fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgent").field("store", &self.store).finish_non_exhaustive()
    }
}

impl UserAgent {
    /// Starts a user agent, whose engine resumes the stored fetches. Call it in a multi-threaded
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open(options: UserAgentOptions) -> Result<Self, OpenError> {
        let UserAgentOptions { folder, fetcher, console, idle_limit, event_limit, .. } = options;
        let (folder, temporary) = match folder {
            Some(folder) => (folder, None),
            None => {
                let temporary = tempfile::tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let private = PrivateDirectory::open(&folder).map_err(io::Error::from)?;
        let folder = private.path();
        let network = Network::new(fetcher);
        let service_workers = ServiceWorkers::open(ServiceWorkersOptions {
            loader: Arc::new(HttpScriptLoader(network.clone())),
            file: Some(folder.join("service-workers.json")),
            resources: AgentResources::with_caches(CacheStore::open(&folder.join("caches"))?)
                .query_permission(options.query_permission)
                .show_notification(options.show_notification),
            console,
            network: Some(network.clone()),
            open_window: options.open_window,
            idle_limit,
            event_limit,
        })?;
        let user_agent = Self {
            service_workers,
            network,
            configure: options.configure,
            prelude: options.prelude,
            online: watch::Sender::new(true),
            store: folder.join("background-fetch"),
            restart: AsyncMutex::default(),
            temporary: Mutex::new(temporary),
        };
        user_agent.start_engine().await?;
        Ok(user_agent)
    }

    /// Navigates a new window: loads the page and starts its scripts, which keep running after this
    /// returns. The `load` event is fired when the scripts that the page references have run.
    ///
    /// # Errors
    ///
    /// See [`PageError`].
    pub async fn open_page(&self, url: Url) -> Result<Page, PageError> {
        let navigation = Navigation {
            network: self.network.clone(),
            service_workers: self.service_workers.downgrade(),
            online: self.online.subscribe(),
            prelude: self.prelude.clone(),
            parent: None,
        };
        Page::open(navigation, url).await
    }

    /// Starts a dedicated or shared worker without a page, and runs the script at `url` in it.
    ///
    /// # Errors
    ///
    /// See [`WorkerError`].
    pub async fn open_worker(&self, kind: RealmKind, url: Url) -> Result<Realm, WorkerError> {
        worker::open(&self.network, &self.service_workers, kind, url).await
    }

    /// The service workers.
    #[must_use]
    pub fn service_workers(&self) -> &ServiceWorkers {
        &self.service_workers
    }

    /// The engine of the background fetches. `None` while it restarts.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        self.service_workers.engine()
    }

    /// Ends the engine as in a crash, and opens it again on the same store. Realms continue with
    /// the new engine; clones of the old one are closed.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. There is no engine then.
    pub async fn restart_engine(&self) -> Result<(), OpenError> {
        let _alone = self.restart.lock().await;
        if let Some(engine) = self.service_workers.disconnect() {
            engine.kill().await;
        }
        self.start_engine().await
    }

    async fn start_engine(&self) -> Result<(), OpenError> {
        let builder = Engine::builder()
            .directory(&self.store)
            .fetcher(self.network.clone())
            .worker_host(self.service_workers.worker_host());
        let builder = (self.configure)(builder);
        let opened = tokio::task::spawn_blocking(move || builder.open()).await;
        let engine = opened.map_err(io::Error::other)??;
        Ok(self.service_workers.connect(engine).await?)
    }

    /// Sets whether pages are online: `navigator.onLine` and its events. The engine uses its own
    /// connectivity source.
    pub fn set_online(&self, online: bool) {
        self.online.send_if_modified(|current| std::mem::replace(current, online) != online);
    }

    /// Ends the engine gracefully, and the service workers.
    ///
    /// # Errors
    ///
    /// The reason if the engine had stopped before, or if the store could not be closed.
    pub async fn shutdown(self) -> bgfetch::Result<()> {
        let Self { service_workers, temporary, .. } = self;
        let ended = service_workers.shutdown().await;
        drop(temporary);
        ended
    }
}
