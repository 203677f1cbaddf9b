//! The extension that boots a realm, and the list of the extensions that it needs.

use std::cell::RefCell;
use std::rc::Rc;

use bgfetch_deno::Web;
use deno_core::error::JsError;
use deno_core::{Extension, FastStaticString, OpDecl, OpState, op2, v8};
use deno_error::JsErrorBox;
use url::Url;

use crate::cache::ops::{self as cache, CacheRealm};
use crate::console::ConsoleLevel;
use crate::document;
use crate::fetch;
use crate::host_state::{HostState, ScriptToRun};
use crate::message::{FromRealm, Imported};
use crate::ops;

/// This crate's own scripts.
static SCRIPTS: &[(&str, FastStaticString)] = bgfetch_deno::scripts!();

#[op2]
#[serde]
fn op_host_realm(state: &mut OpState) -> serde_json::Value {
    serde_json::to_value(&state.borrow::<HostState>().description).unwrap_or_default()
}

#[op2(fast)]
fn op_host_console(state: &mut OpState, #[string] message: &str, #[smi] level: u32) {
    let level = match level {
        0 => ConsoleLevel::Debug,
        1 => ConsoleLevel::Info,
        2 => ConsoleLevel::Warn,
        3 => ConsoleLevel::Error,
        _ => ConsoleLevel::Uncaught,
    };
    state.borrow::<HostState>().write(level, message.trim_end());
}

/// Reports an uncaught exception. Deno's own op would end the running script, because in Deno an
/// uncaught exception ends the process.
#[op2(fast, reentrant)]
fn op_host_uncaught<'s>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, '_>,
    exception: v8::Local<'s, v8::Value>,
    _in_promise: bool,
) {
    let error = JsError::from_v8_exception(scope, exception).to_string();
    let message = format!("Uncaught {}", error.strip_prefix("Uncaught ").unwrap_or(&error));
    state.borrow().borrow::<HostState>().write(ConsoleLevel::Uncaught, &message);
}

/// Replaces one of Deno's ops with this crate's.
fn replace_op(op: OpDecl) -> OpDecl {
    match op.name {
        "op_dispatch_exception" => op.with_implementation_from(&op_host_uncaught()),
        _ => op,
    }
}

/// Fills an array with random bytes.
#[op2(fast)]
fn op_host_random(#[buffer] bytes: &mut [u8]) -> Result<(), JsErrorBox> {
    getrandom::fill(bytes).map_err(|error| JsErrorBox::generic(error.to_string()))
}

#[op2]
#[string]
fn op_host_uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Sends a message to the owner of the service workers.
#[op2(fast)]
fn op_host_send(state: &mut OpState, #[string] message: &str) -> Result<(), JsErrorBox> {
    let wrong = |error: serde_json::Error| JsErrorBox::type_error(error.to_string());
    let mut message: FromRealm = serde_json::from_str(message).map_err(wrong)?;
    if state.borrow::<HostState>().connection.is_none() {
        return Err(no_owner());
    }
    if let Some(message) = message.message() {
        message.leave(state)?;
    }
    if let Some(connection) = &state.borrow::<HostState>().connection {
        connection.send(message);
    }
    Ok(())
}

fn no_owner() -> JsErrorBox {
    JsErrorBox::new("DOMExceptionNotSupportedError", "This realm has no service workers")
}

/// Waits for the next message from the owner of the service workers. `None` when there will be no
/// more.
#[op2]
#[string]
async fn op_host_receive(state: Rc<RefCell<OpState>>) -> Result<Option<String>, JsErrorBox> {
    let mut inbox = {
        let mut state = state.borrow_mut();
        let connection = state.borrow_mut::<HostState>().connection.as_mut();
        let Some(inbox) = connection.and_then(|connection| connection.inbox.take()) else {
            return Ok(None);
        };
        inbox
    };
    let Some(mut message) = inbox.recv().await else {
        return Ok(None);
    };
    let mut state = state.borrow_mut();
    if let Some(connection) = &mut state.borrow_mut::<HostState>().connection {
        connection.inbox = Some(inbox);
    }
    if let Some(message) = message.message() {
        message.arrive(&mut state)?;
    }
    serde_json::to_string(&message)
        .map(Some)
        .map_err(|error| JsErrorBox::generic(error.to_string()))
}

