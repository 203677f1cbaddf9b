//! A user agent with one site: a page, its worker's script, and the network.

use std::sync::Arc;
use std::time::Duration;

use bgfetch::mock::{Behaviour, Events, ScriptedHost};
use bgfetch::{
    BackgroundFetchManager, BackgroundFetchRecord, BackgroundFetchRegistration, Client,
    Connectivity, Engine, FetchOptions, FetchResult, ManualConnectivity, Observer, Principal,
    Reachable, StorageKey, What,
};
use bgfetch_testkit::Origin;

pub(crate) struct Agent {
    pub(crate) origin: Origin,
    pub(crate) engine: Engine,
    pub(crate) manager: BackgroundFetchManager,
    /// The events that the service worker receives.
    pub(crate) events: Events,
    pub(crate) host: ScriptedHost,
    pub(crate) observer: Observer,
    connectivity: Arc<ManualConnectivity>,
}

impl Agent {
    /// An agent whose worker keeps its events open, so that records stay readable.
    pub(crate) async fn start() -> Self {
        Self::with_worker([Behaviour::NeverSettle]).await
    }

    pub(crate) async fn with_worker(script: impl IntoIterator<Item = Behaviour>) -> Self {
        let host = ScriptedHost::new(script);
        let connectivity = Arc::new(ManualConnectivity::default());
        let engine = Engine::builder()
            .ephemeral()
            .worker_host(host.clone())
            .connectivity(Arc::clone(&connectivity))
            .configure(|config| config.retry.interrupted.base = Duration::ZERO)
            .open()
            .unwrap();
        let scope = "https://app.test/".parse().unwrap();
        let registration = engine.register(site(), scope).await.unwrap();
        Self {
            origin: Origin::start(),
            manager: registration.background_fetch().acting_for(Principal::User),
            events: host.events(),
            host,
            observer: engine.observe().await.unwrap(),
            engine,
            connectivity,
        }
    }

    /// `backgroundFetch.fetch(id, paths)`.
    pub(crate) async fn fetch(&self, id: &str, paths: &[&str]) -> BackgroundFetchRegistration {
        self.fetch_with(id, paths, FetchOptions::default()).await
    }

    pub(crate) async fn fetch_with(
        &self,
        id: &str,
        paths: &[&str],
        options: FetchOptions,
    ) -> BackgroundFetchRegistration {
        let urls = paths.iter().map(|path| self.origin.url(path));
        self.manager.fetch(id, urls, options).await.unwrap()
    }

    /// Another window of the site.
    pub(crate) async fn window(&self) -> Client {
        self.engine.client(site()).await.unwrap()
    }

    pub(crate) fn offline(&self) {
        let nothing = Reachable::default();
        self.connectivity.set(Connectivity::Offline(nothing));
    }

    pub(crate) fn online(&self) {
        self.connectivity.set(Connectivity::Online);
    }

    pub(crate) async fn until(&mut self, like: impl Fn(&What) -> bool) {
        while !like(&self.observer.next().await.unwrap().what) {}
    }
}

fn site() -> StorageKey {
    StorageKey("https://app.test".into())
}

pub(crate) async fn settled(fetch: &BackgroundFetchRegistration) -> FetchResult {
    fetch.settled().await.unwrap()
}

/// `matchAll()`.
pub(crate) async fn records(fetch: &BackgroundFetchRegistration) -> Vec<BackgroundFetchRecord> {
    let all = fetch.records().await;
    all.unwrap()
}

/// The body of the record's response, which must be ready or become so.
pub(crate) async fn bytes(record: &BackgroundFetchRecord) -> Vec<u8> {
    let response = record.response_ready().await.unwrap();
    response.body.bytes().await.unwrap()
}
