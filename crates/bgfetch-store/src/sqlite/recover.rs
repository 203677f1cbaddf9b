//! Recovery at start-up: one pass over records and files that makes them agree.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey};
use bgfetch_model::response::RecordResult;
use bgfetch_model::store_op::{Snapshot, StoredFetch, StoredRecord};
use rusqlite::{Connection, OptionalExtension, params};

use super::apply::key;
use super::values::{result_text, unsigned};
use crate::StoreError;
use crate::bodies::folder::{BodyFile, BodyFolder};
use crate::file_system::{FileSystem, Open, replace};
use crate::platform;
use crate::sync::sync_directory;

/// Makes the rows, the files and the snapshot that was read from the rows agree. After a reboot
/// (the `boot` id differs from the last one, or is unknown), only synced bytes are trusted;
/// otherwise all bytes are. Files that belong to no row are deleted.
///
/// A record that had succeeded but whose bytes are not all trusted loses its result, and so does
/// its fetch. Both continue from what is left. A failed record keeps its result, which does not
/// depend on its bytes.
///
/// Returns how many bytes of which bodies are trusted, but may not be on disk.
///
/// It takes a snapshot instead of reading rows itself, because every row must have been read
/// successfully before the first file is deleted.
pub(super) fn recover(
    sql: &mut Connection,
    bodies: &BodyFolder,
    boot: Option<&str>,
    snapshot: &mut Snapshot,
) -> Result<Vec<(BodyKey, u64)>, StoreError> {
    let transaction = sql.transaction()?;
    let rebooted = boot.is_none() || boot != last_boot(&transaction)?.as_deref();
    if rebooted {
        tracing::debug!("only synced bytes are trusted after a reboot");
    }
    let (mut known, mut unsynced) = (HashSet::new(), Vec::new());
    for fetch in &mut snapshot.fetches {
        unsynced.extend(recover_fetch(&transaction, bodies, fetch, rebooted)?);
        known.insert(fetch.key);
    }
    for (path, fetch) in bodies.fetches()? {
        if fetch.is_none_or(|fetch| !known.contains(&fetch)) {
            remove_orphan(bodies, &path);
        }
    }
    // Last, so that after a crash before this point the next start detects the same reboot.
    transaction.execute(
        "INSERT INTO meta VALUES ('boot_id', ?1) ON CONFLICT DO UPDATE SET value = ?1",
        [boot.unwrap_or_default()],
    )?;
    set_closed(&transaction, false)?;
    transaction.commit()?;
    Ok(unsynced)
}

fn last_boot(sql: &Connection) -> rusqlite::Result<Option<String>> {
    sql.query_row("SELECT value FROM meta WHERE key = 'boot_id'", [], |row| row.get(0)).optional()
}

/// Whether the last use of the store ended with [`Store::close`](crate::Store::close).
pub(super) fn was_closed(sql: &Connection) -> rusqlite::Result<bool> {
    let closed = sql
        .query_row("SELECT value FROM meta WHERE key = 'closed'", [], |row| row.get(0))
        .optional()?;
    Ok(closed.unwrap_or(false))
}

/// Notes whether the store was closed in an orderly way.
pub(super) fn set_closed(sql: &Connection, closed: bool) -> rusqlite::Result<()> {
    sql.execute(
        "INSERT INTO meta VALUES ('closed', ?1) ON CONFLICT DO UPDATE SET value = ?1",
        [closed],
    )?;
    Ok(())
}

