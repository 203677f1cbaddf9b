//! Requests of realms: the algorithms of <https://w3c.github.io/ServiceWorker/#algorithms>.

use std::sync::Arc;

use bgfetch::RegistrationKey;

use super::Inner;
use super::update::Asker;
use super::worker::Worker;
use crate::message::{Answer, Exception, FromRealm, LifecycleEvent, RealmId, WorkerState};

/// How many messages may wait for a worker that has not started yet. Further ones are dropped.
const MAX_MESSAGES: usize = 1000;

impl Inner {
    pub(super) fn receive(self: Arc<Self>, realm: RealmId, message: FromRealm) {
        match message {
            FromRealm::Register { call, script, scope, update_via_cache } => {
                self.start_register(Asker { realm, call }, script, scope, update_via_cache);
            }
            FromRealm::Update { call, registration } => {
                self.start_update(Asker { realm, call }, registration);
            }
            FromRealm::GetRegistration { call, url } => {
                let state = self.state.lock();
                let found = state.client(realm).and_then(|client| {
                    state.matching(&client.storage_key, &url).map(|found| found.key.clone())
                });
                match found {
                    Some(key) => state.answer_with(realm, call, &key),
                    None => state.answer(realm, call, Answer::Registrations(Vec::new())),
                }
            }
            FromRealm::GetRegistrations { call } => {
                let state = self.state.lock();
                let client = state.client(realm);
                let all = client.map(|client| state.infos(&client.storage_key));
                state.answer(realm, call, Answer::Registrations(all.unwrap_or_default()));
            }
            FromRealm::Unregister { call, registration } => {
                let key = self.state.lock().key_for(realm, registration);
                match key {
                    Some(key) => Arc::clone(&self).spawn(self.unregister(realm, call, key)),
                    None => self.state.lock().answer(realm, call, Answer::Bool(false)),
                }
            }
            FromRealm::SkipWaiting { call } => {
                let Some(worker) = self.worker_of(realm) else { return };
                *worker.skip_waiting.lock() = true;
                self.state.lock().answer(realm, call, Answer::Done);
                Arc::clone(&self).spawn(self.try_activate(worker.key.clone()));
            }
            FromRealm::Claim { call } => self.claim(realm, call),
            FromRealm::MatchClients { call, include_uncontrolled } => {
                let Some(worker) = self.worker_of(realm) else { return };
                let state = self.state.lock();
                let clients = state.clients_of(&worker, include_uncontrolled);
                state.answer(realm, call, Answer::Clients(clients));
            }
            FromRealm::GetClient { call, id } => {
                let Some(worker) = self.worker_of(realm) else { return };
                let state = self.state.lock();
                let found = state.client_of(&worker, &id).into_iter().collect();
                state.answer(realm, call, Answer::Clients(found));
            }
            FromRealm::OpenWindow { call, url } => {
                let Some(worker) = self.worker_of(realm) else { return };
                Arc::clone(&self).spawn(self.open_window(Asker { realm, call }, worker, url));
            }
            FromRealm::Focus { call, client } => {
                let Some(worker) = self.worker_of(realm) else { return };
                Arc::clone(&self).spawn(self.focus(Asker { realm, call }, worker, client));
            }
            FromRealm::PostToWorker { worker, message } => {
                let found = self.state.lock().worker_for(realm, worker);
                // A redundant worker gets no messages.
                let Some((worker, source)) = found else { return };
                {
                    let mut waiting = worker.messages.lock();
                    if waiting.len() >= MAX_MESSAGES {
                        drop(waiting);
                        return self.tell(&worker, "A message was dropped: too many are waiting.");
                    }
                    waiting.push_back((message, source));
                }
                Arc::clone(&self).spawn(async move { self.post(&worker).await });
            }
            FromRealm::PostToClient { client, message } => {
                let Some(worker) = self.worker_of(realm) else { return };
                self.state.lock().post_to_client(&worker, &client, message);
            }
            FromRealm::Fired { event, rejected } => {
                let Some(worker) = self.worker_of(realm) else { return };
                self.spawn(async move { worker.fired(realm, event, rejected).await });
            }
            FromRealm::Ended => {
                let worker = self.worker_of(realm);
                let (used, unused) = self.state.lock().remove_client(realm);
                Arc::clone(&self).spawn(async move {
                    if let Some(worker) = worker {
                        worker.realm_ended(realm).await;
                    }
                    self.clear(unused).await;
                    if let Some(key) = used {
                        self.try_activate(key).await;
                    }
                });
            }
        }
    }

