//! Operations of the model as SQL statements.

use std::time::Duration;

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordKey, RegistrationKey};
use bgfetch_model::request::Request;
use bgfetch_model::store_op::{StoreOp, StoredFetch, Totals};
use rusqlite::{Connection, OptionalExtension, params};

use super::values::{from_json, result_text, to_json, unsigned};
use crate::StoreError;

/// Bytes that can be deleted once the transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Body(BodyKey),
    Fetch(FetchKey),
}

/// What a transaction does to bodies.
#[derive(Debug, Default)]
pub(super) struct After {
    /// Bodies to rename for another record before the commit.
    pub(super) adoptions: Vec<(BodyKey, BodyKey)>,
    /// The fetches whose event is over, although they keep their bodies.
    held: Vec<FetchKey>,
    /// What to delete after the commit.
    pub(super) removals: Vec<Removal>,
}

impl After {
    /// The fetches whose event is over, if they had one.
    pub(super) fn over(&self) -> impl Iterator<Item = FetchKey> {
        let deleted = self.removals.iter().filter_map(|removal| match removal {
            Removal::Fetch(fetch) => Some(*fetch),
            Removal::Body(_) => None,
        });
        self.held.iter().copied().chain(deleted)
    }
}

/// Applies `op` in the open transaction, and adds its effects on bodies.
pub(super) fn apply(sql: &Connection, op: &StoreOp, after: &mut After) -> Result<(), StoreError> {
    match op {
        StoreOp::PutRegistration(RegistrationKey { storage_key, scope }) => {
            sql.prepare_cached(
                "INSERT INTO registration (storage_key, scope) VALUES (?, ?) ON CONFLICT DO NOTHING",
            )?
            .execute(params![storage_key.0, scope.as_str()])?;
        }
        StoreOp::RemoveRegistration(registration) => {
            remove_registration(sql, registration, &mut after.removals)?;
        }
        StoreOp::InsertFetch(fetch) => insert_fetch(sql, fetch)?,
        StoreOp::SetPaused(fetch, paused) => {
            sql.prepare_cached("UPDATE fetch SET paused = ? WHERE key = ?")?
                .execute(params![paused, key(*fetch)])?;
        }
        StoreOp::SetAbortAll(fetch) => {
            sql.prepare_cached("UPDATE fetch SET abort_all = 1 WHERE key = ?")?
                .execute([key(*fetch)])?;
        }
        StoreOp::SetUi(fetch, title, icons) => {
            sql.prepare_cached("UPDATE fetch SET title = ?, icons = ? WHERE key = ?")?
                .execute(params![title, to_json(icons)?, key(*fetch)])?;
        }
        StoreOp::BeginUpload(record) => {
            sql.prepare_cached(
                "UPDATE record SET upload_begun = 1 WHERE fetch = ? AND position = ?",
            )?
            .execute(params![key(record.fetch), record.index.0])?;
        }
        StoreOp::UndoBeginUpload(record) => {
            sql.prepare_cached(
                "UPDATE record SET upload_begun = 0 WHERE fetch = ? AND position = ?",
            )?
            .execute(params![key(record.fetch), record.index.0])?;
        }
        StoreOp::OpenGeneration(body, head) => {
            let RecordKey { fetch, index } = body.record;
            let previous: Option<u32> = sql
                .prepare_cached("SELECT generation FROM record WHERE fetch = ? AND position = ?")?
                .query_row(params![key(fetch), index.0], |row| row.get(0))
                .optional()?;
            sql.prepare_cached(
                "UPDATE record SET generation = ?, response = ?, stored = 0, synced = 0 \
                 WHERE fetch = ? AND position = ?",
            )?
            .execute(params![
                body.generation.0,
                to_json(&**head)?,
                key(fetch),
                index.0
            ])?;
            if let Some(previous) = previous.map(Generation)
                && previous != Generation::default()
                && previous != body.generation
            {
                after
                    .removals
                    .push(Removal::Body(BodyKey { record: body.record, generation: previous }));
            }
        }
        StoreOp::SettleRecord { record, result, stored, uploaded } => {
            sql.prepare_cached(
                "UPDATE record SET result = ?, stored = ?, uploaded = ? \
                 WHERE fetch = ? AND position = ?",
            )?
            .execute(params![
                result_text(result.failure()),
                stored.cast_signed(),
                uploaded.cast_signed(),
                key(record.fetch),
                record.index.0
            ])?;
        }
        StoreOp::SetCause(fetch, reason) => {
            sql.prepare_cached("UPDATE fetch SET cause = ? WHERE key = ?")?
                .execute(params![reason.as_str(), key(*fetch)])?;
        }
        StoreOp::Settle(fetch, result, at) => {
            sql.prepare_cached("UPDATE fetch SET result = ?, settled_at = ? WHERE key = ?")?
                .execute(params![result_text(result.err()), at.0.cast_signed(), key(*fetch)])?;
        }
        StoreOp::SetDeliveryAttempts(fetch, attempts) => {
            sql.prepare_cached("UPDATE fetch SET delivery_attempts = ? WHERE key = ?")?
                .execute(params![attempts, key(*fetch)])?;
        }
        StoreOp::SetRunningTime(fetch, time) => {
            sql.prepare_cached("UPDATE fetch SET running_time = ? WHERE key = ?")?
                .execute(params![milliseconds(*time), key(*fetch)])?;
        }
        StoreOp::EndDelivery(fetch) => {
            end_delivery(sql, *fetch)?;
            sql.prepare_cached("DELETE FROM record WHERE fetch = ?")?.execute([key(*fetch)])?;
            after.removals.push(Removal::Fetch(*fetch));
        }
        StoreOp::HoldRecords(fetch) => {
            sql.prepare_cached("UPDATE fetch SET records_available = 0 WHERE key = ?")?
                .execute([key(*fetch)])?;
            after.held.push(*fetch);
        }
        StoreOp::Adopt { from, to } => adopt(sql, *from, *to, after)?,
        StoreOp::Forget(fetch) => {
            sql.prepare_cached("DELETE FROM fetch WHERE key = ?")?.execute([key(*fetch)])?;
            after.removals.push(Removal::Fetch(*fetch));
        }
        // The model is newer than this crate. Nothing of the batch is committed then.
        _ => return Err(StoreError::Misuse("it does not know a step of the model".into())),
    }
    Ok(())
}

