//! The record objects that wait for their records to change.

use std::collections::BTreeMap;

use bgfetch_model::ids::{FetchKey, RecordKey};
use bgfetch_model::response::ResponseData;
use tokio::sync::watch;

/// Up to this many watched records are not worth a sweep.
const FEW: usize = 64;

/// The latest response data of the records that are being watched.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    records: BTreeMap<RecordKey, watch::Sender<ResponseData>>,
    /// How many records were left after the last sweep.
    swept: usize,
}

impl Watchers {
    pub(crate) fn watch(
        &mut self,
        record: RecordKey,
        now: ResponseData,
    ) -> watch::Receiver<ResponseData> {
        self.sweep();
        self.records.entry(record).or_insert_with(|| watch::Sender::new(now)).subscribe()
    }

    pub(crate) fn changed(&mut self, record: RecordKey, now: ResponseData) {
        if let Some(sender) = self.records.get(&record) {
            sender.send_replace(now);
        }
    }

    /// The records are gone: ends the wait of all objects that watch them.
    pub(crate) fn forget(&mut self, fetch: FetchKey) {
        self.records.retain(|record, _| record.fetch != fetch);
    }

    /// Drops the records whose last object is gone.
    fn sweep(&mut self) {
        // OPTIMIZATION: only when there are twice as many as after the last sweep. Otherwise
        // `matchAll()` of 100 000 records would look at each of them 100 000 times.
        if self.records.len() < FEW.max(2 * self.swept) {
            return;
        }
        self.records.retain(|_, sender| sender.receiver_count() > 0);
        self.swept = self.records.len();
    }
}
