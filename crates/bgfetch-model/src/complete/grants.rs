//! The allowance of bytes of running attempts: steps 14.2.7.1 to 14.2.7.3 of
//! [complete a record](https://wicg.github.io/background-fetch/#complete-a-record-algorithm).

use alloc::string::String;
use alloc::vec::Vec;

use crate::attempt::AttemptCommand;
use crate::background_fetch::BackgroundFetch;
use crate::budget::Exhausted;
use crate::complete::process_response::RestartReason;
use crate::context::Context;
use crate::ids::RecordIndex;
use crate::record::{Phase, Record, Then};
use crate::response::{FailureReason, RecordResult};

impl BackgroundFetch {
    /// The head was judged: the body may come, from `offset` on.
    // OPTIMIZATION: the first grant comes along, which saves most records from asking for one.
    pub(crate) fn receive(&mut self, ctx: &mut Context, index: RecordIndex, offset: u64) {
        self.with_attempt(index, |attempt| {
            attempt.phase = Phase::Body;
            attempt.grant = offset;
        });
        // Where nothing is left, the attempt asks when it has a byte.
        let grant = self.extend_grant(ctx, index).unwrap_or(offset);
        if let Some(body) = self.body_key(index) {
            self.command(ctx, index, AttemptCommand::Receive { body, offset, grant });
        }
    }

    /// An attempt holds at least one byte that it may not store yet.
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
            // Ruling 22: more bytes than the part's range says belong to nothing we asked for.
            return self.stop_attempt(ctx, index, Then::Restart(RestartReason::OtherBytes));
        }
        if record.announced_length().is_some_and(|announced| stored >= announced) {
            // No grant goes beyond the announced length, so this would wait for ever.
            let message = String::from("the response is longer than its head announced");
            let failure = RecordResult::Failure(FailureReason::FetchError);
            return self.stop_attempt(ctx, index, Then::Settle(failure, Some(message)));
        }
        if attempt.recalled {
            // The answer to the recall will come; a grant before it would be taken for returned.
            return self.wait_for_grant(index);
        }
        // What was granted is used up, or was recalled.
        self.with_attempt(index, |attempt| attempt.grant = stored);
        match self.extend_grant(ctx, index) {
            Ok(grant) => self.command(ctx, index, AttemptCommand::Grant(grant)),
            Err(exhausted) => self.await_grant(ctx, index, exhausted),
        }
    }

    /// Raises the grant of an attempt that used it up, by no more than the body is known to need.
    fn extend_grant(&mut self, ctx: &mut Context, index: RecordIndex) -> Result<u64, Exhausted> {
        let Some(record) = self.record(index) else {
            return Ok(0);
        };
        let stored = record.data.stored;
        let end = part_end(record).or_else(|| record.announced_length());
        // Where the head tells nothing, as much as there may be.
        let wanted = end.map_or(u64::MAX, |end| end.saturating_sub(stored));
        if wanted == 0 {
            return Ok(stored);
        }
        let account = ctx.account(&self.info.registration.storage_key);
        let grant = stored.saturating_add(self.budget.extend(wanted, account)?);
        self.with_attempt(index, |attempt| attempt.grant = grant);
        Ok(grant)
    }

    /// The limit is reached only when no sibling holds back a grant that it does not need.
    fn await_grant(&mut self, ctx: &mut Context, index: RecordIndex, exhausted: Exhausted) {
        let siblings: Vec<_> = self.attempting.iter().copied().collect();
        for sibling in siblings {
            let unused =
                self.record(sibling).is_some_and(|record| record.claim() > record.data.stored);
            let recall = self.with_attempt(sibling, |attempt| {
                let first = unused && !attempt.recalled;
                attempt.recalled |= first;
                (first, matches!(attempt.phase, Phase::Stop(_)))
            });
            if let Some((true, stopping)) = recall {
                self.recalls += 1;
                // One that is being stopped returns its grant when it ends.
                if !stopping {
                    self.command(ctx, sibling, AttemptCommand::RecallGrant);
                }
            }
        }
        if self.recalls > 0 {
            return self.wait_for_grant(index);
        }
        // Steps 14.2.7.1 and 3, more bytes than promised (ruling 32: more, not as many), or than
        // the quota allows.
        let reason = match exhausted {
            Exhausted::DownloadTotal => FailureReason::DownloadTotalExceeded,
            Exhausted::Quota => FailureReason::QuotaExceeded,
        };
        let message: Option<String> = None;
        self.stop_attempt(ctx, index, Then::Settle(RecordResult::Failure(reason), message));
    }

    fn wait_for_grant(&mut self, index: RecordIndex) {
        self.with_attempt(index, |attempt| attempt.phase = Phase::Grant);
        self.awaiting_grant.push_back(index);
    }

    /// A sibling's grant fell to what it has stored.
    pub(crate) fn grant_returned(&mut self, ctx: &mut Context, index: RecordIndex) {
        let stored = self.record(index).map_or(0, |record| record.data.stored);
        let recalled = self.with_attempt(index, |attempt| {
            attempt.grant = stored;
            core::mem::take(&mut attempt.recalled)
        });
        if recalled == Some(true) {
            self.recall_answered(ctx);
        }
    }

    /// When all recalls are answered, those who wait get what came back.
    pub(crate) fn recall_answered(&mut self, ctx: &mut Context) {
        self.recalls = self.recalls.saturating_sub(1);
        if self.recalls > 0 {
            return;
        }
        for index in core::mem::take(&mut self.awaiting_grant) {
            self.with_attempt(index, |attempt| {
                if matches!(attempt.phase, Phase::Grant) {
                    attempt.phase = Phase::Body;
                }
            });
            self.need_grant(ctx, index);
        }
    }
}

/// The length that the stored body must have once the part is received that a record's attempt
/// gets, or none where that is not a part.
fn part_end(record: &Record) -> Option<u64> {
    let part = record.attempt()?.part?;
    Some(part.stored_end(record.request.has_own_range()))
}
