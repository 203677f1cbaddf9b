//! The simplest possible store: rows in a list, bodies in a map.

use std::collections::HashMap;

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey, RegistrationKey};
use bgfetch_model::response::{HeadSummary, RecordResult};
use bgfetch_model::store_op::{
    Snapshot, StoreOp, StoredFetch, StoredRecord, Sync, Totals, Transaction,
};

#[derive(Clone, Default)]
pub(crate) struct Oracle {
    pub(crate) registrations: Vec<RegistrationKey>,
    pub(crate) fetches: Vec<StoredFetch>,
    pub(crate) next_fetch: u64,
    pub(crate) bodies: HashMap<BodyKey, Vec<u8>>,
    pub(crate) synced: HashMap<BodyKey, usize>,
}

impl Oracle {
    pub(crate) fn commit(&mut self, transaction: &Transaction) {
        for op in &transaction.ops {
            self.apply(op);
        }
        for (body, record) in self.current() {
            let key = body.record;
            let wanted = [Sync::ResponseBody(key), Sync::ResponseBodies(key.fetch)];
            if record.result.is_some() && transaction.syncs.iter().any(|s| wanted.contains(s)) {
                self.sync(body, record.stored as usize);
            }
        }
    }

    pub(crate) fn fetch(&mut self, key: FetchKey) -> Option<&mut StoredFetch> {
        self.fetches.iter_mut().find(|fetch| fetch.key == key)
    }

    pub(crate) fn record(&mut self, key: RecordKey) -> Option<&mut StoredRecord> {
        self.fetch(key.fetch)?.records.get_mut(key.index.0 as usize)
    }

    pub(crate) fn write(&mut self, body: BodyKey, bytes: &[u8]) {
        self.bodies.entry(body).or_default().extend_from_slice(bytes);
    }

    pub(crate) fn length(&self, body: BodyKey) -> u64 {
        self.bodies.get(&body).map_or(0, |bytes| bytes.len() as u64)
    }

    /// The store was closed in an orderly way.
    pub(crate) fn close(&mut self) {
        for (body, _) in self.current() {
            self.sync(body, self.bodies.get(&body).map_or(0, Vec::len));
        }
    }

    /// Power was lost: only the synced bytes of each body are left.
    pub(crate) fn reboot(&mut self) {
        for (body, before) in self.current() {
            let synced = self.synced.get(&body).copied().unwrap_or(0);
            let bytes = self.bodies.entry(body).or_default();
            bytes.truncate(synced);
            let trusted = bytes.len() as u64;
            if before.result.is_none() || before.stored <= trusted {
                continue;
            }
            let record = self.record(body.record).unwrap();
            record.stored = trusted;
            if before.result == Some(RecordResult::Success) {
                record.result = None;
                let fetch = self.fetch(body.record.fetch).unwrap();
                fetch.result = None;
                fetch.settled_at = None;
                fetch.delivery_attempts = 0;
            }
        }
    }

    /// What a store should load.
    pub(crate) fn check(&self, snapshot: &Snapshot) {
        assert_eq!(snapshot.registrations, self.registrations);
        assert_eq!(snapshot.next_fetch, self.next_fetch);
        let mut fetches = self.fetches.clone();
        fetches.sort_by_key(|fetch| fetch.key);
        for fetch in &mut fetches {
            for (index, record) in (0..).zip(&mut fetch.records) {
                if record.result.is_none() && record.generation != Generation::default() {
                    record.stored = self.length(BodyKey {
                        record: RecordKey { fetch: fetch.key, index: RecordIndex(index) },
                        generation: record.generation,
                    });
                }
            }
        }
        assert_eq!(snapshot.fetches, fetches);
    }

