//! The network half of a background fetch.
//!
//! - [`fetcher`] is the seam: the plain, single-attempt fetch an embedder may supply.
//! - [`attempt`] drives one fetch by the model's protocol and writes its body within the grant.
//! - [`scheduler`] decides which waiting record starts next, [`connectivity`] whether the network
//!   is there.
//! - `hyper` (feature `hyper`) is the default [`Fetcher`](fetcher::Fetcher): hyper and rustls,
//!   HTTP/1.1 and HTTP/2.
//! - `fetch` (feature `fetch`, a part of `hyper`) is what the Fetch standard checks before a request
//!   is sent and before a byte of its response counts: pure functions, one file each.
//! - [`slot`] lets a fetch look a name up without holding a slot.
//! - [`integrity`] compares a whole body with a request's integrity metadata.
//!
//! Nothing here decides on retries, ranges or order; that is the model's part. Nothing here knows
//! the store: bodies come in and go out through traits.

pub mod attempt;
pub mod connectivity;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod fetcher;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod integrity;
mod progress;
pub mod scheduler;
pub mod slot;
