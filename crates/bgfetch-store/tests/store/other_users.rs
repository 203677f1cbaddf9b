//! Stores that other users of the machine made, changed or could read. As root, the tests give files to
//! another user; otherwise they use files that belong to root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use bgfetch_model::store_op::StoreOp;
use bgfetch_store::{
    Distrust, Handover, Options, PrivateDirectory, SqliteStore, Store, StoreError, open_own_file,
    remove_interrupted_copies,
};
use tempfile::TempDir;

use crate::fixture::*;

/// A user who never owns a store here.
const STRANGER: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

/// A store with a fetch and four bytes of its body.
fn filled() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    let mut store = open(&directory);
    commit(&mut store, insert(0, 1));
    commit(&mut store, [StoreOp::OpenGeneration(body(0, 0, 1), head(200))]);
    write(&*store.bodies(), body(0, 0, 1), 0, b"kept");
    store.close().unwrap();
    (parent, directory)
}

/// Why the store is not opened, and because of which path.
fn refusal(directory: &Path) -> (PathBuf, Distrust) {
    let opened = SqliteStore::open(directory, Options::default().boot_id(BOOT));
    let error = opened.err().expect("it must be refused");
    assert!(error.is_untrusted() && !error.to_string().contains('\n'), "{error}");
    let StoreError::Untrusted { path, why } = error else { panic!("{error}") };
    (path, why)
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_directory_of_another_user_is_refused_and_left_as_it_is() {
    if !is_root() {
        // Nobody's store is there.
        assert_eq!(refusal(Path::new("/usr")), ("/usr".into(), Distrust::Owner(0)));
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    for (name, wide) in [("theirs", 0o700), ("open", 0o777)] {
        let directory = parent.path().join(name);
        fs::create_dir(&directory).unwrap();
        set_mode(&directory, wide);
        chown(&directory, Some(STRANGER), None).unwrap();
        assert_eq!(refusal(&directory), (directory.clone(), Distrust::Owner(STRANGER)));
        assert_eq!((mode(&directory), names_in(&directory)), (wide, Vec::new()));
        // Nor is a store in it.
        let inside = directory.join("inside");
        assert_eq!(refusal(&inside), (directory.clone(), Distrust::Owner(STRANGER)));
        assert!(!inside.exists());
    }
}

#[test]
fn a_parent_that_others_can_write_to_is_refused_unless_it_is_sticky() {
    let root = tempfile::tempdir().unwrap();
    let shared = root.path().join("shared");
    let directory = shared.join("deep/store");
    fs::create_dir(&shared).unwrap();
    set_mode(&shared, 0o777);
    assert_eq!(refusal(&directory), (shared.clone(), Distrust::Writable));
    assert!(names_in(&shared).is_empty());

    set_mode(&shared, 0o1777);
    open(&directory);
    assert_eq!(mode(&directory), 0o700);
    // A link of this user to it is followed, and every directory on that way is checked, too.
    let link = root.path().join("link");
    symlink("shared/../shared/deep", &link).unwrap();
    open(&link.join("store"));
    set_mode(&shared, 0o777);
    assert_eq!(refusal(&link.join("store")), (shared, Distrust::Writable));
}

#[test]
fn a_link_of_another_user_on_the_way_is_refused() {
    if !is_root() {
        // See the rules' own tests.
        return assert!(open_own_file(Path::new("/etc/passwd")).unwrap().is_none());
    }
    let (_parent, victim) = filled();
    let shared = tempfile::tempdir().unwrap();
    let link = shared.path().join("link");
    symlink(&victim, &link).unwrap();
    open(&link);
    lchown(&link, Some(STRANGER), None).unwrap();
    assert_eq!(refusal(&link), (link, Distrust::Owner(STRANGER)));
}

#[test]
fn no_name_in_a_store_leads_out_of_it() {
    for name in [
        "lock",
        "reserve",
        "store.sqlite3",
        "store.sqlite3-wal",
        "store.sqlite3-journal",
        "bodies",
        "bodies/0",
        "bodies/0/0.1",
        "bodies/0/0.request",
    ] {
        for target in ["file", "folder", "missing"] {
            let (parent, directory) = filled();
            let victim = parent.path().join(target);
            match target {
                "file" => fs::write(&victim, "precious").unwrap(),
                "folder" => fs::create_dir(&victim).unwrap(),
                _ => {}
            }
            let planted = directory.join(name);
            if planted.is_dir() {
                fs::remove_dir_all(&planted).unwrap();
            } else if planted.exists() {
                fs::remove_file(&planted).unwrap();
            }
            symlink(&victim, &planted).unwrap();
            assert_eq!(refusal(&directory), (planted, Distrust::SymbolicLink), "{name}");
            match target {
                "file" => assert_eq!(fs::read(&victim).unwrap(), b"precious"),
                "folder" => assert!(names_in(&victim).is_empty()),
                _ => assert!(!victim.exists()),
            }
        }
    }
}

#[test]
fn a_link_below_bodies_that_is_not_ours_is_deleted_and_not_followed() {
    let (parent, directory) = filled();
    let victim = parent.path().join("victim");
    fs::create_dir_all(victim.join("7")).unwrap();
    fs::write(victim.join("7/7.7"), "precious").unwrap();
    for name in ["bodies/x", "bodies/0/x"] {
        symlink(&victim, directory.join(name)).unwrap();
    }
    let mut store = open(&directory);
    assert_eq!(body_files(&directory), ["0", "0/0.1"]);
    assert_eq!(fs::read(victim.join("7/7.7")).unwrap(), b"precious");
    assert_eq!(store.load().unwrap().fetches[0].records[0].stored, 4);
}

#[test]
fn a_link_that_appears_while_the_store_is_open_is_not_followed() {
    let (parent, directory) = filled();
    let victim = parent.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let store = open(&directory);
    for name in ["0/0.2", "0/1.request"] {
        symlink(&victim, directory.join("bodies").join(name)).unwrap();
    }
    assert!(store.bodies().open_writer(body(0, 0, 2), 0).is_err());
    assert!(store.bodies().open_reader(body(0, 0, 2)).is_err());
    assert!(store.bodies().create_request_body(record(0, 1)).is_err());
    assert!(store.bodies().open_request_body(record(0, 1)).is_err());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn another_name_of_someones_file_is_refused() {
    for name in ["lock", "store.sqlite3"] {
        let (parent, directory) = filled();
        let victim = parent.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let planted = directory.join(name);
        fs::remove_file(&planted).unwrap();
        fs::hard_link(&victim, &planted).unwrap();
        assert_eq!(refusal(&directory), (planted, Distrust::HardLink));
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
    let (_parent, directory) = filled();
    fs::remove_file(directory.join("lock")).unwrap();
    fs::create_dir(directory.join("lock")).unwrap();
    assert_eq!(refusal(&directory), (directory.join("lock"), Distrust::Kind));
}

#[test]
fn what_another_user_put_into_a_store_is_refused() {
    if !is_root() {
        // See the rules' own tests.
        return assert_eq!(refusal(Path::new("/usr/bin")).1, Distrust::Owner(0));
    }
    for name in ["store.sqlite3", "control.sock", "bodies", "bodies/0", "bodies/0/0.1"] {
        let (_parent, directory) = filled();
        let planted = directory.join(name);
        if !planted.exists() {
            fs::write(&planted, "").unwrap();
        }
        chown(&planted, Some(STRANGER), None).unwrap();
        for _ in 0..2 {
            assert_eq!(refusal(&directory), (planted.clone(), Distrust::Planted(STRANGER)));
        }
    }
}

#[test]
fn a_store_that_others_could_read_becomes_private_and_keeps_its_contents() {
    let (_parent, directory) = filled();
    let mut inside = vec![directory.join("bodies"), directory.join("bodies/0")];
    for folder in [&directory, &inside[0], &inside[1]] {
        set_mode(folder, 0o755);
    }
    let files = ["lock", "reserve", "store.sqlite3", "bodies/0/0.1"];
    for file in files {
        set_mode(&directory.join(file), 0o644);
    }
    assert!(PrivateDirectory::open(&directory).unwrap().was_exposed());
    assert!(!PrivateDirectory::open(&directory).unwrap().was_exposed());
    let mut store = open(&directory);
    assert_eq!(store.load().unwrap().fetches[0].records[0].stored, 4);
    commit(&mut store, insert(1, 1));
    inside.push(directory.clone());
    for folder in inside {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    for file in files.into_iter().chain(["store.sqlite3-wal"]) {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_new_directory_that_others_could_write_to_becomes_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o1777);
    assert!(!PrivateDirectory::open(&directory).unwrap().was_exposed(), "it is empty");
    assert_eq!(mode(&directory), 0o700);
}

#[test]
fn a_database_of_the_embedder_is_created_for_its_user_alone() {
    let parent = tempfile::tempdir().unwrap();
    let directory = PrivateDirectory::open(&parent.path().join("state")).unwrap();
    let path = directory.database("cache.sqlite3").unwrap();
    assert_eq!(path, directory.path().join("cache.sqlite3"));
    assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, Vec::new()));
    fs::write(&path, "rows").unwrap();
    directory.database("cache.sqlite3").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"rows");
}

#[test]
fn what_others_could_write_to_is_refused_for_good() {
    for name in ["store.sqlite3", "bodies", "bodies/0/0.1"] {
        let (_parent, directory) = filled();
        for folder in ["", "bodies", "bodies/0"] {
            set_mode(&directory.join(folder), 0o755);
        }
        let exposed = directory.join(name);
        set_mode(&exposed, 0o777);
        for _ in 0..2 {
            assert_eq!(refusal(&directory), (exposed.clone(), Distrust::Tampered));
        }
    }
    // Others could not reach it.
    let (_parent, directory) = filled();
    set_mode(&directory.join("store.sqlite3"), 0o666);
    open(&directory);
}

#[test]
fn a_file_that_was_handed_over_keeps_its_permissions() {
    let (parent, directory) = filled();
    let out = parent.path().join("out");
    let store = open(&directory);
    let body = (directory.join("bodies/0/0.1"), body(0, 0, 1));
    assert_eq!(mode(&body.0), 0o600);
    store.bodies().export(body.1, 4, &out, Handover::Link).unwrap();
    drop(store);
    let expected = 0o666 & mode(&out);
    set_mode(&out, 0o664);
    drop(open(&directory));
    assert_eq!((mode(&out), expected & 0o600), (0o664, 0o600));
    fs::remove_file(&out).unwrap();
    open(&directory);
    assert_eq!(mode(&body.0), 0o600, "it is the store's alone again");
}

#[test]
fn in_a_shared_folder_only_files_of_this_user_are_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("target"), "").unwrap();
    symlink("target", path(".bgfetch-link")).unwrap();
    fs::create_dir(path(".bgfetch-folder")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path(".bgfetch-socket")).unwrap();
    assert!(
        std::process::Command::new("mkfifo").arg(path(".bgfetch-pipe")).status().unwrap().success()
    );
    for name in [".bgfetch-own", ".bgfetch-theirs"] {
        fs::write(path(name), "").unwrap();
    }
    if is_root() {
        chown(path(".bgfetch-theirs"), Some(STRANGER), None).unwrap();
    } else {
        fs::remove_file(path(".bgfetch-theirs")).unwrap();
        assert!(open_own_file(Path::new("/etc/passwd")).unwrap().is_none());
    }
    for name in ["link", "folder", "socket", "pipe"] {
        assert!(open_own_file(&path(&format!(".bgfetch-{name}"))).unwrap().is_none(), "{name}");
    }
    remove_interrupted_copies(folder.path());
    let mut left = names_in(folder.path());
    left.sort();
    let mut expected =
        vec![".bgfetch-folder", ".bgfetch-link", ".bgfetch-pipe", ".bgfetch-socket", "target"];
    if is_root() {
        expected.insert(4, ".bgfetch-theirs");
    }
    assert_eq!(left, expected);
}
