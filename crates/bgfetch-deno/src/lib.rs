//! The JavaScript interfaces of [Background Fetch](https://wicg.github.io/background-fetch/) as an
//! extension for [`deno_core`], over the engine of [`bgfetch`].
//!
//! The extension provides `BackgroundFetchManager`, `BackgroundFetchRegistration`,
//! `BackgroundFetchRecord`, `BackgroundFetchEvent` and `BackgroundFetchUpdateUIEvent`, on top of
//! Deno's own Web APIs (`Request`, `Response`, streams, events). Their scripts are those of
//! [`bgfetch_js`](https://docs.rs/bgfetch-js), which other hosts use, too. The engine and its store
//! are shared by all realms and live outside of them.
//!
//! An embedder creates its realms with [`extensions()`], or with
//! [`bgfetch_deno::init`](bgfetch_deno) if it includes Deno's extensions itself. Its bootstrap
//! script calls the functions of `Deno.core.loadExtScript("ext:bgfetch_deno/mod.js")`: `install()`
//! in every realm, and `installServiceWorker()` in those of service workers. Their arguments are
//! documented there. `examples/embedder.rs` is a complete embedder.
//!
//! Service workers get their events through [`functional_events`]: one end goes to the realm, the
//! other to the embedder's [`WorkerHost`](bgfetch::WorkerHost).
//!
//! # Cargo features
//!
//! `quickjs` (the default) or `v8` select deno_core's JavaScript engine; the sources are the same
//! for both. QuickJS is not a sandbox for hostile pages.

mod body;
mod events;
mod exceptions;
mod list;
mod manager;
mod realm;
mod record;
mod registration;
mod request;
mod scripts;

use std::fmt;
use std::sync::Arc;

use bgfetch::{Engine, PolicySnapshot, StorageKey};
use deno_core::Extension;
use deno_web::{BlobStore, InMemoryBroadcastChannel};
use tokio::sync::watch;
use url::Url;

pub use body::BodyResource;
pub use events::{Events, EventsSender, functional_events};
pub use list::List;
pub use scripts::{embed, scripts};

/// A realm's connection to the engine.
pub struct Options {
    /// The engine. A realm borrows it for the duration of a call and does not keep it alive. It may
    /// be replaced, or be missing for a while: calls then reject with an `AbortError`, and the
    /// realm continues with the next engine.
    pub engine: watch::Receiver<Option<Engine>>,
    /// The realm's storage key.
    pub storage_key: StorageKey,
    /// The realm's policies, read at each call to `fetch()`.
    pub policies: Arc<dyn Fn() -> PolicySnapshot + Send + Sync>,
    /// The source of a service worker realm's events. `None` in other realms.
    pub events: Option<Events>,
}

impl Options {
    /// Options for a page whose engine and policies never change.
    #[must_use]
    pub fn page(engine: Engine, storage_key: StorageKey, policies: PolicySnapshot) -> Self {
        Self {
            engine: watch::Sender::new(Some(engine)).subscribe(),
            storage_key,
            policies: Arc::new(move || policies.clone()),
            events: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("storage_key", &self.storage_key).finish_non_exhaustive()
    }
}

deno_core::extension!(
    bgfetch_deno,
    deps = [deno_webidl, deno_web, deno_fetch],
    ops = [
        manager::op_bgfetch_fetch,
        manager::op_bgfetch_check_request,
        manager::op_bgfetch_start,
        manager::op_bgfetch_get,
        manager::op_bgfetch_get_ids,
        registration::op_bgfetch_attributes,
        registration::op_bgfetch_next_update,
        registration::op_bgfetch_abort,
        registration::op_bgfetch_match_all,
        registration::op_bgfetch_forget,
        request::op_bgfetch_parse_url,
        record::op_bgfetch_response_ready,
        record::op_bgfetch_request_body,
        record::op_bgfetch_close_record,
        events::op_bgfetch_next_event,
        events::op_bgfetch_extend,
        events::op_bgfetch_settle,
        events::op_bgfetch_end_dispatch,
        events::op_bgfetch_update_ui,
    ],
    // Scripts rather than modules: in debug builds, deno_core on QuickJS refuses a module that
    // imports one that another extension has already imported.
    lazy_loaded_js = [
        dir "js",
        "mod.js",
        "deno.js",
        "engine.js",
        "event_target.js",
        "exceptions.js",
        "marking_request.js",
        "platform.js",
        "promises.js",
    ],
    options = { options: Options },
    state = |state, options| {
        let mut options = options.options;
        state.put(events::RealmEvents::new(options.events.take()));
        state.put(realm::Realm::new(options));
    },
    customizer = |extension: &mut Extension| {
        extension.lazy_loaded_js_files.to_mut().extend_from_slice(scripts::INTERFACES);
    },
);

/// Options for Deno's Web APIs. The default is a realm without a location that shares nothing.
#[derive(Clone, Default)]
pub struct Web {
    /// The URL of the realm's page or script.
    pub location: Option<Url>,
    /// The blobs, by their identities and URLs. Only realms of one storage key may share them.
    pub blobs: Arc<BlobStore>,
    /// The messages of `BroadcastChannel`. Only realms of one storage key may share them.
    pub broadcast: InMemoryBroadcastChannel,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("location", &self.location).finish_non_exhaustive()
    }
}

/// This crate's extension after the Deno extensions that it needs, for embedders whose realms have
/// none of those yet. Their scripts are embedded in the program.
#[must_use]
pub fn extensions(web: Web, options: Options) -> Vec<Extension> {
    let extensions = [
        deno_webidl::deno_webidl::init(),
        deno_web::deno_web::init(web.blobs, web.location, false, web.broadcast),
        net::deno_net::init(),
        deno_fetch::deno_fetch::init(deno_fetch::Options::default()),
        bgfetch_deno::init(options),
    ];
    extensions.map(|extension| embed(extension, scripts::SCRIPTS)).into()
}

/// A stand-in for Deno's own `deno_net`, for embedders without it. The JavaScript of `deno_fetch`
/// needs one of its functions, which only Deno's HTTP client calls.
pub mod net {
    deno_core::extension!(
        deno_net,
        lazy_loaded_js = [ dir "js", "ext:deno_net/02_tls.js" = "deno_net.js" ],
    );
}
