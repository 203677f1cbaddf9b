//! Which faults are retried, and for how long (D7).

use std::collections::BTreeSet;
use std::time::Duration;

use bgfetch_model::action::What;
use bgfetch_model::config::Config;
use bgfetch_model::response::{FailureReason, RecordResult};

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, World, get, post};

const BAD_STATUS: Option<RecordResult> = Some(RecordResult::Failure(FailureReason::BadStatus));
const FETCH_ERROR: Option<RecordResult> = Some(RecordResult::Failure(FailureReason::FetchError));

fn always(plan: Plan) -> Resource {
    Resource { always: plan, ..Resource::default() }
}

fn elapsed(world: &World) -> Duration {
    world.now.monotonic.0
}

#[test]
fn a_lost_connection_is_tried_again() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Reset, Plan::LoseHead, Plan::Cut(20)]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    let retries: Vec<_> = world
        .observations()
        .into_iter()
        .filter_map(|(_, observation)| match observation {
            What::Retry { attempt, .. } => Some(attempt),
            _ => None,
        })
        .collect();
    assert_eq!(retries, [1, 2, 1], "bytes start a new row of failures");
}

/// The delays of the first retries of fifty records that fail at the same time.
fn delays(seed: u64) -> Vec<Duration> {
    let mut world = World::with(Config::default().with(|it| {
        it.seed = seed;
        it.count_metadata = false;
    }));
    world.slots = 50;
    let requests: Vec<_> =
        (0..50).map(|n| world.serve_planned(&format!("/{n}"), [Plan::Reset])).collect();
    world.fetch(requests);
    let delay = |(_, observation)| match observation {
        What::Retry { delay, .. } => Some(delay),
        _ => None,
    };
    world.observations().into_iter().filter_map(delay).collect()
}

#[test]
fn records_that_fail_together_are_not_tried_again_together() {
    for seed in [0, 1] {
        let delays = delays(seed);
        assert_eq!(delays.len(), 50);
        let different: BTreeSet<Duration> = delays.into_iter().collect();
        assert!(different.len() > 30, "{different:?}");
        assert!(*different.first().unwrap() < Duration::from_millis(100), "{different:?}");
        assert!(*different.last().unwrap() > Duration::from_millis(400), "{different:?}");
    }
    assert_ne!(delays(0), delays(1));
}

#[test]
fn an_unreachable_host_that_never_answered_fails_within_two_seconds() {
    let mut world = World::new();
    let request = world.serve("/a", always(Plan::Unreachable));
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    assert_eq!(world.seen("/a").len(), 3);
    assert!(world.fired(fetch)[0].0 <= Duration::from_secs(2));
}

#[test]
fn an_unreachable_host_that_answered_once_gets_the_long_budget() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Cut(20)]);
    world.resource("/a").always = Plan::Unreachable;
    let fetch = world.fetch([request]);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.result(fetch), None);
    world.resource("/a").always = Plan::Serve;
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_host_that_never_comes_back_is_given_up_within_the_budget() {
    let mut world = World::new();
    let request = world.serve("/a", always(Plan::Reset));
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    assert!(world.fired(fetch)[0].0 <= Duration::from_secs(600));
    assert!(world.seen("/a").len() <= 31);
}

#[test]
fn a_server_error_is_tried_again_and_stands_when_the_budget_is_spent() {
    let mut world = World::new();
    let passing = [503, 429, 408, 425].map(|status| Plan::Status(status, None));
    let request = world.serve_planned("/a", passing);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));

    let request = world.serve("/b", always(Plan::Status(500, None)));
    let fetch = world.fetch([request]);
    world.hold(Hold::Events);
    world.run();
    assert_eq!(world.record_result(fetch, 0), BAD_STATUS);
    let head = world.bgfetch(fetch).records()[0].response_data().response;
    assert_eq!(head.map(|head| head.status), Some(500));
}

#[test]
fn retry_after_is_honoured_and_clamped() {
    for (asked, at_least, at_most) in [(30, 30, 31), (100_000, 120, 121)] {
        let mut world = World::new();
        let status = Plan::Status(503, Some(Duration::from_secs(asked)));
        let request = world.serve_planned("/a", [status]);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.result(fetch), Some(Ok(())));
        let took = elapsed(&world).as_secs();
        assert!((at_least..at_most).contains(&took), "{took}");
    }
}

#[test]
fn a_permanent_fault_or_a_client_error_is_not_tried_again() {
    let mut world = World::new();
    let tls = world.serve("/tls", always(Plan::Permanent));
    let gone = world.serve("/gone", always(Plan::Status(410, None)));
    let fetch = world.fetch([tls, gone]);
    world.run();
    assert_eq!(world.record_results(fetch), [FETCH_ERROR, BAD_STATUS]);
    assert_eq!(world.seen("/tls").len() + world.seen("/gone").len(), 2);
}

#[test]
fn an_upload_is_tried_again_only_while_nothing_was_sent() {
    let mut world = World::new();
    world.serve_planned("/a", [Plan::Serve]);
    world.network = false;
    let fetch = world.fetch([post("/a", 20)]);
    world.network = true;
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));

    world.serve_planned("/b", [Plan::Reset]);
    let fetch = world.fetch([post("/b", 20)]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    assert_eq!(world.seen("/b").len(), 1);
}

#[test]
fn a_server_error_to_an_upload_is_its_answer() {
    let mut world = World::new();
    world.serve_planned("/a", [Plan::Status(503, None)]);
    let fetch = world.fetch([post("/a", 20)]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), BAD_STATUS);
    assert_eq!(world.seen("/a").len(), 1);
}

#[test]
fn an_upload_in_flight_at_a_crash_is_a_fetch_error() {
    let mut world = World::new();
    world.serve_planned("/a", [Plan::Stall(5)]);
    let fetch = world.fetch([post("/a", 20)]);
    world.run();
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    assert_eq!(world.seen("/a").len(), 1);
}

#[test]
fn no_budget_is_spent_while_the_network_is_away() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Cut(20), Plan::Reset]);
    let fetch = world.fetch([request]);
    assert_eq!(world.stored(fetch, 0), 20);
    // The record waits for a retry when the network goes away, for longer than any budget.
    world.go_offline();
    world.pass(Duration::from_secs(3600));
    world.go_online();
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())), "one more reset is no reason to fail");
}

#[test]
fn faults_while_offline_are_not_counted() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    world.go_offline();
    let fetch = world.fetch([request, get("/nowhere")]);
    for _ in 0..100 {
        world.go_online();
        world.network = false;
        let step = world.steps()[0];
        world.step(step);
        world.go_offline();
        world.run();
    }
    assert_eq!(world.result(fetch), None);
    assert!(world.bgfetch(fetch).pause_reason().is_some());
}

#[test]
fn a_full_disk_waits_without_failing() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::DiskFull(20), Plan::DiskFull(5)]);
    let fetch = world.fetch([request]);
    let paused = world.bgfetch(fetch).pause_reason();
    assert_eq!(paused.map(|reason| reason.as_str()), Some("storage"));
    world.run();
    assert_eq!(world.starts("/a"), [0, 20, 25]);
    assert_eq!(elapsed(&world), Duration::from_secs(60));
    assert_eq!(world.result(fetch), Some(Ok(())));
}
