//! The result of each operation is there after the store was opened again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bgfetch_model::ids::FetchKey;
use bgfetch_model::response::{FailureReason, RecordResult};
use bgfetch_model::store_op::{FetchResult, StoreOp, StoredFetch};
use bgfetch_model::time::UnixTime;
use bgfetch_store::file_system::{FileSystem, System};
use bgfetch_store::{Options, SqliteStore, Store, StoreError};

use crate::fixture::*;
use crate::oracle::Oracle;

/// Commits each operation separately, to the store and to the oracle, and compares them after each:
/// as loaded from this store, and after opening it again.
fn check(ops: impl IntoIterator<Item = StoreOp>) -> Vec<StoredFetch> {
    let directory = tempfile::tempdir().unwrap();
    let mut oracle = Oracle::default();
    let mut last = Vec::new();
    for op in ops {
        let transaction = transaction([op]);
        oracle.commit(&transaction);
        let mut store = open(directory.path());
        store.commit(&[transaction]).unwrap();
        oracle.check(&store.load().unwrap());
        drop(store);
        let snapshot = open(directory.path()).load().unwrap();
        oracle.check(&snapshot);
        last = snapshot.fetches;
    }
    last
}

#[test]
fn registrations_are_kept_once_each() {
    let fetches = check([
        StoreOp::PutRegistration(registration(2)),
        StoreOp::PutRegistration(registration(1)),
        StoreOp::PutRegistration(registration(2)),
        StoreOp::RemoveRegistration(registration(1)),
        StoreOp::RemoveRegistration(registration(9)),
    ]);
    assert!(fetches.is_empty());
}

#[test]
fn every_field_of_a_new_fetch_is_kept() {
    let mut fetch = new_fetch(3, 0, 3);
    let mut request = (*fetch.records[1].request).clone();
    request.method = "POST".into();
    request.headers.append("X-A", "1");
    request.body_length = Some(u64::MAX);
    fetch.records[1].request = request.into();
    fetch.paused = true;
    let fetches = check([
        StoreOp::PutRegistration(registration(0)),
        StoreOp::InsertFetch(Box::new(fetch.clone())),
    ]);
    assert_eq!(fetches, [fetch]);
}

#[test]
fn flags_causes_and_the_user_interface_are_kept() {
    let key = FetchKey(0);
    let icons = vec![icon("other.png")];
    let ops = insert(0, 1).into_iter().chain([
        StoreOp::SetPaused(key, true),
        StoreOp::SetPaused(key, false),
        StoreOp::SetAbortAll(key),
        StoreOp::SetUi(key, "new".into(), icons.clone()),
        StoreOp::SetCause(key, FailureReason::DownloadTotalExceeded),
        StoreOp::SetDeliveryAttempts(key, 4),
        StoreOp::SetRunningTime(key, Duration::from_millis(90_500)),
    ]);
    let fetches = check(ops);
    let fetch = &fetches[0];
    assert!(fetch.abort_all && !fetch.paused);
    assert_eq!((fetch.title.as_str(), &fetch.icons), ("new", &icons));
    assert_eq!(fetch.delivery_attempts, 4);
}

#[test]
fn every_result_is_kept() {
    let reasons = [
        FailureReason::Aborted,
        FailureReason::BadStatus,
        FailureReason::FetchError,
        FailureReason::QuotaExceeded,
        FailureReason::DownloadTotalExceeded,
    ];
    let results: Vec<FetchResult> = [Ok(())].into_iter().chain(reasons.map(Err)).collect();
    let mut ops = vec![StoreOp::PutRegistration(registration(0))];
    for (key, result) in (0..).zip(&results) {
        ops.push(StoreOp::InsertFetch(Box::new(new_fetch(key, 0, 1))));
        ops.push(StoreOp::SettleRecord {
            record: record(key, 0),
            result: result.map_or_else(RecordResult::Failure, |()| RecordResult::Success),
            stored: 0,
            uploaded: u64::MAX,
        });
        if let Err(reason) = result {
            ops.push(StoreOp::SetCause(FetchKey(key), *reason));
        }
        ops.push(settle(key, *result));
    }
    let fetches = check(ops);
    let kept: Vec<_> = fetches.iter().map(|fetch| fetch.result.unwrap()).collect();
    assert_eq!(kept, results);
    assert_eq!(fetches[0].settled_at, Some(UnixTime(1_800_000_000_000)));
}

