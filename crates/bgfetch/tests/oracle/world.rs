//! A page, its worker and its user, and everything they can see of a background fetch.

use std::sync::Arc;
use std::time::Duration;

use bgfetch::embedder::{BoxFuture, Quota};
use bgfetch::mock::{Behaviour, Events, ScriptedHost};
use bgfetch::{
    BackgroundFetchManager, BackgroundFetchRecord, BackgroundFetchRegistration, DomException,
    Engine, FetchKey, FetchOptions, HyperFetcher, ManualConnectivity, Observer, PolicySnapshot,
    Principal, RecordError, Request, RequestInfo, StorageKey, What,
};
use bgfetch_testkit::{DEADLINE, Gate, Origin, Resource, Serve};
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::task::JoinSet;
use url::Url;

/// The path of the resource that twins answer for.
pub(crate) const FILM: &str = "/film";

/// How much of it was approved and has arrived before the resume.
pub(crate) const RESUMED_AT: u64 = 100_000;

/// The sibling's length: it fits into any `downloadTotal`.
const SIBLING: u64 = 1;

/// The id of the observed fetches.
const ID: &str = "film";

/// A page's own server, another one, and an engine.
pub(crate) struct World {
    /// The page's origin.
    pub(crate) home: Origin,
    /// Another origin.
    pub(crate) cross: Origin,
    quota: u64,
    engine: Engine,
    manager: BackgroundFetchManager,
    events: AsyncMutex<Events>,
    /// A permit lets the handler of one event end.
    released: Arc<Semaphore>,
}

/// The page's request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) body: Option<usize>,
    pub(crate) download_total: u64,
    /// A small file that the fetch also requests, and that arrives later.
    pub(crate) sibling: Option<Url>,
    /// Whether the page probes how much it may still be promised.
    pub(crate) probes_quota: bool,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { request, download_total, sibling, .. } = self;
        let (method, url) = (&request.method, &request.url);
        let sibling = sibling.as_ref().map_or("none", Url::as_str);
        write!(f, "{method} {url}, downloadTotal {download_total}, sibling {sibling}")
    }
}

struct Limit(u64);

impl Quota for Limit {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(std::future::ready(self.0))
    }
}

fn site() -> StorageKey {
    StorageKey("page".into())
}

