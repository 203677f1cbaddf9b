//! Exports that are not on disk yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use bgfetch_model::ids::FetchKey;
use parking_lot::Mutex;

use super::export::{Exported, folder_of};
use crate::StoreError;
use crate::file_system::FileSystem;
use crate::sync::{sync_directory, sync_files};

#[derive(Default)]
pub(super) struct Exports(Mutex<HashMap<FetchKey, OfFetch>>);

#[derive(Default)]
struct OfFetch {
    /// Whether the finished bodies of the fetch are known to be on disk.
    bodies_synced: bool,
    folders: Folders,
}

/// The folders that bodies were exported to, with the files in them whose bytes may not be on disk
/// yet.
type Folders = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

impl Exports {
    pub(super) fn add(&self, fetch: FetchKey, to: &Path, exported: Exported) {
        let mut exports = self.0.lock();
        let of_fetch = exports.entry(fetch).or_default();
        let unsynced = of_fetch.folders.entry(folder_of(to).to_owned()).or_default();
        if exported == Exported::Link && !of_fetch.bodies_synced {
            unsynced.insert(to.to_owned());
        }
    }

    /// A file that an earlier export made, as a copy or as a link.
    pub(super) fn add_found(&self, fetch: FetchKey, path: &Path) {
        let mut exports = self.0.lock();
        let folders = &mut exports.entry(fetch).or_default().folders;
        folders.entry(folder_of(path).to_owned()).or_default().insert(path.to_owned());
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
        for (folder, unsynced) in &folders {
            let unsynced: Vec<PathBuf> = unsynced.iter().cloned().collect();
            if unsynced.is_empty() {
                sync_directory(files, folder)?;
            } else {
                sync_files(files, folder, &unsynced)?;
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
