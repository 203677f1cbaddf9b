//! What a loss of power at each sync leaves, as the recording file system rebuilds it.

use std::path::Path;

use bgfetch_model::ids::FetchKey;
use bgfetch_model::store_op::{StoreOp, StoredFetch};
use bgfetch_store::recording::{Loss, Recorder};
use bgfetch_store::{Handover, Options, SqliteStore, Store};
use tempfile::TempDir;

use crate::fixture::*;

/// Used instead of the 32 MiB that may wait for a sync.
const EVERY: u64 = 32 << 10;

const STORE: &str = "new/folder/store";

/// A store below a directory whose operations are recorded.
fn recorded() -> (TempDir, Recorder, SqliteStore) {
    let base = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(base.path());
    let store = open_recorded(base.path(), &recorder, BOOT);
    (base, recorder, store)
}

fn open_recorded(base: &Path, recorder: &Recorder, boot: &str) -> SqliteStore {
    let options = Options::default().boot_id(boot).file_system(recorder.clone());
    SqliteStore::open(&base.join(STORE), options.sync_every(EVERY)).unwrap()
}

/// Calls `check` with what the next start finds if the power fails.
fn after_power_loss(
    recorder: &Recorder,
    moment: usize,
    check: impl Fn(&StoredFetch, &SqliteStore),
) {
    for loss in Loss::each(moment as u64) {
        println!("moment {moment}, {loss:?}");
        let image = tempfile::tempdir().unwrap();
        recorder.image(moment, image.path(), loss);
        let mut store = open_after_boot(&image.path().join(STORE), "after the loss");
        let fetches = store.load().unwrap().fetches;
        check(&fetches[0], &store);
    }
}

fn contents(length: u64) -> Vec<u8> {
    (0..length).map(|n| (n / 7) as u8).collect()
}

#[test]
fn a_long_download_loses_no_more_than_waits_and_arrives_while_it_is_synced() {
    let (_base, recorder, mut store) = recorded();
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    let wakeups = store.wakeups();
    let mut writer = store.bodies().open_writer(body(0, 0, 1), 0).unwrap();
    let bytes = contents(7 * EVERY);
    let mut lengths = vec![(recorder.now(), 0)];
    for chunk in bytes.chunks(EVERY as usize) {
        writer.write(chunk).unwrap();
        lengths.push((recorder.now(), writer.length()));
        await_wakeup(&wakeups);
        store.commit(&[]).unwrap();
    }
    let start = lengths[0].0;
    for moment in recorder.sync_boundaries().into_iter().filter(|moment| *moment >= start) {
        let written = lengths.iter().rev().find(|(at, _)| *at <= moment).unwrap().1;
        after_power_loss(&recorder, moment, |fetch, store| {
            let stored = fetch.records[0].stored;
            assert!(stored + 2 * EVERY >= written, "{stored} of {written} bytes are left");
            let left = read(&*store.bodies(), body(0, 0, fetch.records[0].generation.0));
            assert!(left == bytes[..stored as usize], "they are the bytes that were written");
        });
    }
    after_power_loss(&recorder, recorder.now(), |fetch, _| {
        assert_eq!(fetch.records[0].stored, 7 * EVERY, "all was synced");
    });
}

#[test]
fn the_names_of_a_long_download_are_synced_once() {
    let (_base, recorder, mut store) = recorded();
    commit(&mut store, insert(0, 2));
    let wakeups = store.wakeups();
    let mut steps = Vec::new();
    for (index, generation) in [(0, 1), (0, 2), (1, 1)] {
        let body = body(0, index, generation);
        commit(&mut store, [StoreOp::OpenGeneration(body, head(200))]);
        let mut writer = store.bodies().open_writer(body, 0).unwrap();
        for chunk in contents(3 * EVERY).chunks(EVERY as usize) {
            let before = recorder.now();
            writer.write(chunk).unwrap();
            await_wakeup(&wakeups);
            store.commit(&[]).unwrap();
            steps.push(recorder.now() - before);
        }
    }
    // A write, the sync of the file and the commit; and for a new name, the sync of its folder.
    // Only the first one's folder is new, too.
    assert_eq!(steps, [5, 3, 3, 4, 3, 3, 4, 3, 3]);
    after_power_loss(&recorder, recorder.now(), |fetch, store| {
        for (index, record) in (0..).zip(&fetch.records) {
            assert_eq!(record.stored, 3 * EVERY);
            let left = read(&*store.bodies(), body(0, index, record.generation.0));
            assert!(left == contents(3 * EVERY));
        }
    });
}

#[test]
fn an_adopted_body_has_its_new_name_before_the_old_one_is_deleted() {
    let (_base, recorder, mut store) = recorded();
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    write(&*store.bodies(), body(0, 0, 1), 0, b"film");
    commit_synced(&mut store, 0, [fail_record(record(0, 0), 4), settle(0, Ok(()))]);
    commit(&mut store, [StoreOp::HoldRecords(FetchKey(0))]);
    let inserted = StoreOp::InsertFetch(Box::new(new_fetch(1, 0, 1)));
    let adopted = StoreOp::Adopt { from: record(0, 0), to: record(1, 0) };
    commit(&mut store, [inserted, adopted, StoreOp::EndDelivery(FetchKey(0))]);
    after_power_loss(&recorder, recorder.now(), |_, store| {
        assert_eq!(read(&*store.bodies(), body(1, 0, 1)), b"film");
    });
}

