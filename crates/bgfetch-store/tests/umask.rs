//! The permissions of new files under each umask. The umask belongs to the whole process, so this is
//! the only test in it.

#![cfg(unix)]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey};
use bgfetch_store::{Handover, Options, SqliteStore, Store as _};
use rustix::fs::Mode;
use rustix::process::umask;

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o777
}

/// Checks everything in a private directory but the files that also have a name outside of it.
fn check_private(path: &Path) {
    let found = path.symlink_metadata().unwrap();
    if !found.is_dir() {
        return assert!(found.nlink() > 1 || mode(path) == 0o600, "{}", path.display());
    }
    assert_eq!(mode(path), 0o700, "{}", path.display());
    for entry in fs::read_dir(path).unwrap() {
        check_private(&entry.unwrap().path());
    }
}

#[test]
fn a_store_is_private_under_every_umask_and_what_is_handed_over_follows_it() {
    let record = RecordKey { fetch: FetchKey(3), index: RecordIndex(0) };
    let body = |number| BodyKey { record, generation: Generation(number) };
    for mask in [0, 0o002, 0o022, 0o077, 0o277, 0o777] {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().join("new");
        let store = base.join("parents/store");
        let before = umask(Mode::from_raw_mode(mask));
        for time in 1..=2 {
            let mut opened = SqliteStore::open(&store, Options::default()).unwrap();
            let bodies = opened.bodies();
            bodies.create_request_body(record).unwrap().write(b"request").unwrap();
            for (number, how) in [(1, Handover::Link), (2, Handover::Copy)] {
                bodies.open_writer(body(number), 0).unwrap().write(b"body").unwrap();
                check_private(&base);
                let out = place.path().join(format!("{time}-{number}"));
                bodies.export(body(number), 4, &out, how).unwrap();
                bodies.sync_exports(record.fetch).unwrap();
                assert_eq!(mode(&out), 0o666 & !mask, "{how:?} under {mask:o}");
                // If the store could not open its own body any more, the file is a copy.
                let is_link = how == Handover::Link && mask & 0o600 == 0;
                let names = out.symlink_metadata().unwrap().nlink();
                assert_eq!(names, if is_link { 2 } else { 1 }, "{how:?} under {mask:o}");
            }
            opened.close().unwrap();
        }
        umask(before);
        // The files are there, whatever the umask says about reading them.
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 5);
        check_private(&base);
    }
}
