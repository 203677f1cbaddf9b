//! How a byte rate is shared, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic here is a failed test")]

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bgfetch_model::ids::{FetchKey, StorageKey};
use bgfetch_model::time::Instant;
use bgfetch_net::partition::Partition;
use bgfetch_net::rate::{BURST, Consumer, Rates, Ticket};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn consumer(site: u64, fetch: u64) -> Consumer {
    let partition = match site {
        0 => Partition::User,
        site => Partition::Site(StorageKey(site.to_string())),
    };
    Consumer { partition, fetch: FetchKey(fetch) }
}

/// Attempts that always have more bytes, and pass on what they are given at once.
struct Greedy {
    rates: Rates,
    now: Instant,
    open: HashMap<Ticket, usize>,
    attempts: Vec<(Consumer, u64)>,
    moved: Vec<u64>,
}

impl Greedy {
    fn new(attempts: impl IntoIterator<Item = (Consumer, u64)>) -> Self {
        let attempts: Vec<_> = attempts.into_iter().collect();
        let moved = vec![0; attempts.len()];
        let (rates, now) = (Rates::default(), Instant::default());
        Self { rates, now, open: HashMap::new(), attempts, moved }
    }

    fn ask(&mut self, attempt: usize) {
        let (consumer, wanted) = &self.attempts[attempt];
        let ticket = self.rates.ask(consumer.clone(), *wanted);
        self.open.insert(ticket, attempt);
    }

    /// Runs for some time. Timers are late by up to `late`.
    fn run(&mut self, time: Duration, late: Duration) {
        let end = self.now.after(time);
        for attempt in 0..self.attempts.len() {
            if !self.open.values().any(|open| *open == attempt) {
                self.ask(attempt);
            }
        }
        loop {
            while let Some((ticket, given)) = self.rates.next(self.now) {
                let attempt = self.open.remove(&ticket).unwrap();
                assert!((1..=self.attempts[attempt].1).contains(&given));
                self.moved[attempt] += given;
                self.ask(attempt);
            }
            match self.rates.due() {
                Some(due) if due.after(late) < end => self.now = due.after(late).max(self.now),
                _ => break,
            }
        }
        self.now = end;
    }

    /// What each fetch moved.
    fn fetches(&self) -> BTreeMap<u64, u64> {
        let mut fetches = BTreeMap::new();
        for ((consumer, _), moved) in self.attempts.iter().zip(&self.moved) {
            *fetches.entry(consumer.fetch.0).or_default() += moved;
        }
        fetches
    }
}

#[track_caller]
fn assert_about(found: u64, expected: u64, tolerance: u64) {
    let range = expected - tolerance..=expected + tolerance;
    assert!(range.contains(&found), "{found} bytes instead of {expected}");
}

#[test]
fn a_fetch_alone_has_the_whole_rate_whatever_it_is() {
    for (rate, seconds) in [(3, 100), (50, 100), (1000, 100), (1_000_000, 20), (40_000_000, 5)] {
        for late in [Duration::ZERO, Duration::from_millis(3)] {
            let mut one = Greedy::new([(consumer(1, 1), 300_000)]);
            one.rates.set_all(one.now, Some(rate));
            one.run(seconds * SECOND, late);
            let most = rate * u64::from(seconds);
            assert!(one.moved[0] <= most);
            assert!(one.moved[0] >= most - most / 50 - 1, "{} of {most}", one.moved[0]);
        }
    }
}

#[test]
fn sites_share_the_rate_evenly_and_so_do_the_fetches_of_a_site() {
    // A site with one fetch; one with two, of which one has six attempts; and the user, whose chunks
    // are small.
    let six = (0..6).map(|_| (consumer(2, 3), 100_000));
    let rest = [(consumer(1, 1), 250_000), (consumer(2, 2), 9000), (consumer(0, 4), 500)];
    let mut all = Greedy::new(six.chain(rest));
    all.rates.set_all(all.now, Some(3_000_000));
    all.run(20 * SECOND, Duration::ZERO);
    let fetches = all.fetches();
    assert_about(fetches[&1], 20_000_000, 100_000);
    assert_about(fetches[&2], 10_000_000, 100_000);
    assert_about(fetches[&3], 10_000_000, 100_000);
    assert_about(fetches[&4], 20_000_000, 100_000);
    // Attempts of one fetch take turns.
    for attempt in &all.moved[..6] {
        assert_about(*attempt, 10_000_000 / 6, 100_000);
    }
}

