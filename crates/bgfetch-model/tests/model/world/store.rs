//! A simulated store: what is durable, what is not yet, and the body files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bgfetch_model::ids::{
    BodyKey, CommitId, FetchKey, Generation, RecordIndex, RecordKey, RegistrationKey,
};
use bgfetch_model::response::{FailureReason, HeadSummary, RecordResult, ResponseHead};
use bgfetch_model::store_op::{Snapshot, StoreOp, StoredFetch, StoredRecord, Totals, Transaction};
use bgfetch_model::vary::HashKey;

/// The bytes of a body: a run of one representation. Anything else fails the test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) representation: u32,
    /// The offset in the representation of the file's first byte.
    pub(crate) first: u64,
    pub(crate) length: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) registrations: BTreeSet<RegistrationKey>,
    pub(crate) fetches: BTreeMap<FetchKey, StoredFetch>,
    /// Handed over, but neither durable nor acknowledged.
    pub(crate) queue: VecDeque<(CommitId, Transaction)>,
    pub(crate) files: BTreeMap<BodyKey, File>,
    /// How many bytes of the request bodies of each fetch are on disk.
    pub(crate) uploads: BTreeMap<FetchKey, u64>,
    /// The heads of the current responses.
    heads: BTreeMap<RecordKey, Arc<ResponseHead>>,
    /// The reason of the first failure of each fetch, in the order in which records settled.
    first_failure: BTreeMap<FetchKey, FailureReason>,
    next_fetch: u64,
}

impl Store {
    /// The oldest transaction becomes durable.
    pub(crate) fn apply_next(&mut self) -> Option<CommitId> {
        let (commit, transaction) = self.queue.pop_front()?;
        for op in transaction.ops {
            self.apply(op);
        }
        Some(commit)
    }

    fn apply(&mut self, op: StoreOp) {
        match op {
            StoreOp::PutRegistration(key) => {
                self.registrations.insert(key);
            }
            StoreOp::RemoveRegistration(key) => {
                self.registrations.remove(&key);
                let of_key = |_: &FetchKey, fetch: &mut StoredFetch| fetch.registration == key;
                for fetch in self.fetches.extract_if(.., of_key) {
                    self.uploads.remove(&fetch.0);
                }
                self.drop_files_without_fetch();
            }
            StoreOp::InsertFetch(fetch) => {
                assert!(self.registrations.contains(&fetch.registration));
                assert!(fetch.records.iter().all(|record| record.generation.0 == 0));
                self.next_fetch = self.next_fetch.max(fetch.key.0 + 1);
                assert!(self.fetches.insert(fetch.key, *fetch).is_none());
            }
            StoreOp::SetPaused(key, paused) => self.fetch(key).paused = paused,
            StoreOp::SetAbortAll(key) => {
                assert_eq!(self.fetch(key).result, None, "aborted after it settled");
                self.fetch(key).abort_all = true;
            }
            StoreOp::SetUi(key, title, icons) => {
                (self.fetch(key).title, self.fetch(key).icons) = (title, icons);
            }
            StoreOp::BeginUpload(record) => self.record(record).upload_begun = true,
            StoreOp::UndoBeginUpload(record) => {
                assert!(self.record(record).upload_begun, "{record} was not begun");
                self.record(record).upload_begun = false;
            }
            StoreOp::OpenGeneration(body, head) => {
                let record = self.record(body.record);
                assert_eq!(record.result, None, "opened after it settled");
                assert_eq!(body.generation.0, record.generation.0 + 1);
                let old = BodyKey { generation: record.generation, ..body };
                record.generation = body.generation;
                record.response = Some(HeadSummary::of(&record.request, &head));
                self.heads.insert(body.record, head);
                self.files.remove(&old);
                self.files.insert(body, File::default());
            }
            StoreOp::SettleRecord { record: key, result, stored, uploaded } => {
                let file = self.length(key);
                let record = self.record(key);
                assert_eq!(record.result, None, "a record settled twice");
                assert_eq!(stored, file, "record {key} settled with another length than stored");
                (record.result, record.stored, record.uploaded) = (Some(result), stored, uploaded);
                if let RecordResult::Failure(reason) = result {
                    self.first_failure.entry(key.fetch).or_insert(reason);
                }
            }
            StoreOp::SetCause(key, reason) => {
                assert_eq!(self.fetch(key).cause, None);
                assert_eq!(self.first_failure.get(&key), Some(&reason));
                self.fetch(key).cause = Some(reason);
            }
            StoreOp::Settle(key, result, at) => {
                let first_failure = self.first_failure.get(&key).copied();
                let fetch = self.fetch(key);
                assert_eq!(fetch.result, None, "{key:?} settled twice");
                assert!(fetch.records.iter().all(|record| record.result.is_some()));
                let aborted = fetch.abort_all.then_some(FailureReason::Aborted);
                assert_eq!(result.err(), aborted.or(first_failure));
                (fetch.result, fetch.settled_at) = (Some(result), Some(at));
            }
            StoreOp::SetDeliveryAttempts(key, attempts) => {
                assert_eq!(attempts, self.fetch(key).delivery_attempts.saturating_add(1));
                self.fetch(key).delivery_attempts = attempts;
            }
            StoreOp::SetRunningTime(key, time) => {
                assert!(time >= self.fetch(key).running_time);
                self.fetch(key).running_time = time;
            }
            StoreOp::EndDelivery(key) => {
                let fetch = self.fetch(key);
                assert!(fetch.result.is_some() && !fetch.records.is_empty());
                fetch.records_available = false;
                fetch.totals = Totals::of(&fetch.records);
                fetch.records.clear();
                self.files.retain(|body, _| body.record.fetch != key);
                self.uploads.remove(&key);
            }
            StoreOp::HoldRecords(key) => {
                let fetch = self.fetch(key);
                assert!(fetch.result.is_some() && fetch.records_available);
                fetch.records_available = false;
            }
            StoreOp::Adopt { from, to } => {
                assert!(!self.fetch(from.fetch).records_available, "{from} is not held");
                let length = self.length(from);
                let held = self.record(from);
                let generation = std::mem::take(&mut held.generation);
                let response = held.response.take();
                held.stored = 0;
                let record = self.record(to);
                assert_eq!((record.generation, record.stored), (Generation::default(), 0));
                (record.generation, record.response) = (generation, response);
                record.stored = length;
                if let Some(head) = self.heads.remove(&from) {
                    self.heads.insert(to, head);
                }
                let file = self.files.remove(&BodyKey { record: from, generation });
                self.files.insert(BodyKey { record: to, generation }, file.unwrap_or_default());
            }
            StoreOp::Forget(key) => {
                // It may never have been registered.
                let forgotten = self.fetches.remove(&key);
                assert!(forgotten.is_none_or(|fetch| !fetch.records_available));
                self.uploads.remove(&key);
            }
            unknown => panic!("this store does not know {unknown:?}"),
        }
    }

