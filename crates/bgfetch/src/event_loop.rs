//! The engine's event loop: it feeds the model and the scheduler and executes their decisions.
//!
//! Everything that happens is a [`Message`] in one inbox. The loop waits only for that inbox, the
//! model's next timer and the network's state.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bgfetch_model::action::BodiesCommand;
use bgfetch_model::attempt::{AttemptCommand, AttemptEvent};
use bgfetch_model::connectivity::Connectivity;
use bgfetch_model::ids::{AttemptId, CallId, FetchKey, RegistrationKey};
use bgfetch_model::input::Input;
use bgfetch_model::model::Model;
use bgfetch_model::time::{Instant, Now};
use bgfetch_net::connectivity::{ConnectivitySource, SystemConnectivity};
use bgfetch_net::scheduler::{Priority, Scheduler};
use bgfetch_net::throttle::Throttle;
use bgfetch_store::{Ack, Bodies, StoreThread};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::clients::Clients;
use crate::embedder::{Permissions, Quota, WallClock};
use crate::inbox::{Answer, FetchAnswer, Inbox, Message, View};
use crate::observer::Observers;
use crate::request_info::RequestBody;
use crate::turns::Turns;
use crate::watchers::Watchers;
use bgfetch_net::attempt::Timeouts;
use bgfetch_net::fetcher::Fetcher;
use bgfetch_sw::{Dispatcher, FunctionalEvent};

/// An embedder's hint at how urgent a fetch is.
pub(crate) type Prioritize = dyn Fn(&RegistrationKey, &str) -> Priority + Send + Sync;

/// The engine's state, owned by its loop.
pub(crate) struct EventLoop {
    pub(crate) model: Model,
    pub(crate) scheduler: Scheduler,
    pub(crate) throttle: Throttle,
    pub(crate) prioritize: Arc<Prioritize>,
    pub(crate) store: StoreThread,
    pub(crate) bodies: Arc<dyn Bodies>,
    pub(crate) fetcher: Arc<dyn Fetcher>,
    pub(crate) timeouts: Timeouts,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) permissions: Arc<dyn Permissions>,
    pub(crate) quota: Arc<dyn Quota>,
    pub(crate) wall_clock: Arc<dyn WallClock>,
    /// Taken when the loop starts; the system's watcher if the embedder supplied none.
    pub(crate) connectivity: Option<Arc<dyn ConnectivitySource>>,
    pub(crate) clients: Clients,
    pub(crate) observers: Observers,
    pub(crate) watchers: Watchers,
    pub(crate) inbox: Inbox,
    pub(crate) messages: mpsc::UnboundedReceiver<Message>,
    pub(crate) opened: tokio::time::Instant,
    pub(crate) calls: BTreeMap<CallId, oneshot::Sender<Answer>>,
    pub(crate) fetch_calls: BTreeMap<CallId, oneshot::Sender<FetchAnswer>>,
    /// The bodies of calls that wait for permission.
    pub(crate) call_bodies: BTreeMap<CallId, Vec<Option<RequestBody>>>,
    /// The command channels of running attempts.
    pub(crate) attempts: BTreeMap<AttemptId, mpsc::UnboundedSender<AttemptCommand>>,
    /// Answers that were ready when the question was asked.
    pub(crate) answers: VecDeque<Input>,
    /// The tasks that store request bodies or fire events, by fetch.
    pub(crate) fetch_tasks: BTreeMap<FetchKey, AbortHandle>,
    /// The settling events that are being fired.
    pub(crate) events: BTreeMap<FetchKey, FunctionalEvent>,
    /// The command channels of the tasks that store request bodies.
    pub(crate) body_commands: BTreeMap<FetchKey, mpsc::UnboundedSender<BodiesCommand>>,
    pub(crate) verifications: Turns,
    pub(crate) tasks: JoinSet<()>,
}

