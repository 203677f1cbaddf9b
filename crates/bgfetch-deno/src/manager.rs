//! [BackgroundFetchManager](https://wicg.github.io/background-fetch/#background-fetch-manager).

use std::cell::RefCell;
use std::rc::Rc;

use bgfetch::{FetchKey, FetchOptions, ImageResource, Request, check_request};
use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use serde::Deserialize;

use crate::exceptions::{call_failed, exception};
use crate::list::List;
use crate::realm::{Realm, caught_up, look_up, with_realm};
use crate::request::{FetchRequest, into_request_infos};

/// The spec's `BackgroundFetchOptions`, as the binding converted them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsOptions {
    title: String,
    icons: Vec<ImageResource>,
    /// An `unsigned long long`, which scripts see as a Number.
    download_total: f64,
}

/// The `fetch()` method, with converted arguments. Returns the key of the new registration.
#[op2]
#[serde]
pub(crate) async fn op_bgfetch_fetch(
    state: Rc<RefCell<OpState>>,
    #[string] scope: String,
    #[string] id: String,
    #[serde] requests: Vec<FetchRequest>,
    #[serde] options: JsOptions,
    sees_active_worker: bool,
) -> Result<Option<u64>, JsErrorBox> {
    let (requests, pump) = into_request_infos(&mut state.borrow_mut(), requests)?;
    caught_up(&state).await;
    // The realm may end right after the call, for example when a script closes its window.
    let manager = with_realm(&state, |realm| realm.manager(&scope))?
        .with_calls_that_go_on()
        .seeing_active_worker(sees_active_worker);
    let JsOptions { title, icons, download_total } = options;
    let options = FetchOptions::default().with(|it| {
        it.title = title;
        it.icons = icons;
        it.download_total = download_total as u64;
    });
    let fetch = async {
        // The bodies are read on this thread, which owns the script's streams, as long as the
        // engine asks for more.
        tokio::select! {
            result = manager.fetch_held(id, requests, options) => result,
            never = pump.run() => match never {},
        }
    };
    let key = look_up(&state, fetch, |realm, (registration, hold)| {
        realm.holds.insert(registration.key(), hold);
        Some(registration)
    });
    Ok(key.await?.map(|key| key.0))
}

/// Checks one request of a call to `fetch()`, before the next one is created.
#[op2]
pub(crate) fn op_bgfetch_check_request(#[serde] request: Request) -> Result<(), JsErrorBox> {
    check_request(&request).map_err(|error| exception(error.dom_exception(), error))
}

/// The promise of `fetch()` was resolved and its microtasks have run (D13): the requests may start.
#[op2(fast)]
pub(crate) fn op_bgfetch_start(state: &mut OpState, #[number] key: u64) {
    state.borrow_mut::<Realm>().holds.remove(&FetchKey(key));
}

/// The `get()` method. Returns the registration's key.
#[op2]
#[serde]
pub(crate) async fn op_bgfetch_get(
    state: Rc<RefCell<OpState>>,
    #[string] scope: String,
    #[string] id: String,
) -> Result<Option<u64>, JsErrorBox> {
    caught_up(&state).await;
    let manager = with_realm(&state, |realm| realm.manager(&scope))?;
    let key = look_up(&state, manager.get(id), |_, registration| registration).await?;
    Ok(key.map(|key| key.0))
}

/// The `getIds()` method.
#[op2]
#[serde]
pub(crate) async fn op_bgfetch_get_ids(
    state: Rc<RefCell<OpState>>,
    #[string] scope: String,
) -> Result<List<String>, JsErrorBox> {
    caught_up(&state).await;
    let manager = with_realm(&state, |realm| realm.manager(&scope))?;
    Ok(List { list: manager.get_ids().await.map_err(call_failed)? })
}