#[test]
fn uploads_and_generations_are_kept() {
    let ops = insert(0, 2).into_iter().chain([
        StoreOp::BeginUpload(record(0, 1)),
        StoreOp::OpenGeneration(body(0, 0, 1), head(200)),
        StoreOp::OpenGeneration(body(0, 0, 2), head(206)),
    ]);
    let fetches = check(ops);
    let records = &fetches[0].records;
    assert!(records[1].upload_begun);
    assert_eq!(records[0].generation.0, 2);
    assert_eq!(records[0].response.map(|head| head.status), Some(206));
}

#[test]
fn the_end_of_a_delivery_leaves_the_fetch_without_records_and_forgetting_leaves_nothing() {
    let ops = insert(4, 2).into_iter().chain([
        settle(4, Ok(())),
        StoreOp::EndDelivery(FetchKey(4)),
        StoreOp::InsertFetch(Box::new(new_fetch(9, 0, 1))),
        StoreOp::Forget(FetchKey(9)),
    ]);
    let fetches = check(ops);
    assert_eq!(fetches.len(), 1);
    assert!(!fetches[0].records_available && fetches[0].records.is_empty());
}

#[test]
fn held_records_stay_until_their_delivery_ends_and_what_is_adopted_moves() {
    let ops = insert(4, 2).into_iter().chain([
        StoreOp::OpenGeneration(body(4, 0, 1), head(200)),
        StoreOp::OpenGeneration(body(4, 1, 1), head(200)),
        settle_record(record(4, 0), 0),
        fail_record(record(4, 1), 0),
        settle(4, Ok(())),
        StoreOp::HoldRecords(FetchKey(4)),
        StoreOp::InsertFetch(Box::new(new_fetch(9, 0, 3))),
        StoreOp::Adopt { from: record(4, 0), to: record(9, 2) },
        // A fetch that is gone.
        StoreOp::Adopt { from: record(5, 0), to: record(9, 1) },
    ]);
    let fetches = check(ops);
    assert!(!fetches[0].records_available);
    assert_eq!((fetches[0].records.len(), fetches[0].records[0].generation.0), (2, 0));
    assert_eq!(fetches[1].records[2].generation.0, 1);
    assert_eq!(fetches[1].records[1], new_record(1));
}

#[test]
fn an_adopted_body_moves_with_its_record_and_survives_the_end_of_its_old_one() {
    let ephemeral = SqliteStore::ephemeral().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for mut store in [ephemeral, open(directory.path())] {
        let open = [StoreOp::OpenGeneration(body(0, 0, 1), head(200))];
        commit(&mut store, insert(0, 1).into_iter().chain(open));
        let bodies = store.bodies();
        write(&*bodies, body(0, 0, 1), 0, b"film");
        let ended = [fail_record(record(0, 0), 4), settle(0, Ok(()))];
        commit_synced(&mut store, 0, ended);
        commit(&mut store, [StoreOp::HoldRecords(FetchKey(0))]);
        let adopted = StoreOp::Adopt { from: record(0, 0), to: record(1, 1) };
        let inserted = StoreOp::InsertFetch(Box::new(new_fetch(1, 0, 2)));
        commit(&mut store, [inserted, adopted, StoreOp::EndDelivery(FetchKey(0))]);
        assert_eq!(read(&*bodies, body(1, 1, 1)), b"film");
        write(&*bodies, body(1, 1, 1), 4, b" two");
        assert_eq!(read(&*bodies, body(1, 1, 1)), b"film two");
    }
    assert_eq!(body_files(directory.path()), ["1", "1/1.1"]);
    // After a reboot, it is still known what was synced before the adoption.
    let snapshot = open_after_boot(directory.path(), "boot-2").load().unwrap();
    assert_eq!(snapshot.fetches[1].records[1].stored, 4);
}

#[test]
fn the_head_of_a_response_is_read_with_its_body() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let opened = StoreOp::OpenGeneration(body(0, 0, 3), head(206));
    commit(&mut store, insert(0, 2).into_iter().chain([opened]));
    let found = store.head(record(0, 0)).unwrap().unwrap();
    assert_eq!(found, (bgfetch_model::ids::Generation(3), (*head(206)).clone()));
    assert_eq!(store.head(record(0, 1)).unwrap(), None);
    assert_eq!(store.head(record(9, 0)).unwrap(), None);
}

