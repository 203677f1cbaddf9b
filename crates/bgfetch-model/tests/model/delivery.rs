//! From the result to the end of the settling event (rulings 7, 8, 8b, 19 and 20).

use std::time::Duration;

use bgfetch_model::action::{Action, Reply};
use bgfetch_model::config::Config;
use bgfetch_model::error::CallError;
use bgfetch_model::response::FailureReason;

use crate::world::origin::Plan;
use crate::world::{Hold, World, registration};

fn settled(world: &mut World, path: &str) -> bgfetch_model::ids::FetchKey {
    let request = world.serve_planned(path, []);
    let fetch = world.fetch([request]);
    world.run_now();
    fetch
}

#[test]
fn the_result_is_durable_before_anyone_hears_of_it() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    world.hold(Hold::Reports);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Reports);
    world.run_while(|world| world.record_result(fetch, 0).is_none());
    world.hold(Hold::Commits);
    world.run_now();
    assert_eq!(world.result(fetch), None);
    assert!(world.updates(fetch).iter().all(|(_, update)| update.result.is_none()));
    world.let_go(Hold::Commits);
    world.run_now();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn the_event_waits_for_clients_but_not_for_ever() {
    let mut world = World::new();
    world.hold(Hold::Clients);
    let fetch = settled(&mut world, "/a");
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.fired(fetch), []);
    world.run();
    assert_eq!(world.fired(fetch), [(Duration::from_secs(1), Ok(()))]);
    // They come too late, which changes nothing.
    world.let_go(Hold::Clients);
    world.run();
    assert_eq!(world.fired(fetch).len(), 1);
}

#[test]
fn records_are_available_until_the_event_ended() {
    let mut world = World::new();
    world.hold(Hold::Events);
    let fetch = settled(&mut world, "/a");
    let found = world.bgfetch(fetch).match_all(None, Default::default());
    assert_eq!(found.map(|found| found.len()), Ok(1));
    world.let_go(Hold::Events);
    world.run();
    assert!(!world.bgfetch(fetch).records_available());
    let found = world.bgfetch(fetch).match_all(None, Default::default());
    assert_eq!(found, Err(CallError::RecordsUnavailable));
    let (_, last) = *world.updates(fetch).last().unwrap();
    assert!(!last.records_available);
    assert_eq!((last.downloaded, last.result), (100, Some(Ok(()))));
    assert!(world.store.files.is_empty());
}

#[test]
fn an_event_that_nobody_handled_is_fired_again_with_growing_waits() {
    let mut world = World::new();
    world.unhandled_events = 3;
    let fetch = settled(&mut world, "/a");
    world.run();
    let times: Vec<_> = world.fired(fetch).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times.len(), 4);
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
    assert!(!world.bgfetch(fetch).records_available());
}

#[test]
fn delivery_is_given_up_after_the_last_attempt() {
    let mut world = World::new();
    world.unhandled_events = u32::MAX;
    let fetch = settled(&mut world, "/a");
    world.run();
    assert_eq!(world.fired(fetch).len(), 10);
    assert!(!world.bgfetch(fetch).records_available());
}

#[test]
fn an_event_that_was_pending_at_a_crash_is_delivered_again_and_the_records_are_there() {
    for hold in [Hold::Clients, Hold::Events, Hold::Commits] {
        let mut world = World::new();
        let request = world.serve_planned("/a", []);
        world.hold(Hold::Work);
        let fetch = world.fetch([request]);
        world.let_go(Hold::Work);
        world.run_while(|world| world.record_result(fetch, 0).is_none());
        world.hold(hold);
        world.run_now();
        world.let_go(hold);
        world.crash(usize::from(hold == Hold::Commits), |length| length);
        assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
        assert_eq!(world.result(fetch), Some(Ok(())));
        world.run();
        assert!(!world.bgfetch(fetch).records_available());
        assert_eq!(world.seen("/a").len(), 1);
    }
}

#[test]
fn the_number_of_attempts_survives_a_crash() {
    let mut world = World::new();
    world.unhandled_events = u32::MAX;
    let fetch = settled(&mut world, "/a");
    world.pass(Duration::from_secs(60));
    let before = world.fired(fetch).len();
    assert!((2..10).contains(&before), "{before}");
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.fired(fetch).len(), 10);
}

#[test]
fn a_finished_fetch_is_kept_until_it_is_dismissed() {
    let mut world = World::new();
    world.hold(Hold::Events);
    let fetch = settled(&mut world, "/a");
    let early = world.dismiss(fetch);
    world.run_now();
    assert!(!world.bgfetch(fetch).display().dismissible);
    assert_eq!(world.reply(early), Some(Err(CallError::StillActive)));
    world.let_go(Hold::Events);
    world.run();
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.model.newest(&registration(), "fetch 1"), Some(fetch));
    assert!(world.bgfetch(fetch).display().dismissible);
    let clicked = world.click(fetch);
    assert_eq!(world.reply(clicked), Some(Ok(Reply::Done)));
    let dismissed = world.dismiss(fetch);
    assert_eq!(world.reply(dismissed), None, "the store comes first");
    world.run();
    assert_eq!(world.reply(dismissed), Some(Ok(Reply::Done)));
    assert!(world.model.fetch(fetch).is_none());
    let again = world.dismiss(fetch);
    assert_eq!(world.reply(again), Some(Err(CallError::NotFound)));
    assert!(matches!(world.log.iter().rfind(|(_, a)| matches!(a, Action::Forgotten(_))),
        Some((_, Action::Forgotten(key))) if *key == fetch));
}

#[test]
fn finished_fetches_are_bounded_in_number_and_age() {
    let mut world = World::with(Config {
        max_finished: 2,
        finished_age: Duration::from_secs(3600),
        ..Config::default()
    });
    let fetches: Vec<_> = (0..4).map(|i| settled(&mut world, &format!("/{i}"))).collect();
    world.run();
    let kept: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
    assert_eq!(kept, fetches[2..]);
    world.pass(Duration::from_secs(4000));
    let last = settled(&mut world, "/last");
    world.run();
    let kept: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
    assert_eq!(kept, [last]);
}

#[test]
fn the_newest_fetch_of_an_id_is_found_among_finished_and_active_ones() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    let mut keys = Vec::new();
    for _ in 0..2 {
        let call = world.call_fetch("id", vec![request.clone()], Default::default());
        world.run();
        let Some(Ok(Reply::Fetch(key))) = world.reply(call) else {
            panic!("fetch() failed");
        };
        keys.push(key);
    }
    assert_eq!(world.model.newest(&registration(), "id"), keys.last().copied());
    assert_eq!(world.model.newest(&registration(), "other"), None);
}

#[test]
fn what_update_ui_sets_outlives_the_process() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Status(404, None)]);
    world.hold(Hold::Events);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::BadStatus)));
    let call = world.set_title(fetch, "Sorry");
    assert_eq!(world.reply(call), None);
    world.run();
    assert_eq!(world.reply(call), Some(Ok(Reply::Done)));
    world.crash(0, |length| length);
    assert_eq!(world.bgfetch(fetch).display().title, "Sorry");
}
