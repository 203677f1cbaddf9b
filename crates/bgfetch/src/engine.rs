//! The engine handle for embedders.

use std::sync::{Arc, Weak};

use bgfetch_model::budget::Usage;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{FetchKey, RecordKey, RegistrationKey, StorageKey};
use bgfetch_model::input::Input;
use bgfetch_net::scheduler::Limits;
use bgfetch_sw::FunctionalEvent;
use parking_lot::Mutex;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use url::Url;

use crate::background_fetch_manager::BackgroundFetchManager;
use crate::background_fetch_record::BackgroundFetchRecord;
use crate::background_fetch_registration::BackgroundFetchRegistration;
use crate::clients::Client;
use crate::error::Result;
use crate::inbox::{Inbox, Message};
use crate::observer::Observer;
use crate::ui::Ui;

/// A background fetch engine over one store.
///
/// Clones refer to the same engine. When the last clone is dropped, the engine ends as in a crash:
/// nothing durable is lost, and fetches resume when the store is opened again. [`Engine::shutdown`]
/// ends it gracefully. Handles that the engine returned do not keep it alive; after its end their
/// calls fail with [`Error::is_closed`](crate::Error::is_closed).
#[derive(Clone, Debug)]
pub struct Engine {
    inbox: Inbox,
    /// Ends the loop with the last clone.
    owner: Arc<Owner>,
}

/// A reference that does not keep its engine alive, from [`Engine::downgrade`] or
/// [`Builder::worker_host_with`](crate::Builder::worker_host_with). For parts that the engine itself
/// holds, such as the worker host.
#[derive(Clone, Debug)]
pub struct WeakEngine {
    inbox: Inbox,
    owner: Weak<Owner>,
}

impl WeakEngine {
    /// The engine, or `None` when it has been dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<Engine> {
        let owner = self.owner.upgrade()?;
        Some(Engine { inbox: self.inbox.clone(), owner })
    }

    /// The `registration` attribute of an event: the background fetch that it is about.
    ///
    /// # Errors
    ///
    /// [`CallError::NotFound`](crate::CallError::NotFound) when the fetch is gone; a closed engine.
    pub async fn background_fetch(
        &self,
        event: &FunctionalEvent,
    ) -> Result<BackgroundFetchRegistration> {
        let (inbox, key) = (self.inbox.clone(), event.registration().clone());
        let registration = ServiceWorkerRegistration { inbox, key };
        let fetch = registration.fetch(event.fetch()).await?;
        fetch.ok_or_else(|| CallError::NotFound.into())
    }
}

