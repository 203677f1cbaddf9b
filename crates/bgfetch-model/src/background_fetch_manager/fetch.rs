//! [fetch()](https://wicg.github.io/background-fetch/#background-fetch-manager-fetch): from the call
//! to a registered background fetch.
//!
//! A call waits for the permission, for the quota, then for its request bodies, then for the store.
//! A `PendingFetch` is in one of these states.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;
use url::Url;

use crate::action::{Action, BodiesCommand, PermissionRequest, Reply, What};
use crate::background_fetch::BackgroundFetch;
use crate::bad_port::is_bad_port;
use crate::budget::{Claimant, Exhausted};
use crate::config::Config;
use crate::context::Effect;
use crate::error::CallError;
use crate::forbidden_header::{is_forbidden_method, remove_forbidden_request_headers};
use crate::ids::{CallId, FetchKey, Generation, RegistrationKey, StorageKey};
use crate::input::{BodyError, FetchCall, Permission};
use crate::metadata::{self, Size};
use crate::model::Model;
use crate::policy::Principal;
use crate::request::{CacheMode, Request, RequestMode};
use crate::store_op::{StoreOp, StoredFetch, StoredRecord, Totals};

/// A waiting call.
#[derive(Debug)]
pub(crate) struct PendingFetch {
    call: Box<FetchCall>,
    /// The call's requests.
    pub(crate) requests: Vec<Arc<Request>>,
    /// What the fetch and its requests take besides bodies.
    pub(crate) size: Size,
    /// What the site's account counts for the call.
    taken: u64,
    wait: Wait,
}

#[derive(Debug)]
enum Wait {
    /// For the permission.
    Permission,
    /// For its turn to set aside what it promises.
    Quota { fetch: FetchKey, start_paused: bool },
    /// For its request bodies.
    Bodies { fetch: FetchKey, start_paused: bool, stored: u64 },
    /// For its request bodies, which wait for a grant.
    Grant { fetch: FetchKey, start_paused: bool, stored: u64 },
}

impl PendingFetch {
    /// What is set aside for the call besides its request bodies.
    fn promised(&self, config: &Config) -> u64 {
        let metadata = if config.count_metadata { self.size.rows } else { 0 };
        self.call.options.download_total.saturating_add(metadata)
    }
}

impl Wait {
    /// The key under which request bodies are being stored.
    fn bodies(&self) -> Option<FetchKey> {
        match self {
            Self::Permission | Self::Quota { .. } => None,
            Self::Bodies { fetch, .. } | Self::Grant { fetch, .. } => Some(*fetch),
        }
    }
}

impl FetchCall {
    /// Steps 4 to 6 of the spec's algorithm: the checks before anything is asked or read.
    ///
    /// # Errors
    ///
    /// The first rule that the call breaks, always a `TypeError`.
    pub fn validate(&self, config: &Config) -> Result<(), CallError> {
        if self.id.is_empty() {
            return Err(CallError::EmptyId);
        }
        // Step 5, an empty list is refused.
        if self.requests.is_empty() {
            return Err(CallError::NoRequests);
        }
        if self.requests.len() > config.max_requests {
            return Err(CallError::TooManyRequests);
        }
        self.requests.iter().try_for_each(check_request)?;
        // DEVIATION(D47): the spec sets no limit. No honest page reaches these.
        metadata::check_id(&self.id, config)?;
        metadata::check_ui(&self.options.title, &self.options.icons, config)?;
        self.requests.iter().try_for_each(|request| metadata::check_request(request, config))
    }
}

/// The checks on one request. A caller may check each request before it creates the next.
///
/// # Errors
///
/// The first rule that the request breaks, always a `TypeError`.
pub fn check_request(request: &Request) -> Result<(), CallError> {
    let url = &request.url;
    // The Request constructor's own checks, repeated for callers that do not use it.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(CallError::CredentialsInUrl);
    }
    if is_forbidden_method(&request.method) {
        return Err(CallError::ForbiddenMethod);
    }
    if request.cache == CacheMode::OnlyIfCached && request.mode != RequestMode::SameOrigin {
        return Err(CallError::OnlyIfCached);
    }
    // Step 6.2, opaque responses would be useless.
    if request.mode == RequestMode::NoCors {
        return Err(CallError::NoCors);
    }
    // Upstream's port-blocking test expects this before the fetch is registered (D11). Schemes
    // other than HTTP's fail the record instead (D36).
    match url.port_or_known_default() {
        Some(port) if is_http(url) && is_bad_port(port) => Err(CallError::BlockedPort),
        _ => Ok(()),
    }
}

