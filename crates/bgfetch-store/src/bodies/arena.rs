//! Bodies of an ephemeral store. All are in one unnamed temporary file, so nothing is left after a
//! crash, and a thousand bodies use one file handle.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bgfetch_model::ids::{BodyKey, FetchKey, RecordKey};
use parking_lot::{Mutex, RwLock};

use super::export::export;
use super::exports::Exports;
use super::{BodyStorage, gap, write_all_at};
use crate::file_system::System;
use crate::platform;
use crate::{Bodies, BodyReader, BodyWriter, Handover, StoreError};

/// The size of the chunks that are allocated to bodies. The file is sparse, so a small body uses no
/// more disk space than it needs.
const CHUNK: u64 = 64 << 10;

/// The path that errors name, as the file has none.
const NAME: &str = "ephemeral store";

pub(crate) struct ArenaBodies {
    arena: Arc<Arena>,
    bodies: Mutex<HashMap<Name, Arc<Body>>>,
    exports: Exports,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Response(BodyKey),
    Request(RecordKey),
}

impl Name {
    fn fetch(self) -> FetchKey {
        match self {
            Self::Response(body) => body.record.fetch,
            Self::Request(record) => record.fetch,
        }
    }
}

/// The file, and which of its chunks are free.
struct Arena {
    file: File,
    chunks: Mutex<Chunks>,
}

#[derive(Default)]
struct Chunks {
    /// Offsets of chunks that were freed.
    free: Vec<u64>,
    /// The offset from which the file has never been used.
    end: u64,
}

impl Arena {
    fn take(&self) -> u64 {
        let mut chunks = self.chunks.lock();
        chunks.free.pop().unwrap_or_else(|| {
            let chunk = chunks.end;
            chunks.end += CHUNK;
            chunk
        })
    }

    fn give_back(&self, returned: impl IntoIterator<Item = u64>) {
        let mut chunks = self.chunks.lock();
        chunks.free.extend(returned);
        if chunks.free.len() as u64 * CHUNK == chunks.end {
            *chunks = Chunks::default();
            if let Err(error) = self.file.set_len(0) {
                tracing::warn!(%error, "the space of an ephemeral store was not given back");
            }
        }
    }
}

/// The bytes of a body. They stay until the last reader is dropped, even after the body was
/// deleted.
struct Body {
    arena: Arc<Arena>,
    extent: RwLock<Extent>,
}

#[derive(Default)]
struct Extent {
    /// The offset in the file of each [`CHUNK`] bytes of the body.
    chunks: Vec<u64>,
    length: u64,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.arena.give_back(self.extent.get_mut().chunks.drain(..));
    }
}

impl Body {
    fn truncate(&self, length: u64) {
        let mut extent = self.extent.write();
        let kept = usize::try_from(length.div_ceil(CHUNK)).unwrap_or(usize::MAX);
        let kept = kept.min(extent.chunks.len());
        self.arena.give_back(extent.chunks.drain(kept..));
        extent.length = length;
    }

    /// The chunk that contains `offset`, allocated if `offset` is the end of the body. `offset`
    /// must not be beyond the end.
    fn chunk_for(&self, offset: u64) -> u64 {
        let mut extent = self.extent.write();
        let index = usize::try_from(offset / CHUNK).unwrap_or(usize::MAX);
        match extent.chunks.get(index) {
            Some(chunk) => *chunk,
            None => {
                let chunk = self.arena.take();
                extent.chunks.push(chunk);
                chunk
            }
        }
    }
}

impl ArenaBodies {
    pub(crate) fn new() -> Result<Self, StoreError> {
        let file = tempfile::tempfile().map_err(|error| StoreError::io(NAME, error))?;
        Ok(Self {
            arena: Arc::new(Arena { file, chunks: Mutex::default() }),
            bodies: Mutex::default(),
            exports: Exports::default(),
        })
    }

