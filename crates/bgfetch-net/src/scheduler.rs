//! Decides which waiting record starts next. Pure: no clock, no I/O, no tasks.
//!
//! Feed it [`enqueue`](Scheduler::enqueue), [`withdraw`](Scheduler::withdraw),
//! [`leave`](Scheduler::leave), [`release`](Scheduler::release) and
//! [`host_answered`](Scheduler::host_answered), and [`set_limits`](Scheduler::set_limits) when they
//! change; after each, call [`next`](Scheduler::next) until it returns `None`, and start the records
//! that it returns. Only records that could run now are
//! queued: a record that is paused, offline or backing off is not, and holds no slot.
//!
//! # Sites
//!
//! A site is a network [partition](crate::partition): a storage key, or the user. Sites share no
//! connections. So a host is a server as seen by one site: its limits apply to each site separately,
//! and so does what is known about its protocol, which is forgotten when nothing of the site is
//! queued or in flight.
//!
//! Sites share the number of connections alone, in two parts:
//!
//! - A site without a connection may open one, if fewer than [`Limits::sites`] sites have any. This
//!   is the hard bound. When it is reached, sites get a turn in the order in which they came.
//! - [`Limits::total`] is for connections beyond the first one of each site. The site that holds the
//!   fewest goes first; among equals, the one that has waited longest for a turn.
//!
//! Nothing is preempted. So a site cannot starve another one: below the hard bound, a record of a
//! site without a connection starts at once, whatever others do. Until the total or the hard bound
//! is reached, no choice depends on other sites.
//!
//! # Order
//!
//! Within a site, two resources are limited, the records in flight per host and the connections.
//! Each is shared fairly:
//!
//! 1. Each host with a free slot nominates one of the records that wait for it.
//! 2. The nominated records compete for connections. A new stream on an open connection that
//!    multiplexes needs none, so it starts at once.
//!
//! Both choices are made level by level. The highest [`Priority`] always goes first. Then comes the
//! registration that holds the fewest slots; among equals, the one that has waited longest for a
//! turn. The fetch is chosen in the same way, and finally the first record of the fetch in request
//! order. So a large fetch cannot starve a small one, and a low priority only waits for records of
//! its own site. Records of one fetch at one host start strictly in order. A host without a free
//! slot, or where it is another fetch's turn, does not hold back records for other hosts.
//!
//! # Look-ups
//!
//! A record whose host's name is being looked up holds no slot: it [leaves](Scheduler::leave) and
//! queues again. Meanwhile no other record starts at that host, as it would only wait for the same
//! answer. While [`Limits::look_ups`] records of a site are looking up names, no other record of
//! that site starts, so their number is bounded.
//!
//! # Cost
//!
//! Each call costs O(log n), with two exceptions: a change of what is known about a host's protocol
//! costs O(log n) for each record of the site in flight, and reaching or leaving
//! [`Limits::look_ups`] costs it for each host of the site. A waiting record takes about 25 bytes;
//! each pair of a fetch and a host takes a few hundred more.

mod arena;
mod candidate;
mod forest;
mod site;

use std::collections::{BTreeSet, HashMap};

use arena::Arena;
use bgfetch_model::ids::{FetchKey, HostKey, RecordKey};

pub use candidate::{Candidate, Limits, Priority};
use site::{Site, Wish};

use crate::partition::Partition;

type SiteId = usize;

/// Decides which waiting record starts next; see the [module](self).
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    sites: Arena<Entry>,
    site_ids: HashMap<Partition, SiteId>,
    /// The site of each fetch with a record that is queued, in flight or looking up a name.
    fetches: HashMap<FetchKey, SiteId>,
    /// The sites by what their next record needs.
    streams: BTreeSet<SiteId>,
    first_connections: BTreeSet<(u64, SiteId)>,
    /// Those that hold the fewest connections come first, then those that had no turn for longest.
    further_connections: BTreeSet<(u32, u64, SiteId)>,
    /// How many sites have a connection.
    connected: u32,
    /// The connections beyond the first one of each site.
    further: u32,
    /// Counts turns, so that finding the longest wait needs no clock.
    turns: u64,
}

/// A site with records that are queued, in flight or looking up a name.
#[derive(Debug)]
struct Entry {
    partition: Partition,
    site: Site,
    /// The turn in which it last got a connection or, before that, in which it was added. So a site
    /// cannot get ahead of others by leaving and coming back.
    last_turn: u64,
    /// What was counted for it: its connections, and what its next record needs.
    connections: u32,
    wish: Option<Wish>,
}

