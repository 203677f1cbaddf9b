//! The account of a site's bytes: everything that its fetches promised, were granted or have stored
//! counts to one quota, across restarts.

use bgfetch_model::action::Reply;
use bgfetch_model::attempt::AttemptCommand;
use bgfetch_model::budget::Usage;
use bgfetch_model::delivery::NotHandledReason;
use bgfetch_model::ids::RegistrationKey;
use bgfetch_model::input::FetchOptions;
use bgfetch_model::response::FailureReason;
use proptest::prelude::*;

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, Step, World, post, record, registration};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A response whose length is not announced.
fn unannounced(length: u64) -> Resource {
    Resource { length, content_length: false, ..Resource::default() }
}

fn usage(world: &World) -> Usage {
    world.model.usage(&registration().storage_key)
}

#[test]
fn an_endless_body_ends_at_the_quota_after_a_restart_too() {
    let mut world = World::new();
    world.chunk = 64 * KIB;
    world.set_quota(MIB);
    let request = world.serve("/endless", unannounced(1 << 40));
    world.hold(Hold::Caller);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Caller);
    world.run_while(|world| world.stored(fetch, 0) < MIB / 2);
    world.crash(0, |length| length);
    // The world checks that no byte beyond the quota is stored.
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::QuotaExceeded)));
}

