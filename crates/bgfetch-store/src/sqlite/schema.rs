//! The tables and their migrations.

use rusqlite::{Connection, TransactionBehavior};

/// The database's file in the store's directory.
pub(super) const DATABASE: &str = "store.sqlite3";

/// The migrations. Entry `n` brings a database from version `n` to `n + 1`. Released entries are
/// never changed.
pub(super) const MIGRATIONS: &[&str] = &[
    // Unsigned 64-bit numbers are stored as signed ones with the same bits.
    "
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE registration (
        id          INTEGER PRIMARY KEY,
        storage_key TEXT NOT NULL,
        scope       TEXT NOT NULL,
        UNIQUE (storage_key, scope)
    ) STRICT;

    CREATE TABLE fetch (
        key               INTEGER PRIMARY KEY,
        registration      INTEGER NOT NULL REFERENCES registration ON DELETE CASCADE,
        id                TEXT NOT NULL,
        title             TEXT NOT NULL,
        icons             TEXT NOT NULL,    -- JSON
        download_total    INTEGER NOT NULL,
        paused            INTEGER NOT NULL,
        abort_all         INTEGER NOT NULL,
        cause             TEXT,             -- a failure reason
        result            TEXT,             -- 'success' or a failure reason
        created_at        INTEGER NOT NULL, -- milliseconds since the Unix epoch
        settled_at        INTEGER,
        delivery_attempts INTEGER NOT NULL,
        records_available INTEGER NOT NULL,
        requests_synced   INTEGER NOT NULL, -- the request bodies survive a power loss
        downloaded        INTEGER NOT NULL, -- this and the next two: sums over the records, once
        uploaded          INTEGER NOT NULL, -- those are gone
        upload_total      INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX fetch_of_registration ON fetch (registration);

    CREATE TABLE record (
        fetch        INTEGER NOT NULL REFERENCES fetch ON DELETE CASCADE,
        position     INTEGER NOT NULL,
        request      TEXT NOT NULL,    -- JSON
        upload_begun INTEGER NOT NULL,
        uploaded     INTEGER NOT NULL,
        generation   INTEGER NOT NULL,
        response     TEXT,             -- JSON
        stored       INTEGER NOT NULL, -- final once there is a result; before it the file tells
        synced       INTEGER NOT NULL, -- so many bytes of this generation survive a power loss
        result       TEXT,             -- 'success' or a failure reason
        PRIMARY KEY (fetch, position)
    ) STRICT, WITHOUT ROWID;
    ",
    // JSON. In older versions, every fetch was made on behalf of the user.
    "ALTER TABLE fetch ADD COLUMN principal TEXT NOT NULL DEFAULT '\"user\"'",
    // The key of the hashes of request headers in the responses; and how long the attempts of a
    // fetch were running, in milliseconds.
    "
    INSERT INTO meta VALUES ('hash_key', randomblob(16));
    ALTER TABLE fetch ADD COLUMN running_time INTEGER NOT NULL DEFAULT 0;
    ",
];

/// The format version of the database; 0 for one without tables.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Applies the migrations that the database lacks, all or none.
pub(super) fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    let mut next = found;
    for migration in migrations.iter().skip(done) {
        transaction.execute_batch(migration)?;
        next += 1;
    }
    if next != found {
        transaction.pragma_update(None, "user_version", next)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_becomes_the_newest_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        assert_eq!(version(&connection).unwrap() as usize, MIGRATIONS.len());
        connection.execute("INSERT INTO registration VALUES (1, 'key', 'scope')", []).unwrap();

        let mut later = MIGRATIONS.to_vec();
        later.push("ALTER TABLE registration ADD COLUMN added INTEGER NOT NULL DEFAULT 7");
        migrate(&mut connection, &later).unwrap();
        assert_eq!(version(&connection).unwrap() as usize, later.len());
        let row: (String, i64) = connection
            .query_row("SELECT scope, added FROM registration", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(row, ("scope".into(), 7));
        // Nothing is applied twice.
        migrate(&mut connection, &later).unwrap();
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = ["CREATE TABLE a (b) STRICT;", "CREATE TABLE c (d INTEGER);"];
        assert!(migrate(&mut connection, &broken).is_err());
        assert_eq!(version(&connection).unwrap(), 0);
        let tables: u32 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 0);
    }
}
