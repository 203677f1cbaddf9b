//! The extension that boots a realm, and the list of those it stands on.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bgfetch_deno::Web;
use deno_core::error::JsError;
use deno_core::{Extension, OpDecl, OpState, op2, v8};
use deno_error::JsErrorBox;
use serde::Serialize;
use url::Url;

use crate::cache::CacheStore;
use crate::cache::ops::{self as cache, CacheRealm};
use crate::fetch::{self, FetchClient};
use crate::page::{self, PageState};
use crate::service_worker::{AtStart, Connection, FromRealm};
use crate::sources::embed;

/// What a realm's global object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RealmKind {
    /// A `Window`.
    Window,
    /// A `DedicatedWorkerGlobalScope`.
    DedicatedWorker,
    /// A `SharedWorkerGlobalScope`.
    SharedWorker,
    /// A `ServiceWorkerGlobalScope`.
    ServiceWorker,
}

/// How grave a message of the console is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleLevel {
    /// `console.debug()`
    Debug,
    /// `console.log()`, `console.info()`
    Info,
    /// `console.warn()`
    Warn,
    /// `console.error()`, and exceptions that nothing caught.
    Error,
}

/// The realm whose console writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSource {
    /// What its global object is.
    pub kind: RealmKind,
    /// The URL of its page or script.
    pub url: Url,
}

/// Where the consoles of realms write to.
pub type Console = Arc<dyn Fn(&ConsoleSource, ConsoleLevel, &str) + Send + Sync>;

/// What the bootstrap script is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Description {
    pub(crate) kind: RealmKind,
    pub(crate) href: Url,
    /// The scope of the realm's service worker registration.
    pub(crate) scope: Option<Url>,
    /// How service workers stand for the realm. None where nothing owns them.
    pub(crate) service_workers: Option<AtStart>,
    /// Whether it is a [secure context](https://html.spec.whatwg.org/multipage/webappapis.html#secure-context).
    pub(crate) is_secure_context: bool,
    /// Whether scripts have the network.
    pub(crate) has_network: bool,
    /// Whether it is the window of a page.
    pub(crate) has_page: bool,
    /// Whether an embedder's script has a hook.
    pub(crate) has_hook: bool,
    /// Whether it is the window of a frame.
    pub(crate) is_frame: bool,
}

pub(crate) struct HostState {
    pub(crate) description: Description,
    pub(crate) console: Console,
    pub(crate) connection: Option<Connection>,
    /// How scripts reach the network.
    pub(crate) fetch: Option<FetchClient>,
    pub(crate) page: Option<Arc<PageState>>,
}

impl HostState {
    pub(crate) fn write(&self, level: ConsoleLevel, message: &str) {
        let Description { kind, href, .. } = &self.description;
        let source = ConsoleSource { kind: *kind, url: href.clone() };
        (self.console)(&source, level, message);
    }
}

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
        _ => ConsoleLevel::Error,
    };
    state.borrow::<HostState>().write(level, message.trim_end());
}

/// Tells of an exception that nothing caught. Deno's own op would end the script that runs, as an
/// exception ends its process.
#[op2(fast, reentrant)]
fn op_host_uncaught<'s>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, '_>,
    exception: v8::Local<'s, v8::Value>,
    _in_promise: bool,
) {
    let error = JsError::from_v8_exception(scope, exception).to_string();
    let message = format!("Uncaught {}", error.strip_prefix("Uncaught ").unwrap_or(&error));
    state.borrow().borrow::<HostState>().write(ConsoleLevel::Error, &message);
}

/// Puts this crate's op where Deno's is.
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

/// Tells the owner of the service workers something.
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

/// Waits for what the owner of the service workers says next. None when it says nothing any more.
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

/// A script that a worker imports.
#[derive(Default, Serialize)]
struct Imported {
    source: String,
    /// Why there is none.
    error: Option<String>,
}

#[op2]
#[serde]
fn op_host_import_script(state: &mut OpState, #[string] url: &str) -> Result<Imported, JsErrorBox> {
    let connection = state.borrow::<HostState>().connection.as_ref();
    let import = connection.and_then(|connection| connection.import.as_ref());
    let import = import.ok_or_else(no_owner)?;
    let url = Url::parse(url).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    Ok(match import(url) {
        Ok(source) => Imported { source, error: None },
        Err(error) => Imported { error: Some(error), ..Imported::default() },
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
        fetch::op_host_fetch_handle,
        fetch::op_host_fetch,
        page::op_page_document,
        page::op_page_load_script,
        page::op_page_open_frame,
        page::op_page_policy,
        page::op_page_title,
        page::op_page_loaded,
        page::op_page_close,
        page::op_page_is_online,
        page::op_page_online_changed,
        page::op_page_hook,
    ],
    esm_entry_point = "ext:bgfetch_host/bootstrap.js",
    esm = [dir "js", "bootstrap.js"],
    lazy_loaded_js = [
        dir "js",
        "caches.js",
        "document.js",
        "dom.js",
        "elements.js",
        "fetch.js",
        "global_scope.js",
        "navigator.js",
        "patches.js",
        "selectors.js",
        "service_worker_api.js",
        "service_worker_scope.js",
        "structured_clone.js",
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

/// What the realms of one user agent share: blobs, broadcast channels and caches. Clones are the
/// same. By default there are no caches: what scripts ask of them is rejected.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    web: Web,
    caches: Option<CacheStore>,
}

impl Shared {
    /// With these caches.
    #[must_use]
    pub fn with_caches(caches: CacheStore) -> Self {
        Self { caches: Some(caches), ..Self::default() }
    }
}

/// All extensions of a realm, in the order of their dependencies.
pub(crate) fn extensions(
    shared: Shared,
    host: HostState,
    background_fetch: bgfetch_deno::Options,
) -> Vec<Extension> {
    let caches = CacheRealm::new(shared.caches, background_fetch.storage_key.0.clone());
    let web = Web { location: Some(host.description.href.clone()), ..shared.web };
    let mut extensions = bgfetch_deno::extensions(web, background_fetch);
    extensions.push(bgfetch_host::init(host, caches));
    extensions.into_iter().map(embed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch::{PolicySnapshot, StorageKey};

    #[test]
    fn every_script_is_inside_the_program() {
        let href: Url = "https://app.test/".parse().unwrap();
        let policies = PolicySnapshot::of(&href);
        let host = HostState {
            description: Description {
                kind: RealmKind::Window,
                href,
                scope: None,
                service_workers: None,
                is_secure_context: true,
                has_network: false,
                has_page: false,
                has_hook: false,
                is_frame: false,
            },
            console: Arc::new(|_, _, _| ()),
            connection: None,
            fetch: None,
            page: None,
        };
        let background_fetch = bgfetch_deno::Options {
            engine: tokio::sync::watch::channel(None).1,
            storage_key: StorageKey(String::new()),
            policies: Arc::new(move || policies.clone()),
            events: None,
        };
        for extension in extensions(Shared::default(), host, background_fetch) {
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
