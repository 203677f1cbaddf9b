//! The account of a site's bytes: everything that its fetches promised, were granted or have stored
//! counts to one quota.
//!
//! A running attempt holds a claim up to an offset of its body. Claimed bytes that are not stored
//! yet are not available to others. So the sum of all bodies can't exceed a limit, however many
//! attempts write at the same time, and the data path need not look at siblings.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{CallId, RecordKey, StorageKey};

/// The most bytes that one grant adds: large enough that a fast download rarely asks, small enough
/// that others rarely have to return grants.
const STEP: u64 = 8 << 20;

/// What one fetch may store, and what it takes from its site's account.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `downloadTotal`, or no limit.
    ceiling: u64,
    /// What is set aside even if it is not claimed.
    promised: u64,
    /// The sum of all claims.
    claimed: u64,
    /// The request bodies.
    uploads: u64,
    /// What the store keeps besides bodies.
    metadata: u64,
    /// What the account counts for this fetch.
    counted: u64,
}

/// Which limit stopped a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    DownloadTotal,
    Quota,
}

impl Budget {
    /// A budget of `download_total` bytes (0 for no limit), plus `uploads` bytes of request bodies.
    /// The account does not count it yet.
    pub(crate) fn new(download_total: u64, uploads: u64) -> Self {
        let ceiling = if download_total == 0 { u64::MAX } else { download_total };
        Self { ceiling, promised: download_total, claimed: 0, uploads, metadata: 0, counted: 0 }
    }

    /// Changes one record's claim.
    pub(crate) fn replace_claim(&mut self, old: u64, new: u64) {
        self.claimed = self.claimed.saturating_sub(old).saturating_add(new);
    }

    /// Changes what the store keeps besides bodies.
    pub(crate) fn replace_metadata(&mut self, old: u64, new: u64) {
        self.metadata = self.metadata.saturating_sub(old).saturating_add(new);
    }

    pub(crate) fn metadata(&self) -> u64 {
        self.metadata
    }

    /// How many of the `wanted` bytes a record that used up its claim may claim in addition, or the
    /// limit that prevents it. The account must already [count](Self::count) the existing claims.
    pub(crate) fn extend(&self, wanted: u64, account: &Account) -> Result<u64, Exhausted> {
        let ceiling = self.ceiling.saturating_sub(self.claimed);
        let set_aside = self.promised.saturating_sub(self.claimed);
        let quota = set_aside.saturating_add(account.available());
        match wanted.min(STEP).min(ceiling).min(quota) {
            0 if ceiling == 0 => Err(Exhausted::DownloadTotal),
            0 => Err(Exhausted::Quota),
            more => Ok(more),
        }
    }

    /// Nothing more will be fetched: only claimed bytes stay set aside.
    pub(crate) fn drop_promise(&mut self) {
        self.promised = 0;
    }

    /// Nothing of the records is stored any more.
    pub(crate) fn close(&mut self) {
        (self.promised, self.claimed, self.uploads) = (0, 0, 0);
    }

    /// What the account counts for this fetch.
    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// Updates what the account counts for the fetch.
    pub(crate) fn count(&mut self, account: &mut Account) {
        let bodies = self.claimed.max(self.promised).saturating_add(self.uploads);
        let takes = bodies.saturating_add(self.metadata);
        account.taken = account.taken.saturating_sub(self.counted).saturating_add(takes);
        self.counted = takes;
    }
}

/// The account of one storage key, shared by its fetches (D12).
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The quota; none until the embedder reported it.
    limit: Option<u64>,
    /// What is promised, granted or stored.
    taken: u64,
    /// Those that wait for bytes, in order of arrival.
    waiting: VecDeque<Claimant>,
    /// Those that have yet to return the unused part of their grants.
    recalled: BTreeSet<Claimant>,
    /// The part of what is taken that is free once it is deleted.
    releasing: u64,
}

/// Whom an account grants bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claimant {
    /// The attempt of a record, which stores the body of its response.
    Attempt(RecordKey),
    /// A call of `fetch()`, which stores its request bodies.
    Call(CallId),
}

impl Account {
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = Some(limit);
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// What is promised, granted or stored.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The bytes that may still be set aside; none until the quota is known.
    pub(crate) fn available(&self) -> u64 {
        self.limit.map_or(0, |limit| limit.saturating_sub(self.taken))
    }

    /// Sets `bytes` aside. Returns false and sets nothing aside if they don't fit.
    #[must_use]
    pub(crate) fn reserve(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.available();
        if fits {
            self.taken += bytes;
        }
        fits
    }

    pub(crate) fn release(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_sub(bytes);
    }

    /// Sets aside as many bytes as one grant may add. Returns their number.
    pub(crate) fn grant(&mut self) -> u64 {
        let more = STEP.min(self.available());
        self.taken += more;
        more
    }