fn recover_fetch(
    sql: &Connection,
    bodies: &BodyFolder,
    fetch: &mut StoredFetch,
    rebooted: bool,
) -> Result<Vec<(BodyKey, u64)>, StoreError> {
    let mut files: BTreeMap<BodyFile, (PathBuf, u64)> = BTreeMap::new();
    for file in bodies.files_of(fetch.key)? {
        match file.kind {
            Some(kind) => {
                files.insert(kind, (file.path, file.length));
            }
            None => remove_orphan(bodies, &file.path),
        }
    }
    let synced = synced_lengths(sql, fetch.key)?;
    let (mut lost_success, mut unsynced) = (false, Vec::new());
    let mut kept = false;
    for (index, record) in (0..).map(RecordIndex).zip(&mut fetch.records) {
        if record.generation == Generation::default() {
            continue;
        }
        let (path, length) = files
            .remove(&BodyFile::Response(index, record.generation))
            .map_or((None, 0), |(path, length)| (Some(path), length));
        let synced = synced.get(&index).copied().unwrap_or_default();
        let trusted = if rebooted { length.min(synced) } else { length };
        kept |= path.is_some();
        if let Some(path) = path.as_deref().filter(|_| trusted < length) {
            truncate(bodies.files(), path, trusted)?;
        }
        if trusted > synced {
            let record_key = RecordKey { fetch: fetch.key, index };
            let body = BodyKey { record: record_key, generation: record.generation };
            unsynced.push((body, trusted - synced));
        }
        let before = record.clone();
        lost_success |= trust(record, trusted);
        // A file that is shorter than its synced length was tampered with. Bytes that are written
        // from here on are not on disk yet.
        if length < synced || (before.result.is_some() && before != *record) {
            let key = RecordKey { fetch: fetch.key, index };
            tracing::warn!(record = %key, trusted, "bytes of a record were lost");
            update_record(sql, key, record, synced.min(length))?;
        }
    }
    // Held records have no event that could be fired again.
    if lost_success && fetch.records_available {
        fetch.result = None;
        fetch.settled_at = None;
        fetch.delivery_attempts = 0;
        sql.prepare_cached(
            "UPDATE fetch SET result = NULL, settled_at = NULL, delivery_attempts = 0 \
             WHERE key = ?",
        )?
        .execute([key(fetch.key)])?;
    }
    let requests_trusted = !rebooted || requests_synced(sql, fetch.key)?;
    for (kind, (path, _)) in files {
        let known = match kind {
            // One that a fetch with the same key left, which was never stored, is not the record's.
            BodyFile::Request(RecordIndex(index)) => {
                let record = fetch.records.get(index as usize);
                requests_trusted && record.is_some_and(|it| it.request.body_length.is_some())
            }
            BodyFile::Response(..) => false,
        };
        kept |= known;
        if !known {
            remove_orphan(bodies, &path);
        }
    }
    if !kept {
        // A power loss can bring back the folder of a deleted fetch.
        remove_orphan(bodies, &bodies.fetch(fetch.key));
    }
    Ok(unsynced)
}

/// Cuts a record to its `trusted` bytes. Returns whether it lost its success.
fn trust(record: &mut StoredRecord, trusted: u64) -> bool {
    if record.result.is_none() || trusted < record.stored {
        record.stored = trusted;
        if record.result == Some(RecordResult::Success) {
            record.result = None;
            return true;
        }
    }
    false
}

fn update_record(
    sql: &Connection,
    RecordKey { fetch, index }: RecordKey,
    record: &StoredRecord,
    synced: u64,
) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "UPDATE record SET stored = ?, synced = ?, result = ? WHERE fetch = ? AND position = ?",
    )?
    .execute(params![
        record.stored.cast_signed(),
        synced.cast_signed(),
        record.result.map(|result| result_text(result.failure())),
        key(fetch),
        index.0
    ])?;
    Ok(())
}

fn synced_lengths(
    sql: &Connection,
    fetch: FetchKey,
) -> rusqlite::Result<HashMap<RecordIndex, u64>> {
    sql.prepare_cached("SELECT position, synced FROM record WHERE fetch = ? AND synced > 0")?
        .query_map([key(fetch)], |row| Ok((RecordIndex(row.get(0)?), unsigned(row, 1)?)))?
        .collect()
}

fn requests_synced(sql: &Connection, fetch: FetchKey) -> rusqlite::Result<bool> {
    sql.prepare_cached("SELECT requests_synced FROM fetch WHERE key = ?")?
        .query_row([key(fetch)], |row| row.get(0))
}

/// The current generations of all records, with the length of each that is known to be on disk.
pub(super) fn watermarks(sql: &Connection) -> rusqlite::Result<Vec<(BodyKey, u64)>> {
    sql.prepare("SELECT fetch, position, generation, synced FROM record WHERE generation > 0")?
        .query_map([], |row| {
            let body = BodyKey {
                record: RecordKey {
                    fetch: FetchKey(unsigned(row, 0)?),
                    index: RecordIndex(row.get(1)?),
                },
                generation: Generation(row.get(2)?),
            };
            Ok((body, unsigned(row, 3)?))
        })?
        .collect()
}

/// Truncates a body. If it was exported as a link, the receiver's file stays as it is.
fn truncate(files: &dyn FileSystem, path: &Path, length: u64) -> Result<(), StoreError> {
    let cut = || {
        let file = files.open(path, Open::Existing)?;
        if !platform::is_linked(&file)? {
            return files.set_length(&file, length);
        }
        let own = path.with_extension("copy");
        let copy = replace(files, &own)?;
        files.copy(&file, length, &copy)?;
        // The row says that these bytes are synced, so they must be on disk before they get the
        // name. So must the copy's own name: an earlier process may have left another copy.
        files.sync(&copy)?;
        if let Some(folder) = own.parent() {
            sync_directory(files, folder)?;
        }
        files.rename(&own, path)
    };
    cut().map_err(|error: io::Error| StoreError::io(path, error))
}

/// Deletes files that belong to no row. A file that cannot be deleted only takes up space.
fn remove_orphan(bodies: &BodyFolder, path: &Path) {
    if let Err(error) = bodies.remove(path) {
        tracing::warn!(%error, "an orphan was not deleted");
    }
}
