//! The rules that hold at all times, in whatever order things happen.

use std::collections::{BTreeMap, BTreeSet};

use bgfetch_model::action::{Action, Reply};
use bgfetch_model::config::Config;
use bgfetch_model::ids::{BodyKey, CallId, FetchKey, RecordIndex, RecordKey};
use bgfetch_model::model::Model;
use bgfetch_model::response::{FailureReason, RecordResult};
use bgfetch_model::store_op::StoreOp;
use bgfetch_model::time::Instant;

use super::data_path::Attempt;
use super::record;
use super::store::Store;

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Unanswered calls.
    open: BTreeSet<CallId>,
    /// The fetches that calls of `abort()` abort, and whether they were active.
    aborting: BTreeMap<CallId, (FetchKey, bool)>,
    /// Calls that were dropped.
    dropped: BTreeSet<CallId>,
    /// Fetches that are aborted in the store.
    aborted: BTreeSet<FetchKey>,
    /// Fetches for which `abort()` returned true.
    promised: BTreeSet<FetchKey>,
    /// Uploads of which a byte may have been sent.
    uploaded: BTreeSet<RecordKey>,
    /// When clients were told that a fetch settled, in this life of the process.
    told: BTreeMap<FetchKey, Instant>,
    /// Fetches whose clients have applied that.
    applied: BTreeSet<FetchKey>,
    /// Fetches that had settled when the process started: their clients are gone.
    recovered: BTreeSet<FetchKey>,
    /// Fetches whose event a worker handled.
    handled: BTreeSet<FetchKey>,
    gone: BTreeSet<FetchKey>,
    /// Bodies that have the requested integrity.
    verified: BTreeSet<BodyKey>,
}

impl Oracle {
    pub(crate) fn called(&mut self, call: CallId) {
        self.open.insert(call);
    }

    pub(crate) fn aborting(&mut self, call: CallId, fetch: FetchKey, active: bool) {
        self.aborting.insert(call, (fetch, active));
    }

    pub(crate) fn dropped(&mut self, call: CallId) {
        if self.open.remove(&call) {
            self.dropped.insert(call);
        }
    }

    pub(crate) fn open_calls(&self) -> Vec<CallId> {
        self.open.iter().copied().collect()
    }

    pub(crate) fn clients_applied(&mut self, fetch: FetchKey) {
        self.applied.insert(fetch);
    }

    /// The process died; `store` is what remained.
    pub(crate) fn crashed(&mut self, store: &mut Store) {
        self.open.clear();
        self.told.clear();
        self.verified.clear();
        let (fetches, gone) = (&store.fetches, &self.gone);
        let lasts = |key: &FetchKey| fetches.get(key).is_none_or(|fetch| fetch.abort_all);
        // The key of a fetch that was lost before it was stored is given to another one.
        self.aborted.retain(|key| store.knew(*key) && lasts(key));
        assert!(self.promised.iter().all(lasts), "an abort that was promised is undone");
        let settled = fetches.values().filter(|fetch| fetch.result.is_some());
        self.recovered = settled.map(|fetch| fetch.key).collect();
        // The end of a delivery may have been lost; then it is repeated.
        let ended = |key: &FetchKey| fetches.get(key).is_none_or(|fetch| !fetch.records_available);
        self.handled.retain(ended);
        assert!(gone.iter().all(|key| !fetches.contains_key(key)), "a forgotten fetch came back");
    }

    pub(crate) fn verified(&mut self, body: BodyKey) {
        self.verified.insert(body);
    }

    /// Checks an attempt that did something.
    pub(crate) fn worked(&mut self, attempt: &Attempt) {
        if attempt.sent && !attempt.request.is_get() {
            self.uploaded.insert(attempt.record);
        }
    }

    pub(crate) fn event_ended(&mut self, fetch: FetchKey, handled: bool) {
        if handled {
            assert!(self.handled.insert(fetch), "an event that was handled was fired again");
        }
    }

