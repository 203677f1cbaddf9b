//! Where the scripts of service workers come from.

use bgfetch::embedder::BoxFuture;
use thiserror::Error;
use url::Url;

/// Loads the scripts of service workers.
pub trait ScriptLoader: Send + Sync + 'static {
    /// Loads a worker's script, or one that it imports with `importScripts()`. It is loaded once,
    /// while the worker is installed, and kept for the worker's later starts.
    ///
    /// What the standards ask of the response is the loader's part: an ok status, a JavaScript MIME
    /// type, no redirect for the worker's own script. It should end in bounded time, as the script
    /// that imports another one waits for it.
    ///
    /// # Errors
    ///
    /// Why there is no script. `register()` rejects then, or `importScripts()` throws.
    fn load(&self, url: Url) -> BoxFuture<'static, Result<String, ScriptNotLoaded>>;
}

/// A script could not be loaded; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the script was not loaded: {0}")]
pub struct ScriptNotLoaded(pub String);
