//! A whole user agent: pages and service workers from a real server.

// A panic in a test's helper is a failed test, which is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agent;
mod background_fetch;
mod cache;
mod fetch;
mod killed;
mod page;
mod scripts;
