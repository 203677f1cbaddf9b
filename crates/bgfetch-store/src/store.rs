//! The seams: what the engine asks of a store. An embedder with a database of its own implements
//! these two traits; tests wrap them to inject crashes.

use std::path::Path;
use std::sync::Arc;

use bgfetch_model::ids::{BodyKey, FetchKey, RecordKey};
use bgfetch_model::store_op::{Snapshot, Transaction};
use crossbeam_channel::Receiver;

use crate::StoreError;

/// The metadata half of a store. Only the [`StoreThread`](crate::StoreThread) calls it.
///
/// Dropping a store without [`close`](Self::close) equals a crash.
pub trait Store: Send {
    /// Everything that was committed, as it stands after recovery. Lengths of bodies that are
    /// still being fetched come from their files.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row cannot be understood, else what reading met.
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// Makes the batch durable as one step: all of it or, after an error, nothing. Each
    /// transaction's [`sync`](Transaction::sync) is honoured before this returns. Operations on a
    /// fetch that is gone do nothing.
    ///
    /// Files that the batch made superfluous are deleted before this returns; a failure to delete
    /// is not an error, the next start tries again.
    ///
    /// # Errors
    /// Any; the store must then be dropped, for later transactions may depend on these.
    fn commit(&mut self, batch: &[Transaction]) -> Result<(), StoreError>;

    /// The bytes half.
    fn bodies(&self) -> Arc<dyn Bodies>;

    /// Receives whenever the store has something of its own to write. The store thread answers
    /// with an empty [`commit`](Self::commit). By default it never receives.
    fn wakeups(&self) -> Receiver<()> {
        crossbeam_channel::never()
    }

    /// Ends the use of the store in an orderly way; nothing may be committed afterwards.
    /// By default there is nothing to do.
    ///
    /// # Errors
    /// What the last writes met. Everything acknowledged is safe against the end of the process
    /// all the same.
    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The bytes half of a store: bodies of responses and requests. Called from any thread; writes go
/// to the operating system at once and wait for no commit and no sync.
///
/// Deletion is not here: bytes go when a transaction that ends them was committed. A writer or a
/// reader opened later than that leaves an orphan behind, which the next start removes.
pub trait Bodies: Send + Sync {
    /// Opens a body for writing from `offset` on, cutting off what it holds beyond. One writer at
    /// a time per body. The body is created where it does not exist.
    ///
    /// The bytes of a generation all belong to one representation, so whatever is written again
    /// below the old length must be what was there; another representation opens another
    /// generation.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] when `offset` lies beyond the body's end; [`StoreError::DiskFull`]
    /// or [`StoreError::Io`].
    fn open_writer(&self, body: BodyKey, offset: u64) -> Result<Box<dyn BodyWriter>, StoreError>;

    /// Opens a body for reading; where no byte was written yet it is empty, and grows in the
    /// reader's eyes as it is written. The reader keeps its bytes when the body is deleted.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`].
    fn open_reader(&self, body: BodyKey) -> Result<Box<dyn BodyReader>, StoreError>;

    /// Creates the body of a request, emptying one that is there. It must be written before the
    /// transaction that inserts its fetch is handed over, and becomes an orphan that the next
    /// start removes when that never commits.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`].
    fn create_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyWriter>, StoreError>;

    /// Opens the body of a request for reading.
    ///
    /// # Errors
    /// [`StoreError::Io`], of the kind `NotFound` when there is none.
    fn open_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyReader>, StoreError>;

    /// Puts a finished body of `length` bytes at the path `to`, in one step: a reader of `to` sees
    /// nothing or the whole file. What is there already is never replaced. The store keeps the body.
    /// When this returns the bytes are on disk if the record's were; the name `to` is once
    /// [`sync_exports`](Self::sync_exports) was called.
    ///
    /// # Errors
    /// [`StoreError::Io`], of the kind `AlreadyExists` when there is anything at `to`, and
    /// `UnexpectedEof` when the body is shorter than `length`; [`StoreError::DiskFull`]. Nothing is
    /// left behind at `to`.
    fn export(
        &self,
        body: BodyKey,
        length: u64,
        to: &Path,
        how: Handover,
    ) -> Result<(), StoreError>;

    /// The file at this path is one that an earlier [`export`](Self::export) of the fetch made,
    /// which may not be on disk yet.
    fn found_exported(&self, fetch: FetchKey, path: &Path);

    /// Brings everything that was exported of a fetch to disk, bytes and names, so that a loss of
    /// power does not take it: one sync a folder. To be called when all is exported and before
    /// anybody is told. A commit that deletes the fetch's bodies does it where it was not called
    /// and the store survives a loss of power.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what was exported may be lost with the power then.
    fn sync_exports(&self, fetch: FetchKey) -> Result<(), StoreError>;
}

/// How [`Bodies::export`] hands bytes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The file is the receiver's own. Costs no space where the file system can share blocks
    /// between files (Btrfs, XFS, APFS), else a copy, which is synced before it gets its name.
    Copy,
    /// The file and the stored body are one (a hard link): no copy and no further space on any
    /// file system, and the bytes are the receiver's alone once the store deletes its own name.
    /// Until then whoever edits the file edits the body, so this is for records that nobody will
    /// read through the store again. Falls back to [`Copy`](Self::Copy) across file systems and
    /// where links are not known.
    ///
    /// A link rather than a move, so that a crash before the deletion is committed finds the
    /// record complete instead of fetching it again.
    Link,
}

/// Appends to a body.
pub trait BodyWriter: Send {
    /// Writes all bytes at the end of the body. When this returns they survive the death of the
    /// process.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`]; some of the bytes may have been written,
    /// which [`length`](Self::length) tells exactly.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// The length of the body in bytes.
    fn length(&self) -> u64;
}

/// Reads a body at any offset.
pub trait BodyReader: Send + Sync {
    /// Reads up to `buffer.len()` bytes from `offset` on; 0 at or beyond the body's present end.
    /// May read less than there is.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError>;

    /// The length of the body in bytes at this moment.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn length(&self) -> Result<u64, StoreError>;
}
