//! What the API promises to pages and workers, tested through the public façade alone, with a real
//! origin and a scripted worker. One file for each interface or theme.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agent;

mod background_fetch_event;
mod background_fetch_manager;
mod background_fetch_record;
mod background_fetch_registration;
mod user;
