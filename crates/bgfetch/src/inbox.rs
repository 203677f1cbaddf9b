//! The loop's messages, and the sender that every handle holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bgfetch_model::action::FetchSnapshot;
use bgfetch_model::action::Reply;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{CallId, FetchKey, RecordKey};
use bgfetch_model::input::FetchCall;
use bgfetch_model::input::Input;
use bgfetch_model::model::Model;
use bgfetch_net::scheduler::Limits;
use bgfetch_net::throttle::Throttle;
use bgfetch_store::{Ack, Bodies, StoreError, StoredHead};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::blocking::Blocking;
use crate::clients::Clients;
use crate::error::{Error, Kind, Result};
use crate::observer::Observers;
use crate::request_info::RequestBody;
use crate::watchers::Watchers;

/// A message to the loop.
pub(crate) enum Message {
    /// For the model.
    Input(Input),
    /// The outcome of a fetch's task.
    FetchTaskEnded(FetchKey, Input),
    /// For the model, which answers.
    Call { call: CallId, input: Input, reply: oneshot::Sender<Answer> },
    /// A call to `fetch()`, with its request bodies.
    Fetch {
        call: Box<FetchCall>,
        bodies: Vec<Option<RequestBody>>,
        reply: oneshot::Sender<FetchAnswer>,
    },
    /// Reads the head of a record's response from the store.
    ReadHead(RecordKey, oneshot::Sender<std::result::Result<Option<StoredHead>, StoreError>>),
    /// Changes how many attempts may run at once.
    SetLimits(Limits, oneshot::Sender<()>),
    /// Reads the state.
    Read(Box<dyn FnOnce(&mut View<'_>) + Send>),
    /// The store's answer.
    Ack(Ack),
    /// Ends the loop, gracefully or as in a crash.
    Close { orderly: Option<oneshot::Sender<()>> },
}

/// What a reader may see.
pub(crate) struct View<'a> {
    pub(crate) model: &'a Model,
    pub(crate) clients: &'a mut Clients,
    pub(crate) observers: &'a mut Observers,
    pub(crate) watchers: &'a mut Watchers,
    pub(crate) bodies: &'a Arc<dyn Bodies>,
    pub(crate) throttle: &'a Throttle,
    /// How many calls, attempts and tasks the loop keeps.
    #[cfg(test)]
    pub(crate) going_on: [usize; 6],
}

/// The answer to a call.
pub(crate) type Answer = std::result::Result<Reply, CallError>;

/// The answer to a call to `fetch()`. If nobody takes it, the hold in it is dropped and the fetch
/// starts.
pub(crate) type FetchAnswer = std::result::Result<(FetchSnapshot, StartHold), CallError>;

/// A handle's sender to the loop. It does not keep the engine alive.
#[derive(Clone)]
pub(crate) struct Inbox(Arc<Inner>);

struct Inner {
    messages: mpsc::UnboundedSender<Message>,
    blocking: Blocking,
    next_call: AtomicU64,
    /// Why the engine stopped, if it was not asked to.
    stopped: Mutex<Option<String>>,
}

impl Inbox {
    pub(crate) fn new(messages: mpsc::UnboundedSender<Message>, blocking: Blocking) -> Self {
        let (next_call, stopped) = (AtomicU64::new(0), Mutex::new(None));
        Self(Arc::new(Inner { messages, blocking, next_call, stopped }))
    }

    /// Whether the loop is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.messages.is_closed()
    }

    /// Waits until the loop is gone.
    pub(crate) async fn closed(&self) {
        self.0.messages.closed().await;
    }

    /// Where work that blocks runs.
    pub(crate) fn blocking(&self) -> &Blocking {
        &self.0.blocking
    }

    /// Sends a message. If the loop is gone, the message is dropped.
    pub(crate) fn send(&self, message: Message) {
        self.0.messages.send(message).unwrap_or_default();
    }

    /// Makes a call that the model answers.
    pub(crate) async fn call(&self, input: impl FnOnce(CallId) -> Input) -> Result<Reply> {
        let (reply, answer) = oneshot::channel();
        self.send_call(input, reply);
        Ok(answer.await.map_err(|_| self.closed_error())??)
    }

    /// Makes a call whose answer goes to `reply`.
    pub(crate) fn send_call(
        &self,
        input: impl FnOnce(CallId) -> Input,
        reply: oneshot::Sender<Answer>,
    ) {
        let call = self.next_call();
        self.send(Message::Call { call, input: input(call), reply });
    }

    /// Makes a call to `fetch()`. The call is withdrawn when the future is dropped, unless it
    /// `goes_on`.
    pub(crate) async fn fetch(
        &self,
        call: impl FnOnce(CallId) -> FetchCall,
        bodies: Vec<Option<RequestBody>>,
        goes_on: bool,
    ) -> Result<(FetchSnapshot, StartHold)> {
        let (reply, answer) = oneshot::channel();
        let id = self.next_call();
        let withdraw = Withdraw { inbox: self, call: id, armed: !goes_on };
        self.send(Message::Fetch { call: Box::new(call(id)), bodies, reply });
        let answer = answer.await;
        withdraw.disarm();
        Ok(answer.map_err(|_| self.closed_error())??)
    }

    /// Reads the engine's state, between two inputs.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut View<'_>) -> T + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Read(Box::new(move |view| {
            // The caller may be gone.
            drop(sender.send(read(view)));
        })));
        receiver.await.map_err(|_| self.closed_error())
    }

    /// Reads the head of a record's response from the store. None if it has none or is gone, or if
    /// the engine is.
    pub(crate) async fn read_head(
        &self,
        record: RecordKey,
    ) -> std::result::Result<Option<StoredHead>, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::ReadHead(record, sender));
        receiver.await.unwrap_or(Ok(None))
    }

    /// Why the engine no longer answers.
    pub(crate) fn closed_error(&self) -> Error {
        Error(self.0.stopped.lock().clone().map_or(Kind::Closed, Kind::Stopped))
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.0.stopped.lock().is_some()
    }

    pub(crate) fn stopped(&self, reason: String) {
        *self.0.stopped.lock() = Some(reason);
    }

    fn next_call(&self) -> CallId {
        CallId(self.0.next_call.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// Tells the loop that a caller is gone.
struct Withdraw<'a> {
    inbox: &'a Inbox,
    call: CallId,
    armed: bool,
}

impl Withdraw<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.inbox.send(Message::Input(Input::CallDropped(self.call)));
        }
    }
}

/// Holds back the requests of a new fetch until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it starts the work"]
pub struct StartHold {
    fetch: FetchKey,
    inbox: Inbox,
}

impl StartHold {
    pub(crate) fn new(fetch: FetchKey, inbox: Inbox) -> Self {
        Self { fetch, inbox }
    }
}

impl Drop for StartHold {
    fn drop(&mut self) {
        self.inbox.send(Message::Input(Input::CallerReady(self.fetch)));
    }
}

/// A message that something waits for. If the task that owes it ends early (because an embedder's
/// part panics, for example), the loop still gets an answer: a fallback is sent when this is
/// dropped without having been [paid](Self::pay).
pub(crate) struct Owed {
    inbox: Inbox,
    otherwise: Option<Message>,
}

impl Owed {
    pub(crate) fn new(inbox: &Inbox, otherwise: Message) -> Self {
        Self { inbox: inbox.clone(), otherwise: Some(otherwise) }
    }

    pub(crate) fn pay(mut self, message: Message) {
        self.otherwise = Some(message);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(message) = self.otherwise.take() {
            self.inbox.send(message);
        }
    }
}
