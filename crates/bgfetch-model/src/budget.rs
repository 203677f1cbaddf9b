//! The account of a site's bytes: what its fetches promised, were granted or have stored counts to
//! one quota.
//!
//! A running attempt holds a claim up to an offset of its body; what it claims but has not stored
//! is taken from what others may claim. So the sum of all bodies can't pass a limit, however many
//! attempts write at once, and the data path needs no look at its siblings.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{RecordKey, StorageKey};

/// How many bytes one grant adds at most: large enough that a fast download asks seldom, small
/// enough that others rarely have to give back.
const STEP: u64 = 8 << 20;

/// What one fetch may store, and what it takes of its site's account.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `downloadTotal`, or no limit.
    ceiling: u64,
    /// What is set aside whether or not it is claimed.
    promised: u64,
    /// The sum of all claims.
    claimed: u64,
    /// The request bodies.
    uploads: u64,
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
    /// A budget of `download_total` bytes (0 for no limit), beside request bodies of so many bytes.
    /// The account does not count it yet.
    pub(crate) fn new(download_total: u64, uploads: u64) -> Self {
        let ceiling = if download_total == 0 { u64::MAX } else { download_total };
        Self { ceiling, promised: download_total, claimed: 0, uploads, counted: 0 }
    }

    /// Changes one record's claim.
    pub(crate) fn replace_claim(&mut self, old: u64, new: u64) {
        self.claimed = self.claimed.saturating_sub(old).saturating_add(new);
    }

    /// How many more bytes, of those `wanted`, a record whose claim is used up may claim, or which
    /// limit stands in the way. The account must [count](Self::count) what is claimed already.
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

    /// Every record ended: only what is stored stays set aside.
    pub(crate) fn settle(&mut self) {
        self.promised = 0;
    }

    /// Nothing of the fetch is stored any more.
    pub(crate) fn close(&mut self) {
        (self.promised, self.claimed, self.uploads) = (0, 0, 0);
    }

    /// What the account counts for this fetch.
    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// Lets the account count what the fetch takes now.
    pub(crate) fn count(&mut self, account: &mut Account) {
        let takes = self.claimed.max(self.promised).saturating_add(self.uploads);
        account.taken = account.taken.saturating_sub(self.counted).saturating_add(takes);
        self.counted = takes;
    }
}

/// The account of one storage key, shared by its fetches (D12).
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The quota; none until the embedder told it.
    limit: Option<u64>,
    /// What is promised, granted or stored.
    taken: u64,
    /// The records whose attempts wait for a grant, first come first served.
    waiting: VecDeque<RecordKey>,
    /// The records whose attempts have yet to return what they do not use of their grants.
    recalled: BTreeSet<RecordKey>,
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

    /// What may still be set aside; nothing until the quota is told.
    pub(crate) fn available(&self) -> u64 {
        self.limit.map_or(0, |limit| limit.saturating_sub(self.taken))
    }

    /// Sets `bytes` aside, or nothing when they don't fit.
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

    /// Whether a grant may be given out of turn: the quota is told and nobody waits.
    pub(crate) fn has_no_queue(&self) -> bool {
        self.limit.is_some() && self.waiting.is_empty()
    }

    /// Puts a record's attempt at the end of the queue.
    pub(crate) fn wait(&mut self, record: RecordKey) {
        self.waiting.push_back(record);
    }

    /// The whole queue, where its turn has come: the quota is told, and whatever was recalled came
    /// back.
    pub(crate) fn take_queue(&mut self) -> VecDeque<RecordKey> {
        if self.limit.is_some() && self.recalled.is_empty() {
            core::mem::take(&mut self.waiting)
        } else {
            VecDeque::new()
        }
    }

    /// Notes that a record's attempt is to return what it does not use; false where it was asked
    /// already.
    pub(crate) fn recall(&mut self, record: RecordKey) -> bool {
        self.recalled.insert(record)
    }

    pub(crate) fn awaits_returns(&self) -> bool {
        !self.recalled.is_empty()
    }

    /// A record's attempt returned what it did not use. Whether it had been asked to.
    pub(crate) fn returned(&mut self, record: RecordKey) -> bool {
        self.recalled.remove(&record)
    }

    /// A record's attempt wants nothing more.
    pub(crate) fn leave_queue(&mut self, record: RecordKey) {
        self.waiting.retain(|waiting| *waiting != record);
    }
}

/// The accounts of all storage keys.
pub(crate) type Ledger = BTreeMap<StorageKey, Account>;

/// What a site's background fetches take of its quota, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// All that counts to the quota: the sum of what follows.
    pub total: u64,
    /// The stored response bodies.
    pub response_bodies: u64,
    /// The stored request bodies.
    pub request_bodies: u64,
    /// What is set aside and not stored: promised by `downloadTotal`, granted to a running
    /// download, or reserved by a call of `fetch()` that is under way.
    pub set_aside: u64,
    /// The quota as the embedder told it last, or none where it was not asked yet.
    pub quota: Option<u64>,
}

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
        // The first record gives back what it did not use.
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
