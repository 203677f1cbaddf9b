//! What a test can see of the world.

use std::collections::BTreeSet;
use std::time::Duration;

use bgfetch_model::action::{Action, Reply, Update, What};
use bgfetch_model::attempt::AttemptCommand;
use bgfetch_model::background_fetch::BackgroundFetch;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{CallId, FetchKey, RecordIndex, RecordKey};
use bgfetch_model::response::RecordResult;
use bgfetch_model::store_op::{FetchResult, StoreOp};

use super::{World, record};

impl World {
    pub(crate) fn reply(&self, call: CallId) -> Option<Result<Reply, CallError>> {
        self.replies.get(&call).cloned()
    }

    /// The fetch that a call of `fetch()` registered.
    pub(crate) fn registered(&self, call: CallId) -> Option<FetchKey> {
        match self.reply(call)? {
            Ok(Reply::Fetch(fetch)) => Some(fetch.info.key),
            _ => None,
        }
    }

    pub(crate) fn bgfetch(&self, fetch: FetchKey) -> &BackgroundFetch {
        self.model.fetch(fetch).unwrap()
    }

    pub(crate) fn result(&self, fetch: FetchKey) -> Option<FetchResult> {
        self.bgfetch(fetch).result()
    }

    /// How many bytes of a record the model knows to be stored.
    pub(crate) fn stored(&self, fetch: FetchKey, index: u32) -> u64 {
        let record = self.bgfetch(fetch).record(RecordIndex(index)).unwrap();
        record.response_data().stored
    }

    /// How a record ended, as stored; it remains when the record's bytes are gone.
    pub(crate) fn record_result(&self, fetch: FetchKey, index: u32) -> Option<RecordResult> {
        self.log.iter().find_map(|(_, action)| match action {
            Action::Commit(_, transaction) => transaction.ops.iter().find_map(|op| match op {
                StoreOp::SettleRecord { record: key, result, .. }
                    if *key == record(fetch, index) =>
                {
                    Some(*result)
                }
                _ => None,
            }),
            _ => None,
        })
    }

    pub(crate) fn record_results(&self, fetch: FetchKey) -> Vec<Option<RecordResult>> {
        let count = self.log.iter().find_map(|(_, action)| match action {
            Action::Commit(_, transaction) => transaction.ops.iter().find_map(|op| match op {
                StoreOp::InsertFetch(stored) if stored.key == fetch => Some(stored.records.len()),
                _ => None,
            }),
            _ => None,
        });
        (0..count.unwrap() as u32).map(|index| self.record_result(fetch, index)).collect()
    }

    /// The observations so far, with their times.
    pub(crate) fn observations(&self) -> Vec<(Duration, What)> {
        let observation = |(at, action): &(Duration, Action)| match action {
            Action::Observe(observation) => Some((*at, observation.what.clone())),
            _ => None,
        };
        self.log.iter().filter_map(observation).collect()
    }

    /// What observers were told about a fetch.
    pub(crate) fn told(&self, key: FetchKey) -> Vec<What> {
        let of_fetch = |(_, action): &(Duration, Action)| match action {
            Action::Observe(observation) if observation.fetch.key == key => {
                Some(observation.what.clone())
            }
            _ => None,
        };
        self.log.iter().filter_map(of_fetch).collect()
    }

    /// The updates sent to clients, with their times.
    pub(crate) fn updates(&self, key: FetchKey) -> Vec<(Duration, Update)> {
        let update = |(at, action): &(Duration, Action)| match action {
            Action::UpdateClients { fetch, update, .. } if fetch.key == key => Some((*at, *update)),
            _ => None,
        };
        self.log.iter().filter_map(update).collect()
    }

    /// When, and with which result, the settling event was fired.
    pub(crate) fn fired(&self, key: FetchKey) -> Vec<(Duration, FetchResult)> {
        let fired = |(at, action): &(Duration, Action)| match action {
            Action::FireSettledEvent(fetch, result) if fetch.key == key => Some((*at, *result)),
            _ => None,
        };
        self.log.iter().filter_map(fired).collect()
    }

    /// The commands sent to attempts on a record.
    pub(crate) fn commands(&self, key: RecordKey) -> Vec<AttemptCommand> {
        let mut attempts = BTreeSet::new();
        let mut commands = Vec::new();
        for (_, action) in &self.log {
            match action {
                Action::StartAttempt { attempt, record, .. } if *record == key => {
                    attempts.insert(*attempt);
                }
                Action::Command(attempt, command) if attempts.contains(attempt) => {
                    commands.push(*command);
                }
                _ => {}
            }
        }
        commands
    }

    /// Asserts that no record holds or wants a slot.
    pub(crate) fn assert_slots_free(&self) {
        assert!(self.running.is_empty(), "a slot leaked");
        assert!(self.looking_up.is_empty(), "a record still looks a host up");
        assert!(self.queued.is_empty(), "a record still waits for a slot");
    }

    /// Asserts that nothing is in progress or held any more.
    pub(crate) fn assert_at_rest(&self) {
        assert!(self.attempts.is_empty(), "an attempt never ended");
        self.assert_slots_free();
        assert!(self.store.queue.is_empty());
        self.oracle.assert_all_answered();
    }
}
