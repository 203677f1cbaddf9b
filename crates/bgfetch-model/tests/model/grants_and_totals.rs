//! `downloadTotal`, the quota, and the grants that keep every body within them (spec issue 6, D12,
//! D26).

use bgfetch_model::attempt::AttemptCommand;
use bgfetch_model::connectivity::{Connectivity, Reachable};
use bgfetch_model::input::FetchOptions;
use bgfetch_model::request::Request;
use bgfetch_model::response::FailureReason;

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, Step, World, post, record, registration};

const MIB: u64 = 1 << 20;

fn of_length(length: u64) -> Resource {
    Resource { length, ..Resource::default() }
}

/// A response whose length is not announced.
fn unannounced(length: u64) -> Resource {
    Resource { content_length: false, ..of_length(length) }
}

#[test]
fn a_body_of_known_length_is_granted_with_its_head() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    let fetch = world.fetch([request]);
    world.run();
    let commands = world.commands(record(fetch, 0));
    assert!(matches!(commands[..], [AttemptCommand::Receive { grant: 100, .. }]), "{commands:?}");
}

#[test]
fn as_many_bytes_as_promised_are_fine_and_one_more_is_not() {
    for announced in [true, false] {
        for (promised, expected) in [(100, Ok(())), (99, Err(FailureReason::DownloadTotalExceeded))]
        {
            let mut world = World::new();
            let request =
                world.serve("/a", Resource { content_length: announced, ..of_length(100) });
            let fetch = world.fetch_total([request], promised);
            world.run();
            assert_eq!(world.result(fetch), Some(expected));
        }
    }
}

#[test]
fn siblings_give_back_what_they_do_not_need_before_the_total_is_exceeded() {
    let mut world = World::new();
    let requests: Vec<_> =
        (0..6).map(|i| world.serve(&format!("/{i}"), unannounced(10 + i))).collect();
    world.chunk = 3;
    let fetch = world.fetch_total(requests, 60 + 15);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 75);
}

#[test]
fn a_total_that_is_used_up_recalls_nothing_from_other_fetches() {
    let mut world = World::new();
    let other = world.serve("/other", unannounced(50));
    world.resource("/other").plans = [Plan::Stall(10)].into();
    let other = world.fetch([other]);
    let request = world.serve("/a", unannounced(50));
    let fetch = world.fetch_total([request], 40);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::DownloadTotalExceeded)));
    assert!(!world.commands(record(other, 0)).contains(&AttemptCommand::RecallGrant));
}

#[test]
fn a_record_whose_length_is_known_holds_back_nothing_that_its_siblings_need() {
    let mut world = World::new();
    let requests = [world.serve("/a", of_length(10)), world.serve("/b", of_length(50))];
    let fetch = world.fetch_total(requests, 60);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    for index in [0, 1] {
        let commands = world.commands(record(fetch, index));
        assert!(!commands.contains(&AttemptCommand::RecallGrant));
    }
}

