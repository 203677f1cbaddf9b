//! The realms of a headless user agent: windows and workers with
//! [Background Fetch](https://wicg.github.io/background-fetch/), in Deno's Web APIs on deno_core.
//!
//! A [`UserAgent`] has all of it: pages from the network, their service workers, and the engine of
//! their background fetches.
//!
//! A [`Realm`] is a JavaScript global on a thread of its own. What goes on in it is told to it from
//! outside by messages; dropping it ends it. What its `caches` hold is in a [`CacheStore`].
//!
//! # Cargo features
//!
//! `quickjs` (the default) or `v8` choose deno_core's JavaScript engine. QuickJS is no sandbox for
//! hostile pages.

mod cache;
mod extension;
mod fetch;
mod network;
mod page;
mod policies;
mod realm;
mod script_loader;
mod service_worker;
mod sources;
mod user_agent;
mod worker;

pub use cache::{CacheError, CacheStore};
pub use extension::{Console, ConsoleLevel, ConsoleSource, RealmKind, Shared};
pub use network::{LoadError, Network};
pub use page::{Page, PageError};
pub use realm::{Realm, RealmEnded, RealmOptions, ScriptError};
pub use service_worker::{
    ClientId, LoadedScript, OpenWindow, ScriptKind, ScriptLoader, ScriptNotLoaded, ServiceWorkers,
    ServiceWorkersOptions,
};
pub use user_agent::{Hook, OpenError, Prelude, UserAgent, UserAgentOptions};
pub use worker::WorkerError;
