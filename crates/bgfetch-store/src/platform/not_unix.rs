//! Files elsewhere: what the standard library has for all systems.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::Open;

/// Opens a file. A new one inherits who may use it.
pub(crate) fn open(options: OpenOptions, path: &Path, _how: Open) -> io::Result<File> {
    options.open(path)
}

/// Files have no permissions of their own.
pub(crate) fn mode(_file: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Does nothing: see [`mode`].
pub(crate) fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Unknown, so a body is copied before it is truncated.
pub(crate) fn is_linked(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Creates a directory, which inherits who may use it.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Directories cannot be synced, and need not.
pub(crate) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn opened(path: &Path, how: Open) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(how == Open::Create).create_new(how == Open::New);
        open(options, path, how)
    }

    #[test]
    fn files_are_opened_made_and_left_without_permissions_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("store");
        create_directory(&folder).unwrap();
        assert_eq!(create_directory(&folder).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let path = folder.join("lock");
        assert_eq!(opened(&path, Open::Existing).unwrap_err().kind(), io::ErrorKind::NotFound);
        opened(&path, Open::New).unwrap().write_all(b"7").unwrap();
        assert_eq!(opened(&path, Open::New).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let mut file = opened(&path, Open::Create).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "7");
        set_mode(&file, 0o600).unwrap();
        assert_eq!(mode(&file).unwrap(), None);
        assert!(is_linked(&file).unwrap());
        sync_directory(&folder).unwrap();
    }
}
