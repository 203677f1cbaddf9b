//! Background fetches, as pages and workers see them: the interface
//! [BackgroundFetchRegistration](https://wicg.github.io/background-fetch/#background-fetch-registration).

use std::sync::Arc;

use bgfetch::{
    BackgroundFetchRegistration, FailureReason, FetchKey, MatchOptions, ServiceWorkerRegistration,
    StartHold,
};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::completion::{Completion, Guard, Value};
use crate::error::Result;
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;
use crate::{record, request};

/// The attributes of a fetch, as they are since the last [update](Completion::Update) that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// Its identity.
    pub key: FetchKey,
    /// The `id` attribute.
    pub id: String,
    /// The `uploadTotal` attribute, in bytes.
    pub upload_total: u64,
    /// The `uploaded` attribute, in bytes.
    pub uploaded: u64,
    /// The `downloadTotal` attribute, in bytes; 0 when none was given.
    pub download_total: u64,
    /// The `downloaded` attribute, in bytes.
    pub downloaded: u64,
    /// The `result` and `failureReason` attributes; `None` while the fetch is active.
    pub result: Option<std::result::Result<(), FailureReason>>,
    /// The `recordsAvailable` attribute.
    pub records_available: bool,
}

pub(crate) struct Fetch {
    queue: Arc<Queue>,
    registration: BackgroundFetchRegistration,
    hold: Mutex<Option<StartHold>>,
    updates: AbortHandle,
}

impl Object for Fetch {
    const KIND: Kind = Kind::Fetch;
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.updates.abort();
    }
}

/// A handle for a fetch that was looked up in `worker`. Its updates go to the queue once the guard is dropped, so that
/// the host knows of the handle before.
pub(crate) async fn adopt(
    queue: &Arc<Queue>,
    worker: &ServiceWorkerRegistration,
    found: BackgroundFetchRegistration,
    hold: Option<StartHold>,
) -> Result<(Handle, Guard)> {
    let mut updates = found.updates().await?;
    // What had changed before the updates began.
    if let Some(newer) = worker.fetch(found.key()).await? {
        found.catch_up_with(&newer);
    }
    let hold = Mutex::new(hold);
    let (unknown, known) = oneshot::channel::<()>();
    let (handle, _) = handle::insert(queue.handle, |fetch| {
        let (queue, updated) = (Arc::clone(queue), found.clone());
        let follow = {
            let queue = Arc::clone(&queue);
            async move {
                // Both senders are only ever dropped.
                known.await.unwrap_or_default();
                while let Some(update) = updates.next().await {
                    let progress = updated.apply(&update);
                    let (dropped, applied) = oneshot::channel::<()>();
                    let guard = Guard::new(dropped);
                    queue.push(Completion::Update { fetch, progress, update, applied: guard });
                    applied.await.unwrap_or_default();
                }
            }
        };
        let updates = queue.spawn(follow);
        Fetch { queue, registration: found, hold, updates }
    })?;
    Ok((handle, Guard::new(unknown)))
}

/// The answer with a fetch that was looked up.
pub(crate) async fn found(
    queue: &Arc<Queue>,
    worker: &ServiceWorkerRegistration,
    found: Option<BackgroundFetchRegistration>,
) -> Result<Value> {
    let Some(found) = found else { return Ok(Value::None) };
    let key = found.key();
    let (handle, known) = adopt(queue, worker, found, None).await?;
    Ok(Value::Fetch { handle, key, known })
}

/// The attributes.
///
/// # Errors
///
/// A bad handle.
pub fn attributes(fetch: Handle) -> Result<Attributes> {
    let fetch = handle::get::<Fetch>(fetch)?;
    let it = &fetch.registration;
    Ok(Attributes {
        key: it.key(),
        id: it.id().to_owned(),
        upload_total: it.upload_total(),
        uploaded: it.uploaded(),
        download_total: it.download_total(),
        downloaded: it.downloaded(),
        result: it.result(),
        records_available: it.records_available(),
    })
}

/// Lets a new fetch begin whose call asked to be held.
///
/// # Errors
///
/// A bad handle.
pub fn start(fetch: Handle) -> Result<()> {
    drop(handle::get::<Fetch>(fetch)?.hold.lock().take());
    Ok(())
}

/// The `abort()` method: answered by [`Value::Bool`].
///
/// # Errors
///
/// A bad handle.
pub fn abort(fetch: Handle, token: u64) -> Result<()> {
    let fetch = handle::get::<Fetch>(fetch)?;
    let registration = fetch.registration.clone();
    fetch.queue.call(token, async move { Ok(Value::Bool(registration.abort().await?)) });
    Ok(())
}

/// The service worker spec's `CacheQueryOptions`, in JSON.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct CacheQueryOptions {
    ignore_search: bool,
    ignore_method: bool,
    ignore_vary: bool,
}

/// The `matchAll()` method: answered by [`Value::Handles`], the records in the order of requests. `query` is a request
/// in JSON as [`registration::fetch`](crate::registration::fetch) takes it, or empty for all records; `options` are
/// `ignoreSearch`, `ignoreMethod` and `ignoreVary` in JSON, or empty. With `first`, it is the `match()` method: only the
/// first record.
///
/// # Errors
///
/// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if the JSON is not valid; a bad handle. The call fails as
/// [`Code::RecordsUnavailable`](crate::Code::RecordsUnavailable) once the settling event has ended.
pub fn match_all(fetch: Handle, token: u64, query: &str, options: &str, first: bool) -> Result<()> {
    let fetch = handle::get::<Fetch>(fetch)?;
    let options: CacheQueryOptions = request::parse_or_default(options)?;
    let query = (!query.is_empty()).then(|| request::parse(query)).transpose()?;
    let options = MatchOptions::default().with(|it| {
        it.ignore_search = options.ignore_search;
        it.ignore_method = options.ignore_method;
        it.ignore_vary = options.ignore_vary;
    });
    let (queue, registration) = (Arc::clone(&fetch.queue), fetch.registration.clone());
    fetch.queue.call(token, async move {
        let records = match query {
            Some(query) => registration.match_all(query, options).await?,
            None => registration.records().await?,
        };
        let wanted = if first { 1 } else { usize::MAX };
        let records = records.into_iter().take(wanted).map(|found| record::new(&queue, found));
        Ok(Value::Handles(records.collect::<Result<_>>()?))
    });
    Ok(())
}

/// Holds the records after the settling event, so that the user's next fetch of the same requests continues where this
/// one stopped; or releases them. Answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle. The call fails as [`Code::RecordsUnavailable`](crate::Code::RecordsUnavailable) if the event has
/// ended.
pub fn hold_records(fetch: Handle, token: u64, hold: bool) -> Result<()> {
    let fetch = handle::get::<Fetch>(fetch)?;
    let it = fetch.registration.clone();
    fetch.queue.call(token, async move {
        if hold {
            it.hold_records().await?
        } else {
            it.release_records().await?
        }
        Ok(Value::None)
    });
    Ok(())
}

/// Makes what was exported of the fetch survive a loss of power: answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle. The call fails with an error of the store.
pub fn sync_exports(fetch: Handle, token: u64) -> Result<()> {
    let fetch = handle::get::<Fetch>(fetch)?;
    let registration = fetch.registration.clone();
    fetch.queue.call(token, async move {
        registration.sync_exports().await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Frees a fetch. The background fetch goes on.
///
/// # Errors
///
/// A bad handle.
pub fn free(fetch: Handle) -> Result<()> {
    handle::take::<Fetch>(fetch).map(drop)
}