    /// Checks an action before it is executed.
    pub(crate) fn before(
        &mut self,
        action: &Action,
        model: &Model,
        store: &mut Store,
        now: Instant,
        config: &Config,
    ) {
        match action {
            Action::Reply(call, reply) => {
                let awaited = self.open.remove(call) || self.dropped.remove(call);
                assert!(awaited, "{call:?} was answered twice, or never made");
                if let (Some((_, active)), Ok(Reply::Aborted(aborted))) =
                    (self.aborting.get(call), reply)
                {
                    assert_eq!(aborted, active, "abort() is true if the fetch is active");
                }
                match reply {
                    Ok(Reply::Aborted(true)) => {
                        let (fetch, _) = self.aborting[call];
                        let durable = store.fetches.get(&fetch).is_none_or(|f| f.abort_all);
                        assert!(durable, "an abort was promised before it is durable");
                        assert!(self.promised.insert(fetch), "abort() was true twice");
                    }
                    Ok(Reply::Fetch(fetch)) => assert!(store.fetches.contains_key(&fetch.info.key)),
                    _ => {}
                }
            }
            Action::Commit(_, transaction) => {
                for op in &transaction.ops {
                    match op {
                        StoreOp::SetAbortAll(key) => {
                            assert!(self.aborted.insert(*key), "{key:?} was aborted twice");
                        }
                        StoreOp::Settle(key, result, _) if self.aborted.contains(key) => {
                            assert_eq!(*result, Err(FailureReason::Aborted));
                        }
                        StoreOp::SettleRecord { record: key, result, .. }
                            if *result == RecordResult::Success =>
                        {
                            let stored = store.record(*key);
                            let body = BodyKey { record: *key, generation: stored.generation };
                            let verified = self.verified.contains(&body);
                            let asked = !stored.request.integrity.is_empty();
                            assert!(verified || !asked, "{key} succeeds unverified");
                        }
                        _ => {}
                    }
                }
            }
            // Commit, then effect.
            Action::StartAttempt { record: key, .. } => {
                let stored = store.record(*key);
                assert_eq!(stored.result, None, "{key} is fetched after it ended");
                if !stored.request.is_get() {
                    assert!(stored.upload_begun, "{key} is sent before that is durable");
                    assert!(!self.uploaded.contains(key), "{key} is sent twice");
                }
            }
            Action::UpdateClients { fetch, update, settled } => {
                let fetch = fetch.key;
                assert!(!self.gone.contains(&fetch));
                let durable = store.fetch(fetch);
                if update.result.is_some() {
                    assert_eq!(update.result, durable.result, "clients learn what is not durable");
                }
                if *settled {
                    assert!(self.told.insert(fetch, now).is_none(), "clients are told twice");
                }
            }
            Action::FireSettledEvent(fetch, result) => {
                let fetch = &fetch.key;
                assert!(!self.gone.contains(fetch));
                assert_eq!(store.fetch(*fetch).result, Some(*result), "fired before it is durable");
                assert!(!self.handled.contains(fetch), "fired after it was handled");
                let in_time = self.told.get(fetch).is_some_and(|told| {
                    self.applied.contains(fetch) || now.since(*told) >= config.clients_apply_within
                });
                assert!(in_time || self.recovered.contains(fetch), "fired before clients know");
            }
            Action::Forgotten(fetch) => {
                assert!(model.fetch(*fetch).is_none());
                assert!(self.gone.insert(*fetch), "forgotten twice");
            }
            _ => {}
        }
    }

    /// Checks that what the model reports about its fetches adds up.
    pub(crate) fn check_fetches(&self, model: &Model, store: &Store) {
        for fetch in model.fetches() {
            let records = fetch.records();
            if !records.is_empty() {
                let stored: u64 = records.iter().map(|record| record.response_data().stored).sum();
                assert_eq!(fetch.stored_body_bytes_total(), stored, "the tallies are wrong");
                let uploaded: u64 = records.iter().map(|record| record.uploaded()).sum();
                assert_eq!(fetch.uploaded(), uploaded, "the tallies are wrong");
            }
            assert!(!records.is_empty() || !fetch.records_available());
            assert!(fetch.uploaded() <= fetch.upload_total());
            for (index, known) in (0..).map(RecordIndex).zip(records) {
                let data = known.response_data();
                let key = record(fetch.key(), index.0);
                if !known.request().integrity.is_empty() && data.exposed_response().is_some() {
                    let succeeded = data.result == Some(RecordResult::Success);
                    assert!(succeeded || data.stored == 0, "{key}: exposed unverified");
                }
                // The file is there unless the store opened the next generation since.
                if let Some(file) = store.file(key, data.generation) {
                    assert!(data.stored <= file.length, "{key}: bytes that are not there");
                    let own_range = known.request().has_own_range();
                    assert!(file.length == 0 || file.first == 0 || own_range, "{key}: no prefix");
                    if data.result.is_some() {
                        assert_eq!(data.stored, file.length, "{key}: not exact at its end");
                    }
                }
            }
        }
    }

    /// Checks that the bytes on disk, reported or not, exceed no limit.
    pub(crate) fn check_files(&self, model: &Model, store: &Store, quota: u64) {
        let mut total = 0;
        for fetch in model.fetches() {
            let bytes = store.bytes_of(fetch.key());
            if fetch.download_total() > 0 {
                assert!(bytes <= fetch.download_total(), "more bytes than downloadTotal");
            }
            total += bytes;
        }
        total += store.uploads.values().sum::<u64>();
        assert!(total <= quota, "more bytes than the quota allows");
    }

    pub(crate) fn assert_all_answered(&self) {
        assert!(self.open.is_empty(), "calls were not answered: {:?}", self.open);
    }
}