#[test]
fn a_fetch_that_comes_later_or_wanted_little_does_not_catch_up() {
    let mut two = Greedy::new([(consumer(1, 1), 50_000), (consumer(2, 2), 50_000)]);
    two.rates.set_all(two.now, Some(1_000_000));
    // At first there is only one.
    let second = two.attempts.pop().unwrap();
    two.run(10 * SECOND, Duration::ZERO);
    assert_about(two.moved[0], 10_000_000, 200_000);
    two.attempts.push(second);
    two.run(10 * SECOND, Duration::ZERO);
    assert_about(two.moved[0], 15_000_000, 200_000);
    assert_about(two.moved[1], 5_000_000, 200_000);
}

#[test]
fn a_fetch_with_a_rate_of_its_own_takes_nothing_from_the_others() {
    let mut all = Greedy::new((1..=3).map(|fetch| (consumer(1, fetch), 100_000)));
    all.rates.set_all(all.now, Some(1_000_000));
    all.rates.set_fetch(all.now, FetchKey(1), Some(100_000));
    all.run(10 * SECOND, Duration::ZERO);
    assert_about(all.moved[0], 1_000_000, 20_000);
    assert_about(all.moved[1], 4_500_000, 60_000);
    assert_about(all.moved[2], 4_500_000, 60_000);
    // A rate above its share changes nothing.
    all.rates.set_fetch(all.now, FetchKey(1), Some(800_000));
    all.moved.fill(0);
    all.run(9 * SECOND, Duration::ZERO);
    all.moved.iter().for_each(|moved| assert_about(*moved, 3_000_000, 120_000));
    // Alone, each has what its own rate allows.
    all.rates.set_all(all.now, None);
    all.rates.set_fetch(all.now, FetchKey(2), Some(5_000));
    all.rates.set_fetch(all.now, FetchKey(3), Some(7_000_000));
    all.moved.fill(0);
    all.run(10 * SECOND, Duration::ZERO);
    assert_about(all.moved[0], 8_000_000, 200_000);
    assert_about(all.moved[1], 50_000, 1_000);
    assert_about(all.moved[2], 70_000_000, 800_000);
}

#[test]
fn without_a_rate_everything_passes_and_with_zero_nothing_does() {
    let (mut rates, now) = (Rates::default(), Instant::default());
    assert!(!rates.has_caps());
    let free = rates.ask(consumer(1, 1), 1 << 40);
    assert_eq!(rates.next(now), Some((free, 256 << 10)));
    let (later, capped) = (now.after(SECOND * 1_000_000), FetchKey(1));
    for all in [true, false] {
        match all {
            true => rates.set_all(now, Some(0)),
            false => rates.set_fetch(now, capped, Some(0)),
        }
        assert!(rates.has_caps());
        let held = rates.ask(consumer(1, 1), 10);
        assert_eq!((rates.next(later), rates.due()), (None, None));
        assert!(rates.holds_back(&consumer(1, 7).partition));
        assert!(!rates.holds_back(&consumer(2, 7).partition));
        match all {
            true => rates.set_all(later, None),
            false => rates.set_fetch(later, capped, None),
        }
        assert_eq!(rates.next(later), Some((held, 10)));
        assert!(!rates.has_caps() && !rates.holds_back(&consumer(1, 7).partition));
    }
}

#[test]
fn what_is_given_back_is_given_to_the_next() {
    let (mut rates, start) = (Rates::default(), Instant::default());
    rates.set_all(start, Some(1000));
    rates.set_fetch(start, FetchKey(1), Some(1000));
    let now = start.after(BURST);
    let first = rates.ask(consumer(1, 1), 100);
    assert_eq!(rates.next(now), Some((first, 20)));
    rates.give_back(FetchKey(1), 20);
    let mut given = 0;
    rates.ask(consumer(1, 1), 100);
    while let Some((_, more)) = rates.next(now) {
        given += more;
        rates.ask(consumer(1, 1), 100);
    }
    assert_eq!(given, 100, "a burst");
}

#[derive(Clone, Debug)]
enum Operation {
    Wait(u64),
    Ask(u64, u64, u64),
    Withdraw(prop::sample::Index),
    GiveBack(u64, u64),
    SetAll(Option<u64>),
    SetFetch(u64, Option<u64>),
}

fn operation() -> impl Strategy<Value = Operation> {
    let rate = || prop::option::of(prop_oneof![Just(0), 1..100_u64, 1000..50_000_000_u64]);
    prop_oneof![
        8 => (0..700_000_000_u64).prop_map(Operation::Wait),
        12 => (0..3_u64, 0..2_u64, 1..400_000_u64).prop_map(|(s, f, n)| Operation::Ask(s, f, n)),
        2 => any::<prop::sample::Index>().prop_map(Operation::Withdraw),
        1 => (0..6_u64, 0..100_u64).prop_map(|(fetch, percent)| Operation::GiveBack(fetch, percent)),
        1 => rate().prop_map(Operation::SetAll),
        2 => (0..6_u64, rate()).prop_map(|(fetch, rate)| Operation::SetFetch(fetch, rate)),
    ]
}

