//! The scheduler compared with a naive model of its guarantees, for random operations.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use bgfetch_model::ids::{FetchKey, HostKey, RecordIndex, RecordKey, RegistrationKey, StorageKey};
use bgfetch_net::partition::Partition;
use bgfetch_net::scheduler::{Candidate, Limits, Priority, Scheduler};
use proptest::prelude::*;
use url::Url;

mod turns;

fn record(fetch: u64, index: u32) -> RecordKey {
    RecordKey { fetch: FetchKey(fetch), index: RecordIndex(index) }
}

fn host(number: usize) -> HostKey {
    HostKey::of(&Url::parse(&format!("https://host{number}.test/file")).unwrap())
}

fn registration(storage_key: u64, number: u64) -> RegistrationKey {
    RegistrationKey {
        storage_key: StorageKey(format!("https://site{storage_key}.test")),
        scope: Url::parse(&format!("https://site{storage_key}.test/{number}/")).unwrap(),
    }
}

fn site(number: u64) -> Partition {
    Partition::Site(registration(number, 0).storage_key)
}

fn priority(number: u64) -> Priority {
    [Priority::High, Priority::Normal, Priority::Low][number as usize % 3]
}

/// The place of a fetch in the scheduler's tree. It only depends on the fetch's number, and is
/// chosen so that some fetches share a site, and some of those a registration or a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    storage_key: u64,
    priority: Priority,
    registration: u64,
    fetch: u64,
}

fn place(fetch: u64) -> Place {
    Place {
        storage_key: fetch % 3,
        priority: priority(fetch / 3),
        registration: fetch / 9 % 2,
        fetch,
    }
}

/// A server as seen by one site.
type Host = (u64, usize);

fn host_of(record: RecordKey, number: usize) -> Host {
    (place(record.fetch.0).storage_key, number)
}

/// The scheduler, and what its user knows about it.
struct Pair {
    limits: Limits,
    scheduler: Scheduler,
    queued: BTreeMap<RecordKey, Host>,
    running: BTreeMap<RecordKey, Host>,
    /// The records that gave their slots back, and whether they are looking up their own host.
    looking_up: BTreeMap<RecordKey, (Host, bool)>,
    multiplexing: BTreeSet<Host>,
}

