//! The power fails at every sync of a scenario. Everything that was reported by then must be left,
//! whether unsynced data reached the disk or not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bgfetch::embedder::{Bodies, BodyKey, StoredFetch, StoredRecord};
use bgfetch::mock::{Behaviour, ScriptedHost};
use bgfetch::{
    BackgroundFetchRegistration, Builder, Engine, FailureReason, FetchOptions, FunctionalEvent,
    Handover, RecordIndex, RecordKey, RecordResult, RequestInfo, SqliteStore, Store, StoreOptions,
    What, WorkerHost,
};
use bgfetch_store::recording::Recorder;
use bgfetch_testkit::{Gate, KIB, Origin, Reply, Resource, Serve};
use tempfile::TempDir;

use crate::common::{Agent, records_of, stored, until};

/// The store's path below the agent's folder. Its parents are new, too.
const STORE: &str = "new/folder/store";
/// The folder of exported files.
const OUT: &str = "out";

#[derive(Clone)]
struct Lab {
    agent: Agent,
    recorder: Recorder,
    told: Arc<Mutex<Vec<Told>>>,
}

/// A report to somebody, and how to check whether what it promised is left.
struct Told {
    what: String,
    /// The moments at which the promise holds.
    from: usize,
    until: usize,
    is_left: Box<dyn Fn(&Left) -> bool + Send>,
}

/// Whether a piece of unsynced data is left.
type Keep = Box<dyn FnMut() -> bool>;

/// What the next start finds.
struct Left {
    place: TempDir,
    fetches: Vec<StoredFetch>,
    bodies: Arc<dyn Bodies>,
    _store: SqliteStore,
}

impl Lab {
    fn new() -> Self {
        Self::with(Recorder::new)
    }

    fn with(recorder: impl Fn(&Path) -> Recorder) -> Self {
        let agent = Agent::start();
        std::fs::create_dir(agent.path().join(OUT)).unwrap();
        let recorder = recorder(agent.path());
        Self { agent, recorder, told: Arc::default() }
    }

    fn open(&self, host: impl WorkerHost) -> Engine {
        let options = StoreOptions::default().file_system(self.recorder.clone());
        let store = self.agent.path().join(STORE);
        let builder: Builder = self.agent.builder(host).directory_with(store, options);
        self.agent.open_with(builder)
    }

    /// Records that something is reported now.
    fn tell(&self, what: impl Into<String>, is_left: impl Fn(&Left) -> bool + Send + 'static) {
        self.told.lock().unwrap().push(Told {
            what: what.into(),
            from: self.recorder.now(),
            until: usize::MAX,
            is_left: Box::new(is_left),
        });
    }

    /// What was reported last is about to change.
    fn take_back(&self) {
        self.told.lock().unwrap().last_mut().unwrap().until = self.recorder.now();
    }

    /// Loses power at every sync, three times: none, all or some of the unsynced data is left.
    fn check(&self) {
        let told = self.told.lock().unwrap();
        assert!(!told.is_empty());
        for moment in self.recorder.sync_boundaries() {
            let losses: [(&str, Keep); 3] = [
                ("nothing", Box::new(|| false)),
                ("everything", Box::new(|| true)),
                ("some", Box::new(coin(moment as u64 + 1))),
            ];
            for (kept, keep) in losses {
                let left = Left::open(&self.recorder, moment, keep);
                for told in told.iter().filter(|told| (told.from..told.until).contains(&moment)) {
                    let Told { what, from, .. } = told;
                    assert!(
                        (told.is_left)(&left),
                        "{what:?}, told at {from}, is lost with the power at {moment}, although \
                         {kept} of what was not synced is left"
                    );
                }
            }
        }
    }

    /// Exports the successful bodies of an event's fetch to [`OUT`], each under its number.
    async fn export(&self, event: &FunctionalEvent, how: Handover) -> Option<Vec<PathBuf>> {
        let fetch = self.agent.fetch(event.fetch()).await?;
        let mut files = Vec::new();
        for record in records_of(&fetch).await {
            let name = PathBuf::from(OUT).join(record.key().index.0.to_string());
            record.export(&self.agent.path().join(&name), how).await.ok()?;
            files.push(name);
        }
        Some(files)
    }
}

fn delivered(what: &What) -> bool {
    matches!(what, What::EventEnded { .. })
}

/// Random answers, the same for the same seed.
fn coin(mut seed: u64) -> impl FnMut() -> bool {
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed & 1 == 1
    }
}

impl Left {
    fn open(recorder: &Recorder, moment: usize, keep: impl FnMut() -> bool) -> Self {
        let place = TempDir::new().unwrap();
        recorder.image(moment, place.path(), keep);
        let options = StoreOptions::default().boot_id("the next boot");
        let mut store = SqliteStore::open(&place.path().join(STORE), options).unwrap();
        let fetches = store.load().unwrap().fetches;
        let left = Self { bodies: store.bodies(), fetches, place, _store: store };
        left.is_tidy();
        left
    }

