//! What the model asks of a durable store: transactions go in, and a snapshot comes out at start.
//!
//! A store applies transactions in the order of their ids, each completely or not at all. Body
//! bytes do not pass through here; the data path writes them to body files, under a [`BodyKey`].

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::ids::{BodyKey, FetchKey, Generation, RecordKey, RegistrationKey};
use crate::policy::Principal;
use crate::request::Request;
use crate::response::{FailureReason, HeadSummary, RecordResult, ResponseHead};
use crate::time::UnixTime;
use crate::vary::HashKey;

/// An [image resource](https://w3c.github.io/image-resource/) for the UI, as the page described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageResource {
    /// The URL of the image, parsed with the page's base URL.
    pub src: Url,
    /// The `sizes` member, empty when absent.
    #[serde(default)]
    pub sizes: String,
    /// The MIME type, empty when absent.
    #[serde(default, rename = "type")]
    pub mime_type: String,
    /// The accessible label, empty when absent.
    #[serde(default)]
    pub label: String,
}

crate::impl_with!(ImageResource);

impl ImageResource {
    /// An image of which only the URL is known.
    #[must_use]
    pub const fn new(src: Url) -> Self {
        Self { src, sizes: String::new(), mime_type: String::new(), label: String::new() }
    }
}

/// How the whole fetch ended: combines the spec's `result` and `failureReason`.
pub type FetchResult = Result<(), FailureReason>;

/// The durable part of a background fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFetch {
    /// Its identity.
    pub key: FetchKey,
    /// The service worker registration it belongs to.
    pub registration: RegistrationKey,
    /// On whose behalf it is made.
    pub principal: Arc<Principal>,
    /// The id the page chose.
    pub id: String,
    /// The title; empty when none was given.
    pub title: String,
    /// The icons.
    pub icons: Vec<ImageResource>,
    /// The promised sum of the response bodies in bytes; 0 means that nothing was promised.
    pub download_total: u64,
    /// The paused flag.
    pub paused: bool,
    /// The abort all flag as `abort()` or the user set it.
    pub abort_all: bool,
    /// The reason of the first record that failed.
    pub cause: Option<FailureReason>,
    /// How the fetch settled, or none while it is active.
    pub result: Option<FetchResult>,
    /// When it was registered.
    pub created_at: UnixTime,
    /// When it settled, or none while it is active.
    pub settled_at: Option<UnixTime>,
    /// How many times delivery of the settling event was attempted without success.
    pub delivery_attempts: u32,
    /// How long its attempts were running, if that is limited.
    pub running_time: Duration,
    /// Cleared once the settling event has ended: the records are gone then, unless they are held.
    pub records_available: bool,
    /// The records, in request order; empty once they are gone.
    pub records: Vec<StoredRecord>,
    /// The totals of the records; zero while the records are there and can be summed.
    pub totals: Totals,
}

/// Sums over the records of a fetch, which the UI shows after the records are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The stored bytes of all response bodies.
    pub downloaded: u64,
    /// The sent bytes of all request bodies.
    pub uploaded: u64,
    /// The length of all request bodies.
    pub upload_total: u64,
}

impl Totals {
    /// Adds up records.
    #[must_use]
    pub fn of(records: &[StoredRecord]) -> Self {
        records.iter().fold(Self::default(), |sum, record| Self {
            downloaded: sum.downloaded.saturating_add(record.stored),
            uploaded: sum.uploaded.saturating_add(record.uploaded),
            upload_total: sum
                .upload_total
                .saturating_add(record.request.body_length.unwrap_or_default()),
        })
    }
}

/// The durable part of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The request. The store keeps the bytes of its body apart from response bodies.
    pub request: Arc<Request>,
    /// Set before any byte of a request that is not a `GET` may leave.
    pub upload_begun: bool,
    /// How many bytes of the request body were sent.
    pub uploaded: u64,
    /// The current representation; 0 if none was opened yet.
    pub generation: Generation,
    /// The response of that generation, whose head the store has.
    pub response: Option<HeadSummary>,
    /// The length of that generation's bytes that can be relied on.
    pub stored: u64,
    /// How the record ended, or none while it is active.
    pub result: Option<RecordResult>,
}

/// What a store returns when it is opened.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The service worker registrations.
    pub registrations: Vec<RegistrationKey>,
    /// Every fetch that was not forgotten, in the order of their keys.
    pub fetches: Vec<StoredFetch>,
    /// A key above every key that this store ever used, which the next fetch gets; 0 is allowed. A
    /// fetch that is gone must still count, because its key is never used again.
    pub next_fetch: u64,
    /// The store's own key for hashes of request headers, random and always the same.
    pub hash_key: HashKey,
}

