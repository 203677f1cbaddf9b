//! [Perform a background fetch](https://wicg.github.io/background-fetch/#perform-a-background-fetch-algorithm):
//! from the first record to the end of the settling event.
//!
//! Each wait of the spec's algorithm is named by a `Stage`.

use alloc::sync::Arc;
use core::time::Duration;

use crate::action::{Action, What};
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::context::{Context, Effect};
use crate::delivery::{Outcome, Redelivery, Rejection};
use crate::event::EventKind;
use crate::response::{FailureReason, RecordResult};
use crate::store_op::{FetchResult, StoreOp};
use crate::timers::Timer;

impl BackgroundFetch {
    /// Step 5, all records are completed at the same time; the scheduler decides in which order
    /// they use the network.
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
        // the first failure gives it (spec issue 5).
        if let (None, Some(reason)) = (self.cause, result.failure()) {
            self.cause = Some(reason);
            ctx.store(StoreOp::SetCause(self.info.key, reason));
        }
        // Steps 5.5 and 7, a limit is reached: the other records end too. Spec issue 6 treats the
        // quota like the download total.
        if result.is_immediate_failure() && !self.abort_all {
            self.abort_every_record(ctx);
        }
        // Step 6. SPEC-ISSUE(6): the spec continues after an immediate failure although records are
        // still changing; here all of them are terminal first (spec issue 6).
        if self.all_settled() && matches!(self.stage, Stage::AwaitingCaller | Stage::Fetching) {
            self.settle(ctx);
        }
    }

    /// Sets the abort all flag and aborts every record.
    pub(crate) fn abort_every_record(&mut self, ctx: &mut Context) {
        const ABORTED: RecordResult = RecordResult::Failure(FailureReason::Aborted);
        self.abort_all = true;
        for index in self.indices() {
            self.end_record(ctx, index, ABORTED, None);
        }
    }

    /// Steps 8.1 to 8.6, the outcome is decided and stored.
    pub(crate) fn settle(&mut self, ctx: &mut Context) {
        let result = self.outcome(ctx);
        self.flush_progress(ctx);
        // Step 8.3, the id is free again.
        if let Some(registration) = ctx.registrations.get_mut(&self.info.registration)
            && registration.active.contains_background_fetch(&self.info.id, self.info.key)
        {
            registration.active.remove(&self.info.id);
        }
        self.stage = Stage::Settling;
        self.settled_at = Some(ctx.now.wall);
        ctx.store(StoreOp::Settle(self.info.key, result, ctx.now.wall));
        ctx.after_commit(Effect::Settled(self.info.key, result));
    }

    fn outcome(&self, ctx: &Context) -> FetchResult {
        // Step 8.4, `abort()` returned true, so the fetch was aborted, whatever else happened
        // (D15).
        if !ctx.is_active(&self.info.registration, &self.info.id, self.info.key) {
            return Err(FailureReason::Aborted);
        }
        // Steps 8.5 and 8.6, failure or success.
        self.cause.map_or(Ok(()), Err)
    }

    /// Step 8.7, the result is durable: clients are updated first, then the worker (D18).
    pub(crate) fn settle_committed(&mut self, ctx: &mut Context, result: FetchResult) {
        self.result = Some(result);
        // Not before: after a crash, the promised bytes would have been set aside again.
        self.records.drop_promise();
        self.stage = Stage::AwaitingClients;
        let (fetch, update) = (Arc::clone(&self.info), self.update());
        ctx.act(Action::UpdateClients { fetch, update, settled: true });
        let latest = ctx.now.monotonic.after(ctx.config.clients_apply_within);
        ctx.timers.set(Timer::ClientsApplied(self.info.key), latest);
        self.observe(ctx, What::Settled(result));
    }

    /// Steps 8.8 to 8.13, the event is chosen by the result and fired, unless no worker listens.
    pub(crate) fn fire_settled_event(&mut self, ctx: &mut Context) {
        ctx.timers.clear(Timer::ClientsApplied(self.info.key));
        if !matches!(self.stage, Stage::AwaitingClients | Stage::AwaitingRedelivery) {
            return;
        }
        match ctx.holds_events(&self.info.registration) {
            None => self.fire(ctx),
            Some(reason) => {
                self.await_worker(ctx);
                self.observe(ctx, What::EventNotHandled { reason, next: Redelivery::WhenAsked });
            }
        }
    }

    fn fire(&mut self, ctx: &mut Context) {
        let Some(result) = self.result else {
            return;
        };
        ctx.timers.clear(Timer::Redeliver(self.info.key));
        self.stage = Stage::Delivering;
        self.asked_again = false;
        let attempt = self.delivery_attempts.saturating_add(1);
        self.observe(ctx, What::EventFired { kind: EventKind::for_result(result), attempt });
        ctx.act(Action::FireSettledEvent(Arc::clone(&self.info), result));
    }

    /// The event stays pending until it is asked for or its time to live ends.
    pub(crate) fn await_worker(&mut self, ctx: &mut Context) {
        self.stage = Stage::AwaitingWorker;
        if let Some(left) = self.lives_for(ctx) {
            ctx.timers.set(Timer::Redeliver(self.info.key), ctx.now.monotonic.after(left));
        }
    }

    fn lives_for(&self, ctx: &Context) -> Option<Duration> {
        let settled_at = self.settled_at.unwrap_or(ctx.now.wall);
        ctx.config.delivery.lives_for(self.delivery_attempts, settled_at, ctx.now)
    }

    /// The pending events of the registration were asked for.
    pub(crate) fn deliver_pending(&mut self, ctx: &mut Context) {
        match self.stage {
            Stage::AwaitingWorker => self.fire(ctx),
            // The host may be about to report that there is no worker.
            Stage::Delivering => self.asked_again = true,
            _ => {}
        }
    }

    /// The time of the next attempt has come, or the time to live is over.
    pub(crate) fn redelivery_due(&mut self, ctx: &mut Context) {
        match self.stage {
            Stage::AwaitingRedelivery => self.fire_settled_event(ctx),
            Stage::AwaitingWorker if self.lives_for(ctx) == Some(Duration::ZERO) => {
                self.give_up(ctx);
            }
            // The wall clock was set back meanwhile.
            Stage::AwaitingWorker => self.await_worker(ctx),
            _ => {}
        }
    }

    /// Step 8.13.1, the event is no longer active. DEVIATION(D5): the spec fires it once, whether
    /// or not a worker handled it; here it is fired again until a worker has handled it, within
    /// bounds.
    pub(crate) fn event_ended(&mut self, ctx: &mut Context, outcome: Outcome) {
        if self.stage != Stage::Delivering {
            return;
        }
        let reason = match outcome.shortened() {
            Outcome::Handled { rejection } => {
                let effect = Effect::DeliveryEnded(self.info.key, true, rejection);
                return self.end_delivery(ctx, effect);
            }
            Outcome::NotHandled(reason) => reason,
        };
        if reason.worker_was_started() {
            self.delivery_attempts = self.delivery_attempts.saturating_add(1);
            ctx.store(StoreOp::SetDeliveryAttempts(self.info.key, self.delivery_attempts));
        } else if self.asked_again {
            return self.fire(ctx);
        }
        let (attempts, now) = (self.delivery_attempts, ctx.now);
        let settled_at = self.settled_at.unwrap_or(now.wall);
        let entropy = ctx.rng(&self.info, attempts).u64(..);
        let next = ctx.config.delivery.next(&reason, attempts, settled_at, now, entropy);
        self.observe(ctx, What::EventNotHandled { reason, next });
        match next {
            Redelivery::GiveUp => self.give_up(ctx),
            Redelivery::WhenAsked => self.await_worker(ctx),
            Redelivery::After(delay) => {
                self.stage = Stage::AwaitingRedelivery;
                ctx.timers.set(Timer::Redeliver(self.info.key), now.monotonic.after(delay));
            }
        }
    }

    /// The event is over: the store deletes or holds the records, then `effect` follows.
    pub(crate) fn end_delivery(&mut self, ctx: &mut Context, effect: Effect) {
        ctx.timers.clear(Timer::Redeliver(self.info.key));
        self.stage = Stage::EndingDelivery;
        self.hold_records = self.hold_records && self.has_adoptable_record();
        ctx.store(if self.hold_records {
            StoreOp::HoldRecords(self.info.key)
        } else {
            StoreOp::EndDelivery(self.info.key)
        });
        ctx.after_commit(effect);
    }

    fn give_up(&mut self, ctx: &mut Context) {
        self.end_delivery(ctx, Effect::DeliveryEnded(self.info.key, false, None));
    }

    /// Steps 8.13.2 and 3, the records are no longer available.
    pub(crate) fn delivery_ended(
        &mut self,
        ctx: &mut Context,
        handled: bool,
        rejection: Option<Rejection>,
    ) {
        self.records_available = false;
        if self.hold_records {
            self.stage = Stage::Held;
        } else {
            self.records_deleted(ctx);
        }
        let (fetch, update) = (Arc::clone(&self.info), self.update());
        ctx.act(Action::UpdateClients { fetch, update, settled: false });
        self.observe(ctx, What::EventEnded { handled, rejection });
    }
}