impl Scheduler {
    /// An empty scheduler.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            sites: Arena::default(),
            site_ids: HashMap::new(),
            fetches: HashMap::new(),
            streams: BTreeSet::new(),
            first_connections: BTreeSet::new(),
            further_connections: BTreeSet::new(),
            connected: 0,
            further: 0,
            turns: 0,
        }
    }

    /// Queues a record. Records of a fetch may be queued in any order, for example when they are
    /// retried.
    ///
    /// Does nothing if the record is queued or holds a slot: release it first. A record that gave
    /// its slot back is queued to get one again. While any record of the fetch is queued or holds a
    /// slot, the fetch keeps the partition, the registration and the priority of its first
    /// candidate.
    pub fn enqueue(&mut self, candidate: Candidate<'_>) {
        let fetch = candidate.record.fetch;
        let id = match self.fetches.get(&fetch) {
            Some(&id) => id,
            None => self.site_of(candidate.partition),
        };
        self.fetches.insert(fetch, id);
        self.change(id, |site| site.enqueue(candidate));
    }

    /// Removes a record from the queue, if it is queued.
    ///
    /// A record that holds a slot keeps it until its attempt is over and it is
    /// [released](Self::release).
    pub fn withdraw(&mut self, record: RecordKey) {
        if let Some(&id) = self.fetches.get(&record.fetch) {
            self.change(id, |site| site.withdraw(record));
        }
    }

    /// Gives a slot to the record whose turn it is. Returns `None` if no record may start now.
    ///
    /// The record holds the slot until it is [released](Self::release).
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that yields again after its end would surprise"
    )]
    pub fn next(&mut self) -> Option<RecordKey> {
        let id = if let Some(&id) = self.streams.first() {
            id
        } else {
            let first = self.first_connections.first().map(|&(_, id)| id);
            let further = self.further_connections.first().map(|&(.., id)| id);
            let may_be_first = first.filter(|_| self.connected < self.limits.sites);
            let id = may_be_first.or(further.filter(|_| self.further < self.limits.total))?;
            self.turns += 1;
            self.give_turn(id, self.turns);
            id
        };
        self.change(id, Site::start)
    }

    /// Takes the slot of a record while it looks up the name of `host`. Does nothing if it holds
    /// none. To get a slot again, [queue](Self::enqueue) the record.
    pub fn leave(&mut self, record: RecordKey, host: &HostKey) {
        if let Some(&id) = self.fetches.get(&record.fetch) {
            self.change(id, |site| site.leave(record, host));
        }
    }

    /// Ends the attempt of a record: frees its slot, or cancels its wait for one.
    pub fn release(&mut self, record: RecordKey) {
        if let Some(&id) = self.fetches.get(&record.fetch) {
            self.change(id, |site| site.release(record));
        }
    }

    /// Notes that this host sent a response to a request of a site's record in flight. If the
    /// protocol multiplexes (HTTP/2), the host's limit is [`Limits::per_host_multiplexed`] from now
    /// on, and all the site's records there share one connection. Otherwise each record needs a
    /// connection of its own, and none starts until the limits allow it.
    pub fn host_answered(&mut self, partition: &Partition, host: &HostKey, multiplexes: bool) {
        if let Some(&id) = self.site_ids.get(partition) {
            self.change(id, |site| site.host_answered(host, multiplexes));
        }
    }

    /// Changes the limits. Records that hold a slot keep it, even if there are now more of them than
    /// the limits allow; no other starts until there are fewer.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        let ids: Vec<SiteId> = self.site_ids.values().copied().collect();
        for id in ids {
            self.change(id, |site| site.set_limits(limits));
        }
    }

    fn site_of(&mut self, partition: &Partition) -> SiteId {
        if let Some(&id) = self.site_ids.get(partition) {
            return id;
        }
        self.turns += 1;
        let id = self.sites.insert(Entry {
            partition: partition.clone(),
            site: Site::new(self.limits),
            last_turn: self.turns,
            connections: 0,
            wish: None,
        });
        self.site_ids.insert(partition.clone(), id);
        id
    }

    /// Changes a site, and then what is counted for it. A site that has nothing left is removed.
    fn change<T>(&mut self, id: SiteId, change: impl FnOnce(&mut Site) -> T) -> T {
        let site = &mut self.sites[id].site;
        let result = change(site);
        for fetch in site.ended() {
            self.fetches.remove(&fetch);
        }
        self.count(id);
        if self.sites[id].site.is_empty() {
            let Entry { partition, .. } = self.sites.remove(id);
            self.site_ids.remove(&partition);
        }
        result
    }

    fn count(&mut self, id: SiteId) {
        let entry = &self.sites[id];
        let (before, now) = (entry.connections, entry.site.connections());
        let wish = entry.site.wish();
        if (before, entry.wish) == (now, wish) {
            return;
        }
        self.set_queued(id, false);
        self.connected = self.connected - before.min(1) + now.min(1);
        self.further = self.further - before.saturating_sub(1) + now.saturating_sub(1);
        (self.sites[id].connections, self.sites[id].wish) = (now, wish);
        self.set_queued(id, true);
    }

    fn give_turn(&mut self, id: SiteId, turn: u64) {
        self.set_queued(id, false);
        self.sites[id].last_turn = turn;
        self.set_queued(id, true);
    }

    /// Adds a site to the queue for what its next record needs, or removes it.
    fn set_queued(&mut self, id: SiteId, queued: bool) {
        let Entry { last_turn, connections, wish, .. } = self.sites[id];
        match (wish, connections) {
            (None, _) => {}
            (Some(Wish::Stream), _) => set(&mut self.streams, id, queued),
            (Some(Wish::Connection), 0) => {
                set(&mut self.first_connections, (last_turn, id), queued);
            }
            (Some(Wish::Connection), _) => {
                set(&mut self.further_connections, (connections, last_turn, id), queued);
            }
        }
    }
}

fn set<T: Ord>(members: &mut BTreeSet<T>, member: T, is_member: bool) {
    if is_member {
        members.insert(member);
    } else {
        members.remove(&member);
    }
}
