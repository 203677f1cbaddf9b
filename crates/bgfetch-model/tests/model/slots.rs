//! Slots, and what needs none: look-ups, and time in the queue.

use std::time::Duration;

use bgfetch_model::action::{Action, What};
use bgfetch_model::attempt::AttemptCommand;
use bgfetch_model::ids::{FetchKey, RecordIndex, RecordKey};

use crate::world::origin::{Name, Plan, Resource};
use crate::world::{Hold, World};

const DEAD: usize = 16;

/// A fetch of records whose host names never resolve.
fn dead(world: &mut World) -> FetchKey {
    let resource = Resource { name: Name::Dead, ..Resource::default() };
    let requests: Vec<_> =
        (0..DEAD).map(|n| world.serve(&format!("/dead{n}"), resource.clone())).collect();
    world.fetch(requests)
}

#[test]
fn names_that_nobody_answers_for_delay_no_other_download() {
    let good = |beside_dead: bool| {
        let mut world = World::new();
        world.slots = 2;
        let dead = beside_dead.then(|| dead(&mut world));
        let request = world.serve_planned("/good", []);
        let good = world.fetch([request]);
        let began = world.now.monotonic;
        world.run_now();
        assert_eq!(world.result(good), Some(Ok(())));
        if let Some(dead) = dead {
            assert_eq!(world.result(dead), None);
            // All names are looked up at the same time.
            assert_eq!(world.attempts.len(), DEAD);
        }
        world.now.monotonic.since(began)
    };
    assert_eq!(good(true), good(false));
}

#[test]
fn an_attempt_goes_on_with_a_slot_after_its_look_up() {
    let mut world = World::new();
    world.slots = 1;
    let slow = Resource { name: Name::Slow, ..Resource::default() };
    let requests = ["/a", "/b", "/c"].map(|path| world.serve(path, slow.clone()));
    let fetch = world.fetch(requests);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    let took = |action: &Action| matches!(action, Action::Command(_, AttemptCommand::TakeSlot));
    assert_eq!(world.log.iter().filter(|(_, action)| took(action)).count(), 3);
    world.assert_at_rest();
}

#[test]
fn a_look_up_that_is_given_up_leaves_nothing_behind() {
    for holds in [&[][..], &[Hold::Work], &[Hold::Reports]] {
        let mut world = World::new();
        let fetch = dead(&mut world);
        let request = world.serve("/slow", Resource { name: Name::Slow, ..Resource::default() });
        // The record waits for its slot, which the other one holds.
        world.slots = 1;
        let stalled = world.serve_planned("/stalled", [Plan::Stall(10)]);
        let other = world.fetch([stalled, request]);
        holds.iter().for_each(|hold| world.hold(*hold));
        world.abort(fetch);
        world.abort(other);
        holds.iter().for_each(|hold| world.let_go(*hold));
        world.run();
        world.assert_at_rest();
    }
}

#[test]
fn time_in_the_queue_is_not_spent_from_a_records_tries() {
    let mut world = World::new();
    let tries = world.config.retry.never_reached.retries;
    world.slots = 1;
    let never = world.serve_planned("/never", vec![Plan::Unreachable; 10]);
    let fetch = world.fetch([never]);
    // While the record backs off, another one takes the slot, for longer than the budget.
    let record = RecordKey { fetch, index: RecordIndex(0) };
    for _ in 0..tries {
        let stalled = world.serve_planned("/stalled", [Plan::Stall(10)]);
        let other = world.fetch([stalled]);
        world.pass(Duration::from_secs(60));
        assert_eq!(world.result(fetch), None);
        world.abort(other);
        world.run_now();
    }
    world.run();
    let retried = |(_, what): &(Duration, What)| matches!(what, What::Retry { record: key, .. } if *key == record);
    assert_eq!(world.observations().iter().filter(|it| retried(it)).count(), tries as usize);
    assert!(world.result(fetch).unwrap().is_err());
}
