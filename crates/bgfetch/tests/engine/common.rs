//! A user agent for tests: a store that outlives its engines, and a worker that remembers what it
//! read.

use std::sync::Arc;
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::mock::Behaviour;
use bgfetch::{
    BackgroundFetchManager, BackgroundFetchRecord, BackgroundFetchRegistration, Builder,
    Connectivity, Engine, Event, FetchError, FetchKey, FetchOptions, FetchRequest, FetchResponse,
    Fetcher, ManualConnectivity, Observer, Principal, Reachable, RecordError, RegistrationKey,
    ResponseHead, ResponseType, ServiceWorkerRegistration, StorageKey, What, WorkerHost,
};
use bytes::Bytes;
use futures_util::stream;
use tempfile::TempDir;
use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Agent {
    directory: Arc<TempDir>,
    /// For workers, whose events may come before the engine is fully opened.
    engine: watch::Sender<Option<Engine>>,
    bodies: watch::Sender<Option<Vec<Vec<u8>>>>,
    pub(crate) connectivity: Arc<ManualConnectivity>,
}

impl Agent {
    pub(crate) fn start() -> Self {
        Self {
            directory: Arc::new(TempDir::new().unwrap()),
            engine: watch::Sender::new(None),
            bodies: watch::Sender::new(None),
            connectivity: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// An engine that retries without delay, so that tests need not wait either. Quotas are about
    /// bodies alone.
    pub(crate) fn builder(&self, host: impl WorkerHost) -> Builder {
        Engine::builder()
            .directory(self.directory.path())
            .worker_host(host)
            .connectivity(Arc::clone(&self.connectivity))
            .configure(|config| {
                config.retry.interrupted.base = Duration::ZERO;
                config.retry.server_error.base = Duration::ZERO;
                config.retry.never_reached.base = Duration::ZERO;
                config.delivery.base_delay = Duration::ZERO;
                config.count_metadata = false;
            })
    }

    pub(crate) fn open(&self, host: impl WorkerHost) -> Engine {
        self.open_with(self.builder(host))
    }

    /// Opens the engine and passes it to [`record_bodies`].
    pub(crate) fn open_with(&self, builder: Builder) -> Engine {
        let engine = builder.open().unwrap();
        self.engine.send_replace(Some(engine.clone()));
        engine
    }

    /// Drops the engine as a crash would.
    pub(crate) fn crash(&self, engine: Engine) {
        self.engine.send_replace(None);
        drop(engine);
    }

    /// Shuts the engine down, and takes it away from the workers.
    pub(crate) async fn close(&self, engine: Engine) {
        self.engine.send_replace(None);
        engine.shutdown().await.unwrap();
    }

    pub(crate) async fn register(&self, engine: &Engine) -> ServiceWorkerRegistration {
        engine.register(site(), registration_key().scope).await.unwrap()
    }

    pub(crate) async fn manager(&self, engine: &Engine) -> BackgroundFetchManager {
        self.register(engine).await.background_fetch().acting_for(Principal::User)
    }

    /// Takes the engine away from the workers.
    pub(crate) fn take_back(&self) {
        self.engine.send_replace(None);
    }

    /// The fetch of an event, for a worker, once there is an engine.
    pub(crate) async fn fetch(&self, fetch: FetchKey) -> Option<BackgroundFetchRegistration> {
        let mut lent = self.engine.subscribe();
        let engine = lent.wait_for(Option::is_some).await.unwrap().clone();
        engine?.registration(registration_key()).fetch(fetch).await.ok()?
    }

    /// The bodies of a fetch, or `None` if the engine ends before they are read.
    pub(crate) async fn read(&self, fetch: FetchKey) -> Option<Vec<Vec<u8>>> {
        let fetch = self.fetch(fetch).await?;
        let mut bodies = Vec::new();
        for record in fetch.records().await.ok()? {
            let body = match record.response_ready().await {
                Ok(response) => response.body.bytes().await,
                Err(error) => Err(error),
            };
            bodies.push(match body {
                Ok(body) => body,
                Err(RecordError::Store(_)) => return None,
                Err(_) => Vec::new(),
            });
        }
        Some(bodies)
    }

    /// The bodies that the worker of [`record_bodies`] read, once it has.
    pub(crate) async fn bodies(&self) -> Vec<Vec<u8>> {
        let mut bodies = self.bodies.subscribe();
        let read = bodies.wait_for(Option::is_some).await.unwrap();
        read.clone().unwrap()
    }

    /// The paths of the existing body files.
    pub(crate) fn body_files(&self) -> Vec<std::path::PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().join("bodies")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                let list = if path.is_dir() { &mut folders } else { &mut files };
                list.push(path);
            }
        }
        files
    }
}

pub(crate) fn site() -> StorageKey {
    StorageKey("https://app.test".into())
}

/// The registration of [`Agent::register`].
pub(crate) fn registration_key() -> RegistrationKey {
    let scope = "https://app.test/".parse().unwrap();
    RegistrationKey { storage_key: site(), scope }
}

pub(crate) fn total(download_total: u64) -> FetchOptions {
    FetchOptions::default().with(|it| it.download_total = download_total)
}

/// "Work offline": nothing can be reached, not even loopback.
pub(crate) fn offline() -> Connectivity {
    Connectivity::Offline(Reachable::default())
}

/// A worker that reads every record of the event's fetch; a record without a response counts as
/// empty.
pub(crate) fn record_bodies(agent: &Agent) -> Behaviour {
    let agent = agent.clone();
    Behaviour::run(move |event| {
        let agent = agent.clone();
        async move {
            let fetch = agent.fetch(event.fetch()).await.unwrap();
            agent.bodies.send_replace(Some(bodies_of(&fetch).await));
            Ok(())
        }
    })
}

pub(crate) async fn records_of(fetch: &BackgroundFetchRegistration) -> Vec<BackgroundFetchRecord> {
    let all = fetch.records().await;
    all.unwrap()
}

/// The bodies of all records, read to their ends; empty where a record has no response.
pub(crate) async fn bodies_of(fetch: &BackgroundFetchRegistration) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for record in records_of(fetch).await {
        bodies.push(match record.response_ready().await {
            Ok(response) => response.body.bytes().await.unwrap(),
            Err(_) => Vec::new(),
        });
    }
    bodies
}

/// Waits until the only record of a fetch has stored this many bytes.
pub(crate) async fn stored(fetch: &BackgroundFetchRegistration, bytes: u64) {
    let record = records_of(fetch).await.remove(0);
    let mut body = record.response_ready().await.unwrap().body;
    let mut read = 0;
    while read < bytes {
        read += body.chunk().await.unwrap().unwrap().len() as u64;
    }
}

/// The next event that matches.
pub(crate) async fn until(observer: &mut Observer, like: impl Fn(&What) -> bool) -> Event {
    loop {
        let event = observer.next().await.expect("the engine is open");
        if like(&event.what) {
            return event;
        }
    }
}

/// A network implemented by a function.
pub(crate) struct Network<F>(pub(crate) F);

impl<F, R> Fetcher for Network<F>
where
    F: Fn(FetchRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<FetchResponse, FetchError>> + Send + 'static,
{
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        Box::pin((self.0)(request))
    }
}

/// A complete response with this body.
pub(crate) fn ok(request: &FetchRequest, body: &'static str) -> FetchResponse {
    let head = ResponseHead::new(200, vec![request.request.url.clone()])
        .with(|it| it.response_type = ResponseType::Basic);
    let bytes = stream::iter([Ok(Bytes::from_static(body.as_bytes()))]);
    FetchResponse::new(head, Box::pin(bytes))
}
