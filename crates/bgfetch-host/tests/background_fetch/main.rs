//! Background Fetch as scripts see it: real realms, a real engine and a real server.

// A panic in a test's helper is a failed test, which is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agent;
mod cache;
mod cache_store;
mod event;
mod idl;
mod manager;
mod realm;
mod record;
mod registration;
mod service_worker;
mod update;
mod user_agent;
mod window_client;