impl Engine {
    /// A reference that does not keep the engine alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakEngine {
        WeakEngine { inbox: self.inbox.clone(), owner: Arc::downgrade(&self.owner) }
    }

    #[cfg(test)]
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// The handle of an engine whose loop is about to start.
    pub(crate) fn new(inbox: Inbox) -> Self {
        let owner = Owner { inbox: inbox.clone(), thread: Mutex::new(None) };
        Self { inbox, owner: Arc::new(owner) }
    }

    /// The thread of the loop, which the last clone waits for.
    pub(crate) fn runs_on(&self, thread: JoinHandle<()>) {
        *self.owner.thread.lock() = Some(thread);
    }

    /// Registers an existing service worker registration with an active worker. Call it at each
    /// start for every registration that exists. It fires the events that an earlier engine did not
    /// deliver, before it returns.
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

    /// A registration that was [registered](Self::register) before. Calls on any other are refused
    /// as [`CallError::NoActiveWorker`](crate::CallError::NoActiveWorker), or find nothing.
    #[must_use]
    pub fn registration(&self, key: RegistrationKey) -> ServiceWorkerRegistration {
        ServiceWorkerRegistration { inbox: self.inbox.clone(), key }
    }

    /// The registrations in the store.
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

    /// Connects a realm of a storage key, which receives the updates of all the key's fetches from
    /// now on.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn client(&self, storage_key: StorageKey) -> Result<Client> {
        self.inbox.read(move |view| view.clients.connect(storage_key, None)).await
    }

    /// Waits until the engine has ended and its store can be opened again. The future does not keep
    /// the engine alive.
    ///
    /// # Errors
    ///
    /// The reason, if the engine stopped without being asked to: its store failed, or it panicked.
    pub fn stopped(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let inbox = self.inbox.clone();
        async move {
            inbox.closed().await;
            if inbox.has_stopped() { Err(inbox.closed_error()) } else { Ok(()) }
        }
    }

    /// Whether the engine has ended. All calls then fail.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }

    /// How much of its quota the background fetches of a storage key use.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn usage(&self, storage_key: StorageKey) -> Result<Usage> {
        self.inbox.read(move |view| view.model.usage(&storage_key)).await
    }

    /// The storage keys that have registrations, with how much of its quota each of them uses: for
    /// an embedder that has to evict some, with [`Self::clear`].
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn usages(&self) -> Result<Vec<(StorageKey, Usage)>> {
        let usages = self.inbox.read(|view| {
            let keys = view.model.storage_keys().into_iter();
            keys.map(|key| (key.clone(), view.model.usage(key))).collect()
        });
        usages.await
    }

    /// Removes all registrations of a storage key, as [`ServiceWorkerRegistration::unregister`]
    /// does: its data was cleared by the user or the site, or is evicted. Returns once every byte is
    /// durably gone.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn clear(&self, storage_key: StorageKey) -> Result<()> {
        self.inbox.call(|call| Input::Clear { call, storage_key }).await.map(drop)
    }

    /// Call this when the permission of a storage key's pages is revoked. Their calls of `fetch()` in
    /// progress are refused and their active fetches are aborted; the workers get
    /// `backgroundfetchabort`. Fetches that are made for [`Principal::User`](crate::Principal) go on. Later calls ask for the [permission](crate::embedder::Permissions)
    /// as always.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn revoke_permission(&self, storage_key: StorageKey) -> Result<()> {
        self.inbox.call(|call| Input::RevokePermission { call, storage_key }).await.map(drop)
    }

    /// Changes how many attempts may run at once, from now on. Higher limits let waiting records start
    /// at once. Lower ones end no running attempt: no other starts until there are fewer than allowed.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn set_limits(&self, limits: Limits) -> Result<()> {
        let (done, changed) = oneshot::channel();
        self.inbox.send(Message::SetLimits(limits, done));
        changed.await.map_err(|_| self.inbox.closed_error())
    }

    /// Caps the rate at which all fetches together move the bodies of requests and responses, in bytes
    /// per second, from now on. `None` is no cap, and with 0 nothing moves. Not stored: set it each
    /// time, or with [`Builder::rate`](crate::Builder::rate).
    ///
    /// In any time, no more bytes are stored and sent than the rate allows, and a tenth of a second of
    /// it more. The sites that want bytes share the rate evenly, as do the fetches of a site; a fetch
    /// alone has it all. An attempt that has to wait does not read, so that its server waits too, and
    /// the wait does not count to its [`Timeouts`](crate::Timeouts). It does count to
    /// [`Config::max_running_time`](crate::Config::max_running_time).
    ///
    /// ```no_run
    /// use bgfetch::{BackgroundFetchRegistration, Engine, Limits};
    ///
    /// # async fn example(fetch: BackgroundFetchRegistration, limits: Limits) -> bgfetch::Result<()> {
    /// let builder = Engine::builder().directory("profile/bgfetch").limits(limits);
    /// let engine = builder.rate(Some(2_000_000)).open()?;
    /// // The user begins to watch a film: one megabyte per second for all fetches together.
    /// engine.set_rate(Some(1_000_000)).await?;
    /// // No more than two requests at a time to one host.
    /// engine.set_limits(limits.with(|it| it.per_host = 2)).await?;
    /// // And one of the downloads is less important.
    /// engine.ui().set_rate(fetch.key(), Some(50_000)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What servers send is that much and what fits the buffers of connections. Compressed responses
    /// count as they are stored, decoded. Heads, redirects and preflights do not count.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn set_rate(&self, rate: Option<u64>) -> Result<()> {
        self.inbox.read(move |view| view.throttle.set_rate(rate)).await
    }

    /// The record with that identity, whatever site it belongs to; `None` if its records are not
    /// available.
    ///
    /// For what the embedder itself does with a record, for example to play it in a downloads list.
    /// A key that comes from a renderer process is looked up with
    /// [`ServiceWorkerRegistration::record`], which finds only the records of the renderer's site.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn record(&self, key: RecordKey) -> Result<Option<BackgroundFetchRecord>> {
        BackgroundFetchRecord::find(&self.inbox, key, None).await
    }

    /// A stream of all events from now on.
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

    /// Ends the engine gracefully: stops transfers, commits what was decided, and closes the store.
    /// Fetches resume when the store is opened again. This closes all clones.
    ///
    /// # Errors
    ///
    /// The reason if the engine had stopped before, or if the store could not be closed.
    pub async fn shutdown(self) -> Result<()> {
        let (done, finished) = oneshot::channel();
        self.inbox.send(Message::Close { orderly: Some(done) });
        if finished.await.is_err() || self.inbox.has_stopped() {
            return Err(self.inbox.closed_error());
        }
        Ok(())
    }

    /// Ends the engine as in a crash, even if there are other clones. Nothing durable is lost, and
    /// the store can be opened again once this returns.
    pub async fn kill(self) {
        self.inbox.send(Message::Close { orderly: None });
        // The loop drops the store before it drops its inbox.
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

    /// The registration's fetch with that identity, including finished ones. An event's handler
    /// reads its records from it.
    ///
    /// Keys are small numbers, so a renderer process can guess those of other sites. A fetch of
    /// another registration is not found: an embedder that receives a key from a renderer looks it
    /// up here, in a registration of the renderer's site.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn fetch(&self, key: FetchKey) -> Result<Option<BackgroundFetchRegistration>> {
        let (inbox, registration) = (self.inbox.clone(), self.key.clone());
        let found = self.inbox.read(move |view| {
            let fetch = view.model.fetch(key).filter(|fetch| *fetch.registration() == registration);
            fetch.map(|fetch| BackgroundFetchRegistration::new(inbox, fetch.snapshot()))
        });
        found.await
    }

    /// The registration's record with that identity, as long as its records are available. For hosts
    /// that hand keys of records to other processes, as for a media element whose bytes come from a
    /// record. As with [`fetch`](Self::fetch), a record of another registration is not found.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn record(&self, key: RecordKey) -> Result<Option<BackgroundFetchRecord>> {
        BackgroundFetchRecord::find(&self.inbox, key, Some(self.key.clone())).await
    }

    /// Sets whether the registration has an active worker. Without one, `fetch()` is refused and
    /// settling events wait. With one, the pending events are fired, as by
    /// [`Self::deliver_pending`].
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
    /// [held](crate::Builder::hold_events). An event that is waiting for its next attempt keeps
    /// waiting.
    ///
    /// # Errors
    ///
    /// [`CallError::NoActiveWorker`](crate::CallError::NoActiveWorker) if it was not
    /// [registered](Engine::register) with this engine or has no active worker; a closed engine.
    pub async fn deliver_pending(&self) -> Result<()> {
        let registration = self.key.clone();
        self.inbox.call(|call| Input::DeliverPending { call, registration }).await.map(drop)
    }

    /// Removes a registration that was unregistered or whose site data was cleared: its fetches end
    /// without events, and all their bytes are deleted (D42).
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn unregister(self) -> Result<()> {
        let registration = self.key.clone();
        self.inbox.call(|call| Input::Unregister { call, registration }).await.map(drop)
    }
}

/// Ends the loop when it is dropped.
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
        // Waiting lets the store be opened again right after the drop. The last handle may be
        // dropped by a task of the engine itself, which cannot wait for its own end.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the engine's thread panicked");
        }
    }
}
