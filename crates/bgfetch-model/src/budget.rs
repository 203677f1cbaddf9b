//! Grants: how many bytes the records of a fetch may store, within `downloadTotal` and quota.
//!
//! A running attempt holds a claim up to an offset of its body; what it claims but has not stored
//! is taken from what its siblings may claim. So the sum of all bodies can't pass the limit, however
//! many attempts write at once, and the data path needs no look at its siblings.

use alloc::collections::BTreeMap;

use crate::ids::StorageKey;

/// How many bytes one grant adds at most: large enough that a fast download asks seldom, small
/// enough that siblings rarely have to give back.
const STEP: u64 = 8 << 20;

/// What remains of a fetch's allowance.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `downloadTotal`, or no limit.
    ceiling: u64,
    /// What is set aside whether or not it is claimed.
    promised: u64,
    /// The quota that is set aside for this fetch.
    reserved: u64,
    /// The sum of all claims.
    claimed: u64,
}

/// Which limit stopped a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    DownloadTotal,
    Quota,
}

impl Budget {
    /// A budget of `download_total` bytes (0 for no limit); `reserved` bytes are set aside for it.
    pub(crate) fn new(download_total: u64, reserved: u64) -> Self {
        let ceiling = if download_total == 0 { u64::MAX } else { download_total };
        Self { ceiling, promised: download_total, reserved, claimed: 0 }
    }

    /// Changes one record's claim.
    pub(crate) fn replace_claim(&mut self, old: u64, new: u64) {
        self.claimed = self.claimed.saturating_sub(old).saturating_add(new);
    }

    /// Up to `wanted` more bytes for a record whose claim is used up, or which limit stands in the
    /// way. The caller adds them to the record's claim with [`Self::replace_claim`].
    pub(crate) fn extend(&mut self, wanted: u64, quota: &mut Account) -> Result<u64, Exhausted> {
        let wanted = wanted.min(STEP);
        let lacking = wanted.saturating_sub(self.free());
        let room = self.ceiling.saturating_sub(self.reserved);
        self.reserved += quota.reserve_up_to(lacking.min(room));
        match self.free().min(wanted) {
            0 if self.claimed >= self.ceiling => Err(Exhausted::DownloadTotal),
            0 => Err(Exhausted::Quota),
            more => Ok(more),
        }
    }

    /// A record ended: what is set aside and neither promised nor claimed is free for others.
    pub(crate) fn give_back(&mut self, quota: &mut Account) {
        let kept = self.reserved.min(self.claimed.max(self.promised));
        quota.release(self.reserved - kept);
        self.reserved = kept;
    }

    /// Every record ended: only what is stored stays set aside.
    pub(crate) fn settle(&mut self, quota: &mut Account) {
        self.promised = 0;
        self.give_back(quota);
    }

    /// The quota to give back when the fetch is gone.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    fn free(&self) -> u64 {
        self.ceiling.min(self.reserved).saturating_sub(self.claimed)
    }
}

/// The quota of one storage key, shared by its fetches (ruling 15).
#[derive(Debug)]
pub(crate) struct Account {
    limit: u64,
    reserved: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self { limit: u64::MAX, reserved: 0 }
    }
}

impl Account {
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// What may still be set aside.
    pub(crate) fn available(&self) -> u64 {
        self.limit.saturating_sub(self.reserved)
    }

    /// Sets `bytes` aside, or nothing when they don't fit.
    #[must_use]
    pub(crate) fn reserve(&mut self, bytes: u64) -> bool {
        let fits = bytes <= self.available();
        if fits {
            self.reserved += bytes;
        }
        fits
    }

    /// Sets bytes aside that are on disk already, whatever the limit says now.
    pub(crate) fn reserve_stored(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_add(bytes);
    }

    pub(crate) fn release(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    fn reserve_up_to(&mut self, bytes: u64) -> u64 {
        let granted = bytes.min(self.available());
        self.reserved += granted;
        granted
    }
}

/// The accounts of all storage keys.
pub(crate) type Ledger = BTreeMap<StorageKey, Account>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_never_pass_the_download_total() {
        let mut account = Account::default();
        assert!(account.reserve(100));
        let mut budget = Budget::new(100, 100);
        let first = budget.extend(STEP, &mut account).unwrap();
        assert_eq!(first, 100);
        budget.replace_claim(0, first);
        assert_eq!(budget.extend(STEP, &mut account), Err(Exhausted::DownloadTotal));
        // The first record gives back what it did not use.
        budget.replace_claim(first, 60);
        assert_eq!(budget.extend(STEP, &mut account), Ok(40));
    }

    #[test]
    fn without_a_total_quota_is_taken_step_by_step() {
        let mut account = Account::default();
        account.set_limit(STEP + 5);
        let mut budget = Budget::new(0, 0);
        let mut claim = 0;
        for more in [STEP, 5] {
            assert_eq!(budget.extend(STEP, &mut account), Ok(more));
            budget.replace_claim(claim, claim + more);
            claim += more;
        }
        assert_eq!(budget.extend(STEP, &mut account), Err(Exhausted::Quota));
        account.release(budget.reserved());
        assert!(account.reserve(STEP + 5));
    }

    #[test]
    fn two_fetches_are_never_promised_the_same_bytes() {
        let mut account = Account::default();
        account.set_limit(150);
        assert!(account.reserve(100));
        assert!(!account.reserve(51));
        assert!(account.reserve(50));
    }
}
