//! The steps after the end of an attempt: the last ones of 14, and 15 to 18, of [complete a
//! record](https://wicg.github.io/background-fetch/#complete-a-record-algorithm).

use alloc::string::{String, ToString};
use core::mem;
use core::time::Duration;

use crate::action::{Action, PauseReason, What};
use crate::algorithms::extract_content_range_values::ContentRange;
use crate::attempt::{AttemptEnd, Fault, FaultKind};
use crate::background_fetch::BackgroundFetch;
use crate::complete::process_response::RestartReason;
use crate::connectivity::Connectivity;
use crate::context::Context;
use crate::ids::RecordIndex;
use crate::record::{Phase, Record, RecordState, Then};
use crate::response::{FailureReason, RecordResult};
use crate::timers::Timer;

const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);

impl BackgroundFetch {
    /// An attempt ended and holds no resources any more, except for its slot.
    pub(crate) fn attempt_ended(&mut self, ctx: &mut Context, index: RecordIndex, end: AttemptEnd) {
        let key = self.record_key(index);
        ctx.timers.clear(Timer::LocalNetwork(key));
        self.leave_account(ctx, key);
        if let Some(id) = self.record(index).and_then(Record::attempt).map(|attempt| attempt.id) {
            ctx.attempts.remove(&id);
        }
        self.change(index, |record| {
            record.state = match mem::replace(&mut record.state, RecordState::Held) {
                RecordState::Attempting(attempt) => RecordState::Ended(attempt, end),
                other => other,
            };
        });
        self.resume_ended_attempt(ctx, index);
    }

    /// Decides what follows the end of an attempt, unless the store is still opening its
    /// representation.
    pub(crate) fn resume_ended_attempt(&mut self, ctx: &mut Context, index: RecordIndex) {
        let ended = self.change(index, |record| {
            if record.opening.is_some() {
                return None;
            }
            match mem::replace(&mut record.state, RecordState::Held) {
                RecordState::Ended(attempt, end) => Some((attempt, end)),
                other => {
                    record.state = other;
                    None
                }
            }
        });
        let Some((attempt, end)) = ended.flatten() else {
            return;
        };
        ctx.act(Action::ReleaseSlot(self.record_key(index)));
        match (attempt.phase, end) {
            (Phase::Stop(Then::Settle(result, message)), _) => {
                self.settle_record(ctx, index, result, message);
            }
            (Phase::Stop(Then::Retry(delay, message)), _) => {
                self.back_off(ctx, index, delay, message);
            }
            (Phase::Stop(Then::Restart(reason)), _) => self.restart(ctx, index, reason),
            (Phase::Stop(Then::Complete), _) => self.body_stored(ctx, index),
            // The last byte arrived before the pause.
            (_, AttemptEnd::Complete) => self.body_complete(ctx, index, attempt.part),
            // Step 15, the record is not settled: start the algorithm again.
            (Phase::Stop(Then::Wait), _) => self.complete_a_record(ctx, index),
            (_, AttemptEnd::Failed(fault)) => self.attempt_failed(ctx, index, fault),
            (_, AttemptEnd::Cancelled) => {
                self.attempt_failed(ctx, index, cut_short("the attempt was given up"));
            }
        }
    }

    /// Step 11.2.7, the whole body was transmitted.
    fn body_complete(&mut self, ctx: &mut Context, index: RecordIndex, part: Option<ContentRange>) {
        let Some(record) = self.record(index) else {
            return;
        };
        let stored = record.data.stored;
        let is_ok = record.data.response.is_some_and(|head| head.is_ok());
        let Some(part) = part else {
            // A success has as many bytes as its head announced, even if the attempt calls the body
            // complete.
            if record.announced_length().is_some_and(|announced| stored < announced) {
                return self.attempt_failed(ctx, index, cut_short("the response ended early"));
            }
            // Steps 11.2.7.2 and 3, the status decides.
            if is_ok {
                return self.body_stored(ctx, index);
            }
            let bad_status = RecordResult::Failure(FailureReason::BadStatus);
            return self.settle_record(ctx, index, bad_status, None);
        };
        let own_range = record.request.has_own_range();
        // D2: the part must have the length its range says.
        if stored != part.stored_end(own_range) {
            let fault = cut_short("the partial response ended early");
            return self.attempt_failed(ctx, index, fault);
        }
        // Step 11.2.7.1, the last part of the whole, or the part that the page requested.
        if own_range || part.complete_length == Some(stored) {
            return self.body_stored(ctx, index);
        }
        if !record.request.is_get() {
            let message = String::from("a partial response to a request that can't be repeated");
            return self.settle_record(ctx, index, FETCH_ERROR, Some(message));
        }
        if !record.is_resumable() {
            // Without a validator the next part could belong to another representation.
            return self.restart(ctx, index, RestartReason::NoValidator);
        }
        // The server omitted the rest: ask for it (step 15).
        self.complete_a_record(ctx, index);
    }

