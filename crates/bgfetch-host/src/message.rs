//! The messages between realms and the owner of the service workers. Each realm has one ordered
//! inbox, which also carries the answers to its calls: no answer overtakes a change of state.

use std::fmt;
use std::mem;
use std::sync::Arc;

use deno_core::OpState;
use deno_error::JsErrorBox;
use deno_web::{Transferable, deserialize_js_transferables, serialize_transferables};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use url::Url;

use crate::script_loader::LoadedScript;

/// A realm's number, unique while the user agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RealmId(pub(crate) u32);

/// [The state of a service worker](https://w3c.github.io/ServiceWorker/#dfn-state).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WorkerState {
    /// Its script is being evaluated for the first time.
    Parsed,
    Installing,
    Installed,
    Activating,
    Activated,
    Redundant,
}

/// [Whether the HTTP cache is used for
/// scripts](https://w3c.github.io/ServiceWorker/#dfn-update-via-cache). There is no HTTP cache
/// here, so this is only visible to scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UpdateViaCache {
    #[default]
    Imports,
    All,
    None,
}

/// The contents of a `ServiceWorker` object.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerInfo {
    pub(crate) id: u32,
    #[serde(rename = "scriptURL")]
    pub(crate) script_url: Url,
    pub(crate) state: WorkerState,
}

/// The contents of a `ServiceWorkerRegistration` object.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationInfo {
    pub(crate) id: u32,
    pub(crate) scope: Url,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) installing: Option<WorkerInfo>,
    pub(crate) waiting: Option<WorkerInfo>,
    pub(crate) active: Option<WorkerInfo>,
}

/// The service workers of a realm when it starts.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct AtStart {
    /// The registration whose readiness a window sees, or to which a service worker belongs.
    pub(crate) registration: Option<RegistrationInfo>,
    /// `navigator.serviceWorker.controller`
    pub(crate) controller: Option<WorkerInfo>,
    /// `self.serviceWorker`, in a service worker.
    pub(crate) worker: Option<WorkerInfo>,
}

/// The contents of a `WindowClient` object. Windows are the only clients, and all are visible.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClientInfo {
    pub(crate) id: String,
    pub(crate) url: Url,
    pub(crate) focused: bool,
    #[serde(rename = "isFrame")]
    pub(crate) is_frame: bool,
}

/// A [client](https://w3c.github.io/ServiceWorker/#dfn-service-worker-client): a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub(crate) RealmId);

/// The sender of a message.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Source {
    Client(ClientInfo),
    Worker(WorkerInfo),
}

/// A message from one realm to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    /// The serialized value, with one byte per character.
    data: String,
    /// The transferred objects, as resources of the realm that has the message.
    transferables: Value,
    #[serde(skip)]
    transferred: Transferred,
}

/// The transferred objects while the message is in no realm. Dropping them closes ports.
#[derive(Clone, Default)]
struct Transferred(Arc<Mutex<Vec<Transferable>>>);

impl fmt::Debug for Transferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transferred").field(&self.0.lock().len()).finish()
    }
}

impl Message {
    /// Takes the transferred objects out of the realm.
    pub(crate) fn leave(&mut self, state: &mut OpState) -> Result<(), JsErrorBox> {
        let wrong = |error: serde_json::Error| JsErrorBox::type_error(error.to_string());
        let transferables = serde_json::from_value(self.transferables.take()).map_err(wrong)?;
        let transferred = deserialize_js_transferables(state, transferables);
        *self.transferred.0.lock() = transferred.map_err(JsErrorBox::from_err)?;
        Ok(())
    }

    /// Moves the transferred objects into the realm.
    pub(crate) fn arrive(&mut self, state: &mut OpState) -> Result<(), JsErrorBox> {
        let transferred = mem::take(&mut *self.transferred.0.lock());
        let transferables = serde_json::to_value(serialize_transferables(state, transferred));
        let wrong = |error: serde_json::Error| JsErrorBox::generic(error.to_string());
        self.transferables = transferables.map_err(wrong)?;
        Ok(())
    }
}

/// The events of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LifecycleEvent {
    Install,
    Activate,
}

