//! The traits that the engine uses a store through. An embedder with its own database implements
//! both; tests wrap them to inject crashes.

use std::path::Path;
use std::sync::Arc;

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordKey};
use bgfetch_model::response::ResponseHead;
use bgfetch_model::store_op::{Snapshot, Transaction};
use crossbeam_channel::Receiver;

use crate::StoreError;

/// The metadata half of a store. Only the [`StoreThread`](crate::StoreThread) calls it.
///
/// Dropping a store without [`close`](Self::close) has the same effect as a crash.
pub trait Store: Send {
    /// Everything that was committed, after recovery. The lengths of bodies that are still being
    /// fetched are those of their files.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a row cannot be parsed; otherwise any error of reading.
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// Commits the batch atomically: all of it or, after an error, nothing. A step that the store
    /// does not know is such an error ([`StoreError::Misuse`]). Each transaction's
    /// [`syncs`](Transaction::syncs) are honoured before this returns. Operations on a fetch that
    /// is gone do nothing.
    ///
    /// Files that the batch made superfluous are deleted before this returns. A failure to delete
    /// one is not an error: the next start tries again.
    ///
    /// # Errors
    /// Any. The store must then be dropped, because later transactions may depend on this batch.
    fn commit(&mut self, batch: &[Transaction]) -> Result<(), StoreError>;

    /// The head of a record's response with the generation that it began, or none if the record has
    /// no response or is gone.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it cannot be parsed; otherwise any error of reading.
    fn head(&mut self, record: RecordKey) -> Result<Option<StoredHead>, StoreError>;

    /// The bytes half.
    fn bodies(&self) -> Arc<dyn Bodies>;

    /// Receives a message whenever the store itself has something to write. The store thread
    /// answers with an empty [`commit`](Self::commit). By default, no message is ever received.
    fn wakeups(&self) -> Receiver<()> {
        crossbeam_channel::never()
    }

    /// Closes the store in an orderly way. Nothing may be committed afterwards. By default, this
    /// does nothing.
    ///
    /// # Errors
    /// Any error of the last writes. Everything that was acknowledged survives the end of the
    /// process anyway.
    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A response's head, and the generation that it began.
pub type StoredHead = (Generation, ResponseHead);

/// The bytes half of a store: bodies of responses and requests. Can be called from any thread.
/// Writes go to the operating system at once and do not wait for a commit or a sync.
///
/// There is no method for deletion: bytes are deleted after the commit of a transaction that ends
/// them. A writer or a reader that is opened later leaves an orphan behind, which the next start
/// removes.
pub trait Bodies: Send + Sync {
    /// Opens a body for writing at `offset`. There may be only one writer per body at a time. The
    /// body is created if it does not exist.
    ///
    /// All bytes of a generation belong to one representation, so bytes that are written again must
    /// be the same as before. Another representation needs another generation. The bytes beyond
    /// `offset` stay meanwhile, because some of them may be known to be synced.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] if `offset` is beyond the body's end; [`StoreError::DiskFull`] or
    /// [`StoreError::Io`].
    fn open_writer(&self, body: BodyKey, offset: u64) -> Result<Box<dyn BodyWriter>, StoreError>;

    /// Opens a body for reading. It is empty if no byte was written yet, and the reader sees it
    /// grow as it is written. The reader can still read it after the body was deleted.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`].
    fn open_reader(&self, body: BodyKey) -> Result<Box<dyn BodyReader>, StoreError>;

    /// Creates the body of a request, or truncates an existing one. It must be written before the
    /// transaction that inserts its fetch is submitted. If that transaction never commits, the body
    /// is an orphan that the next start removes.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`].
    fn create_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyWriter>, StoreError>;

    /// Opens the body of a request for reading.
    ///
    /// # Errors
    /// [`StoreError::Io`], of the kind `NotFound` if there is none.
    fn open_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyReader>, StoreError>;

    /// Exports a finished body of `length` bytes to the path `to` atomically: a reader of `to` sees
    /// nothing or the whole file. An existing file is never replaced. The store keeps the body.
    /// The file has the permissions of a new file in its folder, as the umask says.
    /// When this returns, the bytes are on disk if the record's were. The name `to` is on disk once
    /// [`sync_exports`](Self::sync_exports) has returned.
    ///
    /// # Errors
    /// [`StoreError::Io`], of the kind `AlreadyExists` if there is anything at `to`, and
    /// `UnexpectedEof` if the body is shorter than `length`; [`StoreError::DiskFull`]. Nothing is
    /// left behind at `to`.
    fn export(
        &self,
        body: BodyKey,
        length: u64,
        to: &Path,
        how: Handover,
    ) -> Result<(), StoreError>;

    /// Notes that an earlier [`export`](Self::export) of the fetch made the file at this path,
    /// which may not be on disk yet.
    fn found_exported(&self, fetch: FetchKey, path: &Path);

    /// Brings everything that was exported from a fetch to disk, bytes and names, with one sync per
    /// folder. Then it survives a power loss. Call it when everything is exported, before reporting
    /// success to anyone. If it was not called, a commit that deletes the fetch's bodies does the
    /// same, provided that the store is to survive a power loss.
    ///
    /// # Errors
    /// [`StoreError::Io`]. A power loss may then lose what was exported.
    fn sync_exports(&self, fetch: FetchKey) -> Result<(), StoreError>;
}

/// How [`Bodies::export`] makes the file. A store that does not know a way makes a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handover {
    /// The file belongs to the receiver alone. On file systems that can share blocks between files
    /// (Btrfs, XFS, APFS) it takes no space. On others it is a copy, which is synced before it gets
    /// its name.
    Copy,
    /// The file is a hard link to the stored body, which needs no copy and no space. Once the store
    /// deletes its own name, the bytes belong to the receiver alone. Until then, editing the file
    /// edits the body, so use this for records that will not be read through the store again. Falls
    /// back to [`Copy`](Self::Copy) across file systems and on those without links.
    ///
    /// It is a link rather than a move, so that after a crash before the deletion is committed, the
    /// record is still complete and is not fetched again.
    Link,
}

/// Writes a body from an offset on.
pub trait BodyWriter: Send {
    /// Writes all bytes after those that it wrote before. When this returns, they survive the death
    /// of the process.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`]; some of the bytes may have been written.
    /// [`length`](Self::length) is exact in any case.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// How many bytes the body has up to what was written last.
    fn length(&self) -> u64;
}

/// Reads a body at any offset.
pub trait BodyReader: Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset` and returns how many; 0 at or beyond the
    /// current end of the body. May read fewer bytes than there are.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError>;

    /// The current length of the body in bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn length(&self) -> Result<u64, StoreError>;
}
