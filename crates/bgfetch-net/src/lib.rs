//! The network half of a background fetch.
//!
//! - [`fetcher`] has the trait for a plain, single-attempt fetch, which an embedder may implement.
//! - [`attempt`] drives one fetch by the model's protocol and writes its body as far as it is
//!   granted.
//! - [`scheduler`] decides which waiting record starts next, [`connectivity`] whether the network
//!   is available.
//! - `hyper` (feature `hyper`) is the default [`Fetcher`](fetcher::Fetcher): hyper and rustls,
//!   HTTP/1.1 and HTTP/2.
//! - `fetch` (feature `fetch`, a part of `hyper`) has the checks of the Fetch standard before a
//!   request is sent and before a byte of its response counts: pure functions, one file each.
//! - [`rate`] shares a byte rate among the attempts, and [`throttle`] holds them back to it.
//! - [`slot`] lets a fetch look up a name, or wait for a permission, without holding a slot.
//! - [`partition`] keeps the state of sites apart.
//! - [`integrity`] compares a whole body with a request's integrity metadata.
//!
//! This crate does not decide on retries or ranges; that is up to the model. It does not depend on
//! the store: bodies are read and written through traits.

/// Its code has to compile.
#[cfg(all(doctest, feature = "hyper"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod attempt;
pub mod connectivity;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod fetcher;
mod handover;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod integrity;
pub mod partition;
mod progress;
pub mod rate;
pub mod scheduler;
pub mod slot;
pub mod throttle;
