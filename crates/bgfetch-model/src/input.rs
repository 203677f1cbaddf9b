//! What the shell tells the model.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::attempt::AttemptEvent;
use crate::connectivity::Connectivity;
use crate::delivery::Outcome;
use crate::ids::{
    AttemptId, BodyKey, CallId, CommitId, FetchKey, RecordKey, RegistrationKey, StorageKey,
};
use crate::policy::Principal;
use crate::request::Request;
use crate::response::ResponseHead;
use crate::store_op::ImageResource;

/// Everything that can happen to background fetches.
///
/// Inputs that carry a [`CallId`] are answered by exactly one
/// [`Action::Reply`](crate::action::Action::Reply), unless the caller withdraws with
/// [`Input::CallDropped`]. Inputs about a fetch, record or attempt that is gone are ignored.
#[derive(Clone, Debug)]
pub enum Input {
    /// A service worker registration exists, and has an active worker or not. If it has one, its
    /// pending events are fired.
    Register {
        /// Answered once the registration is durable.
        call: CallId,
        /// The registration.
        registration: RegistrationKey,
        /// Whether its active worker is not null.
        active_worker: bool,
    },
    /// A service worker registration was removed or its site's data cleared (D42).
    Unregister {
        /// Answered once all its fetches are deleted.
        call: CallId,
        /// The registration.
        registration: RegistrationKey,
    },
    /// `BackgroundFetchManager.fetch()` was called.
    Fetch(Box<FetchCall>),
    /// Answers [`Action::QueryPermission`](crate::action::Action::QueryPermission).
    Permission {
        /// The waiting call.
        call: CallId,
        /// The permission's state.
        permission: Permission,
        /// The quota of the call's storage key, as in [`Input::Quota`]; none leaves it unchanged.
        quota: Option<u64>,
    },
    /// The request bodies of this call have at least one byte more than may be stored.
    BodiesNeedGrant {
        /// The waiting call.
        call: CallId,
        /// How many bytes of all bodies are stored.
        stored: u64,
    },
    /// Answers [`BodiesCommand::RecallGrant`](crate::action::BodiesCommand::RecallGrant): no byte
    /// beyond the stored ones will be stored without another grant.
    BodiesGrantReturned {
        /// The waiting call.
        call: CallId,
        /// How many bytes of all bodies are stored.
        stored: u64,
    },
    /// Answers [`Action::StoreBodies`](crate::action::Action::StoreBodies): the lengths of all
    /// request bodies, in the order of the requests that have one.
    BodiesStored {
        /// The waiting call.
        call: CallId,
        /// One length for each request with a body.
        lengths: Vec<u64>,
    },
    /// Answers [`Action::StoreBodies`](crate::action::Action::StoreBodies) if it failed.
    BodiesFailed {
        /// The waiting call.
        call: CallId,
        /// Why.
        error: BodyError,
    },
    /// The promise of `fetch()` was resolved and its microtasks ran, or its caller is gone: work
    /// may start (D13).
    CallerReady(FetchKey),
    /// The caller no longer waits for this call. A `fetch()` whose commit has not begun is undone.
    CallDropped(CallId),
    /// `abort()` was called, or the user cancelled.
    Abort {
        /// Answered with whether this call aborted the fetch.
        call: CallId,
        /// The fetch.
        fetch: FetchKey,
    },
    /// The user, or the embedder's policy, paused or resumed.
    SetPaused {
        /// Answered once the change is durable.
        call: CallId,
        /// The fetch.
        fetch: FetchKey,
        /// The new value of the paused flag.
        paused: bool,
    },
    /// A handler called `updateUI()` and the event allowed it.
    UpdateUi {
        /// Answered once the change is durable.
        call: CallId,
        /// The fetch.
        fetch: FetchKey,
        /// The new title, if one was given.
        title: Option<String>,
        /// The new icons, if any were given.
        icons: Option<Vec<ImageResource>>,
    },
    /// The data of a storage key was cleared.
    Clear {
        /// Answered once its registrations and their fetches are durably gone.
        call: CallId,
        /// The storage key.
        storage_key: StorageKey,
    },
    /// Pages of a storage key may no longer fetch in the background. What is made for the user goes
    /// on.
    RevokePermission {
        /// Answered once the aborts are durable.
        call: CallId,
        /// The storage key.
        storage_key: StorageKey,
    },
    /// The user activated the UI of a fetch.
    Click {
        /// Answered once the event was requested.
        call: CallId,
        /// The fetch.
        fetch: FetchKey,
    },
    /// The registration's worker can be started: its pending events are fired.
    DeliverPending {
        /// Answered once they are fired, or with [`CallError::NoActiveWorker`] if the registration
        /// was not registered since the engine was opened or has no active worker.
        ///
        /// [`CallError::NoActiveWorker`]: crate::error::CallError::NoActiveWorker
        call: CallId,
        /// The registration.
        registration: RegistrationKey,
    },
    /// The records are to be held after the settling event has ended, or are no longer needed.
    HoldRecords {
        /// Answered at once, or if held records are released, once they are durably deleted.
        call: CallId,
        /// The fetch.
        fetch: FetchKey,
        /// Whether to hold them.
        hold: bool,
    },
    /// The user dismissed the UI of a finished fetch, or gave up one whose event waits for a worker
    /// (D17).
    Dismiss {
        /// Answered once the fetch is forgotten.
        call: CallId,
        /// The fetch.
        fetch: FetchKey,
    },
    /// Answers [`Action::FireClickEvent`](crate::action::Action::FireClickEvent): the event is over.
    ClickEnded {
        /// The fetch.
        fetch: FetchKey,
        /// Whether a worker handled it.
        handled: bool,
    },
    /// The scheduler gave a queued record its slot.
    SlotGranted(RecordKey),
    /// Answers [`Action::LoadHead`](crate::action::Action::LoadHead); none if there is no head or
    /// it cannot be read, in which case the record starts again from byte 0.
    HeadLoaded(RecordKey, Option<Arc<ResponseHead>>),
    /// A report of an attempt.
    Attempt(AttemptId, AttemptEvent),
    /// Answers [`Action::QueryLocalNetwork`](crate::action::Action::QueryLocalNetwork): whether the
    /// page may reach the address that the attempt waits for.
    LocalNetwork(AttemptId, bool),
    /// Answers [`Action::VerifyIntegrity`](crate::action::Action::VerifyIntegrity).
    IntegrityVerified(BodyKey, Verification),
    /// The network changed.
    Connectivity(Connectivity),
    /// How many bytes the background fetches of this storage key may hold in total; nothing more is
    /// granted until it is known. Answers
    /// [`Action::QueryQuota`](crate::action::Action::QueryQuota), and may arrive at any other time.
    Quota(StorageKey, u64),
    /// The store made a transaction durable. Transactions are acknowledged in order.
    Committed(CommitId),
    /// Every client applied that the fetch settled.
    ClientsApplied(FetchKey),
    /// The settling event of a fetch ended.
    EventEnded {
        /// The fetch.
        fetch: FetchKey,
        /// How it ended. An event that was not handled is delivered again.
        outcome: Outcome,
    },
    /// Time has passed, and nothing else happened.
    Tick,
}

