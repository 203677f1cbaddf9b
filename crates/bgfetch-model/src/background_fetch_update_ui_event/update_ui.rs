//! [updateUI()](https://wicg.github.io/background-fetch/#background-fetch-update-ui-event-update-ui):
//! its steps on the background fetch. Steps 1 and 2 (is the event trusted, active and not yet used)
//! are the event's own, in `bgfetch-sw`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::action::Reply;
use crate::context::Effect;
use crate::error::CallError;
use crate::ids::{CallId, FetchKey};
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
        let Some(fetch) = self.fetches.get_mut(&key) else {
            return self.ctx.reply(call, Err(CallError::NotFound));
        };
        // Steps 5 and 6, new values replace the old ones (D23: and persist).
        if let Some(icons) = icons {
            fetch.icons = icons;
        }
        if let Some(title) = title {
            fetch.title = title;
        }
        self.ctx.store(StoreOp::SetUi(key, fetch.title.clone(), fetch.icons.clone()));
        // Step 7, resolve the promise.
        self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
    }
}
