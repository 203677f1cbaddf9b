//! D48: the longest time that the attempts of a fetch may run.

use std::time::Duration;

use bgfetch_model::action::What;
use bgfetch_model::config::Config;
use bgfetch_model::response::{FailureReason, RecordResult};
use proptest::prelude::*;

use crate::world::World;
use crate::world::origin::{Name, Plan, Resource};

const HOUR: Duration = Duration::from_secs(3600);
const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);

fn limited() -> World {
    World::with(Config::default().with(|it| it.max_running_time = Some(HOUR)))
}

#[test]
fn a_fetch_that_runs_too_long_fails_and_says_why() {
    let mut world = limited();
    let done = world.serve_planned("/done", []);
    let slow = ["/a", "/b"].map(|path| world.serve_planned(path, [Plan::Stall(10)]));
    let fetch = world.fetch([done, slow[0].clone(), slow[1].clone()]);
    world.pass(HOUR - Duration::from_millis(1));
    assert_eq!(world.result(fetch), None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
    let results = world.told(fetch).into_iter().filter_map(|what| match what {
        What::RecordSettled { result, message, .. } => Some((result, message)),
        _ => None,
    });
    let told = Some("the fetch was running for 3600 s, the longest time that is allowed".into());
    let results: Vec<_> = results.collect();
    assert_eq!(results[0], (RecordResult::Success, None));
    assert_eq!(results[1..], [(FETCH_ERROR, told.clone()), (FETCH_ERROR, told)]);
    world.run();
    world.assert_at_rest();
}

#[test]
fn by_default_a_fetch_may_run_for_ever() {
    let mut world = World::new();
    let slow = world.serve_planned("/slow", [Plan::Stall(10)]);
    let fetch = world.fetch([slow]);
    world.pass(1000 * HOUR);
    assert_eq!(world.result(fetch), None);
}

#[test]
fn what_is_counted_survives_a_restart_except_for_the_last_minute() {
    let mut world = limited();
    let slow = world.serve("/slow", Resource { always: Plan::Stall(10), ..Resource::default() });
    let fetch = world.fetch([slow]);
    world.pass(HOUR / 2 + Duration::from_secs(30));
    world.crash(0, |length| length);
    world.pass(HOUR / 2 - Duration::from_millis(1));
    assert_eq!(world.result(fetch), None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
    // A record that had not ended when the process died ends before it is requested again.
    let slow = world.serve("/late", Resource { always: Plan::Stall(10), ..Resource::default() });
    let fetch = world.fetch([slow]);
    world.pass(HOUR - Duration::from_secs(1));
    world.hold(crate::world::Hold::Commits);
    world.pass(Duration::from_secs(1));
    world.run_commits();
    world.crash(0, |length| length);
    world.let_go(crate::world::Hold::Commits);
    world.run_now();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
}

/// What a fetch waits for, or that it runs.
#[derive(Clone, Copy, Debug)]
enum State {
    Running,
    Paused,
    Offline,
    Queued,
}

proptest! {
    #[test]
    fn only_time_with_a_running_attempt_counts(
        states in prop::collection::vec(
            (prop::sample::select(vec![
                State::Running, State::Paused, State::Offline, State::Queued,
            ]), 1..3000_u64),
            1..12,
        ),
    ) {
        let mut world = limited();
        world.slots = 1;
        // The download must not end before the test, although each attempt brings ten bytes.
        let stalls = Resource { always: Plan::Stall(10), length: 1000, ..Resource::default() };
        let slow = world.serve("/slow", stalls.clone());
        let first = world.serve("/first", Resource { name: Name::Known, ..stalls });
        let mut fetch = None;
        let mut ran = Duration::ZERO;
        for (state, seconds) in states {
            if let Some(fetch) = fetch {
                world.set_paused(fetch, true);
                world.run_now();
            }
            if !matches!(state, State::Offline) {
                world.go_online();
            }
            // Another fetch holds the slot while this one is queued.
            let other = matches!(state, State::Queued).then(|| {
                let other = world.fetch([first.clone()]);
                world.run_now();
                other
            });
            let fetch = *fetch.get_or_insert_with(|| world.fetch([slow.clone()]));
            world.set_paused(fetch, matches!(state, State::Paused));
            if matches!(state, State::Offline) {
                world.go_offline();
            }
            world.run_now();
            let time = Duration::from_secs(seconds);
            world.pass(time);
            if matches!(state, State::Running) {
                ran += time;
            }
            prop_assert_eq!(world.result(fetch).is_some(), ran >= HOUR, "{:?}", state);
            if let Some(other) = other {
                world.abort(other);
                world.run_now();
            }
        }
    }
}