impl Pair {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            scheduler: Scheduler::new(limits),
            queued: BTreeMap::new(),
            running: BTreeMap::new(),
            looking_up: BTreeMap::new(),
            multiplexing: BTreeSet::new(),
        }
    }

    fn enqueue(&mut self, record: RecordKey, at: usize) {
        let place = place(record.fetch.0);
        self.scheduler.enqueue(Candidate {
            record,
            partition: &site(place.storage_key),
            registration: &registration(place.storage_key, place.registration),
            priority: place.priority,
            host: &host(at),
        });
        self.looking_up.remove(&record);
        if !self.running.contains_key(&record) {
            self.queued.entry(record).or_insert(host_of(record, at));
        }
    }

    fn withdraw(&mut self, record: RecordKey) {
        self.scheduler.withdraw(record);
        self.queued.remove(&record);
        self.forget_hosts();
    }

    fn release(&mut self, record: RecordKey) {
        self.scheduler.release(record);
        self.running.remove(&record);
        self.looking_up.remove(&record);
        self.queued.remove(&record);
        self.forget_hosts();
    }

    /// What is known about hosts is forgotten with the last record of a site.
    fn forget_hosts(&mut self) {
        if self.multiplexing.is_empty() {
            return;
        }
        let looking_up = self.looking_up.values().map(|(at, _)| at);
        let sites: BTreeSet<u64> = self
            .queued
            .values()
            .chain(self.running.values())
            .chain(looking_up)
            .map(|at| at.0)
            .collect();
        self.multiplexing.retain(|at| sites.contains(&at.0));
    }

    fn leave(&mut self, record: RecordKey, own_host: bool) {
        let Some(at) = self.running.get(&record).copied() else {
            return self.scheduler.leave(record, &host(0));
        };
        self.scheduler.leave(record, &host(if own_host { at.1 } else { at.1 + 100 }));
        self.running.remove(&record);
        self.looking_up.insert(record, (at, own_host));
    }

    fn set_limits(&mut self, limits: Limits) {
        self.scheduler.set_limits(limits);
        self.limits = limits;
    }

    fn host_answered(&mut self, at: Host, multiplexes: bool) {
        self.scheduler.host_answered(&site(at.0), &host(at.1), multiplexes);
        if multiplexes {
            self.multiplexing.insert(at);
        } else {
            self.multiplexing.remove(&at);
        }
        self.forget_hosts();
    }

    fn running_at(&self, at: Host) -> usize {
        self.running.values().filter(|&&other| other == at).count()
    }

    /// The connections of each site that has any.
    fn connections(&self) -> BTreeMap<u64, usize> {
        let hosts: BTreeSet<Host> = self.running.values().copied().collect();
        let mut connections = BTreeMap::new();
        for at in hosts {
            *connections.entry(at.0).or_default() += match self.multiplexing.contains(&at) {
                true => 1,
                false => self.running_at(at),
            };
        }
        connections
    }

    /// Whether the limits that sites share allow this site another connection.
    fn may_connect(&self, site: u64) -> bool {
        let connections = self.connections();
        let further: usize = connections.values().map(|count| count - 1).sum();
        match connections.contains_key(&site) {
            false => connections.len() < self.limits.sites as usize,
            true => further < self.limits.total as usize,
        }
    }

    /// Whether the limits allow a record at this host to start.
    fn may_start(&self, at: Host) -> bool {
        let running = self.running_at(at);
        let (limit, needs_connection) = match self.multiplexing.contains(&at) {
            true => (self.limits.per_host_multiplexed, running == 0),
            false => (self.limits.per_host, true),
        };
        let look_ups = self.looking_up.values().filter(|((key, _), _)| *key == at.0).count();
        look_ups < self.limits.look_ups as usize
            && !self.looking_up.values().any(|looked_up| *looked_up == (at, true))
            && running < limit as usize
            && (!needs_connection || self.may_connect(at.0))
    }

    fn next(&mut self) -> Option<RecordKey> {
        let Some(started) = self.scheduler.next() else {
            for (record, &at) in &self.queued {
                assert!(!self.may_start(at), "{record} could start at host {at:?}");
            }
            return None;
        };
        let at = self.queued[&started];
        assert!(self.may_start(at), "{started} breaks a limit of host {at:?}");
        self.check_turn(started, at);
        self.queued.remove(&started);
        self.running.insert(started, at);
        Some(started)
    }

    /// Asserts that it was this record's turn among all that wait for the same host.
    fn check_turn(&self, started: RecordKey, at: Host) {
        let this = place(started.fetch.0);
        let slots = |belongs: &dyn Fn(Place) -> bool| {
            self.running
                .iter()
                .filter(|&(record, &other)| other == at && belongs(place(record.fetch.0)))
                .count()
        };
        for (&record, _) in self.queued.iter().filter(|&(_, &other)| other == at) {
            let other = place(record.fetch.0);
            // All of them are of one site.
            let in_registration = |place: Place, like: Place| {
                place.priority == like.priority && place.registration == like.registration
            };
            let fair = if other.priority != this.priority {
                this.priority < other.priority
            } else if other.registration != this.registration {
                slots(&|place| in_registration(place, this))
                    <= slots(&|place| in_registration(place, other))
            } else if other.fetch != this.fetch {
                slots(&|place| place.fetch == this.fetch)
                    <= slots(&|place| place.fetch == other.fetch)
            } else {
                started <= record
            };
            assert!(fair, "{started} started although it was the turn of {record}");
        }
    }

    /// Releases and starts records until none is left; every queued record must have its turn.
    fn drain(&mut self) {
        for (record, (at, _)) in self.looking_up.clone() {
            self.enqueue(record, at.1);
        }
        let mut left = self.queued.len();
        loop {
            while self.next().is_some() {
                left -= 1;
            }
            let Some((&record, _)) = self.running.iter().next() else {
                break;
            };
            self.release(record);
        }
        assert_eq!(left, 0);
        assert!(self.queued.is_empty());
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Enqueue(u64, u32),
    Next,
    Release(prop::sample::Index),
    Leave(prop::sample::Index, bool),
    ReleaseUnknown(u64, u32),
    Withdraw(u64, u32),
    HostAnswered(Host, bool),
    SetLimits(Limits),
}

