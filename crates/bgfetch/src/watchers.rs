//! Who waits for a record to change: the record objects that were handed out.

use std::collections::HashMap;

use bgfetch_model::ids::{FetchKey, RecordKey};
use bgfetch_model::response::ResponseData;
use tokio::sync::watch;

/// How many watched records are not worth a sweep.
const FEW: usize = 64;

/// The latest response data of the records that somebody looks at.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    records: HashMap<RecordKey, watch::Sender<ResponseData>>,
    /// How many there were after the last sweep.
    swept: usize,
}

impl Watchers {
    pub(crate) fn watch(
        &mut self,
        record: RecordKey,
        now: &ResponseData,
    ) -> watch::Receiver<ResponseData> {
        self.sweep();
        self.records.entry(record).or_insert_with(|| watch::Sender::new(now.clone())).subscribe()
    }

    pub(crate) fn changed(&mut self, record: RecordKey, now: &ResponseData) {
        if let Some(sender) = self.records.get(&record) {
            sender.send_replace(now.clone());
        }
    }

    /// The records are gone: whoever waits for one of them waits no more.
    pub(crate) fn forget(&mut self, fetch: FetchKey) {
        self.records.retain(|record, _| record.fetch != fetch);
    }

    /// Drops those whose last object is gone.
    fn sweep(&mut self) {
        // OPTIMIZATION: only when there are twice as many as the last time, or `matchAll()` of
        // 100 000 records would look at each of them as often.
        if self.records.len() < FEW.max(2 * self.swept) {
            return;
        }
        self.records.retain(|_, sender| sender.receiver_count() > 0);
        self.swept = self.records.len();
    }
}
