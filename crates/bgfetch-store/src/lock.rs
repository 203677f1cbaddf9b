//! The lock that lets only one process at a time use a store.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::StoreError;
use crate::file_system::{FileSystem as _, Open, System};

/// The file in the store's directory.
pub(crate) const NAME: &str = "lock";

/// Holds `DIR/lock` until it is dropped or the process ends. The file itself stays.
#[derive(Debug)]
pub(crate) struct StoreLock {
    file: File,
}

impl StoreLock {
    /// Locks the store in `directory` and writes the id of this process into the lock file.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if the lock is held, by this process or another.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        let failed = |error| StoreError::io(&path, error);
        let mut file = System.open(&path, Open::Create).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                ignore_full_disk(noted.map_err(failed))?;
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The id is unknown if the owner has not written it yet, or on systems that refuse
                // to read a locked file.
                let pid = match file.read_to_string(&mut text) {
                    Ok(_) => text.trim().parse().ok(),
                    Err(_) => None,
                };
                Err(StoreError::InUse { path: directory.to_owned(), pid })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Only the lock matters: a full disk must not prevent its owner from opening the store and freeing
/// space.
fn ignore_full_disk(noted: Result<(), StoreError>) -> Result<(), StoreError> {
    match noted {
        Err(error) if error.is_disk_full() => {
            tracing::debug!(%error, "the owner of the store is not named");
            Ok(())
        }
        noted => noted,
    }
}

impl Drop for StoreLock {
    /// A child process has a copy of the descriptor until its program is loaded, so closing it here
    /// would leave the store locked for that time.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the store is unlocked when its file is closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_store_can_be_locked_on_a_full_disk() {
        let failed = |kind: io::ErrorKind| Err(StoreError::io("lock", kind.into()));
        assert!(ignore_full_disk(Ok(())).is_ok());
        assert!(ignore_full_disk(failed(io::ErrorKind::StorageFull)).is_ok());
        assert!(ignore_full_disk(failed(io::ErrorKind::PermissionDenied)).is_err());
    }

    /// A program that is being started has the files of this process until it is loaded.
    #[test]
    fn a_store_is_free_once_it_is_closed_although_another_program_is_being_started() {
        let directory = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(directory.path()).unwrap();
        let _inherited = lock.file.try_clone().unwrap();
        assert!(StoreLock::acquire(directory.path()).unwrap_err().is_in_use());
        drop(lock);
        StoreLock::acquire(directory.path()).unwrap();
    }
}
