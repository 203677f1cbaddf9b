//! Brings files and their names to disk.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::StoreError;
use crate::file_system::{FileSystem, Open, System};

/// The most files that are synced one by one.
const FEW_FILES: usize = 16;

/// The names that are known to be on disk, so that they are not synced again with each part of a
/// long download.
#[derive(Debug, Default)]
pub(crate) struct SyncedNames(Mutex<HashSet<PathBuf>>);

impl SyncedNames {
    /// The folders of those of the names that may not be on disk.
    fn folders<'a>(&self, names: impl Iterator<Item = &'a Path>) -> BTreeSet<&'a Path> {
        let synced = self.0.lock();
        names.filter(|name| !synced.contains(*name)).filter_map(Path::parent).collect()
    }

    fn add<'a>(&self, names: impl Iterator<Item = &'a Path>) {
        self.0.lock().extend(names.map(Path::to_owned));
    }

    /// The name and all names below it may lead to something else from now on, or to nothing.
    pub(crate) fn forget(&self, name: &Path) {
        self.0.lock().retain(|synced| !synced.starts_with(name));
    }
}

/// Brings the files at `paths`, which lie in `root` or in folders inside it, to disk with the
/// directory entries that lead to them from `root` on, except those in `names`, which it adds to.
/// Returns the length of each file when the sync began; 0 for one that does not exist.
pub(crate) fn sync_files(
    files: &dyn FileSystem,
    root: &Path,
    paths: &[PathBuf],
    names: &SyncedNames,
) -> Result<Vec<u64>, StoreError> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    // Of a file that does not exist yet, the name is not on disk.
    let found = paths.iter().map(PathBuf::as_path);
    let found: Vec<&Path> = found.filter(|path| path.symlink_metadata().is_ok()).collect();
    let folders = found.iter().filter_map(|path| path.parent()).filter(|folder| *folder != root);
    let folders: BTreeSet<&Path> = folders.collect();
    let all = || found.iter().chain(&folders).copied();
    // OPTIMIZATION: syncing the whole file system is one flush of the disk; syncing a thousand
    // files would be a thousand.
    if paths.len() > FEW_FILES {
        let lengths = paths.iter().map(|path| length_of(path)).collect();
        match files.sync_all(root) {
            Ok(()) => {
                names.add(all());
                return lengths;
            }
            // Then one by one.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => return Err(StoreError::io(root, error)),
        }
    }
    let lengths = paths.iter().map(|path| sync_file(files, path)).collect();
    for folder in names.folders(all()) {
        sync_directory(files, folder)?;
    }
    names.add(all());
    lengths
}

fn length_of(path: &Path) -> Result<u64, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) => absent(path, error),
    }
}

fn sync_file(files: &dyn FileSystem, path: &Path) -> Result<u64, StoreError> {
    // Windows flushes only writable handles.
    let file = match files.open(path, Open::Existing) {
        Ok(file) => file,
        Err(error) => return absent(path, error),
    };
    let sync = || {
        let length = file.metadata()?.len();
        files.sync(&file)?;
        Ok(length)
    };
    sync().map_err(|error| StoreError::io(path, error))
}

fn absent(path: &Path, error: io::Error) -> Result<u64, StoreError> {
    if error.kind() == io::ErrorKind::NotFound {
        return Ok(0);
    }
    Err(StoreError::io(path, error))
}

/// Brings the entries of a directory to disk. Does nothing if the directory is gone.
pub(crate) fn sync_directory(files: &dyn FileSystem, path: &Path) -> Result<(), StoreError> {
    match files.sync_directory(path) {
        // Some file systems (network, FUSE) cannot sync directories. Nothing more can be done
        // there.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        synced => synced.map_err(|error| StoreError::io(path, error)),
    }
}

/// Brings the names of a new directory and its parents to disk. Without its own name on disk, a
/// directory is lost together with everything that was synced in it.
///
/// # Errors
/// Those of the operating system.
pub fn sync_path_to(directory: &Path) -> io::Result<()> {
    sync_path(&System, directory)
}