    pub(crate) fn fetch(&mut self, key: FetchKey) -> &mut StoredFetch {
        self.fetches.get_mut(&key).unwrap()
    }

    pub(crate) fn record(&mut self, key: RecordKey) -> &mut StoredRecord {
        &mut self.fetch(key.fetch).records[key.index.0 as usize]
    }

    /// How many bytes the record's current file has.
    pub(crate) fn length(&mut self, key: RecordKey) -> u64 {
        let generation = self.record(key).generation;
        let body = BodyKey { record: key, generation };
        self.files.get(&body).map_or(0, |file| file.length)
    }

    /// Appends `count` bytes of a representation, which must continue the existing ones.
    pub(crate) fn write(&mut self, body: BodyKey, representation: u32, first: u64, count: u64) {
        let file = self.files.get_mut(&body).expect("written before it was opened");
        if file.length == 0 {
            (file.representation, file.first) = (representation, first);
        }
        assert_eq!(file.representation, representation, "two representations were spliced");
        assert_eq!(file.first + file.length, first, "bytes were left out or repeated");
        file.length += count;
    }

    /// The process dies: of the queued transactions, the first `kept` are durable although they
    /// were not acknowledged. The files of records that did not settle may lose their ends.
    pub(crate) fn crash(&mut self, kept: usize, mut cut: impl FnMut(u64) -> u64) {
        for _ in 0..kept {
            self.apply_next();
        }
        self.queue.clear();
        let fetches = &self.fetches;
        self.uploads.retain(|fetch, _| fetches.contains_key(fetch));
        for (body, file) in &mut self.files {
            let fetch = &self.fetches[&body.record.fetch];
            if fetch.records[body.record.index.0 as usize].result.is_none() {
                file.length = cut(file.length).min(file.length);
            }
        }
    }

    /// Whether a fetch with this key was stored at any time.
    pub(crate) fn knew(&self, key: FetchKey) -> bool {
        key.0 < self.next_fetch
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let mut fetches: Vec<_> = self.fetches.values().cloned().collect();
        for fetch in &mut fetches {
            for (index, record) in (0..).map(RecordIndex).zip(&mut fetch.records) {
                record.stored = self.length(RecordKey { fetch: fetch.key, index });
            }
        }
        Snapshot {
            registrations: self.registrations.iter().cloned().collect(),
            fetches,
            next_fetch: self.next_fetch,
            hash_key: HashKey::default(),
        }
    }

    /// The head of a record's response.
    pub(crate) fn head(&self, record: RecordKey) -> Option<Arc<ResponseHead>> {
        let fetch = self.fetches.get(&record.fetch)?;
        fetch.records.get(record.index.0 as usize)?;
        self.heads.get(&record).cloned()
    }

    /// No head can be read any more.
    pub(crate) fn lose_heads(&mut self) {
        self.heads.clear();
    }

    /// What all rows of the database take, as the engine counts it.
    pub(crate) fn metadata(&self) -> u64 {
        self.fetches.values().map(StoredFetch::metadata).sum()
    }

    /// The bytes of all current files of a fetch.
    pub(crate) fn bytes_of(&self, key: FetchKey) -> u64 {
        let files = self.files.iter().filter(|(body, _)| body.record.fetch == key);
        files.map(|(_, file)| file.length).sum()
    }

    /// The file of a record's generation.
    pub(crate) fn file(&self, record: RecordKey, generation: Generation) -> Option<&File> {
        self.files.get(&BodyKey { record, generation })
    }

    fn drop_files_without_fetch(&mut self) {
        let fetches = &self.fetches;
        self.files.retain(|body, _| fetches.contains_key(&body.record.fetch));
    }
}
