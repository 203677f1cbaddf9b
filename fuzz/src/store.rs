//! Stores on disk, sound or not.

use std::collections::VecDeque;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bgfetch_model::action::{Action, Reply};
use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent};
use bgfetch_model::config::Config;
use bgfetch_model::connectivity::Connectivity;
use bgfetch_model::delivery::{NotHandledReason, Outcome};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::{
    BodyKey, CallId, FetchKey, Generation, RecordIndex, RecordKey, RegistrationKey, StorageKey,
};
use bgfetch_model::input::{FetchCall, FetchOptions};
use bgfetch_model::input::{Input, Permission};
use bgfetch_model::model::Model;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::Request;
use bgfetch_model::response::{RecordResult, ResponseHead, ResponseType};
use bgfetch_model::store_op::{StoreOp, StoredFetch, StoredRecord, Totals, Transaction};
use bgfetch_model::time::{Now, UnixTime};
use bgfetch_store::{Durability, Options, SqliteStore, Store, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

const DATABASE: &str = "store.sqlite3";

/// A directory with a store that is not open.
pub struct Place(TempDir);

impl Place {
    /// A sound store with two fetches, one of them settled, which was closed in an orderly way.
    #[must_use]
    pub fn with_store() -> Self {
        let place = Self(new_folder());
        place.write(DATABASE, sound());
        let bodies = place.0.path().join("bodies/0");
        fs::create_dir_all(&bodies).unwrap();
        fs::write(bodies.join("0.1"), b"kept").unwrap();
        place
    }

    /// Changes the database.
    pub fn edit(&self, edit: impl FnOnce(&Connection)) {
        let connection = Connection::open(self.0.path().join(DATABASE)).unwrap();
        connection
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; BEGIN")
            .unwrap();
        edit(&connection);
        connection.execute_batch("COMMIT").unwrap();
    }

    /// The bytes of a file.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    /// Replaces a file.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    /// Opens the store; `None` if it is refused or set aside. Checks that its database and its
    /// bodies are never lost: they are where they were or were set aside. If they were set aside,
    /// checks that the next opening starts with an empty store.
    #[must_use]
    pub fn open(&self) -> Option<SqliteStore> {
        let directory = self.0.path();
        match SqliteStore::open(directory, options()) {
            Ok(store) => {
                assert!(directory.join(DATABASE).exists());
                Some(store)
            }
            Err(StoreError::Damaged { set_aside, .. }) => {
                let aside = set_aside.unwrap();
                assert!(aside.join(DATABASE).exists(), "the database was lost");
                assert_body(&aside, &"set aside");
                let mut empty = SqliteStore::open(directory, options()).unwrap();
                assert!(empty.load().unwrap().fetches.is_empty());
                None
            }
            Err(error) => {
                assert!(!error.is_in_use(), "{error}");
                assert!(directory.join(DATABASE).exists(), "{error}: the database was lost");
                assert_body(directory, &error);
                None
            }
        }
    }
}

/// Checks that the body exists. It may be truncated if it was not synced before a reboot.
fn assert_body(directory: &Path, error: &dyn Display) {
    let body = fs::read(directory.join("bodies/0/0.1")).unwrap();
    assert!(b"kept".starts_with(&body), "{error}");
}

/// Lets the model continue with the contents of a store, in a world where everything succeeds, and
/// a page calls `fetch()` once more. The resulting transactions are committed to the store.
///
/// # Errors
/// The first error of the store.
pub fn go_on(mut store: SqliteStore) -> Result<(), StoreError> {
    let snapshot = store.load()?;
    let now = Now { wall: UnixTime(1_800_000_000_000), ..Now::default() };
    let mut model = Model::open(Config::default(), snapshot, now);
    let mut inputs = VecDeque::from([
        Input::Connectivity(Connectivity::Online),
        Input::Register { call: CallId(1), registration: registration(), active_worker: true },
        Input::Fetch(Box::new(call(CallId(2)))),
    ]);
    // Far more steps than the few fetches need.
    for _ in 0..1_000 {
        while let Some(action) = model.poll_action() {
            if let Action::Commit(_, transaction) = &action {
                store.commit(std::slice::from_ref(transaction))?;
            }
            inputs.extend(answers(action));
        }
        let Some(input) = inputs.pop_front() else {
            break;
        };
        model.handle(now, input);
    }
    store.load()?;
    store.close()
}

/// The response to an action in a world where everything succeeds.
fn answers(action: Action) -> Vec<Input> {
    match action {
        Action::QueryPermission { call, .. } => {
            let (permission, quota) = (Permission::Granted, Some(u64::MAX));
            vec![Input::Permission { call, permission, quota }]
        }
        Action::QueryQuota(storage_key) => vec![Input::Quota(storage_key, u64::MAX)],
        Action::Commit(id, _) => vec![Input::Committed(id)],
        Action::Reply(_, Ok(Reply::Fetch(fetch))) => vec![Input::CallerReady(fetch.info.key)],
        Action::Enqueue { record, .. } => vec![Input::SlotGranted(record)],
        Action::LoadHead(record) => vec![Input::HeadLoaded(record, Some(Arc::new(head())))],
        Action::StartAttempt { attempt, .. } => {
            let event = AttemptEvent::Head {
                head: head(),
                request_headers: None,
                address: None,
                retry_after: None,
                multiplexes: false,
            };
            vec![Input::Attempt(attempt, event)]
        }
        Action::Command(attempt, AttemptCommand::Receive { offset, .. }) => {
            let end = AttemptEnd::Complete;
            vec![Input::Attempt(attempt, AttemptEvent::Ended { stored: Some(offset), end })]
        }
        Action::Command(attempt, AttemptCommand::Cancel) => {
            let end = AttemptEnd::Cancelled;
            vec![Input::Attempt(attempt, AttemptEvent::Ended { stored: None, end })]
        }
        Action::UpdateClients { fetch, settled: true, .. } => {
            vec![Input::ClientsApplied(fetch.key)]
        }
        Action::FireSettledEvent(fetch, _) => {
            let ended = |outcome| Input::EventEnded { fetch: fetch.key, outcome };
            let timed_out = Outcome::NotHandled(NotHandledReason::TimedOut);
            vec![ended(timed_out), ended(Outcome::Handled { rejection: None })]
        }
        _ => Vec::new(),
    }
}

fn call(call: CallId) -> FetchCall {
    FetchCall {
        call,
        registration: registration(),
        principal: Arc::new(Principal::User),
        id: String::from("another"),
        requests: vec![Request::get("https://a.test/2".parse().unwrap())],
        options: FetchOptions::default(),
        sees_active_worker: true,
    }
}

fn options() -> Options {
    Options::default().durability(Durability::Process).boot_id("fuzz")
}

/// In memory, if the system has such a file system.
fn new_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// The database of a sound store.
fn sound() -> &'static [u8] {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = new_folder();
        let mut store = SqliteStore::open(folder.path(), options()).unwrap();
        let ops = [
            StoreOp::PutRegistration(registration()),
            StoreOp::InsertFetch(Box::new(fetch(0))),
            StoreOp::InsertFetch(Box::new(fetch(1))),
            open_generation(0),
            open_generation(1),
            StoreOp::SettleRecord {
                record: record(1, 0),
                result: RecordResult::Success,
                stored: 0,
                uploaded: 0,
            },
        ];
        let transaction = Transaction { ops: ops.into(), ..Transaction::default() };
        store.commit(&[transaction]).unwrap();
        store.close().unwrap();
        drop(store);
        fs::read(folder.path().join(DATABASE)).unwrap()
    })
}

