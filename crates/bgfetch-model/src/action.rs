//! The one door out of the model.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use url::Url;

use crate::attempt::{AttemptCommand, AttemptSpec};
use crate::delivery::{NotHandledReason, Redelivery, Rejection};
use crate::error::CallError;
use crate::event::EventKind;
use crate::fetch_info::FetchInfo;
use crate::ids::{
    AttemptId, BodyKey, CallId, CommitId, FetchKey, HostKey, RecordKey, RegistrationKey, StorageKey,
};
use crate::policy::Principal;
use crate::request::Request;
use crate::response::{RecordResult, ResponseData};
use crate::store_op::{FetchResult, ImageResource, Transaction};

/// What the shell has to do, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ask the embedder for the permission state and the quota; answered by
    /// [`Input::Permission`](crate::input::Input::Permission).
    QueryPermission {
        /// The `fetch()` call that waits for it.
        call: CallId,
        /// What is asked for.
        request: Box<PermissionRequest>,
    },
    /// Ask the embedder for the quota of a storage key whose stored fetches go on; answered by
    /// [`Input::Quota`](crate::input::Input::Quota).
    QueryQuota(StorageKey),
    /// Read the request bodies of this call into the store; answered by
    /// [`Input::BodiesStored`](crate::input::Input::BodiesStored) or
    /// [`Input::BodiesFailed`](crate::input::Input::BodiesFailed).
    StoreBodies {
        /// The `fetch()` call that waits for it.
        call: CallId,
        /// The key under which they are stored.
        fetch: FetchKey,
        /// How many bytes they may take in all.
        limit: u64,
    },
    /// A `fetch()` came to nothing: stop reading its request bodies. The store deletes them.
    DiscardBodies(FetchKey),
    /// Make this durable; acknowledged by [`Input::Committed`](crate::input::Input::Committed).
    Commit(CommitId, Transaction),
    /// Settle a call's promise.
    Reply(CallId, Result<Reply, CallError>),
    /// The record wants a slot; answered by [`Input::SlotGranted`](crate::input::Input::SlotGranted)
    /// when it gets one.
    Enqueue {
        /// Which record.
        record: RecordKey,
        /// Its fetch.
        fetch: Arc<FetchInfo>,
        /// The server that is asked first.
        host: HostKey,
    },
    /// The record no longer wants a slot.
    Withdraw(RecordKey),
    /// The record's slot is free while its attempt looks this host up. The record is queued when it
    /// wants one again.
    LeaveSlot(RecordKey, HostKey),
    /// The attempt of the record is over: its slot is free, or it no longer wants one.
    ReleaseSlot(RecordKey),
    /// Start an attempt; it reports through [`Input::Attempt`](crate::input::Input::Attempt).
    StartAttempt {
        /// Its name.
        attempt: AttemptId,
        /// What it fetches.
        record: RecordKey,
        /// The record's fetch, with its storage key and principal.
        fetch: Arc<FetchInfo>,
        /// The record's request.
        request: Arc<Request>,
        /// How it asks for it.
        spec: AttemptSpec,
    },
    /// A response came: the scheduler learns whether requests of this storage key to this server
    /// share a connection.
    HostAnswered {
        /// For which fetch.
        fetch: Arc<FetchInfo>,
        /// The server that sent the response, after all redirects.
        host: HostKey,
        /// Whether its connection carries other requests at the same time.
        multiplexes: bool,
    },
    /// Tell a running attempt.
    Command(AttemptId, AttemptCommand),
    /// Compare a stored body with its request's integrity metadata; answered by
    /// [`Input::IntegrityVerified`](crate::input::Input::IntegrityVerified), which is not awaited
    /// any more once the record has ended or is gone.
    VerifyIntegrity {
        /// Which body.
        body: BodyKey,
        /// Its length in bytes.
        length: u64,
        /// The record's request, with the metadata.
        request: Arc<Request>,
        /// The record's response data now.
        data: ResponseData,
    },
    /// The record's response data changed to this: wake its readers.
    RecordChanged(RecordKey, ResponseData),
    /// Run "update background fetch instances" in every client. Where `settled` is set, answer
    /// with [`Input::ClientsApplied`](crate::input::Input::ClientsApplied) once all of them did.
    UpdateClients {
        /// Whose instances.
        fetch: Arc<FetchInfo>,
        /// What they take over.
        update: Update,
        /// Whether the settling event waits for this update.
        settled: bool,
    },
    /// Fire the settling event (by the fetch's result) at the worker; answered by
    /// [`Input::EventEnded`](crate::input::Input::EventEnded).
    FireSettledEvent(Arc<FetchInfo>, FetchResult),
    /// Fire `backgroundfetchclick`; not answered.
    FireClickEvent(Arc<FetchInfo>),
    /// The fetch is gone for good: nothing more will be said of it.
    Forgotten(FetchKey),
    /// Something worth telling an observer.
    Observe(Observation),
}

