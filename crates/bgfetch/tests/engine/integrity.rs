//! Subresource integrity (D20) against a real server: the stored body is verified before any of it
//! is exposed.

use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bgfetch::embedder::{
    Bodies, BodyKey, BodyReader, BodyWriter, Snapshot, StoredHead, Transaction,
};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, Engine, EventKind, FailureReason, FetchKey, FetchOptions,
    Handover, PauseReason, RecordError, RecordKey, RecordResult, Request, RequestInfo, SqliteStore,
    Store, StoreError, StoreOptions, What,
};
use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve};
use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use url::Url;

use crate::common::{Agent, bodies_of, record_bodies, records_of, until};

/// Integrity metadata that only these bytes match.
pub(crate) fn integrity_of(resource: &Resource) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(resource.bytes())))
}

/// A request that requires the bytes of that resource.
pub(crate) fn asking(url: Url, expected: &Resource) -> RequestInfo {
    Request::get(url).with(|it| it.integrity = integrity_of(expected)).into()
}

/// One fetch of `/film`, which must be `expected`, and the bytes that its worker read.
async fn fetched(origin: &Origin, expected: &Resource) -> (EventKind, Vec<u8>) {
    let agent = Agent::start();
    let host = ScriptedHost::new([record_bodies(&agent)]);
    let mut events = host.events();
    let engine = agent.open(host);
    let manager = agent.manager(&engine).await;
    let request = asking(origin.url("/film"), expected);
    manager.fetch("film", [request], FetchOptions::default()).await.unwrap();
    let kind = events.next().await.kind;
    let body = agent.bodies().await.remove(0);
    engine.shutdown().await.unwrap();
    (kind, body)
}

#[tokio::test]
async fn a_body_that_has_the_integrity_is_exposed() {
    let origin = Origin::start();
    for film in [Resource::new(1, 300_007), Resource::new(1, 0)] {
        origin.serve("/film", film.clone());
        assert_eq!(fetched(&origin, &film).await, (EventKind::Success, film.bytes()));
    }
}

#[tokio::test]
async fn a_body_that_has_not_is_a_fetch_error_and_never_exposed() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let film = Resource::new(1, 200_000);
    origin.serve("/film", film.clone().hold_at(100_000, &gate));
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let mut observer = engine.observe().await.unwrap();
    let request = asking(origin.url("/film"), &Resource::new(2, 200_000));
    let fetch = manager.fetch("film", [request], FetchOptions::default()).await.unwrap();

    // Half of the body is stored and counted, but neither the response nor its status is exposed.
    until(&mut observer, |what| matches!(what, What::Progress)).await;
    gate.reached().await;
    let record = records_of(&fetch).await.remove(0);
    let mut early = pin!(record.response_ready());
    assert!(early.as_mut().now_or_never().is_none());
    assert_eq!(record.status(), None);

    gate.open();
    assert!(matches!(early.await, Err(RecordError::Failed)));
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::FetchError));
    assert_eq!(fetch.downloaded(), 200_000);
    let settled = until(&mut observer, |what| matches!(what, What::RecordSettled { .. })).await;
    let What::RecordSettled { result, message, .. } = settled.what else { unreachable!() };
    assert_eq!(result, RecordResult::Failure(FailureReason::FetchError));
    assert_eq!(
        message.as_deref(),
        Some("the body does not have the checksum that the request asks for")
    );
    // Not later either.
    assert_eq!(record.status(), None);
    assert!(matches!(record.response_ready().await, Err(RecordError::Failed)));
    let file = agent.path().join("film");
    let export = record.export(&file, Handover::Copy).await;
    assert!(matches!(export, Err(RecordError::Failed)) && !file.exists());
    assert_eq!(origin.requests().len(), 1, "it is not tried again");
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_body_reassembled_from_ranges_is_verified_as_a_whole() {
    let origin = Origin::start();
    let film = Resource::new(1, 200_000).etag("\"a\"");
    let cut = || film.clone().cut_after(50_000);
    origin.serve("/film", cut().then(cut()).then(film.clone()));
    assert_eq!(fetched(&origin, &film).await, (EventKind::Success, film.bytes()));
    let starts: Vec<_> = origin.requests().iter().map(|it| it.range_start()).collect();
    assert_eq!(starts, [None, Some(50_000), Some(100_000)]);

    // A server that lies about its parts, which only the whole body reveals.
    let other = Resource::new(2, 200_000).etag("\"a\"");
    origin.serve("/film", cut().then(other));
    assert_eq!(fetched(&origin, &film).await, (EventKind::Fail, Vec::new()));
}

