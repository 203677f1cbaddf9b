//! Crashes at every operation of what only the store does: syncing long downloads, migrating,
//! cutting bodies after a reboot, and setting damaged stores aside. Fetches: see the tests of the
//! engine.

use std::fs;
use std::path::{Path, PathBuf};

use bgfetch_model::ids::FetchKey;
use bgfetch_model::store_op::{StoreOp, StoredFetch};
use bgfetch_store::recording::{self, Promises, Recorder};
use bgfetch_store::{Handover, Options, SqliteStore, Store, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::fixture::*;

/// Used instead of the 32 MiB that may wait for a sync.
const EVERY: u64 = 8 << 10;

/// The store's path below a directory whose operations are recorded. Its parent is new, too.
const STORE: &str = "new/store";

/// The only fetch that the next start finds, with the bytes of its only body.
struct Left {
    place: PathBuf,
    fetch: Option<StoredFetch>,
    bytes: Vec<u8>,
    _store: SqliteStore,
}

impl recording::Left for Left {
    fn open(place: &Path, files: Recorder, boot: &str) -> Result<Self, String> {
        let options = Options::default().boot_id(boot).file_system(files);
        let store = SqliteStore::open(&place.join(STORE), options);
        let mut store = store.map_err(|error| error.to_string())?;
        let fetch = store.load().map_err(|error| error.to_string())?.fetches.pop();
        let generation = fetch.as_ref().map_or(0, |fetch| fetch.records[0].generation.0);
        let bytes = match generation {
            0 => Vec::new(),
            generation => read(&*store.bodies(), body(0, 0, generation)),
        };
        Ok(Self { place: place.to_owned(), fetch, bytes, _store: store })
    }
}

impl Left {
    fn is_paused(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.paused)
    }
}

fn recorded(recorder: &Recorder) -> Options {
    Options::default().boot_id(recording::BOOT).file_system(recorder.clone())
}

fn open_recorded(base: &Path, recorder: &Recorder) -> SqliteStore {
    SqliteStore::open(&base.join(STORE), recorded(recorder)).unwrap()
}

fn open_earlier(base: &Path) -> SqliteStore {
    open_after_boot(&base.join(STORE), "an earlier boot")
}

/// A store of an earlier boot with one fetch, whose body holds these bytes. All of them are synced,
/// if the record has ended.
fn filled(bytes: &[u8], ended: bool) -> TempDir {
    let base = tempfile::tempdir().unwrap();
    let mut store = open_earlier(base.path());
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    write(&*store.bodies(), body(0, 0, 1), 0, bytes);
    if ended {
        commit_synced(&mut store, 0, [settle_record(record(0, 0), bytes.len() as u64)]);
    }
    base
}

fn contents(length: u64) -> Vec<u8> {
    (0..length).map(|n| (n / 7) as u8 | 1).collect()
}

#[test]
fn a_long_download_is_left_as_far_as_it_was_synced() {
    let base = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(base.path());
    let promises = Promises::<Left>::new(&recorder);
    let bytes = contents(3 * EVERY);
    let all = bytes.clone();
    promises
        .always("the bytes are those that were written", move |left| all.starts_with(&left.bytes));
    let options = recorded(&recorder).sync_every(EVERY);
    let mut store = SqliteStore::open(&base.path().join(STORE), options).unwrap();
    commit(&mut store, insert(0, 1));
    promises.tell("registered", |left| left.fetch.is_some());
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    let wakeups = store.wakeups();
    let mut writer = store.bodies().open_writer(body(0, 0, 1), 0).unwrap();
    for chunk in bytes.chunks(EVERY as usize) {
        writer.write(chunk).unwrap();
        await_wakeup(&wakeups);
        store.commit(&[]).unwrap();
        let synced = writer.length() as usize;
        promises.tell(format!("{synced} bytes"), move |left| left.bytes.len() >= synced);
    }
    promises.check("a long download");
    promises.check_syncs("a long download", &[]);
}

