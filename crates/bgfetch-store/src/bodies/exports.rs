//! What was handed over and is not on disk yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use bgfetch_model::ids::FetchKey;
use parking_lot::Mutex;

use super::export::{Exported, folder_of};
use crate::StoreError;
use crate::file_system::FileSystem;
use crate::sync::{sync_directory, sync_files};

/// The folders that bodies of each fetch were exported to, with the files in them whose bytes may
/// not be on disk either.
#[derive(Default)]
pub(super) struct Exports(Mutex<HashMap<FetchKey, BTreeMap<PathBuf, BTreeSet<PathBuf>>>>);

impl Exports {
    pub(super) fn add(&self, fetch: FetchKey, to: &Path, exported: Exported) {
        let mut exports = self.0.lock();
        let folders = exports.entry(fetch).or_default();
        let unsynced = folders.entry(folder_of(to).to_owned()).or_default();
        // A link may be made before its fetch has settled and its body is synced.
        if exported == Exported::Link {
            unsynced.insert(to.to_owned());
        }
    }

    /// See [`Bodies::sync_exports`](crate::Bodies::sync_exports).
    pub(super) fn sync(&self, files: &dyn FileSystem, fetch: FetchKey) -> Result<(), StoreError> {
        let Some(folders) = self.0.lock().get(&fetch).cloned() else {
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
        let mut exports = self.0.lock();
        // What was exported meanwhile stays.
        if exports.get(&fetch) == Some(&folders) {
            exports.remove(&fetch);
        }
        Ok(())
    }
}