    fn body(&self, name: Name) -> Arc<Body> {
        let mut bodies = self.bodies.lock();
        let body = bodies.entry(name).or_insert_with(|| {
            Arc::new(Body { arena: Arc::clone(&self.arena), extent: RwLock::default() })
        });
        Arc::clone(body)
    }
}

impl Bodies for ArenaBodies {
    fn open_writer(&self, body: BodyKey, offset: u64) -> Result<Box<dyn BodyWriter>, StoreError> {
        let body = self.body(Name::Response(body));
        let length = body.extent.read().length;
        if offset > length {
            return Err(gap(offset, length));
        }
        Ok(Box::new(ArenaWriter { body, length: offset }))
    }

    fn open_reader(&self, body: BodyKey) -> Result<Box<dyn BodyReader>, StoreError> {
        Ok(Box::new(ArenaReader(self.body(Name::Response(body)))))
    }

    fn create_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyWriter>, StoreError> {
        let body = self.body(Name::Request(record));
        body.truncate(0);
        Ok(Box::new(ArenaWriter { body, length: 0 }))
    }

    fn open_request_body(&self, record: RecordKey) -> Result<Box<dyn BodyReader>, StoreError> {
        let bodies = self.bodies.lock();
        match bodies.get(&Name::Request(record)) {
            Some(body) => Ok(Box::new(ArenaReader(Arc::clone(body)))),
            None => Err(StoreError::io(NAME, io::ErrorKind::NotFound.into())),
        }
    }

    fn export(
        &self,
        body: BodyKey,
        length: u64,
        to: &Path,
        how: Handover,
    ) -> Result<(), StoreError> {
        let reader = ArenaReader(self.body(Name::Response(body)));
        let exported = export(&System, &reader, None, length, to, how)?;
        self.exports.add(body.record.fetch, to, exported);
        Ok(())
    }

    fn found_exported(&self, fetch: FetchKey, path: &Path) {
        self.exports.add_found(fetch, path);
    }

    fn sync_exports(&self, fetch: FetchKey) -> Result<(), StoreError> {
        self.exports.sync(&System, fetch)
    }
}

impl BodyStorage for ArenaBodies {
    fn length(&self, body: BodyKey) -> Result<u64, StoreError> {
        let bodies = self.bodies.lock();
        let body = bodies.get(&Name::Response(body));
        Ok(body.map_or(0, |body| body.extent.read().length))
    }

    fn adopt(&self, from: BodyKey, to: BodyKey) -> Result<(), StoreError> {
        let mut bodies = self.bodies.lock();
        if let Some(body) = bodies.get(&Name::Response(from)).map(Arc::clone) {
            bodies.insert(Name::Response(to), body);
        }
        Ok(())
    }

    fn remove(&self, body: BodyKey) -> Result<(), StoreError> {
        self.bodies.lock().remove(&Name::Response(body));
        Ok(())
    }

    /// Each export is a copy, and copies are synced when they are made.
    fn finished_synced(&self, _: FetchKey) {}

    fn remove_fetch(&self, fetch: FetchKey) -> Result<(), StoreError> {
        self.exports.forget(fetch);
        self.bodies.lock().retain(|name, _| name.fetch() != fetch);
        Ok(())
    }

    /// An ephemeral store need not survive the process.
    fn sync(&self, responses: &[BodyKey], _: &[FetchKey]) -> Result<Vec<u64>, StoreError> {
        responses.iter().map(|body| self.length(*body)).collect()
    }
}

struct ArenaWriter {
    body: Arc<Body>,
    length: u64,
}

impl BodyWriter for ArenaWriter {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let within = self.length % CHUNK;
            let room = usize::try_from(CHUNK - within).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let start = self.body.chunk_for(self.length) + within;
            let mut position = start;
            let result = write_all_at(&System, &self.body.arena.file, now, &mut position);
            self.length += position - start;
            let mut extent = self.body.extent.write();
            extent.length = extent.length.max(self.length);
            drop(extent);
            result.map_err(|error| StoreError::io(NAME, error))?;
            bytes = later;
        }
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }
}

struct ArenaReader(Arc<Body>);

