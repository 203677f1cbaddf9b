//! The registrations, and the realms that are notified of their changes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use bgfetch::{RegistrationKey, StorageKey};
use tokio::sync::mpsc;
use url::Url;

use super::stored::{StoredRegistration, StoredWorker};
use super::worker::Worker;
use crate::message::{
    Answer, AtStart, ClientInfo, Exception, Message, RealmId, RegistrationInfo, Source, ToRealm,
    UpdateViaCache, WorkerInfo, WorkerState,
};
use crate::page_state::PageState;
use crate::script_loader::ScriptClient;

/// A [service worker registration](https://w3c.github.io/ServiceWorker/#dfn-service-worker-registration).
pub(crate) struct Registration {
    pub(crate) id: u32,
    pub(crate) key: RegistrationKey,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) installing: Option<Arc<Worker>>,
    pub(crate) waiting: Option<Arc<Worker>>,
    pub(crate) active: Option<Arc<Worker>>,
}

/// A realm that is notified of changes to registrations.
pub(crate) struct Client {
    pub(crate) storage_key: StorageKey,
    /// `None` for a service worker, which nothing controls.
    window: Option<Window>,
    /// Its worker, if it is the realm of a service worker.
    pub(crate) worker: Option<Arc<Worker>>,
    controller: Option<Arc<Worker>>,
    /// When it was last focused, on the clock of `next_id`. A window has the focus when it is
    /// opened.
    focused: u32,
    inbox: mpsc::UnboundedSender<ToRealm>,
}

/// A window as a client.
pub(crate) struct Window {
    pub(crate) url: Url,
    pub(crate) page: Arc<PageState>,
}

/// All registrations of the user agent.
#[derive(Default)]
pub(crate) struct State {
    /// In order of creation.
    registrations: Vec<Registration>,
    /// Unregistered registrations that still control a client.
    unregistered: Vec<Registration>,
    clients: BTreeMap<RealmId, Client>,
    next_id: u32,
}

impl Registration {
    fn info(&self) -> RegistrationInfo {
        let info = |worker: &Option<Arc<Worker>>| worker.as_ref().map(|worker| worker.info());
        RegistrationInfo {
            id: self.id,
            scope: self.key.scope.clone(),
            update_via_cache: self.update_via_cache,
            installing: info(&self.installing),
            waiting: info(&self.waiting),
            active: info(&self.active),
        }
    }

    /// The most recently installed worker.
    pub(crate) fn newest(&self) -> Option<&Arc<Worker>> {
        self.installing.as_ref().or(self.waiting.as_ref()).or(self.active.as_ref())
    }

    pub(crate) fn take_workers(&mut self) -> Vec<Arc<Worker>> {
        let workers = [self.installing.take(), self.waiting.take(), self.active.take()];
        workers.into_iter().flatten().collect()
    }
}

