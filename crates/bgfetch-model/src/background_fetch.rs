//! The spec's [background fetch](https://wicg.github.io/background-fetch/#background-fetch-concept).

pub mod display;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::action::{Action, FetchSnapshot, Observation, PauseReason, Update, What};
use crate::budget::Account;
use crate::context::{Context, Effect};
use crate::fetch_info::FetchInfo;
use crate::ids::{BodyKey, FetchKey, RecordIndex, RecordKey, RegistrationKey};
use crate::metadata;
use crate::policy::Principal;
use crate::record::Record;
use crate::records::Records;
use crate::response::FailureReason;
use crate::running_time::RunningTime;
use crate::store_op::{FetchResult, ImageResource};
use crate::time::{Instant, UnixTime};

/// A background fetch: several requests that the user sees as one item.
#[derive(Debug)]
pub struct BackgroundFetch {
    pub(crate) info: Arc<FetchInfo>,
    pub(crate) title: String,
    pub(crate) icons: Vec<ImageResource>,
    pub(crate) paused: bool,
    pub(crate) abort_all: bool,
    pub(crate) settled_at: Option<UnixTime>,
    /// The reason of the first record that failed.
    pub(crate) cause: Option<FailureReason>,
    pub(crate) result: Option<FetchResult>,
    pub(crate) records_available: bool,
    pub(crate) records: Records,
    pub(crate) stage: Stage,
    /// How often a worker was started for the event and did not handle it.
    pub(crate) delivery_attempts: u32,
    /// Whether its records are to be held after its event has ended.
    pub(crate) hold_records: bool,
    /// The pending events were asked for while this one was being delivered.
    pub(crate) asked_again: bool,
    pub(crate) running_time: RunningTime,
    pub(crate) last_update: Option<(Instant, Update)>,
    pub(crate) pause_reason: Option<PauseReason>,
}

/// The state of *perform a background fetch*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waits for the caller of `fetch()` to be ready (D13).
    AwaitingCaller,
    /// Waits for the records to settle.
    Fetching,
    /// Waits for the store to make the result durable.
    Settling,
    /// Waits for the clients to apply the result.
    AwaitingClients,
    /// Waits until the registration's pending events are asked for: no worker is started for them
    /// now.
    AwaitingWorker,
    /// Waits for the worker to handle the event.
    Delivering,
    /// Waits to deliver the event again.
    AwaitingRedelivery,
    /// Waits for the store to end the delivery.
    EndingDelivery,
    /// Its event is over. Its records wait to be adopted by another fetch, or to be released.
    Held,
    /// Kept only for the UI.
    Finished,
}

impl BackgroundFetch {
    /// The part that never changes.
    #[must_use]
    pub fn info(&self) -> &Arc<FetchInfo> {
        &self.info
    }

    /// Its identity.
    #[must_use]
    pub fn key(&self) -> FetchKey {
        self.info.key
    }

    /// The service worker registration it belongs to.
    #[must_use]
    pub fn registration(&self) -> &RegistrationKey {
        &self.info.registration
    }