/// The lines of several observers, each in order.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn push(&self, line: String) {
        self.0.lock().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl World {
    /// Uses HTTP/2 with TLS, and HTTP/1.1 without.
    pub(crate) async fn open(tls: bool, quota: u64) -> Self {
        let start = || if tls { Origin::start_tls() } else { Origin::start() };
        let (home, cross) = (start(), start());
        let mut roots = RootCertStore::empty();
        if tls {
            for origin in [&home, &cross] {
                roots.add(origin.certificates().root_der()).unwrap();
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let released = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&released);
        let host = ScriptedHost::choosing(move |event| {
            if event.id() != ID {
                return Behaviour::Succeed;
            }
            let permits = Arc::clone(&permits);
            Behaviour::run(move |_| {
                let permits = Arc::clone(&permits);
                async move {
                    permits.acquire().await.unwrap().forget();
                    Ok(())
                }
            })
        });
        let events = AsyncMutex::new(host.events());
        let engine = Engine::builder()
            .ephemeral()
            .worker_host(host)
            .quota(Limit(quota))
            .connectivity(Arc::new(ManualConnectivity::default()))
            .fetcher(HyperFetcher::builder().tls(client).build().unwrap())
            .configure(|config| {
                config.progress_interval = Duration::ZERO;
                config.retry.interrupted.base = Duration::ZERO;
                config.retry.server_error.base = Duration::ZERO;
                // What the page itself makes the engine store is not what the probes are about.
                config.count_metadata = quota == u64::MAX;
            })
            .open()
            .unwrap();
        let page = home.url("/page");
        let registration = engine.register(site(), home.url("/")).await.unwrap();
        let policies = PolicySnapshot::of(&page);
        let manager = registration.background_fetch().acting_for(Principal::Page(policies));
        Self { home, cross, quota, engine, manager, events, released }
    }

    /// A download of the resource.
    pub(crate) fn get(&self) -> Call {
        Call {
            request: Request::get(self.cross.url(FILM)),
            body: None,
            download_total: 0,
            sibling: None,
            probes_quota: false,
        }
    }

    /// An upload to it.
    pub(crate) fn upload(&self, method: &str, length: usize) -> Call {
        let mut call = self.get();
        call.request.method = method.into();
        call.body = Some(length);
        call
    }

    /// Fetches, and returns everything that is visible of it, from the call to the end of the
    /// event.
    pub(crate) async fn observe(&self, twin: &str, call: &Call) -> Vec<String> {
        let observing = self.watch(call, None);
        let seen = tokio::time::timeout(2 * DEADLINE, observing).await;
        seen.unwrap_or_else(|_| panic!("{call:?} of {twin:?} hangs"))
    }

    /// Like [`Self::observe`], for a download whose first response is approved and held at
    /// [`RESUMED_AT`] by `gate`. What is visible before the gate opens is left out.
    pub(crate) async fn observe_resume(&self, twin: &str, call: &Call, gate: &Gate) -> Vec<String> {
        let observing = self.watch(call, Some(gate));
        let seen = tokio::time::timeout(2 * DEADLINE, observing).await;
        let mut seen = seen.unwrap_or_else(|_| panic!("{call:?} of {twin:?} hangs"));
        // Progress up to there may arrive in any number of steps.
        let before = |line: &String| {
            line.starts_with("page: progress") && !line.contains(&format!(" {RESUMED_AT} "))
        };
        seen.retain(|line| !before(line));
        seen.dedup();
        seen
    }

    async fn watch(&self, call: &Call, resume: Option<&Gate>) -> Vec<String> {
        let sibling = Gate::new();
        for origin in [&self.home, &self.cross] {
            origin.serve("/sibling", Resource::new(3, SIBLING).hold_head(&sibling));
        }
        let mut requests = vec![RequestInfo::from(call.request.clone())];
        if let Some(length) = call.body {
            requests = requests.into_iter().map(|info| info.body(vec![b'x'; length])).collect();
        }
        if let Some(url) = &call.sibling {
            let mut sibling = Request::get(url.clone());
            sibling.credentials = call.request.credentials;
            requests.push(RequestInfo::from(sibling));
        }
        let options = FetchOptions::default().with(|it| it.download_total = call.download_total);
        let mut observer = self.engine.observe().await.unwrap();
        let held = self.manager.fetch_held(ID, requests, options).await;
        let (fetch, hold) = held.unwrap();
        let key = fetch.key();

        let (updates, promises) = (Lines::default(), Lines::default());
        let mut responses = JoinSet::new();
        let mut client = self.engine.client(site()).await.unwrap();
        let (page, lines) = (fetch.clone(), updates.clone());
        let told = tokio::spawn(async move {
            // The last update of a page says that the records are gone.
            while page.records_available() {
                let update = client.next().await.unwrap();
                if update.fetch == key {
                    let fires = page.apply(&update);
                    lines.push(attributes(if fires { "progress" } else { "update" }, &page));
                }
            }
        });
        for (index, record) in records(&fetch).await.into_iter().enumerate() {
            let lines = promises.clone();
            responses.spawn(async move {
                lines.push(format!("responseReady of record {index}: {}", response(&record).await));
            });
        }

        drop(hold);
        if let Some(gate) = resume {
            arrived(&fetch).await;
            gate.open();
        }
        let mut seen = Vec::new();
        let first_ended =
            |what: &What| matches!(what, What::RecordSettled { record, .. } if record.index.0 == 0);
        self.until(&mut observer, key, &mut seen, first_ended).await;
        if call.probes_quota {
            seen.push(format!("quota: {} left during it", self.quota_left().await));
        }
        sibling.open();
        self.until(&mut observer, key, &mut seen, |what| matches!(what, What::Settled(_))).await;

        let event = self.next_event().await;
        seen.push(format!("worker: {event}"));
        for (index, record) in records(&fetch).await.iter().enumerate() {
            let (result, status, stored) = (record.result(), record.status(), record.stored());
            let response = response(record).await;
            seen.push(format!("record {index}: {result:?} {status:?} {stored}, {response}"));
        }
        seen.push(format!("ids: {:?}", self.manager.get_ids().await.unwrap()));
        let usage = self.engine.usage(site()).await.unwrap();
        seen.push(format!("metadata: {}", usage.metadata));
        self.released.add_permits(1);
        self.until(&mut observer, key, &mut seen, |what| matches!(what, What::EventEnded { .. }))
            .await;
        if call.probes_quota {
            let all = self.can_promise(self.quota).await;
            seen.push(format!("quota: all of it is left: {all}"));
        }
        let jobs = self.engine.ui().jobs().await.unwrap();
        let job = jobs.iter().find(|job| job.key == key).unwrap();
        seen.push(format!("user: {:?}", job.display));
        self.engine.ui().dismiss(key).await.unwrap();

        while responses.join_next().await.is_some() {}
        told.await.unwrap();
        seen.extend(updates.take());
        seen.extend(promises.take());
        seen
    }

    /// Records what happens until this does.
    async fn until(
        &self,
        observer: &mut Observer,
        key: FetchKey,
        seen: &mut Vec<String>,
        last: impl Fn(&What) -> bool,
    ) {
        loop {
            let event = observer.next().await.unwrap();
            if event.fetch != key {
                continue;
            }
            let (downloaded, uploaded) = (event.downloaded, event.uploaded);
            // Messages are for the user, and report what the server did.
            let what = match &event.what {
                // The page's own updates cover this.
                What::Progress => continue,
                What::RecordSettled { record, result, status, stored, .. } => {
                    format!("record {:?} ended: {result:?} {status:?} {stored}", record.index)
                }
                What::Retry { record, attempt, delay, .. } => {
                    format!("record {:?}: retry {attempt} in {delay:?}", record.index)
                }
                other => format!("{other:?}"),
            };
            seen.push(format!("{what}, {downloaded} down, {uploaded} up"));
            if last(&event.what) {
                return;
            }
        }
    }

    /// The next event of an observed fetch.
    async fn next_event(&self) -> String {
        let mut events = self.events.lock().await;
        loop {
            let event = events.next().await;
            if event.id == ID {
                return format!("{:?}", event.kind);
            }
        }
    }

    /// The largest `downloadTotal` that the page could still be promised.
    async fn quota_left(&self) -> u64 {
        let (mut fits, mut beyond) = (0, self.quota + 1);
        while beyond - fits > 1 {
            let tried = (fits + beyond) / 2;
            if self.can_promise(tried).await { fits = tried } else { beyond = tried }
        }
        fits
    }

    async fn can_promise(&self, download_total: u64) -> bool {
        let options = FetchOptions::default().with(|it| it.download_total = download_total);
        let url = self.home.url("/never");
        let (probe, hold) = match self.manager.fetch_held("probe", [url], options).await {
            Ok(held) => held,
            Err(error) => {
                assert_eq!(error.dom_exception(), DomException::QuotaExceededError, "{error}");
                return false;
            }
        };
        let mut observer = self.engine.observe().await.unwrap();
        assert!(probe.abort().await.unwrap());
        drop(hold);
        let ended = |what: &What| matches!(what, What::EventEnded { .. });
        self.until(&mut observer, probe.key(), &mut Vec::new(), ended).await;
        self.engine.ui().dismiss(probe.key()).await.unwrap();
        true
    }
}

async fn records(fetch: &BackgroundFetchRegistration) -> Vec<BackgroundFetchRecord> {
    fetch.records().await.unwrap()
}

/// Waits until the part before the resume has arrived.
async fn arrived(fetch: &BackgroundFetchRegistration) {
    let record = records(fetch).await.remove(0);
    let mut body = record.response_ready().await.unwrap().body;
    let mut read = 0;
    while read < RESUMED_AT {
        read += body.chunk().await.unwrap().unwrap().len() as u64;
    }
}

/// The outcome of `responseReady`, and the readable part of its body.
async fn response(record: &BackgroundFetchRecord) -> String {
    let exception = |error: RecordError| format!("{:?}", error.dom_exception());
    match record.response_ready().await {
        Err(error) => exception(error),
        Ok(response) => {
            let (status, mut headers) = (response.head.status, response.head.headers);
            headers.delete("date");
            match response.body.bytes().await {
                Ok(bytes) => format!("{status} {headers:?}, {} bytes", bytes.len()),
                Err(error) => format!("{status} {headers:?}, then {}", exception(error)),
            }
        }
    }
}

fn attributes(name: &str, page: &BackgroundFetchRegistration) -> String {
    format!(
        "page: {name}: {} down, {} up of {}, {:?}, records available: {}",
        page.downloaded(),
        page.uploaded(),
        page.upload_total(),
        page.result(),
        page.records_available(),
    )
}
