//! The one door out of the model.

use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use crate::attempt::{AttemptCommand, AttemptSpec};
use crate::background_fetch::FetchInfo;
use crate::delivery::{NotHandledReason, Redelivery, Rejection};
use crate::error::CallError;
use crate::ids::{
    AttemptId, BodyKey, CallId, CommitId, FetchKey, HostKey, RecordKey, RegistrationKey,
};
use crate::request::Request;
use crate::response::RecordResult;
use crate::store_op::{FetchResult, Transaction};

/// What the shell has to do, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ask the embedder for the permission state; answered by
    /// [`Input::Permission`](crate::input::Input::Permission).
    QueryPermission {
        /// The `fetch()` call that waits for it.
        call: CallId,
        /// Who asks.
        registration: RegistrationKey,
    },
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
    },
    /// The record's response data changed: wake its readers.
    RecordChanged(RecordKey),
    /// Run "update background fetch instances" in every client. Where `settled` is set, answer
    /// with [`Input::ClientsApplied`](crate::input::Input::ClientsApplied) once all of them did.
    UpdateClients {
        /// Whose instances.
        fetch: FetchKey,
        /// What they take over.
        update: Update,
        /// Whether the settling event waits for this update.
        settled: bool,
    },
    /// Fire the settling event (by the fetch's result) at the worker; answered by
    /// [`Input::EventEnded`](crate::input::Input::EventEnded).
    FireSettledEvent(FetchKey, FetchResult),
    /// Fire `backgroundfetchclick`; not answered.
    FireClickEvent(FetchKey),
    /// The fetch is gone for good: nothing more will be said of it.
    Forgotten(FetchKey),
    /// Something worth telling an observer.
    Observe(Observation),
}

/// A successful answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The call did what it says.
    Done,
    /// `fetch()` registered this background fetch.
    Fetch(FetchKey),
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
pub enum Observation {
    /// A fetch was registered.
    Registered(FetchKey),
    /// Coalesced progress.
    Progress(FetchKey, Update),
    /// Nothing of the fetch goes on until this reason is gone.
    Paused(FetchKey, PauseReason),
    /// It goes on.
    Resumed(FetchKey),
    /// A record failed in a way that may pass and is tried again.
    Retry {
        /// Which record.
        record: RecordKey,
        /// How many retries in a row this is.
        attempt: u32,
        /// How long it waits.
        delay: Duration,
        /// What failed, for people.
        message: String,
    },
    /// A record ended; with what failed, for people, where it did.
    RecordSettled(RecordKey, RecordResult, Option<String>),
    /// The fetch settled.
    Settled(FetchKey, FetchResult),
    /// The settling event was fired at the worker.
    EventFired {
        /// Of which fetch.
        fetch: FetchKey,
        /// The fetch's result, which chooses the event.
        result: FetchResult,
        /// Which attempt this is, counted from 1.
        attempt: u32,
    },
    /// The settling event was not handled.
    EventNotHandled {
        /// Of which fetch.
        fetch: FetchKey,
        /// Why.
        reason: NotHandledReason,
        /// What becomes of it.
        next: Redelivery,
    },
    /// The settling event is over; the records are no longer available.
    EventEnded {
        /// Of which fetch.
        fetch: FetchKey,
        /// Whether a worker handled it, or else it was given up or dismissed.
        handled: bool,
        /// What the first promise given to `waitUntil()` was rejected with.
        rejection: Option<Rejection>,
    },
}