fn registration() -> RegistrationKey {
    RegistrationKey {
        storage_key: StorageKey("https://a.test".into()),
        scope: "https://a.test/app/".parse().unwrap(),
    }
}

fn record(fetch: u64, index: u32) -> RecordKey {
    RecordKey { fetch: FetchKey(fetch), index: RecordIndex(index) }
}

fn open_generation(fetch: u64) -> StoreOp {
    let body = BodyKey { record: record(fetch, 0), generation: Generation(1) };
    StoreOp::OpenGeneration(body, Arc::new(head()))
}

fn head() -> ResponseHead {
    ResponseHead::new(200, vec!["https://a.test/0".parse().unwrap()]).with(|it| {
        it.headers = HeaderList::from_iter([("ETag", "\"v1\"")]);
        it.response_type = ResponseType::Basic;
    })
}

fn fetch(key: u64) -> StoredFetch {
    let records = (0..2).map(|number| StoredRecord {
        request: Request::get(format!("https://a.test/{number}").parse().unwrap()).into(),
        upload_begun: false,
        uploaded: 0,
        generation: Generation::default(),
        response: None,
        stored: 0,
        result: None,
    });
    StoredFetch {
        key: FetchKey(key),
        registration: registration(),
        principal: Principal::Page(PolicySnapshot::of(&registration().scope)).into(),
        id: format!("fetch {key}"),
        title: String::from("title"),
        icons: Vec::new(),
        download_total: 100,
        paused: false,
        abort_all: false,
        cause: None,
        result: None,
        created_at: UnixTime(1_700_000_000_000),
        settled_at: None,
        delivery_attempts: 0,
        running_time: Duration::ZERO,
        records_available: true,
        totals: Totals::default(),
        records: records.collect(),
    }
}
