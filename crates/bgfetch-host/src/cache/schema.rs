//! The tables, and opening their database.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::CacheError;

/// The version of the tables, in `user_version`; 0 is a new database.
const VERSION: u32 = 1;

/// The caches of a storage key by name, in order of creation. A cache that was deleted while
/// scripts hold it has no name. The `url` of an entry is that of its request, without query and
/// fragment; `body` is the number of its file, of `length` bytes, if its response has a body.
const TABLES: &str = "
    CREATE TABLE cache (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        storage_key TEXT NOT NULL,
        name TEXT,
        UNIQUE (storage_key, name)
    ) STRICT;
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        cache INTEGER NOT NULL REFERENCES cache ON DELETE CASCADE,
        url TEXT NOT NULL,
        request TEXT NOT NULL,
        response TEXT NOT NULL,
        body INTEGER UNIQUE,
        length INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX entry_by_url ON entry (cache, url);
";

/// Opens the database, which may be empty, exclusively for this connection.
pub(super) fn open(path: &Path) -> Result<Connection, CacheError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut sql = Connection::open_with_flags(path, flags)?;
    sql.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    sql.pragma_update(None, "journal_mode", "WAL")?;
    // A put that was resolved survives a power loss.
    sql.pragma_update(None, "synchronous", "FULL")?;
    sql.pragma_update(None, "foreign_keys", true)?;
    let transaction = sql.transaction()?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > VERSION {
        return Err(CacheError::NewerVersion { path: path.to_owned(), found });
    }
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(sql)
}
