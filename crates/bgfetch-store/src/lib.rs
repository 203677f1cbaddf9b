//! A durable, crash-safe store for background fetches.
//!
//! The store holds each fetch once and is the only truth about it. It has two halves:
//!
//! - [`Store`] keeps the **metadata**. The model's transactions go in through one [`StoreThread`],
//!   which commits whatever is queued as one group and acknowledges it in order.
//! - [`Bodies`] keeps the **bytes**. The data path writes them from any thread, straight into the
//!   page cache: no hop to the store thread, no buffer, no transaction and no sync for a chunk.
//!
//! `SqliteStore` (feature `sqlite`, on by default) implements both over SQLite and plain files:
//!
//! ```text
//! DIR/lock                                  held while a process owns the store
//! DIR/reserve                               room for the metadata when the disk is full
//! DIR/store.sqlite3                         metadata (and its write-ahead log beside it)
//! DIR/bodies/<fetch>/<record>.<generation>  the bytes of a response
//! DIR/bodies/<fetch>/<record>.request       the bytes of a request
//! DIR/damaged-<unix time>/                  a damaged store that was set aside
//! ```
//!
//! # What survives what
//!
//! After the death of the process every acknowledged transaction is there, and the length of a
//! body's file is the truth about it. After a reboot (the boot id differs) only what was synced is
//! trusted, because a power loss can leave a file's length right and its bytes wrong: see
//! `Durability`. All that is done to files goes through one seam (`file_system`), so that tests can
//! rebuild what a loss of power leaves (`recording`).
//!
//! # Invariants
//!
//! - Files are deleted only after the commit that made them superfluous, so a crash can leave too
//!   many files but never too few; the next start removes what nobody knows.
//! - The bytes of two generations never share a file, so a restart cannot splice representations.
//! - Nothing here decides: retry, order and redelivery belong to the model.

mod error;
mod store;
mod thread;

#[cfg(feature = "sqlite")]
mod bodies;
#[cfg(feature = "sqlite")]
#[doc(hidden)]
pub mod file_system;
#[cfg(feature = "sqlite")]
mod lock;
#[cfg(all(feature = "recording", unix))]
pub mod recording;
#[cfg(feature = "sqlite")]
mod reserve;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sync;

pub use error::StoreError;
pub use store::{Bodies, BodyReader, BodyWriter, Handover, Store};
pub use thread::{Ack, StoreThread};

#[cfg(feature = "sqlite")]
pub use bodies::export::remove_interrupted_copies;
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, Options, SqliteStore};
#[cfg(feature = "sqlite")]
pub use sync::sync_path_to;
