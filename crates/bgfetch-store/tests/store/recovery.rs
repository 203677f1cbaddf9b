//! What the next start finds after the death of the process, and after a reboot.

use std::fs;
use std::io;
use std::path::Path;

use bgfetch_model::ids::FetchKey;
use bgfetch_model::response::{FailureReason, RecordResult};
use bgfetch_model::store_op::{StoreOp, StoredFetch, Sync, Transaction};
use bgfetch_store::file_system::FileSystem;
use bgfetch_store::{Durability, Handover, Options, SqliteStore, Store};
use tempfile::TempDir;

use crate::fixture::*;

const REBOOTED: &str = "boot-2";

/// A store with one fetch of `records`, each with the first generation open.
fn begun(records: u32, options: Options) -> (TempDir, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(directory.path(), options.boot_id(BOOT)).unwrap();
    commit(&mut store, insert(0, records));
    let open = |n| StoreOp::OpenGeneration(body(0, n, 1), head(200));
    commit(&mut store, (0..records).map(open));
    (directory, store)
}

fn loaded(directory: &TempDir, boot: &str) -> StoredFetch {
    let mut store = open_after_boot(directory.path(), boot);
    store.load().unwrap().fetches.remove(0)
}

#[test]
fn after_a_process_s_death_the_file_tells_the_length() {
    let (directory, store) = begun(2, Options::default());
    write(&*store.bodies(), body(0, 0, 1), 0, b"0123456789");
    drop(store);
    let fetch = loaded(&directory, BOOT);
    assert_eq!(fetch.records[0].stored, 10);
    assert_eq!(fetch.records[1].stored, 0);
}

#[test]
fn bytes_in_the_place_of_synced_ones_that_were_lost_are_not_synced() {
    let (directory, mut store) = begun(1, Options::default().sync_every(10));
    let wakeups = store.wakeups();
    write(&*store.bodies(), body(0, 0, 1), 0, b"0123456789");
    await_wakeup(&wakeups);
    store.commit(&[]).unwrap();
    drop(store);
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("bodies/0/0.1"));
    file.unwrap().set_len(3).unwrap();

    let store = open(directory.path());
    write(&*store.bodies(), body(0, 0, 1), 3, b"3456789");
    drop(store);
    assert_eq!(loaded(&directory, REBOOTED).records[0].stored, 3);
}

#[test]
fn after_a_reboot_only_synced_bytes_count() {
    let (directory, mut store) = begun(3, Options::default());
    let bodies = store.bodies();
    for n in 0..3 {
        write(&*bodies, body(0, n, 1), 0, b"0123456789");
    }
    // Synced only if the record had ended.
    commit_synced(&mut store, 0, [settle_record(record(0, 0), 10)]);
    commit(&mut store, [fail_record(record(0, 1), 10)]);
    drop(store);

    let fetch = loaded(&directory, REBOOTED);
    let ends: Vec<_> = fetch.records.iter().map(|r| (r.stored, r.result)).collect();
    let failed = RecordResult::Failure(FailureReason::FetchError);
    assert_eq!(ends, [(10, Some(RecordResult::Success)), (0, Some(failed)), (0, None)]);
    for n in [1, 2] {
        let path = directory.path().join(format!("bodies/0/{n}.1"));
        assert_eq!(fs::metadata(path).unwrap().len(), 0);
    }
    // Still the same boot: from here on, the lengths of the files are authoritative again.
    write(&*bodies, body(0, 2, 1), 0, b"again");
    assert_eq!(loaded(&directory, REBOOTED).records[2].stored, 5);
}

#[test]
fn what_is_cut_after_a_reboot_is_whole_where_it_was_handed_over() {
    let (directory, mut store) = begun(1, Options::default());
    let bodies = store.bodies();
    write(&*bodies, body(0, 0, 1), 0, b"0123456789");
    commit(&mut store, [settle_record(record(0, 0), 10)]);
    let taken_over = directory.path().join("taken-over");
    bodies.export(body(0, 0, 1), 10, &taken_over, Handover::Link).unwrap();
    drop(store);
    assert_eq!(loaded(&directory, REBOOTED).records[0].stored, 0);
    assert_eq!(fs::read(&taken_over).unwrap(), b"0123456789");
    write(&*bodies, body(0, 0, 1), 0, b"again");
    assert_eq!(fs::read(&taken_over).unwrap(), b"0123456789");
}

