//! What a queue tells its host.

use std::fmt;

use bgfetch::{
    ClientUpdate, CookieContext, EventKind, FetchKey, Job, JobChange, LocalNetworkRequest, Outcome,
    PermissionRequest, RegistrationKey, Request, ResponseHead, StorageKey, Usage,
};

use crate::error::{Error, Result};
use crate::handle::Handle;

/// Something that happened, from [`queue::next`](crate::queue::next).
///
/// None of them is repeated, and a queue grows only by what its host has asked for: a fetch has at most one update in
/// it, a body one completion for each offset that was read in vain.
#[derive(Debug)]
#[non_exhaustive]
pub enum Completion {
    /// A call is done.
    CallDone {
        /// The number that the host gave the call.
        token: u64,
        /// Its answer.
        result: Result<Value>,
    },
    /// A fetch has new attributes, which [`fetch::attributes`](crate::fetch::attributes) returns.
    Update {
        /// The fetch.
        fetch: Handle,
        /// Whether `progress` must be fired.
        progress: bool,
        /// What has changed.
        update: ClientUpdate,
        /// Dropped when the host has applied the update. Only then comes the next one, and an event that settles the
        /// fetch waits for that a second at most.
        applied: Guard,
    },
    /// A job has changed: see [`ui::watch`](crate::ui::watch).
    Job {
        /// The engine.
        engine: Handle,
        /// The job as it is now, or that it is gone.
        change: JobChange,
        /// Dropped when the host has shown the change. Only then comes the next one.
        shown: Guard,
    },
    /// A functional event is to be fired at the worker of a registration that was
    /// [started](crate::registration::start).
    Event {
        /// The registration.
        registration: Handle,
        /// The event. Free it when it has ended.
        event: Handle,
        /// The fetch that it is about, which the host frees, too.
        fetch: Handle,
        /// Which event.
        kind: EventKind,
    },
    /// An event is no longer active.
    EventEnded {
        /// The event.
        event: Handle,
        /// How it ended.
        outcome: Outcome,
    },
    /// Reading a body at this offset will not be in vain any more.
    BodyReady {
        /// The body.
        body: Handle,
        /// The offset of the read.
        offset: u64,
    },
    /// A page calls `fetch()`: answer with [`question::permission`](crate::question::permission).
    Permission {
        /// The question.
        token: Handle,
        /// The engine.
        engine: Handle,
        /// What is to be fetched.
        request: PermissionRequest,
    },
    /// A page needs an address that is less public than its own: answer with
    /// [`question::local_network`](crate::question::local_network).
    LocalNetwork {
        /// The question.
        token: Handle,
        /// The engine.
        engine: Handle,
        /// What the page needs.
        request: LocalNetworkRequest,
    },
    /// How many bytes may a storage key use? Answer with [`question::quota`](crate::question::quota).
    Quota {
        /// The question.
        token: Handle,
        /// The engine.
        engine: Handle,
        /// The storage key.
        storage_key: StorageKey,
    },
    /// A request needs its cookies, or a response has set some: answer with
    /// [`question::cookies`](crate::question::cookies).
    Cookies {
        /// The question.
        token: Handle,
        /// The engine.
        engine: Handle,
        /// The request.
        context: CookieContext,
        /// The values of `Set-Cookie`, if there was a response; `None` if the cookies of the request are asked for.
        set: Option<Vec<String>>,
    },
    /// A message is to be sent by the host's network stack: answer with the functions of
    /// [`network`](crate::network).
    FetchStart {
        /// The message.
        token: Handle,
        /// The engine.
        engine: Handle,
        /// The message without its body.
        message: MessageHead,
    },
    /// A message, or its response, is no longer wanted. Its handle is freed.
    FetchCancel {
        /// The message.
        token: Handle,
    },
    /// The engine takes that many more bytes.
    Credit {
        /// A message whose response is being received, or a source.
        token: Handle,
        /// How many bytes.
        bytes: u64,
    },
    /// The network has changed. Open connections of the host's network stack may be dead.
    NetworkChanged {
        /// The engine.
        engine: Handle,
    },
    /// An engine has ended, and its store can be opened again.
    Closed {
        /// The engine. Its handle is still to be freed.
        engine: Handle,
        /// Why, if it was not closed by its host.
        error: Option<Error>,
    },
}

/// The answer to a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Value {
    /// It is done, or there is no such thing.
    None,
    /// An object. The host frees it.
    Handle(Handle),
    /// Objects. The host frees each of them.
    Handles(Vec<Handle>),
    /// A background fetch.
    Fetch {
        /// Its handle, which the host frees.
        handle: Handle,
        /// Its identity: two handles with the same key are the same fetch.
        key: FetchKey,
        /// Dropped when the caller knows of the fetch. Its updates come after that. A new fetch starts then (D13),
        /// unless the call asked for [`fetch::start`](crate::fetch::start).
        known: Guard,
    },
    /// A response.
    Response {
        /// The response without its body.
        head: Box<ResponseHead>,
        /// Its body, which the host frees.
        body: Handle,
    },
    /// The request of a record, without its body.
    Request(Box<Request>),
    /// Bytes. None of them mean the end of the body.
    Bytes(Vec<u8>),
    /// Yes or no.
    Bool(bool),
    /// Ids of fetches.
    Ids(Vec<String>),
    /// Fetches as the user sees them.
    Jobs(Vec<Job>),
    /// How much of a quota is in use.
    Usage(Usage),
    /// The registrations in a store.
    Registrations(Vec<RegistrationKey>),
}

/// A message for the host's network stack, complete except for the headers of the connection and the framing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageHead {
    /// The method.
    pub method: String,
    /// The URL: `http` or `https`, without credentials. Its fragment is not sent.
    pub url: String,
    /// The headers. Values are isomorphically decoded.
    pub headers: Vec<(String, String)>,
    /// The length of the body in bytes, if there is one: see [`network::body`](crate::network::body).
    pub body_length: Option<u64>,
    /// Whether the request includes credentials. Those without use no client certificate, and share no connection with
    /// those that include them.
    pub credentials: bool,
    /// Whether the response may have content codings that the stack undoes. Then it adds an `Accept-Encoding` of its
    /// own, or `identity`. Otherwise the headers are complete.
    pub accepts_codings: bool,
    /// Connections and TLS sessions are shared only by messages with equal partitions.
    pub partition: String,
}

/// Something that waits until it is dropped.
pub struct Guard(#[expect(dead_code, reason = "its drop is its use")] Box<dyn Send + Sync>);

impl Guard {
    /// A guard that drops `held`.
    pub(crate) fn new(held: impl Send + Sync + 'static) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}
