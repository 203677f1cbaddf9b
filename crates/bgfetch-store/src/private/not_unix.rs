//! Systems where directories inherit who may use them: nothing is checked.

use std::fs::Metadata;
use std::path::Path;

use super::PrivateDirectory;
use crate::StoreError;
use crate::file_system::{FileSystem, create_directories};

/// See [`PrivateDirectory::open`].
pub(super) fn open(
    files: &dyn FileSystem,
    directory: &Path,
) -> Result<PrivateDirectory, StoreError> {
    match create_directories(files, directory) {
        Ok(()) => Ok(PrivateDirectory { path: directory.to_owned(), was_exposed: false }),
        Err(error) => Err(StoreError::io(directory, error)),
    }
}

/// See [`PrivateDirectory::check_file`].
pub(super) fn check_file(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// See [`check_linked`](super::check_linked).
pub(super) fn check_linked(_path: &Path, _found: &Metadata) -> Result<(), StoreError> {
    Ok(())
}

/// See [`check_inner`](super::check_inner).
pub(super) fn check_inner(_path: &Path, _found: &Metadata) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::file_system::System;

    #[test]
    fn a_directory_is_made_with_its_parents_and_taken_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("profile/store");
        for _ in 0..2 {
            let private = open(&System, &path).unwrap();
            assert_eq!((private.path(), private.was_exposed()), (&*path, false));
        }
        let file = path.join("lock");
        fs::write(&file, "7").unwrap();
        let found = file.metadata().unwrap();
        check_file(&file).unwrap();
        check_linked(&file, &found).unwrap();
        check_inner(&path, &path.metadata().unwrap()).unwrap();
        assert!(open(&System, &file).is_err());
    }
}