fn operation() -> impl Strategy<Value = Operation> {
    let (fetch, index) = (0..18_u64, 0..8_u32);
    prop_oneof![
        8 => (fetch.clone(), index.clone()).prop_map(|(f, i)| Operation::Enqueue(f, i)),
        6 => Just(Operation::Next),
        4 => any::<prop::sample::Index>().prop_map(Operation::Release),
        3 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, own_host)| Operation::Leave(which, own_host)),
        1 => (fetch.clone(), index.clone()).prop_map(|(f, i)| Operation::ReleaseUnknown(f, i)),
        1 => (fetch, index).prop_map(|(f, i)| Operation::Withdraw(f, i)),
        2 => ((0..3_u64, 0..3_usize), any::<bool>())
            .prop_map(|(host, multiplexes)| Operation::HostAnswered(host, multiplexes)),
        1 => limits().prop_map(Operation::SetLimits),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (0..4_u32, 0..8_u32, 1..4_u32, 1..6_u32, 1..5_u32).prop_map(
        |(sites, total, per_host, per_host_multiplexed, look_ups)| {
            Limits::default().with(|it| {
                it.sites = sites;
                it.total = total;
                it.per_host = per_host;
                it.per_host_multiplexed = per_host_multiplexed;
                it.look_ups = look_ups;
            })
        },
    )
}

proptest! {
    #[test]
    fn every_promise_holds_in_any_order_of_calls(
        limits in limits(),
        operations in prop::collection::vec(operation(), 0..200),
    ) {
        let mut pair = Pair::new(limits);
        for operation in operations {
            match operation {
                // Any fixed mapping from records to hosts works; this one mixes them.
                Operation::Enqueue(fetch, index) => {
                    pair.enqueue(record(fetch, index), (fetch as usize * 5 + index as usize) % 7);
                }
                Operation::Next => { pair.next(); }
                Operation::Release(which) => {
                    if !pair.running.is_empty() {
                        let keys: Vec<_> = pair.running.keys().copied().collect();
                        pair.release(*which.get(&keys));
                    }
                }
                Operation::Leave(which, own_host) => {
                    if !pair.running.is_empty() {
                        let keys: Vec<_> = pair.running.keys().copied().collect();
                        pair.leave(*which.get(&keys), own_host);
                    }
                }
                Operation::ReleaseUnknown(fetch, index) => pair.release(record(fetch, index)),
                Operation::Withdraw(fetch, index) => pair.withdraw(record(fetch, index)),
                Operation::HostAnswered(host, multiplexes) => pair.host_answered(host, multiplexes),
                Operation::SetLimits(limits) => pair.set_limits(limits),
            }
        }
        if pair.limits.sites > 0 {
            pair.drain();
        }
    }

    #[test]
    fn a_site_without_a_connection_starts_at_once_whatever_others_do(
        operations in prop::collection::vec(operation(), 0..200),
        total in 0..4_u32,
    ) {
        // Three sites, of which the last one is the victim: only its records ever end.
        let victim = |record: RecordKey| place(record.fetch.0).storage_key == 2;
        let mut pair = Pair::new(Limits::default().with(|it| {
it.total = total;
it.look_ups = 3;
}));
        for operation in operations {
            match operation {
                Operation::Enqueue(fetch, index) => pair.enqueue(record(fetch, index), index as usize),
                Operation::Leave(which, own_host) => {
                    let keys: Vec<_> = pair.running.keys().copied().collect();
                    if !keys.is_empty() {
                        pair.leave(*which.get(&keys), own_host);
                    }
                }
                Operation::Release(which) => {
                    let keys: Vec<_> = pair.running.keys().copied().filter(|key| victim(*key)).collect();
                    if !keys.is_empty() {
                        pair.release(*which.get(&keys));
                    }
                }
                Operation::ReleaseUnknown(..) | Operation::Next | Operation::SetLimits(_) => {}
                Operation::Withdraw(fetch, index) => pair.withdraw(record(fetch, index)),
                Operation::HostAnswered(host, multiplexes) => pair.host_answered(host, multiplexes),
            }
            while pair.next().is_some() {}
            let look_ups: Vec<_> = pair.looking_up.iter().filter(|(key, _)| victim(**key)).collect();
            let running = pair.running.keys().any(|key| victim(*key));
            for (key, at) in pair.queued.iter().filter(|(key, _)| victim(**key)) {
                // It waits for records of its own site alone.
                let own_look_up = look_ups.iter().any(|(_, (other, own))| *own && other == at);
                prop_assert!(running || own_look_up || look_ups.len() >= 3, "{key} waits for others");
            }
        }
    }

    #[test]
    fn sites_with_hosts_of_their_own_share_the_connections_evenly(
        keys in 1..6_u64,
        total in 1..20_u32,
        multiplexing in any::<[bool; 6]>(),
        releases in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        // If hosts do not multiplex, each record needs a connection. If they do, each record gets a
        // host of its own, so that it needs a connection too.
        let (per_host, per_host_multiplexed) = (100, 1);
        let mut scheduler =
            Scheduler::new(Limits::default().with(|it| {
it.total = total;
it.per_host = per_host;
it.per_host_multiplexed = per_host_multiplexed;
}));
        for key in 0..keys {
            // Enough records that no fetch runs out of them.
            for index in 0..80 {
                let at = if multiplexing[key as usize] { 1000 * (key as usize + 1) + index as usize }
                    else { key as usize };
                scheduler.enqueue(Candidate {
                    record: record(key, index),
                    partition: &site(key),
                    registration: &registration(key, 0),
                    priority: priority(key),
                    host: &host(at),
                });
                if multiplexing[key as usize] {
                    scheduler.host_answered(&site(key), &host(at), true);
                }
            }
        }
        let mut running = Vec::new();
        for release in std::iter::once(None).chain(releases.into_iter().map(Some)) {
            if let Some(which) = release {
                scheduler.release(running.swap_remove(which.index(running.len())));
            }
            running.extend(std::iter::from_fn(|| scheduler.next()));
            prop_assert_eq!(running.len(), keys as usize + total as usize);
            let slots = (0..keys).map(|key| running.iter().filter(|r| r.fetch.0 == key).count());
            let (least, most) = (slots.clone().min().unwrap(), slots.max().unwrap());
            prop_assert!(most - least <= 1, "{least} and {most} slots");
        }
    }
}