    /// Whether a grant may be given at once: the quota is known and nobody waits.
    pub(crate) fn has_no_queue(&self) -> bool {
        self.limit.is_some() && self.waiting.is_empty()
    }

    /// Puts a claimant at the end of the queue.
    pub(crate) fn wait(&mut self, claimant: Claimant) {
        self.waiting.push_back(claimant);
    }

    /// Takes the whole queue if its turn has come: the quota is known, and every recalled grant was
    /// returned.
    pub(crate) fn take_queue(&mut self) -> VecDeque<Claimant> {
        if self.limit.is_some() && self.recalled.is_empty() {
            core::mem::take(&mut self.waiting)
        } else {
            VecDeque::new()
        }
    }

    /// Notes that a claimant must return the unused part of its grant. Returns false if that was
    /// noted before.
    pub(crate) fn recall(&mut self, claimant: Claimant) -> bool {
        self.recalled.insert(claimant)
    }

    /// Notes that bytes are about to be deleted.
    pub(crate) fn release_later(&mut self, bytes: u64) {
        self.releasing = self.releasing.saturating_add(bytes);
    }

    /// Those bytes are deleted.
    pub(crate) fn released(&mut self, bytes: u64) {
        self.releasing = self.releasing.saturating_sub(bytes);
        self.release(bytes);
    }

    /// Whether more bytes will be available by themselves.
    pub(crate) fn awaits_returns(&self) -> bool {
        !self.recalled.is_empty() || self.releasing > 0
    }

    /// A claimant returned the unused part of its grant. Returns whether it had been asked to.
    pub(crate) fn returned(&mut self, claimant: Claimant) -> bool {
        self.recalled.remove(&claimant)
    }

    /// A claimant no longer wants a grant.
    pub(crate) fn leave_queue(&mut self, claimant: Claimant) {
        self.waiting.retain(|waiting| *waiting != claimant);
    }
}

/// The accounts of all storage keys.
pub(crate) type Ledger = BTreeMap<StorageKey, Account>;

/// What a site's background fetches take from its quota, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Everything that counts to the quota: the sum of the fields below.
    pub total: u64,
    /// The stored response bodies.
    pub response_bodies: u64,
    /// The stored request bodies.
    pub request_bodies: u64,
    /// What the store keeps of fetches, requests and responses besides bodies, if that
    /// [counts](crate::config::Config::count_metadata). An upper bound.
    pub metadata: u64,
    /// Bytes that are set aside and not stored: promised by `downloadTotal`, granted to a running
    /// download, or reserved by a `fetch()` call in progress.
    pub set_aside: u64,
    /// The quota that the embedder reported last, or none if it was not asked yet.
    pub quota: Option<u64>,
}

crate::impl_with!(Usage);

#[cfg(test)]
mod tests {
    use super::*;

    fn account(limit: u64) -> Account {
        Account { limit: Some(limit), ..Account::default() }
    }

    fn claim(budget: &mut Budget, account: &mut Account, old: u64, new: u64) {
        budget.replace_claim(old, new);
        budget.count(account);
    }

    #[test]
    fn claims_never_pass_the_download_total() {
        let mut account = account(u64::MAX);
        let mut budget = Budget::new(100, 0);
        budget.count(&mut account);
        let first = budget.extend(STEP, &account).unwrap();
        assert_eq!(first, 100);
        claim(&mut budget, &mut account, 0, first);
        assert_eq!(budget.extend(STEP, &account), Err(Exhausted::DownloadTotal));
        // The first record returns the unused part of its claim.
        claim(&mut budget, &mut account, first, 60);
        assert_eq!(budget.extend(STEP, &account), Ok(40));
        assert_eq!(account.taken(), 100);
    }

    #[test]
    fn without_a_total_quota_is_taken_step_by_step() {
        let mut account = account(STEP + 5);
        let mut budget = Budget::new(0, 0);
        let mut claimed = 0;
        for more in [STEP, 5] {
            assert_eq!(budget.extend(STEP, &account), Ok(more));
            claim(&mut budget, &mut account, claimed, claimed + more);
            claimed += more;
        }
        assert_eq!(budget.extend(STEP, &account), Err(Exhausted::Quota));
        budget.close();
        budget.count(&mut account);
        assert!(account.reserve(STEP + 5));
    }

    #[test]
    fn two_fetches_are_never_promised_the_same_bytes() {
        let mut account = account(150);
        assert!(account.reserve(100));
        assert!(!account.reserve(51));
        assert!(account.reserve(50));
    }

    #[test]
    fn nothing_more_is_given_before_the_quota_is_told() {
        let mut account = Account::default();
        let mut budget = Budget::new(0, 0);
        claim(&mut budget, &mut account, 0, 10);
        assert_eq!(budget.extend(1, &account), Err(Exhausted::Quota));
        assert!(!account.has_no_queue() && !account.reserve(1));
        account.set_limit(11);
        assert_eq!(budget.extend(5, &account), Ok(1));
    }
}
