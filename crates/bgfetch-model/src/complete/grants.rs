//! The grants of bytes to running attempts: steps 11.2.6.1 to 11.2.6.3 of [complete a
//! record](https://wicg.github.io/background-fetch/#complete-a-record-algorithm).
//!
//! An attempt that used up its grant joins a queue. If no limit is in the way it gets more at once.
//! Otherwise, every attempt under that limit first returns the unused part of its grant: those of
//! the same fetch for `downloadTotal`, those of all the site's fetches for the quota. Calls of
//! `fetch()` use the same queue and also return what they do not use.

use alloc::string::String;
use alloc::vec::Vec;

use crate::attempt::AttemptCommand;
use crate::background_fetch::BackgroundFetch;
use crate::budget::{Claimant, Exhausted};
use crate::complete::process_response::RestartReason;
use crate::context::Context;
use crate::ids::{RecordIndex, RecordKey, StorageKey};
use crate::metadata;
use crate::model::Model;
use crate::record::{Phase, Record, Then};
use crate::response::{FailureReason, RecordResult};

impl Model {
    /// Serves the queues of the accounts in which something changed.
    pub(crate) fn review_grants(&mut self) {
        while let Some(storage_key) = self.ctx.grants_to_review.pop_first() {
            self.serve_queue(&storage_key);
        }
    }

    fn serve_queue(&mut self, storage_key: &StorageKey) {
        let mut refused = Vec::new();
        for claimant in self.ctx.account(storage_key).take_queue() {
            if let Err(exhausted) = self.grant(claimant) {
                refused.push((claimant, exhausted));
            }
        }
        // A limit counts as reached only when nobody holds a grant that it does not need.
        for (claimant, exhausted) in &refused {
            for fetch in self.fetches.values_mut() {
                let concerned = match (exhausted, claimant) {
                    (Exhausted::DownloadTotal, Claimant::Attempt(record)) => {
                        fetch.info.key == record.fetch
                    }
                    _ => fetch.info.registration.storage_key == *storage_key,
                };
                if concerned {
                    fetch.recall_grants(&mut self.ctx);
                }
            }
            if *exhausted == Exhausted::Quota {
                self.recall_grants_of_calls(storage_key);
            }
        }
        let of_site =
            |fetch: &&BackgroundFetch| fetch.info.registration.storage_key == *storage_key;
        let deletes =
            self.fetches.values().filter(of_site).any(BackgroundFetch::is_deleting_records);
        for (claimant, exhausted) in refused {
            let account = self.ctx.account(storage_key);
            match claimant {
                _ if deletes || account.awaits_returns() => account.wait(claimant),
                Claimant::Attempt(record) => self.with_fetch(record.fetch, |fetch, ctx| {
                    fetch.limit_reached(ctx, record.index, exhausted);
                }),
                // What it stored is free for the others once it is deleted.
                Claimant::Call(call) => self.refuse_call(call),
            }
        }
    }

    /// Grants bytes to a claimant whose turn has come.
    fn grant(&mut self, claimant: Claimant) -> Result<(), Exhausted> {
        let mut granted = Ok(());
        match claimant {
            Claimant::Attempt(record) => self.with_fetch(record.fetch, |fetch, ctx| {
                granted = fetch.grant(ctx, record.index);
            }),
            Claimant::Call(call) => granted = self.grant_call(call),
        }
        granted
    }
}

impl BackgroundFetch {
    /// The head was judged: the body may be received, starting at `offset`.
    // OPTIMIZATION: the first grant is included, so most records need not ask for one.
    pub(crate) fn receive(&mut self, ctx: &mut Context, index: RecordIndex, offset: u64) {
        self.with_attempt(index, |attempt| {
            attempt.phase = Phase::Body;
            attempt.grant = offset;
        });
        let wanted = self.record(index).map_or(0, |it| remaining(it).unwrap_or(u64::MAX));
        // If nothing is left, or others are waiting, the attempt asks once it has a byte.
        let grant = if self.account(ctx).has_no_queue() {
            self.extend_grant(ctx, index, wanted).unwrap_or(offset)
        } else {
            offset
        };
        if let Some(body) = self.body_key(index) {
            self.command(ctx, index, AttemptCommand::Receive { body, offset, grant });
        }
    }

    /// An attempt has at least one byte that it may not store yet.
    pub(crate) fn need_grant(&mut self, ctx: &mut Context, index: RecordIndex) {
        let Some(record) = self.record(index) else {
            return;
        };
        let stored = record.data.stored;
        let Some(attempt) = record.attempt() else {
            return;
        };
        if !matches!(attempt.phase, Phase::Body) {
            return;
        }
        if part_end(record).is_some_and(|end| stored >= end) {
            // D2: bytes beyond the part's range were not requested.
            return self.stop_attempt(ctx, index, Then::Restart(RestartReason::OtherBytes));
        }
        if record.announced_length().is_some_and(|announced| stored >= announced) {
            // No grant exceeds the announced length, so this attempt would wait for ever.
            let message = String::from("the response is longer than its head announced");
            let failure = RecordResult::Failure(FailureReason::FetchError);
            return self.stop_attempt(ctx, index, Then::Settle(failure, Some(message)));
        }
        let (key, account) = (self.record_key(index), self.account(ctx));
        let phase = if account.limit().is_some() { Phase::Grant } else { Phase::Quota };
        account.wait(Claimant::Attempt(key));
        self.with_attempt(index, |attempt| {
            attempt.phase = phase;
            // The grant is used up, or was recalled.
            attempt.grant = stored;
        });
        self.review_grants(ctx);
    }