    /// Checks that no file of a deleted fetch takes space forever.
    fn is_tidy(&self) {
        let known: BTreeSet<String> =
            self.fetches.iter().map(|fetch| fetch.key.0.to_string()).collect();
        for folder in std::fs::read_dir(self.place.path().join(STORE).join("bodies")).unwrap() {
            let folder = folder.unwrap();
            assert!(known.contains(folder.file_name().to_str().unwrap()), "{folder:?}");
            assert!(std::fs::read_dir(folder.path()).unwrap().count() > 0, "{folder:?} is empty");
        }
    }

    fn fetch(&self) -> Option<&StoredFetch> {
        self.fetches.first()
    }

    fn record(&self, index: usize) -> Option<&StoredRecord> {
        self.fetch()?.records.get(index)
    }

    /// The record has succeeded with these bytes, or its fetch was delivered.
    fn has(&self, index: usize, bytes: &[u8]) -> bool {
        let fetch = self.fetch().unwrap();
        if !fetch.records_available {
            return true;
        }
        let record = &fetch.records[index];
        let index = RecordIndex(u32::try_from(index).unwrap());
        let key = RecordKey { fetch: fetch.key, index };
        let body = BodyKey { record: key, generation: record.generation };
        let mut stored = vec![0; bytes.len()];
        let read = self.bodies.open_reader(body).unwrap().read_at(0, &mut stored).unwrap();
        record.result == Some(RecordResult::Success) && read == bytes.len() && stored == bytes
    }

    /// The file was exported completely.
    fn file(&self, name: &Path, resource: &Resource) -> bool {
        resource.matches_file(self.place.path().join(name)).is_ok()
    }
}

fn resources() -> [Resource; 2] {
    [Resource::new(1, 300 * KIB).etag("\"a\""), Resource::new(2, 70_000)]
}

/// Fetches the film, which is cut once, and the art; reports the registration and the result.
async fn fetch_two(lab: &Lab, origin: &Origin, engine: &Engine) -> BackgroundFetchRegistration {
    let [film, art] = resources();
    origin.serve("/film", film.clone().cut_after(100_000).then(film.clone()));
    origin.serve("/art", art.clone());
    let manager = lab.agent.manager(engine).await;
    let urls = [origin.url("/film"), origin.url("/art")];
    let fetch = manager.fetch("two", urls, FetchOptions::default()).await.unwrap();
    lab.tell("registered", |left| left.fetches.len() == 1);
    assert_eq!(fetch.settled().await.unwrap(), Ok(()));
    lab.tell("settled", move |left| {
        left.fetch().unwrap().result == Some(Ok(()))
            && left.has(0, &film.bytes())
            && left.has(1, &art.bytes())
    });
    fetch
}

#[tokio::test]
async fn a_fetch_that_was_registered_and_settled_is_left() {
    let (lab, origin) = (Lab::new(), Origin::start());
    let engine = lab.open(ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    fetch_two(&lab, &origin, &engine).await;
    until(&mut observer, delivered).await;
    lab.tell("delivered", |left| !left.fetch().unwrap().records_available);
    lab.agent.close(engine).await;
    lab.check();
}

/// The worker exports the bodies. It also syncs them, or leaves that to the store.
async fn hand_over(lab: Lab, how: Handover, synced: bool) {
    let origin = Origin::start();
    let exporter = lab.clone();
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let lab = exporter.clone();
        async move {
            let files = lab.export(&event, how).await.unwrap();
            if synced {
                let fetch = lab.agent.fetch(event.fetch()).await.unwrap();
                records_of(&fetch).await[0].sync_exports().await.unwrap();
                lab.tell_saved("saved", files);
            }
            Ok(())
        }
    })]);
    let engine = lab.open(host);
    let mut observer = engine.observe().await.unwrap();
    fetch_two(&lab, &origin, &engine).await;
    until(&mut observer, delivered).await;
    lab.tell_saved("the store's own is gone", ["out/0".into(), "out/1".into()]);
    lab.agent.close(engine).await;
    lab.check();
}

impl Lab {
    fn tell_saved(&self, what: &str, files: impl IntoIterator<Item = PathBuf>) {
        for (file, resource) in files.into_iter().zip(resources()) {
            let what = format!("{what}: {}", file.display());
            self.tell(what, move |left| left.file(&file, &resource));
        }
    }
}

#[tokio::test]
async fn files_that_were_linked_are_left() {
    hand_over(Lab::new(), Handover::Link, true).await;
}

#[tokio::test]
async fn files_that_were_copied_to_another_file_system_are_left() {
    hand_over(Lab::with(Recorder::without_links), Handover::Link, true).await;
}

#[tokio::test]
async fn files_of_a_worker_that_did_not_ask_are_left_when_the_store_deletes_its_own() {
    for how in [Handover::Link, Handover::Copy] {
        hand_over(Lab::new(), how, false).await;
    }
}