impl EventLoop {
    /// Runs until the engine is closed or its store fails.
    pub(crate) async fn run(mut self) {
        let _panics = Panics(self.inbox.clone());
        let source: Arc<dyn ConnectivitySource> = match self.connectivity.take() {
            Some(source) => source,
            None => Arc::new(SystemConnectivity::start().await),
        };
        let mut connectivity = source.watch();
        let state = connectivity.borrow_and_update().clone();
        self.handle(Input::Connectivity(state));
        // Until the store does the work that it has no thread for.
        let mut store_works = None;
        loop {
            if store_works.is_none() && self.store.is_due() {
                store_works = Some(self.inbox.blocking().pause().boxed());
            }
            let timeout = self.model.poll_timeout();
            // A deadline beyond the clock's range is never reached.
            let timeout = timeout.and_then(|at| self.opened.checked_add(at.0));
            tokio::select! {
                // The inbox comes last except for the clock (the model looks at the time with every
                // input), so that a flood of messages delays nothing else.
                biased;
                state = changed(&mut connectivity) => {
                    let tell = || self.fetcher.network_changed();
                    if catch_unwind(AssertUnwindSafe(tell)).is_err() {
                        tracing::error!("the fetcher panicked when the network changed");
                    }
                    self.handle(Input::Connectivity(state));
                }
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a task of the engine panicked");
                    }
                }
                message = self.messages.recv() => match message {
                    Some(Message::Close { orderly }) => return self.close(orderly).await,
                    Some(Message::Ack(Ack::Failed(error))) => {
                        // Crash-only: what is durable is consistent; nothing else can be promised.
                        tracing::error!(%error, "the store failed; the engine stops");
                        self.inbox.stopped(error.to_string());
                        return self.close(None).await;
                    }
                    Some(message) => self.receive(message),
                    None => return,
                },
                () = until(&mut store_works) => {
                    store_works = None;
                    self.store.turn();
                }
                () = sleep_until(timeout) => self.handle(Input::Tick),
            }
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Input(input) => {
                match &input {
                    Input::Attempt(attempt, AttemptEvent::Ended { .. }) => {
                        self.attempts.remove(attempt);
                    }
                    Input::CallDropped(call) => {
                        self.fetch_calls.remove(call);
                        self.call_bodies.remove(call);
                    }
                    _ => {}
                }
                self.handle(input);
            }
            Message::FetchTaskEnded(fetch, input) => {
                self.fetch_tasks.remove(&fetch);
                self.events.remove(&fetch);
                self.body_commands.remove(&fetch);
                self.handle(input);
            }
            Message::Call { call, input, reply } => {
                self.calls.insert(call, reply);
                self.handle(input);
            }
            Message::Fetch { call, bodies, reply } => {
                self.fetch_calls.insert(call.call, reply);
                self.call_bodies.insert(call.call, bodies);
                self.handle(Input::Fetch(call));
            }
            Message::ReadHead(record, reply) => {
                // The caller may be gone, and the engine may be about to end.
                let answer = move |head| drop(reply.send(head));
                self.store.read_head(record, answer).unwrap_or_default();
            }
            Message::Read(read) => read(&mut View {
                model: &self.model,
                clients: &mut self.clients,
                observers: &mut self.observers,
                watchers: &mut self.watchers,
                bodies: &self.bodies,
                throttle: &self.throttle,
                #[cfg(test)]
                going_on: [
                    self.calls.len(),
                    self.fetch_calls.len(),
                    self.call_bodies.len(),
                    self.attempts.len(),
                    self.fetch_tasks.len() + self.events.len() + self.body_commands.len(),
                    self.tasks.len(),
                ],
            }),
            Message::SetLimits(limits, done) => {
                self.scheduler.set_limits(limits);
                self.drain();
                // The caller may be gone.
                done.send(()).unwrap_or_default();
            }
            Message::Ack(Ack::Committed(commit)) => self.handle(Input::Committed(commit)),
            // Handled by the caller.
            Message::Ack(Ack::Failed(_)) | Message::Close { .. } => {}
        }
    }

    /// Feeds the model one input and executes what follows.
    pub(crate) fn handle(&mut self, input: Input) {
        self.model.handle(self.now(), input);
        self.drain();
    }

    /// The model's drain rule. Answers that are ready and slots that the scheduler grants are
    /// inputs too.
    pub(crate) fn drain(&mut self) {
        loop {
            while let Some(action) = self.model.poll_action() {
                self.execute(action);
            }
            let next = self.answers.pop_front();
            let input = match next.or_else(|| self.scheduler.next().map(Input::SlotGranted)) {
                Some(input) => input,
                None => return,
            };
            self.model.handle(self.now(), input);
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { monotonic: Instant(self.opened.elapsed()), wall: self.wall_clock.now() }
    }

    /// Events that workers have ended, but whose tasks have not run since: these are not fired again.
    fn end_events(&mut self) {
        for (fetch, event) in std::mem::take(&mut self.events) {
            if let Some(outcome) = event.outcome() {
                self.handle(Input::EventEnded { fetch, outcome });
            }
        }
    }

    /// Ends without losing a byte: the lengths of the files are authoritative, and what was decided
    /// is committed. All writers have stopped before the store is closed.
    async fn close(mut self, orderly: Option<oneshot::Sender<()>>) {
        if orderly.is_some() {
            self.end_events();
        }
        self.tasks.shutdown().await;
        let Self { store, inbox, watchers, .. } = self;
        // Both block.
        let is_orderly = orderly.is_some();
        let give_up = move || {
            if is_orderly {
                return store.shutdown();
            }
            drop(store);
            Ok(())
        };
        match inbox.blocking().run_apart("bgfetch-closing", give_up).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::error!(%error, "the store could not be closed");
                inbox.stopped(error.to_string());
            }
            None => tracing::error!("the store was not closed"),
        }
        // Ends the records that scripts still hold before the end is reported.
        drop(watchers);
        if let Some(done) = orderly {
            // The caller of `shutdown()` may have dropped its future.
            done.send(()).unwrap_or_default();
        }
    }
}

