//! The program as its users and other programs see it: the real binary, over real sockets.

// Signals and the control socket exist on Unix only.
#![cfg(unix)]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(all(feature = "js", target_os = "linux"))]
mod app;
mod control;
mod detach;
mod disk;
mod fixture;
mod get;
mod hands;
#[cfg(all(feature = "js", target_os = "linux"))]
mod kills;
#[cfg(target_os = "linux")]
mod look_ups;
#[cfg(feature = "js")]
mod model_hub;
mod network;
mod network_options;
mod options;
mod other_users;
mod output;
mod refusals;
mod resume;
#[cfg(feature = "js")]
mod run;
#[cfg(feature = "js")]
mod run_scripts;
#[cfg(target_os = "linux")]
mod screens;
mod secrets;
mod shell;
#[cfg(all(feature = "js", target_os = "linux"))]
mod soak;
