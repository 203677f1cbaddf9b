//! Bodies: writing, reading, exporting and deleting them.

use std::fs;
use std::io;

use bgfetch_model::ids::FetchKey;
use bgfetch_model::store_op::{StoreOp, Sync, Transaction};
#[cfg(all(feature = "recording", unix))]
use bgfetch_store::Options;
use bgfetch_store::{Bodies, Handover, SqliteStore, Store, StoreError, remove_interrupted_copies};

use crate::fixture::*;

/// Runs a test over files and over an ephemeral store.
fn with_both(test: impl Fn(&dyn Bodies)) {
    let directory = tempfile::tempdir().unwrap();
    test(&*open(directory.path()).bodies());
    test(&*SqliteStore::ephemeral().unwrap().bodies());
}

#[test]
fn a_writer_goes_on_at_its_offset_and_keeps_what_is_beyond() {
    with_both(|bodies| {
        let key = body(1, 0, 1);
        write(bodies, key, 0, b"0123456789");
        write(bodies, key, 10, b"ab");
        assert_eq!(read(bodies, key), b"0123456789ab");
        write(bodies, key, 4, b"45");
        assert_eq!(read(bodies, key), b"0123456789ab");
        assert!(matches!(bodies.open_writer(key, 13), Err(StoreError::Misuse(_))));
    });
}

#[test]
fn a_reader_sees_a_body_grow_that_had_not_begun() {
    with_both(|bodies| {
        let key = body(1, 0, 1);
        let reader = bodies.open_reader(key).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(reader.read_at(0, &mut buffer).unwrap(), 0);
        write(bodies, key, 0, b"begun");
        assert_eq!(reader.length().unwrap(), 5);
        assert_eq!(reader.read_at(2, &mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"gun");
    });
}

#[test]
fn request_bodies_are_apart_from_responses() {
    with_both(|bodies| {
        let error = bodies.open_request_body(record(1, 0)).err().unwrap();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
        for text in [&b"a longer upload"[..], b"upload"] {
            let mut writer = bodies.create_request_body(record(1, 0)).unwrap();
            writer.write(text).unwrap();
        }
        write(bodies, body(1, 0, 1), 0, b"response");
        let reader = bodies.open_request_body(record(1, 0)).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(reader.read_at(0, &mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"upload");
    });
}

#[test]
fn offsets_beyond_four_gibibytes_are_right() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let bodies = store.bodies();
    let key = body(1, 0, 1);
    let offset = (4 << 30) + 5;
    write(&*bodies, key, 0, b"x");
    let path = directory.path().join("bodies/1/0.1");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(offset).unwrap();
    write(&*bodies, key, offset, b"end");
    let mut buffer = [0; 3];
    let reader = bodies.open_reader(key).unwrap();
    assert_eq!(reader.read_at(offset, &mut buffer).unwrap(), 3);
    assert_eq!(&buffer, b"end");
}

#[test]
fn files_go_with_the_commit_that_ends_them_and_open_readers_keep_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let bodies = store.bodies();
    let generation = |n| [StoreOp::OpenGeneration(body(0, 0, n), head(200))];
    commit(&mut store, insert(0, 1));
    commit(&mut store, generation(1));
    write(&*bodies, body(0, 0, 1), 0, b"first");
    let first = bodies.open_reader(body(0, 0, 1)).unwrap();
    commit(&mut store, generation(2));
    write(&*bodies, body(0, 0, 2), 0, b"second");
    assert_eq!(body_files(directory.path()), ["0", "0/0.2"]);

    let second = bodies.open_reader(body(0, 0, 2)).unwrap();
    commit(&mut store, [StoreOp::EndDelivery(FetchKey(0))]);
    assert!(body_files(directory.path()).is_empty());
    for (reader, bytes) in [(first, &b"first"[..]), (second, b"second")] {
        let mut buffer = [0; 8];
        let read = reader.read_at(0, &mut buffer).unwrap();
        assert_eq!(&buffer[..read], bytes);
    }
}

#[test]
fn a_generation_that_is_opened_again_keeps_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    write(&*store.bodies(), body(0, 0, 1), 0, b"bytes");
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(206))]);
    assert_eq!(read(&*store.bodies(), body(0, 0, 1)), b"bytes");
}