#[test]
fn a_fetch_that_settled_without_a_sync_goes_on_after_a_reboot() {
    let (directory, mut store) = begun(2, Options::default());
    let bodies = store.bodies();
    for n in 0..2 {
        write(&*bodies, body(0, n, 1), 0, b"0123456789");
    }
    commit_synced(&mut store, 0, [settle_record(record(0, 0), 10)]);
    let ops = vec![
        settle_record(record(0, 1), 10),
        settle(0, Ok(())),
        StoreOp::SetDeliveryAttempts(FetchKey(0), 2),
    ];
    store.commit(&[Transaction { ops, syncs: Vec::new() }]).unwrap();
    drop(store);
    assert_eq!(loaded(&directory, BOOT).result, Some(Ok(())));

    let fetch = loaded(&directory, REBOOTED);
    assert_eq!((fetch.result, fetch.settled_at), (None, None));
    assert_eq!(fetch.delivery_attempts, 0);
    assert_eq!(fetch.records[0].result, Some(RecordResult::Success));
    assert_eq!((fetch.records[1].result, fetch.records[1].stored), (None, 0));
}

fn many_bodies_settle_durably(records: u32, options: Options) {
    let (directory, mut store) = begun(records, options);
    let bodies = store.bodies();
    for n in 0..records {
        write(&*bodies, body(0, n, 1), 0, b"0123456789");
    }
    let settled = (0..records).map(|n| settle_record(record(0, n), 10));
    commit_synced(&mut store, 0, settled.chain([settle(0, Ok(()))]));
    drop(store);
    let fetch = loaded(&directory, REBOOTED);
    assert_eq!(fetch.result, Some(Ok(())));
    assert!(fetch.records.iter().all(|record| record.stored == 10));
}

#[test]
fn a_thousand_bodies_settle_durably_at_once() {
    many_bodies_settle_durably(1000, Options::default());
}

/// A system that can sync neither a whole file system nor directories.
#[derive(Debug)]
struct SyncsFilesOnly;

impl FileSystem for SyncsFilesOnly {
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn many_bodies_settle_durably_where_only_files_can_be_synced() {
    many_bodies_settle_durably(40, Options::default().file_system(SyncsFilesOnly));
}

#[test]
fn a_restarted_record_is_not_trusted_for_what_its_last_generation_had_synced() {
    let (directory, mut store) = begun(1, Options::default());
    let bodies = store.bodies();
    write(&*bodies, body(0, 0, 1), 0, b"0123456789");
    store.close().unwrap();
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 2), head(200))]);
    write(&*bodies, body(0, 0, 2), 0, b"0123456789");
    drop(store);
    assert_eq!(loaded(&directory, REBOOTED).records[0].stored, 0);
}

#[test]
fn an_orderly_end_loses_nothing_to_a_reboot() {
    for durability in [Durability::Process, Durability::Power] {
        let (directory, mut store) = begun(1, Options::default().durability(durability));
        commit(&mut store, insert_upload(1));
        let bodies = store.bodies();
        write(&*bodies, body(0, 0, 1), 0, b"0123456789");
        bodies.create_request_body(record(1, 0)).unwrap().write(b"upload").unwrap();
        store.close().unwrap();
        drop(store);
        assert_eq!(loaded(&directory, REBOOTED).records[0].stored, 10);
        let files = body_files(directory.path());
        assert_eq!(files, ["0", "0/0.1", "1", "1/0.request"]);
    }
}

#[test]
fn without_power_durability_a_reboot_costs_the_bytes() {
    let options = Options::default().durability(Durability::Process);
    let (directory, mut store) = begun(1, options);
    write(&*store.bodies(), body(0, 0, 1), 0, b"0123456789");
    commit_synced(&mut store, 0, [settle_record(record(0, 0), 10), settle(0, Ok(()))]);
    drop(store);
    let fetch = loaded(&directory, REBOOTED);
    assert_eq!((fetch.result, fetch.records[0].stored), (None, 0));
}

#[test]
fn request_bodies_survive_a_reboot_once_they_were_synced() {
    for synced in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path());
        let bodies = store.bodies();
        bodies.create_request_body(record(0, 0)).unwrap().write(b"upload").unwrap();
        let mut transaction = transaction(insert_upload(0));
        if !synced {
            transaction.syncs.clear();
        }
        store.commit(&[transaction]).unwrap();
        drop((store, bodies));
        open_after_boot(directory.path(), BOOT);
        assert_eq!(body_files(directory.path()), ["0", "0/0.request"]);
        open_after_boot(directory.path(), REBOOTED);
        let expected: &[&str] = if synced { &["0", "0/0.request"] } else { &[] };
        assert_eq!(body_files(directory.path()), expected);
    }
}

#[test]
fn what_no_row_knows_is_removed() {
    let (directory, mut store) = begun(1, Options::default());
    commit(&mut store, insert_upload(1));
    let bodies = store.bodies();
    write(&*bodies, body(0, 0, 1), 0, b"kept");
    write(&*bodies, body(0, 0, 2), 0, b"a head that was never committed");
    write(&*bodies, body(0, 9, 1), 0, b"no such record");
    // The second is of a fetch that was refused. A power loss has undone that it was deleted, and
    // the next fetch has its key.
    for orphan in [record(2, 0), record(0, 0), record(0, 9)] {
        bodies.create_request_body(orphan).unwrap();
    }
    bodies.create_request_body(record(1, 0)).unwrap();
    let root = directory.path().join("bodies");
    fs::write(root.join("stray"), b"").unwrap();
    fs::write(root.join("0/stray"), b"").unwrap();
    fs::create_dir_all(root.join("0/folder/deep")).unwrap();
    drop(store);
    assert_eq!(loaded(&directory, BOOT).records[0].stored, 4);
    let files = body_files(directory.path());
    assert_eq!(files, ["0", "0/0.1", "1", "1/0.request"]);
}

