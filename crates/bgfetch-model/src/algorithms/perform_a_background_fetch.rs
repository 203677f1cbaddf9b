//! [Perform a background fetch](https://wicg.github.io/background-fetch/#perform-a-background-fetch-algorithm):
//! from the first record to the end of the settling event.
//!
//! Where the spec's algorithm waits, `Stage` has a name for it.

use crate::action::{Action, Observation};
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::context::{Context, Effect};
use crate::delivery::Redelivery;
use crate::response::{FailureReason, RecordResult};
use crate::store_op::{FetchResult, StoreOp};
use crate::timers::Timer;

impl BackgroundFetch {
    /// Step 5, every record is completed, all of them at once; the scheduler says in what order
    /// they get the network.
    pub(crate) fn perform(&mut self, ctx: &mut Context) {
        if self.stage != Stage::AwaitingCaller {
            return;
        }
        self.stage = Stage::Fetching;
        for index in self.indices() {
            if self.record(index).is_some_and(|record| !record.is_settled()) {
                self.complete_a_record(ctx, index);
            }
        }
    }

    /// Steps 5.2 to 5.5, what the end of one record means for the fetch.
    pub(crate) fn record_settled(&mut self, ctx: &mut Context, result: RecordResult) {
        // Step 5.3. SPEC-ISSUE(5): the spec's condition is inverted and could never give a reason;
        // the first failure gives it (ruling 1).
        if let (None, Some(reason)) = (self.cause, result.failure()) {
            self.cause = Some(reason);
            ctx.store(StoreOp::SetCause(self.info.key, reason));
        }
        // Steps 5.5 and 7, a limit is reached: the other records end too. Ruling 3 treats the quota
        // like the download total.
        if result.is_immediate_failure() && !self.abort_all {
            self.abort_every_record(ctx);
        }
        // Step 6. SPEC-ISSUE(6): the spec goes on after an immediate failure although records are
        // still changing; here all of them are terminal first (ruling 3).
        if self.all_settled() && matches!(self.stage, Stage::AwaitingCaller | Stage::Fetching) {
            self.settle(ctx);
        }
    }

    /// Sets the abort all flag, to which every record listens.
    pub(crate) fn abort_every_record(&mut self, ctx: &mut Context) {
        self.abort_all = true;
        for index in self.indices() {
            self.abort_record(ctx, index);
        }
    }

    /// Steps 8.1 to 8.6, the outcome is decided and goes to the store.
    pub(crate) fn settle(&mut self, ctx: &mut Context) {
        let result = self.outcome(ctx);
        self.flush_progress(ctx);
        // Step 8.3, the id is free again.
        if let Some(registration) = ctx.registrations.get_mut(&self.info.registration)
            && registration.active.contains_background_fetch(&self.info.id, self.info.key)
        {
            registration.active.remove(&self.info.id);
        }
        let account = ctx.account(&self.info.registration.storage_key);
        self.budget.settle(account);
        self.stage = Stage::Settling;
        self.settled_at = Some(ctx.now.wall);
        ctx.store(StoreOp::Settle(self.info.key, result, ctx.now.wall));
        ctx.after_commit(Effect::Settled(self.info.key, result));
    }

    fn outcome(&self, ctx: &Context) -> FetchResult {
        // Step 8.4, `abort()` said true, so it was aborted, whatever else happened (ruling 2).
        if !ctx.is_active(&self.info.registration, &self.info.id, self.info.key) {
            return Err(FailureReason::Aborted);
        }
        // Steps 8.5 and 8.6, failure or success.
        self.cause.map_or(Ok(()), Err)
    }

    /// Step 8.7, the result is durable: clients are told first, then the worker (ruling 8b).
    pub(crate) fn settle_committed(&mut self, ctx: &mut Context, result: FetchResult) {
        self.result = Some(result);
        self.stage = Stage::AwaitingClients;
        ctx.act(Action::UpdateClients {
            fetch: self.info.key,
            update: self.snapshot(),
            settled: true,
        });
        let latest = ctx.now.monotonic.after(ctx.config.clients_apply_within);
        ctx.timers.set(Timer::ClientsApplied(self.info.key), latest);
        ctx.observe(Observation::Settled(self.info.key, result));
    }

    /// Steps 8.8 to 8.13, the event is chosen by the result and fired.
    pub(crate) fn fire_settled_event(&mut self, ctx: &mut Context) {
        ctx.timers.clear(Timer::ClientsApplied(self.info.key));
        if let (Stage::AwaitingClients | Stage::AwaitingRedelivery, Some(result)) =
            (self.stage, self.result)
        {
            self.stage = Stage::Delivering;
            ctx.act(Action::FireSettledEvent(self.info.key, result));
        }
    }

    /// Step 8.14.1, the event is no longer active. DEVIATION: the spec fires it once, whether or
    /// not a worker handled it; here it is fired again until one did, within bounds (ruling 7).
    pub(crate) fn event_ended(&mut self, ctx: &mut Context, handled: bool) {
        if self.stage != Stage::Delivering {
            return;
        }
        if handled {
            return self.end_delivery(ctx);
        }
        self.delivery_attempts = self.delivery_attempts.saturating_add(1);
        let settled_at = self.settled_at.unwrap_or(ctx.now.wall);
        let entropy = ctx.rng.u64(..);
        match ctx.config.delivery.next(self.delivery_attempts, settled_at, ctx.now.wall, entropy) {
            Redelivery::GiveUp => self.end_delivery(ctx),
            Redelivery::After(delay) => {
                self.stage = Stage::AwaitingRedelivery;
                ctx.store(StoreOp::SetDeliveryAttempts(self.info.key, self.delivery_attempts));
                ctx.timers.set(Timer::Redeliver(self.info.key), ctx.now.monotonic.after(delay));
            }
        }
    }

    fn end_delivery(&mut self, ctx: &mut Context) {
        self.stage = Stage::EndingDelivery;
        ctx.store(StoreOp::EndDelivery(self.info.key));
        ctx.after_commit(Effect::DeliveryEnded(self.info.key));
    }

    /// Steps 8.14.2 and 3, the records are no longer available.
    pub(crate) fn delivery_ended(&mut self, ctx: &mut Context) {
        self.stage = Stage::Finished;
        ctx.account(&self.info.registration.storage_key).release(self.reserved());
        self.records_available = false;
        self.records.clear();
        let update = self.snapshot();
        ctx.act(Action::UpdateClients { fetch: self.info.key, update, settled: false });
        ctx.observe(Observation::EventEnded(self.info.key));
    }

    /// The quota that this fetch takes: its responses' and its request bodies', as long as they
    /// are there.
    pub(crate) fn reserved(&self) -> u64 {
        if self.records_available {
            self.budget.reserved().saturating_add(self.info.upload_total)
        } else {
            0
        }
    }
}
