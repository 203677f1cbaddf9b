//! What is kept and what resumes after the process died (spec issues 5 and 6, D15, D5, D7).

use bgfetch_model::action::{Action, PauseReason};
use bgfetch_model::attempt::{AttemptCommand, AttemptEvent};
use bgfetch_model::connectivity::Connectivity;
use bgfetch_model::delivery::{NotHandledReason, Outcome};
use bgfetch_model::ids::{CallId, FetchKey, Generation, RecordIndex, RecordKey};
use bgfetch_model::input::Input;
use bgfetch_model::model::Model;
use bgfetch_model::response::{FailureReason, RecordResult, ResponseHead, ResponseType};
use bgfetch_model::store_op::StoreOp;

use crate::world::origin::Plan;
use crate::world::{Hold, World, get, post, registration, with_integrity};

#[test]
fn a_fetch_that_was_not_durable_never_was() {
    let mut world = World::new();
    world.hold(Hold::Commits);
    let call = world.call_fetch("id", vec![get("/a")], Default::default());
    world.run_now();
    world.let_go(Hold::Commits);
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.reply(call), None);
    assert_eq!(world.model.fetches().count(), 0);
    assert_eq!(world.model.get(&registration(), "id"), Ok(None));
}

#[test]
fn a_fetch_that_was_durable_goes_on_although_its_caller_never_heard() {
    let mut world = World::new();
    world.serve_planned("/a", []);
    world.hold(Hold::Commits);
    world.call_fetch("id", vec![get("/a")], Default::default());
    world.run_now();
    world.let_go(Hold::Commits);
    world.crash(1, |length| length);
    let fetch = world.model.get(&registration(), "id").unwrap().unwrap();
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn records_that_ended_are_not_fetched_again() {
    let mut world = World::new();
    let good = world.serve_planned("/good", []);
    let bad = world.serve_planned("/bad", [Plan::Status(404, None)]);
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    let fetch = world.fetch([good, bad, slow]);
    world.run();
    world.crash(0, |length| length);
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 140);
    world.run();
    assert_eq!(world.seen("/good").len() + world.seen("/bad").len(), 2);
    assert_eq!(world.starts("/slow"), [0, 40]);
    assert_eq!(world.result(fetch), Some(Err(FailureReason::BadStatus)));
}

#[test]
fn a_fetch_whose_last_record_ended_settles_without_a_request() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    world.hold(Hold::Work);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Work);
    world.run_while(|world| world.record_result(fetch, 0).is_none());
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.seen("/a").len(), 1);
}

#[test]
fn an_id_stays_taken_until_its_fetch_settles_also_over_a_crash() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(0), Plan::Stall(0)]);
    let call = world.call_fetch("id", vec![request.clone()], Default::default());
    world.run();
    let Some(fetch) = world.registered(call) else {
        panic!("fetch() failed");
    };
    world.crash(0, |length| length);
    let second = world.call_fetch("id", vec![request.clone()], Default::default());
    world.run();
    assert!(matches!(world.reply(second), Some(Err(_))));
    world.abort(fetch);
    world.run();
    let third = world.call_fetch("id", vec![request], Default::default());
    world.run();
    assert!(matches!(world.reply(third), Some(Ok(_))));
}

#[test]
fn an_aborted_fetch_does_not_take_its_id_back_from_a_later_one() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(0), Plan::Stall(0)]);
    let first = world.call_fetch("id", vec![request.clone()], Default::default());
    world.run();
    let Some(first) = world.registered(first) else {
        panic!("fetch() failed");
    };
    world.hold(Hold::Work);
    world.abort(first);
    let second = world.call_fetch("id", vec![request], Default::default());
    world.run();
    let Some(second) = world.registered(second) else {
        panic!("fetch() failed");
    };
    assert_eq!(world.result(first), None, "its attempt has not ended");
    world.crash(0, |length| length);
    assert_eq!(world.model.get(&registration(), "id"), Ok(Some(second)));
    world.let_go(Hold::Work);
    world.run();
    assert_eq!(world.result(first), Some(Err(FailureReason::Aborted)));
    assert_ne!(world.result(second), Some(Err(FailureReason::Aborted)));
}

