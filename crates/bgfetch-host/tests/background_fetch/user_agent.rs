//! A user agent with its own service workers: a real server, a real engine, scripts in memory.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::{Engine, PolicySnapshot, RegistrationKey};
use bgfetch_host::{
    AgentResources, Console, LoadedScript, Realm, ScriptClient, ScriptKind, ScriptLoader,
    ScriptNotLoaded, ServiceWorkers, ServiceWorkersOptions,
};
use bgfetch_testkit::Origin;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;
use url::Url;

pub(crate) struct UserAgent {
    pub(crate) workers: ServiceWorkers,
    /// The windows that workers opened.
    windows: Arc<Mutex<Vec<Realm>>>,
    /// The output of the scripts' consoles.
    console: mpsc::UnboundedReceiver<String>,
}

/// Scripts by their paths.
#[derive(Clone, Default)]
pub(crate) struct Scripts(Arc<Mutex<HashMap<String, String>>>);

impl Scripts {
    pub(crate) fn of(scripts: &[(&str, &str)]) -> Self {
        let owned = |(path, source): &(&str, &str)| (path.to_string(), source.to_string());
        Self(Arc::new(Mutex::new(scripts.iter().map(owned).collect())))
    }

    pub(crate) fn set(&self, path: &str, source: &str) {
        self.0.lock().insert(path.to_owned(), source.to_owned());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().remove(path);
    }

    pub(crate) fn remove_all(&self) {
        self.0.lock().clear();
    }
}

impl ScriptLoader for Scripts {
    fn load(
        &self,
        _: ScriptKind,
        url: Url,
        _: ScriptClient,
    ) -> BoxFuture<'static, Result<LoadedScript, ScriptNotLoaded>> {
        let found = self.0.lock().get(url.path()).cloned().map(LoadedScript::from);
        Box::pin(async move { found.ok_or_else(|| ScriptNotLoaded(format!("no {url}"))) })
    }
}

/// How long workers run without events.
pub(crate) const NEVER_IDLE: Duration = Duration::from_secs(3600);

impl UserAgent {
    pub(crate) async fn start(scripts: &Scripts) -> Self {
        Self::with(scripts, None, NEVER_IDLE).await
    }

    /// A user agent with durable data in a folder.
    pub(crate) async fn with(
        scripts: &Scripts,
        folder: Option<&Path>,
        idle_limit: Duration,
    ) -> Self {
        Self::with_limits(scripts, folder, idle_limit, Duration::from_secs(60)).await
    }

    /// A user agent with this time limit for events and for starting a worker.
    pub(crate) async fn with_limits(
        scripts: &Scripts,
        folder: Option<&Path>,
        idle_limit: Duration,
        event_limit: Duration,
    ) -> Self {
        let (sender, console) = mpsc::unbounded_channel();
        let console_of_realms: Console =
            Arc::new(move |_, _, message| drop(sender.send(message.to_owned())));
        let windows = Arc::<Mutex<Vec<Realm>>>::default();
        let opened_by_workers = Arc::clone(&windows);
        let workers = ServiceWorkers::open(ServiceWorkersOptions {
            loader: Arc::new(scripts.clone()),
            file: folder.map(|folder| folder.join("service-workers.json")),
            resources: AgentResources::default(),
            console: console_of_realms,
            network: None,
            open_window: Some(Arc::new(move |workers: ServiceWorkers, url: Url| {
                let opened = workers.open_window(url.clone(), PolicySnapshot::of(&url)).unwrap();
                let client = opened.client_id();
                opened_by_workers.lock().push(opened);
                Box::pin(async move { client })
            })),
            idle_limit,
            event_limit,
        })
        .unwrap();
        let builder = Engine::builder().worker_host(workers.worker_host());
        let builder = match folder {
            Some(folder) => builder.directory(folder.join("store")),
            None => builder.ephemeral(),
        };
        workers.connect(builder.open().unwrap()).await.unwrap();
        Self { workers, windows, console }
    }

    pub(crate) fn window(&self, url: &Url) -> Realm {
        self.workers.open_window(url.clone(), PolicySnapshot::of(url)).unwrap()
    }

    /// How many windows workers have opened.
    pub(crate) fn opened(&self) -> usize {
        self.windows.lock().len()
    }

    /// Ends as in a crash, with an open window.
    pub(crate) async fn crash(self, window: Realm) {
        self.workers.disconnect().unwrap().kill().await;
        drop(self);
        drop(window);
    }

    /// The next line that a script writes to its console.
    pub(crate) async fn next_line(&mut self) -> String {
        self.console.recv().await.unwrap()
    }
}

/// The registration whose scope is the whole site.
pub(crate) fn registration(origin: &Origin) -> RegistrationKey {
    let scope = origin.url("/");
    RegistrationKey { storage_key: ServiceWorkers::storage_key(&scope), scope }
}

/// Runs the body of an async function and returns its result.
pub(crate) async fn run(realm: &Realm, body: impl fmt::Display) -> Value {
    let source = format!(
        "(async () => {{
             const container = navigator.serviceWorker;
             const until = async (worker, state) => {{
                 while (worker.state !== state) {{
                     await new Promise((resolve) =>
                         worker.addEventListener('statechange', resolve, {{ once: true }}));
                 }}
             }};
             {body}
         }})()"
    );
    realm.run_script("test.js", source).await.unwrap_or_else(|error| panic!("{error}"))
}
