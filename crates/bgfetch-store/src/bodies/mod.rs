//! Where the bytes are: one file per body ([`files`]), or one unnamed file for all ([`arena`]).

pub(crate) mod arena;
pub(crate) mod export;
mod exports;
pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod syncer;

use std::fs::File;
use std::io;

use bgfetch_model::ids::{BodyKey, FetchKey};

use crate::file_system::FileSystem;
use crate::{Bodies, StoreError};

/// What the metadata half needs from the bytes half, beyond the public [`Bodies`].
pub(crate) trait BodyStorage: Bodies {
    /// The length of a body; 0 if there is none.
    fn length(&self, body: BodyKey) -> Result<u64, StoreError>;

    /// Gives a body the additional name `to`. From then on it must not be written under the first
    /// name. Does nothing if there is no body.
    fn adopt(&self, from: BodyKey, to: BodyKey) -> Result<(), StoreError>;

    /// Deletes a body if it exists.
    fn remove(&self, body: BodyKey) -> Result<(), StoreError>;

    /// Deletes all bodies of a fetch.
    fn remove_fetch(&self, fetch: FetchKey) -> Result<(), StoreError>;

    /// Notes that all finished bodies of this fetch are on disk.
    fn finished_synced(&self, fetch: FetchKey);

    /// Brings these response bodies and all request bodies of these fetches to disk, with the
    /// directory entries that lead to them, and returns the length of each response body on disk: 0
    /// for a body that does not exist.
    fn sync(&self, responses: &[BodyKey], requests: &[FetchKey]) -> Result<Vec<u64>, StoreError>;
}

/// Writes all of `bytes` at `*position` and moves it past what was written, even if an error ends
/// the writing early.
fn write_all_at(
    files: &dyn FileSystem,
    file: &File,
    mut bytes: &[u8],
    position: &mut u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match files.write_at(file, bytes, *position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                *position += written as u64;
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The error of an offset that would leave a hole in a body.
fn gap(offset: u64, length: u64) -> StoreError {
    StoreError::Misuse(format!(
        "a writer was asked for at offset {offset} of a body of {length} bytes"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::file_system::System;

    /// Writes two bytes at a time, is interrupted before each, and is full after so many bytes.
    #[derive(Debug)]
    struct Stuttering {
        interrupted: AtomicBool,
        full_at: u64,
    }

    impl FileSystem for Stuttering {
        fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
            if !self.interrupted.fetch_xor(true, Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if offset >= self.full_at {
                return Err(io::ErrorKind::StorageFull.into());
            }
            System.write_at(file, bytes.get(..2).unwrap_or(bytes), offset)
        }
    }

    #[test]
    fn all_bytes_are_written_or_those_before_the_error() {
        for (full_at, written) in [(100, b"a long body".as_slice()), (4, b"a lo")] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let files = Stuttering { interrupted: AtomicBool::new(false), full_at };
            let mut position = 0;
            let result = write_all_at(&files, file.as_file(), b"a long body", &mut position);
            assert_eq!(position, written.len() as u64);
            assert_eq!(std::fs::read(file.path()).unwrap(), written);
            let full = result.err().map(|error| error.kind());
            assert_eq!(full, (full_at == 4).then_some(io::ErrorKind::StorageFull));
        }
    }
}
