//! [BackgroundFetchRegistration](https://wicg.github.io/background-fetch/#background-fetch-registration).

use std::cell::RefCell;
use std::rc::Rc;

use bgfetch::{FetchKey, MatchOptions, Request};
use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use serde::{Deserialize, Serialize};

use crate::exceptions::call_failed;
use crate::list::List;
use crate::realm::{Changed, Realm, connect, registration, with_realm};

/// The current attributes. Byte counts are Numbers to scripts, whatever their size.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attributes {
    id: String,
    upload_total: f64,
    uploaded: f64,
    download_total: f64,
    downloaded: f64,
    result: &'static str,
    failure_reason: &'static str,
    records_available: bool,
}

/// The attributes of a registration, when it is created and after each change.
#[op2]
#[serde]
pub(crate) fn op_bgfetch_attributes(
    state: &mut OpState,
    #[number] key: u64,
) -> Result<Attributes, JsErrorBox> {
    let registration = state.borrow::<Realm>().registration(FetchKey(key))?;
    let (result, failure_reason) = match registration.result() {
        None => ("", ""),
        Some(Ok(())) => ("success", ""),
        Some(Err(reason)) => ("failure", reason.as_str()),
    };
    Ok(Attributes {
        id: registration.id().to_owned(),
        upload_total: registration.upload_total() as f64,
        uploaded: registration.uploaded() as f64,
        download_total: registration.download_total() as f64,
        downloaded: registration.downloaded() as f64,
        result,
        failure_reason,
        records_available: registration.records_available(),
    })
}

/// Waits for the next change. Asking for one acknowledges that the last change was applied. `None`
/// when there will be no more.
#[op2]
#[serde]
pub(crate) async fn op_bgfetch_next_update(state: Rc<RefCell<OpState>>) -> Option<Changed> {
    loop {
        let (changed, client) =
            with_realm(&state, |realm| (realm.changed.pop_front(), realm.client.take()));
        if changed.is_some() {
            with_realm(&state, |realm| realm.client = client);
            return changed;
        }
        let Some(mut client) = client else {
            // Connecting may change registrations.
            let connected = connect(&state).await?;
            with_realm(&state, |realm| realm.client = Some(connected));
            continue;
        };
        // After the engine is closed, another one may follow.
        if let Some(update) = client.next().await {
            let changed = with_realm(&state, |realm| {
                realm.client = Some(client);
                realm.apply(update)
            });
            if changed.is_some() {
                return changed;
            }
        }
    }
}

/// The `abort()` method.
#[op2]
pub(crate) async fn op_bgfetch_abort(
    state: Rc<RefCell<OpState>>,
    #[number] key: u64,
) -> Result<bool, JsErrorBox> {
    let registration = registration(&state, FetchKey(key)).await?;
    registration.abort().await.map_err(call_failed)
}

/// The service worker spec's `CacheQueryOptions`, as the binding converted them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsMatchOptions {
    ignore_method: bool,
    ignore_search: bool,
    ignore_vary: bool,
}

/// A record that matched.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Matched {
    /// Its number in this realm, closed when its object is garbage collected.
    record: u32,
    request: Request,
}

/// The `matchAll()` method, or `match()` if `first` is set.
#[op2]
#[serde]
pub(crate) async fn op_bgfetch_match_all(
    state: Rc<RefCell<OpState>>,
    #[number] key: u64,
    #[serde] query: Option<Request>,
    #[serde] options: JsMatchOptions,
    first: bool,
) -> Result<List<Matched>, JsErrorBox> {
    let registration = registration(&state, FetchKey(key)).await?;
    let JsMatchOptions { ignore_method, ignore_search, ignore_vary } = options;
    let options = MatchOptions::default().with(|it| {
        it.ignore_search = ignore_search;
        it.ignore_method = ignore_method;
        it.ignore_vary = ignore_vary;
    });
    let matched = match query {
        Some(query) => registration.match_all(query, options).await,
        None => registration.records().await,
    };
    let wanted = if first { 1 } else { usize::MAX };
    with_realm(&state, |realm| {
        let record = |record: bgfetch::BackgroundFetchRecord| Matched {
            request: record.request().clone(),
            record: realm.add_record(record),
        };
        Ok(matched.map_err(call_failed)?.into_iter().take(wanted).map(record).collect())
    })
}

/// The registration's object was garbage collected.
#[op2(fast)]
pub(crate) fn op_bgfetch_forget(state: &mut OpState, #[number] key: u64) {
    state.borrow_mut::<Realm>().forget(FetchKey(key));
}
