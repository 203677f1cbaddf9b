//! Exports a finished body as a file of its own.

use std::fs::{self, DirEntry, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempPath};

use super::write_all_at;
use crate::file_system::{FileSystem, Open};
use crate::platform;
use crate::{BodyReader, Handover, StoreError, open_own_file};

/// The buffer size if the operating system cannot copy files itself.
const COPY_BUFFER: usize = 256 << 10;

/// The permissions that the store needs for its files.
const PRIVATE: u32 = 0o600;

/// The prefix of the temporary names of copies.
const TEMPORARY: &str = ".bgfetch-";

/// Removes the temporary files in `folder` of copies that were interrupted by the end of their
/// process. Files of copies in progress, in this process or another, stay.
///
/// Call it before records of an earlier run are exported to the folder again. It reads the whole
/// folder, so call it once per fetch. A file that cannot be removed only takes up space.
pub fn remove_interrupted_copies(folder: &Path) {
    let remove = |entry: io::Result<DirEntry>| remove_interrupted_copy(&entry?);
    let removed = fs::read_dir(folder).and_then(|mut entries| entries.try_for_each(remove));
    if let Err(error) = removed {
        tracing::debug!(%error, "temporary files were not removed");
    }
}

fn remove_interrupted_copy(entry: &DirEntry) -> io::Result<()> {
    let temporary = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
    // In a shared folder, it may be another user's.
    let Some(file) = temporary.then(|| open_own_file(&entry.path())).transpose()?.flatten() else {
        return Ok(());
    };
    // A copy in progress holds the file's lock: see `temporary_file`.
    match file.try_lock() {
        Ok(()) => fs::remove_file(entry.path()),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// How a body was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exported {
    /// Its bytes are on disk.
    Copy,
    /// Its bytes are on disk if those of the stored body are.
    Link,
}

/// The file of a body.
pub(super) struct Stored<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    /// The permissions for a link to it.
    pub(super) mode: Option<u32>,
}

/// Exports the first `length` bytes of `body` to the path `to`. `stored` is its own file, if it has
/// one.
pub(super) fn export(
    files: &dyn FileSystem,
    body: &dyn BodyReader,
    stored: Option<Stored<'_>>,
    length: u64,
    to: &Path,
    how: Handover,
) -> Result<Exported, StoreError> {
    let found = body.length()?;
    if found < length {
        let missing = format!("the stored body has {found} bytes, not {length}");
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, missing);
        return Err(StoreError::io(to, error));
    }
    if let (Handover::Link, Some(stored)) = (how, &stored)
        && found == length
        && link(files, stored, to)
    {
        return Ok(Exported::Link);
    }
    copy(files, body, stored.map(|stored| stored.file), length, to)?;
    Ok(Exported::Copy)
}

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Links the file of a body to `to`, or returns false if that is not possible.
fn link(files: &dyn FileSystem, stored: &Stored<'_>, to: &Path) -> bool {
    // The permissions belong to the file, so its name in the store gets them too. Nobody else can
    // reach it there. They must still allow the store to open it again.
    let Some(mode) = stored.mode.filter(|mode| mode & PRIVATE == PRIVATE) else {
        return false;
    };
    let linked = files.set_mode(stored.file, mode);
    match linked.and_then(|()| files.link(stored.path, to)) {
        Ok(()) => true,
        // Another file system, one without links, or too many links: a copy can still work. If not,
        // its error is the one to tell.
        Err(error) => {
            tracing::debug!(%error, "a body is copied because it cannot be linked");
            false
        }
    }
}

fn copy(
    files: &dyn FileSystem,
    body: &dyn BodyReader,
    file: Option<&File>,
    length: u64,
    to: &Path,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::io(to, error);
    // Avoids a copy that could not get its name.
    if is_there(to) {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let temporary = temporary_file(files, folder_of(to)).map_err(failed)?;
    match file {
        Some(file) => files.copy(file, length, temporary.as_file()).map_err(failed)?,
        None => {
            let mut buffer = vec![0; COPY_BUFFER];
            let mut offset = 0;
            while offset < length {
                let read = body.read_at(offset, &mut buffer)?;
                let wanted = usize::try_from(length - offset).unwrap_or(usize::MAX);
                let bytes = buffer.get(..read.min(wanted)).unwrap_or_default();
                if bytes.is_empty() {
                    return Err(failed(io::ErrorKind::UnexpectedEof.into()));
                }
                write_all_at(files, temporary.as_file(), bytes, &mut offset).map_err(failed)?;
            }
        }
    }
    // The bytes must be on disk before the name is. Otherwise a power loss could leave an empty
    // file.
    files.sync(temporary.as_file()).map_err(failed)?;
    // Closing the file would unlock it.
    let (_locked, path) = temporary.into_parts();
    rename(files, path, to).map_err(failed)
}

/// A new file with a random name. Until it is closed, a lock tells `remove_interrupted_copies` that it
/// is in use.
fn temporary_file(files: &dyn FileSystem, folder: &Path) -> io::Result<NamedTempFile> {
    let open = |path: &Path| files.open(path, Open::HandedOver);
    loop {
        let file = Builder::new().prefix(TEMPORARY).make_in(folder, open)?;
        match file.as_file().try_lock() {
            // It may have been removed before it was locked.
            Ok(()) if is_there(file.path()) => return Ok(file),
            Ok(()) => {}
            // It is being removed.
            Err(TryLockError::WouldBlock) => {}
            // Without locks, nothing is removed.
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, "a temporary file was not locked");
                return Ok(file);
            }
        }
    }
}

