//! The operations that `caches.js` calls.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bgfetch::{MatchOptions, Request};
use bgfetch_deno::{BodyResource, List};
use deno_core::{OpState, ResourceId, op2};
use deno_error::JsErrorBox;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::bodies::BodyFile;
use super::database::{Cache, Found, NewEntry, StoredResponse};
use super::exception::thrown;
use super::put::Body;
use super::{CacheError, CacheStore};

/// How many bytes of a body are read from its file at once, at most.
const CHUNK: usize = 256 << 10;

/// The caches of a realm.
pub(crate) struct CacheRealm {
    store: Option<CacheStore>,
    storage_key: String,
    /// The caches that scripts hold, by their numbers in this realm.
    caches: HashMap<u32, Cache>,
    next: u32,
}

impl CacheRealm {
    pub(crate) fn new(store: Option<CacheStore>, storage_key: String) -> Self {
        Self { store, storage_key, caches: HashMap::new(), next: 0 }
    }
}

/// The service worker spec's `CacheQueryOptions`, as the binding converted them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsMatchOptions {
    ignore_method: bool,
    ignore_search: bool,
    ignore_vary: bool,
}

impl From<JsMatchOptions> for MatchOptions {
    fn from(options: JsMatchOptions) -> Self {
        let JsMatchOptions { ignore_method, ignore_search, ignore_vary } = options;
        Self::default().with(|it| {
            it.ignore_search = ignore_search;
            it.ignore_method = ignore_method;
            it.ignore_vary = ignore_vary;
        })
    }
}

/// An entry that a script puts.
#[derive(Deserialize)]
struct JsEntry {
    request: Request,
    response: StoredResponse,
    /// The resource of the body's stream, or `None` without a body.
    body: Option<ResourceId>,
}

/// A response that matched, with its body as a resource.
#[derive(Serialize)]
struct JsResponse {
    head: StoredResponse,
    body: Option<ResourceId>,
}

/// Runs a blocking task that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, JsErrorBox> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| JsErrorBox::generic(error.to_string()))?.map_err(thrown)
}

fn store_of(state: &Rc<RefCell<OpState>>) -> Result<(CacheStore, String), JsErrorBox> {
    let state = state.borrow();
    let realm = state.borrow::<CacheRealm>();
    let store = realm.store.clone().ok_or_else(|| {
        JsErrorBox::new("DOMExceptionNotSupportedError", "This user agent has no caches")
    })?;
    Ok((store, realm.storage_key.clone()))
}

fn cache_of(state: &Rc<RefCell<OpState>>, cache: u32) -> Result<Cache, JsErrorBox> {
    let state = state.borrow();
    let cache = state.borrow::<CacheRealm>().caches.get(&cache).cloned();
    cache.ok_or_else(|| JsErrorBox::generic("an unknown cache"))
}

/// The `open()` method of `CacheStorage`. Returns the number of the cache in this realm.
#[op2]
#[smi]
pub(crate) async fn op_host_caches_open(
    state: Rc<RefCell<OpState>>,
    #[string] name: String,
) -> Result<u32, JsErrorBox> {
    let (store, key) = store_of(&state)?;
    let cache = blocking(move || store.open_cache(&key, &name)).await?;
    let mut state = state.borrow_mut();
    let realm = state.borrow_mut::<CacheRealm>();
    let number = realm.next;
    realm.next = number.wrapping_add(1);
    realm.caches.insert(number, cache);
    Ok(number)
}

/// The object of a cache was garbage collected.
#[op2(fast)]
pub(crate) fn op_host_cache_close(state: &mut OpState, #[smi] cache: u32) {
    state.borrow_mut::<CacheRealm>().caches.remove(&cache);
}

/// The `has()` method of `CacheStorage`.
#[op2]
pub(crate) async fn op_host_caches_has(
    state: Rc<RefCell<OpState>>,
    #[string] name: String,
) -> Result<bool, JsErrorBox> {
    let (store, key) = store_of(&state)?;
    blocking(move || store.has_cache(&key, &name)).await
}

/// The `delete()` method of `CacheStorage`.
#[op2]
pub(crate) async fn op_host_caches_delete(
    state: Rc<RefCell<OpState>>,
    #[string] name: String,
) -> Result<bool, JsErrorBox> {
    let (store, key) = store_of(&state)?;
    blocking(move || store.delete_cache(&key, &name)).await
}