#[tokio::test]
async fn a_representation_that_replaced_another_is_verified_alone() {
    let origin = Origin::start();
    let film = Resource::new(1, 200_000).etag("\"a\"");
    let other = Resource::new(2, 100_000).etag("\"b\"");
    origin.serve("/film", film.clone().cut_after(50_000).then(other.clone()));
    assert_eq!(fetched(&origin, &other).await, (EventKind::Success, other.bytes()));
}

#[tokio::test]
async fn the_part_that_a_page_asked_for_is_what_is_verified() {
    let origin = Origin::start();
    let film = Resource::new(1, 100_000);
    origin.serve("/film", film.clone());
    let part = film.slice(1000..5000);
    let integrity = format!("sha256-{}", STANDARD.encode(Sha256::digest(&part)));
    let request = Request::get(origin.url("/film")).with(|it| it.integrity = integrity);
    let request = RequestInfo::from(request).header("Range", "bytes=1000-4999").unwrap();
    let agent = Agent::start();
    let engine = agent.open(ScriptedHost::new([Behaviour::NeverSettle]));
    let manager = agent.manager(&engine).await;
    let fetch = manager.fetch("film", [request], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(bodies_of(&fetch).await, [part]);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_bad_status_shows_its_head_but_no_byte() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, 1000).with_status(404));
    let agent = Agent::start();
    let builder = agent.builder(ScriptedHost::new([Behaviour::NeverSettle]));
    let engine = agent.open_with(builder.configure(|it| it.keep_bad_status_bodies = true));
    let manager = agent.manager(&engine).await;
    let request = asking(origin.url("/film"), &Resource::new(1, 1000));
    let fetch = manager.fetch("film", [request], FetchOptions::default()).await.unwrap();
    assert_eq!(fetch.settled().await.unwrap(), Err(FailureReason::BadStatus));
    let response = records_of(&fetch).await.remove(0).response_ready().await.unwrap();
    assert_eq!(response.head.status, 404);
    assert!(response.body.bytes().await.unwrap().is_empty());
    engine.shutdown().await.unwrap();
}

/// A store whose bodies cannot be read until a door is opened.
struct Doored {
    store: SqliteStore,
    door: Arc<Door>,
}

/// Holds readers of bodies, or makes them fail.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    opened: Condvar,
    arrivals: watch::Sender<usize>,
    /// How many readers get an error instead.
    failures: AtomicUsize,
}

impl Door {
    fn pass(&self) -> Result<(), StoreError> {
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
        let fails = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(StoreError::io("a body", std::io::Error::other("a bad sector")));
        }
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
        Ok(())
    }

    fn reads(&self) -> usize {
        *self.arrivals.borrow()
    }

    async fn reached(&self) {
        self.arrivals.subscribe().wait_for(|arrivals| *arrivals > 0).await.unwrap();
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Store for Doored {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.store.load()
    }

    fn commit(&mut self, batch: &[Transaction]) -> Result<(), StoreError> {
        self.store.commit(batch)
    }

    fn head(&mut self, record: RecordKey) -> Result<Option<StoredHead>, StoreError> {
        self.store.head(record)
    }

    fn bodies(&self) -> Arc<dyn Bodies> {
        Arc::new(DooredBodies { bodies: self.store.bodies(), door: Arc::clone(&self.door) })
    }
}

struct DooredBodies {
    bodies: Arc<dyn Bodies>,
    door: Arc<Door>,
}

impl Bodies for DooredBodies {
    fn open_writer(&self, body: BodyKey, offset: u64) -> Result<Box<dyn BodyWriter>, StoreError> {
        self.bodies.open_writer(body, offset)
    }

    fn open_reader(&self, body: BodyKey) -> Result<Box<dyn BodyReader>, StoreError> {
        let (reader, door) = (self.bodies.open_reader(body)?, Arc::clone(&self.door));
        Ok(Box::new(DooredReader { reader, door }))
    }

    fn create_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyWriter>, StoreError> {
        self.bodies.create_request_body(record)
    }

    fn open_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyReader>, StoreError> {
        self.bodies.open_request_body(record)
    }

    fn export(
        &self,
        body: BodyKey,
        length: u64,
        to: &Path,
        how: Handover,
    ) -> Result<(), StoreError> {
        self.bodies.export(body, length, to, how)
    }

    fn found_exported(&self, fetch: FetchKey, path: &Path) {
        self.bodies.found_exported(fetch, path);
    }

    fn sync_exports(&self, fetch: FetchKey) -> Result<(), StoreError> {
        self.bodies.sync_exports(fetch)
    }
}

struct DooredReader {
    reader: Box<dyn BodyReader>,
    door: Arc<Door>,
}

