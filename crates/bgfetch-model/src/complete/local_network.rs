//! The permission of [Local Network Access](https://wicg.github.io/local-network-access/#permission-prompt):
//! an attempt waits while the embedder is asked (D46).

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;

use url::Url;

use crate::action::{Action, LocalNetworkRequest};
use crate::background_fetch::BackgroundFetch;
use crate::context::Context;
use crate::ids::{AttemptId, HostKey, RecordIndex};
use crate::ip_address_space::{IpAddressSpace, LocalNetworkDenied};
use crate::record::{Phase, Then};
use crate::response::{FailureReason, RecordResult};
use crate::timers::Timer;

impl BackgroundFetch {
    /// An attempt must not connect without the permission. It is asked for each time, so that a
    /// permission that was revoked holds no longer.
    pub(crate) fn need_permission(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        id: AttemptId,
        url: Url,
        space: IpAddressSpace,
    ) {
        let (key, now) = (self.record_key(index), ctx.now.monotonic);
        let waits = Phase::Permission(space, now);
        if !self.leave_phase(index, |phase| matches!(phase, Phase::Head), waits) {
            return;
        }
        let limit = now.after(ctx.config.local_network_limit);
        ctx.timers.set(Timer::LocalNetwork(key), limit);
        ctx.act(Action::LeaveSlot(key, HostKey::of(&url)));
        let request = LocalNetworkRequest { fetch: Arc::clone(&self.info), url, space };
        ctx.act(Action::QueryLocalNetwork(id, Box::new(request)));
    }

    /// The embedder answered, or its time is over.
    pub(crate) fn local_network_answered(
        &mut self,
        ctx: &mut Context,
        index: RecordIndex,
        granted: bool,
    ) {
        ctx.timers.clear(Timer::LocalNetwork(self.record_key(index)));
        let phase = self.record(index).and_then(|record| record.attempt()).map(|it| &it.phase);
        let Some(&Phase::Permission(space, since)) = phase else {
            return;
        };
        if granted {
            // The wait for the answer counts to no time limit, like that for the slot.
            self.with_attempt(index, |attempt| attempt.phase = Phase::Slot(since));
            self.enqueue(ctx, index);
        } else {
            const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);
            let message = LocalNetworkDenied(space).to_string();
            self.stop_attempt(ctx, index, Then::Settle(FETCH_ERROR, Some(message)));
        }
    }
}