/// A disk without room for names as long as there is a file, the store's reserve.
#[derive(Debug)]
struct FullDisk(PathBuf);

impl FileSystem for FullDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match self.0.exists() && !path.exists() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => System.create_directory(path),
        }
    }
}

#[test]
fn a_body_is_adopted_on_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let begun = [StoreOp::OpenGeneration(body(0, 0, 1), head(200))];
    commit(&mut store, insert(0, 1).into_iter().chain(begun));
    write(&*store.bodies(), body(0, 0, 1), 0, b"film");
    let ended = [fail_record(record(0, 0), 4), settle(0, Ok(()))];
    commit(&mut store, ended.into_iter().chain([StoreOp::HoldRecords(FetchKey(0))]));
    drop(store);
    let reserve = directory.path().join("reserve");
    let options = Options::default().boot_id(BOOT).file_system(FullDisk(reserve.clone()));
    let mut store = SqliteStore::open(directory.path(), options).unwrap();
    let inserted = StoreOp::InsertFetch(Box::new(new_fetch(1, 0, 1)));
    commit(&mut store, [inserted, StoreOp::Adopt { from: record(0, 0), to: record(1, 0) }]);
    assert_eq!(read(&*store.bodies(), body(1, 0, 1)), b"film");
    assert!(reserve.exists(), "it is taken again");
}

#[test]
fn keys_are_never_given_out_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    assert_eq!(store.load().unwrap().next_fetch, 0);
    commit(&mut store, insert(7, 1));
    commit(&mut store, [StoreOp::RemoveRegistration(registration(0))]);
    drop(store);
    let snapshot = open(directory.path()).load().unwrap();
    assert!(snapshot.fetches.is_empty() && snapshot.registrations.is_empty());
    assert_eq!(snapshot.next_fetch, 8);
}

#[test]
fn operations_on_a_fetch_that_is_gone_do_nothing() {
    let key = FetchKey(5);
    check([
        StoreOp::SetPaused(key, true),
        StoreOp::SetUi(key, String::new(), Vec::new()),
        StoreOp::OpenGeneration(body(5, 0, 1), head(200)),
        settle_record(record(5, 0), 1),
        settle(5, Ok(())),
        StoreOp::EndDelivery(key),
        StoreOp::Forget(key),
    ]);
}

#[test]
fn a_batch_is_committed_wholly_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let orphan = StoreOp::InsertFetch(Box::new(new_fetch(1, 9, 1)));
    let error = store.commit(&[transaction(insert(0, 1)), transaction([orphan])]).unwrap_err();
    assert!(matches!(error, StoreError::Misuse(_)), "{error}");
    drop(store);
    let snapshot = open(directory.path()).load().unwrap();
    assert!(snapshot.registrations.is_empty() && snapshot.fetches.is_empty());
}

#[test]
fn a_hundred_thousand_records_are_one_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    commit(&mut store, insert(0, 100_000));
    drop(store);
    let snapshot = open(directory.path()).load().unwrap();
    let records = &snapshot.fetches[0].records;
    assert_eq!(records.len(), 100_000);
    assert_eq!(records[99_999], new_record(99_999));
}

#[test]
fn an_ephemeral_store_does_the_same() {
    let mut store = SqliteStore::ephemeral().unwrap();
    let mut oracle = Oracle::default();
    let first = transaction(
        insert(0, 2).into_iter().chain([StoreOp::OpenGeneration(body(0, 0, 1), head(200))]),
    );
    oracle.commit(&first);
    store.commit(&[first]).unwrap();
    let bodies = store.bodies();
    write(&*bodies, body(0, 0, 1), 0, b"private");
    oracle.write(body(0, 0, 1), b"private");
    oracle.check(&store.load().unwrap());
    assert_eq!(read(&*bodies, body(0, 0, 1)), b"private");
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 2), head(200))]);
    assert_eq!(read(&*bodies, body(0, 0, 1)), b"");
    write(&*bodies, body(0, 0, 2), 0, b"private");
    commit_synced(&mut store, 0, [settle_record(record(0, 0), 7)]);
    commit(&mut store, [StoreOp::EndDelivery(FetchKey(0))]);
    assert_eq!(read(&*bodies, body(0, 0, 2)), b"");
    store.close().unwrap();
}
