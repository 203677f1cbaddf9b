//! What the model asks the shell to do.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::attempt::{AttemptCommand, AttemptSpec};
use crate::delivery::{NotHandledReason, Redelivery, Rejection};
use crate::error::CallError;
use crate::event::EventKind;
use crate::fetch_info::FetchInfo;
use crate::ids::{
    AttemptId, BodyKey, CallId, CommitId, FetchKey, HostKey, RecordKey, RegistrationKey, StorageKey,
};
use crate::ip_address_space::IpAddressSpace;
use crate::policy::Principal;
use crate::request::Request;
use crate::response::{RecordResult, ResponseData};
use crate::serialize;
use crate::store_op::{FetchResult, ImageResource, Transaction};

/// Something the shell must do. Actions are executed in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ask the embedder for the permission state and the quota; answered by
    /// [`Input::Permission`](crate::input::Input::Permission).
    QueryPermission {
        /// The `fetch()` call that waits for the answer.
        call: CallId,
        /// What the embedder is asked.
        request: Box<PermissionRequest>,
    },
    /// Ask the embedder for the quota of a storage key that has stored fetches; answered by
    /// [`Input::Quota`](crate::input::Input::Quota).
    QueryQuota(StorageKey),
    /// Ask the embedder whether a page may access the local network; answered by
    /// [`Input::LocalNetwork`](crate::input::Input::LocalNetwork). The answer is no longer needed
    /// once the attempt has ended.
    QueryLocalNetwork(AttemptId, Box<LocalNetworkRequest>),
    /// Read the request bodies of this call into the store; answered by
    /// [`Input::BodiesStored`](crate::input::Input::BodiesStored) or
    /// [`Input::BodiesFailed`](crate::input::Input::BodiesFailed).
    StoreBodies {
        /// The `fetch()` call that waits for the bodies.
        call: CallId,
        /// The key under which the bodies are stored.
        fetch: FetchKey,
        /// How many bytes of all bodies together may be stored. More are requested with
        /// [`Input::BodiesNeedGrant`](crate::input::Input::BodiesNeedGrant).
        grant: u64,
    },
    /// Send a command to whatever stores the request bodies of a call, unless it has finished.
    CommandBodies(FetchKey, BodiesCommand),
    /// A `fetch()` call failed or was dropped: stop reading its request bodies. The store deletes
    /// them.
    DiscardBodies(FetchKey),
    /// Make this transaction durable; acknowledged by
    /// [`Input::Committed`](crate::input::Input::Committed).
    Commit(CommitId, Transaction),
    /// Settle a call's promise.
    Reply(CallId, Result<Reply, CallError>),
    /// Queue the record for a slot; answered by
    /// [`Input::SlotGranted`](crate::input::Input::SlotGranted) when it gets one.
    Enqueue {
        /// The record.
        record: RecordKey,
        /// Its fetch.
        fetch: Arc<FetchInfo>,
        /// The server of the record's URL.
        host: HostKey,
    },
    /// The record no longer wants a slot.
    Withdraw(RecordKey),
    /// The record's slot is free while its attempt looks up this host. The record is queued again
    /// when it needs a slot.
    LeaveSlot(RecordKey, HostKey),
    /// The record's attempt has ended: its slot is free, or it no longer waits for one.
    ReleaseSlot(RecordKey),
    /// Read the head of a record's stored response; answered by
    /// [`Input::HeadLoaded`](crate::input::Input::HeadLoaded).
    LoadHead(RecordKey),
    /// Start an attempt; it reports through [`Input::Attempt`](crate::input::Input::Attempt).
    StartAttempt {
        /// The attempt's identity.
        attempt: AttemptId,
        /// The record that it fetches.
        record: RecordKey,
        /// The record's fetch, with its storage key and principal.
        fetch: Arc<FetchInfo>,
        /// The record's request.
        request: Arc<Request>,
        /// How the request is sent.
        spec: AttemptSpec,
    },
    /// A response arrived: the scheduler learns whether requests of this storage key to this server
    /// share a connection.
    HostAnswered {
        /// The fetch that the response belongs to.
        fetch: Arc<FetchInfo>,
        /// The server that sent the response, after all redirects.
        host: HostKey,
        /// Whether its connection carries other requests at the same time.
        multiplexes: bool,
    },
    /// Send a command to a running attempt.
    Command(AttemptId, AttemptCommand),
    /// Compare a stored body with its request's integrity metadata; answered by
    /// [`Input::IntegrityVerified`](crate::input::Input::IntegrityVerified). The answer is no
    /// longer needed once the record has ended or is gone.
    VerifyIntegrity {
        /// The record's fetch.
        fetch: Arc<FetchInfo>,
        /// The body.
        body: BodyKey,
        /// Its length in bytes.
        length: u64,
        /// The record's request, with the metadata.
        request: Arc<Request>,
        /// The record's current response data.
        data: ResponseData,
    },
    /// The record's response data has changed: wake its readers.
    RecordChanged(RecordKey, ResponseData),
    /// Run "update background fetch instances" in every client. If `settled` is set, answer with
    /// [`Input::ClientsApplied`](crate::input::Input::ClientsApplied) once all clients have done
    /// so.
    UpdateClients {
        /// The fetch whose instances are updated.
        fetch: Arc<FetchInfo>,
        /// The new values.
        update: Update,
        /// Whether the settling event waits for this update.
        settled: bool,
    },
    /// Fire the settling event (chosen by the fetch's result) at the worker; answered by
    /// [`Input::EventEnded`](crate::input::Input::EventEnded).
    FireSettledEvent(Arc<FetchInfo>, FetchResult),
    /// Fire `backgroundfetchclick`; answered by
    /// [`Input::ClickEnded`](crate::input::Input::ClickEnded).
    FireClickEvent(Arc<FetchInfo>),
    /// The fetch is forgotten: no further action mentions it.
    Forgotten(FetchKey),
    /// Report something to observers.
    Observe(Observation),
}