/// A call of `fetch()`, with converted arguments.
#[derive(Clone, Debug)]
pub struct FetchCall {
    /// Answered by [`Reply::Fetch`](crate::action::Reply::Fetch) or an error.
    pub call: CallId,
    /// The manager's service worker registration.
    pub registration: RegistrationKey,
    /// On whose behalf the requests are made.
    pub principal: Arc<Principal>,
    /// The id.
    pub id: String,
    /// The requests. Those with a body have a `body_length`. Its value is ignored: it is known only
    /// once the body was read.
    pub requests: Vec<Request>,
    /// The options.
    pub options: FetchOptions,
    /// Whether the caller saw an active worker. A script may not know yet of a worker that the
    /// model knows; the answer depends on what the script could see.
    pub sees_active_worker: bool,
}

/// The spec's
/// [BackgroundFetchOptions](https://wicg.github.io/background-fetch/#dictdef-backgroundfetchoptions).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchOptions {
    /// Shown to the user; empty by default.
    pub title: String,
    /// Shown to the user; none by default.
    pub icons: Vec<ImageResource>,
    /// The sum of the response bodies in bytes, a limit and the end of the progress bar; 0, the
    /// default, sets no limit.
    pub download_total: u64,
}

crate::impl_with!(FetchOptions);

/// The [permission state](https://w3c.github.io/permissions/#dfn-permission-state) of
/// `background-fetch`, with what "prompt" means to the embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permission {
    /// Proceed.
    Granted,
    /// The user has not decided: proceed, but paused until the user accepts.
    StartPaused,
    /// Refuse.
    Denied,
}

/// The result of comparing a stored body with integrity metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The bytes match, or the metadata requires nothing.
    Matches,
    /// The bytes do not match.
    Mismatch,
    /// The bytes could not be read.
    Unreadable,
}

/// Why the request bodies of a fetch could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A body's stream errored.
    Unreadable,
    /// The disk is full or failing, which to the page is an exceeded quota.
    QuotaExceeded,
}
