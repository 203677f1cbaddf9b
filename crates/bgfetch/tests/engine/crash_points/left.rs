//! What a start after a crash finds, below the engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bgfetch::embedder::{
    Bodies, BodyKey, StoreOp, StoreSync, StoredFetch, StoredRecord, Transaction,
};
use bgfetch::{
    RecordIndex, RecordKey, RecordResult, RegistrationKey, SqliteStore, Store, StoreOptions,
};
use bgfetch_store::recording::{self, Recorder};
use bgfetch_testkit::Resource;

use super::lab::STORE;

pub(super) struct Left {
    place: PathBuf,
    pub(super) registrations: Vec<RegistrationKey>,
    pub(super) fetches: Vec<StoredFetch>,
    bodies: Arc<dyn Bodies>,
    store: SqliteStore,
}

impl recording::Left for Left {
    fn open(place: &Path, files: Recorder, boot: &str) -> Result<Self, String> {
        let options = StoreOptions::default().boot_id(boot).file_system(files);
        let store = SqliteStore::open(&place.join(STORE), options);
        let mut store = store.map_err(|error| error.to_string())?;
        let snapshot = store.load().map_err(|error| error.to_string())?;
        let mut left = Self {
            place: place.to_owned(),
            registrations: snapshot.registrations,
            fetches: snapshot.fetches,
            bodies: store.bodies(),
            store,
        };
        left.check_files()?;
        left.check_use()?;
        Ok(left)
    }
}

impl Left {
    /// Every row has its file, and every file belongs to a row.
    fn check_files(&self) -> Result<(), String> {
        let store = self.place.join(STORE);
        let mut files = BTreeMap::new();
        find_files(&store.join("bodies"), &store.join("bodies"), &mut files)?;
        for fetch in &self.fetches {
            for (index, record) in fetch.records.iter().enumerate() {
                let name = format!("{}/{index}.request", fetch.key.0);
                let found = files.remove(&name);
                if found != record.request.body_length {
                    return Err(format!("{name} has {found:?} bytes"));
                }
                if record.generation.0 == 0 {
                    continue;
                }
                let name = format!("{}/{index}.{}", fetch.key.0, record.generation.0);
                let found = files.remove(&name).unwrap_or_default();
                if found != record.stored {
                    return Err(format!("{name} has {found} bytes, not {}", record.stored));
                }
            }
        }
        if !files.is_empty() {
            return Err(format!("{files:?} belong to no row"));
        }
        for entry in fs::read_dir(store).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known = ["bodies", "lock", "reserve"].contains(&name.as_str());
            if !known && !name.starts_with("store.sqlite3") {
                return Err(format!("{name} is not of the store"));
            }
        }
        Ok(())
    }

    /// Every body can be continued, and transactions can be committed.
    fn check_use(&mut self) -> Result<(), String> {
        let mut ops = Vec::new();
        for fetch in &self.fetches {
            for (record, body) in bodies_of(fetch) {
                if record.result.is_none() {
                    let writer = self.bodies.open_writer(body, record.stored);
                    writer.map_err(|error| error.to_string())?;
                }
            }
            ops.push(StoreOp::SetRunningTime(fetch.key, Duration::from_millis(1)));
        }
        let transaction = Transaction { ops, syncs: vec![StoreSync::Steps] };
        self.store.commit(&[transaction]).map_err(|error| error.to_string())
    }

    pub(super) fn fetch(&self) -> Option<&StoredFetch> {
        self.fetches.first()
    }

    pub(super) fn record(&self, index: usize) -> Option<&StoredRecord> {
        self.fetch()?.records.get(index)
    }

    /// The event of the fetch is over.
    pub(super) fn is_delivered(&self) -> bool {
        self.fetch().is_some_and(|fetch| !fetch.records_available)
    }

    /// The record has succeeded with these bytes, or its fetch was delivered.
    pub(super) fn has(&self, index: usize, bytes: &[u8]) -> bool {
        if self.is_delivered() {
            return true;
        }
        let record = self.fetch().and_then(|fetch| bodies_of(fetch).nth(index));
        record.is_some_and(|(record, body)| {
            record.result == Some(RecordResult::Success) && self.stored(body, record) == bytes
        })
    }

    /// The body of the request of a record is there.
    pub(super) fn has_request(&self, record: RecordKey, bytes: &[u8]) -> bool {
        let mut stored = vec![0; bytes.len()];
        let body = self.bodies.open_request_body(record);
        let read = body.and_then(|body| body.read_at(0, &mut stored));
        read.is_ok_and(|read| read == bytes.len()) && stored == bytes
    }

    /// The stored bytes of all records that have the path of their URL in `served` are the
    /// beginning of what was served there.
    pub(super) fn is_unspliced(&self, served: &BTreeMap<String, Resource>) -> bool {
        self.fetches.iter().flat_map(bodies_of).all(|(record, body)| {
            let resource = served.get(record.request.url.path());
            resource.is_none_or(|resource| resource.verify(0, &self.stored(body, record)).is_ok())
        })
    }

    /// How many records hold exactly these bytes.
    pub(super) fn holders(&self, resource: &Resource) -> usize {
        let bodies = self.fetches.iter().flat_map(bodies_of);
        bodies.filter(|(record, body)| self.stored(*body, record) == resource.bytes()).count()
    }

    /// The file was exported completely.
    pub(super) fn has_file(&self, name: &str, resource: &Resource) -> bool {
        resource.matches_file(self.place.join(name)).is_ok()
    }

    /// The bytes that a record has stored.
    fn stored(&self, body: BodyKey, record: &StoredRecord) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(record.stored).unwrap()];
        if !bytes.is_empty() {
            let read = self.bodies.open_reader(body).unwrap().read_at(0, &mut bytes).unwrap();
            bytes.truncate(read);
        }
        bytes
    }
}

fn bodies_of(fetch: &StoredFetch) -> impl Iterator<Item = (&StoredRecord, BodyKey)> {
    (0..).map(RecordIndex).zip(&fetch.records).map(|(index, record)| {
        let key = RecordKey { fetch: fetch.key, index };
        (record, BodyKey { record: key, generation: record.generation })
    })
}

/// The lengths of all files below `folder`, by their paths below `root`.
fn find_files(root: &Path, folder: &Path, files: &mut BTreeMap<String, u64>) -> Result<(), String> {
    let mut entries = fs::read_dir(folder).unwrap().peekable();
    if entries.peek().is_none() && folder != root {
        return Err(format!("{} is empty", folder.display()));
    }
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_files(root, &path, files)?;
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.insert(name.to_owned(), fs::metadata(&path).unwrap().len());
        }
    }
    Ok(())
}