    pub(super) fn worker_of(&self, realm: RealmId) -> Option<Arc<Worker>> {
        self.state.lock().client(realm)?.worker.clone()
    }

    /// [Install](https://w3c.github.io/ServiceWorker/#installation-algorithm), from the event on.
    pub(super) async fn install(self: &Arc<Self>, key: &RegistrationKey, worker: Arc<Worker>) {
        let installed = self.fire(&worker, LifecycleEvent::Install).await;
        let mut cleared = Vec::new();
        let mut waits = false;
        {
            let mut state = self.state.lock();
            match (installed, state.get_mut(key)) {
                (Ok(()), Some(registration)) => {
                    registration.installing = None;
                    cleared.extend(registration.waiting.replace(Arc::clone(&worker)));
                    waits = true;
                }
                (Err(error), Some(registration)) => {
                    self.tell(&worker, &format!("The service worker was not installed: {error}"));
                    cleared.extend(registration.installing.take());
                    if registration.newest().is_none() {
                        cleared.extend(state.unregister(key));
                    } else {
                        state.tell_registration(key);
                    }
                }
                // It was unregistered, which also cleared it.
                (_, None) => {}
            }
        }
        self.store().await;
        // Realms are notified only after the registration was stored.
        if waits {
            let state = self.state.lock();
            state.tell_registration(key);
            state.set_state(&worker, WorkerState::Installed);
        }
        self.clear(cleared).await;
    }

    /// [Try Activate](https://w3c.github.io/ServiceWorker/#try-activate-algorithm), and
    /// [Activate](https://w3c.github.io/ServiceWorker/#activation-algorithm).
    pub(super) async fn try_activate(self: Arc<Self>, key: RegistrationKey) {
        let job = self.job_queue(&key).lock_owned().await;
        let before = {
            let state = self.state.lock();
            let Some(registration) = state.get(&key) else { return };
            let Some(waiting) = &registration.waiting else { return };
            let skip_waiting = *waiting.skip_waiting.lock();
            if state.is_in_use(registration) && !skip_waiting {
                return;
            }
            registration.active.clone()
        };
        if let Some(before) = &before {
            before.idle().await;
        }
        // A fetch that a page starts once it is ready must find the active worker.
        if let Some(engine) = self.engine() {
            let registered = engine.register(key.storage_key.clone(), key.scope.clone()).await;
            if let Err(error) = registered {
                // The next engine gets the registration when it is connected.
                tracing::warn!(%error, "a service worker registration could not be registered with the engine");
            }
        }
        self.clear(before.iter().cloned().collect()).await;
        let activated = self.state.lock().get_mut(&key).and_then(|registration| {
            registration.active = Some(registration.waiting.take()?);
            registration.active.clone()
        });
        // Unregistered in the meantime: the engine must forget the registration.
        let Some(worker) = activated else {
            return self.forget(&key).await;
        };
        self.store().await;
        {
            let mut state = self.state.lock();
            state.tell_registration(&key);
            state.set_state(&worker, WorkerState::Activating);
            state.activated(&key, before.as_ref());
        }
        drop(job);
        // Events that waited for an active worker.
        if let Some(engine) = self.engine()
            && let Err(error) = engine.registration(key).deliver_pending().await
        {
            tracing::warn!(%error, "pending events were not delivered");
        }
        // The worker is activated whatever its listeners do.
        if let Err(error) = self.fire(&worker, LifecycleEvent::Activate).await {
            tracing::warn!(%error, "a service worker's activate event failed");
        }
        let state = self.state.lock();
        // Unless it was unregistered in the meantime.
        if worker.state() == WorkerState::Activating {
            state.set_state(&worker, WorkerState::Activated);
        }
    }

