//! Pauses by the user and by the network (D15, D16, D7, D44).

use std::time::Duration;

use bgfetch_model::action::{PauseReason, Reply, What};
use bgfetch_model::attempt::AttemptCommand;
use bgfetch_model::config::Config;
use bgfetch_model::connectivity::{Connectivity, Reachable};
use bgfetch_model::request::Request;
use bgfetch_model::response::FailureReason;

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, World, get, post, record};

fn pauses(world: &World) -> Vec<Option<PauseReason>> {
    let pause = |(_, observation)| match observation {
        What::Paused(reason) => Some(Some(reason)),
        What::Resumed => Some(None),
        _ => None,
    };
    world.observations().into_iter().filter_map(pause).collect()
}

#[test]
fn a_fetch_that_starts_offline_begins_when_the_network_comes() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    world.go_offline();
    let fetch = world.fetch([request]);
    world.pass(Duration::from_secs(100_000));
    assert_eq!(world.seen("/a").len(), 0);
    world.go_online();
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(pauses(&world), [Some(PauseReason::Offline), None]);
}

#[test]
fn going_offline_in_the_middle_pauses_and_coming_back_resumes_at_once() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    world.go_offline();
    world.run();
    assert_eq!(world.bgfetch(fetch).pause_reason(), Some(PauseReason::Offline));
    let before = world.now.monotonic;
    world.go_online();
    world.run_now();
    assert_eq!(world.now.monotonic, before);
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.starts("/a"), [0, 40]);
}

#[test]
fn a_pause_is_durable_before_it_is_confirmed_and_outlives_the_process() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    world.hold(Hold::Commits);
    let call = world.set_paused(fetch, true);
    world.run_now();
    assert_eq!(world.reply(call), None);
    world.let_go(Hold::Commits);
    world.run_now();
    assert_eq!(world.reply(call), Some(Ok(Reply::Done)));
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.bgfetch(fetch).pause_reason(), Some(PauseReason::User));
    assert_eq!(world.starts("/a"), [0]);
    assert!(world.bgfetch(fetch).is_paused());
    world.set_paused(fetch, false);
    world.run();
    assert!(!world.bgfetch(fetch).is_paused());
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_pause_is_told_before_the_running_attempts_have_stopped() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    world.hold(Hold::Work);
    world.set_paused(fetch, true);
    assert_eq!(world.bgfetch(fetch).pause_reason(), Some(PauseReason::User));
    assert_eq!(pauses(&world), [Some(PauseReason::User)]);
}

#[test]
fn a_fetch_is_paused_only_if_none_of_its_records_goes_on() {
    let mut world = World::new();
    let full = world.serve_planned("/full", [Plan::DiskFull(20)]);
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    let fetch = world.fetch([full, slow]);
    assert_eq!(world.stored(fetch, 0), 20);
    assert_eq!(world.bgfetch(fetch).pause_reason(), None);
    assert_eq!(pauses(&world), []);
}

#[test]
fn a_record_that_failed_after_it_had_no_route_pauses_nothing() {
    let mut world = World::new();
    let failing = world.serve_planned("/failing", [Plan::NoRoute, Plan::Permanent]);
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    world.set_connectivity(connected(&["10.7.0.0/24"]));
    let fetch = world.fetch([failing, slow]);
    world.pass(world.config.resolve_retry);
    assert!(world.record_result(fetch, 0).is_some());
    assert_eq!(world.bgfetch(fetch).pause_reason(), None);
    assert_eq!(pauses(&world), []);
}

#[test]
fn the_end_of_a_paused_fetch_is_no_resumption() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    world.set_paused(fetch, true);
    world.run();
    world.abort(fetch);
    world.hold(Hold::Events);
    world.run();
    assert_eq!(world.bgfetch(fetch).pause_reason(), None);
    assert_eq!(pauses(&world), [Some(PauseReason::User)]);
}