impl State {
    pub(crate) fn next_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// A new registration without workers.
    pub(crate) fn create(&mut self, key: RegistrationKey) -> &mut Registration {
        let id = self.next_id();
        self.registrations.push(Registration {
            id,
            key,
            update_via_cache: UpdateViaCache::default(),
            installing: None,
            waiting: None,
            active: None,
        });
        let last = self.registrations.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "one was just pushed")]
        &mut self.registrations[last]
    }

    /// A registration from the file.
    pub(crate) fn restore(&mut self, stored: StoredRegistration) {
        let StoredRegistration { key, update_via_cache, waiting, active } = stored;
        let mut worker = |stored: Option<StoredWorker>, state| {
            let StoredWorker { script_url, scripts } = stored?;
            Some(Worker::new(self.next_id(), key.clone(), script_url, state, scripts))
        };
        let waiting = worker(waiting, WorkerState::Installed);
        let active = worker(active, WorkerState::Activated);
        let registration = self.create(key);
        (registration.waiting, registration.active) = (waiting, active);
        registration.update_via_cache = update_via_cache;
    }

    pub(crate) fn get(&self, key: &RegistrationKey) -> Option<&Registration> {
        self.registrations.iter().find(|registration| registration.key == *key)
    }

    pub(crate) fn get_mut(&mut self, key: &RegistrationKey) -> Option<&mut Registration> {
        self.registrations.iter_mut().find(|registration| registration.key == *key)
    }

    /// The registration with that number, if it is of the realm's site and was not unregistered.
    pub(crate) fn key_for(&self, realm: RealmId, id: u32) -> Option<RegistrationKey> {
        let storage_key = &self.clients.get(&realm)?.storage_key;
        let mut of_site =
            self.registrations.iter().filter(|found| found.key.storage_key == *storage_key);
        Some(of_site.find(|found| found.id == id)?.key.clone())
    }

    /// [Match Service Worker
    /// Registration](https://w3c.github.io/ServiceWorker/#scope-match-algorithm): the registration
    /// with the longest scope that is a prefix of the URL.
    pub(crate) fn matching(&self, storage_key: &StorageKey, url: &Url) -> Option<&Registration> {
        self.registrations
            .iter()
            .filter(|registration| registration.key.storage_key == *storage_key)
            .filter(|registration| url.as_str().starts_with(registration.key.scope.as_str()))
            .max_by_key(|registration| registration.key.scope.as_str().len())
    }

    pub(crate) fn infos(&self, storage_key: &StorageKey) -> Vec<RegistrationInfo> {
        let of_key = |registration: &&Registration| registration.key.storage_key == *storage_key;
        self.registrations.iter().filter(of_key).map(Registration::info).collect()
    }

    /// The keys of the registrations that have an active worker.
    pub(crate) fn active_keys(&self) -> Vec<RegistrationKey> {
        let active = self.registrations.iter().filter(|registration| registration.active.is_some());
        active.map(|registration| registration.key.clone()).collect()
    }

    /// The workers of all registrations.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        let all = self.registrations.iter().chain(&self.unregistered);
        let workers = all.flat_map(|found| [&found.installing, &found.waiting, &found.active]);
        workers.flatten().cloned().collect()
    }

    pub(crate) fn to_store(&self) -> Vec<StoredRegistration> {
        let worker = |worker: &Option<Arc<Worker>>| {
            worker.as_ref().map(|worker| StoredWorker {
                script_url: worker.script_url.clone(),
                scripts: worker.scripts.lock().clone(),
            })
        };
        let store = |registration: &Registration| StoredRegistration {
            key: registration.key.clone(),
            update_via_cache: registration.update_via_cache,
            waiting: worker(&registration.waiting),
            active: worker(&registration.active),
        };
        let stored = self.registrations.iter().map(store);
        stored.filter(|stored| stored.waiting.is_some() || stored.active.is_some()).collect()
    }

    /// Removes a registration from the list. Returns the workers to clear: none while they control
    /// a client.
    pub(crate) fn unregister(&mut self, key: &RegistrationKey) -> Vec<Arc<Worker>> {
        let Some(at) = self.registrations.iter().position(|other| other.key == *key) else {
            return Vec::new();
        };
        let registration = self.registrations.remove(at);
        self.unregistered.push(registration);
        self.clear_unused()
    }

    /// The workers of unregistered registrations that no longer control a client.
    fn clear_unused(&mut self) -> Vec<Arc<Worker>> {
        let (used, unused): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unregistered)
            .into_iter()
            .partition(|registration| self.is_in_use(registration));
        self.unregistered = used;
        let mut cleared = Vec::new();
        for mut registration in unused {
            cleared.extend(registration.take_workers());
            let empty = ToRealm::Registration { registration: registration.info() };
            self.tell_all(&registration.key.storage_key, &empty);
        }
        cleared
    }

    /// Whether the registration controls a client.
    pub(crate) fn is_in_use(&self, registration: &Registration) -> bool {
        let Some(active) = &registration.active else {
            return false;
        };
        let controls =
            |client: &Client| client.controller.as_ref().is_some_and(|c| c.id == active.id);
        self.clients.values().any(controls)
    }
}

/// Clients.
impl State {
    /// Adds a window, and returns its service workers at its start.
    pub(crate) fn add_window(
        &mut self,
        realm: RealmId,
        storage_key: StorageKey,
        window: Window,
        inbox: mpsc::UnboundedSender<ToRealm>,
    ) -> AtStart {
        let registration =
            self.matching(&storage_key, &window.url).filter(|found| found.active.is_some());
        let controller = registration.and_then(|registration| registration.active.clone());
        let at_start = AtStart {
            registration: registration.map(Registration::info),
            controller: controller.as_ref().map(|worker| worker.info()),
            worker: None,
        };
        let focused = realm.0;
        let window = Some(window);
        let worker = None;
        let client = Client { storage_key, window, worker, controller, focused, inbox };
        self.clients.insert(realm, client);
        at_start
    }

