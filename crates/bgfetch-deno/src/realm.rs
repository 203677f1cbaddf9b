//! The Rust side of a realm. Scripts refer to its objects by keys and numbers: on the QuickJS
//! backend, Rust objects that scripts hold would never be dropped.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use bgfetch::{
    BackgroundFetchManager, BackgroundFetchRecord, BackgroundFetchRegistration, Client,
    ClientUpdate, Engine, FetchKey, Principal, RegistrationKey, ServiceWorkerRegistration,
    StartHold,
};
use deno_core::OpState;
use deno_error::JsErrorBox;
use serde::Serialize;
use tokio::sync::watch;
use url::Url;

use crate::Options;
use crate::exceptions::{call_failed, misuse, no_engine};

/// A registration changed. Scripts then ask for its new attributes.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Changed {
    pub(crate) key: u64,
    /// Whether `progress` must be fired.
    pub(crate) progress: bool,
}

/// The state of a realm, in its `OpState`.
pub(crate) struct Realm {
    options: Options,
    /// The realm's inbox; `None` while something waits for its next update.
    pub(crate) client: Option<Client>,
    /// The fetches for which the realm has, or had, a registration object.
    registrations: HashMap<FetchKey, BackgroundFetchRegistration>,
    lookups: Lookups,
    /// Notified whenever the inbox was connected to another engine.
    connections: watch::Sender<()>,
    /// Changes that did not come through the inbox, such as the state of fetches after the engine
    /// was replaced.
    pub(crate) changed: VecDeque<Changed>,
    /// Fetches that wait until the microtasks of their promise have run.
    pub(crate) holds: HashMap<FetchKey, StartHold>,
    records: HashMap<u32, BackgroundFetchRecord>,
    next_record: u32,
}

/// The last updates of fetches that have no registration object yet. An update may overtake the
/// answer to an earlier call that looked the fetch up.
#[derive(Default)]
struct Lookups {
    under_way: usize,
    updates: HashMap<FetchKey, ClientUpdate>,
}

impl Realm {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            client: None,
            connections: watch::Sender::default(),
            registrations: HashMap::new(),
            lookups: Lookups::default(),
            changed: VecDeque::new(),
            holds: HashMap::new(),
            records: HashMap::new(),
            next_record: 0,
        }
    }

    /// The engine, for the duration of a call.
    pub(crate) fn engine(&self) -> Result<Engine, JsErrorBox> {
        self.options.engine.borrow().clone().ok_or_else(no_engine)
    }

    /// The manager of the service worker registration with that scope, on behalf of this realm.
    pub(crate) fn manager(&self, scope: &str) -> Result<BackgroundFetchManager, JsErrorBox> {
        let scope = Url::parse(scope).map_err(|_| misuse("a scope is not a URL"))?;
        let storage_key = self.options.storage_key.clone();
        let registration = self.own_registration(&RegistrationKey { storage_key, scope })?;
        let principal = Principal::Page((self.options.policies)());
        Ok(registration.background_fetch().acting_for(principal))
    }

    /// A service worker registration in the engine. The realm uses those of its own storage key
    /// alone, wherever the key comes from.
    pub(crate) fn own_registration(
        &self,
        key: &RegistrationKey,
    ) -> Result<ServiceWorkerRegistration, JsErrorBox> {
        if key.storage_key != self.options.storage_key {
            return Err(misuse("an unknown registration"));
        }
        Ok(self.engine()?.registration(key.clone()))
    }

    /// The registration of a fetch whose key the realm has.
    pub(crate) fn registration(
        &self,
        key: FetchKey,
    ) -> Result<&BackgroundFetchRegistration, JsErrorBox> {
        self.registrations.get(&key).ok_or_else(|| misuse("an unknown registration"))
    }

    /// Applies an update from the inbox. `None` if the realm has no registration of the fetch.
    pub(crate) fn apply(&mut self, update: ClientUpdate) -> Option<Changed> {
        let key = update.fetch;
        if let Some(registration) = self.registrations.get(&key) {
            return Some(Changed { key: key.0, progress: registration.apply(&update) });
        }
        if self.lookups.under_way > 0 {
            self.lookups.updates.insert(key, update);
        }
        None
    }

    /// Ends what scripts can no longer reach.
    pub(crate) fn forget(&mut self, key: FetchKey) {
        self.registrations.remove(&key);
    }

    /// Whether the engine was replaced and the inbox is not connected to the new one yet.
    fn is_behind(&self) -> bool {
        let engine = &self.options.engine;
        engine.has_changed().unwrap_or(false)
            && engine.borrow().as_ref().is_some_and(|engine| !engine.is_closed())
    }

    pub(crate) fn known(&self) -> Vec<BackgroundFetchRegistration> {
        self.registrations.values().cloned().collect()
    }

    /// Replaces a registration with that of the engine that has the fetch now.
    pub(crate) fn replace(&mut self, key: FetchKey, by: BackgroundFetchRegistration) {
        if let Some(replaced) = self.registrations.insert(key, by.clone()) {
            let progress = replaced.catch_up_with(&by);
            self.changed.push_back(Changed { key: key.0, progress });
        }
    }

    pub(crate) fn add_record(&mut self, record: BackgroundFetchRecord) -> u32 {
        let id = self.next_record;
        self.next_record = self.next_record.wrapping_add(1);
        self.records.insert(id, record);
        id
    }

    pub(crate) fn record(&self, id: u32) -> Result<&BackgroundFetchRecord, JsErrorBox> {
        self.records.get(&id).ok_or_else(|| misuse("an unknown record"))
    }

    pub(crate) fn close_record(&mut self, id: u32) {
        self.records.remove(&id);
    }
}

