//! A scripted mock worker host, for tests and examples. A script decides what happens to each
//! event, and the host records what happened, so a test can wait for it instead of sleeping.
//!
//! ```
//! use std::sync::Arc;
//! use bgfetch_model::ids::{FetchKey, RegistrationKey, StorageKey};
//! use bgfetch_sw::mock::{Behaviour, ScriptedHost};
//! use bgfetch_sw::{
//!     Dispatcher, EventKind, FunctionalEventInit, NotHandledReason, Outcome, Timeouts, UiSink,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = ScriptedHost::new([Behaviour::Absent, Behaviour::Succeed]);
//! let ui = UiSink::new(|_fetch, _update| async { Ok(()) });
//! let dispatcher = Dispatcher::new(Arc::new(host.clone()), ui, Timeouts::default());
//! let event = FunctionalEventInit {
//!     kind: EventKind::Success,
//!     fetch: FetchKey(1),
//!     registration: RegistrationKey {
//!         storage_key: StorageKey("https://app.example".into()),
//!         scope: "https://app.example/".parse()?,
//!     },
//!     id: "episode-5".into(),
//! };
//!
//! let outcome = dispatcher.fire(event.clone()).await;
//! assert_eq!(outcome, Outcome::NotHandled(NotHandledReason::NoActiveWorker));
//! assert!(dispatcher.fire(event).await.is_handled());
//!
//! let received = host.received();
//! assert_eq!(received.len(), 2);
//! assert!(!received[0].listeners_ran && received[1].listeners_ran);
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::future::{pending, ready};
use std::sync::Arc;

use bgfetch_model::delivery::Rejection;
use bgfetch_model::ids::{FetchKey, RegistrationKey};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::functional_event::FunctionalEvent;
use crate::update_ui::{UiUpdate, UpdateUiError};
use crate::worker_host::{DispatchError, WorkerHost};
use bgfetch_model::event::EventKind;

/// What happens to an event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Behaviour {
    /// The listener calls `waitUntil()` with a promise that is fulfilled.
    Succeed,
    /// The listener calls `waitUntil()` with a promise that never settles.
    NeverSettle,
    /// The listener throws before it calls `waitUntil()`; the event is handled all the same.
    Throw,
    /// The listener calls `waitUntil()` with a promise that is rejected.
    Reject,
    /// The worker crashes before its listeners have run.
    CrashBeforeListeners,
    /// The worker crashes after its listeners have run, while a promise is pending.
    CrashAfterListeners,
    /// The registration has no active worker.
    Absent,
    /// The worker is not to be started yet.
    NotYet,
    /// The worker fails to start.
    FailToStart,
    /// The worker never finishes starting.
    NeverStart,
    /// The listener calls `waitUntil(updateUI(...))`.
    UpdateUi(UiUpdate),
    /// The listener calls `updateUI()` twice with the same update and waits for both.
    UpdateUiTwice(UiUpdate),
    /// The listener does nothing, and the worker calls `updateUI()` after the event is over. Needs
    /// a tokio runtime to run that call.
    UpdateUiLate(UiUpdate),
    /// The listener calls `waitUntil()` with the promise that the handler returns.
    Run(Handler),
}

impl Behaviour {
    /// A [`Run`](Self::Run) of this function.
    pub fn run<F, R>(handler: F) -> Self
    where
        F: Fn(FunctionalEvent) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Rejection>> + Send + 'static,
    {
        Self::Run(Handler(Arc::new(move |event| handler(event).boxed())))
    }
}

/// A listener written in Rust; see [`Behaviour::run`].
#[derive(Clone)]
pub struct Handler(Arc<Listener>);

type Listener = dyn Fn(FunctionalEvent) -> BoxFuture<'static, Result<(), Rejection>> + Send + Sync;

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handler").finish_non_exhaustive()
    }
}

/// The record of one dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The kind of event.
    pub kind: EventKind,
    /// The background fetch that it was about.
    pub fetch: FetchKey,
    /// The registration at which it was fired.
    pub registration: RegistrationKey,
    /// The id of the fetch.
    pub id: String,
    /// Whether the listeners ran; false if the worker was absent, did not start or crashed first.
    pub listeners_ran: bool,
    /// The results of the `updateUI()` calls, in the order in which they ended.
    pub update_ui_results: Vec<Result<(), UpdateUiError>>,
}

/// The scripted host; clones are the same host.
#[derive(Clone)]
pub struct ScriptedHost(Arc<Shared>);

struct Shared {
    script: Mutex<Box<Script>>,
    received: Mutex<Vec<Received>>,
    changed: Notify,
}

type Script = dyn FnMut(&FunctionalEvent) -> Behaviour + Send;

impl ScriptedHost {
    /// A host that applies these behaviours to its events one after the other. The last one
    /// repeats; an empty script is [`Behaviour::Succeed`].
    pub fn new(script: impl IntoIterator<Item = Behaviour>) -> Self {
        let mut script: VecDeque<_> = script.into_iter().collect();
        let last = script.pop_back().unwrap_or(Behaviour::Succeed);
        Self::choosing(move |_| script.pop_front().unwrap_or_else(|| last.clone()))
    }

