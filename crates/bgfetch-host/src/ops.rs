//! The operations of `navigator.permissions`, `navigator.storage`, notifications and
//! `crypto.subtle`.

use std::cell::RefCell;
use std::rc::Rc;

use deno_core::{JsBuffer, OpState, op2};
use deno_error::JsErrorBox;
use ring::digest;
use serde::Serialize;
use url::Url;

use crate::console::ConsoleLevel;
use crate::host_state::HostState;
use crate::resources::PermissionState;
use crate::script_loader::module_hint;

/// The state of a permission. The script has checked the name.
#[op2]
#[serde]
pub(crate) fn op_host_permission(state: &mut OpState, #[string] name: &str) -> PermissionState {
    let host = state.borrow::<HostState>();
    (host.resources.query_permission)(name, &host.storage_key)
}

/// Writes a hint to the console if a script with a syntax error looks like a module.
#[op2(fast)]
pub(crate) fn op_host_explain_syntax_error(state: &mut OpState, #[string] source: &str) {
    if let Some(hint) = module_hint(source) {
        state.borrow::<HostState>().write(ConsoleLevel::Uncaught, hint);
    }
}

/// How much a site stores, and how much it may store in all.
#[derive(Serialize)]
pub(crate) struct Estimate {
    usage: u64,
    quota: u64,
}

/// The largest integer that a Number distinguishes from the next one.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// [`estimate()`](https://storage.spec.whatwg.org/#dom-storagemanager-estimate): a site can only
/// store background fetches and caches. The disk limits both, and the engine's quota limits the
/// former.
#[op2]
#[serde]
pub(crate) async fn op_host_storage_estimate(
    state: Rc<RefCell<OpState>>,
) -> Result<Estimate, JsErrorBox> {
    let (engine, storage_key, caches) = {
        let state = state.borrow();
        let host = state.borrow::<HostState>();
        let engine = host.engine.borrow().clone();
        (engine, host.storage_key.clone(), host.resources.caches.clone())
    };
    // An engine that has ended, or is restarting, stores nothing for scripts.
    let account = match engine {
        Some(engine) => engine.usage(storage_key.clone()).await.ok(),
        None => None,
    };
    let (fetches, limit) = account.map_or((0, None), |account| {
        (account.response_bodies.saturating_add(account.request_bodies), account.quota)
    });
    let (cached, free) = match caches {
        Some(caches) => {
            let asked = tokio::task::spawn_blocking(move || {
                Ok::<_, JsErrorBox>((
                    caches.usage(&storage_key.0).map_err(failed)?,
                    caches.available_space().map_err(failed)?,
                ))
            });
            asked.await.map_err(failed)??
        }
        None => (0, 0),
    };
    let usage = fetches.saturating_add(cached).min(MAX_SAFE_INTEGER);
    // Caches do not count towards the quota of background fetches.
    let limit = limit.unwrap_or(u64::MAX).saturating_add(cached);
    let quota = usage.saturating_add(free).min(limit).clamp(usage, MAX_SAFE_INTEGER);
    Ok(Estimate { usage, quota })
}

fn failed(error: impl ToString) -> JsErrorBox {
    JsErrorBox::type_error(error.to_string())
}

/// [`digest()`](https://w3c.github.io/webcrypto/#SubtleCrypto-method-digest) with the normalized
/// name of an algorithm.
#[op2]
#[buffer]
pub(crate) async fn op_host_digest(
    #[string] algorithm: String,
    #[buffer] data: JsBuffer,
) -> Result<Vec<u8>, JsErrorBox> {
    let algorithm = match algorithm.as_str() {
        "SHA-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-256" => &digest::SHA256,
        "SHA-384" => &digest::SHA384,
        "SHA-512" => &digest::SHA512,
        _ => return Err(JsErrorBox::new("DOMExceptionNotSupportedError", "Unknown algorithm")),
    };
    let data = data.to_vec();
    let digest = tokio::task::spawn_blocking(move || digest::digest(algorithm, &data));
    Ok(digest.await.map_err(failed)?.as_ref().to_vec())
}

/// Shows a notification, for the registration with that scope if there is one.
#[op2(fast)]
pub(crate) fn op_host_show_notification(
    state: &mut OpState,
    #[string] scope: &str,
    #[string] notification: &str,
) -> Result<u32, JsErrorBox> {
    let host = state.borrow::<HostState>();
    let notification = serde_json::from_str(notification).map_err(failed)?;
    let scope = if scope.is_empty() { None } else { Some(Url::parse(scope).map_err(failed)?) };
    let (source, storage_key) = (host.source(), host.storage_key.clone());
    Ok(host.resources.notifications.show(&source, storage_key, scope, notification))
}

#[op2]
#[string]
pub(crate) fn op_host_notifications(
    state: &mut OpState,
    #[string] scope: &str,
    #[string] tag: &str,
) -> Result<String, JsErrorBox> {
    let host = state.borrow::<HostState>();
    let scope = Url::parse(scope).map_err(failed)?;
    let found = host.resources.notifications.of_registration(&host.storage_key, &scope, tag);
    serde_json::to_string(&found).map_err(failed)
}

#[op2(fast)]
pub(crate) fn op_host_close_notification(state: &mut OpState, id: u32) -> bool {
    let host = state.borrow::<HostState>();
    host.resources.notifications.close(&host.storage_key, id)
}
