//! The interface to the file system. Every change that the store makes, and every sync, goes
//! through a [`FileSystem`]. Tests use one that records all operations, and rebuild from them what
//! a power loss may leave behind.
//!
//! Reads bypass it. SQLite writes its files itself; only its commits are reported to the
//! `FileSystem`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::platform;
pub use crate::platform::Open;

/// The operations of the store on a file system. By default, each method performs the real
/// operation.
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// Opens a file for reading and writing. A new file is private to its user, except one that is
    /// handed over. A symbolic link is not followed.
    ///
    /// # Errors
    /// Those of the operating system, as for all methods of this trait.
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match how {
            Open::Existing => {}
            Open::Create => {
                options.create(true).truncate(false);
            }
            Open::New | Open::HandedOver => {
                options.create_new(true);
            }
        }
        platform::open(options, path, how)
    }

    /// Sets the permissions of a file. On Windows, where it has none of its own, this does nothing.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        platform::set_mode(file, mode)
    }

    /// Writes some of the bytes at an offset and returns how many. Does not move a cursor that
    /// other writers share.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        platform::write_at(file, bytes, offset)
    }

    /// Truncates or extends a file.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// Copies up to `length` bytes from the start of a file to another file, which is empty.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn copy(&self, mut from: &File, length: u64, mut to: &File) -> io::Result<()> {
        // OPTIMIZATION: between two files, the standard library lets the system copy, which shares
        // blocks if the file system supports it.
        io::copy(&mut io::Read::take(&mut from, length), &mut to).map(drop)
    }

    /// Brings a file's bytes and length to disk, but not its name.
    ///
    /// # Errors
    /// See [`open`](Self::open). After an error, bytes may be lost even if a later call succeeds.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Creates a directory that is private to its user.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        platform::create_directory(path)
    }

    /// Creates a hard link to a file. The new name must not exist.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// Renames a file or a directory, replacing an existing file.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a name of a file.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    /// Brings the names in a directory to disk.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        platform::sync_directory(path)
    }

    /// Brings everything in the file system of the directory `inside` to disk.
    ///
    /// # Errors
    /// See [`open`](Self::open); `Unsupported` if the system cannot do this.
    fn sync_all(&self, inside: &Path) -> io::Result<()> {
        platform::sync_file_system(inside)
    }

    /// The database in this directory has committed a transaction. `synced` says whether it and all
    /// transactions before it survive a power loss, as SQLite promises for `synchronous = FULL`.
    fn committed(&self, directory: &Path, synced: bool) {
        let _unused = (directory, synced);
    }
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl FileSystem for System {}

/// A file system for tests.
#[cfg(test)]
pub(crate) mod listing {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;

    use super::*;

    /// Lists what is synced, and syncs nothing. All files together can be, or fail like this.
    #[derive(Debug, Default)]
    pub(crate) struct Listing {
        synced: Mutex<Vec<PathBuf>>,
        files: AtomicUsize,
        all: Option<io::ErrorKind>,
    }

    impl FileSystem for Listing {
        fn sync(&self, _: &File) -> io::Result<()> {
            self.files.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn sync_directory(&self, path: &Path) -> io::Result<()> {
            self.synced.lock().push(path.to_owned());
            Ok(())
        }

        fn sync_all(&self, inside: &Path) -> io::Result<()> {
            self.synced.lock().push(inside.to_owned());
            self.all.map_or(Ok(()), |kind| Err(kind.into()))
        }
    }

    impl Listing {
        /// One that fails like this to sync all files together.
        pub(crate) fn failing(kind: io::ErrorKind) -> Self {
            Self { all: Some(kind), ..Self::default() }
        }

        /// The directories, and the number of files.
        pub(crate) fn take(&self) -> (Vec<PathBuf>, usize) {
            (std::mem::take(&mut *self.synced.lock()), self.files.swap(0, Ordering::Relaxed))
        }
    }
}

/// Creates a file that is private to its user, in a [`PrivateDirectory`](crate::PrivateDirectory).
/// An existing file, or a symbolic link, is removed first.
///
/// # Errors
/// Those of the operating system.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    replace(&System, path)
}

/// Creates a directory and its missing parents, each private to its user.
pub(crate) fn create_directories(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    let create = || match files.create_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    };
    match (create(), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            create_directories(files, parent)?;
            create()
        }
        (created, _) => created,
    }
}

/// Creates a file, removing an existing one first.
pub(crate) fn replace(files: &dyn FileSystem, path: &Path) -> io::Result<File> {
    anew(files, path, || files.open(path, Open::New))
}

/// Creates something at `path`, removing an existing file first.
pub(crate) fn anew<T>(
    files: &dyn FileSystem,
    path: &Path,
    make: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            files.remove_file(path)?;
            make()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_has_the_name_already_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        fs::write(&path, "old").unwrap();
        let refused = || Err::<(), _>(io::ErrorKind::PermissionDenied.into());
        let error = anew(&System, &path, refused).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replace(&System, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn directories_are_created_with_their_parents_but_not_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_directories(&System, &deep).unwrap();
        create_directories(&System, &deep).unwrap();
        assert!(deep.is_dir());
        let file = deep.join("file");
        fs::write(&file, "").unwrap();
        let error = create_directories(&System, &file.join("d")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