/// Reports if the loop panics.
struct Panics(Inbox);

impl Drop for Panics {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stopped("it panicked".into());
        }
    }
}

async fn until(time: &mut Option<BoxFuture<'static, ()>>) {
    match time {
        Some(time) => time.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The next state of the network. If the source is gone, the state never changes again.
async fn changed(connectivity: &mut watch::Receiver<Connectivity>) -> Connectivity {
    match connectivity.changed().await {
        Ok(()) => connectivity.borrow_and_update().clone(),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use bgfetch_model::ids::StorageKey;
    use bgfetch_testkit::{Origin, Reply, Resource, Serve};
    use futures_util::FutureExt;
    use futures_util::stream;

    use crate::mock::{Behaviour, ScriptedHost};
    use crate::{Engine, FetchOptions, RequestInfo, What};

    #[tokio::test]
    async fn nothing_is_kept_of_what_is_over() {
        let origin = Origin::start();
        origin.serve("/cut", Resource::new(1, 9000).cut_after(100).then(Resource::new(1, 9000)));
        origin.serve("/upload", Reply::status(200));
        let engine = Engine::builder()
            .ephemeral()
            .configure(|config| config.retry.interrupted.base = std::time::Duration::ZERO)
            .worker_host(ScriptedHost::new([Behaviour::Succeed]))
            .open()
            .unwrap();
        let (key, scope) = (StorageKey("a".into()), origin.url("/"));
        let manager = engine.register(key, scope).await.unwrap().background_fetch();

        // A call whose caller dropped it while its body was being read.
        let never = RequestInfo::new("POST", origin.url("/upload"))
            .body_stream(stream::once(pending::<std::io::Result<bytes::Bytes>>()));
        let mut call = Box::pin(manager.fetch("never", [never], FetchOptions::default()));
        assert!((&mut call).now_or_never().is_none());
        drop(call);

        let mut observer = engine.observe().await.unwrap();
        let upload = RequestInfo::new("POST", origin.url("/upload")).body("photo");
        let requests = [origin.url("/cut").into(), upload];
        let fetch = manager.fetch("id", requests, FetchOptions::default()).await.unwrap();
        assert_eq!(fetch.settled().await.unwrap(), Ok(()));
        while !matches!(observer.next().await.unwrap().what, What::EventEnded { .. }) {}

        // The last task is joined a moment after it reported its end.
        loop {
            let going_on = engine.inbox().read(|view| view.going_on).await.unwrap();
            let [calls @ .., tasks] = going_on;
            assert_eq!(calls, [0; 5]);
            if tasks == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
