//! Decides which waiting record starts next. Pure: no clock, no I/O, no tasks.
//!
//! Feed it [`enqueue`](Scheduler::enqueue), [`withdraw`](Scheduler::withdraw),
//! [`leave`](Scheduler::leave), [`release`](Scheduler::release) and
//! [`host_answered`](Scheduler::host_answered); after each, call [`next`](Scheduler::next) until it
//! returns `None`, and start the records that it returns. Only records that could run now are
//! queued: a record that is paused, offline or backing off is not, and holds no slot.
//!
//! Storage keys share no connections. So a host is a server as seen by one storage key: its limits
//! apply to each storage key separately, and so does what is known about its protocol.
//!
//! # Order
//!
//! Two resources are limited, the records in flight per host and the total number of connections.
//! Each is shared fairly:
//!
//! 1. Each host with a free slot nominates one of the records that wait for it.
//! 2. The nominated records compete for connections. A new stream on an open connection that
//!    multiplexes needs none, so it starts at once.
//!
//! Both choices are made level by level. First comes the storage key that holds the fewest slots;
//! among equals, the one that has waited longest for a turn. Within it, the highest [`Priority`]
//! always goes first. Then the registration and the fetch are chosen like the storage key, and
//! finally the first record of the fetch in request order. So a site cannot starve another one, a
//! large fetch cannot starve a small one, and a low priority only waits for records of its own
//! storage key. Records of one fetch at one host start strictly in order. A host without a free
//! slot, or where it is another fetch's turn, does not hold back records for other hosts.
//!
//! # Look-ups
//!
//! A record whose host's name is being looked up holds no slot: it [leaves](Scheduler::leave) and
//! queues again. Meanwhile no other record starts at that host, as it would only wait for the same
//! answer. While [`Limits::look_ups`] records of a storage key are looking up names, no other
//! record of that key starts, so their number is bounded.
//!
//! # Cost
//!
//! Each call costs O(log n), with two exceptions: a change of what is known about a host's protocol
//! costs O(log n) for each record in flight, and reaching or leaving [`Limits::look_ups`] costs it
//! for each host of the storage key. A waiting record takes about 25 bytes; each pair of a fetch
//! and a host takes a few hundred more.

mod arena;
mod candidate;
mod forest;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arena::Arena;
use bgfetch_model::ids::{FetchKey, HostKey, RecordIndex, RecordKey, RegistrationKey, StorageKey};

pub use candidate::{Candidate, Limits, Priority};
use forest::{Forest, NodeId};

type HostId = usize;
type FetchId = usize;
type LaneId = usize;

/// For how many hosts it is remembered that they multiplex. Evicting one costs a few connections
/// when the host is next used.
const REMEMBERED_HOSTS: usize = 1024;

/// Decides which waiting record starts next; see the [module](self).
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    forest: Forest,
    /// The tree in which nominated records compete for connections; its items are fetches.
    all_hosts: NodeId,
    /// The connections in use: the sum of all hosts' [`Host::payers`].
    connections: u32,
    /// The hosts whose nominated record needs no new connection.
    open_streams: BTreeSet<HostId>,
    hosts: Arena<Host>,
    host_ids: HashMap<StorageKey, HashMap<HostKey, HostId>>,
    multiplexing: HashSet<(StorageKey, HostKey)>,
    fetches: Arena<Fetch>,
    fetch_ids: HashMap<FetchKey, FetchId>,
    lanes: Arena<Lane>,
    running: HashMap<RecordKey, LaneId>,
    looking_up: HashMap<RecordKey, LookUp>,
    /// How many records of each storage key are in [`Self::looking_up`].
    look_ups: HashMap<StorageKey, u32>,
}

/// A record that gave its slot back for a look-up.
#[derive(Clone, Copy, Debug)]
struct LookUp {
    lane: LaneId,
    /// Whether the looked-up host is that of its lane, and not one that a redirect led to.
    own_host: bool,
}