#[test]
fn a_paused_fetch_holds_no_slot() {
    let mut world = World::new();
    world.slots = 1;
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    let queued = world.serve_planned("/queued", []);
    let other = world.serve_planned("/other", []);
    let paused = world.fetch([slow, queued]);
    let other = world.fetch([other]);
    assert_eq!(world.result(other), None);
    world.set_paused(paused, true);
    world.run();
    assert_eq!(world.result(other), Some(Ok(())));
    world.assert_at_rest();
}

/// Only these networks are connected, and the wider network is not.
fn connected(networks: &[&str]) -> Connectivity {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    Connectivity::Offline(Reachable::default().with(|it| {
        it.loopback = true;
        it.networks = networks;
    }))
}

fn retries(world: &World) -> usize {
    let retry = |(_, observation)| matches!(observation, What::Retry { .. });
    world.observations().into_iter().filter(|observed| retry(observed.clone())).count()
}

#[test]
fn a_name_is_tried_without_a_default_route() {
    for networks in [&[][..], &["10.7.0.0/24"]] {
        let mut world = World::new();
        world.serve_planned("/a", []);
        world.set_connectivity(connected(networks));
        let fetch = world.fetch([get("/a")]);
        world.run();
        assert_eq!(world.result(fetch), Some(Ok(())));
        assert_eq!(pauses(&world), []);
    }
}

#[test]
fn a_name_that_no_route_leads_to_waits_for_the_network_and_spends_no_try() {
    let mut world = World::new();
    let again = world.config.resolve_retry;
    let request = world.serve_planned("/a", vec![Plan::NoRoute; 100]);
    world.set_connectivity(connected(&["10.7.0.0/24"]));
    let fetch = world.fetch([request]);
    assert_eq!(world.seen("/a").len(), 1);
    assert_eq!(world.bgfetch(fetch).pause_reason(), Some(PauseReason::Offline));
    world.pass(again * 98);
    assert_eq!(world.seen("/a").len(), 99, "once per interval");
    assert_eq!(pauses(&world), [Some(PauseReason::Offline)], "told once");
    // A network that appears triggers a look-up at once.
    world.set_connectivity(connected(&["10.7.0.0/24", "10.8.0.0/24"]));
    world.run_now();
    assert_eq!(world.seen("/a").len(), 100);
    world.set_connectivity(connected(&["10.8.0.0/24"]));
    world.run_now();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(retries(&world), 0);
    assert_eq!(pauses(&world), [Some(PauseReason::Offline), None]);
}

#[test]
fn a_name_that_cannot_be_resolved_online_fails_soon() {
    let mut world = World::new();
    let request = world.serve_planned("/a", vec![Plan::NoRoute; 3]);
    let fetch = world.fetch([request]);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
    assert_eq!(retries(&world), 2);
}

#[test]
fn a_network_that_goes_away_makes_a_named_host_be_asked_again_from_where_it_stood() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40), Plan::Stall(20)]);
    let fetch = world.fetch([request]);
    world.set_connectivity(connected(&["10.7.0.0/24"]));
    world.run_now();
    assert_eq!(world.starts("/a"), [0, 40]);
    // A network that appears cuts off nothing.
    world.set_connectivity(connected(&["10.7.0.0/24", "10.8.0.0/24"]));
    world.run_now();
    assert_eq!(world.starts("/a"), [0, 40]);
    world.set_connectivity(connected(&["10.7.0.0/24"]));
    world.run_now();
    assert_eq!(world.starts("/a"), [0, 40, 60]);
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(retries(&world), 0);
}

#[test]
fn a_network_that_goes_away_interrupts_only_what_it_led_to() {
    for (address, starts) in [("10.7.0.9", &[0][..]), ("10.8.0.9", &[0, 40])] {
        let mut world = World::new();
        let request = world.serve_planned("/a", [Plan::Stall(40)]);
        world.resource("/a").address = Some(address.parse().unwrap());
        world.set_connectivity(connected(&["10.7.0.0/24", "10.8.0.0/24"]));
        let fetch = world.fetch([request]);
        world.run_now();
        world.set_connectivity(connected(&["10.7.0.0/24"]));
        world.run_now();
        assert_eq!(world.starts("/a"), starts, "{address}");
        assert_eq!(world.result(fetch).is_some(), starts.len() == 2, "{address}");
    }
}

