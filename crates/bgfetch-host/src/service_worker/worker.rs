//! A service worker: its scripts, its state, and its realm while it runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::{EventKind, FunctionalEvent, RegistrationKey};
use bgfetch_deno::EventsSender;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use tokio::time::timeout;
use url::Url;

use super::Inner;
use super::stored::Scripts;
use crate::message::{LifecycleEvent, Message, RealmId, Source, ToRealm, WorkerInfo, WorkerState};
use crate::policies::snapshot;
use crate::realm::Realm;
use crate::script_loader::{ScriptClient, module_hint};

pub(crate) struct Worker {
    pub(crate) id: u32,
    pub(crate) key: RegistrationKey,
    pub(crate) script_url: Url,
    pub(crate) state: watch::Sender<WorkerState>,
    pub(crate) skip_waiting: Mutex<bool>,
    pub(crate) scripts: Mutex<Scripts>,
    /// Posted messages that wait for the worker's start, in order.
    pub(crate) messages: Mutex<VecDeque<(Message, Source)>>,
    /// Locked during a start, so that the worker starts only once.
    running: AsyncMutex<Option<Arc<Running>>>,
    /// Changes when the worker is told to stop; ends a start that is under way.
    stops: watch::Sender<()>,
    /// The number of leases that keep it alive, for events that have not ended.
    busy: watch::Sender<usize>,
}

/// A worker's realm.
pub(crate) struct Running {
    /// The realm, until the worker is terminated.
    realm: Mutex<Option<Realm>>,
    pub(crate) id: RealmId,
    pub(crate) events: EventsSender,
    inbox: mpsc::UnboundedSender<ToRealm>,
    lifecycle: Mutex<Lifecycle>,
    /// Functional events that may be active.
    functional: Mutex<Vec<FunctionalEvent>>,
}

/// Fired events that have not ended.
#[derive(Default)]
struct Lifecycle {
    next: u32,
    fired: HashMap<u32, oneshot::Sender<Option<String>>>,
}

impl Worker {
    pub(crate) fn new(
        id: u32,
        key: RegistrationKey,
        script_url: Url,
        state: WorkerState,
        scripts: Scripts,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            key,
            script_url,
            state: watch::Sender::new(state),
            skip_waiting: Mutex::new(false),
            scripts: Mutex::new(scripts),
            messages: Mutex::default(),
            running: AsyncMutex::new(None),
            stops: watch::Sender::new(()),
            busy: watch::Sender::new(0),
        })
    }

    pub(crate) fn state(&self) -> WorkerState {
        *self.state.borrow()
    }

    pub(crate) fn info(&self) -> WorkerInfo {
        WorkerInfo { id: self.id, script_url: self.script_url.clone(), state: self.state() }
    }

    /// The worker as a client that imports scripts.
    pub(crate) fn client(&self) -> ScriptClient {
        let policies = self.scripts.lock().policies.clone();
        ScriptClient {
            storage_key: self.key.storage_key.clone(),
            policies: snapshot(&self.script_url, policies),
        }
    }

    /// Keeps the worker running until the lease is dropped or the worker is told to stop.
    pub(crate) fn lease(self: &Arc<Self>, owner: &Arc<Inner>) -> Lease {
        self.busy.send_modify(|busy| *busy += 1);
        Lease { worker: Arc::clone(self), owner: Arc::downgrade(owner) }
    }

    /// Waits until none of its events is active.
    pub(crate) async fn idle(&self) {
        // `self` holds the sender, so waiting does not fail.
        drop(self.busy.subscribe().wait_for(|busy| *busy == 0).await);
    }

    pub(crate) async fn is_running(&self) -> bool {
        self.running.lock().await.is_some()
    }

    /// Whether the worker is neither running nor about to start.
    pub(crate) fn is_quiet(&self) -> bool {
        *self.busy.borrow() == 0 && self.running.try_lock().is_ok_and(|running| running.is_none())
    }

    /// [Run Service Worker](https://w3c.github.io/ServiceWorker/#run-service-worker-algorithm):
    /// starts the realm and runs the script there, unless it is already running.
    pub(crate) async fn run(self: &Arc<Self>, owner: &Arc<Inner>) -> Result<Arc<Running>, String> {
        let mut slot = self.running.lock().await;
        if let Some(running) = &*slot {
            return Ok(Arc::clone(running));
        }
        // A cleared worker never starts again.
        if self.state() == WorkerState::Redundant {
            return Err("the worker is redundant".into());
        }
        let source = self.scripts.lock().by_url.get(&self.script_url).cloned();
        let source = source.ok_or("the worker's script is not stored")?;
        let hint = module_hint(&source);
        let mut stops = self.stops.subscribe();
        let started = owner.start_worker_realm(self).map_err(|error| error.to_string())?;
        let evaluated = started.realm.evaluate(self.script_url.as_str(), source);
        let failed = tokio::select! {
            evaluated = timeout(owner.options.event_limit, evaluated) => match evaluated {
                Ok(Ok(())) => None,
                Ok(Err(error)) => {
                    let mut error = error.to_string();
                    if let Some(hint) = hint.filter(|_| error.contains("SyntaxError")) {
                        error = format!("{error} ({hint})");
                    }
                    owner.tell(self, &error);
                    Some(error)
                }
                Err(_) => Some("the script took too long".into()),
            },
            // `self` holds the sender, so waiting does not fail.
            _ = stops.changed() => Some("the worker was stopped".into()),
        };
        if let Some(error) = failed {
            end(started.realm).await;
            return Err(error);
        }
        let running = Arc::new(Running {
            realm: Mutex::new(Some(started.realm)),
            id: started.id,
            events: started.events,
            inbox: started.inbox,
            lifecycle: Mutex::default(),
            functional: Mutex::default(),
        });
        *slot = Some(Arc::clone(&running));
        Ok(running)
    }

    /// Whether an active event was caused by a click of the user.
    pub(crate) async fn has_user_activation(&self) -> bool {
        let running = self.running.lock().await;
        let Some(running) = &*running else { return false };
        let functional = running.functional.lock();
        functional.iter().any(|event| event.kind() == EventKind::Click && event.is_active())
    }

    /// [Terminate Service Worker](https://w3c.github.io/ServiceWorker/#terminate-service-worker):
    /// its events end and count as not handled.
    pub(crate) async fn terminate(&self) {
        self.stops.send_replace(());
        let running = self.running.lock().await.take();
        if let Some(running) = running {
            running.terminate().await;
        }
    }

    /// The realm with that number has ended, possibly by itself: the next event starts another.
    pub(crate) async fn realm_ended(&self, realm: RealmId) {
        let ended = self.running.lock().await.take_if(|running| running.id == realm);
        if let Some(running) = ended {
            running.terminate().await;
        }
    }

    /// Ends the realm if it has been idle for the limit.
    async fn stop_when_idle(&self, limit: Duration) {
        let mut busy = self.busy.subscribe();
        let stays_idle = timeout(limit, busy.changed());
        if stays_idle.await.is_ok() {
            return;
        }
        let running = self.running.lock().await.take_if(|_| *self.busy.borrow() == 0);
        if let Some(running) = running {
            running.terminate().await;
        }
    }

    /// The running realm with that number reported the end of an event.
    pub(crate) async fn fired(&self, realm: RealmId, event: u32, rejected: Option<String>) {
        let running = self.running.lock().await;
        if let Some(running) = running.as_ref().filter(|running| running.id == realm)
            && let Some(fired) = running.lifecycle.lock().fired.remove(&event)
        {
            // The caller may have given up.
            drop(fired.send(rejected));
        }
    }
}

