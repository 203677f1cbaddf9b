//! [Fire a background fetch click event](https://wicg.github.io/background-fetch/#fire-a-background-fetch-click-event-algorithm).

use alloc::sync::Arc;

use crate::action::Action;
use crate::background_fetch::BackgroundFetch;
use crate::context::Context;

impl BackgroundFetch {
    /// The user activated the UI: the event is fired at the worker. A click is not durable: a user
    /// whose click was lost clicks again, but an old click delivered later would be a surprise.
    pub(crate) fn fire_click_event(&self, ctx: &mut Context) {
        ctx.act(Action::FireClickEvent(Arc::clone(&self.info)));
    }
}
