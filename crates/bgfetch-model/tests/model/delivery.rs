//! From the result to the end of the settling event (D5, D17, D18, D22, D23).

use std::time::Duration;

use bgfetch_model::action::{Action, Reply, What};
use bgfetch_model::config::Config;
use bgfetch_model::delivery::{NotHandledReason, Redelivery};
use bgfetch_model::error::CallError;
use bgfetch_model::ids::FetchKey;
use bgfetch_model::input::FetchOptions;
use bgfetch_model::response::FailureReason;
use bgfetch_model::time::UnixTime;

use crate::world::origin::Plan;
use crate::world::{Hold, World, get, registration};

fn settled(world: &mut World, path: &str) -> FetchKey {
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
    // They are too late, which changes nothing.
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

/// What observers were told about a fetch's event.
fn told(world: &World, key: FetchKey) -> Vec<What> {
    let of_event = |what: &What| {
        matches!(
            what,
            What::EventFired { .. } | What::EventNotHandled { .. } | What::EventEnded { .. }
        )
    };
    world.told(key).into_iter().filter(of_event).collect()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn without_a_worker_an_event_waits_for_a_month_and_over_fifty_openings() {
    for reason in [NotHandledReason::NoActiveWorker, NotHandledReason::NotYet] {
        let mut world = World::new();
        world.no_worker = Some(reason);
        let fetch = settled(&mut world, "/a");
        for _ in 0..50 {
            world.pass(DAY);
            assert_eq!(world.model.poll_timeout(), None, "no timer runs for it");
            world.crash(0, |length| length);
            world.run_now();
        }
        assert_eq!(world.store.fetch(fetch).delivery_attempts, 0);
        world.no_worker = None;
        world.register(registration(), true);
        world.run();
        assert!(world.store.files.is_empty());
        let last = told(&world, fetch).pop();
        assert_eq!(last, Some(What::EventEnded { handled: true, rejection: None }));
    }
}

#[test]
fn an_event_waits_until_its_registration_is_registered_in_this_life() {
    let mut world = World::new();
    world.hold(Hold::Events);
    let fetch = settled(&mut world, "/a");
    world.registers = false;
    world.crash(0, |length| length);
    world.let_go(Hold::Events);
    world.log.clear();
    world.pass(DAY);
    assert_eq!(world.fired(fetch), []);
    // The store knows the registration, but nothing has confirmed yet that it still exists.
    let early = world.deliver_pending(registration());
    assert_eq!(world.reply(early), Some(Err(CallError::NoActiveWorker)));
    world.register(registration(), false);
    world.run();
    assert_eq!(world.fired(fetch), []);
    world.register(registration(), true);
    world.run();
    assert_eq!(world.fired(fetch).len(), 1);
    assert!(!world.bgfetch(fetch).records_available());
}

#[test]
fn held_events_are_fired_when_they_are_asked_for() {
    let mut world = World::with(Config::default().with(|it| it.hold_events = true));
    let fetches = [settled(&mut world, "/a"), settled(&mut world, "/b")];
    world.run();
    for fetch in fetches {
        assert_eq!(world.fired(fetch), []);
        let waits =
            What::EventNotHandled { reason: NotHandledReason::NotYet, next: Redelivery::WhenAsked };
        assert_eq!(told(&world, fetch).pop(), Some(waits));
    }
    let asked = world.deliver_pending(registration());
    assert_eq!(world.reply(asked), Some(Ok(Reply::Done)));
    world.run();
    for fetch in fetches {
        assert_eq!(world.fired(fetch).len(), 1);
    }
    let later = settled(&mut world, "/c");
    world.run();
    assert_eq!(world.fired(later), [], "a later event is held again");
}

#[test]
fn an_event_that_is_asked_for_while_the_host_looks_for_a_worker_is_fired_once_more() {
    let mut world = World::new();
    world.no_worker = Some(NotHandledReason::NoActiveWorker);
    world.hold(Hold::Events);
    let fetch = settled(&mut world, "/a");
    world.deliver_pending(registration());
    let event = world.steps();
    world.let_go(Hold::Events);
    assert!(event.is_empty());
    world.step(world.steps()[0]);
    world.no_worker = None;
    world.run();
    assert_eq!(world.fired(fetch).len(), 2);
    assert!(!world.bgfetch(fetch).records_available());
}

#[test]
fn a_fetch_whose_event_waits_for_a_worker_can_be_dismissed_and_frees_its_quota() {
    let mut world = World::new();
    world.set_quota(150);
    world.no_worker = Some(NotHandledReason::NoActiveWorker);
    let fetch = settled(&mut world, "/a");
    assert!(world.bgfetch(fetch).display().dismissible && !world.bgfetch(fetch).display().over);
    let promising = || FetchOptions::default().with(|it| it.download_total = 100);
    let full = world.call_fetch("full", vec![get("/b")], promising());
    world.run_now();
    assert_eq!(world.reply(full), Some(Err(CallError::QuotaExceeded)));
    let dismissed = world.dismiss(fetch);
    assert_eq!(world.reply(dismissed), None, "answered before the store");
    world.run();
    assert_eq!(world.reply(dismissed), Some(Ok(Reply::Done)));
    assert!(world.model.fetch(fetch).is_none() && world.store.files.is_empty());
    let ended = What::EventEnded { handled: false, rejection: None };
    assert_eq!(told(&world, fetch).pop(), Some(ended));
    let fits = world.call_fetch("fits", vec![get("/b")], promising());
    world.run_now();
    assert!(matches!(world.reply(fits), Some(Ok(Reply::Fetch(_)))));
}

#[test]
fn the_time_to_live_ends_an_event_that_was_tried_and_not_in_the_first_hour() {
    let mut world = World::new();
    world.unhandled_events = 1;
    let fetch = settled(&mut world, "/a");
    world.no_worker = Some(NotHandledReason::NoActiveWorker);
    world.pass(DAY);
    assert!(world.bgfetch(fetch).records_available());
    // The machine was off for a month.
    world.now.wall = world.now.wall.after(DAY * 30);
    world.crash(0, |length| length);
    world.pass(Duration::from_secs(3599));
    assert!(world.bgfetch(fetch).records_available());
    world.pass(Duration::from_secs(1));
    world.run();
    assert!(world.model.fetch(fetch).is_none_or(|fetch| !fetch.records_available()));
}

#[test]
fn a_clock_that_was_set_back_lengthens_the_life_of_an_event_that_waits() {
    let mut world = World::new();
    world.unhandled_events = 1;
    let fetch = settled(&mut world, "/a");
    world.no_worker = Some(NotHandledReason::NoActiveWorker);
    world.pass(DAY);
    let left = world.model.poll_timeout().unwrap().since(world.now.monotonic);
    let settled_at = world.now.wall;
    world.now.wall = UnixTime(settled_at.0 - DAY.as_millis() as u64);
    world.pass(left);
    assert!(world.bgfetch(fetch).records_available());
    world.pass(DAY - Duration::from_millis(1));
    assert!(world.bgfetch(fetch).records_available());
    world.pass(Duration::from_millis(1));
    world.run();
    assert!(world.model.fetch(fetch).is_none_or(|fetch| !fetch.records_available()));
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
    let fires = |(_, action): &(_, Action)| matches!(action, Action::FireClickEvent(_));
    assert_eq!(world.log.iter().filter(|logged| fires(logged)).count(), 1);
    let dismissed = world.dismiss(fetch);
    assert_eq!(world.reply(dismissed), None, "answered before the store");
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
    let mut world = World::with(Config::default().with(|it| {
        it.max_finished = 2;
        it.finished_age = Duration::from_secs(3600);
    }));
    let fetches: Vec<_> = (0..4).map(|i| settled(&mut world, &format!("/{i}"))).collect();
    world.run();
    let kept: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
    assert_eq!(kept, fetches[2..]);
    world.pass(Duration::from_secs(3600));
    world.crash(0, |length| length);
    assert_eq!(world.model.fetches().count(), 2, "not older than an hour");
    world.pass(Duration::from_millis(1));
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
        let Some(key) = world.registered(call) else {
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
