//! The engine as its embedder holds it.

use std::sync::Arc;

use bgfetch_model::budget::Usage;
use bgfetch_model::ids::{FetchKey, RegistrationKey, StorageKey};
use bgfetch_model::input::Input;
use parking_lot::Mutex;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use url::Url;

use crate::background_fetch_manager::BackgroundFetchManager;
use crate::background_fetch_registration::BackgroundFetchRegistration;
use crate::builder::Builder;
use crate::clients::Client;
use crate::error::Result;
use crate::inbox::{Inbox, Message};
use crate::observer::Observer;
use crate::ui::Ui;

/// A background fetch engine over one store.
///
/// Clones are the same engine. When the last is dropped the engine ends as after a crash: nothing
/// durable is lost, and opening the store again goes on; [`Engine::shutdown`] ends it in good order.
/// Handles that it gave out don't keep it alive; their calls then fail with
/// [`Error::is_closed`](crate::Error::is_closed).
#[derive(Clone, Debug)]
pub struct Engine {
    inbox: Inbox,
    /// Ends the loop with the last clone.
    _owner: Arc<Owner>,
}

impl Engine {
    #[cfg(test)]
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// A builder with every default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(inbox: Inbox, thread: Option<JoinHandle<()>>) -> Self {
        let owner = Owner { inbox: inbox.clone(), thread: Mutex::new(thread) };
        Self { inbox, _owner: Arc::new(owner) }
    }

    /// Tells that a service worker registration exists and has an active worker. To be called at
    /// each start for those that exist: events that an earlier engine did not deliver are fired
    /// then, before this returns.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn register(
        &self,
        storage_key: StorageKey,
        scope: Url,
    ) -> Result<ServiceWorkerRegistration> {
        let registration = ServiceWorkerRegistration {
            inbox: self.inbox.clone(),
            key: RegistrationKey { storage_key, scope },
        };
        registration.set_active_worker(true).await?;
        Ok(registration)
    }

    /// A registration that was [registered](Self::register) before. Calls on one that was not are
    /// refused as [`CallError::NoActiveWorker`](crate::CallError::NoActiveWorker), or find nothing.
    #[must_use]
    pub fn registration(&self, key: RegistrationKey) -> ServiceWorkerRegistration {
        ServiceWorkerRegistration { inbox: self.inbox.clone(), key }
    }

    /// The registrations that the store knows.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn registrations(&self) -> Result<Vec<ServiceWorkerRegistration>> {
        let inbox = self.inbox.clone();
        let all = self.inbox.read(move |view| {
            let handle = |key: &RegistrationKey| ServiceWorkerRegistration {
                inbox: inbox.clone(),
                key: key.clone(),
            };
            view.model.registrations().map(handle).collect()
        });
        all.await
    }

    /// Connects a realm of a storage key: it hears of all the key's fetches from now on.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn client(&self, storage_key: StorageKey) -> Result<Client> {
        self.inbox.read(move |view| view.clients.connect(storage_key, None)).await
    }

    /// What the background fetches of a storage key take of its quota.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn usage(&self, storage_key: StorageKey) -> Result<Usage> {
        self.inbox.read(move |view| view.model.usage(&storage_key)).await
    }

    /// The fetch of that identity, finished ones included; what an event's handler reads its
    /// records from.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn fetch(&self, key: FetchKey) -> Result<Option<BackgroundFetchRegistration>> {
        let inbox = self.inbox.clone();
        let found = self.inbox.read(move |view| {
            view.model
                .fetch(key)
                .map(|fetch| BackgroundFetchRegistration::new(inbox, fetch.snapshot()))
        });
        found.await
    }

    /// A stream of what happens from now on.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn observe(&self) -> Result<Observer> {
        self.inbox.read(|view| view.observers.add()).await
    }

    /// The user's view and commands.
    #[must_use]
    pub fn ui(&self) -> Ui {
        Ui::new(self.inbox.clone())
    }

    /// Ends the engine in good order: transfers stop, what was decided is committed, the store is
    /// closed. Fetches go on when the store is opened again. All clones are closed by it.
    ///
    /// # Errors
    ///
    /// Why the engine had stopped before, or the store could not be closed.
    pub async fn shutdown(self) -> Result<()> {
        let (done, finished) = oneshot::channel();
        self.inbox.send(Message::Close { orderly: Some(done) });
        if finished.await.is_err() || self.inbox.has_stopped() {
            return Err(self.inbox.closed_error());
        }
        Ok(())
    }

    /// Ends the engine as a crash would, whoever else has a clone of it. Nothing durable is lost,
    /// and the store can be opened again once this returns.
    pub async fn kill(self) {
        self.inbox.send(Message::Close { orderly: None });
        // The loop lets go of the store before it lets go of its inbox.
        self.inbox.closed().await;
    }
}

/// A service worker registration, as far as background fetch needs it.
#[derive(Clone, Debug)]
pub struct ServiceWorkerRegistration {
    inbox: Inbox,
    key: RegistrationKey,
}

impl ServiceWorkerRegistration {
    /// The `backgroundFetch` attribute.
    #[must_use]
    pub fn background_fetch(&self) -> BackgroundFetchManager {
        BackgroundFetchManager::new(self.inbox.clone(), self.key.clone())
    }

    /// Its storage key and scope.
    #[must_use]
    pub fn key(&self) -> &RegistrationKey {
        &self.key
    }

    /// Tells whether its active worker is not null; without one `fetch()` is refused and settling
    /// events wait. With one the pending events are fired, as by [`Self::deliver_pending`].
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn set_active_worker(&self, active_worker: bool) -> Result<()> {
        let registration = self.key.clone();
        let register = |call| Input::Register { call, registration, active_worker };
        self.inbox.call(register).await.map(drop)
    }

    /// Fires the settling events that wait for this registration's worker: those for which the
    /// worker host had no active worker or said "not yet", and those that are
    /// [held](crate::Builder::hold_events). An event that waits for its next attempt goes on
    /// waiting.
    ///
    /// # Errors
    ///
    /// [`CallError::NoActiveWorker`](crate::CallError::NoActiveWorker) where it was not
    /// [registered](Engine::register) with this engine, or has no active worker; a closed engine.
    pub async fn deliver_pending(&self) -> Result<()> {
        let registration = self.key.clone();
        self.inbox.call(|call| Input::DeliverPending { call, registration }).await.map(drop)
    }

    /// The registration was unregistered, or its site's data cleared: its fetches end without
    /// events and every byte of them is deleted (D42).
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn unregister(self) -> Result<()> {
        let registration = self.key.clone();
        self.inbox.call(|call| Input::Unregister { call, registration }).await.map(drop)
    }
}

/// What ends the loop.
#[derive(Debug)]
struct Owner {
    inbox: Inbox,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inbox.send(Message::Close { orderly: None });
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        // Waiting lets the store be opened again right after. The last handle may be dropped by a
        // task of the engine itself, which cannot wait for its own end.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the engine's thread panicked");
        }
    }
}
