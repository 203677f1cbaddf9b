//! When and how a fetch settles (spec issues 5 and 6, D15, D45).

use std::collections::HashSet;
use std::mem::discriminant;
use std::time::Duration;

use bgfetch_model::action::{Action, PauseReason, Reply, What};
use bgfetch_model::config::Config;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{CommitId, FetchKey};
use bgfetch_model::input::Input;
use bgfetch_model::response::{FailureReason, RecordResult};
use bgfetch_model::store_op::{StoreOp, Sync};

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, World, get, post, record, registration};

const ABORTED: RecordResult = RecordResult::Failure(FailureReason::Aborted);
const BAD_STATUS: RecordResult = RecordResult::Failure(FailureReason::BadStatus);
const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);
const TOO_MUCH: RecordResult = RecordResult::Failure(FailureReason::DownloadTotalExceeded);

#[test]
fn a_fetch_whose_responses_are_all_good_succeeds() {
    let mut world = World::new();
    let (a, b) = (world.serve_planned("/a", []), world.serve_planned("/b", []));
    let fetch = world.fetch([a, b]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.fired(fetch), [(Duration::ZERO, Ok(()))]);
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 200);
    world.assert_at_rest();
}

#[test]
fn the_first_record_that_fails_gives_the_reason_and_the_others_go_on() {
    let mut world = World::new();
    let missing = world.serve_planned("/missing", [Plan::Status(404, None)]);
    let broken = world.serve_planned("/broken", [Plan::Permanent]);
    let good = world.serve_planned("/good", []);
    world.slots = 1;
    let fetch = world.fetch([missing, broken, good]);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::BadStatus)));
    let results = world.record_results(fetch);
    let expected = [BAD_STATUS, FETCH_ERROR, RecordResult::Success];
    assert_eq!(results, expected.map(Some));
    world.assert_at_rest();
}

#[test]
fn the_reason_of_the_first_failure_survives_a_crash() {
    let mut world = World::new();
    let missing = world.serve_planned("/missing", [Plan::Status(404, None)]);
    let slow = world.serve_planned("/slow", [Plan::Stall(5), Plan::Permanent]);
    let fetch = world.fetch([missing, slow]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), Some(BAD_STATUS));
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::BadStatus)));
}

#[test]
fn an_abort_is_true_once_and_gives_the_result_even_where_a_record_failed_before() {
    let mut world = World::new();
    let missing = world.serve_planned("/missing", [Plan::Status(404, None)]);
    let slow = world.serve_planned("/slow", [Plan::Stall(5)]);
    let fetch = world.fetch([missing, slow]);
    world.run();
    let (first, second) = (world.abort(fetch), world.abort(fetch));
    world.run();
    let third = world.abort(fetch);
    world.run();
    assert_eq!(world.reply(first), Some(Ok(Reply::Aborted(true))));
    assert_eq!(world.reply(second), Some(Ok(Reply::Aborted(false))));
    assert_eq!(world.reply(third), Some(Ok(Reply::Aborted(false))));
    assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
    assert_eq!(world.record_results(fetch), [Some(BAD_STATUS), Some(ABORTED)]);
    world.assert_at_rest();
}

#[test]
fn an_abort_after_another_record_used_up_the_total_survives_a_crash() {
    let mut world = World::new();
    let slow = world.serve_planned("/slow", [Plan::Stall(5)]);
    let large = world.serve("/large", Resource { content_length: false, ..Resource::default() });
    world.hold(Hold::Work);
    let fetch = world.fetch_total([slow, large], 50);
    world.let_go(Hold::Work);
    world.run_while(|world| world.record_result(fetch, 1).is_none());
    // The other record's attempt does not end.
    world.hold(Hold::Work);
    world.hold(Hold::Reports);
    world.run_now();
    let call = world.abort(fetch);
    world.run_now();
    assert_eq!(world.reply(call), Some(Ok(Reply::Aborted(true))));
    world.crash(0, |length| length);
    world.let_go(Hold::Work);
    world.let_go(Hold::Reports);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
}

/// Whether the transaction that settles the fetch's first record syncs the response's body.
fn syncs_its_body(world: &World, fetch: FetchKey) -> bool {
    let key = record(fetch, 0);
    let settles =
        |op: &StoreOp| matches!(op, StoreOp::SettleRecord { record, .. } if *record == key);
    world.log.iter().any(|(_, action)| match action {
        Action::Commit(_, transaction) => {
            transaction.ops.iter().any(settles)
                && transaction.syncs.contains(&Sync::ResponseBody(key))
        }
        _ => false,
    })
}

#[test]
fn a_response_that_cannot_be_requested_again_is_synced_with_its_result() {
    let mut world = World::new();
    let download = world.serve_planned("/download", []);
    world.serve_planned("/upload", []);
    let download = world.fetch([download]);
    let upload = world.fetch([post("/upload", 20)]);
    world.run();
    assert!(!syncs_its_body(&world, download));
    assert!(syncs_its_body(&world, upload));
}