#[test]
fn an_aborted_upload_is_aborted_also_after_a_crash() {
    let mut world = World::new();
    world.serve_planned("/a", [Plan::Stall(5)]);
    let fetch = world.fetch([post("/a", 20)]);
    world.hold(Hold::Work);
    world.abort(fetch);
    world.run();
    world.crash(0, |length| length);
    world.let_go(Hold::Work);
    world.run();
    let aborted = RecordResult::Failure(FailureReason::Aborted);
    assert_eq!(world.record_result(fetch, 0), Some(aborted));
}

/// `held_back` holds back the upload after its mark was stored; the process dies meanwhile.
fn upload_that_was_not_sent(held_back: impl FnOnce(&mut World, FetchKey)) {
    let mut world = World::new();
    world.serve_planned("/a", []);
    world.hold(Hold::Caller);
    let fetch = world.fetch([post("/a", 20)]);
    world.let_go(Hold::Caller);
    held_back(&mut world, fetch);
    world.run_commits();
    world.crash(0, |length| length);
    world.go_online();
    world.set_paused(fetch, false);
    world.run();
    assert_eq!(world.record_result(fetch, 0), Some(RecordResult::Success));
}

#[test]
fn an_upload_that_was_held_back_before_its_first_byte_is_sent_after_a_crash() {
    let begins = |op: &StoreOp| matches!(op, StoreOp::BeginUpload(_));
    // A reason to pause comes up while the mark is being stored.
    for (connectivity, reason) in [
        (Connectivity::Offline(Default::default()), PauseReason::Offline),
        (Connectivity::CaptivePortal, PauseReason::CaptivePortal),
    ] {
        upload_that_was_not_sent(|world, fetch| {
            let marking =
                |world: &World| world.store.queue.iter().any(|(_, it)| it.ops.iter().any(begins));
            world.run_while(|world| !marking(world));
            world.set_connectivity(connectivity);
            world.run_now();
            assert_eq!(world.bgfetch(fetch).pause_reason(), Some(reason));
        });
    }
    // The server cannot be reached, so the upload waits for its next attempt.
    upload_that_was_not_sent(|world, _| {
        world.network = false;
        world.run_now();
    });
    // The same, and meanwhile the network turns out to be away.
    upload_that_was_not_sent(|world, fetch| {
        world.hold(Hold::Work);
        world.run_now();
        world.go_offline();
        world.let_go(Hold::Work);
        world.run_now();
        assert_eq!(world.bgfetch(fetch).pause_reason(), Some(PauseReason::Offline));
    });
}

#[test]
fn a_representation_that_was_being_opened_is_there_or_not() {
    for kept in [0, 1] {
        let mut world = World::new();
        let request = world.serve_planned("/a", [Plan::Cut(40)]);
        let fetch = world.fetch([request]);
        // Another representation arrives, and the process dies while it is opened.
        world.resource("/a").representation = 2;
        world.jump();
        world.run_while(|world| world.store.queue.is_empty());
        world.crash(kept, |length| length);
        assert_eq!(world.stored(fetch, 0), if kept == 1 { 0 } else { 40 });
        world.run();
        assert_eq!(world.result(fetch), Some(Ok(())));
    }
}

#[test]
fn a_crash_after_every_step_loses_nothing() {
    let scenario = || {
        let mut world = World::new();
        let a = world.serve_planned("/a", [Plan::Cut(30), Plan::Status(503, None)]);
        let b = world.serve_planned("/b", []);
        world.resource("/b").always = Plan::Status(404, None);
        let c = with_integrity(world.serve_planned("/c", [Plan::Cut(30)]), 1, 100);
        let call = world.call_fetch("id", vec![a, b, c], Default::default());
        (world, call)
    };
    for steps in 0.. {
        for kept in 0..2 {
            let (mut world, call) = scenario();
            let mut over = false;
            for _ in 0..steps {
                match world.steps().first() {
                    Some(step) => world.step(*step),
                    None => over |= !world.jump(),
                }
            }
            let registered = world.reply(call).is_some();
            let kept = kept.min(world.store.queue.len());
            world.crash(kept, |length| length);
            world.run();
            world.assert_at_rest();
            match world.model.fetches().next() {
                Some(fetch) => {
                    assert_eq!(fetch.result(), Some(Err(FailureReason::BadStatus)));
                    assert!(!fetch.records_available());
                }
                None => assert!(!registered),
            }
            if over {
                return;
            }
        }
    }
}