#[test]
fn an_upload_in_flight_is_not_interrupted_by_the_network() {
    for connectivity in [Connectivity::Offline(Reachable::default()), Connectivity::CaptivePortal] {
        let mut world = World::new();
        world.serve_planned("/a", []);
        world.hold(Hold::Work);
        let fetch = world.fetch([post("/a", 20)]);
        world.set_connectivity(connectivity);
        assert!(!world.commands(record(fetch, 0)).contains(&AttemptCommand::Cancel));
        world.let_go(Hold::Work);
        world.run();
        assert_eq!(world.result(fetch), Some(Ok(())));
    }
}

#[test]
fn the_network_holds_back_an_upload_that_was_not_sent() {
    let mut world = World::new();
    world.serve_planned("/a", []);
    world.hold(Hold::Caller);
    let fetch = world.fetch([post("/a", 20)]);
    world.let_go(Hold::Caller);
    // The network goes away while the store notes that the upload begins.
    world.hold(Hold::Commits);
    world.run_now();
    world.set_connectivity(Connectivity::Offline(Reachable::default()));
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(world.seen("/a").len(), 0);
    assert_eq!(world.bgfetch(fetch).pause_reason(), Some(PauseReason::Offline));
    world.assert_at_rest();
    world.go_online();
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.seen("/a").len(), 1);
}

#[test]
fn loopback_goes_on_without_a_route_unless_everything_is_held_back() {
    let loopback = Connectivity::Offline(Reachable::default().with(|it| it.loopback = true));
    for (connectivity, goes_on) in
        [(loopback, true), (Connectivity::Offline(Reachable::default()), false)]
    {
        let mut world = World::new();
        let request = Request::get("http://127.0.0.1:8000/a".parse().unwrap());
        world.origin.0.insert(request.url.clone(), Resource::default());
        world.set_connectivity(connectivity);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.result(fetch).is_some(), goes_on);
    }
}

#[test]
fn a_metered_connection_pauses_where_the_embedder_wants_it() {
    for pause_on_metered in [false, true] {
        let mut world =
            World::with(Config::default().with(|it| it.pause_on_metered = pause_on_metered));
        world.set_connectivity(Connectivity::Metered);
        let request = world.serve_planned("/a", []);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.result(fetch).is_none(), pause_on_metered);
        let reason = pause_on_metered.then_some(PauseReason::Metered);
        assert_eq!(world.bgfetch(fetch).pause_reason(), reason);
    }
}

#[test]
fn a_pause_ends_a_back_off_and_its_end_starts_at_once() {
    let mut world = World::new();
    let retry_after = Some(Duration::from_secs(60));
    let request = world.serve_planned("/a", [Plan::Status(503, retry_after)]);
    let fetch = world.fetch([request]);
    world.set_paused(fetch, true);
    assert_eq!(world.model.poll_timeout(), None, "no timer runs while it is paused");
    world.set_paused(fetch, false);
    world.run_now();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_pause_while_a_representation_is_opened_begins_again_later() {
    for then_resume_early in [false, true] {
        let mut world = World::new();
        let request = world.serve_planned("/a", []);
        world.hold(Hold::Caller);
        let fetch = world.fetch([request]);
        world.let_go(Hold::Caller);
        world.hold(Hold::Commits);
        world.run_now();
        world.set_paused(fetch, true);
        world.run_now();
        if then_resume_early {
            world.set_paused(fetch, false);
        }
        world.let_go(Hold::Commits);
        world.run();
        world.assert_slots_free();
        world.set_paused(fetch, false);
        world.run();
        assert_eq!(world.starts("/a"), [0, 0]);
        assert_eq!(world.result(fetch), Some(Ok(())));
        world.assert_at_rest();
    }
}

#[test]
fn pausing_and_resuming_before_the_attempt_ended_is_no_failure() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    world.hold(Hold::Work);
    world.set_paused(fetch, true);
    world.set_paused(fetch, false);
    world.let_go(Hold::Work);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}
