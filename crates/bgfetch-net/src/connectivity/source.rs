//! The trait of connectivity sources.

use bgfetch_model::connectivity::Connectivity;
use tokio::sync::watch;

/// Tells the engine what can be reached.
pub trait ConnectivitySource: Send + Sync {
    /// The current state, and a wake-up each time it changes.
    ///
    /// Receivers outlive the source: when it is dropped, their channel is closed and keeps the last
    /// value.
    fn watch(&self) -> watch::Receiver<Connectivity>;
}

/// An embedder keeps its own handle to a source that the engine watches.
impl<T: ConnectivitySource + ?Sized> ConnectivitySource for std::sync::Arc<T> {
    fn watch(&self) -> watch::Receiver<Connectivity> {
        (**self).watch()
    }
}
