//! Whether the network can be used: where the engine learns it from.
//!
//! A [`ConnectivitySource`] publishes a [`Connectivity`]; the engine pauses what cannot be reached
//! and resumes it when that changes. [`SystemConnectivity`] follows the operating system,
//! [`ManualConnectivity`] does what the embedder says and can lie over any other source.

mod manual;
#[cfg(target_os = "linux")]
mod netlink;
pub mod routing_table;
mod system;

use bgfetch_model::connectivity::Connectivity;
use tokio::sync::watch;

pub use manual::ManualConnectivity;
pub use system::SystemConnectivity;

/// Tells the engine what can be reached.
pub trait ConnectivitySource: Send + Sync {
    /// The current state, and a wake-up each time it changes.
    ///
    /// Receivers outlive the source: once it is dropped their channel is closed and its last value
    /// stands.
    fn watch(&self) -> watch::Receiver<Connectivity>;
}