/// Brings a store back to the tables of the first version.
fn make_old(directory: &Path) {
    let connection = Connection::open(directory.join("store.sqlite3")).unwrap();
    for (table, columns) in [("fetch", 18), ("record", 10)] {
        let newer: Vec<String> = connection
            .prepare("SELECT name FROM pragma_table_info(?) WHERE cid >= ? ORDER BY cid DESC")
            .unwrap()
            .query_map((table, columns), |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(table != "fetch" || !newer.is_empty());
        for column in newer {
            connection.execute(&format!("ALTER TABLE {table} DROP COLUMN {column}"), []).unwrap();
        }
    }
    let first = "'next_fetch', 'boot_id', 'closed'";
    connection.execute(&format!("DELETE FROM meta WHERE key NOT IN ({first})"), []).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
}

#[test]
fn a_store_of_the_first_version_is_left_while_and_after_it_is_migrated() {
    let bytes = contents(1000);
    let base = filled(&bytes, true);
    make_old(&base.path().join(STORE));
    let recorder = Recorder::new(base.path());
    let promises = Promises::<Left>::new(&recorder);
    promises.always("its bytes", move |left| left.bytes == bytes);
    let mut store = open_recorded(base.path(), &recorder);
    commit(&mut store, [StoreOp::SetPaused(FetchKey(0), true)]);
    promises.tell("paused", Left::is_paused);
    drop(store);
    promises.check("migration");
    promises.check_syncs("migration", &["new/store"]);
}

#[test]
fn a_body_that_was_handed_over_as_a_link_is_cut_after_a_reboot() {
    let bytes = contents(2 * EVERY + 100);
    let base = filled(&bytes[..EVERY as usize], false);
    let out = base.path().join("out");
    let mut store = open_earlier(base.path());
    store.close().unwrap();
    write(&*store.bodies(), body(0, 0, 1), EVERY, &bytes[EVERY as usize..]);
    let length = bytes.len() as u64;
    store.bodies().export(body(0, 0, 1), length, &out, Handover::Link).unwrap();
    drop(store);
    // A process that died while it cut the body left this.
    fs::write(base.path().join(STORE).join("bodies/0/0.copy"), b"a part").unwrap();
    let recorder = Recorder::new(base.path());
    let promises = Promises::<Left>::new(&recorder);
    let all = bytes.clone();
    promises.always("the synced bytes", move |left| {
        left.bytes.len() >= EVERY as usize && all.starts_with(&left.bytes)
    });
    let all = bytes.clone();
    promises.always("the receiver's file", move |left| {
        fs::read(left.place.join("out")).unwrap() == all
    });
    let mut store = open_recorded(base.path(), &recorder);
    write(&*store.bodies(), body(0, 0, 1), EVERY, &bytes[EVERY as usize..][..2000]);
    commit(&mut store, [StoreOp::SetPaused(FetchKey(0), true)]);
    promises.tell("paused", Left::is_paused);
    drop(store);
    promises.check("a linked body");
    promises.check_syncs("a linked body", &["new/store"]);
}

/// Bytes that are written after others were lost are not on disk, whatever was synced before.
#[test]
fn a_body_that_was_cut_by_others_has_no_wrong_bytes() {
    let bytes = contents(10_000);
    let base = filled(&bytes, true);
    let path = base.path().join(STORE).join("bodies/0/0.1");
    fs::File::options().write(true).open(path).unwrap().set_len(3).unwrap();
    let recorder = Recorder::new(base.path());
    let promises = Promises::<Left>::new(&recorder);
    let all = bytes.clone();
    promises
        .always("the bytes are those that were written", move |left| all.starts_with(&left.bytes));
    let store = open_recorded(base.path(), &recorder);
    write(&*store.bodies(), body(0, 0, 1), 3, &bytes[3..]);
    drop(store);
    promises.check("a body that was cut");
    promises.check_syncs("a body that was cut", &["new/store"]);
}

/// As after an attempt that ended without telling how far it came.
#[test]
fn synced_bytes_are_left_while_they_are_written_again() {
    let bytes = contents(4 * EVERY);
    let base = filled(&bytes, false);
    open_earlier(base.path()).close().unwrap();
    let recorder = Recorder::new(base.path());
    let promises = Promises::<Left>::new(&recorder);
    let all = bytes.clone();
    promises.always("the synced bytes", move |left| left.bytes == all);
    let mut store = open_recorded(base.path(), &recorder);
    write(&*store.bodies(), body(0, 0, 1), EVERY, &bytes[EVERY as usize..]);
    commit(&mut store, [StoreOp::SetPaused(FetchKey(0), true)]);
    promises.tell("paused", Left::is_paused);
    drop(store);
    promises.check("bytes that are written again");
    promises.check_syncs("bytes that are written again", &["new/store"]);
}

/// What is left of a damaged store, which the next start sets aside if that was not done yet.
struct SetAside {
    place: PathBuf,
    was_damaged: bool,
}

impl recording::Left for SetAside {
    fn open(place: &Path, files: Recorder, boot: &str) -> Result<Self, String> {
        let directory = place.join(STORE);
        let options = || Options::default().boot_id(boot).file_system(files.clone());
        let was_damaged = match SqliteStore::open(&directory, options()) {
            Err(StoreError::Damaged { set_aside: Some(_), .. }) => true,
            opened => opened.map(|_| false).map_err(|error| error.to_string())?,
        };
        // Once it is set aside, the store is empty.
        let empty = SqliteStore::open(&directory, options()).map_err(|error| error.to_string());
        let fetches = empty?.load().map_err(|error| error.to_string())?.fetches;
        assert!(fetches.is_empty());
        Ok(Self { place: place.to_owned(), was_damaged })
    }
}

impl SetAside {
    /// There is a file with these bytes below a folder of what was set aside.
    fn has(&self, name: &str, bytes: &[u8]) -> bool {
        let folders = fs::read_dir(self.place.join(STORE)).unwrap();
        let paths = folders.map(|folder| folder.unwrap().path());
        let mut aside = paths.filter(|path| path.to_string_lossy().contains("damaged-"));
        aside.any(|folder| fs::read(folder.join(name)).is_ok_and(|found| found == bytes))
    }
}

#[test]
fn a_damaged_store_is_left_while_and_after_it_is_set_aside() {
    let bytes = contents(1000);
    let base = filled(&bytes, true);
    let damaged = vec![b'?'; 8192];
    fs::write(base.path().join(STORE).join("store.sqlite3"), &damaged).unwrap();
    let recorder = Recorder::new(base.path());
    let promises = Promises::<SetAside>::new(&recorder);
    promises.always("its parts", move |left| {
        left.has("store.sqlite3", &damaged) && left.has("bodies/0/0.1", &bytes)
    });
    let error = SqliteStore::open(&base.path().join(STORE), recorded(&recorder));
    assert!(error.is_err_and(|error| error.is_damaged()));
    promises.tell("set aside", |left| !left.was_damaged);
    // A second process may have to end what the first one began.
    promises.check_all("a damaged store");
    promises.check_syncs("a damaged store", &[]);
}