fn one_at_a_time() -> Limits {
    Limits::default().with(|it| {
        it.sites = 1;
        it.total = 0;
    })
}

#[test]
fn a_record_blocked_by_its_host_does_not_hold_back_other_hosts() {
    let mut pair = Pair::new(Limits::default().with(|it| it.per_host = 1));
    pair.enqueue(record(0, 0), 0);
    pair.enqueue(record(0, 1), 0);
    pair.enqueue(record(0, 2), 1);
    assert_eq!(pair.next(), Some(record(0, 0)));
    assert_eq!(pair.next(), Some(record(0, 2)));
    assert_eq!(pair.next(), None);
    pair.release(record(0, 0));
    assert_eq!(pair.next(), Some(record(0, 1)));
}

#[test]
fn a_look_up_takes_no_slot_and_holds_back_its_own_host_alone() {
    let mut pair = Pair::new(one_at_a_time());
    for index in 0..3 {
        pair.enqueue(record(0, index), 0);
    }
    pair.enqueue(record(0, 3), 1);
    assert_eq!(pair.next(), Some(record(0, 0)));
    pair.leave(record(0, 0), true);
    // Others at that host would only wait for the same answer.
    assert_eq!(pair.next(), Some(record(0, 3)));
    pair.release(record(0, 3));
    assert_eq!(pair.next(), None);
    // The look-up is answered.
    pair.enqueue(record(0, 0), 0);
    assert_eq!(pair.next(), Some(record(0, 0)));
    // The host of a redirect says nothing about the first host.
    pair.leave(record(0, 0), false);
    assert_eq!(pair.next(), Some(record(0, 1)));
    pair.release(record(0, 0));
    pair.release(record(0, 1));
    pair.drain();
}