#[test]
fn without_a_thread_the_write_that_is_due_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default().boot_id(BOOT).sync_every(EVERY).inline();
    let mut store = SqliteStore::open(directory.path(), options).unwrap();
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    let wakeups = store.wakeups();
    write(&*store.bodies(), body(0, 0, 1), 0, &contents(EVERY - 1));
    assert!(wakeups.try_recv().is_err());
    write(&*store.bodies(), body(0, 0, 1), EVERY - 1, &contents(1));
    assert!(wakeups.try_recv().is_ok());
}

#[test]
fn small_bodies_cost_no_sync_of_their_own() {
    let (_base, recorder, mut store) = recorded();
    commit(&mut store, insert(0, 10));
    let before = recorder.now();
    for n in 0..10 {
        commit(&mut store, [StoreOp::OpenGeneration(body(0, n, 1), head(200))]);
        write(&*store.bodies(), body(0, n, 1), 0, &contents(EVERY / 11));
        commit(&mut store, [settle_record(record(0, n), EVERY / 11)]);
    }
    let later = recorder.sync_boundaries().into_iter().filter(|moment| *moment > before);
    assert_eq!(later.collect::<Vec<_>>(), [recorder.now()], "no more than the end");
}

#[test]
fn a_new_store_is_found_again_although_its_parents_are_new() {
    let (_base, recorder, mut store) = recorded();
    commit(&mut store, insert(0, 1));
    after_power_loss(&recorder, recorder.now(), |fetch, _| assert_eq!(fetch.key.0, 0));
}

#[test]
fn the_copy_that_replaces_a_linked_body_has_the_bytes_that_are_vouched_for() {
    let (base, recorder, mut store) = recorded();
    let bytes = contents(EVERY + 100);
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    write(&*store.bodies(), body(0, 0, 1), 0, &bytes[..EVERY as usize]);
    await_wakeup(&store.wakeups());
    store.commit(&[]).unwrap();
    write(&*store.bodies(), body(0, 0, 1), EVERY, &bytes[EVERY as usize..]);
    let out = base.path().join("out");
    store.bodies().export(body(0, 0, 1), EVERY + 100, &out, Handover::Link).unwrap();
    drop(store);
    // The reboot truncates the store's body to what is synced, and does not change the receiver's
    // file.
    let before = recorder.now();
    drop(open_recorded(base.path(), &recorder, "second boot"));
    for moment in before..=recorder.now() {
        after_power_loss(&recorder, moment, |fetch, store| {
            assert_eq!(fetch.records[0].stored, EVERY);
            assert!(read(&*store.bodies(), body(0, 0, 1)) == bytes[..EVERY as usize]);
        });
    }
}

#[test]
fn files_that_are_handed_over_are_on_disk_once_the_records_are_held() {
    let (base, recorder, mut store) = recorded();
    let begun = [StoreOp::OpenGeneration(body(0, 0, 1), head(200))];
    commit(&mut store, insert(0, 1).into_iter().chain(begun));
    write(&*store.bodies(), body(0, 0, 1), 0, b"bytes");
    commit_synced(&mut store, 0, [settle_record(record(0, 0), 5), settle(0, Ok(()))]);
    let out = base.path().join("out");
    store.bodies().export(body(0, 0, 1), 5, &out, Handover::Link).unwrap();
    commit_synced(&mut store, 0, [StoreOp::HoldRecords(FetchKey(0))]);
    let image = tempfile::tempdir().unwrap();
    recorder.image(recorder.now(), image.path(), Loss::UnsyncedAndNames);
    assert_eq!(std::fs::read(image.path().join("out")).unwrap(), b"bytes");
}

#[test]
fn files_that_are_handed_over_cost_one_sync_of_their_folder_once_their_fetch_has_settled() {
    let (base, recorder, mut store) = recorded();
    commit(&mut store, insert(0, 20));
    for n in 0..20 {
        commit(&mut store, [StoreOp::OpenGeneration(body(0, n, 1), head(200))]);
        write(&*store.bodies(), body(0, n, 1), 0, b"bytes");
        commit(&mut store, [settle_record(record(0, n), 5)]);
    }
    commit(&mut store, [settle(0, Ok(()))]);
    let before = recorder.now();
    for n in 0..20 {
        let to = base.path().join(n.to_string());
        store.bodies().export(body(0, n, 1), 5, &to, Handover::Link).unwrap();
    }
    for _ in 0..2 {
        store.bodies().sync_exports(FetchKey(0)).unwrap();
    }
    let last = recorder.now();
    let syncs = recorder.sync_boundaries().into_iter().filter(|moment| *moment > before);
    assert_eq!(syncs.collect::<Vec<_>>(), [last - 1, last]);
    let image = tempfile::tempdir().unwrap();
    recorder.image(last, image.path(), Loss::UnsyncedAndNames);
    for n in 0..20 {
        assert_eq!(std::fs::read(image.path().join(n.to_string())).unwrap(), b"bytes");
    }
}
