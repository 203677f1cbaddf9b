//! Talks to the process of the program `bgfetch` that owns a store.
//!
//! One process at a time owns a store. The program listens on the Unix domain socket `control.sock`
//! in the store's private directory, so that every process of the same user can list, command, watch
//! and hand over fetches. `docs/control-protocol.md` in the repository describes the messages.
//!
//! ```no_run
//! use bgfetch::control::{Client, Request, Response};
//!
//! # async fn example(store: &std::path::Path) -> Result<(), bgfetch::control::Error> {
//! if let Some(client) = Client::connect(store).await? {
//!     if let Response::Jobs(jobs) = client.ask(&Request::List {}).await? {
//!         jobs.iter().for_each(|job| println!("{}", job.id));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! On systems without Unix domain sockets nobody listens.

mod client;
mod protocol;
#[cfg(unix)]
mod socket;

pub use client::{Client, Error, Updates};
pub use protocol::{
    Command, Delivered, Delivery, EngineOptions, FailedFile, File, Found, Get, Report, Request,
    Response, SavedFile, VERSION,
};
#[cfg(unix)]
pub use socket::{SocketPath, is_own};
