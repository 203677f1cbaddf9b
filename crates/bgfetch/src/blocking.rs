//! Where work that blocks runs: reading, hashing and exporting files, and the store's work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio::time::sleep;

/// How long each piece of work takes that runs on the engine's runtime.
pub(crate) type Pace = dyn Fn() -> Duration + Send + Sync;

/// Runs work that blocks.
#[derive(Clone)]
pub(crate) struct Blocking {
    runtime: Handle,
    /// Set if the work runs on the runtime itself, and not on its threads for blocking work.
    inline: Option<Arc<Pace>>,
}

impl Blocking {
    pub(crate) fn new(runtime: Handle, inline: Option<Arc<Pace>>) -> Self {
        Self { runtime, inline }
    }

    /// Runs work and waits for its result.
    ///
    /// # Errors
    ///
    /// The work panicked, or the runtime ended.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        if self.inline.is_none() {
            return self.runtime.spawn_blocking(work).await;
        }
        self.pause().await;
        Ok(work())
    }

    /// Runs work that must not wait until a thread for blocking work is free, and waits for its
    /// result. None if it panicked, or if no thread could be started.
    pub(crate) async fn run_apart<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.inline.is_some() {
            return Some(work());
        }
        let (ended, end) = tokio::sync::oneshot::channel();
        // The caller may be gone.
        let run = move || drop(ended.send(work()));
        let thread = match std::thread::Builder::new().name(name.into()).spawn(run) {
            Ok(thread) => thread,
            Err(error) => {
                tracing::error!(%error, "no thread could be started");
                return None;
            }
        };
        let result = end.await.ok();
        // It has nothing left to do, and a host may unload its code now.
        if thread.join().is_err() {
            tracing::error!("work in a thread of its own panicked");
        }
        result
    }

    /// The time that work takes before it runs on the runtime, during which other tasks continue.
    pub(crate) fn pause(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let time = self.inline.as_ref().map(|pace| pace()).unwrap_or_default();
        async move {
            // Not even other tasks come first, as if a thread were faster than all of them.
            if !time.is_zero() {
                sleep(time).await;
            }
        }
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").field("inline", &self.inline.is_some()).finish_non_exhaustive()
    }
}
