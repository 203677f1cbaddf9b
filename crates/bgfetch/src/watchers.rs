//! Who waits for a record to change: the record objects that were handed out.

use std::collections::HashMap;

use bgfetch_model::ids::{FetchKey, RecordKey};
use bgfetch_model::response::ResponseData;
use tokio::sync::watch;

/// The latest response data of the records that somebody looks at.
#[derive(Debug, Default)]
pub(crate) struct Watchers(HashMap<RecordKey, watch::Sender<ResponseData>>);

impl Watchers {
    pub(crate) fn watch(
        &mut self,
        record: RecordKey,
        now: &ResponseData,
    ) -> watch::Receiver<ResponseData> {
        // Those whose last object is gone need not be kept.
        self.0.retain(|_, sender| sender.receiver_count() > 0);
        self.0
            .entry(record)
            .or_insert_with(|| watch::Sender::new(now.clone()))
            .subscribe()
    }

    pub(crate) fn changed(&mut self, record: RecordKey, now: &ResponseData) {
        if let Some(sender) = self.0.get(&record) {
            sender.send_replace(now.clone());
        }
    }

    /// The fetch is gone: whoever waits for one of its records waits no more.
    pub(crate) fn forget(&mut self, fetch: FetchKey) {
        self.0.retain(|record, _| record.fetch != fetch);
    }
}