impl BodyReader for ArenaReader {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        // Held while reading: a chunk that is freed meanwhile could be overwritten by another body.
        let extent = self.0.extent.read();
        let left = extent.length.saturating_sub(offset);
        let index = usize::try_from(offset / CHUNK).unwrap_or(usize::MAX);
        let Some(chunk) = extent.chunks.get(index).filter(|_| left > 0) else {
            return Ok(0);
        };
        let within = offset % CHUNK;
        let most = usize::try_from(left.min(CHUNK - within)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(most);
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        platform::read_at(&self.0.arena.file, buffer, chunk + within)
            .map_err(|error| StoreError::io(NAME, error))
    }

    fn length(&self) -> Result<u64, StoreError> {
        Ok(self.0.extent.read().length)
    }
}

#[cfg(test)]
mod tests {
    use bgfetch_model::ids::{Generation, RecordIndex};

    use super::*;

    fn key(index: u32) -> BodyKey {
        BodyKey {
            record: RecordKey { fetch: FetchKey(1), index: RecordIndex(index) },
            generation: Generation(1),
        }
    }

    fn contents(reader: &dyn BodyReader) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(reader.length().unwrap()).unwrap()];
        let mut at = 0;
        while at < all.len() {
            let read = reader.read_at(at as u64, &mut all[at..]).unwrap();
            assert!(read > 0);
            at += read;
        }
        all
    }

    #[test]
    fn interleaved_bodies_keep_their_bytes_across_chunks() {
        let bodies = ArenaBodies::new().unwrap();
        let mut writers: Vec<_> =
            (0..3).map(|index| bodies.open_writer(key(index), 0).unwrap()).collect();
        for _ in 0..5 {
            for (index, writer) in writers.iter_mut().enumerate() {
                writer.write(&vec![index as u8; 50_000]).unwrap();
            }
        }
        for index in 0..3 {
            let reader = bodies.open_reader(key(index)).unwrap();
            assert_eq!(contents(&*reader), vec![index as u8; 250_000]);
        }
    }

    #[test]
    fn a_read_ends_with_its_chunk_because_another_body_may_follow() {
        let bodies = ArenaBodies::new().unwrap();
        for (index, offset) in [(0, 0), (1, 0), (0, CHUNK)] {
            let mut writer = bodies.open_writer(key(index), offset).unwrap();
            writer.write(&[7; CHUNK as usize]).unwrap();
        }
        let reader = bodies.open_reader(key(0)).unwrap();
        let mut buffer = [0; 20];
        assert_eq!(reader.read_at(CHUNK - 5, &mut buffer).unwrap(), 5);
        assert_eq!(reader.read_at(2 * CHUNK - 5, &mut buffer).unwrap(), 5);
        assert_eq!(reader.read_at(2 * CHUNK, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_reader_keeps_the_bytes_of_a_deleted_body() {
        let bodies = ArenaBodies::new().unwrap();
        bodies.open_writer(key(0), 0).unwrap().write(b"kept").unwrap();
        let reader = bodies.open_reader(key(0)).unwrap();
        bodies.remove_fetch(FetchKey(1)).unwrap();
        bodies.open_writer(key(1), 0).unwrap().write(b"else").unwrap();
        assert_eq!(contents(&*reader), b"kept");
        assert_eq!(bodies.length(key(0)).unwrap(), 0);
    }

    #[test]
    fn space_is_used_again_and_given_back_with_the_last_body() {
        let bodies = ArenaBodies::new().unwrap();
        let length = || bodies.arena.file.metadata().unwrap().len();
        for index in 0..4 {
            let mut writer = bodies.open_writer(key(index), 0).unwrap();
            writer.write(&[7; CHUNK as usize]).unwrap();
            drop(writer);
            bodies.remove(key(index)).unwrap();
        }
        assert!(length() <= CHUNK);
        bodies.open_writer(key(9), 0).unwrap().write(&[1]).unwrap();
        bodies.remove_fetch(FetchKey(1)).unwrap();
        assert_eq!(length(), 0);
    }
}