#[test]
fn what_others_rely_on_is_synced_before_they_hear_of_it() {
    let mut world = World::new();
    world.serve_planned("/upload", []);
    let stalls = world.serve_planned("/a", [Plan::Stall(40), Plan::Stall(40)]);
    let upload = world.fetch([post("/upload", 20)]);
    world.run();
    let fetch = world.fetch([stalls]);
    world.set_paused(fetch, true);
    world.run();
    world.abort(fetch);
    world.run();
    world.dismiss(upload);
    world.run();
    world.unregister(registration());
    world.run();
    let is_relied_on = |op: &&StoreOp| {
        matches!(
            op,
            StoreOp::InsertFetch(_)
                | StoreOp::BeginUpload(_)
                | StoreOp::SetPaused(..)
                | StoreOp::SetAbortAll(_)
                | StoreOp::Settle(..)
                | StoreOp::EndDelivery(_)
                | StoreOp::Forget(_)
                | StoreOp::RemoveRegistration(_)
        )
    };
    let mut kinds = HashSet::new();
    for (_, action) in &world.log {
        let Action::Commit(_, transaction) = action else { continue };
        for op in transaction.ops.iter().filter(is_relied_on) {
            assert!(!transaction.syncs.is_empty(), "{op:?}");
            kinds.insert(discriminant(op));
        }
    }
    assert_eq!(kinds.len(), 8, "the test lacks some of them");
}

#[test]
fn readers_learn_of_every_change_of_a_record() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    let fetch = world.fetch([request]);
    world.run();
    let changed = |(_, action): &(Duration, Action)| match action {
        Action::RecordChanged(key, data) if *key == record(fetch, 0) => {
            Some((data.stored, data.result))
        }
        _ => None,
    };
    let changes: Vec<_> = world.log.iter().filter_map(changed).collect();
    let stored: Vec<_> = changes.iter().map(|(stored, _)| *stored).collect();
    assert!(stored.is_sorted() && stored.contains(&10) && stored.contains(&90), "{stored:?}");
    assert_eq!(changes.last(), Some(&(100, Some(RecordResult::Success))));
}

#[test]
fn no_other_acknowledgement_makes_an_end_durable() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(5)]);
    let fetch = world.fetch([request]);
    world.hold(Hold::Commits);
    let call = world.abort(fetch);
    world.input(Input::Committed(CommitId(u64::MAX)));
    assert_eq!(world.reply(call), None);
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(world.reply(call), Some(Ok(Reply::Aborted(true))));
    assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
}

#[test]
fn an_abort_that_was_promised_outlives_the_process() {
    let mut world = World::new();
    let slow = world.serve_planned("/slow", [Plan::Stall(5)]);
    let fetch = world.fetch([slow, post("/upload", 5)]);
    world.run();
    world.hold(Hold::Work);
    let call = world.abort(fetch);
    world.run_now();
    assert_eq!(world.reply(call), Some(Ok(Reply::Aborted(true))));
    assert_eq!(world.result(fetch), None, "its attempts have not ended");
    world.crash(0, |length| length);
    world.let_go(Hold::Work);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
    assert_eq!(world.starts("/slow"), [0], "nothing is fetched again");
}

#[test]
fn an_abort_after_settling_is_false_and_does_not_touch_a_later_fetch_of_that_id() {
    let mut world = World::new();
    world.serve_planned("/a", []);
    let slow = world.serve_planned("/slow", [Plan::Stall(5)]);
    let call = world.call_fetch("id", vec![get("/a")], Default::default());
    world.run();
    let Some(first) = world.registered(call) else {
        panic!("fetch() failed");
    };
    let call = world.call_fetch("id", vec![slow], Default::default());
    world.run();
    let Some(second) = world.registered(call) else {
        panic!("fetch() failed");
    };
    let late = world.abort(first);
    world.run();
    assert_eq!(world.reply(late), Some(Ok(Reply::Aborted(false))));
    assert_eq!(world.result(second), None);
    let aborts = world.abort(second);
    world.run();
    assert_eq!(world.reply(aborts), Some(Ok(Reply::Aborted(true))));
    assert_eq!(world.result(first), Some(Ok(())));
}

#[test]
fn an_id_is_free_again_as_soon_as_its_fetch_is_aborted() {
    let mut world = World::new();
    let slow = world.serve_planned("/slow", [Plan::Stall(5), Plan::Stall(5)]);
    let first = world.call_fetch("id", vec![slow.clone()], Default::default());
    world.run();
    let Some(first) = world.registered(first) else {
        panic!("fetch() failed");
    };
    world.abort(first);
    let second = world.call_fetch("id", vec![slow], Default::default());
    world.run();
    assert!(matches!(world.reply(second), Some(Ok(Reply::Fetch(_)))));
}

