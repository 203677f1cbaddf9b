//! Connectivity as reported by the operating system.

use std::sync::Arc;

use bgfetch_model::connectivity::Connectivity;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

#[cfg(all(feature = "system-connectivity", target_os = "linux"))]
use super::netlink as watcher;
use super::source::ConnectivitySource;
#[cfg(not(all(feature = "system-connectivity", target_os = "linux")))]
use super::unwatched as watcher;

/// Follows the operating system's links and routes.
///
/// On Linux (feature `system-connectivity`) it listens to the kernel (rtnetlink) and evaluates the routes with
/// [`RoutingTable::connectivity`](super::routing_table::RoutingTable::connectivity); a link that
/// goes down or up is detected within about 50 ms. It watches the network namespace of the thread
/// that calls [`start`](Self::start). It never reports `Metered` or `CaptivePortal`: layer a
/// [`ManualConnectivity`](super::ManualConnectivity) over it for those.
///
/// In a sandbox without netlink, without the feature and on other systems, it is always [`Connectivity::Online`].
/// Attempts then fail and are retried, which is slower than waiting but loses nothing. A wrong
/// `Offline` would make them wait forever.
#[derive(Debug)]
pub struct SystemConnectivity {
    published: Arc<watch::Sender<Connectivity>>,
    /// The task that watches; it ends with this source. `None` if there is nothing to watch.
    _watcher: Option<AbortOnDropHandle<()>>,
}

impl SystemConnectivity {
    /// Starts watching; the current state is known when this returns.
    ///
    /// The task that watches runs on the calling tokio runtime until the source is dropped.
    ///
    /// # Panics
    ///
    /// Panics on Linux if the tokio runtime has I/O or time disabled.
    pub async fn start() -> Self {
        let published = Arc::new(watch::Sender::new(Connectivity::Online));
        let watcher = watcher::start(Arc::clone(&published)).await;
        Self { published, _watcher: watcher }
    }
}

impl ConnectivitySource for SystemConnectivity {
    fn watch(&self) -> watch::Receiver<Connectivity> {
        self.published.subscribe()
    }
}
