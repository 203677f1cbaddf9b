//! Opens a database: locks it, checks it, and moves it aside if it is damaged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bgfetch_model::ids::BodyKey;
use bgfetch_model::store_op::Snapshot;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::schema::{DATABASE, MIGRATIONS, migrate, version};
use super::{load, recover};
use crate::bodies::folder::BodyFolder;
use crate::file_system::{FileSystem, Open, create_directories};
use crate::private::PrivateDirectory;
use crate::sync::{sync_directory, sync_path};
use crate::{StoreError, lock, reserve};

/// The prefix of the names of the folders for damaged stores.
const SET_ASIDE: &str = "damaged-";

/// The size of the cache of prepared statements. There are fewer statements.
const STATEMENTS: usize = 32;

/// The oldest SQLite that can read the schema: it introduced `STRICT`.
const OLDEST_SQLITE: i32 = 3_037_000;

/// Refuses the system's SQLite if it is too old. It would report a store that it cannot read as
/// damaged, which then would be moved aside.
fn check_library(version: i32) -> Result<(), StoreError> {
    if version >= OLDEST_SQLITE {
        return Ok(());
    }
    let name = |number: i32| format!("{}.{}", number / 1_000_000, number / 1000 % 1000);
    let (found, oldest) = (name(version), name(OLDEST_SQLITE));
    Err(StoreError::Database(format!("SQLite {found} is older than {oldest}").into()))
}

/// Checks the directory and the store's files in it, or creates the directory.
pub(super) fn private_directory(
    files: &dyn FileSystem,
    directory: &Path,
) -> Result<PrivateDirectory, StoreError> {
    let directory = PrivateDirectory::open_in(files, directory)?;
    directory.check_file(lock::NAME)?;
    directory.check_file(reserve::NAME)?;
    directory.check_database(DATABASE)?;
    Ok(directory)
}

/// A database in memory.
pub(super) fn in_memory() -> Result<Connection, StoreError> {
    check_library(rusqlite::version_number())?;
    let mut connection = Connection::open_in_memory()?;
    configure(&connection)?;
    migrate(&mut connection, MIGRATIONS)?;
    Ok(connection)
}

/// A database, what is in it, and how many bytes of which bodies may not be on disk.
type Recovered = (Connection, Snapshot, Vec<(BodyKey, u64)>);

/// Opens the database, recovers the store and reads it. A damaged store is moved aside.
pub(super) fn recovered(
    directory: &Path,
    bodies: &BodyFolder,
    boot_id: Option<&str>,
) -> Result<Recovered, StoreError> {
    let opened = connect(directory, bodies).and_then(|mut connection| {
        let mut snapshot = load::snapshot(&connection, &|_| Ok(0))?;
        let unsynced = recover::recover(&mut connection, bodies, boot_id, &mut snapshot)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        bodies.files().committed(directory, true);
        Ok((connection, snapshot, unsynced))
    });
    match opened {
        Err(StoreError::Damaged { reason, .. }) => {
            Err(StoreError::Damaged { set_aside: Some(set_aside(directory, bodies)?), reason })
        }
        other => other,
    }
}

