//! What every handle holds: the way to the engine's loop.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bgfetch_model::action::Reply;
use bgfetch_model::background_fetch_manager::fetch::FetchCall;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::CallId;
use bgfetch_model::input::Input;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::background_fetch_manager::StartHold;
use crate::background_fetch_registration::BackgroundFetchRegistration;
use crate::error::{Error, Kind, Result};
use crate::event_loop::{Message, View};
use crate::request_info::RequestBody;

/// The answer to a call.
pub(crate) type Answer = std::result::Result<Reply, CallError>;

/// The answer to a call of `fetch()`. Where nobody takes it the hold in it is dropped, and the
/// fetch starts.
pub(crate) type FetchAnswer =
    std::result::Result<(BackgroundFetchRegistration, StartHold), CallError>;

/// A handle's way to the loop. It does not keep the engine alive.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

struct Inner {
    inbox: mpsc::UnboundedSender<Message>,
    runtime: Handle,
    next_call: AtomicU64,
    /// Why the engine stopped, where it was not asked to.
    stopped: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(inbox: mpsc::UnboundedSender<Message>, runtime: Handle) -> Self {
        let (next_call, stopped) = (AtomicU64::new(0), Mutex::new(None));
        Self(Arc::new(Inner { inbox, runtime, next_call, stopped }))
    }

    pub(crate) fn inbox(&self) -> mpsc::UnboundedSender<Message> {
        self.0.inbox.clone()
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Sends a message; where the loop is gone there is nothing left to tell it.
    pub(crate) fn send(&self, message: Message) {
        self.0.inbox.send(message).unwrap_or_default();
    }

    /// Makes a call that the model answers.
    pub(crate) async fn call(&self, input: impl FnOnce(CallId) -> Input) -> Result<Reply> {
        let (reply, answer) = oneshot::channel();
        self.send_call(input, reply);
        Ok(answer.await.map_err(|_| self.closed_error())??)
    }

    /// Makes a call whose answer goes elsewhere.
    pub(crate) fn send_call(
        &self,
        input: impl FnOnce(CallId) -> Input,
        reply: oneshot::Sender<Answer>,
    ) {
        let call = self.next_call();
        self.send(Message::Call { call, input: input(call), reply });
    }

    /// Makes a call of `fetch()`. It is withdrawn when the future is dropped, unless it `goes_on`.
    pub(crate) async fn fetch(
        &self,
        call: impl FnOnce(CallId) -> FetchCall,
        bodies: Vec<Option<RequestBody>>,
        goes_on: bool,
    ) -> Result<(BackgroundFetchRegistration, StartHold)> {
        let (reply, answer) = oneshot::channel();
        let id = self.next_call();
        let withdraw = Withdraw { shared: self, call: id, armed: !goes_on };
        self.send(Message::Fetch { call: Box::new(call(id)), bodies, reply });
        let answer = answer.await;
        withdraw.disarm();
        Ok(answer.map_err(|_| self.closed_error())??)
    }

    /// Looks at the engine's state, between two inputs.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut View<'_>) -> T + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Read(Box::new(move |view| {
            // Whoever asked may have gone away.
            drop(sender.send(read(view)));
        })));
        receiver.await.map_err(|_| self.closed_error())
    }

    /// Why the engine does not answer any more.
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Says that a caller is gone.
struct Withdraw<'a> {
    shared: &'a Shared,
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
            self.shared.send(Message::Input(Input::CallDropped(self.call)));
        }
    }
}
