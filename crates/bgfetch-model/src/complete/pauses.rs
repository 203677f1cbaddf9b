//! Records that must not be fetched now, because the user paused their fetch or because of the
//! network: the spec's [temporarily
//! unavailable](https://wicg.github.io/background-fetch/#temporarily-unavailable), and more.

use crate::action::{Action, PauseReason};
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::connectivity::{Connectivity, Reach};
use crate::context::Context;
use crate::ids::RecordIndex;
use crate::record::{RecordState, Then};
use crate::timers::Timer;

impl BackgroundFetch {
    /// Why a record must not be fetched now (the spec's *temporarily unavailable*, and more).
    pub(crate) fn reason_to_wait(&self, ctx: &Context, index: RecordIndex) -> Option<PauseReason> {
        if self.paused {
            return Some(PauseReason::User);
        }
        let request = self.record(index)?.request();
        match &ctx.connectivity {
            Connectivity::Online => None,
            Connectivity::Metered => ctx.config.pause_on_metered.then_some(PauseReason::Metered),
            Connectivity::CaptivePortal => Some(PauseReason::CaptivePortal),
            // The addresses of a name are known only after a look-up.
            Connectivity::Offline(reachable) => {
                (reachable.host(&request.url) == Reach::No).then_some(PauseReason::Offline)
            }
        }
    }

    /// The paused flag or the network changed: stop the records that may no longer run, and start
    /// those that may run again.
    pub(crate) fn reconsider_pauses(&mut self, ctx: &mut Context) {
        if self.stage != Stage::Fetching {
            return;
        }
        for index in self.indices() {
            let reason = self.reason_to_wait(ctx, index);
            match (self.record(index).map(|record| &record.state), reason) {
                (Some(RecordState::Waiting(_)), _) => self.complete_a_record(ctx, index),
                (
                    Some(
                        RecordState::BackingOff
                        | RecordState::Queued(_)
                        | RecordState::Attempting(_)
                        | RecordState::Ended(..),
                    ),
                    Some(reason),
                ) => {
                    self.interrupt(ctx, index, reason);
                }
                _ => {}
            }
        }
    }

    /// Networks went away. Attempts whose address is not in one that is left start again, instead
    /// of waiting for bytes until they time out. So do those that look up a name, or whose address
    /// is unknown.
    pub(crate) fn ask_again(&mut self, ctx: &mut Context) {
        let Connectivity::Offline(reachable) = ctx.connectivity.clone() else {
            return;
        };
        for index in self.indices() {
            let is_cut_off = self.record(index).is_some_and(|record| {
                let address = record.attempt().and_then(|attempt| attempt.address);
                record.is_in_flight()
                    && reachable.host(&record.request.url) == Reach::Unresolved
                    && address.is_none_or(|address| !reachable.address(address))
            });
            if is_cut_off {
                self.interrupt(ctx, index, PauseReason::Offline);
            }
        }
    }

    /// Stops a record that has a reason to wait.
    fn interrupt(&mut self, ctx: &mut Context, index: RecordIndex, reason: PauseReason) {
        let Some(record) = self.record(index) else {
            return;
        };
        match &record.state {
            // Step 14.1, only a GET is interrupted in flight (D16).
            RecordState::Attempting(_) | RecordState::Ended(..) => {
                if record.request.is_get() {
                    self.stop_attempt(ctx, index, Then::Wait);
                }
            }
            RecordState::Queued(_) => {
                ctx.act(Action::Withdraw(self.record_key(index)));
                self.wait(index, reason);
            }
            _ => {
                ctx.timers.clear(Timer::Retry(self.record_key(index)));
                self.wait(index, reason);
            }
        }
    }

    /// There is no default route, and a name could not be resolved or its addresses are out of
    /// reach: the record waits for the network to change. A network may announce its name server
    /// some time after its route, so the name is looked up again.
    pub(crate) fn wait_for_route(&mut self, ctx: &mut Context, index: RecordIndex) {
        let again = ctx.now.monotonic.after(ctx.config.resolve_retry);
        ctx.timers.set(Timer::Retry(self.record_key(index)), again);
        self.change(index, |record| record.no_route = true);
        self.wait(index, PauseReason::Offline);
    }

    /// Waiting for the reason to go away does not use up the time for retries (D7).
    pub(crate) fn wait(&mut self, index: RecordIndex, reason: PauseReason) {
        self.change(index, |record| {
            record.retry.waited();
            record.state = RecordState::Waiting(reason);
        });
    }
}