impl Model {
    pub(crate) fn fetch_called(&mut self, mut call: Box<FetchCall>) {
        let id = call.call;
        if let Err(error) = call.validate(&self.ctx.config) {
            return self.ctx.reply(id, Err(error));
        }
        // The Request constructor's header guard, for pages. All requests of pages pass here, so no
        // forbidden header of a page is ever stored or sent.
        if call.principal.policies().is_some() {
            for request in &mut call.requests {
                remove_forbidden_request_headers(&mut request.headers);
            }
        }
        // Calls that wait for the permission take memory too.
        let size = Size::of_call(&call);
        let (site, requests) = (&call.registration.storage_key, call.requests.len());
        if let Err(error) = self.check_site(site, size.memory, 1, requests) {
            return self.ctx.reply(id, Err(error));
        }
        // Step 8.1, ask for the permission state, together with the quota.
        let requests: Vec<_> = mem::take(&mut call.requests).into_iter().map(Arc::new).collect();
        let request = PermissionRequest {
            registration: call.registration.clone(),
            principal: Arc::clone(&call.principal),
            id: call.id.clone(),
            title: call.options.title.clone(),
            icons: call.options.icons.clone(),
            requests: requests.clone(),
            download_total: call.options.download_total,
        };
        let pending = PendingFetch { call, requests, size, taken: 0, wait: Wait::Permission };
        self.pending.insert(id, pending);
        self.ctx.act(Action::QueryPermission { call: id, request: Box::new(request) });
    }

    pub(crate) fn permission_answered(
        &mut self,
        id: CallId,
        permission: Permission,
        quota: Option<u64>,
    ) {
        let Some(mut pending) =
            self.pending.remove(&id).filter(|pending| matches!(pending.wait, Wait::Permission))
        else {
            return;
        };
        let storage_key = pending.call.registration.storage_key.clone();
        if let Some(quota) = quota {
            self.set_quota(&storage_key, quota);
        }
        match self.admit(&pending.call, permission) {
            Err(error) => self.ctx.reply(id, Err(error)),
            Ok(fetch) => {
                let start_paused = permission == Permission::StartPaused;
                pending.wait = Wait::Quota { fetch, start_paused };
                self.pending.insert(id, pending);
                self.ctx.account(&storage_key).wait(Claimant::Call(id));
                self.ctx.grants_to_review.insert(storage_key);
            }
        }
    }

    /// What each waiting call of a site takes in memory.
    pub(crate) fn pending_of(
        &self,
        storage_key: &StorageKey,
    ) -> impl Iterator<Item = &PendingFetch> {
        let pending = self.pending.values();
        pending.filter(|pending| pending.call.registration.storage_key == *storage_key)
    }

    /// It is the call's turn to set bytes aside: first what it promises (D12), later what its
    /// request bodies need.
    pub(crate) fn grant_call(&mut self, id: CallId) -> Result<(), Exhausted> {
        let Some(pending) = self.pending.get_mut(&id) else {
            return Ok(());
        };
        match pending.wait {
            Wait::Quota { fetch, start_paused } => {
                let promised = pending.promised(&self.ctx.config);
                let account = self.ctx.account(&pending.call.registration.storage_key);
                if !account.reserve(promised) {
                    return Err(Exhausted::Quota);
                }
                pending.taken = promised;
                if pending.requests.iter().any(|request| request.body_length.is_some()) {
                    // Steps 8.6 to 8.10, the bodies are read while other calls go on (D19).
                    let grant = account.grant();
                    pending.taken += grant;
                    pending.wait = Wait::Bodies { fetch, start_paused, stored: 0 };
                    self.ctx.act(Action::StoreBodies { call: id, fetch, grant });
                } else if let Some(pending) = self.pending.remove(&id) {
                    self.register_fetch(pending, fetch, start_paused);
                }
            }
            Wait::Grant { fetch, start_paused, stored } => {
                let account = self.ctx.account(&pending.call.registration.storage_key);
                let more = account.grant();
                if more == 0 {
                    return Err(Exhausted::Quota);
                }
                pending.taken += more;
                pending.wait = Wait::Bodies { fetch, start_paused, stored };
                let grant = BodiesCommand::Grant(stored + more);
                self.ctx.act(Action::CommandBodies(fetch, grant));
            }
            Wait::Permission | Wait::Bodies { .. } => {}
        }
        Ok(())
    }

    /// The quota does not allow what a call needs.
    pub(crate) fn refuse_call(&mut self, id: CallId) {
        if let Some(pending) = self.pending.remove(&id) {
            self.undo(id, pending);
            self.ctx.reply(id, Err(CallError::QuotaExceeded));
        }
    }

    /// Asks every call of a site to return the unused part of its grant.
    pub(crate) fn recall_grants_of_calls(&mut self, storage_key: &StorageKey) {
        for (id, pending) in &self.pending {
            let promised = pending.promised(&self.ctx.config);
            let Wait::Bodies { fetch, stored, .. } = pending.wait else { continue };
            if pending.call.registration.storage_key == *storage_key
                && pending.taken > promised.saturating_add(stored)
                && self.ctx.account(storage_key).recall(Claimant::Call(*id))
            {
                let recall = BodiesCommand::RecallGrant;
                self.ctx.act(Action::CommandBodies(fetch, recall));
            }
        }
    }