impl Running {
    /// Fires an event and waits for its end: listeners and `waitUntil()`. Returns the reason if a
    /// promise was rejected.
    pub(crate) async fn fire(&self, name: LifecycleEvent) -> Result<(), String> {
        self.begin(|event| ToRealm::Fire { event, name }).await
    }

    /// Fires a `message` event for the worker's first queued message, and waits for its end.
    pub(crate) async fn fire_message(&self, worker: &Worker) -> Result<(), String> {
        let over = {
            // The messages are sent in the order of the queue.
            let mut messages = worker.messages.lock();
            let Some((message, source)) = messages.pop_front() else {
                return Ok(());
            };
            self.begin(|event| ToRealm::WorkerMessage { event, message, source })
        };
        over.await
    }

    /// Fires the event in `message` at once; the future waits for its end.
    fn begin(
        &self,
        message: impl FnOnce(u32) -> ToRealm,
    ) -> BoxFuture<'static, Result<(), String>> {
        let (sender, fired) = oneshot::channel();
        let event = {
            let mut lifecycle = self.lifecycle.lock();
            lifecycle.next += 1;
            let event = lifecycle.next;
            lifecycle.fired.insert(event, sender);
            event
        };
        let sent = self.inbox.send(message(event));
        Box::pin(async move {
            let ended = || "the worker has ended".to_owned();
            sent.map_err(|_| ended())?;
            match fired.await.map_err(|_| ended())? {
                None => Ok(()),
                Some(rejected) => Err(rejected),
            }
        })
    }

    /// Tracks an event, which ends when the worker ends.
    pub(crate) fn keep(&self, event: FunctionalEvent) {
        let mut functional = self.functional.lock();
        functional.retain(FunctionalEvent::is_active);
        functional.push(event);
    }

    async fn terminate(&self) {
        for event in self.functional.lock().drain(..) {
            event.worker_terminated("the worker was stopped");
        }
        self.lifecycle.lock().fired.clear();
        let realm = self.realm.lock().take();
        if let Some(realm) = realm {
            end(realm).await;
        }
    }
}

/// Ends a realm on a thread that may block until the realm's thread has ended.
async fn end(realm: Realm) {
    if tokio::task::spawn_blocking(move || drop(realm)).await.is_err() {
        tracing::error!("the end of a realm panicked");
    }
}

/// A reason for a worker to run.
pub(crate) struct Lease {
    worker: Arc<Worker>,
    owner: Weak<Inner>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.worker.busy.send_modify(|busy| *busy -= 1);
        if *self.worker.busy.borrow() > 0 {
            return;
        }
        if let Some(owner) = self.owner.upgrade() {
            let (worker, limit) = (Arc::clone(&self.worker), owner.options.idle_limit);
            owner.spawn(async move { worker.stop_when_idle(limit).await });
        }
    }
}