/// A message to a realm.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum ToRealm {
    /// The answer to a call.
    Answer { call: u32, answer: Answer },
    /// The state of a worker.
    Worker { worker: WorkerInfo },
    /// The workers of a registration.
    Registration { registration: RegistrationInfo },
    /// A registration has a new installing worker.
    UpdateFound { registration: RegistrationInfo },
    /// The window's registration has an active worker.
    Ready { registration: RegistrationInfo },
    /// The window has a new controller.
    Controller { worker: WorkerInfo },
    /// Fire this event.
    Fire { event: u32, name: LifecycleEvent },
    /// Fire a `message` event at this worker.
    WorkerMessage { event: u32, message: Message, source: Source },
    /// Fire a `message` event at `navigator.serviceWorker`.
    ClientMessage { message: Message, source: Source },
}

impl ToRealm {
    pub(crate) fn message(&mut self) -> Option<&mut Message> {
        match self {
            Self::WorkerMessage { message, .. } | Self::ClientMessage { message, .. } => {
                Some(message)
            }
            _ => None,
        }
    }
}

/// The result of a call.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer {
    Registrations(Vec<RegistrationInfo>),
    Clients(Vec<ClientInfo>),
    Bool(bool),
    Done,
    Error(Exception),
}

/// An exception: a `TypeError`, or the name of a `DOMException`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Exception {
    pub(crate) name: &'static str,
    pub(crate) message: String,
}

impl Exception {
    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Self { name: "TypeError", message: message.into() }
    }

    /// No current event shows that the user wants a window.
    pub(crate) fn no_activation() -> Self {
        let message = "This is only allowed while a click is handled".to_owned();
        Self { name: "InvalidAccessError", message }
    }

    pub(crate) fn invalid_state(message: impl Into<String>) -> Self {
        Self { name: "InvalidStateError", message: message.into() }
    }

    pub(crate) fn security(message: impl Into<String>) -> Self {
        Self { name: "SecurityError", message: message.into() }
    }
}

/// A message from a realm.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum FromRealm {
    /// `register()`, with parsed URLs.
    #[serde(rename_all = "camelCase")]
    Register { call: u32, script: Url, scope: Option<Url>, update_via_cache: UpdateViaCache },
    /// `update()`
    Update { call: u32, registration: u32 },
    /// `getRegistration()`
    GetRegistration { call: u32, url: Url },
    /// `getRegistrations()`
    GetRegistrations { call: u32 },
    /// `unregister()`
    Unregister { call: u32, registration: u32 },
    /// `skipWaiting()`
    SkipWaiting { call: u32 },
    /// `clients.claim()`
    Claim { call: u32 },
    /// `clients.matchAll()`, for windows.
    #[serde(rename_all = "camelCase")]
    MatchClients { call: u32, include_uncontrolled: bool },
    /// `clients.get()`
    GetClient { call: u32, id: String },
    /// `clients.openWindow()`
    OpenWindow { call: u32, url: Url },
    /// `WindowClient.focus()`
    Focus { call: u32, client: String },
    /// `ServiceWorker.postMessage()`
    PostToWorker { worker: u32, message: Message },
    /// `Client.postMessage()`
    PostToClient { client: String, message: Message },
    /// The event has ended: its dispatch and its extended lifetime.
    Fired { event: u32, rejected: Option<String> },
    /// The realm has ended.
    #[serde(skip)]
    Ended,
}

impl FromRealm {
    pub(crate) fn message(&mut self) -> Option<&mut Message> {
        match self {
            Self::PostToWorker { message, .. } | Self::PostToClient { message, .. } => {
                Some(message)
            }
            _ => None,
        }
    }
}

/// A realm's connection to the owner of the service workers.
pub(crate) struct Connection {
    pub(crate) realm: RealmId,
    pub(crate) at_start: AtStart,
    pub(crate) inbox: Option<mpsc::UnboundedReceiver<ToRealm>>,
    pub(crate) outbox: mpsc::UnboundedSender<(RealmId, FromRealm)>,
    /// Loads a script for `importScripts()`. Blocks.
    pub(crate) import: Option<Import>,
}

pub(crate) type Import = Box<dyn Fn(Url) -> Result<Imported, String> + Send>;

/// A script that a worker imports.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    pub(crate) source: String,
    /// See [`LoadedScript::has_muted_errors`](crate::LoadedScript::has_muted_errors).
    pub(crate) has_muted_errors: bool,
}

impl From<LoadedScript> for Imported {
    fn from(LoadedScript { source, has_muted_errors, .. }: LoadedScript) -> Self {
        Self { source, has_muted_errors }
    }
}

impl Connection {
    /// A realm can ignore that the owner is gone, because it will end soon, too.
    pub(crate) fn send(&self, message: FromRealm) {
        drop(self.outbox.send((self.realm, message)));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.send(FromRealm::Ended);
    }
}