/// What is not there is empty, but an error is no absence.
#[test]
fn an_error_of_the_file_system_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    assert_eq!(store.load().unwrap().fetches[0].records[0].stored, 0);
    // A file where there should be the folder of the fetch.
    fs::write(directory.path().join("bodies/0"), b"").unwrap();
    let is_told = |result: Result<(), StoreError>| match result {
        Err(StoreError::Io { source, .. }) => source.kind() == io::ErrorKind::NotADirectory,
        _ => false,
    };
    let bodies = store.bodies();
    assert!(is_told(store.load().map(drop)));
    assert!(is_told(bodies.open_writer(body(0, 0, 1), 0).map(drop)));
    assert!(is_told(bodies.open_reader(body(0, 0, 1)).map(drop)));
    assert!(is_told(bodies.create_request_body(record(0, 0)).map(drop)));
    assert!(is_told(bodies.open_request_body(record(0, 0)).map(drop)));
    let requests = Transaction { ops: vec![], syncs: vec![Sync::RequestBodies(FetchKey(0))] };
    assert!(is_told(store.commit(&[requests])));
}

#[cfg(unix)]
#[test]
fn an_export_that_cannot_be_synced_is_told() {
    with_both(|bodies| {
        for found in [false, true] {
            let parent = tempfile::tempdir().unwrap();
            let out = parent.path().join("out");
            fs::create_dir(&out).unwrap();
            write(bodies, body(1, 0, 1), 0, b"bytes");
            if found {
                bodies.found_exported(FetchKey(2), &out.join("a"));
            } else {
                bodies.export(body(1, 0, 1), 5, &out.join("a"), Handover::Copy).unwrap();
            }
            fs::remove_dir_all(&out).unwrap();
            std::os::unix::fs::symlink(&out, &out).unwrap();
            let fetch = FetchKey(if found { 2 } else { 1 });
            assert!(bodies.sync_exports(fetch).is_err());
            fs::remove_file(&out).unwrap();
            assert!(bodies.sync_exports(fetch).is_ok(), "nothing is there that could be lost");
        }
    });
}

#[cfg(all(feature = "recording", unix))]
#[test]
fn without_links_bodies_are_copied() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = bgfetch_store::recording::Recorder::without_links(directory.path());
    let options = Options::default().boot_id(BOOT).file_system(recorder);
    let mut store = SqliteStore::open(&directory.path().join("store"), options).unwrap();
    let bodies = store.bodies();
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    write(&*bodies, body(0, 0, 1), 0, b"film");
    let out = directory.path().join("out");
    bodies.export(body(0, 0, 1), 4, &out, Handover::Link).unwrap();
    assert_eq!(fs::read(&out).unwrap(), b"film");
    let again = bodies.export(body(0, 0, 1), 4, &out, Handover::Link).unwrap_err();
    assert_eq!(io::Error::from(again).kind(), io::ErrorKind::AlreadyExists);
    commit_synced(&mut store, 0, [fail_record(record(0, 0), 4), settle(0, Ok(()))]);
    commit(&mut store, [StoreOp::HoldRecords(FetchKey(0))]);
    let adopted = StoreOp::Adopt { from: record(0, 0), to: record(1, 0) };
    let inserted = StoreOp::InsertFetch(Box::new(new_fetch(1, 0, 1)));
    commit(&mut store, [inserted, adopted, StoreOp::EndDelivery(FetchKey(0))]);
    assert_eq!(read(&*bodies, body(1, 0, 1)), b"film");
}

#[test]
fn a_batch_that_fails_deletes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let bodies = store.bodies();
    let generation = |n| StoreOp::OpenGeneration(body(0, 0, n), head(200));
    commit(&mut store, insert(0, 2));
    commit(&mut store, [generation(1)]);
    write(&*bodies, body(0, 0, 1), 0, b"kept");
    let unknown = StoreOp::InsertFetch(Box::new(new_fetch(1, 9, 1)));
    for op in [generation(2), StoreOp::Forget(FetchKey(0))] {
        let batch = [transaction([op, unknown.clone()])];
        assert!(store.commit(&batch).is_err());
        assert_eq!(body_files(directory.path()), ["0", "0/0.1"]);
    }
}

#[test]
fn forgetting_and_unregistering_delete_only_their_own_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let bodies = store.bodies();
    commit(&mut store, [0, 1].map(|n| StoreOp::PutRegistration(registration(n))));
    for (key, of) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let fetch = StoreOp::InsertFetch(Box::new(new_fetch(key, of, 1)));
        commit(&mut store, [fetch, StoreOp::OpenGeneration(body(key, 0, 1), head(200))]);
        write(&*bodies, body(key, 0, 1), 0, b"x");
        bodies.create_request_body(record(key, 0)).unwrap();
    }
    commit(&mut store, [StoreOp::RemoveRegistration(registration(1))]);
    commit(&mut store, [StoreOp::Forget(FetchKey(0))]);
    let files = body_files(directory.path());
    assert_eq!(files, ["1", "1/0.1", "1/0.request"]);
}