/// The `keys()` method of `CacheStorage`.
#[op2]
#[serde]
pub(crate) async fn op_host_caches_keys(
    state: Rc<RefCell<OpState>>,
) -> Result<List<String>, JsErrorBox> {
    let (store, key) = store_of(&state)?;
    Ok(List { list: blocking(move || store.cache_names(&key)).await? })
}

/// The `match()` method of `CacheStorage`.
#[op2]
#[serde]
pub(crate) async fn op_host_caches_match(
    state: Rc<RefCell<OpState>>,
    #[serde] query: Request,
    #[serde] options: JsMatchOptions,
    #[string] name: Option<String>,
) -> Result<Option<JsResponse>, JsErrorBox> {
    let (store, key) = store_of(&state)?;
    let search = move || store.match_first(&key, name.as_deref(), &query, options.into());
    let found = blocking(search).await?;
    Ok(found.map(|found| response(&state, found)))
}

/// The `matchAll()` method of `Cache`, or `match()` if `first` is set.
#[op2]
#[serde]
pub(crate) async fn op_host_cache_match_all(
    state: Rc<RefCell<OpState>>,
    #[smi] cache: u32,
    #[serde] query: Option<Request>,
    #[serde] options: JsMatchOptions,
    first: bool,
) -> Result<List<JsResponse>, JsErrorBox> {
    let cache = cache_of(&state, cache)?;
    let limit = if first { 1 } else { usize::MAX };
    let found = blocking(move || cache.match_all(query.as_ref(), options.into(), limit)).await?;
    Ok(found.into_iter().map(|found| response(&state, found)).collect())
}

/// The `keys()` method of `Cache`.
#[op2]
#[serde]
pub(crate) async fn op_host_cache_keys(
    state: Rc<RefCell<OpState>>,
    #[smi] cache: u32,
    #[serde] query: Option<Request>,
    #[serde] options: JsMatchOptions,
) -> Result<List<Request>, JsErrorBox> {
    let cache = cache_of(&state, cache)?;
    let found =
        blocking(move || cache.match_all(query.as_ref(), options.into(), usize::MAX)).await?;
    Ok(found.into_iter().map(|found| found.request).collect())
}

/// The `delete()` method of `Cache`.
#[op2]
pub(crate) async fn op_host_cache_delete(
    state: Rc<RefCell<OpState>>,
    #[smi] cache: u32,
    #[serde] query: Request,
    #[serde] options: JsMatchOptions,
) -> Result<bool, JsErrorBox> {
    let cache = cache_of(&state, cache)?;
    blocking(move || cache.delete(&query, options.into())).await
}

/// Puts entries once their bodies are stored: all or none.
#[op2]
pub(crate) async fn op_host_cache_put(
    state: Rc<RefCell<OpState>>,
    #[smi] cache: u32,
    #[serde] entries: Vec<JsEntry>,
) -> Result<(), JsErrorBox> {
    let mut taken = Vec::new();
    for JsEntry { request, response, body } in entries {
        let table = &mut state.borrow_mut().resource_table;
        let body = body.map(|body| Body::take(table, body)).transpose()?;
        taken.push((request, response, body));
    }
    let cache = cache_of(&state, cache)?;
    let store = cache.store();
    let stored = taken.into_iter().map(async |(request, response, body)| {
        let body = match body {
            Some(body) => Some(body.store(store).await?),
            None => None,
        };
        Ok::<_, JsErrorBox>(NewEntry { request, response, body })
    });
    let entries = try_join_all(stored).await?;
    blocking(move || cache.put(&entries)).await
}

fn response(state: &Rc<RefCell<OpState>>, found: Found) -> JsResponse {
    let body = found.body.map(|body| {
        let body = BodyResource::new(read(body));
        state.borrow_mut().resource_table.add(body)
    });
    JsResponse { head: found.response, body }
}

/// The bytes of a file, which is opened on the first read.
fn read(
    body: BodyFile,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, JsErrorBox>> + Send + 'static {
    let path = body.path();
    let opened = stream::once(File::open(path.clone()));
    opened
        .map_ok(|file| ReaderStream::with_capacity(file, CHUNK))
        .try_flatten()
        .map(move |chunk| chunk.map_err(|error| thrown(CacheError::file(body.path(), error))))
}
