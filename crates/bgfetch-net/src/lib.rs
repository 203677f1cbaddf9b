//! The network half of a background fetch.
//!
//! - [`fetcher`] is the seam: the plain, single-attempt fetch an embedder may supply.
//! - [`attempt`] drives one fetch by the model's protocol and writes its body within the grant.
//! - [`scheduler`] decides which waiting record starts next, [`connectivity`] whether the network
//!   is there.
//! - `hyper` (feature `hyper`) is the default [`Fetcher`](fetcher::Fetcher): hyper and rustls,
//!   HTTP/1.1 and HTTP/2.
//!
//! The checks of the Fetch standard that need no network are pure functions in files of their own:
//! [`target`], [`redirect`] and [`retry_after`].
//!
//! Nothing here decides on retries, ranges or order; that is the model's part. Nothing here knows
//! the store: bodies come in and go out through traits.

pub mod attempt;
pub mod connectivity;
pub mod fetcher;
#[cfg(feature = "hyper")]
pub mod hyper;
mod progress;
pub mod redirect;
pub mod retry_after;
pub mod scheduler;
pub mod target;
