//! Keeps other users of the machine out of a store.
//!
//! A [`PrivateDirectory`] is checked before anything in it is used: only its user and the superuser
//! can change what its path leads to, and what is in it. From then on, no operation in it can race
//! with another user. So paths are as safe there as handles to directories, which SQLite could not
//! use.

#[cfg(any(test, not(unix)))]
mod not_unix;
#[cfg(unix)]
mod rules;
#[cfg(unix)]
mod unix;

use std::fs::Metadata;
use std::path::{Path, PathBuf};

#[cfg(not(unix))]
use self::not_unix as platform;
#[cfg(unix)]
use self::unix as platform;
use crate::StoreError;
use crate::file_system::{FileSystem, Open, System};

/// A directory to which only its user and the superuser have access.
///
/// On Windows, where directories inherit who may use them, nothing is checked: the user's profile is
/// private. On Android, where the system keeps apps apart, the directory is checked, but not the
/// path to it.
#[derive(Clone, Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
    was_exposed: bool,
}

impl PrivateDirectory {
    /// Checks a directory and makes it private, or creates it with its missing parents.
    ///
    /// # Errors
    /// [`StoreError::Untrusted`] if another user owns the directory, one of its parents or anything
    /// in it, or could have changed them. [`StoreError::Io`], [`StoreError::DiskFull`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_in(&System, directory)
    }

    /// [`open`](Self::open) in this file system.
    pub(crate) fn open_in(files: &dyn FileSystem, directory: &Path) -> Result<Self, StoreError> {
        platform::open(files, directory)
    }

    /// Its path without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether other users had access to something in it before it was opened.
    #[must_use]
    pub fn was_exposed(&self) -> bool {
        self.was_exposed
    }

    /// Checks an SQLite database in it with the files that belong to it, and makes them private. It is
    /// created if it is missing, because SQLite would create it for others to read. Returns its path.
    ///
    /// # Errors
    /// See [`check_file`](Self::check_file).
    pub fn database(&self, name: &str) -> Result<PathBuf, StoreError> {
        self.check_database(name)?;
        let path = self.path.join(name);
        match System.open(&path, Open::Create) {
            Ok(_) => Ok(path),
            Err(error) => Err(StoreError::io(path, error)),
        }
    }

    /// [`database`](Self::database), but a missing one is not created.
    pub(crate) fn check_database(&self, name: &str) -> Result<(), StoreError> {
        let mut files = ["", "-wal", "-shm", "-journal"].into_iter();
        files.try_for_each(|suffix| self.check_file(&format!("{name}{suffix}")))
    }

    /// Checks a file of ours in it and makes it private. It may be missing.
    ///
    /// # Errors
    /// [`StoreError::Untrusted`] if it may not be ours; [`StoreError::Io`].
    pub fn check_file(&self, name: &str) -> Result<(), StoreError> {
        platform::check_file(&self.path.join(name))
    }
}

/// Checks a directory inside a private one and makes it private.
pub(crate) fn check_inner(path: &Path, found: &Metadata) -> Result<(), StoreError> {
    platform::check_inner(path, found)
}

/// Checks a file in a private directory, which may have been handed over as a link, and makes it
/// private if it has no other name.
pub(crate) fn check_linked(path: &Path, found: &Metadata) -> Result<(), StoreError> {
    platform::check_linked(path, found)
}