#[test]
fn a_large_body_is_granted_step_by_step() {
    let mut world = World::new();
    let request = world.serve("/a", unannounced(100 * MIB));
    world.chunk = MIB;
    world.set_quota(100 * MIB);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn the_quota_is_a_limit_that_ends_the_fetch() {
    for (quota, expected) in [(100, Ok(())), (99, Err(FailureReason::QuotaExceeded))] {
        let mut world = World::new();
        world.set_quota(quota);
        let requests = [world.serve("/a", unannounced(40)), world.serve("/b", unannounced(60))];
        let fetch = world.fetch(requests);
        world.run();
        assert_eq!(world.result(fetch), Some(expected));
    }
}

#[test]
fn a_record_that_ended_leaves_what_it_did_not_use_to_other_fetches() {
    let mut world = World::new();
    world.set_quota(3 * MIB);
    let small = world.serve("/small", unannounced(10));
    let slow = world.serve("/slow", of_length(1));
    world.resource("/slow").plans = [Plan::Stall(0)].into();
    world.fetch([small, slow]);
    world.chunk = MIB;
    let large = world.serve("/large", unannounced(2 * MIB));
    let fetch = world.fetch([large]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

/// Two records of unknown length; the first one holds the whole allowance.
fn two_rivals(world: &mut World, first: Plan) -> [Request; 2] {
    let a = world.serve("/a", unannounced(30));
    world.resource("/a").plans = [first].into();
    [a, world.serve("/b", unannounced(30))]
}

fn take(world: &mut World, pick: impl Fn(&World, Step) -> bool) {
    let steps = world.steps();
    let step = steps.into_iter().find(|step| pick(world, *step));
    world.step(step.expect("such a step"));
}

fn is_of(world: &World, step: Step, index: u32) -> bool {
    match step {
        Step::Work(id) | Step::Report(id) => world.attempts[&id].record.index.0 == index,
        _ => true,
    }
}

#[test]
fn a_grant_asked_for_while_it_is_recalled_is_given_after_the_recall() {
    let mut world = World::new();
    world.chunk = 8 * MIB;
    let requests = ["/a", "/b", "/c"].map(|path| world.serve(path, unannounced(16 * MIB)));
    world.hold(Hold::Work);
    // At first, each gets a third of the total.
    let fetch = world.fetch_total(requests, 24 * MIB);
    let attempts: Vec<_> = world.attempts.keys().copied().collect();
    let [a, b, c] = attempts[..] else {
        panic!("three attempts");
    };
    world.let_go(Hold::Work);
    world.hold(Hold::Reports);
    let work = |world: &mut World, id| world.step(Step::Work(id));
    let report = |world: &mut World, id| {
        while world.attempts[&id].has_reports() {
            world.step(Step::Report(id));
        }
    };
    for id in [a, b, c] {
        work(&mut world, id);
        report(&mut world, id);
        world.run_commits();
        work(&mut world, id);
    }
    // The first two use up their grants and ask for more. The second one's request arrives first:
    // as far as the model knows, the others have not used up theirs.
    for id in [a, b] {
        work(&mut world, id);
        work(&mut world, id);
    }
    report(&mut world, b);
    work(&mut world, c);
    report(&mut world, c);
    report(&mut world, a);
    world.let_go(Hold::Reports);
    // The world checks that both together do not exceed the total.
    world.run();
    let exceeded = Err(FailureReason::DownloadTotalExceeded);
    assert_eq!(world.result(fetch), Some(exceeded));
}

#[test]
fn a_sibling_that_is_being_stopped_returns_its_grant_before_the_total_is_exceeded() {
    let mut world = World::new();
    world.chunk = 5;
    let [a, _] = two_rivals(&mut world, Plan::Stall(5));
    world.resource("/a").plans.push_back(Plan::NoRoute);
    let mut b = Request::get("http://127.0.0.1/b".parse().unwrap());
    b.headers.append("Accept", "*/*");
    world.origin.0.insert(b.url.clone(), unannounced(30));
    world.hold(Hold::Caller);
    let fetch = world.fetch_total([a, b], 60);
    world.let_go(Hold::Caller);
    // The first record gets everything. Then only loopback, the second record's host, can be
    // reached.
    while world.stored(fetch, 0) < 5 {
        take(&mut world, |world, step| is_of(world, step, 0));
    }
    let loopback = Reachable::default().with(|it| it.loopback = true);
    world.set_connectivity(Connectivity::Offline(loopback));
    while world.stored(fetch, 1) < 30 && world.steps().iter().any(|s| is_of(&world, *s, 1)) {
        take(&mut world, |world, step| is_of(world, step, 1));
    }
    world.run_now();
    assert_eq!(world.result(fetch), None, "the first record waits for the network");
    world.set_connectivity(Connectivity::Online);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn the_quota_of_a_fetch_is_free_again_when_it_is_over_however_it_ended() {
    let total = |world: &mut World, id: &str, download_total| {
        let options = FetchOptions::default().with(|it| it.download_total = download_total);
        world.call_fetch(id, vec![post("/a", 10)], options)
    };
    let mut world = World::new();
    world.serve("/a", of_length(5));
    world.set_quota(100);
    let is_free = |world: &mut World| {
        let probe = total(world, "probe", 90);
        world.run_now();
        let reply = world.reply(probe);
        assert!(matches!(reply, Some(Ok(_))), "{reply:?}");
        let bgfetch_model::action::Reply::Fetch(key) = reply.unwrap().unwrap() else {
            panic!("no fetch");
        };
        world.abort(key.info.key);
        world.run();
        let over = total(world, "over", 91);
        world.run_now();
        assert!(world.reply(over).unwrap().is_err(), "released twice");
    };
    is_free(&mut world);
    // After delivery, dismissed or not, and then removed with the registration.
    for dismiss in [true, false] {
        let call = total(&mut world, "x", 50);
        world.run();
        let Some(key) = world.registered(call) else {
            panic!("no fetch");
        };
        if dismiss {
            world.dismiss(key);
        }
        world.unregister(registration());
        world.register(registration(), true);
        world.run();
        is_free(&mut world);
    }
    // Removed in every intermediate state.
    for hold in [
        Hold::Permission,
        Hold::Bodies,
        Hold::Commits,
        Hold::Caller,
        Hold::Work,
        Hold::Reports,
        Hold::Clients,
        Hold::Events,
    ] {
        world.hold(hold);
        total(&mut world, "x", 50);
        world.run_now();
        world.unregister(registration());
        world.register(registration(), true);
        world.let_go(hold);
        world.run();
        is_free(&mut world);
    }
    // After recovery.
    total(&mut world, "x", 50);
    world.hold(Hold::Events);
    world.run();
    world.crash(0, |length| length);
    let probe = total(&mut world, "y", 100 - 2 * 10 - 5);
    world.run_now();
    assert!(matches!(world.reply(probe), Some(Ok(_))), "a settled fetch needs only what it holds");
    world.let_go(Hold::Events);
    world.run();
    is_free(&mut world);
}

#[test]
fn the_bytes_of_a_representation_that_was_replaced_are_not_counted() {
    let mut world = World::new();
    let request = world
        .serve("/a", Resource { etag: false, plans: [Plan::Cut(90)].into(), ..of_length(100) });
    let fetch = world.fetch_total([request], 100);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}