fn connect(directory: &Path, bodies: &BodyFolder) -> Result<Connection, StoreError> {
    check_library(rusqlite::version_number())?;
    bodies.check()?;
    sync_set_aside(bodies.files(), directory)?;
    let path = directory.join(DATABASE);
    // SQLite gives the other files the permissions of this one, whatever the umask.
    let created = bodies.files().open(&path, Open::Create);
    created.map_err(|error| StoreError::io(&path, error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags)?;
    // The log stays as it is until the store was read: a newer version's must not be changed, and a
    // damaged store's may help to repair it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // The lock file already keeps others out. Exclusive mode avoids the shared memory file, whose
    // mapping would crash the process on a full disk.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let found = version(&connection)?;
    let supported = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > supported {
        return Err(StoreError::NewerVersion { path, found, supported });
    }
    if found == 0 && !bodies.fetches()?.is_empty() {
        return Err(StoreError::damaged("it is empty, but there are bodies"));
    }
    configure(&connection)?;
    let files = bodies.files();
    if found == 0 {
        sync_path(files, directory).map_err(|error| StoreError::io(directory, error))?;
    }
    // A new database must be on disk before the first body is: see the check above.
    set_synchronous(&connection, true)?;
    migrate(&mut connection, MIGRATIONS)?;
    create_directories(files, bodies.root())
        .map_err(|error| StoreError::io(bodies.root(), error))?;
    sync_directory(files, directory)?;
    files.committed(directory, true);
    if !recover::was_closed(&connection)? {
        quick_check(&connection)?;
    }
    Ok(connection)
}

/// Sets whether commits sync the write-ahead log. Call it between transactions only.
pub(super) fn set_synchronous(connection: &Connection, synchronous: bool) -> rusqlite::Result<()> {
    let mode = if synchronous { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", mode)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // What is deleted no longer counts to a site's quota, so its pages must not stay in the file.
    // It has an effect only on a new database.
    connection.pragma_update(None, "auto_vacuum", "FULL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // On macOS, an ordinary sync leaves bytes in the cache of the disk. Elsewhere it changes nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The size in bytes to which the log is truncated after a large transaction.
    connection.pragma_update(None, "journal_size_limit", 4 << 20)
}

/// Checks the database for damage after a crash, before it is used.
fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(());
    }
    Err(StoreError::damaged(answer))
}

/// Moves the database and the bodies into a new folder beside them, and returns its path.
fn set_aside(directory: &Path, bodies: &BodyFolder) -> Result<PathBuf, StoreError> {
    let files = bodies.files();
    let aside = new_folder(files, directory)?;
    // Some file systems may keep the removal of the old names below, but not this one.
    sync_directory(files, directory)?;
    let database = directory.join(DATABASE);
    let with_suffix = |suffix: &str| {
        let mut path = database.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    // The database goes last: while it is there, the next start finds the damage again.
    let parts =
        [bodies.root().to_owned(), with_suffix("-shm"), with_suffix("-wal"), database.clone()];
    for part in parts {
        let Some(name) = part.file_name() else {
            continue;
        };
        match files.rename(&part, &aside.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(part, error));
            }
            _ => {}
        }
    }
    // The new names first: a file with neither name on disk would be lost.
    sync_directory(files, &aside)?;
    sync_directory(files, directory)?;
    Ok(aside)
}

/// Brings the names in the folders of damaged stores to disk. A process may have died before it did
/// that, and the next sync of the store's own folder may remove the old names.
fn sync_set_aside(files: &dyn FileSystem, directory: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io(directory, error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(SET_ASIDE.as_bytes()) {
            sync_directory(files, &entry.path())?;
        }
    }
    Ok(())
}

fn new_folder(files: &dyn FileSystem, directory: &Path) -> Result<PathBuf, StoreError> {
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for second in now.. {
        let path = directory.join(format!("{SET_ASIDE}{second}"));
        match files.create_directory(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io(path, error)),
        }
    }
    Err(StoreError::io(directory, io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_library_that_is_too_old_is_told_apart_from_a_damaged_store() {
        assert!(check_library(OLDEST_SQLITE).is_ok() && check_library(3_053_001).is_ok());
        for (version, text) in [
            (3_036_000, "the store's database failed: SQLite 3.36 is older than 3.37"),
            (3_008_011, "the store's database failed: SQLite 3.8 is older than 3.37"),
        ] {
            let error = check_library(version).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.is_damaged()), (text, false));
        }
    }

    #[test]
    fn a_commit_syncs_the_log_only_if_it_is_asked_to() {
        let connection = in_memory().unwrap();
        for (synchronous, level) in [(true, 2), (false, 1), (true, 2)] {
            set_synchronous(&connection, synchronous).unwrap();
            let found = connection.pragma_query_value(None, "synchronous", |row| row.get(0));
            assert_eq!(found, Ok::<i32, _>(level));
        }
        let full = connection.pragma_query_value(None, "fullfsync", |row| row.get(0));
        assert_eq!(full, Ok::<bool, _>(true));
    }

    #[test]
    fn the_log_is_truncated_to_4_mib() {
        let connection = in_memory().unwrap();
        let limit = connection.pragma_query_value(None, "journal_size_limit", |row| row.get(0));
        assert_eq!(limit, Ok::<i64, _>(4_194_304));
    }

    /// Fails at one kind of operation.
    #[derive(Debug)]
    struct Fails {
        create: bool,
    }

    impl FileSystem for Fails {
        fn create_directory(&self, path: &Path) -> io::Result<()> {
            if self.create { Err(io::ErrorKind::StorageFull.into()) } else { fs::create_dir(path) }
        }

        fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    #[test]
    fn a_damaged_store_that_cannot_be_set_aside_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(DATABASE), b"damaged").unwrap();
        for (create, kind) in
            [(true, io::ErrorKind::StorageFull), (false, io::ErrorKind::PermissionDenied)]
        {
            let files = Arc::new(Fails { create });
            let bodies = BodyFolder::of_store(directory.path(), files);
            let error = set_aside(directory.path(), &bodies).unwrap_err();
            assert_eq!(io::Error::from(error).kind(), kind);
            assert!(directory.path().join(DATABASE).exists());
        }
    }
}