#[test]
fn look_ups_of_one_site_are_bounded_and_another_site_does_not_wait() {
    let mut pair = Pair::new(Limits::default().with(|it| {
        it.total = 0;
        it.look_ups = 16;
    }));
    // A hundred hosts whose look-ups are never answered.
    for index in 0..100 {
        pair.enqueue(record(0, index), index as usize);
    }
    for index in 0..16 {
        assert_eq!(pair.next(), Some(record(0, index)));
        pair.leave(record(0, index), true);
    }
    assert_eq!(pair.next(), None);
    pair.enqueue(record(1, 0), 0);
    assert_eq!(pair.next(), Some(record(1, 0)));
    // One is cancelled, so the next may start.
    pair.release(record(0, 7));
    assert_eq!(pair.next(), Some(record(0, 16)));
    assert_eq!(pair.next(), None);
}

#[test]
fn records_start_in_request_order_whatever_order_they_come_in() {
    let mut pair = Pair::new(one_at_a_time());
    for index in [10, 2, 1, 0] {
        pair.enqueue(record(0, index), index as usize % 2);
    }
    for index in [0, 1, 2] {
        assert_eq!(pair.next(), Some(record(0, index)));
        pair.release(record(0, index));
    }
    // A retry goes before records that were not tried yet.
    pair.enqueue(record(0, 1), 1);
    assert_eq!(pair.next(), Some(record(0, 1)));
    pair.release(record(0, 1));
    assert_eq!(pair.next(), Some(record(0, 10)));
}

#[test]
fn a_multiplexing_host_takes_one_connection_and_many_streams() {
    let mut pair = Pair::new(Limits::default().with(|it| it.total = 5));
    for index in 0..1000 {
        pair.enqueue(record(0, index), 0);
    }
    let first: Vec<_> = std::iter::from_fn(|| pair.next()).collect();
    assert_eq!(first.len(), 6);
    // The total is used up, so another host waits …
    pair.enqueue(record(3, 0), 1);
    assert_eq!(pair.next(), None);
    // … until the six turn out to be streams of one connection.
    pair.host_answered((0, 0), true);
    let more: Vec<_> = std::iter::from_fn(|| pair.next()).collect();
    assert_eq!(more.len(), 94 + 1);
    assert!(more.contains(&record(3, 0)));
    // The protocol is still known when the host is used again while others of the site run …
    let all: Vec<_> = (0..1000).map(|index| record(0, index)).collect();
    all.iter().for_each(|&record| pair.release(record));
    for index in 0..200 {
        pair.enqueue(record(6, index), 0);
    }
    assert_eq!(std::iter::from_fn(|| pair.next()).count(), 100);
    // … and forgotten when the site has nothing left.
    (0..200).for_each(|index| pair.release(record(6, index)));
    pair.release(record(3, 0));
    for index in 0..200 {
        pair.enqueue(record(0, index), 0);
    }
    assert_eq!(std::iter::from_fn(|| pair.next()).count(), 6);
    pair.host_answered((0, 0), true);
    assert_eq!(std::iter::from_fn(|| pair.next()).count(), 94);
    // Another site has its own connections, and knows nothing about this host.
    for index in 0..200 {
        pair.enqueue(record(2, index), 0);
    }
    assert_eq!(std::iter::from_fn(|| pair.next()).count(), 6);
}

#[test]
fn a_host_that_no_longer_multiplexes_starts_nothing_before_its_streams_are_few() {
    let mut pair = Pair::new(Limits::default());
    for index in 0..200 {
        pair.enqueue(record(0, index), 0);
    }
    pair.host_answered((0, 0), true);
    pair.enqueue(record(3, 0), 1);
    assert_eq!(std::iter::from_fn(|| pair.next()).count(), 101);
    pair.host_answered((0, 0), false);
    // Each of the hundred needs a connection now, so there are none for other hosts, but those of
    // another site do not wait.
    pair.enqueue(record(6, 0), 2);
    assert_eq!(pair.next(), None);
    pair.enqueue(record(1, 0), 2);
    assert_eq!(pair.next(), Some(record(1, 0)));
    let mut left = 100;
    while left > 6 {
        assert_eq!(pair.running_at((0, 0)), left);
        let (&ended, _) = pair.running.iter().find(|(_, at)| **at == (0, 0)).unwrap();
        pair.release(ended);
        left -= 1;
        while let Some(started) = pair.next() {
            assert_eq!(started, record(6, 0), "there are six at the host already");
            assert!(left < 16);
        }
    }
}

