//! The consoles of realms, and which realm writes.

use std::sync::Arc;

use serde::Serialize;
use url::Url;

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
    /// `console.error()`
    Error,
    /// An exception that nothing caught, a promise whose rejection nothing handled, or a feature that a
    /// page asked for and this user agent lacks.
    Uncaught,
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
