//! Which stores can be opened, and what happens to a store that cannot be read.

use std::fs;
use std::path::Path;

use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::store_op::StoreOp;
use bgfetch_store::{Options, SqliteStore, Store, StoreError};
use rusqlite::Connection;

use crate::fixture::*;

fn open_error(directory: &Path) -> StoreError {
    let options = Options::default().boot_id(BOOT);
    SqliteStore::open(directory, options).err().expect("opening must fail")
}

/// A store with a fetch and four bytes of its body.
fn filled(directory: &Path) {
    let mut store = open(directory);
    commit(&mut store, insert(0, 1));
    let generation = StoreOp::OpenGeneration(body(0, 0, 1), head(200));
    commit(&mut store, [generation]);
    write(&*store.bodies(), body(0, 0, 1), 0, b"kept");
    store.close().unwrap();
}

fn edit(directory: &Path, sql: &str) {
    let connection = Connection::open(directory.join("store.sqlite3")).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// Checks that the store was moved aside with its bodies, and that the next opening is empty.
fn check_set_aside(directory: &Path, error: &StoreError) {
    let StoreError::Damaged { set_aside: Some(aside), .. } = error else {
        panic!("{error}");
    };
    assert!(error.to_string().contains("nothing was deleted"), "{error}");
    assert!(aside.join("store.sqlite3").exists());
    assert_eq!(fs::read(aside.join("bodies/0/0.1")).unwrap(), b"kept");
    let snapshot = open(directory).load().unwrap();
    assert!(snapshot.fetches.is_empty());
    assert!(aside.join("store.sqlite3").exists(), "it stays");
}

#[test]
fn a_store_keeps_a_hash_key_of_its_own() {
    let keys = [(); 2].map(|()| {
        let directory = tempfile::tempdir().unwrap();
        let keys = [(); 2].map(|()| open(directory.path()).load().unwrap().hash_key);
        assert_eq!(keys[0], keys[1]);
        keys[0]
    });
    assert_ne!(keys[0], keys[1]);

    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    edit(directory.path(), "DELETE FROM meta WHERE key = 'hash_key'");
    check_set_aside(directory.path(), &open_error(directory.path()));
}

#[test]
fn a_page_that_was_stored_without_its_address_space_has_that_of_its_url() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let space = || {
        let snapshot = open(directory.path()).load().unwrap();
        let page = snapshot.fetches[0].principal.policies().unwrap();
        (page.policy_container.ip_address_space, page.ip_address_space())
    };
    assert_eq!(space(), (Some(IpAddressSpace::Loopback), IpAddressSpace::Loopback));
    let path = "$.page.policy_container.ip_address_space";
    edit(
        directory.path(),
        &format!(
            "UPDATE fetch SET principal = json_set(json_remove(principal, '{path}'), \
             '$.page.origin', 'http://10.0.0.1')"
        ),
    );
    assert_eq!(space(), (None, IpAddressSpace::Local));
}

#[test]
fn icons_that_were_stored_without_a_url_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    edit(
        directory.path(),
        r#"UPDATE fetch SET icons = '[{"src":"/a.png"},{"src":"https://a.test/b.png"}]'"#,
    );
    let snapshot = open(directory.path()).load().unwrap();
    let icons = snapshot.fetches[0].icons.iter().map(|icon| icon.src.as_str());
    assert_eq!(icons.collect::<Vec<_>>(), ["https://a.test/b.png"]);
}

#[test]
fn a_store_exists_once_it_was_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    assert!(!SqliteStore::exists(&path).unwrap());
    fs::create_dir(&path).unwrap();
    assert!(!SqliteStore::exists(&path).unwrap());
    drop(open(&path));
    assert!(SqliteStore::exists(&path).unwrap());
}

/// The system tells whether it was booted since the store was last open.
#[cfg(target_os = "linux")]
#[test]
fn without_a_reboot_all_bytes_count() {
    let directory = tempfile::tempdir().unwrap();
    let opened = || SqliteStore::open(directory.path(), Options::default()).unwrap();
    let mut store = opened();
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    write(&*store.bodies(), body(0, 0, 1), 0, b"kept");
    drop(store);
    assert_eq!(opened().load().unwrap().fetches[0].records[0].stored, 4);
}

