//! [Name to cache maps](https://w3c.github.io/ServiceWorker/#dfn-name-to-cache-map) and
//! [request response lists](https://w3c.github.io/ServiceWorker/#dfn-request-response-list), on the
//! calling thread.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bgfetch::{HeaderList, MatchOptions, Request, request_matches_cached_item};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use url::Position;

use super::bodies::{self, BodyFile};
use super::{CacheError, CacheStore};

/// How many handles scripts have for each cache, by the cache's id.
pub(super) type OpenCaches = HashMap<i64, usize>;

/// A response without its body, as created by `toStoredResponse()` in deno.js.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredResponse {
    status: u16,
    status_text: String,
    headers: HeaderList,
    url_list: Vec<String>,
    response_type: String,
}

/// An entry to put.
pub(super) struct NewEntry {
    pub(super) request: Request,
    pub(super) response: StoredResponse,
    /// The body's file and its length.
    pub(super) body: Option<(BodyFile, u64)>,
}

/// An entry that matched.
pub(super) struct Found {
    pub(super) request: Request,
    pub(super) response: StoredResponse,
    pub(super) body: Option<BodyFile>,
}

/// A cache that scripts hold. If it is deleted, its contents remain until the last handle is
/// dropped.
#[derive(Clone)]
pub(super) struct Cache(Arc<OpenCache>);

struct OpenCache {
    store: CacheStore,
    id: i64,
}

impl CacheStore {
    /// The cache with that name, which is created if it is missing.
    pub(super) fn open_cache(&self, storage_key: &str, name: &str) -> Result<Cache, CacheError> {
        let state = &mut *self.0.state.lock();
        let id = match cache_id(&state.sql, storage_key, name)? {
            Some(id) => id,
            None => {
                let sql = "INSERT INTO cache (storage_key, name) VALUES (?, ?)";
                state.sql.execute(sql, [storage_key, name])?;
                state.sql.last_insert_rowid()
            }
        };
        *state.open_caches.entry(id).or_default() += 1;
        Ok(Cache(Arc::new(OpenCache { store: self.clone(), id })))
    }

    pub(super) fn has_cache(&self, storage_key: &str, name: &str) -> Result<bool, CacheError> {
        Ok(cache_id(&self.0.state.lock().sql, storage_key, name)?.is_some())
    }

    /// The bytes of all bodies in a storage key's caches.
    pub(crate) fn usage(&self, storage_key: &str) -> Result<u64, CacheError> {
        let sql = "SELECT coalesce(sum(length), 0) FROM entry
                   JOIN cache ON cache.id = entry.cache WHERE storage_key = ?";
        let state = self.0.state.lock();
        let bytes: i64 = state.sql.query_row(sql, [storage_key], |row| row.get(0))?;
        Ok(bytes.try_into().unwrap_or_default())
    }

