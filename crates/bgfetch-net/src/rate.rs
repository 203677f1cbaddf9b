//! Shares a byte rate among fetches. Pure: no clock, no I/O, no tasks; the time is an input.
//!
//! An attempt that holds bytes [asks](Rates::ask) how many of them it may pass on. After each call,
//! call [`next`](Rates::next) until it returns `None`, and again when they are [due](Rates::due).
//!
//! There is a cap for all fetches together, and one for each fetch. Both are token buckets: over any
//! time, no more bytes are given than the rate allows in it, and one [burst](BURST). A fetch whose
//! own cap holds it back takes nothing from the others.
//!
//! The cap for all is shared like the connections of the [scheduler](crate::scheduler): evenly among
//! the sites that want bytes, and evenly among the fetches of a site. Attempts of one fetch take
//! turns. What one of them does not want, the others get, so a fetch alone has the whole rate.
//!
//! Each call costs O(n) for n waiting attempts.

mod bucket;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use bgfetch_model::ids::FetchKey;
use bgfetch_model::time::Instant;

pub use bucket::BURST;
use bucket::Bucket;

use crate::partition::Partition;

/// The most bytes that are given at once.
pub(crate) const MOST: u64 = 256 << 10;

/// Who asks for bytes: a fetch, and the site that it belongs to.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The network partition of the fetch.
    pub partition: Partition,
    /// The fetch.
    pub fetch: FetchKey,
}

/// Identifies an open request for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Decides which attempt may pass on bytes, and how many; see the [module](self).
#[derive(Debug, Default)]
pub struct Rates {
    all: Bucket,
    /// The caps of fetches that have one.
    fetches: HashMap<FetchKey, Bucket>,
    /// In the order in which they asked.
    waiting: BTreeMap<Ticket, Waiting>,
    next_ticket: u64,
    /// What the sites were given, and the fetches of each site, as far as it matters.
    sites: Shares<Partition>,
    within: HashMap<Partition, Shares<FetchKey>>,
}

#[derive(Debug)]
struct Waiting {
    consumer: Consumer,
    wanted: u64,
}

impl Rates {
    /// Caps the rate of all fetches together, in bytes per second. `None` is no cap.
    pub fn set_all(&mut self, now: Instant, rate: Option<u64>) {
        self.all.set_rate(now, rate);
    }

    /// Caps the rate of one fetch, in bytes per second. `None` is no cap.
    pub fn set_fetch(&mut self, now: Instant, fetch: FetchKey, rate: Option<u64>) {
        match rate {
            Some(_) => self.fetches.entry(fetch).or_default().set_rate(now, rate),
            None => drop(self.fetches.remove(&fetch)),
        }
    }

    /// Whether there is any cap.
    #[must_use]
    pub fn has_caps(&self) -> bool {
        self.all.is_capped() || !self.fetches.is_empty()
    }

    /// The most bytes that are given to a fetch at once.
    #[must_use]
    pub fn piece(&self, fetch: FetchKey) -> u64 {
        self.all.piece().min(self.fetches.get(&fetch).map_or(MOST, Bucket::piece))
    }

    /// Whether any attempt of a site waits.
    #[must_use]
    pub fn holds_back(&self, partition: &Partition) -> bool {
        self.waiting.values().any(|waiting| waiting.consumer.partition == *partition)
    }

    /// Asks for up to `wanted` bytes, which must not be zero.
    pub fn ask(&mut self, consumer: Consumer, wanted: u64) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, Waiting { consumer, wanted });
        ticket
    }

    /// Withdraws a request, if it is still open.
    pub fn withdraw(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
        self.tidy();
    }

    /// Takes back bytes that a fetch was given and did not pass on.
    pub fn give_back(&mut self, fetch: FetchKey, bytes: u64) {
        self.all.put(bytes);
        if let Some(bucket) = self.fetches.get_mut(&fetch) {
            bucket.put(bytes);
        }
    }

    /// Gives bytes to the attempt whose turn it is. Its request is closed. Returns `None` if nobody
    /// may have any now.
    pub fn next(&mut self, now: Instant) -> Option<(Ticket, u64)> {
        self.all.refill(now);
        self.fetches.values_mut().for_each(|bucket| bucket.refill(now));
        let (ticket, piece) = self.first()?;
        let Waiting { consumer, wanted } = self.waiting.remove(&ticket)?;
        let given = wanted.min(piece);
        self.all.take(given);
        if let Some(bucket) = self.fetches.get_mut(&consumer.fetch) {
            bucket.take(given);
        }
        self.within.entry(consumer.partition.clone()).or_default().give(consumer.fetch, given);
        self.sites.give(consumer.partition, given);
        self.tidy();
        Some((ticket, given))
    }

    /// When [`next`](Self::next) gives something again, if nothing changes before. `None` if nobody
    /// waits, or if it never will.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let of_fetch = |waiting: &Waiting| match self.fetches.get(&waiting.consumer.fetch) {
            Some(bucket) => bucket.due(),
            None => Some(Instant::default()),
        };
        let earliest = self.waiting.values().filter_map(of_fetch).min()?;
        Some(earliest.max(self.all.due()?))
    }

    /// The request whose turn it is, and how many bytes it may have at most.
    fn first(&self) -> Option<(Ticket, u64)> {
        let all = self.all.available()?;
        let candidates = self.waiting.iter().filter_map(|(ticket, Waiting { consumer, .. })| {
            let piece = match self.fetches.get(&consumer.fetch) {
                Some(bucket) => bucket.available()?.min(all),
                None => all,
            };
            let of_site = self.sites.given(&consumer.partition);
            let within = self.within.get(&consumer.partition);
            let of_fetch = within.map_or(0, |shares| shares.given(&consumer.fetch));
            Some(((of_site, of_fetch, *ticket), piece))
        });
        let ((.., ticket), piece) = candidates.min()?;
        Some((ticket, piece))
    }

    /// Forgets who was given what, once everybody has what they wanted.
    fn tidy(&mut self) {
        if self.waiting.is_empty() {
            (self.sites, self.within) = Default::default();
        }
    }
}

/// How many bytes the members of a group were given, so that the next ones are for the member that
/// was given the least.
#[derive(Debug)]
struct Shares<K> {
    given: HashMap<K, u64>,
    /// Members that were given less count as if they had been given this much: nobody saves up for
    /// later what it does not want now.
    floor: u64,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { given: HashMap::new(), floor: 0 }
    }
}

impl<K: Eq + Hash> Shares<K> {
    fn given(&self, member: &K) -> u64 {
        self.given.get(member).copied().unwrap_or_default().max(self.floor)
    }

    /// Gives bytes to the member whose turn it is.
    fn give(&mut self, member: K, bytes: u64) {
        let before = self.given(&member);
        self.floor = before;
        self.given.insert(member, before.saturating_add(bytes));
        let floor = self.floor;
        self.given.retain(|_, given| *given > floor);
    }
}