/// A server for which records of a storage key are waiting or in flight.
#[derive(Debug)]
struct Host {
    storage_key: StorageKey,
    key: HostKey,
    /// The tree in which the waiting records compete for its slots; its items are lanes.
    root: NodeId,
    lanes: u32,
    running: u32,
    /// How many of its records are looking up its name.
    looking_up: u32,
    multiplexes: bool,
    /// One entry for each connection in use: the fetch that it is charged to. A connection that
    /// multiplexes is charged to the fetch that opened it until its last stream ends.
    payers: Vec<FetchId>,
    nominee: Option<Nominee>,
}

/// The record that starts next at a host, as long as that host has a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nominee {
    lane: LaneId,
    index: u32,
    needs_connection: bool,
}

/// A fetch with records waiting or in flight, or that is charged for a connection.
#[derive(Debug)]
struct Fetch {
    key: FetchKey,
    registration: RegistrationKey,
    priority: Priority,
    /// Its leaf in [`Scheduler::all_hosts`].
    leaf: NodeId,
    /// Its lanes by host.
    lanes: HashMap<HostId, LaneId>,
    /// Every waiting record and the lane it is in.
    waiting: BTreeMap<u32, LaneId>,
    /// Its nominated records that need a new connection.
    nominees: BTreeSet<(u32, HostId)>,
    pays: u32,
}

/// The records of one fetch at one host.
#[derive(Debug)]
struct Lane {
    fetch: FetchId,
    host: HostId,
    /// Its leaf in [`Host::root`].
    leaf: NodeId,
    waiting: BTreeSet<u32>,
    running: u32,
    looking_up: u32,
}

impl Host {
    /// How many connections its records in flight need.
    fn connections(&self) -> usize {
        if self.multiplexes { self.running.min(1) as usize } else { self.running as usize }
    }

    fn has_free_slot(&self, limits: &Limits) -> bool {
        self.running < if self.multiplexes { limits.per_host_multiplexed } else { limits.per_host }
    }
}

