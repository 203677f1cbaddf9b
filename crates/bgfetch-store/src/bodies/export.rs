//! Handing a finished body over as a file of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempPath};

use crate::{BodyReader, Handover, StoreError};

/// How much is copied at once where the operating system cannot copy by itself.
const COPY_BUFFER: usize = 256 * 1024;

/// Puts the first `length` bytes that `body` reads at `to`, under a temporary name first. `file` is
/// the body's own file with its path, where it has one.
pub(super) fn export(
    body: &dyn BodyReader,
    file: Option<(&File, &Path)>,
    length: u64,
    to: &Path,
    how: Handover,
) -> Result<(), StoreError> {
    let stored = body.length()?;
    if stored < length {
        let missing = format!("the stored body has {stored} bytes, not {length}");
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, missing);
        return Err(StoreError::io(to, error));
    }
    let folder = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if let (Handover::Link, Some((_, path))) = (how, file)
        && stored == length
        && link(path, folder, to)?
    {
        return Ok(());
    }
    copy(body, file.map(|(file, _)| file), length, folder, to)
}

/// Gives the file at `from` the further name `to`, or returns false where that cannot be.
fn link(from: &Path, folder: &Path, to: &Path) -> Result<bool, StoreError> {
    let linked = names().make_in(folder, |path| fs::hard_link(from, path));
    let temporary: TempPath = match linked {
        Ok(temporary) => temporary.into_temp_path(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::io(to, error));
        }
        // Another file system, or one without links, or too many of them: a copy can still do it.
        Err(error) => {
            tracing::debug!(%error, "a body is copied because it cannot be linked");
            return Ok(false);
        }
    };
    let name = temporary.to_path_buf();
    temporary.persist(to).map_err(|error| StoreError::io(to, error.error))?;
    // Renaming onto a name of the same file does nothing, by POSIX, and keeps both names.
    match fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(name, error)),
        _ => Ok(true),
    }
}

fn copy(
    body: &dyn BodyReader,
    file: Option<&File>,
    length: u64,
    folder: &Path,
    to: &Path,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::io(to, error);
    let mut temporary: NamedTempFile = names().tempfile_in(folder).map_err(failed)?;
    match file {
        // OPTIMIZATION: between two files the standard library lets the system copy, which shares
        // the blocks where the file system can.
        Some(mut file) => {
            let mut limited = io::Read::take(&mut file, length);
            io::copy(&mut limited, temporary.as_file_mut()).map_err(failed)?;
        }
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
                temporary.write_all(bytes).map_err(failed)?;
                offset += bytes.len() as u64;
            }
        }
    }
    // The bytes must be on disk before the name is, or a power loss could leave an empty file
    // where a whole one was.
    temporary.as_file().sync_data().map_err(failed)?;
    temporary.persist(to).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Temporary names, for files with the permissions that a file of the user's usually has.
fn names() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".bgfetch-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}
