//! The test kit's own tests, over real sockets and processes.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod faults;
mod life;
mod nginx;
mod processes;
mod raw;