    /// Grants an attempt more bytes when its turn has come.
    fn grant(&mut self, ctx: &mut Context, index: RecordIndex) -> Result<(), Exhausted> {
        let Some(record) = self.record(index) else {
            return Ok(());
        };
        let size = match record.attempt().map(|attempt| &attempt.phase) {
            Some(Phase::HeadQuota(head)) => Some(metadata::of_head(head)),
            _ => None,
        };
        if let Some(size) = size {
            if !self.has_room_for_head(ctx, index, size) {
                return Err(Exhausted::Quota);
            }
            let phase = self
                .with_attempt(index, |attempt| core::mem::replace(&mut attempt.phase, Phase::Head));
            if let Some(Phase::HeadQuota(head)) = phase {
                self.open_generation(ctx, index, *head);
            }
        } else {
            let wanted = remaining(record).unwrap_or(u64::MAX);
            let grant = self.extend_grant(ctx, index, wanted)?;
            self.with_attempt(index, |attempt| attempt.phase = Phase::Body);
            self.command(ctx, index, AttemptCommand::Grant(grant));
        }
        Ok(())
    }

    /// Raises the grant of an attempt that used it up, by at most the wanted bytes.
    fn extend_grant(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        wanted: u64,
    ) -> Result<u64, Exhausted> {
        let stored = self.record(index).map_or(0, |record| record.data.stored);
        let more = self.records.extend(wanted, ctx.account(&self.info.registration.storage_key))?;
        let grant = stored.saturating_add(more);
        self.with_attempt(index, |attempt| attempt.grant = grant);
        self.count(ctx);
        Ok(grant)
    }

    /// Asks every attempt to return the unused part of its grant.
    fn recall_grants(&mut self, ctx: &mut Context) {
        for index in self.records.attempting() {
            let key = self.record_key(index);
            let unused = self.record(index).is_some_and(|it| it.claim() > it.data.stored);
            if unused && self.account(ctx).recall(Claimant::Attempt(key)) {
                let attempt = self.record(index).and_then(Record::attempt);
                // An attempt that is being stopped returns its grant when it ends.
                if attempt.is_some_and(|attempt| !matches!(attempt.phase, Phase::Stop(_))) {
                    self.command(ctx, index, AttemptCommand::RecallGrant);
                }
            }
        }
    }

    /// Steps 11.2.6.1 and 3, there are more bytes than promised (D26: more, not equally many), or
    /// than the quota allows.
    fn limit_reached(&mut self, ctx: &mut Context, index: RecordIndex, exhausted: Exhausted) {
        let reason = match exhausted {
            Exhausted::DownloadTotal => FailureReason::DownloadTotalExceeded,
            Exhausted::Quota => FailureReason::QuotaExceeded,
        };
        let message: Option<String> = None;
        self.stop_attempt(ctx, index, Then::Settle(RecordResult::Failure(reason), message));
    }

    /// An attempt's grant was reduced to the stored bytes.
    pub(crate) fn grant_returned(&mut self, ctx: &mut Context, index: RecordIndex) {
        let stored = self.record(index).map_or(0, |record| record.data.stored);
        let key = self.record_key(index);
        if self.account(ctx).returned(Claimant::Attempt(key)) {
            self.with_attempt(index, |attempt| attempt.grant = stored);
            self.review_grants(ctx);
        }
    }

    /// An attempt is over: the unused part of its grant is free again.
    pub(crate) fn leave_account(&mut self, ctx: &mut Context, record: RecordKey) {
        let account = self.account(ctx);
        account.leave_queue(Claimant::Attempt(record));
        if account.returned(Claimant::Attempt(record)) {
            self.review_grants(ctx);
        }
    }

    /// Schedules a review of the queue for grants after this input.
    pub(crate) fn review_grants(&self, ctx: &mut Context) {
        ctx.grants_to_review.insert(self.info.registration.storage_key.clone());
    }
}

/// How many more bytes the body is known to need, or none if the head does not say.
fn remaining(record: &Record) -> Option<u64> {
    let end = part_end(record).or_else(|| record.announced_length())?;
    end.checked_sub(record.data.stored)
}

/// The length that the stored body must have after the part that a record's attempt is receiving,
/// or none if the response is not a part.
fn part_end(record: &Record) -> Option<u64> {
    let part = record.attempt()?.part?;
    Some(part.stored_end(record.request.has_own_range()))
}
