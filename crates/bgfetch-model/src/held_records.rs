//! Records that outlive their event, and fetches that adopt them.
//!
//! The spec drops the records when the event has ended. A user's download may have failed for one
//! file of many, or half way, so an embedder that acts for the user can hold the records until it
//! releases them. The next fetch of an equal request takes over the stored bytes and fetches the
//! rest. Fetches of pages take no part in this: a body is the response to one page's request under
//! that page's policies.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::action::Reply;
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::context::{Context, Effect};
use crate::error::CallError;
use crate::ids::{CallId, FetchKey, RecordIndex, RecordKey, RegistrationKey, StorageKey};
use crate::model::Model;
use crate::policy::Principal;
use crate::record::Record;
use crate::response::RecordResult;
use crate::store_op::{StoreOp, StoredFetch, StoredRecord};

impl Model {
    /// The records are to be held after the event has ended, or are no longer needed.
    pub(crate) fn hold_records(&mut self, call: CallId, key: FetchKey, hold: bool) {
        let Some(fetch) = self.fetches.get_mut(&key) else {
            return self.ctx.reply(call, Err(CallError::NotFound));
        };
        match fetch.stage {
            Stage::Held if !hold => {
                fetch.release_records(&mut self.ctx);
                self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
            }
            Stage::EndingDelivery | Stage::Finished if hold => {
                self.ctx.reply(call, Err(CallError::RecordsUnavailable));
            }
            _ => {
                fetch.hold_records = hold;
                self.ctx.reply(call, Ok(Reply::Done));
            }
        }
    }

    /// Held records take space, so their number and age are limited.
    pub(crate) fn release_old_records(&mut self) {
        let (now, config) = (self.ctx.now.wall, &self.ctx.config);
        let mut kept: BTreeMap<&RegistrationKey, usize> = BTreeMap::new();
        let mut old = Vec::new();
        for fetch in self.fetches.values().rev().filter(|fetch| fetch.stage == Stage::Held) {
            let count = kept.entry(&fetch.info.registration).or_default();
            *count += 1;
            let age = now.since(fetch.settled_at.unwrap_or(now));
            if *count > config.max_held || age > config.held_age {
                old.push(fetch.info.key);
            }
        }
        for key in old {
            if let Some(fetch) = self.fetches.get_mut(&key) {
                fetch.release_records(&mut self.ctx);
            }
        }
    }

    /// Lets the records of a new fetch adopt what held records of equal requests have. Returns the
    /// records that have every byte.
    pub(crate) fn adopt_held_records(&mut self, fetch: &mut StoredFetch) -> Vec<RecordIndex> {
        let mut whole = Vec::new();
        if *fetch.principal != Principal::User {
            return whole;
        }
        let mut held = self.adoptable_records(&fetch.registration.storage_key);
        let mut givers = BTreeSet::new();
        let mut room = match fetch.download_total {
            0 => u64::MAX,
            total => total,
        };
        for (index, record) in (0..).map(RecordIndex).zip(&mut fetch.records) {
            let Some(candidates) = held.get_mut(record.request.url.as_str()) else {
                continue;
            };
            let held_record = |from: &RecordKey| self.fetches.get(&from.fetch)?.record(from.index);
            let fits = |from: &RecordKey| {
                held_record(from)
                    .is_some_and(|held| held.request == record.request && held.data.stored <= room)
            };
            let is_whole = |from: &RecordKey| {
                held_record(from)
                    .is_some_and(|held| held.data.result == Some(RecordResult::Success))
            };
            // What is whole needs no request. The newest fetch's record comes last.
            let complete = candidates.iter().rposition(|from| fits(from) && is_whole(from));
            let Some(found) = complete.or_else(|| candidates.iter().rposition(fits)) else {
                continue;
            };
            let from = candidates.remove(found);
            let Some(giver) = self.fetches.get_mut(&from.fetch) else {
                continue;
            };
            if giver.give_away(&mut self.ctx, from.index, record) {
                whole.push(index);
            }
            room -= record.stored;
            givers.insert(from.fetch);
            let to = RecordKey { fetch: fetch.key, index };
            self.ctx.store(StoreOp::Adopt { from, to });
        }
        for giver in givers {
            if let Some(giver) = self.fetches.get_mut(&giver)
                && !giver.has_adoptable_record()
            {
                giver.release_records(&mut self.ctx);
            }
        }
        whole
    }

    /// The adoptable records of a storage key, by URL.
    fn adoptable_records(&self, storage_key: &StorageKey) -> BTreeMap<String, Vec<RecordKey>> {
        let mut records: BTreeMap<String, Vec<RecordKey>> = BTreeMap::new();
        let of_key = |fetch: &&BackgroundFetch| {
            fetch.stage == Stage::Held && fetch.info.registration.storage_key == *storage_key
        };
        for fetch in self.fetches.values().filter(of_key) {
            for (index, record) in fetch.indices().zip(fetch.records()) {
                if fetch.is_adoptable(record) {
                    let url = String::from(record.request.url.as_str());
                    records.entry(url).or_default().push(fetch.record_key(index));
                }
            }
        }
        records
    }
}

impl BackgroundFetch {
    /// Whether another fetch could continue this record: it has every byte, or bytes with a
    /// validator.
    fn is_adoptable(&self, record: &Record) -> bool {
        let Some(head) = record.data.response else { return false };
        // No request will tell whether the same user asks.
        let is_whole = record.data.result == Some(RecordResult::Success);
        if (is_whole || record.has_everything()) && head.varies_by_user {
            return false;
        }
        // Bytes that fail the requested integrity would fail again.
        let may_go_on = record.request.integrity.is_empty() && record.is_resumable();
        *self.info.principal == Principal::User
            && record.request.is_get()
            && head.is_ok()
            && (is_whole || may_go_on)
    }

    pub(crate) fn has_adoptable_record(&self) -> bool {
        self.records().iter().any(|record| self.is_adoptable(record))
    }

    /// Moves a record's data to another fetch's record. Returns whether it includes every byte.
    fn give_away(&mut self, ctx: &mut Context, index: RecordIndex, to: &mut StoredRecord) -> bool {
        let whole = self.change(index, |record| {
            let data = &mut record.data;
            to.generation = mem::take(&mut data.generation);
            to.response = data.response.take();
            to.stored = mem::take(&mut data.stored);
            data.result == Some(RecordResult::Success)
        });
        self.count(ctx);
        whole.unwrap_or_default()
    }

    /// The held records are no longer needed.
    pub(crate) fn release_records(&mut self, ctx: &mut Context) {
        self.hold_records = false;
        self.end_delivery(ctx, Effect::RecordsReleased(self.info.key));
    }

    /// The store deleted the records.
    pub(crate) fn records_deleted(&mut self, ctx: &mut Context) {
        self.stage = Stage::Finished;
        self.records.clear();
        self.review_grants(ctx);
    }

    /// Whether the store is about to delete the records.
    pub(crate) fn is_deleting_records(&self) -> bool {
        self.stage == Stage::EndingDelivery && !self.hold_records
    }
}
