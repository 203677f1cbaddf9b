//! Where the scripts of service workers come from.

use bgfetch::PolicyContainer;
use bgfetch::embedder::BoxFuture;
use thiserror::Error;
use url::Url;

/// Loads the scripts of service workers.
pub trait ScriptLoader: Send + Sync + 'static {
    /// Loads a script. It is loaded once, while the worker is installed, and kept for the worker's
    /// later starts.
    ///
    /// What the standards ask of the response is the loader's part: an ok status, a JavaScript MIME
    /// type, no redirect for the worker's own script. It should end in bounded time, as the script
    /// that imports another one waits for it.
    ///
    /// # Errors
    ///
    /// Why there is no script. `register()` rejects then, or `importScripts()` throws.
    fn load(
        &self,
        kind: ScriptKind,
        url: Url,
    ) -> BoxFuture<'static, Result<LoadedScript, ScriptNotLoaded>>;
}

/// What a script is to a service worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptKind {
    /// Its own script.
    ServiceWorker,
    /// One that it imports with `importScripts()`.
    Imported,
}

/// A script as it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedScript {
    /// The script.
    pub source: String,
    /// The value of the header
    /// [`Service-Worker-Allowed`](https://w3c.github.io/ServiceWorker/#service-worker-allowed), for
    /// a worker's own script.
    pub service_worker_allowed: Option<String>,
    /// The policies that the response sets for the worker whose own script it is.
    pub policies: PolicyContainer,
}

impl From<String> for LoadedScript {
    fn from(source: String) -> Self {
        Self { source, ..Self::default() }
    }
}

/// A script could not be loaded; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the script was not loaded: {0}")]
pub struct ScriptNotLoaded(pub String);
