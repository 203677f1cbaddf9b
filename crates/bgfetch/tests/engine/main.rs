//! The engine against real loopback servers, one file per topic.

// A panic in a helper is a failed test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

mod bodies;
mod broken_parts;
mod calls;
mod cors;
mod crash_points;
mod crashes;
mod delivery;
mod end_to_end;
mod failures;
mod integrity;
mod lifecycle;
mod limits;
mod look_ups;
mod mortal;
mod order;
mod pauses;
mod resume;
mod sites;
mod splices;
mod uploads;
mod watching;
mod while_running;