/// What the embedder is asked about when a page calls `fetch()`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PermissionRequest {
    /// The manager's service worker registration, and with it the storage key.
    pub registration: RegistrationKey,
    /// On whose behalf the requests are to be made.
    pub principal: Arc<Principal>,
    /// The id the page chose.
    pub id: String,
    /// The title to show; empty when none was given.
    pub title: String,
    /// The icons to show.
    pub icons: Vec<ImageResource>,
    /// The requests. Their bodies were not read yet.
    pub requests: Vec<Arc<Request>>,
    /// The promised sum of the response bodies in bytes; 0 means that nothing is promised.
    pub download_total: u64,
}

/// A successful answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The call did what it says.
    Done,
    /// `fetch()` registered this background fetch.
    Fetch(FetchSnapshot),
    /// Whether `abort()` aborted.
    Aborted(bool),
}

/// What [update background fetch instances](https://wicg.github.io/background-fetch/#update-background-fetch-instance-algorithm)
/// carries to a `BackgroundFetchRegistration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The stored bytes of all response bodies.
    pub downloaded: u64,
    /// The bytes of all request bodies that were sent.
    pub uploaded: u64,
    /// How the fetch settled, or none.
    pub result: Option<FetchResult>,
    /// The records available flag.
    pub records_available: bool,
}

/// A background fetch as it is at one moment: what a registration object of it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSnapshot {
    /// What of it never changes.
    pub info: Arc<FetchInfo>,
    /// What does.
    pub update: Update,
}

/// Why a fetch that wants to go on does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PauseReason {
    /// The paused flag is set.
    User,
    /// The network, or the way to this fetch's servers, is away.
    Offline,
    /// The connection is metered and the embedder pauses on that.
    Metered,
    /// A captive portal answers for every server.
    CaptivePortal,
    /// The disk is full or failing.
    Storage,
}

impl PauseReason {
    /// A short name for logs and machine-readable output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Offline => "offline",
            Self::Metered => "metered",
            Self::CaptivePortal => "captive-portal",
            Self::Storage => "storage",
        }
    }
}

/// What an observer (a UI, a log, a test) is told. Nothing in the engine depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Of which fetch.
    pub fetch: Arc<FetchInfo>,
    /// Bytes stored of all its records.
    pub downloaded: u64,
    /// Bytes sent of all its records.
    pub uploaded: u64,
    /// What happened.
    pub what: What,
}

/// What happened to a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The fetch was registered.
    Registered,
    /// Bytes moved. Coalesced as for pages.
    Progress,
    /// Nothing of it goes on until this reason is gone.
    Paused(PauseReason),
    /// It goes on.
    Resumed,
    /// A record failed in a way that may pass and is tried again.
    Retry {
        /// Which record.
        record: RecordKey,
        /// Its URL.
        url: Url,
        /// How many retries in a row this is.
        attempt: u32,
        /// How long it waits.
        delay: Duration,
        /// What failed, for people.
        message: String,
    },
    /// A record ended.
    RecordSettled {
        /// Which record.
        record: RecordKey,
        /// Its URL.
        url: Url,
        /// How it ended.
        result: RecordResult,
        /// The status of its response, where there was one.
        status: Option<u16>,
        /// The length of its stored body.
        stored: u64,
        /// What failed, for people.
        message: Option<String>,
    },
    /// The fetch settled; its event follows.
    Settled(FetchResult),
    /// The settling event was fired at the worker host, which starts the worker where it can.
    EventFired {
        /// Which of the settling events.
        kind: EventKind,
        /// Which attempt to deliver it this is, counted from 1. Only a worker that was started for
        /// the event makes an attempt, so a number may be told more than once.
        attempt: u32,
    },
    /// The settling event was not handled, or nobody is there yet to handle it.
    EventNotHandled {
        /// Why.
        reason: NotHandledReason,
        /// When it is fired again.
        next: Redelivery,
    },
    /// The settling event is over, and the records are gone.
    EventEnded {
        /// Whether a worker handled it, or else it was given up or dismissed.
        handled: bool,
        /// What the first promise given to `waitUntil()` was rejected with. The event was handled
        /// all the same.
        rejection: Option<Rejection>,
    },
}