/// What a rate allowed and what was given, since the rate was last set.
#[derive(Clone, Debug)]
struct Account {
    rate: u64,
    given: Vec<(Instant, u64)>,
}

impl Account {
    /// In any window there are as many bytes as the rate allows, and one burst.
    fn check(&self) {
        let burst = (u128::from(self.rate) * BURST.as_nanos() / 1_000_000_000).max(1);
        for (first, (start, _)) in self.given.iter().enumerate() {
            let mut sum = 0;
            for (end, bytes) in &self.given[first..] {
                sum += u128::from(*bytes);
                let within = u128::from(self.rate) * end.since(*start).as_nanos() / 1_000_000_000;
                assert!(sum <= within + burst + 1, "{sum} bytes in {:?}", end.since(*start));
            }
        }
    }
}

proptest! {
    #[test]
    fn in_any_window_the_bytes_are_those_of_the_rate_and_one_burst(
        operations in prop::collection::vec(operation(), 0..150),
    ) {
        let (mut rates, mut now) = (Rates::default(), Instant::default());
        let mut open: BTreeMap<Ticket, (u64, u64)> = BTreeMap::new();
        let mut all: Option<Account> = None;
        let mut of_fetch: HashMap<u64, Account> = HashMap::new();
        let mut last_given: HashMap<u64, u64> = HashMap::new();
        let account = |rate: Option<u64>| rate.map(|rate| Account { rate, given: Vec::new() });
        for operation in operations {
            let mut until = now;
            match operation {
                Operation::Wait(nanoseconds) => {
                    until = now.after(Duration::from_nanos(nanoseconds));
                }
                Operation::Ask(site, fetch, wanted) => {
                    let fetch = site * 2 + fetch;
                    open.insert(rates.ask(consumer(site, fetch), wanted), (fetch, wanted));
                }
                Operation::Withdraw(which) => {
                    let tickets: Vec<_> = open.keys().copied().collect();
                    if !tickets.is_empty() {
                        let ticket = *which.get(&tickets);
                        rates.withdraw(ticket);
                        open.remove(&ticket);
                    }
                }
                Operation::GiveBack(fetch, percent) => {
                    // At most what it was given last, as an attempt does.
                    if let Some(last) = last_given.remove(&fetch) {
                        let back = last * percent / 100;
                        rates.give_back(FetchKey(fetch), back);
                        for account in all.iter_mut().chain(of_fetch.get_mut(&fetch)) {
                            if let Some((_, given)) = account.given.last_mut() {
                                *given = given.saturating_sub(back);
                            }
                        }
                    }
                }
                Operation::SetAll(rate) => {
                    rates.set_all(now, rate);
                    all.iter().for_each(Account::check);
                    all = account(rate);
                    last_given.clear();
                }
                Operation::SetFetch(fetch, rate) => {
                    rates.set_fetch(now, FetchKey(fetch), rate);
                    of_fetch.get(&fetch).into_iter().for_each(Account::check);
                    of_fetch.remove(&fetch);
                    of_fetch.extend(account(rate).map(|account| (fetch, account)));
                    last_given.clear();
                }
            }
            loop {
                while let Some((ticket, given)) = rates.next(now) {
                    let (fetch, wanted) = open.remove(&ticket).unwrap();
                    prop_assert!((1..=wanted).contains(&given));
                    for account in all.iter_mut().chain(of_fetch.get_mut(&fetch)) {
                        account.given.push((now, given));
                    }
                    last_given = HashMap::from([(fetch, given)]);
                }
                let due = rates.due();
                // What is due comes then, and what never comes is not due.
                let blocked = |fetch: &u64| of_fetch.get(fetch).is_some_and(|a| a.rate == 0);
                let none_moves = all.as_ref().is_some_and(|a| a.rate == 0)
                    || open.values().all(|(fetch, _)| blocked(fetch));
                prop_assert_eq!(due.is_none(), none_moves, "{:?}", open);
                match due {
                    Some(due) if due <= until => {
                        prop_assert!(due > now, "nothing was given although it was due");
                        now = due;
                        prop_assert!(!open.is_empty());
                        let before = open.len();
                        if let Some((ticket, given)) = rates.next(now) {
                            let (fetch, _) = open.remove(&ticket).unwrap();
                            for account in all.iter_mut().chain(of_fetch.get_mut(&fetch)) {
                                account.given.push((now, given));
                            }
                            last_given = HashMap::from([(fetch, given)]);
                        }
                        prop_assert!(open.len() < before, "nothing was given when it was due");
                    }
                    _ => break,
                }
            }
            now = until;
        }
        all.iter().chain(of_fetch.values()).for_each(Account::check);
    }
}