#[tokio::test]
async fn held_bytes_are_left_before_while_and_after_another_fetch_adopts_them() {
    let (lab, origin) = (Lab::new(), Origin::start());
    let [film, _] = resources();
    origin.serve("/film", film.clone());
    origin.serve("/art", Reply::status(404));
    let holder = lab.clone();
    let host = ScriptedHost::new([Behaviour::run(move |event| {
        let lab = holder.clone();
        async move {
            lab.agent.fetch(event.fetch()).await.unwrap().hold_records().await.unwrap();
            Ok(())
        }
    })]);
    let engine = lab.open(host);
    let mut observer = engine.observe().await.unwrap();
    let manager = lab.agent.manager(&engine).await;
    let urls = ["/film", "/art"].map(|path| origin.url(path));
    for _ in 0..2 {
        let fetch = manager.fetch("two", urls.clone(), FetchOptions::default()).await.unwrap();
        assert!(fetch.settled().await.unwrap().is_err());
        until(&mut observer, delivered).await;
        let film = film.bytes();
        lab.tell("held, by one fetch", move |left| {
            let holds = |fetch: &StoredFetch| {
                let Some(record) = fetch.records.first() else { return false };
                let key = RecordKey { fetch: fetch.key, index: RecordIndex(0) };
                let body = BodyKey { record: key, generation: record.generation };
                let mut stored = vec![0; film.len()];
                let body = left.bodies.open_reader(body).unwrap();
                let read = body.read_at(0, &mut stored).unwrap();
                read == film.len() && stored == film
            };
            left.fetches.iter().filter(|fetch| holds(fetch)).count() == 1
        });
    }
    assert_eq!(origin.requests_to("/film").len(), 1);
    lab.agent.close(engine).await;
    lab.check();
}

/// A fetch of one film that stops at 100 000 bytes.
async fn held(lab: &Lab, origin: &Origin, engine: &Engine) -> BackgroundFetchRegistration {
    let [film, _] = resources();
    origin.serve("/film", film.hold_at(100_000, &Gate::new()));
    let manager = lab.agent.manager(engine).await;
    let film = [origin.url("/film")];
    let fetch = manager.fetch("held", film, FetchOptions::default()).await.unwrap();
    lab.tell("registered", |left| left.fetches.len() == 1);
    stored(&fetch, 100_000).await;
    fetch
}

#[tokio::test]
async fn a_pause_and_its_end_are_left() {
    let (lab, origin) = (Lab::new(), Origin::start());
    let engine = lab.open(ScriptedHost::new([Behaviour::Succeed]));
    let fetch = held(&lab, &origin, &engine).await;
    for paused in [true, false, true] {
        match paused {
            true => engine.ui().pause(fetch.key()).await.unwrap(),
            false => engine.ui().resume(fetch.key()).await.unwrap(),
        }
        lab.tell(format!("paused: {paused}"), move |left| left.fetch().unwrap().paused == paused);
        // More is synced while the promise holds.
        lab.agent.register(&engine).await;
        lab.take_back();
    }
    lab.told.lock().unwrap().last_mut().unwrap().until = usize::MAX;
    lab.agent.close(engine).await;
    lab.check();
}

#[tokio::test]
async fn an_abort_is_left() {
    let (lab, origin) = (Lab::new(), Origin::start());
    let engine = lab.open(ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    let fetch = held(&lab, &origin, &engine).await;
    assert!(fetch.abort().await.unwrap());
    lab.tell("aborted", |left| {
        let fetch = left.fetch().unwrap();
        fetch.abort_all || fetch.result == Some(Err(FailureReason::Aborted))
    });
    until(&mut observer, delivered).await;
    lab.agent.close(engine).await;
    lab.check();
}

#[tokio::test]
async fn the_result_of_an_upload_is_left_with_the_answer_to_it() {
    let (lab, origin) = (Lab::new(), Origin::start());
    let engine = lab.open(ScriptedHost::new([Behaviour::Succeed]));
    let mut observer = engine.observe().await.unwrap();
    let ([film, answer], photo) = (resources(), vec![7; 90_000]);
    origin.serve("/photos", answer.clone());
    // The film keeps the fetch active, so that only the upload's result is reported.
    origin.serve("/film", film.hold_at(100_000, &Gate::new()));
    let manager = lab.agent.manager(&engine).await;
    let post = RequestInfo::new("POST", origin.url("/photos")).body(photo.clone());
    let requests = [post, origin.url("/film").into()];
    let fetch = manager.fetch("photos", requests, FetchOptions::default()).await.unwrap();
    let record = RecordKey { fetch: fetch.key(), index: RecordIndex(0) };
    lab.tell("registered", move |left| {
        let mut stored = vec![0; photo.len()];
        let body = left.bodies.open_request_body(record).unwrap();
        left.record(0).is_some()
            && body.read_at(0, &mut stored).unwrap() == photo.len()
            && stored == photo
    });
    until(&mut observer, |what| matches!(what, What::RecordSettled { .. })).await;
    lab.tell("uploaded", move |left| left.has(0, &answer.bytes()));
    // A crash, so that nothing else syncs it.
    lab.agent.take_back();
    engine.kill().await;
    lab.check();
}