/// Asks the engine for a fetch, and keeps its registration: one per fetch and realm.
pub(crate) async fn look_up<T>(
    state: &Rc<RefCell<OpState>>,
    ask: impl Future<Output = bgfetch::Result<T>>,
    found: impl FnOnce(&mut Realm, T) -> Option<BackgroundFetchRegistration>,
) -> Result<Option<FetchKey>, JsErrorBox> {
    with_realm(state, |realm| realm.lookups.under_way += 1);
    // If the future is dropped, so is the realm.
    let answer = ask.await;
    with_realm(state, |realm| {
        let registration = answer.map(|answer| found(realm, answer));
        realm.lookups.under_way = realm.lookups.under_way.saturating_sub(1);
        let key = registration.map_err(call_failed)?.map(|registration| realm.keep(registration));
        if realm.lookups.under_way == 0 {
            realm.lookups.updates.clear();
        }
        Ok(key)
    })
}

impl Realm {
    fn keep(&mut self, registration: BackgroundFetchRegistration) -> FetchKey {
        let key = registration.key();
        let early = self.lookups.updates.remove(&key);
        // The registrations of an earlier engine may still be known.
        if self.registrations.get(&key).is_some_and(BackgroundFetchRegistration::is_closed) {
            self.replace(key, registration.clone());
        }
        let registration = self.registrations.entry(key).or_insert(registration);
        // Progress that is older than the answer would move backwards; newer progress will follow.
        if let Some(update) = early.filter(|early| early.update.result.is_some()) {
            registration.apply(&update);
        }
        key
    }
}

/// Waits until the realm's inbox is connected to the current engine. Every call does so, because a
/// worker must not be told of its effects before the realm is.
pub(crate) async fn caught_up(state: &Rc<RefCell<OpState>>) {
    let mut connections = with_realm(state, |realm| realm.connections.subscribe());
    // The realm has the sender.
    while with_realm(state, |realm| realm.is_behind()) && connections.changed().await.is_ok() {}
}

/// The registration with that key in the current engine.
pub(crate) async fn registration(
    state: &Rc<RefCell<OpState>>,
    key: FetchKey,
) -> Result<BackgroundFetchRegistration, JsErrorBox> {
    caught_up(state).await;
    let known = with_realm(state, |realm| realm.registration(key).cloned())?;
    if !known.is_closed() {
        return Ok(known);
    }
    let registration = with_realm(state, |realm| realm.own_registration(known.registration()))?;
    let Some(found) = registration.fetch(key).await.map_err(call_failed)? else {
        return Ok(known);
    };
    with_realm(state, |realm| realm.replace(key, found.clone()));
    Ok(found)
}

pub(crate) fn with_realm<T>(state: &Rc<RefCell<OpState>>, run: impl FnOnce(&mut Realm) -> T) -> T {
    run(state.borrow_mut().borrow_mut::<Realm>())
}

/// Waits until there is an engine other than the one that just ended, and connects to it. `None`
/// when there will never be one.
pub(crate) async fn connect(state: &Rc<RefCell<OpState>>) -> Option<Client> {
    let (mut engines, storage_key) = with_realm(state, |realm| {
        (realm.options.engine.clone(), realm.options.storage_key.clone())
    });
    loop {
        let engine = engines.borrow_and_update().clone();
        if let Some(engine) = engine
            && let Ok(client) = engine.client(storage_key.clone()).await
        {
            for known in with_realm(state, |realm| realm.known()) {
                let registration = engine.registration(known.registration().clone());
                if let Ok(Some(by)) = registration.fetch(known.key()).await {
                    with_realm(state, |realm| realm.replace(known.key(), by));
                }
            }
            with_realm(state, |realm| {
                realm.options.engine = engines;
                realm.connections.send_replace(());
            });
            return Some(client);
        }
        engines.changed().await.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bgfetch::{PolicySnapshot, StorageKey};
    use futures_util::FutureExt;

    use super::*;

    fn engine() -> Option<Engine> {
        Some(Engine::builder().ephemeral().open().unwrap())
    }

    #[tokio::test]
    async fn a_call_waits_until_the_inbox_is_connected_to_the_engine_that_follows() {
        let (engines, engine_of_realm) = watch::channel(engine());
        let policies = PolicySnapshot::of(&"https://app.test/".parse().unwrap());
        let mut op_state = OpState::new(None);
        op_state.put(Realm::new(Options {
            engine: engine_of_realm,
            storage_key: StorageKey("app".into()),
            policies: Arc::new(move || policies.clone()),
            events: None,
        }));
        let state = Rc::new(RefCell::new(op_state));
        let first = connect(&state).await.unwrap();
        assert!(caught_up(&state).now_or_never().is_some());

        drop(first);
        engines.send_replace(None);
        assert!(caught_up(&state).now_or_never().is_some(), "a call fails without an engine");
        engines.send_replace(engine());
        let mut call = Box::pin(caught_up(&state));
        assert!((&mut call).now_or_never().is_none(), "the worker could be told before the realm");
        let _second = connect(&state).await.unwrap();
        call.await;
    }
}
