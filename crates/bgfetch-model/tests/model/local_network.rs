//! Local Network Access: an attempt waits for the permission without a slot, and not for ever (D46).

use bgfetch_model::action::{Action, What};
use bgfetch_model::attempt::AttemptCommand;
use bgfetch_model::ids::FetchKey;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::response::FailureReason;

use crate::world::origin::{Name, Plan, Resource};
use crate::world::{Hold, World, registration};

fn nearby(plans: impl IntoIterator<Item = Plan>) -> Resource {
    let plans = plans.into_iter().collect();
    Resource { name: Name::Nearby, plans, ..Resource::default() }
}

fn fetch(world: &mut World, resource: Resource) -> FetchKey {
    world.principal = Principal::Page(PolicySnapshot::of(&registration().scope));
    let request = world.serve("/router", resource);
    world.fetch([request])
}

fn questions(world: &World) -> usize {
    let asks = |action: &Action| matches!(action, Action::QueryLocalNetwork(..));
    world.log.iter().filter(|(_, action)| asks(action)).count()
}

fn messages(world: &World) -> Vec<String> {
    let message = |(_, what)| match what {
        What::RecordSettled { message, .. } => message,
        _ => None,
    };
    world.observations().into_iter().filter_map(message).collect()
}

#[test]
fn without_permission_the_record_fails_and_no_request_is_made() {
    let mut world = World::new();
    world.local_network = false;
    let fetch = fetch(&mut world, nearby([]));
    let began = world.now.monotonic;
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
    assert_eq!(world.now.monotonic, began, "a denial is not retried");
    assert_eq!(messages(&world), ["the page has no permission to access the local network"]);
    assert!(world.seen("/router").is_empty());
    world.assert_at_rest();
}

#[test]
fn each_attempt_asks_so_that_a_permission_can_be_revoked() {
    let mut world = World::new();
    let fetch = fetch(&mut world, nearby([Plan::Cut(10)]));
    world.run_while(|world| questions(world) < 2);
    world.local_network = false;
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
    assert_eq!((questions(&world), world.seen("/router").len()), (2, 1));
    world.assert_at_rest();
}

#[test]
fn a_question_that_is_not_answered_holds_no_slot_and_ends_with_its_time() {
    let mut world = World::new();
    world.slots = 1;
    world.hold(Hold::LocalNetwork);
    let waits = fetch(&mut world, nearby([]));
    world.run_now();
    let request = world.serve("/other", Resource::default());
    let other = world.fetch([request]);
    world.run_now();
    assert_eq!(world.result(other), Some(Ok(())));
    let limit = world.config.local_network_limit;
    world.pass(limit - std::time::Duration::from_millis(1));
    assert_eq!(world.result(waits), None);
    world.pass(std::time::Duration::from_millis(1));
    assert_eq!(world.result(waits), Some(Err(FailureReason::FetchError)));
    // An answer that comes too late changes nothing.
    world.let_go(Hold::LocalNetwork);
    world.run();
    assert_eq!(world.result(waits), Some(Err(FailureReason::FetchError)));
    world.assert_at_rest();
}

#[test]
fn the_time_for_the_answer_is_not_spent_from_a_records_tries() {
    let mut world = World::new();
    let tries = world.config.retry.never_reached.retries;
    world.hold(Hold::LocalNetwork);
    let fetch = fetch(&mut world, nearby(vec![Plan::Unreachable; 10]));
    for _ in 0..=tries {
        world.pass(world.config.local_network_limit / 2);
        assert_eq!(world.result(fetch), None);
        world.let_go(Hold::LocalNetwork);
        world.run_now();
        world.hold(Hold::LocalNetwork);
    }
    world.run();
    assert_eq!(questions(&world), tries as usize + 1);
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
}

#[test]
fn an_attempt_that_waits_for_an_answer_can_be_stopped() {
    for answers_late in [false, true] {
        let mut world = World::new();
        world.hold(Hold::LocalNetwork);
        let fetch = fetch(&mut world, nearby([]));
        world.run_now();
        if answers_late {
            world.hold(Hold::Work);
        }
        world.set_paused(fetch, true);
        world.let_go(Hold::LocalNetwork);
        world.run_now();
        world.let_go(Hold::Work);
        world.run();
        assert!(world.seen("/router").is_empty());
        let took = |action: &Action| matches!(action, Action::Command(_, AttemptCommand::TakeSlot));
        assert!(!world.log.iter().any(|(_, action)| took(action)));
        world.set_paused(fetch, false);
        world.run();
        assert_eq!(world.result(fetch), Some(Ok(())));
        world.hold(Hold::LocalNetwork);
        let request = world.serve("/again", nearby([]));
        let again = world.fetch([request]);
        world.run_now();
        world.abort(again);
        world.run();
        world.assert_at_rest();
    }
}
