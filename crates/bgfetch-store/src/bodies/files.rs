//! Bodies as files, one each.

use std::fs::File;
use std::path::{Path, PathBuf};

use bgfetch_model::ids::{BodyKey, FetchKey, RecordKey};
use crossbeam_channel::Sender;

use super::folder::{self, BodyFolder};
use super::{BodyStorage, gap, read_at, write_all_at};
use crate::bodies::export::export;
use crate::sync::{Grown, SYNC_EVERY};
use crate::{Bodies, BodyReader, BodyWriter, Handover, StoreError};

/// Bodies in the files of a [`BodyFolder`].
pub(crate) struct FileBodies {
    folder: BodyFolder,
    /// Told of growth, where long bodies are synced while they grow.
    grown: Option<Sender<Grown>>,
}

impl FileBodies {
    pub(crate) fn new(folder: BodyFolder, grown: Option<Sender<Grown>>) -> Self {
        Self { folder, grown }
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
        if offset < length {
            file.set_len(offset).map_err(|error| StoreError::io(&path, error))?;
        }
        Ok(Box::new(FileWriter {
            file,
            path,
            length: offset,
            growth: self.grown.clone().map(|grown| Growth { body, reported: offset, grown }),
        }))
    }

    fn open_reader(&self, body: BodyKey) -> Result<Box<dyn BodyReader>, StoreError> {
        let path = self.folder.response(body);
        // Creates the file, so that a reader that comes before the first byte and the writer that
        // comes after it have the same one.
        let file = self.folder.open(&path)?;
        Ok(Box::new(FileReader { file, path }))
    }

    fn create_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyWriter>, StoreError> {
        let path = self.folder.request(record);
        let file = self.folder.open(&path)?;
        file.set_len(0).map_err(|error| StoreError::io(&path, error))?;
        Ok(Box::new(FileWriter { file, path, length: 0, growth: None }))
    }

    fn open_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyReader>, StoreError> {
        let path = self.folder.request(record);
        let file = File::open(&path).map_err(|error| StoreError::io(&path, error))?;
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
        export(&reader, Some((&reader.file, &reader.path)), length, to, how)
    }
}

impl BodyStorage for FileBodies {
    fn length(&self, body: BodyKey) -> Result<u64, StoreError> {
        self.folder.length(body)
    }

    fn remove(&self, body: BodyKey) -> Result<(), StoreError> {
        folder::remove(&self.folder.response(body))
    }

    fn remove_fetch(&self, fetch: FetchKey) -> Result<(), StoreError> {
        folder::remove(&self.folder.fetch(fetch))
    }

    fn sync(&self, responses: &[BodyKey], requests: &[FetchKey]) -> Result<Vec<u64>, StoreError> {
        self.folder.sync(responses, requests)
    }
}

struct FileWriter {
    file: File,
    path: PathBuf,
    length: u64,
    growth: Option<Growth>,
}

/// Tells the syncing thread how much a body has grown.
struct Growth {
    body: BodyKey,
    /// The length up to which it was told.
    reported: u64,
    grown: Sender<Grown>,
}

impl Growth {
    fn report(&mut self, length: u64) {
        let bytes = length - self.reported;
        let grown = Grown { body: self.body, bytes };
        // The syncing thread ends when the store is gone; then there is nobody to tell.
        if bytes > 0 && self.grown.send(grown).is_ok() {
            self.reported = length;
        }
    }
}

impl BodyWriter for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        write_all_at(&self.file, bytes, &mut self.length)
            .map_err(|error| StoreError::io(&self.path, error))?;
        if let Some(growth) = &mut self.growth
            && self.length - growth.reported >= SYNC_EVERY
        {
            growth.report(self.length);
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
            growth.report(self.length);
        }
    }
}

struct FileReader {
    file: File,
    path: PathBuf,
}

impl BodyReader for FileReader {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        read_at(&self.file, buffer, offset).map_err(|error| StoreError::io(&self.path, error))
    }

    fn length(&self) -> Result<u64, StoreError> {
        length_of(&self.file, &self.path)
    }
}

fn length_of(file: &File, path: &Path) -> Result<u64, StoreError> {
    let metadata = file.metadata().map_err(|error| StoreError::io(path, error))?;
    Ok(metadata.len())
}