impl Scheduler {
    /// An empty scheduler.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let mut forest = Forest::default();
        Self {
            limits,
            all_hosts: forest.plant(),
            forest,
            connections: 0,
            open_streams: BTreeSet::new(),
            hosts: Arena::default(),
            host_ids: HashMap::new(),
            multiplexing: HashSet::new(),
            fetches: Arena::default(),
            fetch_ids: HashMap::new(),
            lanes: Arena::default(),
            running: HashMap::new(),
            looking_up: HashMap::new(),
            look_ups: HashMap::new(),
        }
    }

    /// Queues a record. Records of a fetch may be queued in any order, for example when they are
    /// retried.
    ///
    /// Does nothing if the record is queued or holds a slot: release it first. A record that gave
    /// its slot back is queued to get one again. While any record of the fetch is queued or holds a
    /// slot, the fetch keeps the registration and the priority of its first candidate.
    pub fn enqueue(&mut self, candidate: Candidate<'_>) {
        let RecordKey { fetch, index } = candidate.record;
        if self.running.contains_key(&candidate.record) {
            return;
        }
        let left = self.end_look_up(candidate.record);
        let fetch = match self.fetch_ids.get(&fetch) {
            Some(&id) => id,
            None => self.add_fetch(fetch, candidate.registration, candidate.priority),
        };
        if self.fetches[fetch].waiting.contains_key(&index.0) {
            return;
        }
        let storage_key = &candidate.registration.storage_key;
        let host = match self.host_id(storage_key, candidate.host) {
            Some(id) => id,
            None => self.add_host(storage_key, candidate.host),
        };
        let lane = match self.fetches[fetch].lanes.get(&host) {
            Some(&id) => id,
            None => self.add_lane(fetch, host),
        };
        self.fetches[fetch].waiting.insert(index.0, lane);
        let Lane { leaf, waiting, .. } = &mut self.lanes[lane];
        waiting.insert(index.0);
        if waiting.len() == 1 {
            self.forest.set_asking(*leaf, true);
        }
        self.nominate(host);
        if let Some(left) = left {
            self.tidy_lane(left);
        }
    }

    /// Removes a record from the queue, if it is queued.
    ///
    /// A record that holds a slot keeps it until its attempt is over and it is
    /// [released](Self::release).
    pub fn withdraw(&mut self, record: RecordKey) {
        let Some(&fetch) = self.fetch_ids.get(&record.fetch) else {
            return;
        };
        if let Some(lane) = self.fetches[fetch].waiting.remove(&record.index.0) {
            self.leave_lane(lane, record.index.0);
            self.nominate(self.lanes[lane].host);
            self.tidy_lane(lane);
            self.tidy_fetch(fetch);
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
        let host = match self.open_streams.first() {
            Some(&host) => host,
            None if self.connections < self.limits.total => {
                let fetch = self.forest.first(self.all_hosts)?;
                self.fetches[fetch].nominees.first()?.1
            }
            None => return None,
        };
        let Nominee { lane, index, .. } = self.hosts[host].nominee?;
        let fetch = self.lanes[lane].fetch;
        self.fetches[fetch].waiting.remove(&index);
        self.leave_lane(lane, index);
        self.lanes[lane].running += 1;
        self.hosts[host].running += 1;
        self.forest.take_slot(self.lanes[lane].leaf);
        if self.hosts[host].payers.len() < self.hosts[host].connections() {
            self.open_connection(host, fetch);
        }
        self.nominate(host);
        let record = RecordKey { fetch: self.fetches[fetch].key, index: RecordIndex(index) };
        self.running.insert(record, lane);
        Some(record)
    }

    /// Takes the slot of a record while it looks up the name of `host`. Does nothing if it holds
    /// none. To get a slot again, [queue](Self::enqueue) the record.
    pub fn leave(&mut self, record: RecordKey, host: &HostKey) {
        let Some(lane) = self.running.remove(&record) else {
            return;
        };
        let Lane { host: own, ref mut looking_up, .. } = self.lanes[lane];
        *looking_up += 1;
        let own_host = self.hosts[own].key == *host;
        self.hosts[own].looking_up += u32::from(own_host);
        self.looking_up.insert(record, LookUp { lane, own_host });
        let storage_key = self.hosts[own].storage_key.clone();
        let look_ups = self.look_ups.entry(storage_key).or_default();
        *look_ups += 1;
        let is_last = *look_ups == self.limits.look_ups;
        self.free_slot(lane);
        if is_last {
            self.nominate_all(own);
        }
    }

    /// Ends the attempt of a record: frees its slot, or cancels its wait for one.
    pub fn release(&mut self, record: RecordKey) {
        let lane = match self.running.remove(&record) {
            Some(lane) => {
                self.free_slot(lane);
                lane
            }
            None => match self.end_look_up(record) {
                Some(lane) => lane,
                None => return self.withdraw(record),
            },
        };
        let fetch = self.lanes[lane].fetch;
        self.tidy_lane(lane);
        self.tidy_fetch(fetch);
    }

    fn free_slot(&mut self, lane: LaneId) {
        let Lane { fetch, host, .. } = self.lanes[lane];
        self.lanes[lane].running -= 1;
        self.hosts[host].running -= 1;
        self.forest.free_slot(self.lanes[lane].leaf);
        self.close_connections(host, fetch);
        self.nominate(host);
    }

    /// Notes that the record no longer looks up a name. Returns its lane if it did.
    fn end_look_up(&mut self, record: RecordKey) -> Option<LaneId> {
        let LookUp { lane, own_host } = self.looking_up.remove(&record)?;
        self.lanes[lane].looking_up -= 1;
        let host = self.lanes[lane].host;
        self.hosts[host].looking_up -= u32::from(own_host);
        let storage_key = &self.hosts[host].storage_key;
        let mut had_most = false;
        if let Some(look_ups) = self.look_ups.get_mut(storage_key) {
            had_most = *look_ups == self.limits.look_ups;
            *look_ups -= 1;
            if *look_ups == 0 {
                self.look_ups.remove(storage_key);
            }
        }
        if had_most {
            self.nominate_all(host);
        } else {
            self.nominate(host);
        }
        Some(lane)
    }

    /// Whether look-ups allow another record to start at a host.
    fn is_known(&self, host: &Host) -> bool {
        // OPTIMIZATION: most of the time, no name is being looked up.
        if self.looking_up.is_empty() {
            return self.limits.look_ups > 0;
        }
        let look_ups = self.look_ups.get(&host.storage_key).copied().unwrap_or_default();
        host.looking_up == 0 && look_ups < self.limits.look_ups
    }

    /// Nominates the records of all hosts of a host's storage key again.
    fn nominate_all(&mut self, host: HostId) {
        let hosts = self.host_ids.get(&self.hosts[host].storage_key);
        let hosts: Vec<HostId> = hosts.into_iter().flatten().map(|(_, host)| *host).collect();
        for host in hosts {
            self.nominate(host);
        }
    }

    /// Notes that this host sent a response to a request of this storage key. If the protocol
    /// multiplexes (HTTP/2), the host's limit is [`Limits::per_host_multiplexed`] from now on, and
    /// all its records share one connection. Otherwise each record needs a connection of its own,
    /// and none starts until the limits allow it.
    pub fn host_answered(&mut self, storage_key: &StorageKey, host: &HostKey, multiplexes: bool) {
        let key = (storage_key.clone(), host.clone());
        if self.multiplexing.contains(&key) == multiplexes {
            return;
        }
        if multiplexes {
            if self.multiplexing.len() == REMEMBERED_HOSTS {
                self.multiplexing.clear();
            }
            self.multiplexing.insert(key);
        } else {
            self.multiplexing.remove(&key);
        }
        let Some(host) = self.host_id(storage_key, host) else {
            return;
        };
        self.hosts[host].multiplexes = multiplexes;
        if multiplexes {
            if let Some(&opener) = self.hosts[host].payers.first() {
                self.close_connections(host, opener);
            }
        } else {
            self.open_a_connection_for_each(host);
        }
        self.nominate(host);
    }

    fn host_id(&self, storage_key: &StorageKey, host: &HostKey) -> Option<HostId> {
        self.host_ids.get(storage_key)?.get(host).copied()
    }

    fn add_fetch(
        &mut self,
        key: FetchKey,
        registration: &RegistrationKey,
        priority: Priority,
    ) -> FetchId {
        let id = self.fetches.next_id();
        let leaf = self.forest.add_leaf(self.all_hosts, registration, priority, id);
        self.fetch_ids.insert(key, id);
        self.fetches.insert(Fetch {
            key,
            registration: registration.clone(),
            priority,
            leaf,
            lanes: HashMap::new(),
            waiting: BTreeMap::new(),
            nominees: BTreeSet::new(),
            pays: 0,
        })
    }

    fn add_host(&mut self, storage_key: &StorageKey, key: &HostKey) -> HostId {
        let id = self.hosts.insert(Host {
            storage_key: storage_key.clone(),
            key: key.clone(),
            root: self.forest.plant(),
            lanes: 0,
            running: 0,
            looking_up: 0,
            multiplexes: self.multiplexing.contains(&(storage_key.clone(), key.clone())),
            payers: Vec::new(),
            nominee: None,
        });
        self.host_ids.entry(storage_key.clone()).or_default().insert(key.clone(), id);
        id
    }

    fn add_lane(&mut self, fetch: FetchId, host: HostId) -> LaneId {
        let id = self.lanes.next_id();
        let Fetch { registration, priority, .. } = &self.fetches[fetch];
        let root = self.hosts[host].root;
        let leaf = self.forest.add_leaf(root, registration, *priority, id);
        self.hosts[host].lanes += 1;
        self.fetches[fetch].lanes.insert(host, id);
        let (waiting, running, looking_up) = (BTreeSet::new(), 0, 0);
        self.lanes.insert(Lane { fetch, host, leaf, waiting, running, looking_up })
    }

    fn leave_lane(&mut self, lane: LaneId, index: u32) {
        let Lane { leaf, waiting, .. } = &mut self.lanes[lane];
        waiting.remove(&index);
        if waiting.is_empty() {
            self.forest.set_asking(*leaf, false);
        }
    }

    /// Nominates the next record of a host again, after any change at that host.
    fn nominate(&mut self, host: HostId) {
        let Host { root, running, multiplexes, nominee: before, .. } = self.hosts[host];
        let may_start =
            self.hosts[host].has_free_slot(&self.limits) && self.is_known(&self.hosts[host]);
        let nominee = if may_start { self.forest.first(root) } else { None }.and_then(|lane| {
            Some(Nominee {
                lane,
                index: *self.lanes[lane].waiting.first()?,
                needs_connection: !multiplexes || running == 0,
            })
        });
        if nominee == before {
            return;
        }
        self.hosts[host].nominee = nominee;
        if nominee.is_some_and(|nominee| !nominee.needs_connection) {
            self.open_streams.insert(host);
        } else {
            self.open_streams.remove(&host);
        }
        // OPTIMIZATION: the new nomination is added before the old one is removed. Both usually
        // belong to one fetch, which then asks without interruption, so the levels above it need no
        // update.
        if let Some(nominee) = nominee.filter(|nominee| nominee.needs_connection) {
            let fetch = &mut self.fetches[self.lanes[nominee.lane].fetch];
            fetch.nominees.insert((nominee.index, host));
            if fetch.nominees.len() == 1 {
                self.forest.set_asking(fetch.leaf, true);
            }
        }
        if let Some(before) = before.filter(|before| before.needs_connection) {
            let fetch = &mut self.fetches[self.lanes[before.lane].fetch];
            fetch.nominees.remove(&(before.index, host));
            if fetch.nominees.is_empty() {
                self.forest.set_asking(fetch.leaf, false);
            }
        }
    }

    /// Frees the connections that a host no longer needs, those charged to `first` before others.
    fn close_connections(&mut self, host: HostId, first: FetchId) {
        while self.hosts[host].payers.len() > self.hosts[host].connections() {
            let payers = &mut self.hosts[host].payers;
            let position = payers.iter().rposition(|&payer| payer == first);
            let payer = match position {
                Some(position) => payers.swap_remove(position),
                None => match payers.pop() {
                    Some(payer) => payer,
                    None => return,
                },
            };
            self.stop_paying(payer);
        }
    }

    /// Charges a connection for each record of a host that turned out not to multiplex.
    fn open_a_connection_for_each(&mut self, host: HostId) {
        let running = self.running.iter().filter(|(_, lane)| self.lanes[**lane].host == host);
        let mut running: Vec<(RecordKey, LaneId)> =
            running.map(|(key, lane)| (*key, *lane)).collect();
        running.sort_unstable();
        while let Some(payer) = self.hosts[host].payers.pop() {
            self.stop_paying(payer);
        }
        for (_, lane) in running {
            self.open_connection(host, self.lanes[lane].fetch);
        }
    }

    fn open_connection(&mut self, host: HostId, payer: FetchId) {
        self.hosts[host].payers.push(payer);
        self.connections += 1;
        self.fetches[payer].pays += 1;
        self.forest.take_slot(self.fetches[payer].leaf);
    }

    fn stop_paying(&mut self, payer: FetchId) {
        self.connections -= 1;
        self.fetches[payer].pays -= 1;
        self.forest.free_slot(self.fetches[payer].leaf);
        self.tidy_fetch(payer);
    }

    /// Removes a lane without records, and the host with its last lane.
    fn tidy_lane(&mut self, lane: LaneId) {
        let Lane { running, looking_up, ref waiting, .. } = self.lanes[lane];
        if running > 0 || looking_up > 0 || !waiting.is_empty() {
            return;
        }
        let Lane { fetch, host, leaf, .. } = self.lanes.remove(lane);
        self.forest.remove(leaf);
        self.fetches[fetch].lanes.remove(&host);
        self.hosts[host].lanes -= 1;
        if self.hosts[host].lanes == 0 {
            let Host { storage_key, key, root, .. } = self.hosts.remove(host);
            self.forest.remove(root);
            if let Some(hosts) = self.host_ids.get_mut(&storage_key) {
                hosts.remove(&key);
                if hosts.is_empty() {
                    self.host_ids.remove(&storage_key);
                }
            }
        }
    }

    /// Removes a fetch without lanes that is charged for no connection.
    fn tidy_fetch(&mut self, fetch: FetchId) {
        if self.fetches[fetch].pays == 0 && self.fetches[fetch].lanes.is_empty() {
            let Fetch { key, leaf, .. } = self.fetches.remove(fetch);
            self.forest.remove(leaf);
            self.fetch_ids.remove(&key);
        }
    }
}
