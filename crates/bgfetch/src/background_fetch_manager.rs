//! [BackgroundFetchManager](https://wicg.github.io/background-fetch/#background-fetch-manager).

use std::sync::Arc;

use bgfetch_model::ids::RegistrationKey;
use bgfetch_model::input::{FetchCall, FetchOptions};
use bgfetch_model::policy::{PolicySnapshot, Principal};

use crate::background_fetch_registration::BackgroundFetchRegistration;
use crate::error::{Error, Result};
use crate::inbox::{Inbox, StartHold};
use crate::request_info::RequestInfo;

/// Starts and finds the background fetches of one service worker registration: the interface
/// [BackgroundFetchManager](https://wicg.github.io/background-fetch/#background-fetch-manager).
#[derive(Clone, Debug)]
pub struct BackgroundFetchManager {
    inbox: Inbox,
    registration: RegistrationKey,
    principal: Arc<Principal>,
    calls_go_on: bool,
    sees_active_worker: bool,
}

impl BackgroundFetchManager {
    pub(crate) fn new(inbox: Inbox, registration: RegistrationKey) -> Self {
        let principal = Arc::new(Principal::Page(PolicySnapshot::of(&registration.scope)));
        Self { inbox, registration, principal, calls_go_on: false, sees_active_worker: true }
    }

    /// The manager for another principal: a page with its policies, or the user, for whom CORS and
    /// similar checks do not apply. By default it acts for a secure page at the registration's
    /// scope, at the top level and without further policies.
    ///
    /// The policies are persisted with each fetch, so take them at the time of the call.
    #[must_use]
    pub fn acting_for(self, principal: Principal) -> Self {
        Self { principal: Arc::new(principal), ..self }
    }

    /// A manager whose calls to `fetch()` continue if the future is dropped after it was first
    /// polled, like the calls of a page that is closed. A body that is read from a stream must then
    /// end with an error if it cannot be read to its end.
    #[must_use]
    pub fn with_calls_that_go_on(self) -> Self {
        Self { calls_go_on: true, ..self }
    }

    /// The manager as seen by a realm that was, or was not, notified that its service worker is
    /// active. If it was not, `fetch()` returns
    /// [`CallError::NoActiveWorker`](crate::CallError::NoActiveWorker) even if the worker has
    /// become active by now. By default it was.
    #[must_use]
    pub fn seeing_active_worker(self, sees_active_worker: bool) -> Self {
        Self { sees_active_worker, ..self }
    }

    /// The [`fetch()`](https://wicg.github.io/background-fetch/#background-fetch-manager-fetch) method.
    /// Resolves once the fetch is durable; its requests start then.
    ///
    /// Dropping the future earlier leaves either no fetch at all or a complete one.
    ///
    /// # Errors
    ///
    /// An invalid URL or header, any of [`CallError`](crate::CallError), or a closed engine; see
    /// [`Error::dom_exception`].
    pub async fn fetch<R>(
        &self,
        id: impl Into<String>,
        requests: impl IntoIterator<Item = R>,
        options: FetchOptions,
    ) -> Result<BackgroundFetchRegistration>
    where
        R: TryInto<RequestInfo>,
        Error: From<R::Error>,
    {
        let (registration, _hold) = self.fetch_held(id, requests, options).await?;
        Ok(registration)
    }

    /// Like [`Self::fetch`], but the requests start only when the hold is dropped: after a script's
    /// promise was resolved and its microtasks ran (D13).
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub async fn fetch_held<R>(
        &self,
        id: impl Into<String>,
        requests: impl IntoIterator<Item = R>,
        options: FetchOptions,
    ) -> Result<(BackgroundFetchRegistration, StartHold)>
    where
        R: TryInto<RequestInfo>,
        Error: From<R::Error>,
    {
        let mut bodies = Vec::new();
        let mut model_requests = Vec::new();
        for request in requests {
            let RequestInfo { request, body } = request.try_into()?;
            bodies.push(body);
            model_requests.push(request);
        }
        let (registration, id) = (self.registration.clone(), id.into());
        let principal = Arc::clone(&self.principal);
        let requests = model_requests;
        let sees_active_worker = self.sees_active_worker;
        let call = |call| FetchCall {
            call,
            registration,
            principal,
            id,
            requests,
            options,
            sees_active_worker,
        };
        let (fetch, hold) = self.inbox.fetch(call, bodies, self.calls_go_on).await?;
        Ok((BackgroundFetchRegistration::new(self.inbox.clone(), fetch), hold))
    }

    /// The [`get()`](https://wicg.github.io/background-fetch/#background-fetch-manager-get) method: the active fetch with that id.
    ///
    /// # Errors
    ///
    /// [`CallError::EmptyId`](crate::CallError::EmptyId), or a closed engine.
    pub async fn get(&self, id: impl Into<String>) -> Result<Option<BackgroundFetchRegistration>> {
        let (id, registration, inbox) = (id.into(), self.registration.clone(), self.inbox.clone());
        let found = self.inbox.read(move |view| {
            let key = view.model.get(&registration, &id)?;
            Ok(key
                .and_then(|key| view.model.fetch(key))
                .map(|fetch| BackgroundFetchRegistration::new(inbox, fetch.snapshot())))
        });
        found.await?
    }

    /// The [`getIds()`](https://wicg.github.io/background-fetch/#background-fetch-manager-get-ids)
    /// method: the ids of the active fetches, in the order of registration.
    ///
    /// # Errors
    ///
    /// When the engine is closed.
    pub async fn get_ids(&self) -> Result<Vec<String>> {
        let registration = self.registration.clone();
        self.inbox.read(move |view| view.model.get_ids(&registration)).await
    }

    /// The service worker registration that the manager belongs to.
    #[must_use]
    pub fn registration(&self) -> &RegistrationKey {
        &self.registration
    }
}