/// One durable step.
///
/// A store that does not know a step must refuse the transaction, because the engine relies on all of
/// it. The other types here are exhaustive, so that no store overlooks a new field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreOp {
    /// Adds a service worker registration; no effect if it exists.
    PutRegistration(RegistrationKey),
    /// Removes a registration with all its fetches, records and bytes (D42).
    RemoveRegistration(RegistrationKey),
    /// Adds a fetch with its records, none of which has a response.
    InsertFetch(Box<StoredFetch>),
    /// Sets or unsets the paused flag.
    SetPaused(FetchKey, bool),
    /// Sets the abort all flag.
    SetAbortAll(FetchKey),
    /// Replaces the title and the icons.
    SetUi(FetchKey, String, Vec<ImageResource>),
    /// A request that must not be sent twice is about to be sent.
    BeginUpload(RecordKey),
    /// No byte of that request was sent: it may be sent after all.
    UndoBeginUpload(RecordKey),
    /// A new representation starts: this head, no bytes. The previous generation's file is deleted.
    OpenGeneration(BodyKey, Arc<ResponseHead>),
    /// A record ended.
    SettleRecord {
        /// The record.
        record: RecordKey,
        /// How it ended.
        result: RecordResult,
        /// The final length of its stored bytes.
        stored: u64,
        /// The bytes of the request body that were sent.
        uploaded: u64,
    },
    /// The first failure of the fetch.
    SetCause(FetchKey, FailureReason),
    /// The fetch settled; its event is pending from here on.
    Settle(FetchKey, FetchResult, UnixTime),
    /// Delivery of the settling event was attempted this many times, and the event is still
    /// pending.
    SetDeliveryAttempts(FetchKey, u32),
    /// The fetch's attempts were running for this long in total.
    SetRunningTime(FetchKey, Duration),
    /// The settling event ended: records are no longer available and their bytes are deleted. Only
    /// their [`Totals`] stay.
    EndDelivery(FetchKey),
    /// The settling event ended, and the records are held: they are no longer available, but stay
    /// until [`Self::EndDelivery`] for other fetches to adopt.
    HoldRecords(FetchKey),
    /// A record takes over the representation of a held one, with its generation, head and bytes.
    /// The held one no longer has a representation.
    Adopt {
        /// The held record.
        from: RecordKey,
        /// A record that has no representation yet.
        to: RecordKey,
    },
    /// The fetch was dismissed, aged out or never registered: everything of it is deleted,
    /// including request bodies that were stored for it.
    Forget(FetchKey),
}

/// Steps that become durable together.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// The steps, applied in order.
    pub ops: Vec<StoreOp>,
    /// What must be synced to disk, and not only handed to the operating system, before the
    /// transaction is acknowledged, if the store's durability setting requires it. A transaction
    /// without syncs survives the death of the process; the next synced transaction takes it to
    /// disk.
    pub syncs: Vec<Sync>,
}

/// What a transaction syncs to disk, together with itself and every transaction before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Nothing else: only the transaction.
    Steps,
    /// The request bodies of this new fetch.
    RequestBodies(FetchKey),
    /// The response body of this record, which has ended.
    ResponseBody(RecordKey),
    /// The response bodies of all records of this fetch that have ended.
    ResponseBodies(FetchKey),
}

impl StoreOp {
    /// What must be on disk before this step is reported, or before the data that it replaces is
    /// deleted. None if the step is simply repeated after a power loss undid it, or if the sync
    /// depends on more than the step.
    #[must_use]
    pub fn sync(&self) -> Option<Sync> {
        match self {
            Self::InsertFetch(fetch) => Some(Sync::RequestBodies(fetch.key)),
            Self::Settle(fetch, ..) => Some(Sync::ResponseBodies(*fetch)),
            // A request may have been sent, or the user or the page was promised something.
            Self::BeginUpload(_) | Self::SetAbortAll(_) | Self::SetPaused(..) => Some(Sync::Steps),
            // The step that it undoes was synced, and would end the upload.
            Self::UndoBeginUpload(_) => Some(Sync::Steps),
            // The end of the event was reported, and files are deleted next. If a power loss undid
            // this step but not the deletions, the fetch would be restored without its bytes and
            // start again.
            Self::EndDelivery(_)
            | Self::HoldRecords(_)
            | Self::Adopt { .. }
            | Self::Forget(_)
            | Self::RemoveRegistration(_) => Some(Sync::Steps),
            Self::PutRegistration(_)
            | Self::SetUi(..)
            | Self::OpenGeneration(..)
            | Self::SettleRecord { .. }
            | Self::SetCause(..)
            | Self::SetDeliveryAttempts(..)
            | Self::SetRunningTime(..) => None,
        }
    }
}
