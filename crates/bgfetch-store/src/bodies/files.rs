//! Bodies as files, one per body.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgfetch_model::ids::{BodyKey, FetchKey, RecordKey};

use super::export::{Stored, export};
use super::exports::Exports;
use super::folder::BodyFolder;
use super::syncer::{Growing, Growth};
use super::{BodyStorage, gap, write_all_at};
use crate::file_system::{FileSystem, Open};
use crate::platform;
use crate::{Bodies, BodyReader, BodyWriter, Handover, StoreError};

/// Bodies in the files of a [`BodyFolder`].
pub(crate) struct FileBodies {
    folder: BodyFolder,
    files: Arc<dyn FileSystem>,
    /// Where growth is reported, if long bodies are synced while they grow.
    growing: Option<Growing>,
    exports: Exports,
}

impl FileBodies {
    pub(crate) fn new(
        folder: BodyFolder,
        files: Arc<dyn FileSystem>,
        growing: Option<Growing>,
    ) -> Self {
        Self { folder, files, growing, exports: Exports::default() }
    }

    fn writer(&self, file: File, path: PathBuf, length: u64, growth: Option<Growth>) -> FileWriter {
        FileWriter { files: Arc::clone(&self.files), file, path, length, growth }
    }
}

impl Bodies for FileBodies {
    fn open_writer(&self, body: BodyKey, offset: u64) -> Result<Box<dyn BodyWriter>, StoreError> {
        let path = self.folder.response(body);
        let file = self.folder.open(&path)?;
        let length = length_of(&file, &path)?;
        if offset > length {
            return Err(gap(offset, length));
        }
        let growth = self.growing.as_ref().map(|growing| growing.body(body, offset));
        Ok(Box::new(self.writer(file, path, offset, growth)))
    }

    fn open_reader(&self, body: BodyKey) -> Result<Box<dyn BodyReader>, StoreError> {
        let path = self.folder.response(body);
        // Creates the file, so that a reader opened before the first byte and the writer opened
        // later share one file.
        let file = self.folder.open(&path)?;
        Ok(Box::new(FileReader { file, path }))
    }

    fn create_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyWriter>, StoreError> {
        let path = self.folder.request(record);
        let file = self.folder.open(&path)?;
        self.files.set_length(&file, 0).map_err(|error| StoreError::io(&path, error))?;
        Ok(Box::new(self.writer(file, path, 0, None)))
    }

    fn open_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyReader>, StoreError> {
        let path = self.folder.request(record);
        let file = self.files.open(&path, Open::Existing);
        let file = file.map_err(|error| StoreError::io(&path, error))?;
        Ok(Box::new(FileReader { file, path }))
    }

    fn export(
        &self,
        body: BodyKey,
        length: u64,
        to: &Path,
        how: Handover,
    ) -> Result<(), StoreError> {
        let path = self.folder.response(body);
        let file = self.folder.open(&path)?;
        let reader = FileReader { file, path };
        let fetch = body.record.fetch;
        let mode = match how {
            Handover::Link => Some(self.exports.mode(&*self.files, fetch, to)?),
            Handover::Copy => None,
        };
        let stored = Stored { file: &reader.file, path: &reader.path, mode };
        let exported = export(&*self.files, &reader, Some(stored), length, to, how)?;
        self.exports.add(fetch, to, exported);
        Ok(())
    }

    fn found_exported(&self, fetch: FetchKey, path: &Path) {
        self.exports.add_found(fetch, path);
    }

    fn sync_exports(&self, fetch: FetchKey) -> Result<(), StoreError> {
        self.exports.sync(&*self.files, fetch)
    }
}

impl BodyStorage for FileBodies {
    fn length(&self, body: BodyKey) -> Result<u64, StoreError> {
        self.folder.length(body)
    }

    fn adopt(&self, from: BodyKey, to: BodyKey) -> Result<(), StoreError> {
        self.folder.adopt(from, to)
    }

    fn remove(&self, body: BodyKey) -> Result<(), StoreError> {
        self.folder.remove(&self.folder.response(body))
    }

    fn remove_fetch(&self, fetch: FetchKey) -> Result<(), StoreError> {
        self.exports.forget(fetch);
        self.folder.remove(&self.folder.fetch(fetch))
    }

    fn finished_synced(&self, fetch: FetchKey) {
        self.exports.bodies_synced(fetch);
    }

    fn sync(&self, responses: &[BodyKey], requests: &[FetchKey]) -> Result<Vec<u64>, StoreError> {
        self.folder.sync(responses, requests)
    }
}

struct FileWriter {
    files: Arc<dyn FileSystem>,
    file: File,
    path: PathBuf,
    length: u64,
    growth: Option<Growth>,
}

impl BodyWriter for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        write_all_at(&*self.files, &self.file, bytes, &mut self.length)
            .map_err(|error| StoreError::io(&self.path, error))?;
        if let Some(growth) = &mut self.growth {
            growth.reaches(self.length);
        }
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if let Some(growth) = &mut self.growth {
            growth.ends(self.length);
        }
    }
}

struct FileReader {
    file: File,
    path: PathBuf,
}

impl BodyReader for FileReader {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        platform::read_at(&self.file, buffer, offset)
            .map_err(|error| StoreError::io(&self.path, error))
    }

    fn length(&self) -> Result<u64, StoreError> {
        length_of(&self.file, &self.path)
    }
}

fn length_of(file: &File, path: &Path) -> Result<u64, StoreError> {
    let metadata = file.metadata().map_err(|error| StoreError::io(path, error))?;
    Ok(metadata.len())
}

#[cfg(test)]
mod tests {
    use bgfetch_model::ids::{Generation, RecordIndex};

    use super::*;
    use crate::bodies::syncer;
    use crate::file_system::listing::Listing;

    fn body(index: u32) -> BodyKey {
        let record = RecordKey { fetch: FetchKey(1), index: RecordIndex(index) };
        BodyKey { record, generation: Generation(1) }
    }

    #[test]
    fn a_link_to_a_body_on_disk_is_not_synced() {
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(Listing::default());
        let folder = BodyFolder::of_store(directory.path(), Arc::clone(&files) as _);
        let bodies = FileBodies::new(folder, Arc::clone(&files) as _, None);
        bodies.open_writer(body(0), 0).unwrap().write(b"body").unwrap();
        bodies.finished_synced(FetchKey(1));
        bodies.export(body(0), 4, &directory.path().join("file"), Handover::Link).unwrap();
        bodies.sync_exports(FetchKey(1)).unwrap();
        assert_eq!(files.take().1, 0);
    }

    #[test]
    fn what_a_writer_has_not_reported_yet_counts_when_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(Listing::default());
        let folder = BodyFolder::of_store(directory.path(), Arc::clone(&files) as _);
        let syncer = syncer::start(folder.clone(), 1000, true, &[]).unwrap();
        let bodies = FileBodies::new(folder, Arc::clone(&files) as _, Some(syncer.growing));
        // Too few bytes for a report of their own.
        for index in 0..100 {
            bodies.open_writer(body(index), 0).unwrap().write(b"0123456789").unwrap();
        }
        assert!(syncer.wakeups.try_recv().is_ok());
        assert_eq!(syncer.synced.try_recv().unwrap().unwrap().len(), 100);
    }
}