/// A duration as it is stored in a column, in whole milliseconds.
fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A fetch's key as it is stored in a column.
pub(super) fn key(fetch: FetchKey) -> i64 {
    fetch.0.cast_signed()
}

fn remove_registration(
    sql: &Connection,
    RegistrationKey { storage_key, scope }: &RegistrationKey,
    removals: &mut Vec<Removal>,
) -> Result<(), StoreError> {
    let mut fetches = sql.prepare_cached(
        "SELECT fetch.key FROM fetch JOIN registration ON registration.id = fetch.registration \
         WHERE storage_key = ? AND scope = ?",
    )?;
    let mut rows = fetches.query(params![storage_key.0, scope.as_str()])?;
    while let Some(row) = rows.next()? {
        let fetch: i64 = row.get(0)?;
        removals.push(Removal::Fetch(FetchKey(fetch.cast_unsigned())));
    }
    sql.prepare_cached("DELETE FROM registration WHERE storage_key = ? AND scope = ?")?
        .execute(params![storage_key.0, scope.as_str()])?;
    Ok(())
}

/// Moves the representation of a record to another record.
fn adopt(
    sql: &Connection,
    from: RecordKey,
    to: RecordKey,
    after: &mut After,
) -> Result<(), StoreError> {
    let record = |record: RecordKey| (key(record.fetch), record.index.0);
    let ((from_fetch, from_position), (fetch, position)) = (record(from), record(to));
    let generation: Option<u32> = sql
        .prepare_cached(
            "UPDATE record SET generation = held.generation, response = held.response, \
             stored = held.stored, synced = held.synced FROM record AS held \
             WHERE held.fetch = ? AND held.position = ? \
             AND record.fetch = ? AND record.position = ? RETURNING generation",
        )?
        .query_row(params![from_fetch, from_position, fetch, position], |row| row.get(0))
        .optional()?;
    sql.prepare_cached(
        "UPDATE record SET generation = 0, response = NULL, stored = 0, synced = 0 \
         WHERE fetch = ? AND position = ?",
    )?
    .execute(params![from_fetch, from_position])?;
    if let Some(generation) = generation.map(Generation) {
        let from = BodyKey { record: from, generation };
        after.adoptions.push((from, BodyKey { record: to, generation }));
        after.removals.push(Removal::Body(from));
    }
    Ok(())
}

