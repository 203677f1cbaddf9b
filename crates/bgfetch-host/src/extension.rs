//! The extension that boots a realm, and the list of those it stands on.

use std::fmt;
use std::sync::Arc;

use deno_core::{Extension, OpState, op2};
use deno_web::{BlobStore, InMemoryBroadcastChannel};
use serde::Serialize;
use url::Url;

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

/// Where a realm's console writes to.
pub type Console = Arc<dyn Fn(ConsoleLevel, &str) + Send + Sync>;

/// What the bootstrap script is told.
#[derive(Serialize)]
pub(crate) struct Description {
    pub(crate) kind: RealmKind,
    pub(crate) href: Url,
    /// The scope of the realm's service worker registration.
    pub(crate) scope: Option<Url>,
}

pub(crate) struct HostState {
    pub(crate) description: Description,
    pub(crate) console: Console,
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
    (state.borrow::<HostState>().console)(level, message.trim_end());
}

deno_core::extension!(
    bgfetch_host,
    deps = [deno_webidl, deno_web, deno_fetch, bgfetch_deno],
    ops = [op_host_realm, op_host_console],
    esm_entry_point = "ext:bgfetch_host/bootstrap.js",
    esm = [dir "js", "bootstrap.js"],
    lazy_loaded_js = [
        dir "js",
        "global_scope.js",
        "patches.js",
        "service_worker_api.js",
    ],
    options = { host: HostState },
    state = |state, options| {
        state.put(options.host);
    },
);

/// What the realms of one user agent share: blobs and broadcast channels. Clones are the same.
#[derive(Clone, Default)]
pub struct Shared {
    blobs: Arc<BlobStore>,
    broadcast: InMemoryBroadcastChannel,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// All extensions of a realm, in the order of their dependencies.
pub(crate) fn extensions(
    shared: Shared,
    host: HostState,
    background_fetch: bgfetch_deno::Options,
) -> Vec<Extension> {
    let href = host.description.href.clone();
    let extensions = [
        deno_webidl::deno_webidl::init(),
        deno_web::deno_web::init(shared.blobs, Some(href), false, shared.broadcast),
        bgfetch_deno::net::deno_net::init(),
        deno_fetch::deno_fetch::init(deno_fetch::Options::default()),
        bgfetch_deno::bgfetch_deno::init(background_fetch),
        bgfetch_host::init(host),
    ];
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
            description: Description { kind: RealmKind::Window, href, scope: None },
            console: Arc::new(|_, _| ()),
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
