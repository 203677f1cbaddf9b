//! Recovery after a restart: the stored state becomes running state again.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::sync::Arc;

use crate::action::Action;
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::budget::Budget;
use crate::context::Context;
use crate::fetch_info::FetchInfo;
use crate::ids::StorageKey;
use crate::metadata;
use crate::model::Model;
use crate::record::{Record, RecordState};
use crate::records::Records;
use crate::response::{FailureReason, RecordResult};
use crate::running_time::RunningTime;
use crate::store_op::{Snapshot, StoredFetch, Totals};

impl Model {
    pub(crate) fn recover(&mut self, snapshot: Snapshot) {
        for key in snapshot.registrations {
            // The embedder reports later whether the worker is gone; until then assume that it is
            // there.
            self.ctx.registrations.entry(key).or_default().active_worker = true;
        }
        // Held bytes stay, but no more are granted before the embedder reports the quota.
        let sites: BTreeSet<StorageKey> =
            snapshot.fetches.iter().map(|fetch| fetch.registration.storage_key.clone()).collect();
        sites.into_iter().for_each(|site| self.ctx.act(Action::QueryQuota(site)));
        for stored in snapshot.fetches {
            let interrupted_uploads: alloc::vec::Vec<bool> =
                stored.records.iter().map(|record| record.upload_begun).collect();
            let counts_metadata = self.ctx.config.count_metadata;
            let mut fetch = BackgroundFetch::from_stored(stored, counts_metadata);
            fetch.count(&mut self.ctx);
            fetch.resume_after_restart(&mut self.ctx, &interrupted_uploads);
            fetch.count(&mut self.ctx);
            self.fetches.insert(fetch.info.key, fetch);
        }
        self.release_old_records();
        self.forget_old_fetches();
    }
}

impl BackgroundFetch {
    /// The running state of a fetch that is stored, or about to be.
    pub(crate) fn from_stored(stored: StoredFetch, counts_metadata: bool) -> Self {
        let text = metadata::of_fetch(&stored.principal, &stored.id, &stored.title, &stored.icons);
        let totals =
            if stored.records.is_empty() { stored.totals } else { Totals::of(&stored.records) };
        let records = if stored.records.is_empty() {
            Records::gone(totals, text, counts_metadata)
        } else {
            let budget = Budget::new(stored.download_total, totals.upload_total);
            let list = stored.records.into_iter().map(Record::restored).collect();
            let mut records = Records::new(list, budget, text, counts_metadata);
            // A fetch that settled or was aborted needs no more than it has.
            if stored.result.is_some() || stored.abort_all {
                records.drop_promise();
            }
            records
        };
        Self {
            info: Arc::new(FetchInfo {
                key: stored.key,
                registration: stored.registration,
                principal: stored.principal,
                id: stored.id.into(),
                download_total: stored.download_total,
                upload_total: totals.upload_total,
                created_at: stored.created_at,
            }),
            title: stored.title,
            icons: stored.icons,
            paused: stored.paused,
            abort_all: stored.abort_all,
            settled_at: stored.settled_at,
            cause: stored.cause,
            result: stored.result,
            records_available: stored.records_available,
            records,
            stage: Stage::AwaitingCaller,
            delivery_attempts: stored.delivery_attempts,
            hold_records: false,
            asked_again: false,
            running_time: RunningTime::restored(stored.running_time),
            last_update: None,
            pause_reason: None,
        }
    }

    fn resume_after_restart(&mut self, ctx: &mut Context, interrupted_uploads: &[bool]) {
        if self.result.is_some() {
            // A pending event is delivered once a worker is available.
            if self.records_available {
                self.await_worker(ctx);
            } else if self.records().is_empty() {
                self.stage = Stage::Finished;
            } else {
                self.stage = Stage::Held;
            }
            return;
        }
        if !self.abort_all
            && let Some(registration) = ctx.registrations.get_mut(&self.info.registration)
        {
            registration.active.insert(self.info.id.to_string(), self.info.key);
        }
        // An abort takes precedence over the mark of an upload: a record that both would end is
        // aborted. Spec issue 6: an immediate failure still ends the siblings that had not ended.
        let immediate = |record: &Record| {
            let result = record.data.result;
            result.is_some_and(RecordResult::is_immediate_failure)
        };
        if self.abort_all || self.records().iter().any(immediate) {
            self.abort_every_record(ctx);
        }
        // D25: an upload in flight at a crash may have arrived; it is not sent again.
        const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);
        for (index, begun) in self.indices().zip(interrupted_uploads) {
            if *begun && self.record(index).is_some_and(|record| !record.is_settled()) {
                let message = Some("the upload was interrupted by a restart".into());
                self.settle_record(ctx, index, FETCH_ERROR, message);
            }
        }
        // The crash may have happened after the last record ended and before the fetch settled.
        if self.all_settled() && self.stage == Stage::AwaitingCaller {
            self.settle(ctx);
        } else {
            // D13: the caller is gone.
            self.perform(ctx);
        }
        self.observe_pause(ctx);
    }

    /// Removes the whole fetch: cancels its attempts, slots and timers, and returns what it takes
    /// from the quota.
    pub(crate) fn drop_all(&mut self, ctx: &mut Context) {
        use crate::attempt::AttemptCommand;
        use crate::timers::Timer;
        for index in self.indices() {
            let key = self.record_key(index);
            ctx.timers.clear(Timer::Retry(key));
            ctx.timers.clear(Timer::LocalNetwork(key));
            match self.record(index).map(|record| &record.state) {
                Some(RecordState::Queued(_)) => ctx.act(Action::Withdraw(key)),
                Some(
                    RecordState::BeginningUpload
                    | RecordState::LoadingHead
                    | RecordState::Ended(..),
                ) => ctx.act(Action::ReleaseSlot(key)),
                Some(RecordState::Attempting(attempt)) => {
                    let id = attempt.id;
                    ctx.attempts.remove(&id);
                    self.leave_account(ctx, key);
                    ctx.act(Action::Command(id, AttemptCommand::Cancel));
                    ctx.act(Action::ReleaseSlot(key));
                }
                _ => {}
            }
        }
        for timer in [
            Timer::Progress(self.info.key),
            Timer::RunningTime(self.info.key),
            Timer::ClientsApplied(self.info.key),
            Timer::Redeliver(self.info.key),
        ] {
            ctx.timers.clear(timer);
        }
        ctx.release_after_commit(self.info.registration.storage_key.clone(), self.records.taken());
    }
}