/// Stores the totals of the records, if they exist. They are added up here because SQLite's `sum`
/// fails above 2⁶³.
fn end_delivery(sql: &Connection, fetch: FetchKey) -> Result<(), StoreError> {
    let mut totals = Totals::default();
    let mut statement =
        sql.prepare_cached("SELECT stored, uploaded, request FROM record WHERE fetch = ?")?;
    let mut rows = statement.query([key(fetch)])?;
    let mut any = false;
    while let Some(row) = rows.next()? {
        any = true;
        let request: Option<Request> = from_json(row, 2)?;
        let length = request.and_then(|request| request.body_length);
        totals.downloaded = totals.downloaded.saturating_add(unsigned(row, 0)?);
        totals.uploaded = totals.uploaded.saturating_add(unsigned(row, 1)?);
        totals.upload_total = totals.upload_total.saturating_add(length.unwrap_or_default());
    }
    sql.prepare_cached("UPDATE fetch SET records_available = 0 WHERE key = ?")?
        .execute([key(fetch)])?;
    if any {
        sql.prepare_cached(
            "UPDATE fetch SET downloaded = ?, uploaded = ?, upload_total = ? WHERE key = ?",
        )?
        .execute(params![
            totals.downloaded.cast_signed(),
            totals.uploaded.cast_signed(),
            totals.upload_total.cast_signed(),
            key(fetch)
        ])?;
    }
    Ok(())
}

fn insert_fetch(sql: &Connection, fetch: &StoredFetch) -> Result<(), StoreError> {
    let RegistrationKey { storage_key, scope } = &fetch.registration;
    let registration: i64 = sql
        .prepare_cached("SELECT id FROM registration WHERE storage_key = ? AND scope = ?")?
        .query_row(params![storage_key.0, scope.as_str()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::Misuse("a fetch of an unknown registration".into()))?;
    sql.prepare_cached(
        "INSERT INTO fetch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?)",
    )?
    .execute(params![
        key(fetch.key),
        registration,
        fetch.id,
        fetch.title,
        to_json(&fetch.icons)?,
        fetch.download_total.cast_signed(),
        fetch.paused,
        fetch.abort_all,
        fetch.cause.map(|reason| reason.as_str()),
        fetch.result.map(|result| result_text(result.err())),
        fetch.created_at.0.cast_signed(),
        fetch.settled_at.map(|at| at.0.cast_signed()),
        fetch.delivery_attempts,
        fetch.records_available,
        to_json(&*fetch.principal)?,
        milliseconds(fetch.running_time),
    ])?;
    sql.prepare_cached(
        "INSERT INTO meta VALUES ('next_fetch', ?) \
         ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
    )?
    .execute([key(FetchKey(fetch.key.0.saturating_add(1)))])?;

    let mut insert =
        sql.prepare_cached("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, NULL, ?, 0, ?)")?;
    for (position, record) in (0u32..).zip(&fetch.records) {
        insert.execute(params![
            key(fetch.key),
            position,
            to_json(&*record.request)?,
            record.upload_begun,
            record.uploaded.cast_signed(),
            record.generation.0,
            record.stored.cast_signed(),
            record.result.map(|result| result_text(result.failure())),
        ])?;
    }
    Ok(())
}