/// The permissions that the user wants for new files in a folder. Asking the system for the umask
/// itself would change it for a moment; and a folder can have defaults of its own.
pub(super) fn mode_of_new_files(files: &dyn FileSystem, folder: &Path) -> io::Result<u32> {
    let probe = temporary_file(files, folder)?;
    let mode = platform::mode(probe.as_file())?.unwrap_or(PRIVATE);
    // Closing the file would unlock it.
    let (_locked, path) = probe.into_parts();
    files.remove_file(&path)?;
    path.keep().map(|_| mode).map_err(|error| error.error)
}

/// Renames a file, unless the new name exists.
fn rename(files: &dyn FileSystem, file: TempPath, to: &Path) -> io::Result<()> {
    match files.link(&file, to) {
        Ok(()) => files.remove_file(&file)?,
        Err(_) if is_there(to) => return Err(io::ErrorKind::AlreadyExists.into()),
        // Some file systems have no links.
        Err(_) => files.rename(&file, to)?,
    }
    file.keep().map(drop).map_err(|error| error.error)
}

/// Whether anything has this name, including a broken link.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey};

    use super::*;
    use crate::Bodies as _;
    use crate::bodies::arena::ArenaBodies;
    use crate::file_system::System;

    /// Somebody makes a file of the same name while the bytes are being synced.
    #[derive(Debug)]
    struct Race {
        to: PathBuf,
        links: bool,
    }

    impl FileSystem for Race {
        fn sync(&self, _: &File) -> io::Result<()> {
            fs::write(&self.to, b"theirs")
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            if self.links { System.link(from, to) } else { Err(io::ErrorKind::Unsupported.into()) }
        }
    }

    #[test]
    fn a_file_that_appears_during_the_copy_is_not_replaced() {
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        let body = BodyKey { record, generation: Generation(1) };
        let bodies = ArenaBodies::new().unwrap();
        bodies.open_writer(body, 0).unwrap().write(b"bytes").unwrap();
        let reader = bodies.open_reader(body).unwrap();
        for links in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let to = folder.path().join("file");
            let race = Race { to: to.clone(), links };
            let error = export(&race, &*reader, None, 5, &to, Handover::Copy).unwrap_err();
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&to).unwrap(), b"theirs");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no copy is left");
        }
    }

    #[test]
    fn a_copy_has_no_more_than_the_length() {
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        let body = BodyKey { record, generation: Generation(1) };
        let bodies = ArenaBodies::new().unwrap();
        let bytes: Vec<u8> = (0..300_000).map(|n| (n / 7) as u8).collect();
        bodies.open_writer(body, 0).unwrap().write(&bytes).unwrap();
        let reader = bodies.open_reader(body).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for length in [3, 200_000] {
            let to = folder.path().join(length.to_string());
            export(&System, &*reader, None, length as u64, &to, Handover::Copy).unwrap();
            assert!(fs::read(&to).unwrap() == bytes[..length]);
        }
    }

    /// At one moment, another export to the same folder removes what looks like interrupted copies.
    #[derive(Debug)]
    struct Remover {
        folder: PathBuf,
        moment: &'static str,
        done: AtomicBool,
    }

    impl Remover {
        fn at(&self, moment: &str) {
            if self.moment == moment && !self.done.swap(true, Ordering::Relaxed) {
                remove_interrupted_copies(&self.folder);
            }
        }
    }

    impl FileSystem for Remover {
        fn open(&self, path: &Path, how: Open) -> io::Result<File> {
            let opened = System.open(path, how);
            self.at("open");
            opened
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            self.at("sync");
            System.sync(file)
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.at("link");
            System.link(from, to)
        }

        fn remove_file(&self, path: &Path) -> io::Result<()> {
            self.at("remove");
            System.remove_file(path)
        }
    }

    #[test]
    fn a_copy_in_progress_is_not_taken_for_an_interrupted_one() {
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(0) };
        let body = BodyKey { record, generation: Generation(1) };
        let bodies = ArenaBodies::new().unwrap();
        bodies.open_writer(body, 0).unwrap().write(b"bytes").unwrap();
        let reader = bodies.open_reader(body).unwrap();
        for moment in ["open", "sync", "link", "remove"] {
            let folder = tempfile::tempdir().unwrap();
            let remover = || {
                let (folder, done) = (folder.path().to_owned(), AtomicBool::new(false));
                Remover { folder, moment, done }
            };
            if let Err(error) = mode_of_new_files(&remover(), folder.path()) {
                panic!("{moment}: {error}");
            }
            let to = folder.path().join("file");
            if let Err(error) = export(&remover(), &*reader, None, 5, &to, Handover::Copy) {
                panic!("{moment}: {error}");
            }
            assert_eq!(fs::read(&to).unwrap(), b"bytes");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{moment}");
        }
    }

    #[test]
    fn a_path_without_a_folder_is_in_the_current_one() {
        for (path, folder) in [("/x/file", "/x"), ("x/file", "x"), ("file", ".")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder));
        }
    }
}