/// A command to whatever stores the request bodies of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodiesCommand {
    /// All bodies together may take this many bytes.
    Grant(u64),
    /// Return the unused part of the grant; answered by
    /// [`Input::BodiesGrantReturned`](crate::input::Input::BodiesGrantReturned), or by the end.
    RecallGrant,
}

/// What the embedder has to decide on when a page calls `fetch()`.
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
    /// The requests. Their bodies have not been read yet.
    pub requests: Vec<Arc<Request>>,
    /// The promised sum of the response bodies in bytes; 0 means that nothing is promised.
    pub download_total: u64,
}

crate::impl_with!(PermissionRequest);

impl PermissionRequest {
    /// A call of `fetch()` without options.
    #[must_use]
    pub fn new(
        registration: RegistrationKey,
        principal: Arc<Principal>,
        id: impl Into<String>,
        requests: Vec<Arc<Request>>,
    ) -> Self {
        Self {
            registration,
            principal,
            id: id.into(),
            title: String::new(),
            icons: Vec::new(),
            requests,
            download_total: 0,
        }
    }
}

/// What the embedder has to decide on when a page needs an address that is less public than its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LocalNetworkRequest {
    /// The fetch, with its registration and principal.
    pub fetch: Arc<FetchInfo>,
    /// The URL to be fetched, which may be that of a redirect.
    pub url: Url,
    /// The space of the address: [`IpAddressSpace::Local`] for the permission `local-network`,
    /// [`IpAddressSpace::Loopback`] for `loopback-network`.
    pub space: IpAddressSpace,
}

impl LocalNetworkRequest {
    /// An attempt of `fetch` that needs an address in this space for this URL.
    #[must_use]
    pub const fn new(fetch: Arc<FetchInfo>, url: Url, space: IpAddressSpace) -> Self {
        Self { fetch, url, space }
    }
}

/// A successful answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The call succeeded and has no result.
    Done,
    /// `fetch()` registered this background fetch.
    Fetch(FetchSnapshot),
    /// Whether this call of `abort()` aborted the fetch.
    Aborted(bool),
}