impl BodyReader for DooredReader {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        self.door.pass()?;
        self.reader.read_at(offset, buffer)
    }

    fn length(&self) -> Result<u64, StoreError> {
        self.reader.length()
    }
}

/// An engine whose only record is complete and being verified, behind the door.
struct Verifying {
    agent: Agent,
    origin: Origin,
    film: Resource,
    door: Arc<Door>,
    engine: Engine,
    fetch: BackgroundFetchRegistration,
}

async fn verifying(host: ScriptedHost) -> Verifying {
    let (agent, origin, door) = (Agent::start(), Origin::start(), Arc::<Door>::default());
    // Reading it takes two steps.
    let film = Resource::new(1, MIB + 1);
    origin.serve("/film", film.clone());
    let store = SqliteStore::open(agent.path(), StoreOptions::default()).unwrap();
    let store = Box::new(Doored { store, door: Arc::clone(&door) });
    let engine = agent.open_with(agent.builder(host).store(store));
    let manager = agent.manager(&engine).await;
    let request = asking(origin.url("/film"), &film);
    let fetch = manager.fetch("film", [request], FetchOptions::default()).await.unwrap();
    door.reached().await;
    Verifying { agent, origin, film, door, engine, fetch }
}

#[tokio::test]
async fn an_abort_does_not_wait_for_the_verification() {
    let host = ScriptedHost::new([Behaviour::Succeed]);
    let mut events = host.events();
    let it = verifying(host).await;
    let record = records_of(&it.fetch).await.remove(0);
    let mut early = pin!(record.response_ready());
    assert!(early.as_mut().now_or_never().is_none());
    assert!(it.fetch.abort().await.unwrap());
    assert!(matches!(early.await, Err(RecordError::Aborted)));
    assert_eq!(it.fetch.settled().await.unwrap(), Err(FailureReason::Aborted));
    assert_eq!(events.next().await.kind, EventKind::Abort);
    // A body is not read to its end if nobody waits for the result.
    it.door.open();
    let manager = it.agent.manager(&it.engine).await;
    let request = asking(it.origin.url("/film"), &it.film);
    let second = manager.fetch("again", [request], FetchOptions::default()).await.unwrap();
    assert_eq!(second.settled().await.unwrap(), Ok(()));
    assert_eq!(it.door.reads(), 1 + 2);
    it.engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_unregistered_fetch_exposes_nothing_to_who_waited() {
    let it = verifying(ScriptedHost::new([])).await;
    let record = records_of(&it.fetch).await.remove(0);
    let mut early = pin!(record.response_ready());
    assert!(early.as_mut().now_or_never().is_none());
    it.agent.register(&it.engine).await.unregister().await.unwrap();
    assert!(matches!(early.await, Err(RecordError::Aborted)));
    assert!(it.agent.body_files().is_empty());
    it.door.open();
    it.engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_crash_in_mid_verification_is_made_good_without_a_request() {
    let it = verifying(ScriptedHost::new([])).await;
    it.agent.crash(it.engine);
    let host = ScriptedHost::new([record_bodies(&it.agent)]);
    let mut events = host.events();
    it.door.open();
    let engine = it.agent.open(host);
    it.agent.register(&engine).await;
    assert_eq!(events.next().await.kind, EventKind::Success);
    assert_eq!(it.agent.bodies().await, [it.film.bytes()]);
    assert_eq!(it.origin.requests().len(), 1);
    engine.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_verification() {
    let it = verifying(ScriptedHost::new([])).await;
    it.agent.close(it.engine).await;
    it.door.open();
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_read_again() {
    let (agent, origin, door) = (Agent::start(), Origin::start(), Arc::<Door>::default());
    door.failures.store(2, Ordering::SeqCst);
    door.open();
    let film = Resource::new(1, 100_000);
    origin.serve("/film", film.clone());
    let store = SqliteStore::open(agent.path(), StoreOptions::default()).unwrap();
    let store = Box::new(Doored { store, door: Arc::clone(&door) });
    let builder = agent.builder(ScriptedHost::new([Behaviour::NeverSettle])).store(store);
    let engine = agent.open_with(builder.configure(|it| it.storage_retry = Duration::ZERO));
    let manager = agent.manager(&engine).await;
    let mut observer = engine.observe().await.unwrap();
    let request = asking(origin.url("/film"), &film);
    let fetch = manager.fetch("film", [request], FetchOptions::default()).await.unwrap();
    until(&mut observer, |what| matches!(what, What::Paused(PauseReason::Storage))).await;
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    assert_eq!(bodies_of(&fetch).await, [film.bytes()]);
    assert_eq!(origin.requests().len(), 1, "what is there is not fetched again");
    engine.shutdown().await.unwrap();
}