/// The script that a worker imports. `None` if it cannot be loaded: scripts must not learn the
/// reason, because it could reveal something about other origins.
#[op2]
#[serde]
fn op_host_import_script(
    state: &mut OpState,
    #[string] url: &str,
) -> Result<Option<ScriptToRun>, JsErrorBox> {
    let host = state.borrow::<HostState>();
    let connection = host.connection.as_ref();
    let import = connection.and_then(|connection| connection.import.as_ref());
    let import = import.ok_or_else(no_owner)?;
    let url = Url::parse(url).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    Ok(match import(url.clone()) {
        Ok(Imported { source, has_muted_errors }) => Some(ScriptToRun { source, has_muted_errors }),
        Err(error) => {
            host.write(ConsoleLevel::Error, &format!("{url} was not imported: {error}"));
            None
        }
    })
}

deno_core::extension!(
    bgfetch_host,
    deps = [deno_webidl, deno_web, deno_fetch, bgfetch_deno],
    ops = [
        op_host_realm,
        op_host_console,
        op_host_send,
        op_host_receive,
        op_host_import_script,
        cache::op_host_caches_open,
        cache::op_host_caches_has,
        cache::op_host_caches_delete,
        cache::op_host_caches_keys,
        cache::op_host_caches_match,
        cache::op_host_cache_match_all,
        cache::op_host_cache_keys,
        cache::op_host_cache_delete,
        cache::op_host_cache_put,
        cache::op_host_cache_close,
        op_host_random,
        op_host_uuid,
        ops::op_host_explain_syntax_error,
        ops::op_host_permission,
        ops::op_host_storage_estimate,
        ops::op_host_digest,
        ops::op_host_show_notification,
        ops::op_host_notifications,
        ops::op_host_close_notification,
        fetch::op_host_fetch_handle,
        fetch::op_host_fetch,
        document::op_page_document,
        document::op_page_load_script,
        document::op_page_open_frame,
        document::op_page_policy,
        document::op_page_next_click,
        document::op_page_answer,
        document::op_page_title,
        document::op_page_loaded,
        document::op_page_close,
        document::op_page_is_online,
        document::op_page_online_changed,
        document::op_page_hook,
    ],
    esm_entry_point = "ext:bgfetch_host/bootstrap.js",
    esm = [dir "js", "bootstrap.js"],
    lazy_loaded_js = [
        dir "js",
        "buffer_source.js",
        "caches.js",
        "collections.js",
        "document.js",
        "dom.js",
        "elements.js",
        "errors.js",
        "fetch.js",
        "global_scope.js",
        "navigator.js",
        "notifications.js",
        "patches.js",
        "permissions.js",
        "selectors.js",
        "serializable.js",
        "service_worker_api.js",
        "service_worker_scope.js",
        "storage_manager.js",
        "structured_clone.js",
        "structured_data.js",
        "structured_deserialize.js",
        "structured_serialize.js",
        "subtle_crypto.js",
        "unsupported.js",
        "user.js",
        "usv_strings.js",
        "window.js",
        "window_or_worker.js",
        "worker_scope.js",
    ],
    options = { host: HostState, caches: CacheRealm },
    middleware = replace_op,
    state = |state, options| {
        state.put(options.host);
        state.put(options.caches);
    },
);

/// All extensions of a realm, in the order of their dependencies.
pub(crate) fn extensions(
    host: HostState,
    background_fetch: bgfetch_deno::Options,
) -> Vec<Extension> {
    let caches = CacheRealm::new(host.resources.caches.clone(), host.storage_key.0.clone());
    let web = host.resources.web(&host.storage_key);
    let web = Web { location: Some(host.description.href.clone()), ..web };
    let mut extensions = bgfetch_deno::extensions(web, background_fetch);
    extensions.push(bgfetch_deno::embed(bgfetch_host::init(host, caches), SCRIPTS));
    extensions
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use bgfetch::{PolicySnapshot, StorageKey};

    use crate::console::RealmKind;

    #[test]
    fn every_script_is_inside_the_program() {
        let href: Url = "https://app.test/".parse().unwrap();
        let policies = PolicySnapshot::of(&href);
        let host = HostState::alone(RealmKind::Window, href);
        let background_fetch = bgfetch_deno::Options {
            engine: tokio::sync::watch::channel(None).1,
            storage_key: StorageKey(String::new()),
            policies: Arc::new(move || policies.clone()),
            events: None,
        };
        for extension in extensions(host, background_fetch) {
            let files = [
                &extension.js_files,
                &extension.esm_files,
                &extension.lazy_loaded_esm_files,
                &extension.lazy_loaded_js_files,
            ];
            for file in files.into_iter().flat_map(|files| files.iter()) {
                assert!(file.is_runtime_loadable(), "{}", file.specifier);
            }
        }
    }
}
