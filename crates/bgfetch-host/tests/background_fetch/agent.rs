//! A user agent for one site: a real server, a real engine, a window and a service worker.

use std::fmt;
use std::sync::Arc;

use bgfetch::{
    Builder, DispatchError, Engine, FunctionalEvent, PolicySnapshot, StorageKey, WorkerHost,
};
use bgfetch_deno::{EventsSender, functional_events};
use bgfetch_host::{AgentResources, CacheStore, ConsoleLevel, Realm, RealmKind, RealmOptions};
use bgfetch_testkit::{Gate, Origin, Reply, Resource, Serve};
use deno_core::futures::FutureExt;
use deno_core::futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

pub(crate) struct Agent {
    pub(crate) origin: Origin,
    pub(crate) engine: watch::Sender<Option<Engine>>,
    errors: Arc<Mutex<Vec<String>>>,
    resources: AgentResources,
    worker: Arc<Worker>,
    /// The folder of the caches, unless the test supplies one.
    _folder: Option<TempDir>,
}

/// Fires events in the worker's realm, if it is running.
#[derive(Default)]
struct Worker(Mutex<Option<EventsSender>>);

struct Host(Arc<Worker>);

impl WorkerHost for Host {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let worker = self.0.0.lock().clone();
        async move {
            let worker = worker.ok_or(DispatchError::NoActiveWorker)?;
            worker.dispatch(event).await
        }
        .boxed()
    }
}

pub(crate) const STORAGE_KEY: &str = "site";

impl Agent {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// An agent with a changed engine.
    pub(crate) async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let caches = CacheStore::open(folder.path()).unwrap();
        Self { _folder: Some(folder), ..Self::with_caches(caches, change).await }
    }

    /// An agent with these caches.
    pub(crate) async fn with_caches(
        caches: CacheStore,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let worker = Arc::<Worker>::default();
        let builder = Engine::builder().ephemeral().worker_host(Host(Arc::clone(&worker)));
        let origin = Origin::start();
        let engine = change(builder).open().unwrap();
        engine.register(StorageKey(STORAGE_KEY.into()), origin.url("/")).await.unwrap();
        Self {
            origin,
            engine: watch::channel(Some(engine)).0,
            errors: Arc::default(),
            resources: AgentResources::with_caches(caches),
            worker,
            _folder: None,
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine.borrow().clone().unwrap()
    }

    /// The errors on the consoles of all realms.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().clone()
    }

    pub(crate) fn window(&self) -> Realm {
        self.realm(RealmKind::Window, "/page.html", None)
    }

    /// A running service worker whose script is `script`.
    pub(crate) async fn service_worker(&self, script: &str) -> Realm {
        let (sender, events) = functional_events();
        let realm = self.realm(RealmKind::ServiceWorker, "/sw.js", Some(events));
        realm.run_script("sw.js", script).await.unwrap();
        *self.worker.0.lock() = Some(sender);
        realm
    }

    pub(crate) fn realm(
        &self,
        kind: RealmKind,
        path: &str,
        events: Option<bgfetch_deno::Events>,
    ) -> Realm {
        let mut options = self.options(kind, path);
        options.background_fetch.events = events;
        Realm::start(options).unwrap()
    }

    /// The options of a realm of the site.
    pub(crate) fn options(&self, kind: RealmKind, path: &str) -> RealmOptions {
        let url = self.origin.url(path);
        let policies = PolicySnapshot::of(&url);
        let errors = Arc::clone(&self.errors);
        RealmOptions {
            kind,
            url,
            scope: Some(self.origin.url("/")),
            background_fetch: bgfetch_deno::Options {
                engine: self.engine.subscribe(),
                storage_key: StorageKey(STORAGE_KEY.into()),
                policies: Arc::new(move || policies.clone()),
                events: None,
            },
            resources: self.resources.clone(),
            console: Arc::new(move |_, level, message| {
                if level == ConsoleLevel::Uncaught {
                    errors.lock().push(message.to_owned());
                }
            }),
            network: None,
        }
    }
}

/// Runs the body of an async function and returns its result.
pub(crate) async fn run(realm: &Realm, body: impl fmt::Display) -> Value {
    let source = format!(
        "(async () => {{ const backgroundFetch = self.registration?.backgroundFetch ??
            (await navigator.serviceWorker.ready).backgroundFetch;\n{body}\n}})()"
    );
    realm.run_script("test.js", source).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A reply that never comes.
pub(crate) fn hold() -> Reply {
    Resource::new(1, 1).hold_head(&Gate::new())
}