#[test]
fn a_finished_body_that_was_tampered_with_is_fetched_again() {
    let (directory, mut store) = begun(1, Options::default());
    write(&*store.bodies(), body(0, 0, 1), 0, b"0123456789");
    commit_synced(&mut store, 0, [settle_record(record(0, 0), 10), settle(0, Ok(()))]);
    drop(store);
    let path = directory.path().join("bodies/0/0.1");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(3).unwrap();
    let fetch = loaded(&directory, BOOT);
    assert_eq!((fetch.result, fetch.records[0].stored), (None, 3));
    // Bytes that are written now are not synced, whatever was synced before.
    fs::write(&path, b"0123456789").unwrap();
    assert_eq!(loaded(&directory, REBOOTED).records[0].stored, 3);
}

#[test]
fn a_settled_length_that_is_not_stored_is_refused() {
    let (_directory, mut store) = begun(1, Options::default());
    write(&*store.bodies(), body(0, 0, 1), 0, b"0123");
    let error = store
        .commit(&[Transaction {
            ops: vec![settle_record(record(0, 0), 5)],
            syncs: vec![Sync::ResponseBodies(FetchKey(0))],
        }])
        .unwrap_err();
    assert!(error.to_string().contains("5 bytes where 4"), "{error}");
}

#[test]
fn a_long_download_is_synced_while_it_grows() {
    let (directory, mut store) = begun(2, Options::default().sync_every(64 << 10));
    let (bodies, wakeups) = (store.bodies(), store.wakeups());
    let chunk = vec![7; 1 << 10];
    let mut long = bodies.open_writer(body(0, 0, 1), 0).unwrap();
    for _ in 0..64 {
        long.write(&chunk).unwrap();
    }
    // As the store thread does.
    await_wakeup(&wakeups);
    store.commit(&[]).unwrap();
    long.write(b"tail").unwrap();
    write(&*bodies, body(0, 1, 1), 0, b"short");
    drop((store, bodies, long));
    let fetch = loaded(&directory, REBOOTED);
    assert_eq!(fetch.records[0].stored, 64 << 10);
    assert_eq!(fetch.records[1].stored, 0);
}

#[test]
fn what_a_crash_left_unsynced_is_synced_with_what_grows_later() {
    let options = || Options::default().sync_every(64 << 10).boot_id(BOOT);
    let (directory, store) = begun(2, options());
    write(&*store.bodies(), body(0, 0, 1), 0, &vec![7; 63 << 10]);
    drop(store);
    let mut store = SqliteStore::open(directory.path(), options()).unwrap();
    let (bodies, wakeups) = (store.bodies(), store.wakeups());
    write(&*bodies, body(0, 1, 1), 0, &vec![7; 2 << 10]);
    await_wakeup(&wakeups);
    store.commit(&[]).unwrap();
    drop((store, bodies));
    let fetch = loaded(&directory, REBOOTED);
    assert_eq!((fetch.records[0].stored, fetch.records[1].stored), (63 << 10, 2 << 10));
}

#[test]
fn what_was_synced_of_a_generation_says_nothing_of_the_next() {
    let (directory, mut store) = begun(1, Options::default().sync_every(64 << 10));
    let (bodies, wakeups) = (store.bodies(), store.wakeups());
    write(&*bodies, body(0, 0, 1), 0, &vec![7; 64 << 10]);
    await_wakeup(&wakeups);
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 2), head(200))]);
    write(&*bodies, body(0, 0, 2), 0, b"0123456789");
    drop((store, bodies));
    assert_eq!(loaded(&directory, REBOOTED).records[0].stored, 0);
}

#[test]
fn bodies_that_finish_are_synced_together_in_the_background() {
    let (directory, mut store) = begun(5, Options::default().sync_every(64 << 10));
    let (bodies, wakeups) = (store.bodies(), store.wakeups());
    let chunk = vec![7; 16 << 10];
    for n in 0..4 {
        write(&*bodies, body(0, n, 1), 0, &chunk);
    }
    await_wakeup(&wakeups);
    store.commit(&[]).unwrap();
    write(&*bodies, body(0, 4, 1), 0, b"later");
    drop((store, bodies));
    let fetch = loaded(&directory, REBOOTED);
    let lengths: Vec<u64> = fetch.records.iter().map(|record| record.stored).collect();
    assert_eq!(lengths, [16 << 10, 16 << 10, 16 << 10, 16 << 10, 0]);
}
