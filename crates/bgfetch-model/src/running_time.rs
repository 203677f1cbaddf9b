//! How long the attempts of a fetch may run.

use alloc::format;
use core::time::Duration;

use crate::background_fetch::BackgroundFetch;
use crate::context::Context;
use crate::response::{FailureReason, RecordResult};
use crate::store_op::StoreOp;
use crate::time::Instant;
use crate::timers::Timer;

/// How often the running time is stored while attempts run. A crash loses no more than this.
const STORED_EVERY: Duration = Duration::from_secs(60);

/// How long at least one attempt of a fetch has been running.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunningTime {
    /// The time until the last stop.
    before: Duration,
    /// Since when it has been running again, or none.
    since: Option<Instant>,
}

impl RunningTime {
    /// As the store has it.
    pub(crate) fn restored(before: Duration) -> Self {
        Self { before, since: None }
    }

    fn stop(&mut self, now: Instant) {
        let since = self.since.take().unwrap_or(now);
        self.before = self.before.saturating_add(now.since(since));
    }
}

impl BackgroundFetch {
    /// Starts or stops the count of the running time, after any change.
    pub(crate) fn count_running_time(&mut self, ctx: &mut Context) {
        let Some(longest) = ctx.config.max_running_time else {
            return;
        };
        let (now, runs) = (ctx.now.monotonic, self.records.tallies().running > 0);
        if runs && self.running_time.since.is_none() {
            self.running_time.since = Some(now);
            let left = longest.saturating_sub(self.running_time.before);
            let due = now.after(left.min(STORED_EVERY));
            ctx.timers.set(Timer::RunningTime(self.info.key), due);
        } else if !runs && self.running_time.since.is_some() {
            self.store_running_time(ctx);
        }
    }

    fn store_running_time(&mut self, ctx: &mut Context) {
        self.running_time.stop(ctx.now.monotonic);
        ctx.timers.clear(Timer::RunningTime(self.info.key));
        ctx.store(StoreOp::SetRunningTime(self.info.key, self.running_time.before));
    }

    /// It is time to store the running time, or it has reached the limit. DEVIATION(D48): the spec
    /// knows no such limit; with one, every record that is not settled fails.
    pub(crate) fn running_time_due(&mut self, ctx: &mut Context) {
        self.store_running_time(ctx);
        let Some(longest) = ctx.config.max_running_time else {
            return;
        };
        if self.running_time.before < longest {
            return;
        }
        let message = format!(
            "the fetch was running for {} s, the longest time that is allowed",
            longest.as_secs_f32()
        );
        const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);
        for index in self.indices() {
            self.end_record(ctx, index, FETCH_ERROR, Some(&message));
        }
    }
}
