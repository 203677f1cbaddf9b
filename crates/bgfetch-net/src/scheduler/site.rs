//! The records of one site: which of them starts next, and what it needs for that.
//!
//! Nothing in here is shared with other sites, so a site's choices do not depend on them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bgfetch_model::ids::{FetchKey, HostKey, RecordIndex, RecordKey, RegistrationKey};

use super::arena::Arena;
use super::candidate::{Candidate, Limits, Priority};
use super::forest::{Forest, NodeId};

type HostId = usize;
type FetchId = usize;
type LaneId = usize;

/// For how many hosts of a site it is remembered that they multiplex. Evicting one costs a few
/// connections when the host is next used.
const REMEMBERED_HOSTS: usize = 1024;

/// What a site needs to start its next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing: the record is a stream of an open connection.
    Stream,
    /// A connection.
    Connection,
}

/// The queue of one site.
#[derive(Debug)]
pub(super) struct Site {
    limits: Limits,
    forest: Forest,
    /// The tree in which nominated records compete for connections; its items are fetches.
    all_hosts: NodeId,
    /// The connections in use: the sum of all hosts' [`Host::payers`].
    connections: u32,
    /// The hosts whose nominated record needs no new connection.
    open_streams: BTreeSet<HostId>,
    hosts: Arena<Host>,
    host_ids: HashMap<HostKey, HostId>,
    multiplexing: HashSet<HostKey>,
    fetches: Arena<Fetch>,
    fetch_ids: HashMap<FetchKey, FetchId>,
    lanes: Arena<Lane>,
    running: HashMap<RecordKey, LaneId>,
    looking_up: HashMap<RecordKey, LookUp>,
    /// The fetches that were removed since the last call of [`Self::ended`].
    ended: Vec<FetchKey>,
}

/// A record that gave its slot back for a look-up.
#[derive(Clone, Copy, Debug)]
struct LookUp {
    lane: LaneId,
    /// Whether the looked-up host is that of its lane, and not one that a redirect led to.
    own_host: bool,
}

/// A server for which records are waiting or in flight.
#[derive(Debug)]
struct Host {
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
    /// Its leaf in [`Site::all_hosts`].
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

impl Site {
    pub(super) fn new(limits: Limits) -> Self {
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
            ended: Vec::new(),
        }
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.nominate_all();
    }

    /// Whether it has neither waiting nor running records, and no connection.
    pub(super) fn is_empty(&self) -> bool {
        self.fetch_ids.is_empty()
    }

    pub(super) fn connections(&self) -> u32 {
        self.connections
    }

    /// What the next record needs, or none if no record may start now.
    pub(super) fn wish(&self) -> Option<Wish> {
        if !self.open_streams.is_empty() {
            return Some(Wish::Stream);
        }
        self.forest.first(self.all_hosts).map(|_| Wish::Connection)
    }

    /// The fetches that have no records here any more, each once.
    pub(super) fn ended(&mut self) -> impl Iterator<Item = FetchKey> {
        self.ended.drain(..)
    }

    pub(super) fn enqueue(&mut self, candidate: Candidate<'_>) {
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
        let host = match self.host_ids.get(candidate.host) {
            Some(&id) => id,
            None => self.add_host(candidate.host),
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

    pub(super) fn withdraw(&mut self, record: RecordKey) {
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

    /// Starts the next record, with what it [needs](Self::wish).
    pub(super) fn start(&mut self) -> Option<RecordKey> {
        let host = match self.open_streams.first() {
            Some(&host) => host,
            None => {
                let fetch = self.forest.first(self.all_hosts)?;
                self.fetches[fetch].nominees.first()?.1
            }
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

    pub(super) fn leave(&mut self, record: RecordKey, host: &HostKey) {
        let Some(lane) = self.running.remove(&record) else {
            return;
        };
        let Lane { host: own, ref mut looking_up, .. } = self.lanes[lane];
        *looking_up += 1;
        let own_host = self.hosts[own].key == *host;
        self.hosts[own].looking_up += u32::from(own_host);
        self.looking_up.insert(record, LookUp { lane, own_host });
        self.free_slot(lane);
        if self.looking_up.len() == self.limits.look_ups as usize {
            self.nominate_all();
        }
    }

    pub(super) fn release(&mut self, record: RecordKey) {
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
        if self.looking_up.len() + 1 == self.limits.look_ups as usize {
            self.nominate_all();
        } else {
            self.nominate(host);
        }
        Some(lane)
    }

    /// Whether look-ups allow another record to start at a host.
    fn is_known(&self, host: &Host) -> bool {
        host.looking_up == 0 && self.looking_up.len() < self.limits.look_ups as usize
    }

    /// Nominates the records of all hosts again.
    fn nominate_all(&mut self) {
        let hosts: Vec<HostId> = self.host_ids.values().copied().collect();
        for host in hosts {
            self.nominate(host);
        }
    }

    pub(super) fn host_answered(&mut self, host: &HostKey, multiplexes: bool) {
        if self.multiplexing.contains(host) == multiplexes {
            return;
        }
        if multiplexes {
            if self.multiplexing.len() == REMEMBERED_HOSTS {
                self.multiplexing.clear();
            }
            self.multiplexing.insert(host.clone());
        } else {
            self.multiplexing.remove(host);
        }
        let Some(&host) = self.host_ids.get(host) else {
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

    fn add_host(&mut self, key: &HostKey) -> HostId {
        let id = self.hosts.insert(Host {
            key: key.clone(),
            root: self.forest.plant(),
            lanes: 0,
            running: 0,
            looking_up: 0,
            multiplexes: self.multiplexing.contains(key),
            payers: Vec::new(),
            nominee: None,
        });
        self.host_ids.insert(key.clone(), id);
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
            let Host { key, root, .. } = self.hosts.remove(host);
            self.forest.remove(root);
            self.host_ids.remove(&key);
        }
    }

    /// Removes a fetch without lanes that is charged for no connection.
    fn tidy_fetch(&mut self, fetch: FetchId) {
        if self.fetches[fetch].pays == 0 && self.fetches[fetch].lanes.is_empty() {
            let Fetch { key, leaf, .. } = self.fetches.remove(fetch);
            self.forest.remove(leaf);
            self.fetch_ids.remove(&key);
            self.ended.push(key);
        }
    }
}
