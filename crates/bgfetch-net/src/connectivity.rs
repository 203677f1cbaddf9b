//! Sources that tell the engine whether the network can be used.
//!
//! A [`ConnectivitySource`] publishes a [`Connectivity`](bgfetch_model::connectivity::Connectivity);
//! the engine pauses what cannot be reached and resumes it when that changes.
//! [`SystemConnectivity`] follows the operating system, [`ManualConnectivity`] is set by the
//! embedder, and can be layered over any other source.

mod manual;
#[cfg(all(feature = "system-connectivity", target_os = "linux"))]
mod netlink;
pub mod routing_table;
mod source;
mod system;
#[cfg(any(test, not(all(feature = "system-connectivity", target_os = "linux"))))]
mod unwatched;

pub use manual::ManualConnectivity;
pub use source::ConnectivitySource;
pub use system::SystemConnectivity;
