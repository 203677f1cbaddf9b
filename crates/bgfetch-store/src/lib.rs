//! A durable, crash-safe store for background fetches.
//!
//! The store is the only persistent state of a fetch. It has two halves:
//!
//! - [`Store`] keeps the **metadata**. The model's transactions go in through one [`StoreThread`],
//!   which commits all queued transactions as one group and acknowledges them in order.
//! - [`Bodies`] keeps the **bytes**. The data path writes them from any thread, straight into the
//!   page cache: a chunk needs no hop to the store thread, no buffer, no transaction and no sync.
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
//! # Durability
//!
//! After the death of the process, every acknowledged transaction is there, and the length of a
//! body's file is authoritative. After a reboot (the boot id differs), only synced bytes are
//! trusted, because a power loss can leave a file with the right length but the wrong bytes: see
//! `Durability`. All changes to files go through one interface (`file_system`), so that tests can
//! rebuild what a power loss leaves behind (`recording`).
//!
//! # Invariants
//!
//! - Files are deleted only after the commit that made them superfluous, so a crash can leave too
//!   many files but never too few. The next start removes files that belong to no row.
//! - Only its user and the superuser have access to a store, and no name in it leads out of it:
//!   nothing in it is used before [`PrivateDirectory`] has checked that, and no symbolic link in it is
//!   followed.
//! - The bytes of two generations never share a file, so a restart cannot splice representations.
//! - The store makes no decisions: retries, order and redelivery belong to the model.

/// Its code has to compile.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod error;
mod own_file;
mod store;
mod thread;

#[cfg(feature = "sqlite")]
mod bodies;
#[cfg(feature = "sqlite")]
#[doc(hidden)]
pub mod file_system;
#[cfg(feature = "sqlite")]
mod lock;
#[cfg(feature = "sqlite")]
mod platform;
#[cfg(feature = "sqlite")]
mod private;
#[cfg(all(feature = "recording", unix))]
pub mod recording;
#[cfg(feature = "sqlite")]
mod reserve;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sync;

pub use error::{Distrust, StoreError};
pub use own_file::open_own_file;
pub use store::{Bodies, BodyReader, BodyWriter, Handover, Store, StoredHead};
pub use thread::{Ack, StoreThread};

#[cfg(feature = "sqlite")]
pub use bodies::export::remove_interrupted_copies;
#[cfg(feature = "sqlite")]
pub use file_system::create_private_file;
#[cfg(feature = "sqlite")]
pub use private::PrivateDirectory;
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, Options, SqliteStore};
#[cfg(feature = "sqlite")]
pub use sync::sync_path_to;
