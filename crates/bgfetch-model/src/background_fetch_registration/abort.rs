//! [abort()](https://wicg.github.io/background-fetch/#background-fetch-registration-abort), and the
//! user's way to abort that [display](crate::background_fetch::display) requires.

use crate::action::Reply;
use crate::background_fetch::BackgroundFetch;
use crate::context::Effect;
use crate::ids::{CallId, FetchKey};
use crate::model::Model;
use crate::store_op::StoreOp;

impl Model {
    pub(crate) fn abort(&mut self, call: CallId, key: FetchKey) {
        if self.abort_if_active(key) {
            self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Aborted(true))));
        } else {
            self.ctx.reply(call, Ok(Reply::Aborted(false)));
        }
    }

    /// The steps without the promise. Returns whether the fetch was active.
    pub(crate) fn abort_if_active(&mut self, key: FetchKey) -> bool {
        // Step 3.3, only a fetch that is still active can be aborted (D15: true once).
        let active = self
            .fetches
            .get(&key)
            .is_some_and(|it| self.ctx.is_active(&it.info.registration, &it.info.id, key));
        if active {
            // Step 3.5, the promise waits for the store: a crash must not undo a reported abort.
            self.ctx.store(StoreOp::SetAbortAll(key));
            self.abort_active(key);
        }
        active
    }

    /// Ends an active fetch whose abort is stored.
    pub(crate) fn abort_active(&mut self, key: FetchKey) {
        // Step 3.4, the id is free again. The outcome is "aborted" because the fetch is no longer
        // active.
        if let Some(fetch) = self.fetches.get(&key)
            && let Some(registration) = self.ctx.registrations.get_mut(&fetch.info.registration)
        {
            registration.active.remove(&fetch.info.id);
        }
        self.ctx.after_commit(Effect::Aborted(key));
        // Step 3.6, every record ends, even a paused or offline one (D15).
        self.with_fetch(key, BackgroundFetch::abort_every_record);
    }
}
