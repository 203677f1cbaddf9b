//! Handing a finished body over as a file of its own.

use std::fs::{self, DirEntry, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempPath};

use super::write_all_at;
use crate::file_system::{FileSystem, Open};
use crate::{BodyReader, Handover, StoreError};

/// How much is copied at once where the operating system cannot copy by itself.
const COPY_BUFFER: usize = 256 * 1024;

/// How the temporary names of copies begin.
const TEMPORARY: &str = ".bgfetch-";

/// Removes what an export that was killed in the middle of a copy left in `folder`: its temporary
/// file. The files of copies that are at work, in this process or another, stay.
///
/// Call it before the records of an earlier run are exported to a folder again. It reads the whole
/// folder, so once for each fetch is enough. A file that cannot be removed takes space and does no
/// other harm.
pub fn remove_interrupted_copies(folder: &Path) {
    let remove = |entry: io::Result<DirEntry>| remove_interrupted_copy(&entry?);
    let removed = fs::read_dir(folder).and_then(|mut entries| entries.try_for_each(remove));
    if let Err(error) = removed {
        tracing::debug!(%error, "temporary files were not removed");
    }
}

fn remove_interrupted_copy(entry: &DirEntry) -> io::Result<()> {
    let temporary = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
    // Opening anything but a file could wait for ever, or lead elsewhere.
    if !temporary || !entry.file_type()?.is_file() {
        return Ok(());
    }
    // Whoever is at work on a copy holds its lock: see `copy`.
    match File::open(entry.path())?.try_lock() {
        Ok(()) => fs::remove_file(entry.path()),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// How a body was handed over in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exported {
    /// Its bytes are on disk.
    Copy,
    /// Its bytes are on disk where those of the stored body are.
    Link,
}

/// Puts the first `length` bytes that `body` reads at `to`. `file` is the body's own file with its
/// path, where it has one.
pub(super) fn export(
    files: &dyn FileSystem,
    body: &dyn BodyReader,
    file: Option<(&File, &Path)>,
    length: u64,
    to: &Path,
    how: Handover,
) -> Result<Exported, StoreError> {
    let stored = body.length()?;
    if stored < length {
        let missing = format!("the stored body has {stored} bytes, not {length}");
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, missing);
        return Err(StoreError::io(to, error));
    }
    if let (Handover::Link, Some((_, path))) = (how, file)
        && stored == length
        && link(files, path, to)?
    {
        return Ok(Exported::Link);
    }
    copy(files, body, file.map(|(file, _)| file), length, to)?;
    Ok(Exported::Copy)
}

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Gives the file at `from` the further name `to`, or returns false where that cannot be.
fn link(files: &dyn FileSystem, from: &Path, to: &Path) -> Result<bool, StoreError> {
    match files.link(from, to) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) =>
        {
            Err(StoreError::io(to, error))
        }
        // Another file system, or one without links, or too many of them: a copy can still do it.
        Err(error) => {
            tracing::debug!(%error, "a body is copied because it cannot be linked");
            Ok(false)
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
    // Spares the copy of what cannot get its name in the end.
    if is_there(to) {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let temporary: NamedTempFile = Builder::new()
        .prefix(TEMPORARY)
        .make_in(folder_of(to), |path| files.open(path, Open::New))
        .map_err(failed)?;
    // Tells `remove_interrupted_copies` that somebody is at work. Without locks it removes nothing.
    if let Err(error) = temporary.as_file().try_lock() {
        tracing::debug!(%error, "a temporary file was not locked");
    }
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
    // The bytes must be on disk before the name is, or a power loss could leave an empty file
    // where a whole one was.
    files.sync(temporary.as_file()).map_err(failed)?;
    rename(files, temporary.into_temp_path(), to).map_err(failed)
}

/// Gives a file its name, where nothing has it.
fn rename(files: &dyn FileSystem, file: TempPath, to: &Path) -> io::Result<()> {
    match files.link(&file, to) {
        Ok(()) => files.remove_file(&file)?,
        Err(_) if is_there(to) => return Err(io::ErrorKind::AlreadyExists.into()),
        // Some file systems have no links.
        Err(_) => files.rename(&file, to)?,
    }
    file.keep().map(drop).map_err(|error| error.error)
}

/// Whether anything has this name, be it a link to nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