/// What [update background fetch instances](https://wicg.github.io/background-fetch/#update-background-fetch-instance-algorithm)
/// carries to a `BackgroundFetchRegistration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Update {
    /// The stored bytes of all response bodies.
    pub downloaded: u64,
    /// The bytes of all request bodies that were sent.
    pub uploaded: u64,
    /// How the fetch settled, or none while it is active.
    #[serde(with = "serialize::result")]
    pub result: Option<FetchResult>,
    /// The records available flag.
    pub records_available: bool,
}

crate::impl_with!(Update);

/// The values of a registration object before anything was transferred.
impl Default for Update {
    fn default() -> Self {
        Self { downloaded: 0, uploaded: 0, result: None, records_available: true }
    }
}

/// A background fetch as it is at one moment: what a registration object of it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSnapshot {
    /// The part that never changes.
    pub info: Arc<FetchInfo>,
    /// The part that does.
    pub update: Update,
}

/// Why an unfinished fetch makes no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PauseReason {
    /// The paused flag is set.
    User,
    /// There is no network, or no route to this fetch's servers.
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

/// A report for observers, such as a UI, a log or a test. Nothing in the engine depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// The stored bytes of all its records.
    pub downloaded: u64,
    /// The sent bytes of all its records.
    pub uploaded: u64,
    /// What happened.
    pub what: What,
}

/// What happened to a fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// The fetch was registered.
    Registered,
    /// Bytes were transferred. Coalesced as for pages.
    Progress,
    /// The fetch makes no progress until this reason is gone.
    Paused(PauseReason),
    /// The fetch makes progress again.
    Resumed,
    /// A record failed for a reason that may pass, and is retried.
    Retry {
        /// The record.
        record: RecordKey,
        /// Its URL.
        url: Url,
        /// The number of this retry in an unbroken row of failures.
        attempt: u32,
        /// How long the retry waits; serialized in seconds.
        #[serde(with = "serialize::seconds")]
        delay: Duration,
        /// A description of the failure, for people.
        message: String,
    },
    /// A record ended.
    RecordSettled {
        /// The record.
        record: RecordKey,
        /// Its URL.
        url: Url,
        /// How it ended.
        result: RecordResult,
        /// The status of its response, if there was one.
        status: Option<u16>,
        /// The length of its stored body.
        stored: u64,
        /// A description of the failure, for people.
        message: Option<String>,
    },
    /// The fetch settled; its event follows.
    Settled(#[serde(with = "serialize::result")] FetchResult),
    /// The settling event was fired at the worker host, which starts the worker if it can.
    EventFired {
        /// Which settling event.
        kind: EventKind,
        /// The number of this attempt to deliver the event, counted from 1. Only starting a worker
        /// for the event counts as an attempt, so the same number may be reported more than once.
        attempt: u32,
    },
    /// The settling event was not handled, or no worker can handle it yet.
    EventNotHandled {
        /// Why.
        reason: NotHandledReason,
        /// When it is fired again.
        next: Redelivery,
    },
    /// The settling event is over, and the records are gone.
    EventEnded {
        /// Whether a worker handled the event; false if it was given up or dismissed.
        handled: bool,
        /// Why the first rejected promise given to `waitUntil()` was rejected, if one was. The
        /// event counts as handled all the same.
        rejection: Option<Rejection>,
    },
    /// `updateUI()` has changed what the user sees of the fetch.
    UiUpdated {
        /// The title, changed or not; empty when none was given.
        title: String,
        /// The icons, changed or not.
        icons: Vec<ImageResource>,
    },
    /// A `backgroundfetchclick` event is over. If it was not handled, because no worker could be
    /// started for it, a UI may open a page of the site instead (spec issue 147).
    ClickEnded {
        /// Whether a worker handled it.
        handled: bool,
    },
    /// The user dismissed the fetch, so it is removed.
    Dismissed,
    /// The fetch is gone: it was dismissed, its registration or its site's data is gone, or enough
    /// newer fetches have finished. This is the last event of a fetch.
    Removed,
}