#[test]
fn coming_back_again_and_again_does_not_starve_those_who_wait() {
    let mut pair = Pair::new(one_at_a_time());
    pair.enqueue(record(0, 0), 0);
    pair.enqueue(record(1, 0), 1);
    let first = pair.next().unwrap();
    pair.release(first);
    // The same site queues again before the next turn.
    pair.enqueue(first, first.fetch.0 as usize);
    let second = pair.next().unwrap();
    assert_ne!(second.fetch, first.fetch);
}

#[test]
fn a_low_priority_waits_only_for_its_own_site() {
    let mut pair = Pair::new(one_at_a_time());
    // Fetches 0, 3 and 6 are of one site, of high, normal and low priority; 7 is low, too,
    // but of another.
    for fetch in [6, 3, 0] {
        pair.enqueue(record(fetch, 0), 0);
    }
    pair.enqueue(record(7, 0), 0);
    let mut order = Vec::new();
    while let Some(started) = pair.next() {
        order.push(started.fetch.0);
        pair.release(started);
    }
    let own: Vec<_> = order.iter().copied().filter(|&fetch| fetch != 7).collect();
    assert_eq!(own, [0, 3, 6]);
    assert!(order.iter().position(|&fetch| fetch == 7) < Some(2), "{order:?}");
}

#[test]
fn at_the_hard_bound_sites_get_a_turn_in_the_order_in_which_they_came() {
    let mut pair = Pair::new(Limits::default().with(|it| it.sites = 2));
    for fetch in [0, 1] {
        (0..2).for_each(|index| pair.enqueue(record(fetch, index), 0));
    }
    assert_eq!(std::iter::from_fn(|| pair.next()).count(), 4);
    pair.enqueue(record(2, 0), 0);
    assert_eq!(pair.next(), None);
    // Another connection of a site that has one still competes for the total.
    pair.enqueue(record(0, 2), 0);
    assert_eq!(pair.next(), Some(record(0, 2)));
    // A site that has none left, and more to fetch, queues after the one that waits.
    pair.enqueue(record(1, 3), 1);
    pair.next();
    (0..2).for_each(|index| pair.release(record(1, index)));
    assert_eq!(pair.next(), None);
    pair.enqueue(record(1, 4), 1);
    pair.release(record(1, 3));
    assert_eq!(pair.next(), Some(record(2, 0)));
    assert_eq!(pair.next(), None);
    pair.release(record(2, 0));
    assert_eq!(pair.next(), Some(record(1, 4)));
}

#[test]
fn the_user_and_a_site_of_one_storage_key_do_not_share_slots() {
    let limits = Limits::default().with(|it| {
        it.sites = 2;
        it.total = 0;
        it.per_host = 1;
    });
    let mut scheduler = Scheduler::new(limits);
    for (fetch, partition) in [(0, Partition::User), (1, site(0))] {
        scheduler.enqueue(Candidate {
            record: record(fetch, 0),
            partition: &partition,
            registration: &registration(0, 0),
            priority: Priority::Normal,
            host: &host(0),
        });
    }
    assert_eq!(std::iter::from_fn(|| scheduler.next()).count(), 2);
}

#[test]
fn a_record_that_holds_a_slot_is_not_queued_again() {
    let mut pair = Pair::new(Limits::default());
    pair.enqueue(record(0, 0), 0);
    assert_eq!(pair.next(), Some(record(0, 0)));
    pair.enqueue(record(0, 0), 0);
    assert_eq!(pair.next(), None);
    pair.withdraw(record(0, 0));
    pair.release(record(0, 0));
    pair.release(record(0, 0));
    pair.enqueue(record(0, 0), 0);
    assert_eq!(pair.next(), Some(record(0, 0)));
}

#[test]
fn hosts_differ_by_scheme_host_and_port() {
    let key = |url: &str| HostKey::of(&Url::parse(url).unwrap());
    assert_eq!(key("https://a.test/x?y"), key("https://a.test:443/z"));
    assert_ne!(key("https://a.test/"), key("http://a.test/"));
    assert_ne!(key("https://a.test/"), key("https://a.test:8443/"));
    assert_ne!(key("https://a.test/"), key("https://b.test/"));
}
