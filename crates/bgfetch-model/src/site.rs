//! What belongs to a storage key as a whole: its limits, its quota, and the ends that the embedder
//! gives to all of its fetches.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::action::{Reply, What};
use crate::budget::Usage;
use crate::context::Effect;
use crate::error::CallError;
use crate::fetch_info::FetchInfo;
use crate::ids::{CallId, FetchKey, RegistrationKey, StorageKey};
use crate::model::Model;
use crate::policy::Principal;
use crate::store_op::StoreOp;

impl Model {
    /// The storage keys that have registrations.
    #[must_use]
    pub fn storage_keys(&self) -> BTreeSet<&StorageKey> {
        self.registrations().map(|registration| &registration.storage_key).collect()
    }

    /// What the background fetches of a storage key take from its quota.
    #[must_use]
    pub fn usage(&self, storage_key: &StorageKey) -> Usage {
        let (mut response_bodies, mut request_bodies, mut metadata) = (0_u64, 0_u64, 0_u64);
        let fetches = self.fetches.values().chain(self.registering.values());
        for fetch in fetches.filter(|fetch| fetch.info.registration.storage_key == *storage_key) {
            metadata = metadata.saturating_add(fetch.records.metadata());
            if !fetch.records().is_empty() {
                response_bodies = response_bodies.saturating_add(fetch.stored_body_bytes_total());
                request_bodies = request_bodies.saturating_add(fetch.info.upload_total);
            }
        }
        let (total, quota) = self.ctx.taken_of(storage_key);
        let stored = response_bodies.saturating_add(request_bodies).saturating_add(metadata);
        let set_aside = total.saturating_sub(stored);
        Usage { total, response_bodies, request_bodies, metadata, set_aside, quota }
    }

    /// Checks that a site may keep this much more in memory, and have another fetch with this many
    /// requests or not.
    pub(crate) fn check_site(
        &self,
        storage_key: &StorageKey,
        more: u64,
        fetches: usize,
        requests: usize,
    ) -> Result<(), CallError> {
        let (mut memory, mut active, mut in_all) = (more, fetches, requests);
        for pending in self.pending_of(storage_key) {
            memory = memory.saturating_add(pending.size.memory);
            active += 1;
            in_all += pending.requests.len();
        }
        let all = self.fetches.values().chain(self.registering.values());
        for fetch in all.filter(|fetch| fetch.info.registration.storage_key == *storage_key) {
            memory = memory.saturating_add(fetch.records.memory());
            if fetch.result.is_none() {
                active += 1;
                in_all += fetch.records().len();
            }
        }
        let config = &self.ctx.config;
        let too_many = active > config.max_site_fetches || in_all > config.max_site_requests;
        if memory > config.max_site_memory || (fetches > 0 && too_many) {
            return Err(CallError::SiteLimit);
        }
        Ok(())
    }

    pub(crate) fn set_quota(&mut self, storage_key: &StorageKey, limit: u64) {
        self.ctx.account(storage_key).set_limit(limit);
        self.ctx.grants_to_review.insert(storage_key.clone());
    }

    /// D42: all fetches of the registration end without events and are deleted.
    pub(crate) fn unregister(&mut self, call: CallId, key: &RegistrationKey) {
        self.remove(key);
        self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
    }

    /// Removes all registrations of a storage key: its data was cleared.
    pub(crate) fn clear(&mut self, call: CallId, storage_key: &StorageKey) {
        let all = self.registrations().filter(|key| key.storage_key == *storage_key);
        let all: Vec<_> = all.cloned().collect();
        all.iter().for_each(|key| self.remove(key));
        self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
    }

    fn remove(&mut self, key: &RegistrationKey) {
        self.refuse_pending(|called, _| called == key, CallError::NoActiveWorker);
        self.ctx.registrations.remove(key);
        let registering =
            self.registering.extract_if(.., |_, fetch| fetch.info.registration == *key);
        for (_, mut fetch) in registering {
            fetch.drop_all(&mut self.ctx);
        }
        self.ctx.store(StoreOp::RemoveRegistration(key.clone()));
        let removed = self.fetches.extract_if(.., |_, fetch| fetch.info.registration == *key);
        for (fetch, mut removed) in removed {
            removed.drop_all(&mut self.ctx);
            removed.observe_committed(&mut self.ctx, What::Removed);
            self.ctx.after_commit(Effect::Forgotten(fetch));
        }
    }

    /// Pages of the storage key may no longer fetch in the background: their calls are refused, and
    /// their active fetches are aborted. What the user asked for needs no permission of a page.
    pub(crate) fn revoke_permission(&mut self, call: CallId, storage_key: &StorageKey) {
        let is_revoked = |registration: &RegistrationKey, principal: &Principal| {
            registration.storage_key == *storage_key && principal.policies().is_some()
        };
        self.refuse_pending(is_revoked, CallError::PermissionDenied);
        let of_page = |fetch: &FetchInfo| is_revoked(&fetch.registration, &fetch.principal);
        // These are aborted once they are registered, or by the next process. A second call finds them
        // marked already.
        let registering = self.registering.values_mut();
        for fetch in registering.filter(|fetch| of_page(&fetch.info) && !fetch.abort_all) {
            fetch.abort_all = true;
            self.ctx.store(StoreOp::SetAbortAll(fetch.info.key));
        }
        let active = self.fetches.values().filter(|fetch| of_page(&fetch.info));
        let active: Vec<FetchKey> = active.map(|fetch| fetch.info.key).collect();
        for fetch in active {
            self.abort_if_active(fetch);
        }
        self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
    }
}
