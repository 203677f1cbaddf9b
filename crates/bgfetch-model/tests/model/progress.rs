//! Progress updates of clients (D26).

use std::time::Duration;

use bgfetch_model::ids::FetchKey;

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, Step, World, post};

const INTERVAL: Duration = Duration::from_millis(50);

/// Runs a fetch with 1 ms between any two steps.
fn run_slowly(world: &mut World, fetch: FetchKey) {
    while world.result(fetch).is_none() {
        match world.steps().first() {
            Some(step) => world.step(*step),
            None => assert!(world.jump(), "stuck"),
        }
        world.advance(Duration::from_millis(1));
    }
}

#[test]
fn progress_is_told_at_most_once_an_interval_and_ends_exactly() {
    let mut world = World::new();
    let length = 5_000;
    let request = world.serve("/a", Resource { length, ..Resource::default() });
    world.hold(Hold::Caller);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Caller);
    run_slowly(&mut world, fetch);
    let updates: Vec<_> =
        world.updates(fetch).into_iter().filter(|(_, update)| update.result.is_none()).collect();
    assert!(updates.len() > 5);
    let (last, coalesced) = updates.split_last().unwrap();
    assert_eq!(last.1.downloaded, length);
    let gaps = coalesced.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.min() >= Some(INTERVAL));
    assert!(updates.windows(2).all(|pair| pair[1].1.downloaded > pair[0].1.downloaded));
}

#[test]
fn nothing_is_said_twice() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Status(503, None)]);
    let fetch = world.fetch([request]);
    world.run();
    let updates = world.updates(fetch);
    assert!(updates.windows(2).all(|pair| pair[0].1 != pair[1].1));
}

#[test]
fn every_byte_sent_counts_once() {
    let mut world = World::new();
    world.serve_planned("/a", []);
    let fetch = world.fetch([post("/a", 45), post("/missing", 20)]);
    world.run();
    let (_, last) = *world.updates(fetch).last().unwrap();
    assert_eq!(last.uploaded, 65);
    assert_eq!(world.bgfetch(fetch).uploaded(), 65);
}

#[test]
fn a_waiting_update_is_told_when_its_time_comes() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    let told = |world: &World| world.updates(fetch).last().map(|(_, update)| update.downloaded);
    assert_eq!(told(&world), Some(10), "the first is reported at once");
    world.pass(INTERVAL);
    assert_eq!(told(&world), Some(40));
    assert_eq!(world.model.poll_timeout(), None);
}

#[test]
fn progress_is_told_at_once_if_the_interval_is_just_over() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    world.hold(Hold::Caller);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Caller);
    let told = |world: &World| world.updates(fetch).last().map(|(_, update)| update.downloaded);
    world.run_while(|world| told(world) != Some(10));
    world.hold(Hold::Reports);
    world.run_now();
    world.advance(INTERVAL);
    world.let_go(Hold::Reports);
    world.run_while(|world| world.stored(fetch, 0) < 20);
    assert_eq!(told(&world), Some(20));
}

#[test]
fn progress_that_waits_when_the_fetch_settles_is_told_before_the_result() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    let fetch = world.fetch([request]);
    let updates = world.updates(fetch);
    let at_result = updates.iter().position(|(_, update)| update.result.is_some());
    let (_, before) = updates[at_result.unwrap() - 1];
    assert_eq!(before.downloaded, 100);
}

#[test]
fn a_new_representation_takes_its_bytes_back() {
    let mut world = World::new();
    let request = world.serve(
        "/a",
        Resource { etag: false, plans: [Plan::Cut(80)].into(), ..Resource::default() },
    );
    let fetch = world.fetch([request]);
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 80);
    world.chunk = 1;
    world.jump();
    world.run_while(|world| !matches!(world.steps().first(), Some(Step::Commit)));
    world.run_while(|world| matches!(world.steps().first(), Some(Step::Commit)));
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 0);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
}