    /// Steps 11.2.1 and 11.2.8, a network error before or during the response (D7).
    fn attempt_failed(&mut self, ctx: &mut Context, index: RecordIndex, fault: Fault) {
        let Some(record) = self.record(index) else {
            return;
        };
        let repeatable = record.request.is_get() || !fault.sent;
        if !repeatable || fault.kind.is_permanent() {
            return self.settle_record(ctx, index, FETCH_ERROR, Some(fault.message));
        }
        self.nothing_was_sent(ctx, index);
        if fault.kind == FaultKind::Storage {
            return self.wait_for_storage(ctx, index);
        }
        // Step 11.2.1.1, temporarily unavailable: a missing network uses up no retry.
        if self.reason_to_wait(ctx, index).is_some() {
            return self.complete_a_record(ctx, index);
        }
        if fault.kind == FaultKind::NoRoute && matches!(ctx.connectivity, Connectivity::Offline(_))
        {
            return self.wait_for_route(ctx, index);
        }
        let policy = &ctx.config.retry;
        let unreachable = matches!(fault.kind, FaultKind::NoRoute | FaultKind::Unreachable);
        let backoff = if unreachable && !record.retry.head_seen {
            policy.never_reached
        } else {
            policy.interrupted
        };
        let (now, mut rng) = (ctx.now.monotonic, ctx.rng(&self.info, index.0));
        let delay = self.change(index, |record| {
            record.no_route = false;
            record.retry.next(&backoff, None, now, &mut rng)
        });
        match delay.flatten() {
            Some(delay) => self.back_off(ctx, index, delay, fault.message),
            None => self.settle_record(ctx, index, FETCH_ERROR, Some(fault.message)),
        }
    }

    /// The disk is full or failing: retry later.
    pub(crate) fn wait_for_storage(&mut self, ctx: &mut Context, index: RecordIndex) {
        let again = ctx.now.monotonic.after(ctx.config.storage_retry);
        ctx.timers.set(Timer::Retry(self.record_key(index)), again);
        self.set_state(index, RecordState::Waiting(PauseReason::Storage));
    }

    fn back_off(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        delay: Duration,
        message: String,
    ) {
        let key = self.record_key(index);
        if self.reason_to_wait(ctx, index).is_some() {
            return self.complete_a_record(ctx, index);
        }
        self.set_state(index, RecordState::BackingOff);
        ctx.timers.set(Timer::Retry(key), ctx.now.monotonic.after(delay));
        if let Some(record) = self.record(index) {
            let (url, attempt) = (record.request.url.clone(), record.retry.failures);
            self.observe(ctx, What::Retry { record: key, url, attempt, delay, message });
        }
    }

    /// The stored bytes can't be continued: request the whole (D2), a limited number of times.
    fn restart(&mut self, ctx: &mut Context, index: RecordIndex, reason: RestartReason) {
        if self.record(index).is_some_and(|record| !record.request.is_get()) {
            // D25: a request that was sent is not sent again.
            let message =
                String::from("the response can't be used, and the request can't be repeated");
            return self.settle_record(ctx, index, FETCH_ERROR, Some(message));
        }
        let restarts = self.change(index, |record| {
            record.from_scratch = true;
            record.restarts += 1;
            record.restarts
        });
        if restarts.is_some_and(|restarts| restarts <= ctx.config.max_restarts) {
            self.complete_a_record(ctx, index);
        } else {
            self.settle_record(ctx, index, FETCH_ERROR, Some(reason.too_often().to_string()));
        }
    }
}

/// The fault of a response that ended early.
fn cut_short(message: &str) -> Fault {
    Fault { kind: FaultKind::Interrupted, sent: true, message: message.to_string() }
}

/// The end of a record that started again more often than it may.
pub(crate) fn too_many_restarts(reason: RestartReason) -> Then {
    Then::Settle(FETCH_ERROR, Some(reason.too_often().to_string()))
}
