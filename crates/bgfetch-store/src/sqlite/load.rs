//! Loads the snapshot from the tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::ids::{
    BodyKey, FetchKey, Generation, RecordIndex, RecordKey, RegistrationKey, StorageKey,
};
use bgfetch_model::request::Request;
use bgfetch_model::response::{HeadSummary, RecordResult, ResponseHead};
use bgfetch_model::store_op::{ImageResource, Snapshot, StoredFetch, StoredRecord, Totals};
use bgfetch_model::time::UnixTime;
use bgfetch_model::vary::HashKey;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::apply::key;
use super::values::{from_json, reason, result, undecodable, unsigned};
use crate::{StoreError, StoredHead};

/// Reads all rows. `length` returns the length of an unfinished record's body.
pub(super) fn snapshot(
    sql: &Connection,
    length: &dyn Fn(BodyKey) -> Result<u64, StoreError>,
) -> Result<Snapshot, StoreError> {
    if sql.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(StoreError::damaged("a row belongs to one that is not there"));
    }
    let mut registrations = Vec::new();
    let mut by_id = HashMap::new();
    let mut statement =
        sql.prepare("SELECT id, storage_key, scope FROM registration ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let registration = registration(row)?;
        by_id.insert(row.get::<_, i64>(0)?, registration.clone());
        registrations.push(registration);
    }

    let mut fetches = Vec::new();
    let mut statement = sql.prepare(
        "SELECT key, registration, id, title, icons, download_total, paused, abort_all, cause, \
         result, created_at, settled_at, delivery_attempts, records_available, downloaded, \
         uploaded, upload_total, principal, running_time \
         FROM fetch ORDER BY key",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let registration = by_id
            .get(&row.get(1)?)
            .ok_or_else(|| StoreError::damaged("a fetch has no registration"))?;
        let mut fetch = fetch(row, registration.clone())?;
        fetch.records = records(sql, fetch.key, length)?;
        fetches.push(fetch);
    }

    let next_fetch: Option<i64> = sql
        .query_row("SELECT value FROM meta WHERE key = 'next_fetch'", [], |row| row.get(0))
        .optional()?;
    let next_fetch = next_fetch.unwrap_or_default().cast_unsigned();
    let last = fetches.iter().map(|fetch: &StoredFetch| fetch.key.0).max();
    if last.is_some_and(|last| last >= next_fetch) || next_fetch == u64::MAX {
        return Err(StoreError::damaged("the next fetch would have the key of an older one"));
    }
    Ok(Snapshot { registrations, fetches, next_fetch, hash_key: hash_key(sql)? })
}

fn hash_key(sql: &Connection) -> Result<HashKey, StoreError> {
    let key = sql
        .query_row("SELECT value FROM meta WHERE key = 'hash_key'", [], |row| row.get(0))
        .optional()?;
    key.map(HashKey::new).ok_or_else(|| StoreError::damaged("it has no key for hashes"))
}

fn registration(row: &Row<'_>) -> rusqlite::Result<RegistrationKey> {
    let scope: String = row.get(2)?;
    Ok(RegistrationKey {
        storage_key: StorageKey(row.get(1)?),
        scope: scope.parse().map_err(|error| {
            let text = format!("{scope:?} is not a scope: {error}");
            undecodable(2, text)
        })?,
    })
}

/// Earlier versions stored icons whose sources were not URLs. They could not be shown.
fn icons(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<ImageResource>> {
    let stored: Vec<serde_json::Value> = from_json(row, column)?.unwrap_or_default();
    Ok(stored.into_iter().filter_map(|icon| serde_json::from_value(icon).ok()).collect())
}

fn fetch(row: &Row<'_>, registration: RegistrationKey) -> rusqlite::Result<StoredFetch> {
    Ok(StoredFetch {
        key: FetchKey(unsigned(row, 0)?),
        registration,
        principal: Arc::new(from_json(row, 17)?.ok_or_else(|| undecodable(17, "no principal"))?),
        id: row.get(2)?,
        title: row.get(3)?,
        icons: icons(row, 4)?,
        download_total: unsigned(row, 5)?,
        paused: row.get(6)?,
        abort_all: row.get(7)?,
        cause: reason(row, 8)?,
        result: result(row, 9)?.map(|failure| failure.map_or(Ok(()), Err)),
        created_at: UnixTime(unsigned(row, 10)?),
        settled_at: row.get::<_, Option<i64>>(11)?.map(|at| UnixTime(at.cast_unsigned())),
        delivery_attempts: row.get(12)?,
        running_time: Duration::from_millis(unsigned(row, 18)?),
        records_available: row.get(13)?,
        records: Vec::new(),
        totals: Totals {
            downloaded: unsigned(row, 14)?,
            uploaded: unsigned(row, 15)?,
            upload_total: unsigned(row, 16)?,
        },
    })
}

fn records(
    sql: &Connection,
    fetch: FetchKey,
    length: &dyn Fn(BodyKey) -> Result<u64, StoreError>,
) -> Result<Vec<StoredRecord>, StoreError> {
    let mut statement = sql.prepare_cached(
        "SELECT position, request, upload_begun, uploaded, generation, response, stored, result \
         FROM record WHERE fetch = ? ORDER BY position",
    )?;
    let mut rows = statement.query([key(fetch)])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let index = RecordIndex(row.get(0)?);
        if usize::try_from(index.0) != Ok(records.len()) {
            return Err(StoreError::damaged("a record is missing"));
        }
        let mut record = record(row)?;
        if record.result.is_none() && record.generation != Generation::default() {
            record.stored = length(BodyKey {
                record: RecordKey { fetch, index },
                generation: record.generation,
            })?;
        }
        records.push(record);
    }
    Ok(records)
}

/// Reads the head of a record's response.
pub(super) fn head(sql: &Connection, record: RecordKey) -> Result<Option<StoredHead>, StoreError> {
    let mut statement = sql.prepare_cached(
        "SELECT generation, response FROM record \
         WHERE fetch = ? AND position = ? AND response IS NOT NULL",
    )?;
    let mut rows = statement.query(params![key(record.fetch), record.index.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let head = from_json(row, 1)?.ok_or_else(|| undecodable(1, "no head"))?;
    Ok(Some((Generation(row.get(0)?), head)))
}

fn record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    let request: Request = from_json(row, 1)?.ok_or_else(|| undecodable(1, "no request"))?;
    let head: Option<ResponseHead> = from_json(row, 5)?;
    Ok(StoredRecord {
        upload_begun: row.get(2)?,
        uploaded: unsigned(row, 3)?,
        generation: Generation(row.get(4)?),
        response: head.map(|head| HeadSummary::of(&request, &head)),
        request: Arc::new(request),
        stored: unsigned(row, 6)?,
        result: result(row, 7)?
            .map(|failure| failure.map_or(RecordResult::Success, RecordResult::Failure)),
    })
}
