//! The records of a background fetch and the values derived from them: sums, and the claims on its
//! budget. A record changes only through [`Records::change`], so these values are always correct.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::budget::{Account, Budget, Exhausted};
use crate::ids::RecordIndex;
use crate::metadata;
use crate::record::Record;
use crate::store_op::Totals;

#[derive(Debug)]
pub(crate) struct Records {
    list: Vec<Record>,
    tallies: Tallies,
    /// The records with a running attempt.
    // OPTIMIZATION: work on those few must not iterate over 100 000 others.
    attempting: BTreeSet<RecordIndex>,
    budget: Budget,
    /// The text of the fetch's own row in the store.
    text: u64,
    /// Whether rows count to the quota.
    counts_metadata: bool,
    /// What the requests take in memory.
    memory: u64,
}

/// Sums over the records.
// OPTIMIZATION: the spec sums over the records each time; with 100 000 of them that would be the
// most expensive part of a progress report. A property test compares both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tallies {
    pub(crate) stored: u64,
    pub(crate) uploaded: u64,
    pub(crate) settled: usize,
    pub(crate) waiting: usize,
    pub(crate) running: usize,
}

impl Tallies {
    fn of(record: &Record) -> Self {
        Self {
            stored: record.data.stored,
            uploaded: record.uploaded,
            settled: usize::from(record.is_settled()),
            waiting: usize::from(record.pause_reason().is_some()),
            running: usize::from(record.is_running()),
        }
    }

    fn replace(&mut self, old: Self, new: Self) {
        // Saturating, because a store or a fetcher may report lengths that no file can have.
        let exchange = |sum: u64, old: u64, new: u64| sum.saturating_sub(old).saturating_add(new);
        self.stored = exchange(self.stored, old.stored, new.stored);
        self.uploaded = exchange(self.uploaded, old.uploaded, new.uploaded);
        self.settled = self.settled - old.settled + new.settled;
        self.waiting = self.waiting - old.waiting + new.waiting;
        self.running = self.running - old.running + new.running;
    }
}

impl Records {
    /// The records of a fetch whose own row has this much `text`.
    pub(crate) fn new(
        list: Vec<Record>,
        mut budget: Budget,
        text: u64,
        counts_metadata: bool,
    ) -> Self {
        let mut tallies = Tallies::default();
        if counts_metadata {
            budget.replace_metadata(0, metadata::row(text));
        }
        for record in &list {
            tallies.replace(Tallies::default(), Tallies::of(record));
            budget.replace_claim(0, record.claim());
            if counts_metadata {
                budget.replace_metadata(0, record.metadata());
            }
        }
        let memory = list.iter().map(Record::memory).sum();
        let attempting = BTreeSet::new();
        Self { list, tallies, attempting, budget, text, counts_metadata, memory }
    }

    /// The records of a finished fetch: none, and their totals.
    pub(crate) fn gone(totals: Totals, text: u64, counts_metadata: bool) -> Self {
        let mut records = Self::new(Vec::new(), Budget::new(0, 0), text, counts_metadata);
        (records.tallies.stored, records.tallies.uploaded) = (totals.downloaded, totals.uploaded);
        records
    }

    pub(crate) fn as_slice(&self) -> &[Record] {
        &self.list
    }

    pub(crate) fn get(&self, index: RecordIndex) -> Option<&Record> {
        self.list.get(index.0 as usize)
    }

    pub(crate) fn tallies(&self) -> Tallies {
        self.tallies
    }

    pub(crate) fn attempting(&self) -> Vec<RecordIndex> {
        self.attempting.iter().copied().collect()
    }

    pub(crate) fn change<T>(
        &mut self,
        index: RecordIndex,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        let record = self.list.get_mut(index.0 as usize)?;
        let (before, claim, metadata) = (Tallies::of(record), record.claim(), record.metadata());
        let result = change(record);
        self.tallies.replace(before, Tallies::of(record));
        self.budget.replace_claim(claim, record.claim());
        if self.counts_metadata {
            self.budget.replace_metadata(metadata, record.metadata());
        }
        if record.is_in_flight() {
            self.attempting.insert(index);
        } else {
            self.attempting.remove(&index);
            record.head = None;
        }
        Some(result)
    }

    /// How many of the `wanted` bytes a record that used up its grant may be granted in addition,
    /// or the limit that prevents it.
    pub(crate) fn extend(&mut self, wanted: u64, account: &mut Account) -> Result<u64, Exhausted> {
        self.count(account);
        self.budget.extend(wanted, account)
    }

    /// Whether the account has the bytes that a record's row needs with a head of this size.
    pub(crate) fn has_room_for_head(
        &mut self,
        index: RecordIndex,
        head: u64,
        account: &mut Account,
    ) -> bool {
        self.count(account);
        let more = self
            .get(index)
            .map_or(0, |record| record.metadata_with(head).saturating_sub(record.metadata()));
        more <= account.available()
    }

    /// The text of the fetch's own row changes. The largest one counts, so that nothing depends on
    /// which is stored.
    pub(crate) fn set_text(&mut self, text: u64) {
        let text = text.max(self.text);
        if self.counts_metadata {
            self.budget.replace_metadata(metadata::row(self.text), metadata::row(text));
        }
        self.text = text;
    }

    /// How many more bytes the fetch's own row needs with this much text.
    pub(crate) fn more_with_text(&self, text: u64) -> u64 {
        let more = metadata::row(text).saturating_sub(metadata::row(self.text));
        if self.counts_metadata { more } else { 0 }
    }

    /// What the fetch takes in memory.
    pub(crate) fn memory(&self) -> u64 {
        metadata::ROW.saturating_add(self.text).saturating_add(self.memory)
    }

    /// What the account counts of the fetch besides bodies.
    pub(crate) fn metadata(&self) -> u64 {
        self.budget.metadata()
    }

    /// Nothing more will be fetched: promised bytes are no longer set aside.
    pub(crate) fn drop_promise(&mut self) {
        self.budget.drop_promise();
    }

    /// The records are no longer available; the sums stay.
    pub(crate) fn clear(&mut self) {
        if self.counts_metadata {
            let rows = self.list.iter().map(Record::metadata).sum();
            self.budget.replace_metadata(rows, 0);
        }
        self.list.clear();
        self.memory = 0;
        self.attempting.clear();
        self.budget.close();
    }

    /// What the site's account counts for the records.
    pub(crate) fn taken(&self) -> u64 {
        self.budget.counted()
    }

    /// Updates what the site's account counts for the records.
    pub(crate) fn count(&mut self, account: &mut Account) {
        self.budget.count(account);
    }
}
