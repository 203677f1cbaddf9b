//! [Update background fetch instances](https://wicg.github.io/background-fetch/#update-background-fetch-instance-algorithm):
//! the decision when clients hear of progress. That each realm's instance takes over the values and
//! fires `progress` is its client's part.

use alloc::sync::Arc;

use crate::action::{Action, Update, What};
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::context::Context;
use crate::timers::Timer;

/// What a registration object of a fetch shows that nothing was done for yet.
const INITIAL: Update =
    Update { downloaded: 0, uploaded: 0, result: None, records_available: true };

impl BackgroundFetch {
    /// Something changed that clients show. D26: they hear of it at most once per interval
    /// (the spec has an open issue on debouncing).
    pub(crate) fn update_instances(&mut self, ctx: &mut Context) {
        let timer = Timer::Progress(self.info.key);
        if self.stage != Stage::Fetching || ctx.timers.is_set(timer) {
            return;
        }
        let interval = ctx.config.progress_interval;
        match self.last_update {
            Some((last, _)) if ctx.now.monotonic.since(last) < interval => {
                ctx.timers.set(timer, last.after(interval));
            }
            _ => self.send_progress(ctx),
        }
    }

    /// The interval is over.
    pub(crate) fn progress_due(&mut self, ctx: &mut Context) {
        if self.stage == Stage::Fetching {
            self.send_progress(ctx);
        }
    }

    /// The last progress before the fetch settles is always told.
    pub(crate) fn flush_progress(&mut self, ctx: &mut Context) {
        ctx.timers.clear(Timer::Progress(self.info.key));
        self.send_progress(ctx);
    }

    fn send_progress(&mut self, ctx: &mut Context) {
        // Steps 1-5, the values of this moment.
        let update = self.update();
        // Step 6.4, nothing is said twice, nor what a new registration object shows by itself.
        if self.last_update.map_or(INITIAL, |(_, last)| last) == update {
            return;
        }
        self.last_update = Some((ctx.now.monotonic, update));
        let fetch = Arc::clone(&self.info);
        ctx.act(Action::UpdateClients { fetch, update, settled: false });
        self.observe(ctx, What::Progress);
    }
}
