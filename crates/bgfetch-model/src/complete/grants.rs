//! The allowance of bytes of running attempts: steps 14.2.7.1 to 14.2.7.3 of
//! [complete a record](https://wicg.github.io/background-fetch/#complete-a-record-algorithm).

use alloc::string::String;

use super::attempt_ended::part_end;
use crate::attempt::AttemptCommand;
use crate::background_fetch::BackgroundFetch;
use crate::budget::Exhausted;
use crate::context::Context;
use crate::ids::RecordIndex;
use crate::record::{Phase, Then};
use crate::response::{FailureReason, RecordResult};

impl BackgroundFetch {
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
        let end = attempt
            .part
            .map(|part| part_end(part, record.request.has_own_range()));
        if end.is_some_and(|end| stored >= end) {
            // Ruling 22: more bytes than the part's range says belong to nothing we asked for.
            return self.stop_attempt(ctx, index, Then::Restart);
        }
        // What was granted is used up, or was recalled.
        self.with_attempt(index, |attempt| attempt.grant = stored);
        let account = ctx.account(&self.registration.storage_key);
        match self.budget.extend(account) {
            Ok(more) => {
                let grant = (stored + more).min(end.unwrap_or(u64::MAX));
                self.with_attempt(index, |attempt| attempt.grant = grant);
                self.command(ctx, index, AttemptCommand::Grant(grant));
            }
            Err(exhausted) => self.await_grant(ctx, index, exhausted),
        }
    }

    /// The limit is reached only when no sibling holds back a grant that it does not need.
    fn await_grant(&mut self, ctx: &mut Context, index: RecordIndex, exhausted: Exhausted) {
        for sibling in self.indices() {
            let recall = self.with_attempt(sibling, |attempt| {
                let first = sibling != index
                    && !attempt.recalled
                    && attempt.ended.is_none()
                    && matches!(attempt.phase, Phase::Body);
                attempt.recalled |= first;
                first
            });
            let unused = self
                .record(sibling)
                .is_some_and(|record| record.claim() > record.data.stored);
            match recall {
                Some(true) if unused => {
                    self.recalls += 1;
                    self.command(ctx, sibling, AttemptCommand::RecallGrant);
                }
                Some(true) => {
                    self.with_attempt(sibling, |attempt| attempt.recalled = false);
                }
                _ => {}
            }
        }
        if self.recalls > 0 {
            self.with_attempt(index, |attempt| attempt.phase = Phase::Grant);
            self.awaiting_grant.push_back(index);
            return;
        }
        // Steps 14.2.7.1 and 3, more bytes than promised (ruling 32: more, not as many), or than
        // the quota allows.
        let reason = match exhausted {
            Exhausted::DownloadTotal => FailureReason::DownloadTotalExceeded,
            Exhausted::Quota => FailureReason::QuotaExceeded,
        };
        let message: Option<String> = None;
        self.stop_attempt(
            ctx,
            index,
            Then::Settle(RecordResult::Failure(reason), message),
        );
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
