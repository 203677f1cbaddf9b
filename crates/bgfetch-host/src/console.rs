//! The consoles of realms, and the sources of their messages.

use std::sync::Arc;

use serde::Serialize;
use url::Url;

/// The type of a realm's global object.
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

/// The severity of a console message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleLevel {
    /// `console.debug()`
    Debug,
    /// `console.log()`, `console.info()`
    Info,
    /// `console.warn()`
    Warn,
    /// `console.error()`
    Error,
    /// An uncaught exception, an unhandled rejection, or a feature that a page used and this user
    /// agent lacks.
    Uncaught,
}

/// The realm that writes to its console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSource {
    /// The type of its global object.
    pub kind: RealmKind,
    /// The URL of its page or script.
    pub url: Url,
}

/// The output of the realms' consoles.
pub type Console = Arc<dyn Fn(&ConsoleSource, ConsoleLevel, &str) + Send + Sync>;