#[test]
fn a_store_has_one_owner_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let error = open_error(directory.path());
    assert!(error.is_in_use());
    let StoreError::InUse { pid, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(pid, Some(std::process::id()));
    drop(store);
    open(directory.path());
}

#[cfg(unix)]
#[test]
fn a_directory_that_is_created_is_private() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/store");
    open(&path);
    for private in [path.clone(), path.join("bodies")] {
        let mode = fs::metadata(private).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = open_error(&file.join("store"));
    assert!(matches!(&error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("file/store"), "{error}");
}

#[test]
fn a_newer_store_is_refused_and_left_untouched() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    edit(directory.path(), "PRAGMA user_version = 77");
    let path = directory.path().join("store.sqlite3");
    let before = fs::read(&path).unwrap();
    let error = open_error(directory.path());
    assert!(error.is_newer_version());
    let text = error.to_string();
    assert!(text.contains("77") && text.contains("up to version 3"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(body_files(directory.path()), ["0", "0/0.1"]);
}

#[test]
fn a_newer_store_whose_version_is_still_in_its_log_is_left_untouched_too() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let connection = Connection::open(directory.path().join("store.sqlite3")).unwrap();
    connection.execute_batch("PRAGMA user_version = 77").unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let image = image(directory.path(), crashed.path());
    let log = image.join("store.sqlite3-wal");
    let before = fs::read(&log).unwrap();
    assert!(!before.is_empty());
    assert!(open_error(&image).is_newer_version());
    assert_eq!(fs::read(&log).unwrap(), before);
}

#[test]
fn what_is_not_a_database_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let path = directory.path().join("store.sqlite3");
    fs::write(path, vec![b'?'; 8192]).unwrap();
    check_set_aside(directory.path(), &open_error(directory.path()));
}

#[test]
fn an_empty_database_beside_bodies_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    fs::write(directory.path().join("store.sqlite3"), b"").unwrap();
    check_set_aside(directory.path(), &open_error(directory.path()));
}

#[test]
fn a_malformed_page_is_found_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    edit(directory.path(), "UPDATE meta SET value = 0 WHERE key = 'closed'");
    let path = directory.path().join("store.sqlite3");
    let connection = Connection::open(&path).unwrap();
    let root: u32 = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'fetch_of_registration'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    drop(connection);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(root as usize - 1) * 4096..][..4096].fill(0xee);
    fs::write(&path, bytes).unwrap();
    check_set_aside(directory.path(), &open_error(directory.path()));
}

#[test]
fn a_row_that_means_nothing_is_damage() {
    for sql in [
        "UPDATE record SET request = '{'",
        "UPDATE record SET response = '{\"status\": true}'",
        "UPDATE record SET result = 'meh'",
        "UPDATE record SET position = 4",
        "UPDATE record SET generation = -1",
        // There would be no key for the next fetch.
        "UPDATE meta SET value = -1 WHERE key = 'next_fetch'",
        // A new fetch would get the key of an existing one.
        "UPDATE meta SET value = 0 WHERE key = 'next_fetch'",
        "DELETE FROM meta WHERE key = 'next_fetch'",
        "UPDATE fetch SET cause = 'success'",
        "UPDATE fetch SET result = 'maybe'",
        "UPDATE fetch SET icons = '3'",
        "UPDATE registration SET scope = 'nowhere'",
        "PRAGMA foreign_keys = OFF; DELETE FROM registration",
        "PRAGMA foreign_keys = OFF; DELETE FROM fetch",
        "DROP TABLE meta; CREATE TABLE meta (key TEXT PRIMARY KEY, value); \
         INSERT INTO meta VALUES ('next_fetch', 'x')",
    ] {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        edit(directory.path(), sql);
        let error = open_error(directory.path());
        assert!(error.is_damaged(), "{sql}: {error}");
        check_set_aside(directory.path(), &error);
    }
}

#[test]
fn two_damages_are_set_aside_apart() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        filled(directory.path());
        fs::write(directory.path().join("store.sqlite3"), vec![b'?'; 512]).unwrap();
        check_set_aside(directory.path(), &open_error(directory.path()));
    }
    let aside = fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str().unwrap().starts_with("damaged-")
        })
        .count();
    assert_eq!(aside, 3);
}
