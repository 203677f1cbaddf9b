//! A host in plain Rust, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![expect(
    clippy::result_large_err,
    reason = "a completion that is not the awaited one is given back"
)]

mod bodies;
mod events;
mod handles;
mod network;
mod questions;
mod requests;
mod world;