    /// Adds the realm of a worker.
    pub(crate) fn add_worker(
        &mut self,
        realm: RealmId,
        worker: &Arc<Worker>,
        inbox: mpsc::UnboundedSender<ToRealm>,
    ) -> AtStart {
        let storage_key = worker.key.storage_key.clone();
        let mut all = self.registrations.iter().chain(&self.unregistered);
        let registration = all.find(|registration| registration.key == worker.key);
        let at_start = AtStart {
            registration: registration.map(Registration::info),
            controller: None,
            worker: Some(worker.info()),
        };
        let worker = Some(Arc::clone(worker));
        let (window, controller, focused) = (None, None, 0);
        let client = Client { storage_key, window, worker, controller, focused, inbox };
        self.clients.insert(realm, client);
        at_start
    }

    pub(crate) fn client(&self, realm: RealmId) -> Option<&Client> {
        self.clients.get(&realm)
    }

    /// A realm has ended. Returns the registration that it used, and the workers to clear.
    pub(crate) fn remove_client(
        &mut self,
        realm: RealmId,
    ) -> (Option<RegistrationKey>, Vec<Arc<Worker>>) {
        let client = self.clients.remove(&realm);
        let used = client.and_then(|client| client.controller).map(|worker| worker.key.clone());
        (used, self.clear_unused())
    }

    pub(crate) fn answer(&self, realm: RealmId, call: u32, answer: Answer) {
        self.tell(realm, ToRealm::Answer { call, answer });
    }

    pub(crate) fn answer_with(&self, realm: RealmId, call: u32, key: &RegistrationKey) {
        let answer = match self.get(key) {
            Some(registration) => Answer::Registrations(vec![registration.info()]),
            None => Answer::Error(Exception::type_error("The registration is gone")),
        };
        self.answer(realm, call, answer);
    }

    /// Sets a worker's state and notifies all realms that may have an object of it.
    pub(crate) fn set_state(&self, worker: &Worker, state: WorkerState) {
        worker.state.send_replace(state);
        self.tell_all(&worker.key.storage_key, &ToRealm::Worker { worker: worker.info() });
    }

    /// Notifies realms of a registration's workers. This comes before the new states of the
    /// workers.
    pub(crate) fn tell_registration(&self, key: &RegistrationKey) {
        if let Some(registration) = self.get(key).map(Registration::info) {
            self.tell_all(&key.storage_key, &ToRealm::Registration { registration });
        }
    }

    pub(crate) fn tell_update_found(&self, key: &RegistrationKey) {
        if let Some(registration) = self.get(key).map(Registration::info) {
            self.tell_all(&key.storage_key, &ToRealm::UpdateFound { registration });
        }
    }

    /// The registration's worker became active: its windows are ready, and it becomes the
    /// controller of those that the previous worker controlled.
    pub(crate) fn activated(&mut self, key: &RegistrationKey, before: Option<&Arc<Worker>>) {
        let Some((registration, active)) =
            self.get(key).and_then(|found| Some((found.info(), found.active.clone()?)))
        else {
            return;
        };
        for realm in self.windows_of(key) {
            self.tell(realm, ToRealm::Ready { registration: registration.clone() });
        }
        let Some(before) = before else { return };
        for client in self.clients.values_mut() {
            if client.controller.as_ref().is_some_and(|controller| controller.id == before.id) {
                client.control(&active);
            }
        }
    }

    /// [`clients.claim()`](https://w3c.github.io/ServiceWorker/#clients-claim): the worker becomes
    /// the controller of the windows in its scope.
    pub(crate) fn claim(&mut self, worker: &Arc<Worker>) -> Vec<Arc<Worker>> {
        for realm in self.windows_of(&worker.key) {
            if let Some(client) = self.clients.get_mut(&realm)
                && client.controller.as_ref().is_none_or(|controller| controller.id != worker.id)
            {
                client.control(worker);
            }
        }
        self.clear_unused()
    }

