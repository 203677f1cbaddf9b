//! Whose turn it is where several may start: nobody waits for ever.

use super::{Pair, one_at_a_time, record};
use bgfetch_net::scheduler::Limits;

/// Fetches of one site, one priority and one registration.
const EQUALS: [u64; 3] = [0, 18, 36];

/// Starts and ends records one after the other; returns the fetches in that order.
fn turns(pair: &mut Pair) -> Vec<u64> {
    let mut turns = Vec::new();
    while let Some(started) = pair.next() {
        turns.push(started.fetch.0);
        pair.release(started);
    }
    turns
}

#[test]
fn fetches_take_turns_at_one_host_and_at_hosts_of_their_own() {
    for host in [|_| 0, |fetch| fetch as usize] as [fn(u64) -> usize; 2] {
        let mut pair = Pair::new(one_at_a_time());
        for fetch in EQUALS {
            (0..3).for_each(|index| pair.enqueue(record(fetch, index), host(fetch)));
        }
        assert_eq!(turns(&mut pair), [0, 18, 36, 0, 18, 36, 0, 18, 36]);
    }
}

#[test]
fn registrations_take_turns_however_many_fetches_they_have() {
    for host in [|_| 0, |fetch| fetch as usize] as [fn(u64) -> usize; 2] {
        let mut pair = Pair::new(one_at_a_time());
        for fetch in EQUALS {
            pair.enqueue(record(fetch, 0), host(fetch));
        }
        // Of another registration.
        (0..3).for_each(|index| pair.enqueue(record(9, index), host(9)));
        assert_eq!(turns(&mut pair), [0, 9, 18, 9, 36, 9]);
    }
}

#[test]
fn a_fetch_does_not_get_ahead_of_others_by_leaving_and_coming_back() {
    let mut pair = Pair::new(one_at_a_time());
    pair.enqueue(record(0, 0), 0);
    pair.enqueue(record(18, 0), 0);
    assert_eq!(pair.next(), Some(record(0, 0)));
    pair.release(record(0, 0));
    pair.enqueue(record(0, 0), 0);
    assert_eq!(turns(&mut pair), [18, 0]);
}

#[test]
fn a_fetch_that_comes_later_is_later_even_if_an_earlier_one_was_withdrawn() {
    let mut pair = Pair::new(one_at_a_time());
    pair.enqueue(record(0, 0), 0);
    pair.enqueue(record(18, 0), 0);
    pair.withdraw(record(0, 0));
    pair.enqueue(record(36, 0), 0);
    assert_eq!(turns(&mut pair), [18, 36]);
}

#[test]
fn a_site_that_comes_later_is_later_even_if_an_earlier_one_was_withdrawn() {
    let mut pair = Pair::new(one_at_a_time());
    // Each of these is of another site.
    pair.enqueue(record(0, 0), 0);
    pair.enqueue(record(1, 0), 0);
    pair.withdraw(record(0, 0));
    pair.enqueue(record(2, 0), 0);
    assert_eq!(turns(&mut pair), [1, 2]);
}

/// The connections that a fetch holds at a host that it shares with another are its own.
#[test]
fn the_fetch_that_ends_a_connection_holds_one_less() {
    for ends in [0, 18] {
        let mut pair = Pair::new(Limits::default().with(|it| {
            it.sites = 1;
            it.total = 1;
        }));
        pair.enqueue(record(0, 0), 0);
        pair.enqueue(record(18, 0), 0);
        assert_eq!(std::iter::from_fn(|| pair.next()).count(), 2);
        pair.enqueue(record(0, 1), 1);
        pair.enqueue(record(18, 1), 2);
        assert_eq!(pair.next(), None);
        pair.release(record(ends, 0));
        assert_eq!(pair.next(), Some(record(ends, 1)));
    }
}

/// Everything that a scheduler keeps, whatever the numbers in it.
fn kept(pair: &Pair) -> usize {
    format!("{:#?}", pair.scheduler).lines().count()
}

#[test]
fn a_fetch_that_has_ended_leaves_nothing_behind_while_others_of_its_site_go_on() {
    let mut pair = Pair::new(Limits::default());
    pair.enqueue(record(0, 0), 0);
    assert_eq!(pair.next(), Some(record(0, 0)));
    let before = kept(&pair);
    // Of other registrations and priorities, too.
    for fetch in (3..60).step_by(3) {
        (0..4).for_each(|index| pair.enqueue(record(fetch, index), index as usize));
        pair.withdraw(record(fetch, 3));
        while pair.next().is_some() {}
        pair.leave(record(fetch, 0), true);
        (0..3).for_each(|index| pair.release(record(fetch, index)));
        assert_eq!(kept(&pair), before, "after fetch {fetch}");
    }
}
