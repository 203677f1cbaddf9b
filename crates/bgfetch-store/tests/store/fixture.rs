//! Helpers that the tests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::{
    BodyKey, FetchKey, Generation, RecordIndex, RecordKey, RegistrationKey, StorageKey,
};
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::Request;
use bgfetch_model::response::{FailureReason, RecordResult, ResponseHead, ResponseType};
use bgfetch_model::store_op::{
    FetchResult, ImageResource, StoreOp, StoredFetch, StoredRecord, Sync, Totals, Transaction,
};
use bgfetch_model::time::UnixTime;
use bgfetch_store::{Bodies, Options, SqliteStore, Store};
use crossbeam_channel::Receiver;

/// The boot id of tests that do not reboot.
pub(crate) const BOOT: &str = "boot-1";

pub(crate) fn open(directory: &Path) -> SqliteStore {
    open_after_boot(directory, BOOT)
}

pub(crate) fn open_after_boot(directory: &Path, boot: &str) -> SqliteStore {
    SqliteStore::open(directory, Options::default().boot_id(boot)).unwrap()
}

pub(crate) fn registration(n: u8) -> RegistrationKey {
    RegistrationKey {
        storage_key: StorageKey(format!("https://site-{n}.test")),
        scope: format!("https://site-{n}.test/app/").parse().unwrap(),
    }
}

pub(crate) fn record(fetch: u64, index: u32) -> RecordKey {
    RecordKey { fetch: FetchKey(fetch), index: RecordIndex(index) }
}

pub(crate) fn body(fetch: u64, index: u32, generation: u32) -> BodyKey {
    BodyKey { record: record(fetch, index), generation: Generation(generation) }
}

pub(crate) fn head(status: u16) -> Arc<ResponseHead> {
    Arc::new(ResponseHead::new(status, vec!["https://site-0.test/a?b#c".parse().unwrap()]).with(
        |it| {
            it.status_text = "D\u{e9}j\u{e0} vu".into();
            it.headers = HeaderList::from_iter([("ETag", "\"v1\""), ("X-Latin", "caf\u{e9}")]);
            it.response_type = ResponseType::Cors;
        },
    ))
}

pub(crate) fn new_record(n: u32) -> StoredRecord {
    let url = format!("https://site-0.test/{n}").parse().unwrap();
    StoredRecord {
        request: Arc::new(Request::get(url)),
        upload_begun: false,
        uploaded: 0,
        generation: Generation::default(),
        response: None,
        stored: 0,
        result: None,
    }
}

fn policies(of: u8) -> PolicySnapshot {
    let mut policies = PolicySnapshot::of(&registration(of).scope);
    policies.policy_container.csp_list.push("connect-src 'self' \"é\"".into());
    policies.policy_container.ip_address_space = Some(IpAddressSpace::Loopback);
    policies
}

pub(crate) fn icon(path: &str) -> ImageResource {
    let mut icon = ImageResource::new(format!("https://a.test/{path}").parse().unwrap());
    icon.sizes = "48x48".into();
    icon.mime_type = "image/png".into();
    icon.label = "Épisode".into();
    icon
}

pub(crate) fn new_fetch(key: u64, of: u8, records: u32) -> StoredFetch {
    StoredFetch {
        key: FetchKey(key),
        registration: registration(of),
        principal: Arc::new(Principal::Page(policies(of))),
        id: format!("fetch-{key}"),
        title: "Épisode \"5\"".into(),
        icons: vec![icon("icon.png")],
        // A page may promise any 64-bit number.
        download_total: u64::MAX - key,
        paused: false,
        abort_all: false,
        cause: None,
        result: None,
        created_at: UnixTime(1_700_000_000_000 + key),
        settled_at: None,
        delivery_attempts: 0,
        running_time: Duration::ZERO,
        records_available: true,
        totals: Totals::default(),
        records: (0..records).map(new_record).collect(),
    }
}

/// A fetch of one record whose request has a body.
pub(crate) fn insert_upload(key: u64) -> [StoreOp; 2] {
    let mut fetch = new_fetch(key, 0, 1);
    for record in &mut fetch.records {
        record.request = Arc::new(Request::clone(&record.request).with(|it| {
            it.method = "POST".into();
            it.body_length = Some(6);
        }));
    }
    [StoreOp::PutRegistration(registration(0)), StoreOp::InsertFetch(Box::new(fetch))]
}

pub(crate) fn insert(key: u64, records: u32) -> [StoreOp; 2] {
    [
        StoreOp::PutRegistration(registration(0)),
        StoreOp::InsertFetch(Box::new(new_fetch(key, 0, records))),
    ]
}

pub(crate) fn settle_record(record: RecordKey, stored: u64) -> StoreOp {
    StoreOp::SettleRecord { record, result: RecordResult::Success, stored, uploaded: 0 }
}

pub(crate) fn fail_record(record: RecordKey, stored: u64) -> StoreOp {
    StoreOp::SettleRecord {
        record,
        result: RecordResult::Failure(FailureReason::FetchError),
        stored,
        uploaded: 0,
    }
}

pub(crate) fn settle(fetch: u64, result: FetchResult) -> StoreOp {
    StoreOp::Settle(FetchKey(fetch), result, UnixTime(1_800_000_000_000))
}

/// As the model creates it.
pub(crate) fn transaction(ops: impl IntoIterator<Item = StoreOp>) -> Transaction {
    let ops: Vec<StoreOp> = ops.into_iter().collect();
    let syncs = ops.iter().filter_map(StoreOp::sync).collect();
    Transaction { ops, syncs }
}

pub(crate) fn commit(store: &mut dyn Store, ops: impl IntoIterator<Item = StoreOp>) {
    store.commit(&[transaction(ops)]).unwrap();
}

/// Commits with the sync of the fetch's response bodies.
pub(crate) fn commit_synced(
    store: &mut dyn Store,
    fetch: u64,
    ops: impl IntoIterator<Item = StoreOp>,
) {
    let mut transaction = transaction(ops);
    transaction.syncs.push(Sync::ResponseBodies(FetchKey(fetch)));
    store.commit(&[transaction]).unwrap();
}

pub(crate) fn write(bodies: &dyn Bodies, body: BodyKey, offset: u64, bytes: &[u8]) {
    let mut writer = bodies.open_writer(body, offset).unwrap();
    writer.write(bytes).unwrap();
    assert_eq!(writer.length(), offset + bytes.len() as u64);
}

pub(crate) fn read(bodies: &dyn Bodies, body: BodyKey) -> Vec<u8> {
    let reader = bodies.open_reader(body).unwrap();
    let mut all = vec![0; reader.length().unwrap() as usize];
    let mut at = 0;
    while at < all.len() {
        let read = reader.read_at(at as u64, &mut all[at..]).unwrap();
        assert!(read > 0, "the body ends before its length");
        at += read;
    }
    all
}

/// Fails instead of hanging if the store never sends a wakeup.
pub(crate) fn await_wakeup(wakeups: &Receiver<()>) {
    wakeups.recv_timeout(Duration::from_secs(60)).unwrap();
}

/// The paths of all files below `DIR/bodies`, relative to it and sorted.
pub(crate) fn body_files(directory: &Path) -> Vec<String> {
    let root = directory.join("bodies");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            let name = path.strip_prefix(&root).unwrap();
            found.push(name.to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

/// A copy of a store's directory: what a crash at this moment leaves behind.
pub(crate) fn image(directory: &Path, to: &Path) -> PathBuf {
    copy_folder(directory, to);
    to.to_owned()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