#[test]
fn nothing_is_granted_after_a_restart_before_the_quota_is_told() {
    let mut world = World::new();
    let request = world.serve("/a", unannounced(100));
    world.resource("/a").plans = [Plan::Stall(50)].into();
    let fetch = world.fetch([request]);
    world.hold(Hold::Quota);
    world.crash(0, |length| length);
    world.run();
    assert_eq!((world.stored(fetch, 0), world.result(fetch)), (50, None));
    assert_eq!((usage(&world).total, usage(&world).quota), (50, None));
    world.let_go(Hold::Quota);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

/// Every connection breaks and is made again.
fn reconnect(world: &mut World) {
    world.lose_connections();
    world.run();
}

#[test]
fn two_fetches_of_a_site_both_end_where_their_bytes_fit() {
    let mut world = World::new();
    world.set_quota(100);
    world.hold(Hold::Events);
    let [slow, fast] = ["/slow", "/fast"].map(|path| world.serve(path, unannounced(50)));
    // It is granted all that is left, and has to return it.
    world.resource("/slow").plans = [Plan::Stall(10)].into();
    let slow = world.fetch([slow]);
    assert_eq!(usage(&world).set_aside, 90);
    let fast = world.fetch([fast]);
    assert_eq!((world.result(slow), world.result(fast)), (None, Some(Ok(()))));
    reconnect(&mut world);
    assert_eq!(world.result(slow), Some(Ok(())));
    let used = usage(&world);
    assert_eq!((used.total, used.response_bodies, used.set_aside), (100, 100, 0));
}

#[test]
fn a_hundred_streams_of_unknown_length_leave_a_second_fetch_its_bytes() {
    let mut world = World::new();
    (world.chunk, world.slots) = (64 * KIB, 200);
    world.set_quota(64 * MIB);
    let requests: Vec<_> = (0..100)
        .map(|number| {
            let plans = [Plan::Stall(64 * KIB)].into();
            let resource = Resource { coded: true, plans, ..unannounced(256 * KIB) };
            world.serve(&format!("/{number}"), resource)
        })
        .collect();
    let many = world.fetch(requests);
    let second = world.serve("/second", unannounced(20 * MIB));
    let second = world.fetch([second]);
    assert_eq!((world.result(many), world.result(second)), (None, Some(Ok(()))));
    reconnect(&mut world);
    assert_eq!(world.result(many), Some(Ok(())));
}

#[test]
fn a_download_that_pauses_backs_off_or_ends_leaves_what_it_does_not_use_to_others() {
    for how in ["pauses", "backs off", "ends"] {
        let mut world = World::new();
        world.set_quota(8 * MIB);
        let plan = if how == "backs off" { Plan::Cut(10) } else { Plan::Stall(10) };
        let request = world.serve("/a", unannounced(20));
        world.resource("/a").plans = [plan].into();
        let first = world.fetch([request]);
        assert_eq!(world.stored(first, 0), 10);
        match how {
            "pauses" => {
                world.set_paused(first, true);
            }
            "ends" => {
                world.abort(first);
            }
            _ => {}
        }
        world.hold(Hold::Events);
        world.run_now();
        let used = usage(&world);
        assert_eq!((used.total, used.response_bodies, used.set_aside), (10, 10, 0), "{how}");
    }
}

#[test]
fn what_a_promise_set_aside_is_not_recalled() {
    let mut world = World::new();
    world.chunk = 10;
    world.set_quota(150);
    let promised = world.serve("/promised", unannounced(100));
    world.resource("/promised").plans = [Plan::Stall(10)].into();
    let first = world.fetch_total([promised], 100);
    let other = world.serve("/other", unannounced(60));
    let second = world.fetch([other]);
    world.run();
    assert_eq!(world.result(first), None);
    assert_eq!(world.result(second), Some(Err(FailureReason::QuotaExceeded)));
    let recalls = world.commands(record(first, 0)).into_iter();
    assert!(recalls.filter(|it| *it == AttemptCommand::RecallGrant).count() <= 1);
}

#[test]
fn bytes_that_are_being_deleted_are_waited_for() {
    for how in ["the event ends", "the user dismisses it", "the registration is removed"] {
        let mut world = World::new();
        world.set_quota(150);
        let folder = "https://a.test/folder/".parse().unwrap();
        let folder = RegistrationKey { scope: folder, ..registration() };
        world.register(folder.clone(), true);
        world.hold(Hold::Events);
        if how == "the user dismisses it" {
            world.no_worker = Some(NotHandledReason::NoActiveWorker);
            world.let_go(Hold::Events);
        }
        let [first, second] = ["/first", "/second"].map(|path| world.serve(path, unannounced(100)));
        let first = world.call_fetch_of(folder.clone(), "first", vec![first], Default::default());
        world.run();
        world.hold(Hold::Work);
        let second = world.fetch([second]);
        world.let_go(Hold::Work);
        world.run_while(|world| world.stored(second, 0) < 20);
        world.hold(Hold::Commits);
        match how {
            "the event ends" => world.step(Step::EndEvent(world.registered(first).unwrap())),
            "the user dismisses it" => drop(world.dismiss(world.registered(first).unwrap())),
            _ => drop(world.unregister(folder)),
        }
        world.run();
        assert_eq!((world.stored(second, 0), world.result(second)), (50, None), "{how}");
        world.hold(Hold::Events);
        world.let_go(Hold::Commits);
        world.run();
        assert_eq!(world.result(second), Some(Ok(())), "{how}");
    }
}

#[test]
fn an_attempt_that_is_stopped_while_it_waits_for_bytes_is_given_none() {
    let mut world = World::new();
    world.set_quota(150);
    world.hold(Hold::Quota);
    let request = world.serve("/a", unannounced(100));
    world.resource("/a").plans = [Plan::Stall(50)].into();
    let fetch = world.fetch([request]);
    world.crash(0, |length| length);
    world.run();
    // Nothing is granted before the quota is known.
    assert_eq!(world.result(fetch), None);
    world.hold(Hold::Reports);
    world.set_paused(fetch, true);
    world.let_go(Hold::Quota);
    world.run();
    world.let_go(Hold::Reports);
    world.run();
    let commands = world.commands(record(fetch, 0));
    assert!(!commands.iter().any(|it| matches!(it, AttemptCommand::Grant(_))), "{commands:?}");
    assert_eq!((world.result(fetch), usage(&world).set_aside), (None, 0));
    world.set_paused(fetch, false);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn what_an_aborted_fetch_was_promised_is_free_when_abort_resolves() {
    let mut world = World::new();
    world.set_quota(100);
    let slow = world.serve("/slow", unannounced(60));
    // The attempt reports neither its head nor its end, and so the fetch does not settle.
    world.hold(Hold::Reports);
    let first = world.fetch_total([slow], 60);
    let call = world.abort(first);
    world.run_now();
    assert_eq!(world.reply(call), Some(Ok(Reply::Aborted(true))));
    assert_eq!(world.result(first), None);
    let other = world.serve("/other", unannounced(60));
    let second = world.fetch_total([other], 60);
    world.let_go(Hold::Reports);
    world.run();
    assert_eq!(world.result(second), Some(Ok(())));
}

#[test]
fn what_an_aborted_fetch_was_promised_stays_free_after_a_restart() {
    let mut world = World::new();
    world.set_quota(100);
    let slow = world.serve("/slow", unannounced(60));
    world.resource("/slow").plans = [Plan::Stall(10)].into();
    let first = world.fetch_total([slow], 60);
    world.hold(Hold::Reports);
    world.abort(first);
    world.run_now();
    world.crash(0, |length| length);
    assert!(usage(&world).total <= 10, "{:?}", usage(&world));
}

#[test]
fn usage_tells_what_counts() {
    let mut world = World::new();
    world.set_quota(1000);
    let request = world.serve("/a", unannounced(30));
    world.serve("/upload", unannounced(5));
    world.hold(Hold::Events);
    world.hold(Hold::Caller);
    let fetch = world.fetch_total([request, post("/upload", 7)], 100);
    let waiting = usage(&world);
    assert_eq!((waiting.total, waiting.request_bodies, waiting.set_aside), (107, 7, 100));
    world.let_go(Hold::Caller);
    world.run();
    let held = usage(&world);
    assert_eq!((held.total, held.response_bodies, held.request_bodies), (42, 35, 7));
    assert_eq!((held.set_aside, held.quota), (0, Some(1000)));
    world.let_go(Hold::Events);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(usage(&world).total, 0);
}

proptest! {
    /// If several fetches just fit into the quota, all succeed, however their downloads race and
    /// wherever the process dies; if a byte or more is lacking, one fails. The world checks at each
    /// step that what is promised, granted or stored never exceeds the quota.
    #[test]
    fn fetches_that_fit_the_quota_together_succeed(
        resources in prop::collection::vec(
            (1..60_u64, any::<bool>(), prop::option::of(0..60_u64), 0..3_usize),
            1..9,
        ),
        chunk in 1..20_u64,
        slots in 1..9_usize,
        order in prop::collection::vec(any::<usize>(), 0..300),
        crash_at in prop::option::of(0..300_usize),
        lacking in prop_oneof![Just(0), Just(1), any::<u64>()],
        unit in prop_oneof![Just(1), Just(MIB)],
    ) {
        let mut world = World::new();
        (world.chunk, world.slots) = (chunk * unit, slots);
        let sum: u64 = resources.iter().map(|(length, ..)| length * unit).sum();
        let lacking = lacking % sum;
        world.set_quota(sum - lacking);
        let mut requests = [const { Vec::new() }; 3];
        for (number, (length, content_length, cut, fetch)) in resources.into_iter().enumerate() {
            let plans = cut.map(|cut| Plan::Cut(cut * unit)).into_iter().collect();
            let length = length * unit;
            let resource = Resource { length, content_length, plans, ..Resource::default() };
            requests[fetch].push(world.serve(&format!("/{number}"), resource));
        }
        // Delivered bytes no longer count.
        world.hold(Hold::Events);
        world.hold(Hold::Caller);
        let requests = requests.into_iter().filter(|requests| !requests.is_empty());
        let fetches: Vec<_> = requests.map(|requests| world.fetch(requests)).collect();
        world.let_go(Hold::Caller);
        for (number, choice) in order.into_iter().enumerate() {
            if crash_at == Some(number) {
                world.crash(choice % 3, |length| length);
            }
            let steps = world.steps();
            if let Some(step) = choice.checked_rem(steps.len()).map(|index| steps[index]) {
                world.step(step);
            }
        }
        world.run();
        let all = fetches.iter().all(|fetch| world.result(*fetch) == Some(Ok(())));
        prop_assert_eq!(all, lacking == 0);
        prop_assert_eq!(usage(&world).set_aside, 0);
        world.let_go(Hold::Events);
        world.run();
        prop_assert_eq!(usage(&world).total, 0);
    }
}

proptest! {
    /// Several calls of `fetch()` store their request bodies at the same time, while responses
    /// arrive. The world checks at each step that no more bytes than the quota are on disk or
    /// counted. Calls that fit together all succeed, and nothing is left in the end.
    #[test]
    fn request_bodies_of_many_calls_never_pass_the_quota(
        calls in prop::collection::vec((prop::collection::vec(0..60_u64, 1..4), 0..30_u64), 1..6),
        quota in 0..400_u64,
        chunk in 1..20_u64,
        order in prop::collection::vec(any::<usize>(), 0..300),
        dropped in prop::option::of(0..6_usize),
        crash_at in prop::option::of(0..300_usize),
        unit in prop_oneof![Just(1), Just(MIB)],
    ) {
        let mut world = World::new();
        world.chunk = chunk * unit;
        world.set_quota(quota * unit);
        world.hold(Hold::Events);
        world.serve("/upload", Resource { length: unit, ..Resource::default() });
        let needed: u64 = calls
            .iter()
            .map(|(bodies, total)| bodies.iter().sum::<u64>() + total.max(&(bodies.len() as u64)))
            .sum();
        let mut made = Vec::new();
        for (number, (bodies, total)) in calls.iter().enumerate() {
            let requests = bodies.iter().map(|length| post("/upload", length * unit)).collect();
            // Either no promise, or one that the responses keep.
            let total = if *total < bodies.len() as u64 { 0 } else { total * unit };
            let options = FetchOptions::default().with(|it| it.download_total = total);
            made.push(world.call_fetch(&number.to_string(), requests, options));
        }
        let mut crashed = false;
        for (number, choice) in order.into_iter().enumerate() {
            if crash_at == Some(number) {
                crashed = true;
                world.crash(choice % 3, |length| length);
            }
            if !crashed && number == 40 && let Some(call) = dropped.and_then(|it| made.get(it)) {
                world.drop_call(*call);
            }
            let steps = world.steps();
            if let Some(step) = choice.checked_rem(steps.len()).map(|index| steps[index]) {
                world.step(step);
            }
        }
        world.run();
        if needed <= quota && !crashed && dropped.is_none() {
            for call in &made {
                prop_assert!(matches!(world.reply(*call), Some(Ok(_))), "{call:?}");
            }
        }
        world.let_go(Hold::Events);
        world.run();
        prop_assert_eq!(usage(&world).total, 0);
        prop_assert!(world.store.uploads.is_empty());
        world.assert_at_rest();
    }
}

#[test]
fn a_call_whose_bodies_do_not_fit_gives_its_bytes_to_the_one_that_waits() {
    let mut world = World::new();
    world.set_quota(100);
    let calls =
        ["1", "2"].map(|id| world.call_fetch(id, vec![post("/a", 80)], FetchOptions::default()));
    world.serve_planned("/a", []);
    world.hold(Hold::Events);
    world.run_while(|world| calls.iter().all(|call| world.reply(*call).is_none()));
    world.run_now();
    let fits = |call: &&_| matches!(world.reply(**call), Some(Ok(_)));
    assert_eq!(calls.iter().filter(fits).count(), 1);
}

#[test]
fn a_call_of_fetch_is_not_refused_for_bytes_that_a_download_does_not_use() {
    let mut world = World::new();
    world.set_quota(100);
    let slow = world.serve("/slow", unannounced(50));
    world.resource("/slow").plans = [Plan::Stall(10)].into();
    world.fetch([slow]);
    assert_eq!(usage(&world).set_aside, 90);
    let other = world.serve("/other", unannounced(60));
    let second = world.fetch_total([other], 60);
    world.run();
    assert_eq!(world.result(second), Some(Ok(())));
}

#[test]
fn a_call_that_comes_to_nothing_leaves_nothing_set_aside() {
    for hold in [Hold::Permission, Hold::Bodies, Hold::Commits] {
        let mut world = World::new();
        world.set_quota(1000);
        world.hold(hold);
        let options = FetchOptions::default().with(|it| it.download_total = 100);
        let call = world.call_fetch("id", vec![post("/a", 7)], options);
        world.run_now();
        world.drop_call(call);
        world.unregister(registration());
        world.let_go(hold);
        world.run();
        assert_eq!(usage(&world).total, 0, "{hold:?}");
    }
}
