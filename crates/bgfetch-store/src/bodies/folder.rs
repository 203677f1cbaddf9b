//! The names of body files, and operations on whole files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey};

use crate::StoreError;
use crate::file_system::{FileSystem, Open, create_directories};
use crate::private::{check_inner, check_linked};
use crate::sync::{SyncedNames, sync_files};

/// The folder `bodies` of a store.
#[derive(Clone, Debug)]
pub(crate) struct BodyFolder {
    root: PathBuf,
    files: Arc<dyn FileSystem>,
    synced_names: Arc<SyncedNames>,
}

/// What a file in a fetch's folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BodyFile {
    Response(RecordIndex, Generation),
    Request(RecordIndex),
}

impl BodyFile {
    fn parse(name: &OsStr) -> Option<Self> {
        let (record, kind) = name.to_str()?.split_once('.')?;
        let record = RecordIndex(record.parse().ok()?);
        if kind == "request" {
            return Some(Self::Request(record));
        }
        Some(Self::Response(record, Generation(kind.parse().ok()?)))
    }
}

/// A file found in a fetch's folder; `kind` is `None` if the name is not one of ours.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) kind: Option<BodyFile>,
    pub(crate) length: u64,
}

impl BodyFolder {
    /// The folder inside the store's directory.
    pub(crate) fn of_store(directory: &Path, files: Arc<dyn FileSystem>) -> Self {
        Self { root: directory.join("bodies"), files, synced_names: Arc::default() }
    }

    /// The file system that it is in.
    pub(crate) fn files(&self) -> &dyn FileSystem {
        &*self.files
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn fetch(&self, fetch: FetchKey) -> PathBuf {
        self.root.join(fetch.0.to_string())
    }

    pub(crate) fn response(&self, body: BodyKey) -> PathBuf {
        let BodyKey { record, generation } = body;
        self.fetch(record.fetch).join(format!("{}.{}", record.index.0, generation.0))
    }

    pub(crate) fn request(&self, record: RecordKey) -> PathBuf {
        self.fetch(record.fetch).join(format!("{}.request", record.index.0))
    }

    /// Opens a file of a fetch, creating it and the fetch's folder if they are missing.
    pub(crate) fn open(&self, path: &Path) -> Result<File, StoreError> {
        let open = || self.files.open(path, Open::Create);
        open()
            .or_else(|error| match path.parent() {
                Some(parent) if error.kind() == io::ErrorKind::NotFound => {
                    create_directories(&*self.files, parent)?;
                    open()
                }
                _ => Err(error),
            })
            .map_err(|error| StoreError::io(path, error))
    }

    /// Checks the folder and those of fetches, and makes them private.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.root.symlink_metadata() {
            Ok(found) => check_inner(&self.root, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io(&self.root, error)),
        }
        for (path, key) in self.fetches()? {
            // What is not one of ours is deleted without being used.
            if key.is_some() {
                let found = path.symlink_metadata();
                check_inner(&path, &found.map_err(|error| StoreError::io(&path, error))?)?;
            }
        }
        Ok(())
    }

    /// The existing folders of fetches, by key; `None` if the name is not one of ours.
    pub(crate) fn fetches(&self) -> Result<Vec<(PathBuf, Option<FetchKey>)>, StoreError> {
        let entries = entries(&self.root)?;
        Ok(entries
            .into_iter()
            .map(|entry| {
                let name = entry.file_name();
                let key = name.to_str().and_then(|name| name.parse().ok());
                (entry.path(), key.map(FetchKey))
            })
            .collect())
    }

    /// The files of a fetch, after checking those that are ours and making them private.
    pub(crate) fn files_of(&self, fetch: FetchKey) -> Result<Vec<Found>, StoreError> {
        let found = |entry: fs::DirEntry| {
            let (path, kind) = (entry.path(), BodyFile::parse(&entry.file_name()));
            let metadata = entry.metadata().map_err(|error| StoreError::io(&path, error))?;
            if kind.is_some() {
                check_linked(&path, &metadata)?;
            }
            Ok(Found { kind, length: metadata.len(), path })
        };
        entries(&self.fetch(fetch))?.into_iter().map(found).collect()
    }

    pub(crate) fn length(&self, body: BodyKey) -> Result<u64, StoreError> {
        let path = self.response(body);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(StoreError::io(path, error)),
        }
    }

    /// See [`BodyStorage::adopt`](super::BodyStorage::adopt).
    pub(crate) fn adopt(&self, from: BodyKey, to: BodyKey) -> Result<(), StoreError> {
        let (from, to) = (self.response(from), self.response(to));
        let adopt = || {
            if let Some(folder) = to.parent() {
                create_directories(&*self.files, folder)?;
            }
            self.files.link(&from, &to).or_else(|_| {
                // A file system without links.
                let from = self.files.open(&from, Open::Existing)?;
                let to = self.files.open(&to, Open::Create)?;
                self.files.copy(&from, u64::MAX, &to)
            })
        };
        // A commit that failed may have left the name.
        self.remove(&to)?;
        match adopt() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(to, error)),
            _ => Ok(()),
        }
    }

    /// Deletes a file, or a folder with its contents. It may be gone already.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.synced_names.forget(path);
        self.remove_names(path)
    }

    fn remove_names(&self, path: &Path) -> Result<(), StoreError> {
        let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_folder {
            for entry in entries(path)? {
                self.remove_names(&entry.path())?;
            }
            self.files.remove_directory(path)
        } else {
            self.files.remove_file(path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(path, error))
            }
            _ => Ok(()),
        }
    }

    /// See [`BodyStorage::sync`](super::BodyStorage::sync).
    pub(crate) fn sync(
        &self,
        responses: &[BodyKey],
        requests: &[FetchKey],
    ) -> Result<Vec<u64>, StoreError> {
        let mut paths: Vec<PathBuf> = responses.iter().map(|body| self.response(*body)).collect();
        for fetch in requests {
            let files = self.files_of(*fetch)?.into_iter();
            paths.extend(
                files
                    .filter(|file| matches!(file.kind, Some(BodyFile::Request(_))))
                    .map(|file| file.path),
            );
        }
        let mut lengths = sync_files(&*self.files, &self.root, &paths, &self.synced_names)?;
        lengths.truncate(responses.len());
        Ok(lengths)
    }
}

/// The contents of a folder; empty if it does not exist.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            entries.collect::<Result<_, _>>().map_err(|error| StoreError::io(folder, error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io(folder, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_system::System;

    #[test]
    fn a_folder_that_cannot_be_looked_at_is_an_error_and_one_that_is_not_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let of_store = |store: &Path| BodyFolder::of_store(store, Arc::new(System));
        assert!(of_store(directory.path()).check().is_ok());
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = of_store(&file).check().unwrap_err();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotADirectory);
    }

    /// Removes nothing.
    #[derive(Debug)]
    struct Keeping;

    impl FileSystem for Keeping {
        fn remove_file(&self, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    #[test]
    fn what_cannot_be_removed_is_an_error_and_what_is_gone_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let folder = BodyFolder::of_store(directory.path(), Arc::new(Keeping));
        assert!(folder.remove(&file).is_err());
        let folder = BodyFolder::of_store(directory.path(), Arc::new(System));
        folder.remove(&file).unwrap();
        fs::write(&file, b"").unwrap();
        folder.remove(&file).unwrap();
        assert!(!file.exists());
    }
}