    /// The windows that the worker controls, or `all` of its site, most recently focused first.
    pub(crate) fn clients_of(&self, worker: &Worker, all: bool) -> Vec<ClientInfo> {
        let windows = self.clients.iter().filter(|(_, client)| {
            let controls = client.controller.as_ref().is_some_and(|found| found.id == worker.id);
            client.storage_key == worker.key.storage_key && (all || controls)
        });
        let mut windows: Vec<_> = windows.collect();
        windows.sort_by_key(|(_, client)| Reverse(client.focused));
        windows.into_iter().filter_map(|(realm, client)| self.info(*realm, client)).collect()
    }

    /// The window with that id, if it is of the worker's site.
    pub(crate) fn client_of(&self, worker: &Worker, id: &str) -> Option<ClientInfo> {
        self.clients_of(worker, true).into_iter().find(|client| client.id == id)
    }

    /// Brings a window of the worker's site to the front.
    pub(crate) fn focus(&mut self, worker: &Worker, id: &str) -> Option<ClientInfo> {
        let client = self.client_of(worker, id)?;
        let focused = self.next_id();
        let mut all = self.clients.iter_mut();
        let (_, found) = all.find(|(realm, _)| realm.0.to_string() == client.id)?;
        found.focused = focused;
        self.client_of(worker, id)
    }

    fn info(&self, realm: RealmId, client: &Client) -> Option<ClientInfo> {
        let Window { url, page } = client.window.as_ref()?;
        let last = self.clients.values().map(|client| client.focused).max();
        let focused = last == Some(client.focused);
        let (url, is_frame) = (url.clone(), page.loaded.is_frame);
        Some(ClientInfo { id: realm.0.to_string(), url, focused, is_frame })
    }

    /// The worker with that number, if it is of the realm's site, and the realm as a source.
    pub(crate) fn worker_for(&self, realm: RealmId, id: u32) -> Option<(Arc<Worker>, Source)> {
        let client = self.clients.get(&realm)?;
        let mut workers = self.workers().into_iter();
        let worker = workers.find(|worker| worker.id == id)?;
        let same_site = worker.key.storage_key == client.storage_key;
        let source = match &client.worker {
            Some(worker) => Source::Worker(worker.info()),
            None => Source::Client(self.info(realm, client)?),
        };
        same_site.then_some((worker, source))
    }

    /// Posts a message from a worker to a window.
    pub(crate) fn post_to_client(&self, worker: &Worker, id: &str, message: Message) {
        let of_site = self.clients.iter().filter(|(_, client)| {
            client.storage_key == worker.key.storage_key && client.window.is_some()
        });
        let mut windows = of_site.map(|(realm, client)| (realm.0.to_string(), client));
        // A closed window gets no message.
        if let Some((_, client)) = windows.find(|(window, _)| window == id) {
            client.tell(ToRealm::ClientMessage { message, source: Source::Worker(worker.info()) });
        }
    }

    /// The windows that use the registration.
    fn windows_of(&self, key: &RegistrationKey) -> Vec<RealmId> {
        let is_of = |client: &Client| {
            let window = client.window.as_ref().filter(|_| client.storage_key == key.storage_key);
            let found = window.and_then(|window| self.matching(&client.storage_key, &window.url));
            found.is_some_and(|found| found.key == *key)
        };
        let of_key = self.clients.iter().filter(|(_, client)| is_of(client));
        of_key.map(|(realm, _)| *realm).collect()
    }

    fn tell(&self, realm: RealmId, message: ToRealm) {
        if let Some(client) = self.clients.get(&realm) {
            client.tell(message);
        }
    }

    fn tell_all(&self, storage_key: &StorageKey, message: &ToRealm) {
        for client in self.clients.values().filter(|client| client.storage_key == *storage_key) {
            client.tell(message.clone());
        }
    }
}

impl Client {
    /// The realm as a client that loads scripts, with its policies of this moment.
    pub(crate) fn script_client(&self) -> Option<ScriptClient> {
        let of_window = |Window { page, .. }: &Window| ScriptClient {
            storage_key: self.storage_key.clone(),
            policies: page.policies(),
        };
        let worker = || Some(self.worker.as_ref()?.client());
        self.window.as_ref().map(of_window).or_else(worker)
    }

    fn control(&mut self, worker: &Arc<Worker>) {
        self.controller = Some(Arc::clone(worker));
        let worker: WorkerInfo = worker.info();
        self.tell(ToRealm::Controller { worker });
    }

    fn tell(&self, message: ToRealm) {
        // A realm that has ended gets no messages.
        drop(self.inbox.send(message));
    }
}
