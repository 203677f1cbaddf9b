//! [BackgroundFetchRegistration](https://wicg.github.io/background-fetch/#background-fetch-registration)
//! and [get a BackgroundFetchRegistration instance](https://wicg.github.io/background-fetch/#get-a-backgroundfetchregistration-instance-algorithm).
//!
//! A Rust handle has no identity of its own: equal [keys](BackgroundFetchRegistration::key) are the
//! same instance, and a binding for a language with object identity keeps a map by key.

use std::sync::Arc;

use bgfetch_model::action::FetchSnapshot;
use bgfetch_model::action::{Reply, Update};
use bgfetch_model::background_fetch::BackgroundFetch;
use bgfetch_model::background_fetch_registration::match_all::MatchOptions;
use bgfetch_model::fetch_info::FetchInfo;
use bgfetch_model::ids::{FetchKey, RecordKey, RegistrationKey};
use bgfetch_model::input::Input;
use bgfetch_model::store_op::FetchResult;
use parking_lot::Mutex;

use crate::background_fetch_record::BackgroundFetchRecord;
use crate::clients::{Client, ClientUpdate};
use crate::error::{Error, Result};
use crate::inbox::Inbox;
use crate::request_info::RequestInfo;
use bgfetch_model::error::CallError;

/// A background fetch as a page or a worker sees it: the interface
/// [BackgroundFetchRegistration](https://wicg.github.io/background-fetch/#background-fetch-registration).
///
/// The attributes are copies, as in the spec: they have the values of the time when the handle was
/// made, or when [`Self::apply`] last applied an update.
#[derive(Clone, Debug)]
pub struct BackgroundFetchRegistration {
    inbox: Inbox,
    info: Arc<FetchInfo>,
    current: Arc<Mutex<Update>>,
}

impl BackgroundFetchRegistration {
    pub(crate) fn new(inbox: Inbox, FetchSnapshot { info, update }: FetchSnapshot) -> Self {
        Self { inbox, info, current: Arc::new(Mutex::new(update)) }
    }

    /// Whether its engine is gone, so that its methods fail. A handle does not work with the next
    /// engine that opens the store.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }

    /// The identity of its background fetch.
    #[must_use]
    pub fn key(&self) -> FetchKey {
        self.info.key
    }

    /// The service worker registration that it belongs to. A realm may only use the handle if its
    /// storage key is the realm's.
    #[must_use]
    pub fn registration(&self) -> &RegistrationKey {
        &self.info.registration
    }

    /// The `id` attribute.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// The `uploadTotal` attribute, in bytes.
    #[must_use]
    pub fn upload_total(&self) -> u64 {
        self.info.upload_total
    }

