//! The realms of a headless user agent: windows and workers with [Background
//! Fetch](https://wicg.github.io/background-fetch/), using Deno's Web APIs on deno_core.
//!
//! A [`UserAgent`] has all parts: pages from the network, their service workers, and the engine of
//! their background fetches.
//!
//! A [`Realm`] is a JavaScript global on a thread of its own. It is controlled by messages, and
//! dropping it ends it. The contents of its `caches` are in a [`CacheStore`].
//!
//! # Cargo features
//!
//! `quickjs` (the default) or `v8` select deno_core's JavaScript engine. QuickJS is not a sandbox
//! for hostile pages.

mod cache;
mod console;
mod document;
mod extension;
mod fetch;
mod host_state;
mod html;
mod message;
mod network;
mod notifications;
mod ops;
mod page;
mod page_state;
mod policies;
mod realm;
mod resources;
mod script_loader;
mod service_worker;
mod user_agent;
mod worker;

pub use cache::{CacheError, CacheStore};
pub use console::{Console, ConsoleLevel, ConsoleSource, RealmKind};
pub use message::ClientId;
pub use network::{LoadError, Network};
pub use notifications::{Notification, ShowNotification};
pub use page::{Page, PageError, Prelude};
pub use page_state::{Click, Hook};
pub use realm::{Realm, RealmEnded, RealmOptions, ScriptError};
pub use resources::{AgentResources, PermissionState, QueryPermission};
pub use script_loader::{LoadedScript, ScriptClient, ScriptKind, ScriptLoader, ScriptNotLoaded};
pub use service_worker::{OpenWindow, ServiceWorkers, ServiceWorkersOptions};
pub use user_agent::{OpenError, UserAgent, UserAgentOptions};
pub use worker::WorkerError;