#[test]
fn a_finished_fetch_still_tells_what_its_records_came_to() {
    let mut world = World::new();
    let download = world.serve_planned("/a", []);
    world.serve_planned("/upload", []);
    let fetch = world.fetch([download, post("/upload", 30)]);
    world.run();
    let totals = |world: &World| {
        let fetch = world.bgfetch(fetch);
        assert!(fetch.records().is_empty());
        let downloaded = fetch.stored_body_bytes_total();
        (downloaded, fetch.uploaded(), fetch.upload_total())
    };
    let before = totals(&world);
    assert!(before.0 > 0);
    assert_eq!((before.1, before.2), (30, 30));
    world.crash(0, |length| length);
    world.run();
    assert_eq!(totals(&world), before);
}

#[test]
fn the_last_generation_is_followed_by_none() {
    let mut world = World::new();
    world.hold(Hold::Caller);
    let key = world.fetch([get("/a")]);
    let mut snapshot = world.store.snapshot();
    snapshot.fetches[0].records[0].generation = Generation(u32::MAX);
    let mut model = Model::open(world.config.clone(), snapshot, world.now);
    let record = RecordKey { fetch: key, index: RecordIndex(0) };
    model.handle(world.now, Input::Connectivity(Connectivity::Online));
    model.handle(world.now, Input::SlotGranted(record));
    let started = std::iter::from_fn(|| model.poll_action()).find_map(|action| match action {
        Action::StartAttempt { attempt, .. } => Some(attempt),
        _ => None,
    });
    let head = ResponseHead::new(200, vec![get("/a").url])
        .with(|it| it.response_type = ResponseType::Basic);
    let (request_headers, address, retry_after, multiplexes) = (None, None, None, false);
    let event = AttemptEvent::Head { head, request_headers, address, retry_after, multiplexes };
    model.handle(world.now, Input::Attempt(started.unwrap(), event));
    let mut actions = std::iter::from_fn(|| model.poll_action());
    let cancelled = |action| matches!(action, Action::Command(_, AttemptCommand::Cancel));
    assert!(actions.any(cancelled));
}

#[test]
fn numbers_that_add_up_to_more_than_fits_do_no_harm() {
    let mut world = World::new();
    world.hold(Hold::Caller);
    let key = world.fetch([post("/a", 1), post("/b", 1)]);
    let mut snapshot = world.store.snapshot();
    let fetch = &mut snapshot.fetches[0];
    fetch.result = Some(Err(FailureReason::FetchError));
    fetch.delivery_attempts = u32::MAX;
    for record in &mut fetch.records {
        (record.stored, record.uploaded) = (u64::MAX, u64::MAX - 1);
        record.result = Some(RecordResult::Failure(FailureReason::FetchError));
    }
    let mut model = Model::open(world.config.clone(), snapshot, world.now);
    let fetch = model.fetch(key).unwrap();
    assert_eq!((fetch.stored_body_bytes_total(), fetch.uploaded()), (u64::MAX, u64::MAX));
    let (call, registration) = (CallId(0), registration());
    model.handle(world.now, Input::Register { call, registration, active_worker: true });
    while model.poll_action().is_some() {}
    let outcome = Outcome::NotHandled(NotHandledReason::TimedOut);
    model.handle(world.now, Input::EventEnded { fetch: key, outcome });
    let ended = std::iter::from_fn(|| model.poll_action());
    assert!(ended.into_iter().any(|action| matches!(action, Action::Commit(..))));
}
