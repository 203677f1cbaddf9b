//! Start-up: one pass over rows and files that makes them agree.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey};
use rusqlite::{Connection, OptionalExtension, params};

use super::apply::key;
use super::values::{result, unsigned};
use crate::StoreError;
use crate::bodies::folder::{self, BodyFile, BodyFolder};

/// Brings rows and files into agreement: after a reboot (the `boot` id is another one than the
/// store last ran under, or none is known) only synced bytes are trusted, else every byte; files
/// that no row knows are deleted.
///
/// A record that had succeeded with more bytes than can be trusted loses its result, and its fetch
/// with it: both go on from what is left. A failed record keeps its result, for that does not
/// depend on its bytes.
pub(super) fn recover(
    sql: &mut Connection,
    bodies: &BodyFolder,
    boot: Option<&str>,
) -> Result<(), StoreError> {
    let transaction = sql.transaction()?;
    let rebooted = boot.is_none() || boot != last_boot(&transaction)?.as_deref();
    if rebooted {
        tracing::debug!("only synced bytes are trusted after a reboot");
    }
    let fetches = transaction
        .prepare("SELECT key, requests_synced FROM fetch")?
        .query_map([], |row| Ok((FetchKey(unsigned(row, 0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<HashMap<FetchKey, bool>>>()?;
    for (fetch, requests_synced) in &fetches {
        let trust = Trust {
            only_synced: rebooted,
            requests: !rebooted || *requests_synced,
        };
        recover_fetch(&transaction, bodies, *fetch, trust)?;
    }
    for (path, fetch) in bodies.fetches()? {
        if fetch.is_none_or(|fetch| !fetches.contains_key(&fetch)) {
            remove_orphan(&path);
        }
    }
    // Last, so that a crash before this is the same reboot again.
    transaction.execute(
        "INSERT INTO meta VALUES ('boot_id', ?1) ON CONFLICT DO UPDATE SET value = ?1",
        [boot.unwrap_or_default()],
    )?;
    set_closed(&transaction, false)?;
    Ok(transaction.commit()?)
}

fn last_boot(sql: &Connection) -> rusqlite::Result<Option<String>> {
    sql.query_row("SELECT value FROM meta WHERE key = 'boot_id'", [], |row| {
        row.get(0)
    })
    .optional()
}

/// Whether the store was last left by [`Store::close`](crate::Store::close).
pub(super) fn was_closed(sql: &Connection) -> rusqlite::Result<bool> {
    let closed = sql
        .query_row("SELECT value FROM meta WHERE key = 'closed'", [], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(closed.unwrap_or(false))
}

/// Notes whether the store was left in an orderly way.
pub(super) fn set_closed(sql: &Connection, closed: bool) -> rusqlite::Result<()> {
    sql.execute(
        "INSERT INTO meta VALUES ('closed', ?1) ON CONFLICT DO UPDATE SET value = ?1",
        [closed],
    )?;
    Ok(())
}

/// What can be relied on besides rows.
#[derive(Clone, Copy)]
struct Trust {
    /// Of response bodies only what was synced.
    only_synced: bool,
    /// The bodies of requests.
    requests: bool,
}

/// A row as far as it says something about bytes.
struct Claim {
    index: RecordIndex,
    generation: Generation,
    stored: u64,
    synced: u64,
    succeeded: bool,
    settled: bool,
}

fn recover_fetch(
    sql: &Connection,
    bodies: &BodyFolder,
    fetch: FetchKey,
    trust: Trust,
) -> Result<(), StoreError> {
    let mut files: HashMap<BodyFile, (PathBuf, u64)> = HashMap::new();
    for file in bodies.files(fetch)? {
        match file.kind {
            Some(kind) => {
                files.insert(kind, (file.path, file.length));
            }
            None => remove_orphan(&file.path),
        }
    }
    let claims = claims(sql, fetch)?;
    let mut requests = HashSet::new();
    for claim in claims {
        requests.insert(claim.index);
        let found = files.remove(&BodyFile::Response(claim.index, claim.generation));
        if claim.generation != Generation::default() {
            let record = RecordKey {
                fetch,
                index: claim.index,
            };
            recover_record(sql, record, &claim, found, trust)?;
        }
    }
    for (kind, (path, _)) in files {
        let kept = match kind {
            BodyFile::Request(index) => trust.requests && requests.contains(&index),
            BodyFile::Response(..) => false,
        };
        if !kept {
            remove_orphan(&path);
        }
    }
    Ok(())
}

fn claims(sql: &Connection, fetch: FetchKey) -> rusqlite::Result<Vec<Claim>> {
    sql.prepare_cached(
        "SELECT position, generation, stored, synced, result FROM record WHERE fetch = ?",
    )?
    .query_map([key(fetch)], |row| {
        let result = result(row, 4)?;
        Ok(Claim {
            index: RecordIndex(row.get(0)?),
            generation: Generation(row.get(1)?),
            stored: unsigned(row, 2)?,
            synced: unsigned(row, 3)?,
            succeeded: result == Some(None),
            settled: result.is_some(),
        })
    })?
    .collect()
}

fn recover_record(
    sql: &Connection,
    record: RecordKey,
    claim: &Claim,
    found: Option<(PathBuf, u64)>,
    trust: Trust,
) -> Result<(), StoreError> {
    let (path, length) = found.map_or((None, 0), |(path, length)| (Some(path), length));
    let trusted = if trust.only_synced {
        length.min(claim.synced)
    } else {
        length
    };
    if let Some(path) = path.filter(|_| trusted < length) {
        truncate(&path, trusted)?;
    }
    // A file that is shorter than what was synced was tampered with; what is written from here on
    // is not on disk yet.
    if length < claim.synced {
        set(sql, "synced = ?1", record, length)?;
    }
    if claim.settled && trusted < claim.stored {
        tracing::warn!(%record, trusted, stored = claim.stored, "bytes were lost");
        if claim.succeeded {
            set(sql, "stored = ?1, result = NULL", record, trusted)?;
            sql.prepare_cached(
                "UPDATE fetch SET result = NULL, settled_at = NULL, delivery_attempts = 0 \
                 WHERE key = ?",
            )?
            .execute([key(record.fetch)])?;
        } else {
            set(sql, "stored = ?1", record, trusted)?;
        }
    }
    Ok(())
}

fn set(sql: &Connection, what: &str, record: RecordKey, value: u64) -> rusqlite::Result<()> {
    sql.prepare_cached(&format!(
        "UPDATE record SET {what} WHERE fetch = ?2 AND position = ?3"
    ))?
    .execute(params![
        value.cast_signed(),
        key(record.fetch),
        record.index.0
    ])?;
    Ok(())
}

/// The current generations of all records, with what of them is known to be on disk.
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

fn truncate(path: &Path, length: u64) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(length))
        .map_err(|error| StoreError::io(path, error))
}

/// Deletes what no row knows. What cannot be deleted does no harm but take space.
fn remove_orphan(path: &Path) {
    if let Err(error) = folder::remove(path) {
        tracing::warn!(%error, "an orphan was not deleted");
    }
}