    /// Request bodies used up their grant.
    pub(crate) fn bodies_need_grant(&mut self, id: CallId, bytes: u64) {
        self.reduce_grant(id, bytes);
        let Some(pending) = self.pending.get_mut(&id) else { return };
        if let Wait::Bodies { fetch, start_paused, stored } = pending.wait {
            pending.wait = Wait::Grant { fetch, start_paused, stored };
            let storage_key = pending.call.registration.storage_key.clone();
            self.ctx.account(&storage_key).wait(Claimant::Call(id));
            self.ctx.grants_to_review.insert(storage_key);
        }
    }

    /// Request bodies returned the unused part of their grant.
    pub(crate) fn bodies_grant_returned(&mut self, id: CallId, bytes: u64) {
        self.reduce_grant(id, bytes);
        if let Some(pending) = self.pending.get(&id) {
            let storage_key = pending.call.registration.storage_key.clone();
            if self.ctx.account(&storage_key).returned(Claimant::Call(id)) {
                self.ctx.grants_to_review.insert(storage_key);
            }
        }
    }

    /// The grant of a call is what it has stored.
    fn reduce_grant(&mut self, id: CallId, bytes: u64) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let promised = pending.promised(&self.ctx.config);
        if let Wait::Bodies { stored, .. } | Wait::Grant { stored, .. } = &mut pending.wait {
            *stored = bytes;
            let needed = promised.saturating_add(bytes);
            let unused = pending.taken.saturating_sub(needed);
            pending.taken -= unused;
            self.ctx.account(&pending.call.registration.storage_key).release(unused);
        }
    }

    /// Steps 8.2 to 8.5, whether the call may register a fetch; its id is reserved from here on.
    fn admit(&mut self, call: &FetchCall, permission: Permission) -> Result<FetchKey, CallError> {
        // Step 8.2, the permission is denied.
        if permission == Permission::Denied {
            return Err(CallError::PermissionDenied);
        }
        // Step 8.4, there must be an active worker.
        let registration = self
            .ctx
            .registrations
            .get_mut(&call.registration)
            .filter(|registration| registration.active_worker && call.sees_active_worker)
            .ok_or(CallError::NoActiveWorker)?;
        // Step 8.5, the id must be free.
        if registration.active.get(&call.id).is_some() || registration.reserved.contains(&call.id) {
            return Err(CallError::IdInUse);
        }
        let active = registration.active.len() + registration.reserved.len();
        if active >= self.ctx.config.max_active_fetches {
            return Err(CallError::TooManyFetches);
        }
        registration.reserved.insert(call.id.clone());
        let fetch = FetchKey(self.next_fetch);
        self.next_fetch += 1;
        Ok(fetch)
    }

    pub(crate) fn bodies_stored(&mut self, id: CallId, lengths: Vec<u64>) {
        let Some(mut pending) = self.pending.remove(&id) else {
            return;
        };
        let Wait::Bodies { fetch, start_paused, .. } = pending.wait else {
            self.pending.insert(id, pending);
            return;
        };
        self.leave_queue(id, &pending);
        let with_bodies =
            pending.requests.iter_mut().filter(|request| request.body_length.is_some());
        for (request, length) in with_bodies.zip(&lengths) {
            Arc::make_mut(request).body_length = Some(*length);
        }
        self.register_fetch(pending, fetch, start_paused);
    }

    pub(crate) fn bodies_failed(&mut self, id: CallId, error: BodyError) {
        if let Some(pending) = self.pending.remove(&id) {
            self.undo(id, pending);
            // Steps 8.9 and 8.11.
            let error = match error {
                BodyError::Unreadable => CallError::BodyUnreadable,
                BodyError::QuotaExceeded => CallError::QuotaExceeded,
            };
            self.ctx.reply(id, Err(error));
        }
    }

    /// The caller disappeared before the store was asked: remove every trace of the call.
    pub(crate) fn call_dropped(&mut self, id: CallId) {
        if let Some(pending) = self.pending.remove(&id) {
            self.undo(id, pending);
        }
    }

    /// Refuses some of the calls that are in progress, by their registration and principal.
    pub(crate) fn refuse_pending(
        &mut self,
        is_refused: impl Fn(&RegistrationKey, &Principal) -> bool,
        error: CallError,
    ) {
        let calls = self.pending.iter().map(|(id, pending)| (*id, &pending.call));
        let calls = calls.filter(|(_, call)| is_refused(&call.registration, &call.principal));
        let calls: Vec<_> = calls.map(|(id, _)| id).collect();
        for id in calls {
            self.call_dropped(id);
            self.ctx.reply(id, Err(error));
        }
    }

    fn undo(&mut self, id: CallId, pending: PendingFetch) {
        self.leave_queue(id, &pending);
        let PendingFetch { call, taken, wait, .. } = pending;
        if !matches!(wait, Wait::Permission)
            && let Some(registration) = self.ctx.registrations.get_mut(&call.registration)
        {
            registration.reserved.remove(&call.id);
        }
        let storage_key = call.registration.storage_key;
        let Some(fetch) = wait.bodies() else {
            return self.ctx.account(&storage_key).release(taken);
        };
        // Stop the reader first, then delete what it read, which counts until it is gone.
        self.ctx.act(Action::DiscardBodies(fetch));
        self.ctx.store(StoreOp::Forget(fetch));
        self.ctx.release_after_commit(storage_key, taken);
    }

    /// A call wants no more bytes.
    fn leave_queue(&mut self, id: CallId, pending: &PendingFetch) {
        let storage_key = &pending.call.registration.storage_key;
        let account = self.ctx.account(storage_key);
        account.leave_queue(Claimant::Call(id));
        if account.returned(Claimant::Call(id)) {
            self.ctx.grants_to_review.insert(storage_key.clone());
        }
    }

    /// Step 8.12, the background fetch and its records are stored.
    fn register_fetch(&mut self, pending: PendingFetch, key: FetchKey, start_paused: bool) {
        let PendingFetch { call, requests, taken, .. } = pending;
        let FetchCall { call, registration, principal, id, options, .. } = *call;
        let mut stored = StoredFetch {
            key,
            registration,
            principal,
            id,
            title: options.title,
            icons: options.icons,
            download_total: options.download_total,
            paused: start_paused,
            abort_all: false,
            cause: None,
            result: None,
            created_at: self.ctx.now.wall,
            settled_at: None,
            delivery_attempts: 0,
            running_time: Duration::ZERO,
            records_available: true,
            records: requests.into_iter().map(new_record).collect(),
            totals: Totals::default(),
        };
        self.ctx.store(StoreOp::InsertFetch(Box::new(stored.clone())));
        let whole = self.adopt_held_records(&mut stored);
        let mut fetch = BackgroundFetch::from_stored(stored, self.ctx.config.count_metadata);
        for index in whole {
            fetch.change(index, |record| record.whole = true);
        }
        // From now on the fetch owns what was set aside for the call.
        fetch.account(&mut self.ctx).release(taken);
        fetch.count(&mut self.ctx);
        self.registering.insert(key, fetch);
        self.ctx.after_commit(Effect::Registered(call, key));
    }

    /// Steps 8.13 to 8.16, the fetch is durable: it is active, and the promise is resolved.
    pub(crate) fn fetch_registered(&mut self, call: CallId, key: FetchKey) {
        let Some(fetch) = self.registering.remove(&key) else {
            // The registration was removed meanwhile.
            return self.ctx.reply(call, Err(CallError::NoActiveWorker));
        };
        if let Some(registration) = self.ctx.registrations.get_mut(&fetch.info.registration) {
            registration.reserved.remove(&*fetch.info.id);
            registration.active.insert(fetch.info.id.to_string(), key);
        }
        fetch.observe(&mut self.ctx, What::Registered);
        self.ctx.reply(call, Ok(Reply::Fetch(fetch.snapshot())));
        let is_refused = fetch.abort_all;
        self.fetches.insert(key, fetch);
        if is_refused {
            // The permission was revoked meanwhile, and the abort stored.
            self.abort_active(key);
        }
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn new_record(request: Arc<Request>) -> StoredRecord {
    StoredRecord {
        request,
        upload_begun: false,
        uploaded: 0,
        generation: Generation::default(),
        response: None,
        stored: 0,
        result: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::FetchOptions;
    use crate::policy::Principal;

    fn validate(url: &str) -> Result<(), CallError> {
        let scope: Url = "https://app.test/".parse().unwrap();
        let storage_key = StorageKey("app".into());
        let call = FetchCall {
            call: CallId(0),
            registration: RegistrationKey { storage_key, scope },
            principal: Arc::new(Principal::User),
            id: "id".into(),
            requests: alloc::vec![Request::get(url.parse().unwrap())],
            options: FetchOptions::default(),
            sees_active_worker: true,
        };
        call.validate(&Config::default())
    }

    #[test]
    fn a_blocked_port_is_refused_up_front_and_a_strange_scheme_is_not() {
        assert_eq!(validate("https://a.test:25/"), Err(CallError::BlockedPort));
        assert_eq!(validate("http://u@a.test/"), Err(CallError::CredentialsInUrl));
        // The default port of this scheme is on the list.
        assert_eq!(validate("ftp://a.test/"), Ok(()));
    }
}
