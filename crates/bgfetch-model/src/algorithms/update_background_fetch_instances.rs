//! [Update background fetch
//! instances](https://wicg.github.io/background-fetch/#update-background-fetch-instance-algorithm):
//! decides when clients learn of progress. Each client updates the instances in its realms and
//! fires `progress`.

use alloc::sync::Arc;

use crate::action::{Action, Update, What};
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::context::Context;
use crate::timers::Timer;

impl BackgroundFetch {
    /// Values that clients show have changed. D26: clients are updated at most once per interval
    /// (the spec has an open issue on debouncing).
    pub(crate) fn update_instances(&mut self, ctx: &mut Context) {
        let timer = Timer::Progress(self.info.key);
        if self.stage != Stage::Fetching {
            return;
        }
        match self.last_update {
            // Expires at once if the interval has passed.
            Some((last, _)) => ctx.timers.set(timer, last.after(ctx.config.progress_interval)),
            None => self.send_progress(ctx),
        }
    }

    /// The interval has passed.
    pub(crate) fn progress_due(&mut self, ctx: &mut Context) {
        if self.stage == Stage::Fetching {
            self.send_progress(ctx);
        }
    }

    /// The last progress before the fetch settles is always reported.
    pub(crate) fn flush_progress(&mut self, ctx: &mut Context) {
        ctx.timers.clear(Timer::Progress(self.info.key));
        self.send_progress(ctx);
    }

    fn send_progress(&mut self, ctx: &mut Context) {
        // Steps 1-5, the current values.
        let update = self.update();
        // Step 6.5, skip values that were sent last time, or that a new registration object already
        // has.
        if self.last_update.map_or(Update::default(), |(_, last)| last) == update {
            return;
        }
        self.last_update = Some((ctx.now.monotonic, update));
        let fetch = Arc::clone(&self.info);
        ctx.act(Action::UpdateClients { fetch, update, settled: false });
        self.observe(ctx, What::Progress);
    }
}