    /// The names of all caches of a storage key.
    pub(super) fn cache_names(&self, storage_key: &str) -> Result<Vec<String>, CacheError> {
        let state = self.0.state.lock();
        let mut statement = state.sql.prepare_cached(
            "SELECT name FROM cache WHERE storage_key = ? AND name IS NOT NULL ORDER BY id",
        )?;
        let names = statement.query_map([storage_key], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// Deletes the cache with that name, if there is one. Scripts that hold it can still use it.
    pub(super) fn delete_cache(&self, storage_key: &str, name: &str) -> Result<bool, CacheError> {
        let state = &mut *self.0.state.lock();
        let Some(id) = cache_id(&state.sql, storage_key, name)? else {
            return Ok(false);
        };
        let transaction = state.sql.transaction()?;
        let mut bodies = Vec::new();
        if state.open_caches.contains_key(&id) {
            transaction.execute("UPDATE cache SET name = NULL WHERE id = ?", [id])?;
        } else {
            bodies = remove_cache(&transaction, id)?;
        }
        transaction.commit()?;
        state.bodies.release(bodies);
        Ok(true)
    }

    /// The first match in the caches of a storage key, or in the cache of that name.
    pub(super) fn match_first(
        &self,
        storage_key: &str,
        name: Option<&str>,
        query: &Request,
        options: MatchOptions,
    ) -> Result<Option<Found>, CacheError> {
        let names = match name {
            Some(name) => vec![name.to_owned()],
            None => self.cache_names(storage_key)?,
        };
        for name in names {
            let Some(id) = cache_id(&self.0.state.lock().sql, storage_key, &name)? else {
                continue;
            };
            if let Some(found) = self.match_in(id, Some(query), options, 1)?.pop() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn match_in(
        &self,
        cache: i64,
        query: Option<&Request>,
        options: MatchOptions,
        limit: usize,
    ) -> Result<Vec<Found>, CacheError> {
        let state = &mut *self.0.state.lock();
        let rows = matching(&state.sql, cache, query, options, limit)?;
        // Nothing fails from here on: dropping a file takes the lock.
        let found = rows.into_iter().map(|row| Found {
            request: row.request,
            response: row.response,
            body: row.body.map(|number| BodyFile::of_entry(self, &mut state.bodies, number)),
        });
        Ok(found.collect())
    }
}

impl Cache {
    /// The entries that match `query`, or all entries, in the order in which they were put.
    pub(super) fn match_all(
        &self,
        query: Option<&Request>,
        options: MatchOptions,
        limit: usize,
    ) -> Result<Vec<Found>, CacheError> {
        self.0.store.match_in(self.0.id, query, options, limit)
    }

    /// Puts all of the entries or none, replacing the entries that they match: [Batch Cache
    /// Operations](https://w3c.github.io/ServiceWorker/#batch-cache-operations).
    pub(super) fn put(&self, entries: &[NewEntry]) -> Result<(), CacheError> {
        let state = &mut *self.0.store.0.state.lock();
        let transaction = state.sql.transaction()?;
        let mut added = HashSet::new();
        let mut replaced = Vec::new();
        for NewEntry { request, response, body } in entries {
            let options = MatchOptions::default();
            for row in matching(&transaction, self.0.id, Some(request), options, usize::MAX)? {
                if added.contains(&row.id) {
                    return Err(CacheError::Twice);
                }
                remove_entry(&transaction, row.id)?;
                replaced.extend(row.body);
            }
            let number = body.as_ref().map(|(file, _)| file.number());
            let length = body.as_ref().map_or(0, |(_, length)| *length);
            transaction
                .prepare_cached(
                    "INSERT INTO entry (cache, url, request, response, body, length)
                     VALUES (?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    self.0.id,
                    url_key(request),
                    serde_json::to_string(request)?,
                    serde_json::to_string(response)?,
                    number,
                    length.cast_signed(),
                ])?;
            added.insert(transaction.last_insert_rowid());
        }
        transaction.commit()?;
        for (file, _) in entries.iter().filter_map(|entry| entry.body.as_ref()) {
            state.bodies.keep(file);
        }
        state.bodies.release(replaced);
        Ok(())
    }

    /// Deletes the matching entries. Returns whether there were any.
    pub(super) fn delete(
        &self,
        query: &Request,
        options: MatchOptions,
    ) -> Result<bool, CacheError> {
        let state = &mut *self.0.store.0.state.lock();
        let transaction = state.sql.transaction()?;
        let rows = matching(&transaction, self.0.id, Some(query), options, usize::MAX)?;
        for row in &rows {
            remove_entry(&transaction, row.id)?;
        }
        transaction.commit()?;
        state.bodies.release(rows.iter().filter_map(|row| row.body));
        Ok(!rows.is_empty())
    }

    pub(super) fn store(&self) -> &CacheStore {
        &self.0.store
    }
}

impl Drop for OpenCache {
    fn drop(&mut self) {
        let state = &mut *self.store.0.state.lock();
        let Some(open) = state.open_caches.get_mut(&self.id) else { return };
        *open -= 1;
        if *open > 0 {
            return;
        }
        state.open_caches.remove(&self.id);
        match remove_if_nameless(&mut state.sql, self.id) {
            Ok(bodies) => state.bodies.release(bodies),
            // The next start tries again.
            Err(error) => tracing::warn!(%error, "a deleted cache still takes space"),
        }
    }
}

struct Row {
    id: i64,
    request: Request,
    response: StoredResponse,
    body: Option<i64>,
}

/// [Query Cache](https://w3c.github.io/ServiceWorker/#query-cache).
fn matching(
    sql: &Connection,
    cache: i64,
    query: Option<&Request>,
    options: MatchOptions,
    limit: usize,
) -> Result<Vec<Row>, CacheError> {
    let mut statement = sql.prepare_cached(
        "SELECT id, request, response, body FROM entry
         WHERE cache = ?1 AND (?2 IS NULL OR url = ?2) ORDER BY id",
    )?;
    let mut rows = statement.query(params![cache, query.map(url_key)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()?.filter(|_| found.len() < limit) {
        let request: Request = serde_json::from_str(&row.get::<_, String>(1)?)?;
        let response: StoredResponse = serde_json::from_str(&row.get::<_, String>(2)?)?;
        let vary = response.headers.get("vary");
        if query.is_none_or(|query| {
            request_matches_cached_item(query, &request, vary.as_deref(), options)
        }) {
            found.push(Row { id: row.get(0)?, request, response, body: row.get(3)? });
        }
    }
    Ok(found)
}

fn url_key(request: &Request) -> &str {
    &request.url[..Position::AfterPath]
}

fn cache_id(sql: &Connection, storage_key: &str, name: &str) -> rusqlite::Result<Option<i64>> {
    sql.prepare_cached("SELECT id FROM cache WHERE storage_key = ? AND name = ?")?
        .query_row([storage_key, name], |row| row.get(0))
        .optional()
}

fn remove_entry(sql: &Connection, id: i64) -> rusqlite::Result<usize> {
    sql.prepare_cached("DELETE FROM entry WHERE id = ?")?.execute([id])
}

/// Deletes a cache. Returns the bodies that it had.
fn remove_cache(sql: &Connection, id: i64) -> rusqlite::Result<Vec<i64>> {
    let bodies = sql
        .prepare("SELECT body FROM entry WHERE cache = ? AND body IS NOT NULL")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    sql.execute("DELETE FROM cache WHERE id = ?", [id])?;
    Ok(bodies)
}

fn remove_if_nameless(sql: &mut Connection, id: i64) -> rusqlite::Result<Vec<i64>> {
    let named = sql
        .prepare_cached("SELECT name IS NOT NULL FROM cache WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    if named != Some(false) {
        return Ok(Vec::new());
    }
    let transaction = sql.transaction()?;
    let bodies = remove_cache(&transaction, id)?;
    transaction.commit()?;
    Ok(bodies)
}

/// Makes rows and files consistent, however the last use of the folder ended. Returns the number of
/// the next body.
pub(super) fn recover(sql: &mut Connection, folder: &Path) -> Result<i64, CacheError> {
    let failed = |error| CacheError::file(folder, error);
    let mut files = HashMap::new();
    let mut unknown = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let number = entry.file_name().to_str().and_then(|name| name.parse::<i64>().ok());
        match number {
            Some(number) => {
                let length = entry.metadata().map_err(failed)?.len();
                files.insert(number, (entry.path(), length));
            }
            None => unknown.push(entry.path()),
        }
    }
    let next = files.keys().max().map_or(0, |last| last.saturating_add(1));
    let transaction = sql.transaction()?;
    transaction.execute("DELETE FROM cache WHERE name IS NULL", [])?;
    let entries = transaction
        .prepare("SELECT id, body, length FROM entry WHERE body IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(i64, i64, i64)>, _>>()?;
    for (id, body, length) in entries {
        if files.get(&body).is_some_and(|(_, found)| *found == length.cast_unsigned()) {
            files.remove(&body);
        } else {
            tracing::warn!(body, "an entry of a cache has lost its body");
            remove_entry(&transaction, id)?;
        }
    }
    transaction.commit()?;
    unknown.extend(files.into_values().map(|(path, _)| path));
    unknown.iter().for_each(|path| bodies::remove(path));
    Ok(next)
}
