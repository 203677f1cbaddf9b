//! Exports that are not on disk yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use bgfetch_model::ids::FetchKey;
use parking_lot::Mutex;

use super::export::{Exported, folder_of, mode_of_new_files};
use crate::StoreError;
use crate::file_system::FileSystem;
use crate::sync::{SyncedNames, sync_directory, sync_files};

#[derive(Default)]
pub(super) struct Exports(Mutex<HashMap<FetchKey, OfFetch>>);

#[derive(Default)]
struct OfFetch {
    /// Whether the finished bodies of the fetch are known to be on disk.
    bodies_synced: bool,
    folders: Folders,
}

/// The folders that bodies were exported to.
type Folders = BTreeMap<PathBuf, Folder>;

#[derive(Clone, Default, PartialEq, Eq)]
struct Folder {
    /// The files in it whose bytes may not be on disk yet.
    unsynced: BTreeSet<PathBuf>,
    /// The permissions of new files in it, if they are known.
    mode: Option<u32>,
}

impl Exports {
    pub(super) fn add(&self, fetch: FetchKey, to: &Path, exported: Exported) {
        let mut exports = self.0.lock();
        let of_fetch = exports.entry(fetch).or_default();
        let folder = of_fetch.folders.entry(folder_of(to).to_owned()).or_default();
        if exported == Exported::Link && !of_fetch.bodies_synced {
            folder.unsynced.insert(to.to_owned());
        }
    }

    /// A file that an earlier export made, as a copy or as a link.
    pub(super) fn add_found(&self, fetch: FetchKey, path: &Path) {
        let mut exports = self.0.lock();
        let folders = &mut exports.entry(fetch).or_default().folders;
        let folder = folders.entry(folder_of(path).to_owned()).or_default();
        folder.unsynced.insert(path.to_owned());
    }

    /// The permissions for what is exported from the fetch to `to`.
    pub(super) fn mode(
        &self,
        files: &dyn FileSystem,
        fetch: FetchKey,
        to: &Path,
    ) -> Result<u32, StoreError> {
        let folder = folder_of(to);
        let known = |exports: &OfFetch| exports.folders.get(folder)?.mode;
        if let Some(mode) = self.0.lock().get(&fetch).and_then(known) {
            return Ok(mode);
        }
        let mode = mode_of_new_files(files, folder).map_err(|error| StoreError::io(to, error))?;
        let mut exports = self.0.lock();
        let folders = &mut exports.entry(fetch).or_default().folders;
        folders.entry(folder.to_owned()).or_default().mode = Some(mode);
        Ok(mode)
    }

    /// The finished bodies of the fetch are on disk. Of links to them, only the names must still be
    /// synced.
    pub(super) fn bodies_synced(&self, fetch: FetchKey) {
        self.0.lock().entry(fetch).or_default().bodies_synced = true;
    }

    /// The fetch no longer has bodies.
    pub(super) fn forget(&self, fetch: FetchKey) {
        self.0.lock().remove(&fetch);
    }

    /// See [`Bodies::sync_exports`](crate::Bodies::sync_exports).
    pub(super) fn sync(&self, files: &dyn FileSystem, fetch: FetchKey) -> Result<(), StoreError> {
        let Some(folders) = self.0.lock().get(&fetch).map(|exports| exports.folders.clone()) else {
            return Ok(());
        };
        for (folder, Folder { unsynced, .. }) in &folders {
            let unsynced: Vec<PathBuf> = unsynced.iter().cloned().collect();
            if unsynced.is_empty() {
                sync_directory(files, folder)?;
            } else {
                sync_files(files, folder, &unsynced, &SyncedNames::default())?;
            }
        }
        // What was exported in the meantime stays.
        if let Some(exports) = self.0.lock().get_mut(&fetch)
            && exports.folders == folders
        {
            exports.folders.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::file_system::listing::Listing;

    #[test]
    fn only_links_to_bodies_that_may_not_be_on_disk_are_synced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"body").unwrap();
        let (exports, files, fetch) = (Exports::default(), Listing::default(), FetchKey(1));
        let synced = || {
            exports.sync(&files, fetch).unwrap();
            files.take().1
        };
        exports.add(fetch, &file, Exported::Copy);
        assert_eq!(synced(), 0, "a copy is synced when it is made");
        exports.add(fetch, &file, Exported::Link);
        assert_eq!((synced(), synced()), (1, 0));
        exports.add(fetch, &file, Exported::Link);
        exports.forget(fetch);
        assert_eq!(synced(), 0);
        exports.bodies_synced(fetch);
        exports.add(fetch, &file, Exported::Link);
        assert_eq!(synced(), 0);
        exports.add_found(fetch, &file);
        assert_eq!(synced(), 1, "nobody knows who made it");
    }
}