#[test]
fn more_bytes_than_promised_abort_the_siblings_before_the_fetch_settles() {
    let mut world = World::new();
    let large = world.serve_planned("/large", []);
    let slow = world.serve_planned("/slow", [Plan::Stall(5)]);
    let fetch = world.fetch_total([large, slow], 50);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::DownloadTotalExceeded)));
    assert_eq!(world.record_results(fetch), [Some(TOO_MUCH), Some(ABORTED)]);
    let settled = world
        .observations()
        .into_iter()
        .map(|(_, observation)| observation)
        .filter(|observation| matches!(observation, What::RecordSettled { .. } | What::Settled(..)))
        .collect::<Vec<_>>();
    assert!(matches!(settled[..], [.., What::Settled(..)]));
    assert_eq!(settled.len(), 3);
}

#[test]
fn an_immediate_failure_goes_on_after_a_crash() {
    let mut world = World::new();
    let large = world.serve_planned("/large", []);
    let slow = world.serve_planned("/slow", [Plan::Stall(5)]);
    world.hold(Hold::Caller);
    let fetch = world.fetch_total([large, slow], 50);
    world.let_go(Hold::Caller);
    while world.record_result(fetch, 0).is_none() {
        let step = world.steps()[0];
        world.step(step);
    }
    // The sibling was told to stop, and has not done so when the process dies.
    world.hold(Hold::Work);
    world.run_now();
    assert_eq!(world.record_result(fetch, 1), None);
    let before = world.starts("/slow");
    world.let_go(Hold::Work);
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.starts("/slow"), before, "nothing is fetched again");
    assert_eq!(world.record_results(fetch), [Some(TOO_MUCH), Some(ABORTED)]);
    assert_eq!(world.result(fetch), Some(Err(FailureReason::DownloadTotalExceeded)));
}

#[test]
fn the_body_of_a_bad_status_is_not_kept_unless_the_embedder_wants_it() {
    for keep in [false, true] {
        let config = Config::default().with(|it| it.keep_bad_status_bodies = keep);
        let mut world = World::with(config);
        let missing = world.serve_planned("/missing", [Plan::Status(404, None)]);
        world.hold(Hold::Events);
        let fetch = world.fetch([missing]);
        world.run();
        let data = world.bgfetch(fetch).records()[0].response_data();
        assert_eq!(data.result, Some(BAD_STATUS));
        assert!(data.is_exposed());
        assert_eq!(data.response.as_ref().map(|head| head.status), Some(404));
        assert_eq!(data.stored, if keep { 7 } else { 0 });
    }
}

#[test]
fn an_abort_while_paused_or_offline_is_immediate() {
    for offline in [false, true] {
        let mut world = World::new();
        let slow = world.serve_planned("/slow", [Plan::Stall(5)]);
        let fetch = world.fetch([slow]);
        world.run();
        if offline {
            world.go_offline();
        } else {
            world.set_paused(fetch, true);
        }
        world.run();
        assert!(world.bgfetch(fetch).pause_reason().is_some());
        let call = world.abort(fetch);
        world.run_now();
        assert_eq!(world.reply(call), Some(Ok(Reply::Aborted(true))));
        assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
    }
}

#[test]
fn an_abort_is_obeyed_in_every_state_of_a_record() {
    // With each hold the record waits at another point when the abort comes.
    let holds = [Hold::Caller, Hold::Commits, Hold::Work, Hold::Reports];
    for hold in holds {
        for request in [get("/a"), post("/a", 20)] {
            for steps in 0..12 {
                let mut world = World::new();
                world.serve("/a", Resource::default());
                world.hold(Hold::Caller);
                let fetch = world.fetch([request.clone()]);
                if hold != Hold::Caller {
                    world.let_go(Hold::Caller);
                }
                for _ in 0..steps {
                    if let Some(step) = world.steps().first().copied() {
                        world.step(step);
                    }
                }
                world.hold(hold);
                world.run_now();
                let open = world.result(fetch).is_none();
                let call = world.abort(fetch);
                world.let_go(hold);
                world.run();
                let reply = world.reply(call);
                assert!(matches!(reply, Some(Ok(Reply::Aborted(_)))));
                if reply == Some(Ok(Reply::Aborted(true))) {
                    assert!(open);
                    assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
                }
                world.assert_at_rest();
            }
        }
    }
}

#[test]
fn only_a_fetch_of_gets_can_be_paused() {
    let mut world = World::new();
    let fetch = world.fetch([post("/upload", 5)]);
    let call = world.set_paused(fetch, true);
    world.run_now();
    assert_eq!(world.reply(call), Some(Err(CallError::NotPausable)));
    assert_ne!(world.bgfetch(fetch).pause_reason(), Some(PauseReason::User));
}