#[test]
fn a_body_is_handed_over_whole_under_its_name() {
    with_both(|bodies| {
        let out = tempfile::tempdir().unwrap();
        let key = body(1, 0, 1);
        let bytes: Vec<u8> = (0..600_000u32).map(|n| n as u8).collect();
        write(bodies, key, 0, &bytes);
        for (count, how) in [(1, Handover::Copy), (2, Handover::Link), (3, Handover::Link)] {
            let to = out.path().join(count.to_string());
            bodies.export(key, 600_000, &to, how).unwrap();
            assert_eq!(fs::read(&to).unwrap(), bytes);
            assert_eq!(read(bodies, key), bytes, "the store keeps the body");
            let names = fs::read_dir(out.path()).unwrap().count();
            assert_eq!(names, count, "no temporary file is left");
        }
        let absent = out.path().join("absent/a.bin");
        for how in [Handover::Copy, Handover::Link] {
            let error = bodies.export(key, 600_000, &absent, how).unwrap_err();
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
        }
        let error = bodies.export(key, 600_001, &out.path().join("b"), Handover::Copy).unwrap_err();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::UnexpectedEof);
        assert!(!out.path().join("b").exists());
    });
}

#[test]
fn what_has_the_name_already_is_never_replaced() {
    with_both(|bodies| {
        let out = tempfile::tempdir().unwrap();
        let (file, folder) = (out.path().join("file"), out.path().join("folder"));
        fs::write(&file, b"the user's own").unwrap();
        fs::create_dir(&folder).unwrap();
        let mut there = vec![file.clone(), folder];
        #[cfg(unix)]
        {
            let nowhere = out.path().join("nowhere");
            std::os::unix::fs::symlink(out.path().join("absent"), &nowhere).unwrap();
            there.push(nowhere);
        }
        let key = body(1, 0, 1);
        write(bodies, key, 0, b"bytes");
        for (to, how) in
            there.iter().flat_map(|to| [Handover::Copy, Handover::Link].map(|how| (to, how)))
        {
            let error = bodies.export(key, 5, to, how).unwrap_err();
            let kind = io::Error::from(error).kind();
            assert_eq!(kind, io::ErrorKind::AlreadyExists, "{} {how:?}", to.display());
        }
        assert_eq!(fs::read(&file).unwrap(), b"the user's own");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), there.len(), "nothing is left");
    });
}

#[test]
fn what_killed_copies_left_is_removed_and_a_copy_at_work_stays() {
    let out = tempfile::tempdir().unwrap();
    let (left, held) = (out.path().join(".bgfetch-left"), out.path().join(".bgfetch-held"));
    let other = out.path().join("bgfetch-notes");
    for path in [&left, &held, &other] {
        fs::write(path, b"bytes").unwrap();
    }
    let at_work = fs::File::open(&held).unwrap();
    at_work.lock().unwrap();
    remove_interrupted_copies(out.path());
    assert!(!left.exists() && held.exists() && other.exists());
    drop(at_work);
    remove_interrupted_copies(out.path());
    assert!(!held.exists() && other.exists());
}

#[cfg(unix)]
#[test]
fn a_link_takes_no_space_and_a_copy_is_the_receiver_s_own() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let bodies = store.bodies();
    write(&*bodies, body(1, 0, 1), 0, b"bytes");
    let inode = |path: &std::path::Path| fs::metadata(path).unwrap().ino();
    let stored = inode(&directory.path().join("bodies/1/0.1"));

    let out = tempfile::tempdir_in(directory.path()).unwrap();
    let (linked, copied) = (out.path().join("linked"), out.path().join("copied"));
    bodies.export(body(1, 0, 1), 5, &linked, Handover::Link).unwrap();
    bodies.export(body(1, 0, 1), 5, &copied, Handover::Copy).unwrap();
    assert_eq!(inode(&linked), stored);
    assert_ne!(inode(&copied), stored);
    fs::write(&copied, b"edited").unwrap();
    assert_eq!(read(&*bodies, body(1, 0, 1)), b"bytes");

    // As for any new file of the user, unlike a private temporary one.
    let plain = out.path().join("plain");
    fs::write(&plain, b"").unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&copied), mode(&plain));
    assert_eq!(mode(&linked), mode(&plain));
}