    /// On whose behalf it is made.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.info.principal
    }

    /// The id the page chose.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// The title; empty when none was given.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The icons.
    #[must_use]
    pub fn icons(&self) -> &[ImageResource] {
        &self.icons
    }

    /// The promised sum of the response bodies in bytes; 0 means that nothing was promised.
    #[must_use]
    pub fn download_total(&self) -> u64 {
        self.info.download_total
    }

    /// The sum of the request bodies in bytes.
    #[must_use]
    pub fn upload_total(&self) -> u64 {
        self.info.upload_total
    }

    /// The paused flag.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Why the fetch makes no progress at the moment, or none.
    #[must_use]
    pub fn pause_reason(&self) -> Option<PauseReason> {
        self.pause_reason
    }

    /// How it settled, or none while it is active.
    #[must_use]
    pub fn result(&self) -> Option<FetchResult> {
        self.result
    }

    /// The records available flag.
    #[must_use]
    pub fn records_available(&self) -> bool {
        self.records_available
    }

    /// The records in request order; empty once they are gone. Once its event is over, a fetch has
    /// records only while they are held, and scripts do not see those.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.records.as_slice()
    }

    /// One record.
    #[must_use]
    pub fn record(&self, index: RecordIndex) -> Option<&Record> {
        self.records.get(index)
    }

    /// When it was registered.
    #[must_use]
    pub fn created_at(&self) -> UnixTime {
        self.info.created_at
    }

    /// Its [stored body bytes
    /// total](https://wicg.github.io/background-fetch/#background-fetch-stored-body-bytes-total):
    /// the stored bytes of all response bodies. It keeps its last value when the records are gone.
    #[must_use]
    pub fn stored_body_bytes_total(&self) -> u64 {
        self.records.tallies().stored
    }

    /// The bytes of all request bodies that were sent.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.records.tallies().uploaded
    }

    /// The values of a registration object created now.
    #[must_use]
    pub fn snapshot(&self) -> FetchSnapshot {
        FetchSnapshot { info: Arc::clone(&self.info), update: self.update() }
    }

    /// The values that clients' registration objects take over now.
    #[must_use]
    pub fn update(&self) -> Update {
        Update {
            downloaded: self.stored_body_bytes_total(),
            uploaded: self.uploaded(),
            result: self.result,
            records_available: self.records_available,
        }
    }

    /// The text of its row in the store.
    pub(crate) fn text(&self) -> u64 {
        metadata::of_fetch(&self.info.principal, &self.info.id, &self.title, &self.icons)
    }

    pub(crate) fn record_key(&self, index: RecordIndex) -> RecordKey {
        RecordKey { fetch: self.info.key, index }
    }

    /// The key of the current representation's bytes.
    pub(crate) fn body_key(&self, index: RecordIndex) -> Option<BodyKey> {
        let generation = self.record(index)?.data.generation;
        Some(BodyKey { record: self.record_key(index), generation })
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = RecordIndex> + use<> {
        (0..u32::try_from(self.records().len()).unwrap_or(u32::MAX)).map(RecordIndex)
    }

    pub(crate) fn all_settled(&self) -> bool {
        self.records.tallies().settled == self.records().len()
    }

    pub(crate) fn change<T>(
        &mut self,
        index: RecordIndex,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        self.records.change(index, change)
    }

    /// The account of its site.
    pub(crate) fn account<'a>(&self, ctx: &'a mut Context) -> &'a mut Account {
        ctx.account(&self.info.registration.storage_key)
    }

    /// Updates what the site's account counts for the fetch.
    pub(crate) fn count(&mut self, ctx: &mut Context) {
        self.records.count(ctx.account(&self.info.registration.storage_key));
    }

    /// Tells observers what happened.
    pub(crate) fn observe(&self, ctx: &mut Context, what: What) {
        ctx.act(Action::Observe(self.observation(what)));
    }

    /// Tells observers what happened once it is durable.
    pub(crate) fn observe_committed(&self, ctx: &mut Context, what: What) {
        ctx.after_commit(Effect::Observe(Box::new(self.observation(what))));
    }

    fn observation(&self, what: What) -> Observation {
        Observation {
            fetch: Arc::clone(&self.info),
            downloaded: self.stored_body_bytes_total(),
            uploaded: self.uploaded(),
            what,
        }
    }

    /// Tells observers when the whole fetch stopped for a reason, or resumed.
    pub(crate) fn observe_pause(&mut self, ctx: &mut Context) {
        // The totals outlive the records, so there may be fewer records than settled ones.
        let tallies = self.records.tallies();
        let unsettled = self.records().len().saturating_sub(tallies.settled);
        let reason = match self.stage {
            Stage::Fetching if self.paused => Some(PauseReason::User),
            Stage::Fetching if tallies.waiting == unsettled => {
                self.records().iter().find_map(Record::pause_reason)
            }
            _ => None,
        };
        if reason == self.pause_reason {
            return;
        }
        self.pause_reason = reason;
        match reason {
            Some(reason) => self.observe(ctx, What::Paused(reason)),
            None if self.stage == Stage::Fetching => self.observe(ctx, What::Resumed),
            None => {}
        }
    }
}
