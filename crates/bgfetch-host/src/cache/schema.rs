//! The tables, and opening the database that they are in.

use std::path::Path;

use rusqlite::Connection;

use super::CacheError;

/// The version of the tables, in `user_version`; 0 is a new database.
const VERSION: u32 = 1;

/// A storage key's caches by name, in the order of their creation. A cache that was deleted while
/// scripts have it has no name. The `url` of an entry is its request's without query and fragment;
/// `body` is the number of its file, of `length` bytes, where its response has a body.
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

/// Opens the database for this connection alone.
pub(super) fn open(path: &Path) -> Result<Connection, CacheError> {
    let mut sql = Connection::open(path)?;
    sql.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    sql.pragma_update(None, "journal_mode", "WAL")?;
    // A put that was resolved is there after a power loss.
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