/// [`sync_path_to`] in this file system.
pub(crate) fn sync_path(files: &dyn FileSystem, directory: &Path) -> io::Result<()> {
    // All parents, because an interrupted process may have created some without syncing them.
    for ancestor in fs::canonicalize(directory)?.ancestors().skip(1) {
        match sync_directory(files, ancestor).map_err(io::Error::from) {
            // A directory that this user may not read was not created by this user.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_system::listing::Listing;

    #[test]
    fn few_and_many_files_are_synced_with_their_lengths() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("1");
        fs::create_dir(&folder).unwrap();
        for count in [1, FEW_FILES, FEW_FILES + 1] {
            let mut paths: Vec<PathBuf> = (0..count).map(|n| folder.join(n.to_string())).collect();
            for (length, path) in paths.iter().enumerate() {
                fs::write(path, vec![1; length]).unwrap();
            }
            paths.push(folder.join("absent"));
            let mut expected: Vec<u64> = (0..count as u64).collect();
            expected.push(0);
            let names = SyncedNames::default();
            assert_eq!(sync_files(&System, root.path(), &paths, &names).unwrap(), expected);
        }
    }

    fn files(folder: &Path, count: usize) -> Vec<PathBuf> {
        fs::create_dir_all(folder).unwrap();
        let paths: Vec<PathBuf> = (0..count).map(|n| folder.join(n.to_string())).collect();
        paths.iter().for_each(|path| fs::write(path, b"").unwrap());
        paths
    }

    #[test]
    fn many_files_are_one_flush_and_names_are_synced_once() {
        let root = tempfile::tempdir().unwrap();
        let (root, folder) = (root.path(), root.path().join("1"));
        let both = [root.to_owned(), folder.clone()];
        let few = files(&folder, FEW_FILES);
        let (listing, names) = (Listing::default(), SyncedNames::default());
        sync_files(&listing, root, &few, &names).unwrap();
        assert_eq!(listing.take(), (both.to_vec(), FEW_FILES));
        sync_files(&listing, root, &few, &names).unwrap();
        assert_eq!(listing.take(), (vec![], FEW_FILES));
        names.forget(&few[3]);
        sync_files(&listing, root, &few, &names).unwrap();
        assert_eq!(listing.take(), (vec![folder.clone()], FEW_FILES));
        names.forget(&folder);
        sync_files(&listing, root, &few[..1], &names).unwrap();
        assert_eq!(listing.take(), (both.to_vec(), 1));

        let many = files(&root.join("2"), FEW_FILES + 1);
        sync_files(&listing, root, &many, &names).unwrap();
        assert_eq!(listing.take(), (vec![root.to_owned()], 0));
        sync_files(&listing, root, &many[..1], &names).unwrap();
        assert_eq!(listing.take(), (vec![], 1), "the names, too");
    }

    #[test]
    fn many_files_are_synced_one_by_one_only_where_they_cannot_be_flushed_together() {
        let root = tempfile::tempdir().unwrap();
        let many = files(&root.path().join("1"), FEW_FILES + 1);
        for (kind, synced) in
            [(io::ErrorKind::Unsupported, FEW_FILES + 1), (io::ErrorKind::Other, 0)]
        {
            let listing = Listing::failing(kind);
            let result = sync_files(&listing, root.path(), &many, &SyncedNames::default());
            assert_eq!(result.is_ok(), synced > 0);
            assert_eq!(listing.take().1, synced);
        }
    }

    #[test]
    fn the_path_to_a_directory_is_all_of_its_parents() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let listing = Listing::default();
        sync_path(&listing, &inner).unwrap();
        let synced = listing.take().0;
        assert!(synced.starts_with(&[root.join("a"), root.clone()]), "{synced:?}");
        assert_eq!(synced.last().unwrap(), Path::new("/"));
        assert!(sync_path_to(&inner).is_ok() && sync_path_to(&inner.join("absent")).is_err());
    }

    #[test]
    fn a_directory_that_cannot_be_synced_by_its_kind_is_no_error() {
        #[derive(Debug)]
        struct Refusing(io::ErrorKind);
        impl FileSystem for Refusing {
            fn sync_directory(&self, _: &Path) -> io::Result<()> {
                Err(self.0.into())
            }
        }
        let root = tempfile::tempdir().unwrap();
        let synced = |kind| {
            let directory = sync_directory(&Refusing(kind), root.path());
            (directory.is_ok(), sync_path(&Refusing(kind), root.path()).is_ok())
        };
        assert_eq!(synced(io::ErrorKind::InvalidInput), (true, true));
        assert_eq!(synced(io::ErrorKind::Unsupported), (true, true));
        assert_eq!(synced(io::ErrorKind::Other), (false, false));
        assert_eq!(synced(io::ErrorKind::PermissionDenied), (false, true));
    }
}