    /// A host that calls `script` for the behaviour of each event.
    pub fn choosing(script: impl FnMut(&FunctionalEvent) -> Behaviour + Send + 'static) -> Self {
        Self(Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            received: Mutex::new(Vec::new()),
            changed: Notify::new(),
        }))
    }

    /// Every dispatch so far, in order, including unfinished ones.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.0.received.lock().clone()
    }

    /// Waits until the recorded dispatches satisfy `condition`, and returns them.
    pub async fn until(&self, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        loop {
            let changed = self.0.changed.notified();
            let received = self.received();
            if condition(&received) {
                return received;
            }
            changed.await;
        }
    }

    /// A cursor over the dispatches, starting at the first.
    #[must_use]
    pub fn events(&self) -> Events {
        Events { host: self.clone(), seen: 0 }
    }

    fn record(&self, event: &FunctionalEvent) -> usize {
        let index = {
            let mut received = self.0.received.lock();
            received.push(Received {
                kind: event.kind(),
                fetch: event.fetch(),
                registration: event.registration().clone(),
                id: event.id().to_owned(),
                listeners_ran: false,
                update_ui_results: Vec::new(),
            });
            received.len() - 1
        };
        self.0.changed.notify_waiters();
        index
    }

    fn amend(&self, index: usize, amend: impl FnOnce(&mut Received)) {
        if let Some(received) = self.0.received.lock().get_mut(index) {
            amend(received);
        }
        self.0.changed.notify_waiters();
    }

    /// `updateUI()` as a promise that rejects if the call does.
    async fn update_ui(
        self,
        index: usize,
        event: FunctionalEvent,
        update: UiUpdate,
    ) -> Result<(), Rejection> {
        let result = event.update_ui(update).await;
        self.amend(index, |received| {
            received.update_ui_results.push(result.clone());
        });
        result.map_err(|error| Rejection(error.to_string()))
    }

    /// Plays one behaviour: the worker's start, its listener, and the promise that the listener
    /// gives to `waitUntil()`.
    async fn play(
        self,
        index: usize,
        event: FunctionalEvent,
        behaviour: Behaviour,
    ) -> Result<(), DispatchError> {
        let (host, handle) = (self.clone(), event.clone());
        let promise: Option<BoxFuture<'static, Result<(), Rejection>>> = match behaviour {
            Behaviour::Absent => return Err(DispatchError::NoActiveWorker),
            Behaviour::NotYet => return Err(DispatchError::NotYet),
            Behaviour::FailToStart => return Err(DispatchError::StartFailed(scripted())),
            Behaviour::CrashBeforeListeners => return Err(DispatchError::Crashed(scripted())),
            Behaviour::NeverStart => return pending().await,
            Behaviour::Throw => None,
            Behaviour::Succeed => Some(ready(Ok(())).boxed()),
            Behaviour::Reject => Some(ready(Err(Rejection(scripted()))).boxed()),
            Behaviour::NeverSettle => Some(pending().boxed()),
            Behaviour::CrashAfterListeners => {
                // Promises are polled after the listener, so the dispatch has already ended.
                let crash = async move {
                    handle.worker_terminated(scripted());
                    pending().await
                };
                Some(crash.boxed())
            }
            Behaviour::UpdateUi(update) => Some(host.update_ui(index, handle, update).boxed()),
            Behaviour::UpdateUiTwice(update) => {
                let first = host.clone().update_ui(index, handle.clone(), update.clone());
                let second = host.update_ui(index, handle, update);
                Some(async { first.await.and(second.await) }.boxed())
            }
            Behaviour::UpdateUiLate(update) => {
                tokio::spawn(async move {
                    handle.ended().await;
                    host.update_ui(index, handle, update).await
                });
                None
            }
            Behaviour::Run(handler) => Some((handler.0)(handle)),
        };
        self.amend(index, |received| received.listeners_ran = true);
        if let Some(promise) = promise {
            // Refused only if the dispatcher has stopped waiting for the event.
            event.wait_until(promise).map_err(|error| DispatchError::Crashed(error.to_string()))?;
        }
        event.end_dispatch();
        Ok(())
    }
}

/// The message of scripted crashes, rejections and failed starts.
fn scripted() -> String {
    String::from("scripted")
}

impl WorkerHost for ScriptedHost {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let index = self.record(&event);
        let behaviour = (self.0.script.lock())(&event);
        self.clone().play(index, event, behaviour).boxed()
    }
}

impl fmt::Debug for ScriptedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedHost")
            .field("received", &*self.0.received.lock())
            .finish_non_exhaustive()
    }
}

/// A cursor over the dispatches of a [`ScriptedHost`].
#[derive(Clone, Debug)]
pub struct Events {
    host: ScriptedHost,
    seen: usize,
}

impl Events {
    /// Waits for the next dispatch. Its record may still change; see [`ScriptedHost::until`]. Waits
    /// for ever if there is none.
    pub async fn next(&mut self) -> Received {
        loop {
            let changed = self.host.0.changed.notified();
            let next = self.host.0.received.lock().get(self.seen).cloned();
            if let Some(next) = next {
                self.seen += 1;
                return next;
            }
            changed.await;
        }
    }
}
