//! Removing a registration (D42).

use bgfetch_model::action::{Action, Reply};
use bgfetch_model::error::CallError;

use crate::world::origin::Plan;
use crate::world::{Hold, World, get, post, registration};

#[test]
fn everything_ends_without_events_and_is_deleted() {
    let mut world = World::new();
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    let back_off = world.serve_planned("/later", [Plan::Status(503, None)]);
    let queued = world.serve_planned("/queued", []);
    let good = world.serve_planned("/good", []);
    world.slots = 2;
    let finished = world.fetch([good]);
    world.run();
    let fetch = world.fetch([slow, post("/slow", 20), back_off, queued]);
    let call = world.unregister(registration());
    assert_eq!(world.reply(call), None, "answered before the store");
    world.run();
    assert_eq!(world.reply(call), Some(Ok(Reply::Done)));
    assert_eq!(world.model.fetches().count(), 0);
    assert!(world.store.fetches.is_empty() && world.store.files.is_empty());
    assert_eq!(world.fired(fetch), []);
    assert_eq!(world.model.poll_timeout(), None);
    let forgotten = |(_, action): &(_, Action)| match action {
        Action::Forgotten(key) => Some(*key),
        _ => None,
    };
    let forgotten: Vec<_> = world.log.iter().filter_map(forgotten).collect();
    assert_eq!(forgotten, [finished, fetch]);
    world.assert_at_rest();
}

#[test]
fn what_waits_for_a_slot_is_withdrawn() {
    let mut world = World::new();
    world.slots = 0;
    world.fetch([get("/queued")]);
    world.unregister(registration());
    world.assert_slots_free();
}

#[test]
fn calls_under_way_are_answered_in_every_state() {
    for hold in [Hold::Permission, Hold::Bodies, Hold::Commits] {
        for again in [false, true] {
            let mut world = World::new();
            world.hold(hold);
            let call = world.call_fetch("id", vec![post("/a", 5)], Default::default());
            world.run_now();
            world.unregister(registration());
            if again {
                world.register(registration(), true);
            }
            world.let_go(hold);
            world.run();
            assert_eq!(world.reply(call), Some(Err(CallError::NoActiveWorker)));
            assert_eq!(world.model.fetches().count(), 0);
            assert!(world.store.fetches.is_empty());
            world.assert_at_rest();
        }
    }
}

#[test]
fn late_news_of_what_is_gone_is_ignored() {
    for hold in
        [Hold::Caller, Hold::Work, Hold::Reports, Hold::Clients, Hold::Events, Hold::Commits]
    {
        let mut world = World::new();
        let requests =
            [world.serve_planned("/a", [Plan::Status(404, None)]), world.serve_planned("/b", [])];
        world.hold(Hold::Caller);
        let fetch = world.fetch(requests);
        world.let_go(Hold::Caller);
        world.hold(hold);
        world.run_now();
        world.unregister(registration());
        world.let_go(hold);
        world.run();
        assert!(world.model.fetch(fetch).is_none());
        world.assert_at_rest();
    }
}

#[test]
fn a_registration_of_the_same_scope_begins_anew() {
    let mut world = World::new();
    world.serve_planned("/a", []);
    let first = world.call_fetch("id", vec![get("/a")], Default::default());
    world.run_now();
    world.unregister(registration());
    world.register(registration(), true);
    let second = world.call_fetch("id", vec![get("/a")], Default::default());
    world.run();
    assert!(matches!(world.reply(first), Some(Ok(_))));
    let Some(second) = world.registered(second) else {
        panic!("fetch() failed");
    };
    assert_eq!(world.result(second), Some(Ok(())));
}