    /// The body of each record that has one, and a copy of the record.
    pub(crate) fn current(&self) -> Vec<(BodyKey, StoredRecord)> {
        let records = self.fetches.iter().flat_map(|fetch| {
            (0..).zip(&fetch.records).map(|(index, record)| {
                let key = RecordKey { fetch: fetch.key, index: RecordIndex(index) };
                let body = BodyKey { record: key, generation: record.generation };
                (body, record.clone())
            })
        });
        records.filter(|(body, _)| body.generation != Generation::default()).collect()
    }

    fn sync(&mut self, body: BodyKey, length: usize) {
        let synced = self.synced.entry(body).or_default();
        *synced = length.max(*synced);
    }

    fn apply(&mut self, op: &StoreOp) {
        match op {
            StoreOp::PutRegistration(registration) => {
                if !self.registrations.contains(registration) {
                    self.registrations.push(registration.clone());
                }
            }
            StoreOp::RemoveRegistration(registration) => {
                self.registrations.retain(|other| other != registration);
                self.fetches.retain(|fetch| fetch.registration != *registration);
            }
            StoreOp::InsertFetch(fetch) => {
                self.next_fetch = self.next_fetch.max(fetch.key.0 + 1);
                self.fetches.push((**fetch).clone());
            }
            StoreOp::Forget(key) => self.fetches.retain(|fetch| fetch.key != *key),
            StoreOp::SetPaused(key, paused) => self.with(*key, |fetch| fetch.paused = *paused),
            StoreOp::SetAbortAll(key) => self.with(*key, |fetch| fetch.abort_all = true),
            StoreOp::SetUi(key, title, icons) => self.with(*key, |fetch| {
                fetch.title.clone_from(title);
                fetch.icons.clone_from(icons);
            }),
            StoreOp::SetCause(key, reason) => self.with(*key, |fetch| fetch.cause = Some(*reason)),
            StoreOp::Settle(key, result, at) => self.with(*key, |fetch| {
                fetch.result = Some(*result);
                fetch.settled_at = Some(*at);
            }),
            StoreOp::SetDeliveryAttempts(key, attempts) => {
                self.with(*key, |fetch| fetch.delivery_attempts = *attempts);
            }
            StoreOp::SetRunningTime(key, time) => {
                self.with(*key, |fetch| fetch.running_time = *time);
            }
            StoreOp::EndDelivery(key) => self.with(*key, |fetch| {
                if !fetch.records.is_empty() {
                    fetch.totals = Totals::of(&fetch.records);
                }
                fetch.records_available = false;
                fetch.records.clear();
            }),
            StoreOp::HoldRecords(key) => {
                self.with(*key, |fetch| fetch.records_available = false);
            }
            StoreOp::Adopt { from, to } => {
                let Some(held) = self.record(*from) else { return };
                let taken = held.clone();
                (held.generation, held.response, held.stored) = (Generation(0), None, 0);
                if let Some(record) = self.record(*to) {
                    (record.generation, record.response) = (taken.generation, taken.response);
                    record.stored = taken.stored;
                }
            }
            StoreOp::BeginUpload(key) => {
                if let Some(record) = self.record(*key) {
                    record.upload_begun = true;
                }
            }
            StoreOp::UndoBeginUpload(key) => {
                if let Some(record) = self.record(*key) {
                    record.upload_begun = false;
                }
            }
            StoreOp::OpenGeneration(body, head) => {
                if let Some(record) = self.record(body.record) {
                    record.generation = body.generation;
                    record.response = Some(HeadSummary::of(&record.request, head));
                    record.stored = 0;
                }
            }
            StoreOp::SettleRecord { record, result, stored, uploaded } => {
                if let Some(record) = self.record(*record) {
                    record.result = Some(*result);
                    record.stored = *stored;
                    record.uploaded = *uploaded;
                }
            }
            unknown => panic!("the oracle does not know {unknown:?}"),
        }
    }

    fn with(&mut self, key: FetchKey, change: impl FnOnce(&mut StoredFetch)) {
        if let Some(fetch) = self.fetch(key) {
            change(fetch);
        }
    }
}
