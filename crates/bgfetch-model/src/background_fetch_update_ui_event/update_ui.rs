//! [updateUI()](https://wicg.github.io/background-fetch/#background-fetch-update-ui-event-update-ui):
//! its steps on the background fetch. Steps 1 and 2 (is the event trusted, active and not yet used)
//! are the event's own, in `bgfetch-sw`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::action::{Reply, What};
use crate::background_fetch::BackgroundFetch;
use crate::context::Effect;
use crate::error::CallError;
use crate::ids::{CallId, FetchKey};
use crate::metadata;
use crate::model::Model;
use crate::store_op::{ImageResource, StoreOp};

impl Model {
    pub(crate) fn update_ui(
        &mut self,
        call: CallId,
        key: FetchKey,
        title: Option<String>,
        icons: Option<Vec<ImageResource>>,
    ) {
        let Some(fetch) = self.fetches.get(&key) else {
            return self.ctx.reply(call, Err(CallError::NotFound));
        };
        let title = title.unwrap_or_else(|| fetch.title.clone());
        let icons = icons.unwrap_or_else(|| fetch.icons.clone());
        if let Err(error) = self.check_update(fetch, &title, &icons) {
            return self.ctx.reply(call, Err(error));
        }
        let Some(fetch) = self.fetches.get_mut(&key) else { return };
        // Steps 5 and 6, new values replace the old ones (D23: and persist).
        (fetch.title, fetch.icons) = (title, icons);
        fetch.records.set_text(fetch.text());
        fetch.count(&mut self.ctx);
        self.ctx.store(StoreOp::SetUi(key, fetch.title.clone(), fetch.icons.clone()));
        let (title, icons) = (fetch.title.clone(), fetch.icons.clone());
        fetch.observe_committed(&mut self.ctx, What::UiUpdated { title, icons });
        // Step 7, resolve the promise.
        self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
    }

    /// DEVIATION(D47): the spec sets no limit. What the user is shown is stored and kept in memory,
    /// so it is limited like the arguments of `fetch()`.
    fn check_update(
        &self,
        fetch: &BackgroundFetch,
        title: &str,
        icons: &[ImageResource],
    ) -> Result<(), CallError> {
        metadata::check_ui(title, icons, &self.ctx.config)?;
        let storage_key = &fetch.info.registration.storage_key;
        let text = metadata::of_fetch(&fetch.info.principal, &fetch.info.id, title, icons);
        self.check_site(storage_key, text.saturating_sub(fetch.text()), 0, 0)?;
        let (taken, quota) = self.ctx.taken_of(storage_key);
        let more = fetch.records.more_with_text(text);
        if more > quota.unwrap_or(0).saturating_sub(taken) {
            return Err(CallError::QuotaExceeded);
        }
        Ok(())
    }
}