    /// The `uploaded` attribute, in bytes.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.current.lock().uploaded
    }

    /// The `downloadTotal` attribute, in bytes; 0 when none was given.
    #[must_use]
    pub fn download_total(&self) -> u64 {
        self.info.download_total
    }

    /// The `downloaded` attribute, in bytes.
    #[must_use]
    pub fn downloaded(&self) -> u64 {
        self.current.lock().downloaded
    }

    /// The `result` and `failureReason` attributes: `None` stands for the empty string.
    #[must_use]
    pub fn result(&self) -> Option<FetchResult> {
        self.current.lock().result
    }

    /// The `recordsAvailable` attribute.
    #[must_use]
    pub fn records_available(&self) -> bool {
        self.current.lock().records_available
    }

    /// Applies an update of a [`Client`], as *update background fetch instances* does in a realm.
    /// Returns whether a `progress` event must be fired.
    pub fn apply(&self, client_update: &ClientUpdate) -> bool {
        client_update.fetch == self.key() && self.take_over(client_update.update)
    }

    /// Applies what a newer handle of the same fetch shows, as [`apply`](Self::apply) does with an
    /// update. Returns whether a `progress` event must be fired. A realm needs it when it replaces a
    /// handle, because the engine sends no update for what had changed before.
    pub fn catch_up_with(&self, newer: &Self) -> bool {
        let update = *newer.current.lock();
        newer.key() == self.key() && self.take_over(update)
    }

    fn take_over(&self, update: Update) -> bool {
        let mut current = self.current.lock();
        // Step 6.3, the flag is only ever cleared.
        current.records_available &= update.records_available;
        // Step 6.4, nothing is reported after the fetch has settled.
        if current.result.is_some() {
            return false;
        }
        // Step 6.5, nothing changed.
        let new = update.with(|it| it.records_available = current.records_available);
        if *current == new {
            return false;
        }
        // Steps 6.6 to 6.10, apply the values and fire `progress`.
        *current = new;
        true
    }

    /// The updates of this fetch alone, from now on. [Apply](Self::apply) each of them.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn updates(&self) -> Result<Client> {
        let (storage_key, key) = (self.info.registration.storage_key.clone(), self.key());
        self.inbox.read(move |view| view.clients.connect(storage_key, Some(key))).await
    }

    /// Waits until the fetch has settled, and applies the result. Not part of the interface, but
    /// useful to embedders without pages.
    ///
    /// # Errors
    ///
    /// When the engine is closed first; [`CallError::NotFound`] when the registration is removed.
    pub async fn settled(&self) -> Result<FetchResult> {
        let mut updates = self.updates().await?;
        let key = self.key();
        let now = self.inbox.read(move |view| view.model.fetch(key).map(BackgroundFetch::update));
        let mut update = now.await?.ok_or(CallError::NotFound)?;
        while update.result.is_none() {
            let Some(next) = updates.next().await else {
                // Either the engine is closed or the fetch is gone.
                self.inbox.read(|_| ()).await?;
                return Err(CallError::NotFound.into());
            };
            update = next.update;
        }
        *self.current.lock() = update;
        update.result.ok_or_else(|| CallError::NotFound.into())
    }

    /// The [`abort()`](https://wicg.github.io/background-fetch/#background-fetch-registration-abort)
    /// method. Returns true if this call aborted the fetch.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn abort(&self) -> Result<bool> {
        let fetch = self.key();
        let reply = self.inbox.call(move |call| Input::Abort { call, fetch }).await?;
        Ok(reply == Reply::Aborted(true))
    }

    /// Holds the records after the settling event until they are released. Scripts no longer see
    /// them, but the next fetch of the same storage key that is made for
    /// [`Principal::User`](crate::Principal::User) takes over the bodies, heads and validators of
    /// equal requests and downloads only the rest. Call it from the handler of the event: the
    /// request to hold is not persisted before the event ends.
    ///
    /// Only fetches that were made for the user are held, and only if some record has bytes that
    /// another fetch could resume from. The bytes count towards the site's quota;
    /// `Config::max_held` and `Config::held_age` bound them, and
    /// [`Ui::dismiss`](crate::Ui::dismiss) releases them too.
    ///
    /// # Errors
    ///
    /// [`CallError::RecordsUnavailable`] when the event has ended; [`CallError::NotFound`]; a
    /// closed engine.
    pub async fn hold_records(&self) -> Result<()> {
        let fetch = self.key();
        self.inbox.call(move |call| Input::HoldRecords { call, fetch, hold: true }).await.map(drop)
    }

    /// Releases held records and deletes their bytes.
    ///
    /// # Errors
    ///
    /// [`CallError::NotFound`]; a closed engine.
    pub async fn release_records(&self) -> Result<()> {
        let fetch = self.key();
        self.inbox.call(move |call| Input::HoldRecords { call, fetch, hold: false }).await.map(drop)
    }

    /// Syncs everything that was [exported](BackgroundFetchRecord::export) of the fetch, or was found
    /// to be exported already, so that it survives a power loss. Costs one sync per folder. Call it
    /// once all records are exported, before reporting them as saved. Without this call, the end of
    /// the event's delivery does it.
    ///
    /// # Errors
    ///
    /// [`Error::store_error`]: a power loss may lose what was exported; a closed engine.
    pub async fn sync_exports(&self) -> Result<()> {
        let (key, bodies) = (self.key(), self.inbox.read(|view| Arc::clone(view.bodies)).await?);
        let sync = self.inbox.blocking().run(move || bodies.sync_exports(key));
        Ok(sync.await.map_err(|_| self.inbox.closed_error())??)
    }

    /// The [`match()`](https://wicg.github.io/background-fetch/#background-fetch-registration-match)
    /// method: the first record that matches.
    ///
    /// # Errors
    ///
    /// As [`Self::match_all`].
    pub async fn match_first<R>(
        &self,
        request: R,
        options: MatchOptions,
    ) -> Result<Option<BackgroundFetchRecord>>
    where
        R: TryInto<RequestInfo>,
        Error: From<R::Error>,
    {
        Ok(self.match_all(request, options).await?.into_iter().next())
    }

    /// The [`matchAll()`](https://wicg.github.io/background-fetch/#background-fetch-registration-match-all)
    /// method with a request: the records that match, in request order.
    ///
    /// # Errors
    ///
    /// An invalid URL; [`CallError::RecordsUnavailable`] when the records are gone; a closed engine.
    pub async fn match_all<R>(
        &self,
        request: R,
        options: MatchOptions,
    ) -> Result<Vec<BackgroundFetchRecord>>
    where
        R: TryInto<RequestInfo>,
        Error: From<R::Error>,
    {
        self.matching(Some(request.try_into()?), options).await
    }

    /// The `matchAll()` method without a request: all records, in request order.
    ///
    /// # Errors
    ///
    /// [`CallError::RecordsUnavailable`] when the records are gone; a closed engine.
    pub async fn records(&self) -> Result<Vec<BackgroundFetchRecord>> {
        self.matching(None, MatchOptions::default()).await
    }

    async fn matching(
        &self,
        request: Option<RequestInfo>,
        options: MatchOptions,
    ) -> Result<Vec<BackgroundFetchRecord>> {
        // Step 1, the flag of this instance.
        if !self.records_available() {
            return Err(CallError::RecordsUnavailable.into());
        }
        let (key, inbox) = (self.key(), self.inbox.clone());
        let query = request.map(|request| request.request);
        let asked = query.clone();
        let matches = self.inbox.read(move |view| {
            let fetch = view.model.fetch(key).ok_or(CallError::RecordsUnavailable)?;
            let indices = fetch.match_all(asked.as_ref(), options)?;
            Ok::<Vec<_>, CallError>(
                indices
                    .into_iter()
                    .filter_map(|index| {
                        let key = RecordKey { fetch: key, index };
                        let record = fetch.record(index)?;
                        Some(BackgroundFetchRecord::new(key, record, view, inbox.clone()))
                    })
                    .collect(),
            )
        });
        let mut records = Vec::new();
        for record in matches.await?? {
            let differs = match &query {
                Some(query) if !options.ignore_vary => !record.matches_vary(query).await,
                _ => false,
            };
            if !differs {
                records.push(record);
            }
        }
        Ok(records)
    }
}