    /// Fires an event at the worker and waits for its end.
    async fn fire(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        event: LifecycleEvent,
    ) -> Result<(), String> {
        let _lease = worker.lease(self);
        let running = worker.run(self).await?;
        self.limit(worker, running.fire(event)).await
    }

    /// [`postMessage()`](https://w3c.github.io/ServiceWorker/#service-worker-postmessage-options):
    /// delivers the worker's first queued message.
    async fn post(self: &Arc<Self>, worker: &Arc<Worker>) {
        let _lease = worker.lease(self);
        let posted = match worker.run(self).await {
            Ok(running) => self.limit(worker, running.fire_message(worker)).await,
            Err(error) => {
                worker.messages.lock().pop_front();
                Err(error)
            }
        };
        if let Err(error) = posted {
            tracing::warn!(%error, "a message to a service worker failed");
        }
    }

    /// Waits for the end of an event, within the time limit.
    async fn limit(
        &self,
        worker: &Worker,
        event: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        match tokio::time::timeout(self.options.event_limit, event).await {
            Ok(ended) => ended,
            // Its script may run forever.
            Err(_) => {
                self.tell(worker, "An event takes too long: the service worker is stopped.");
                worker.terminate().await;
                Err("the event took too long".into())
            }
        }
    }

    /// [Unregister](https://w3c.github.io/ServiceWorker/#unregister-algorithm). The background
    /// fetches end at once, even if the worker still controls open pages.
    async fn unregister(self: Arc<Self>, realm: RealmId, call: u32, key: RegistrationKey) {
        let _job = self.job_queue(&key).lock_owned().await;
        let (found, cleared) = {
            let mut state = self.state.lock();
            (state.get(&key).is_some(), state.unregister(&key))
        };
        if found {
            self.store().await;
        }
        self.clear(cleared).await;
        if found {
            self.forget(&key).await;
        }
        self.state.lock().answer(realm, call, Answer::Bool(found));
    }

    /// Removes a registration from the engine.
    async fn forget(&self, key: &RegistrationKey) {
        let Some(engine) = self.engine() else { return };
        if let Err(error) = engine.registration(key.clone()).unregister().await {
            tracing::warn!(%error, "background fetches of a removed registration remain");
        }
    }

    /// [`clients.claim()`](https://w3c.github.io/ServiceWorker/#clients-claim).
    fn claim(self: Arc<Self>, realm: RealmId, call: u32) {
        let Some(worker) = self.worker_of(realm) else { return };
        let mut state = self.state.lock();
        let active = state.get(&worker.key).and_then(|found| found.active.as_ref());
        let cleared = if active.is_some_and(|active| active.id == worker.id) {
            let cleared = state.claim(&worker);
            state.answer(realm, call, Answer::Done);
            cleared
        } else {
            let exception = Exception::invalid_state("The worker is not active");
            state.answer(realm, call, Answer::Error(exception));
            Vec::new()
        };
        drop(state);
        self.clear_later(cleared);
    }

    /// Ends workers that no longer belong to a registration.
    async fn clear(&self, workers: Vec<Arc<Worker>>) {
        for worker in workers {
            self.state.lock().set_state(&worker, WorkerState::Redundant);
            worker.terminate().await;
        }
    }

    pub(super) fn clear_later(self: &Arc<Self>, workers: Vec<Arc<Worker>>) {
        let inner = Arc::clone(self);
        self.spawn(async move { inner.clear(workers).await });
    }
}
