//! Whether the network can be used: where the engine learns it from.
//!
//! A [`ConnectivitySource`] publishes a [`Connectivity`]; the engine pauses what cannot be reached
//! and resumes it when that changes. [`SystemConnectivity`] follows the operating system,
//! [`ManualConnectivity`] does what the embedder says and can lie over any other source.

mod manual;
#[cfg(target_os = "linux")]
mod netlink;
pub mod routing_table;
mod source;
mod system;

pub use manual::ManualConnectivity;
pub use source::ConnectivitySource;
pub use system::SystemConnectivity;
