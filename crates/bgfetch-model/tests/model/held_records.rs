//! Records that are held after their event, and the fetches that adopt them.

use std::time::Duration;

use bgfetch_model::action::Reply;
use bgfetch_model::config::Config;
use bgfetch_model::error::CallError;
use bgfetch_model::ids::FetchKey;
use bgfetch_model::input::FetchOptions;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::response::{FailureReason, RecordResult};

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, World, get, registration, with_integrity};

/// A fetch of a film that succeeds, a song that is always cut after 40 bytes and a page that does
/// not exist. Its worker wants the records to be held.
fn failed(world: &mut World) -> FetchKey {
    let film = world.serve_planned("/film", []);
    let song = world.serve_planned("/song", [Plan::Cut(40), Plan::Permanent]);
    let gone = world.serve_planned("/gone", [Plan::Status(404, None)]);
    world.hold(Hold::Events);
    let fetch = world.fetch([film, song, gone]);
    world.run();
    let held = world.hold_records(fetch, true);
    assert_eq!(world.reply(held), Some(Ok(Reply::Done)));
    world.let_go(Hold::Events);
    world.run();
    assert!(matches!(world.result(fetch), Some(Err(_))));
    fetch
}

/// Calls `fetch()` for the same requests once more.
fn again(world: &mut World) -> FetchKey {
    let fetch = world.fetch([get("/film"), get("/song"), get("/gone")]);
    world.run();
    fetch
}

#[test]
fn what_is_held_is_adopted_and_only_the_rest_is_fetched() {
    for crash in [false, true] {
        let mut world = World::new();
        let first = failed(&mut world);
        if crash {
            world.crash(0, |length| length);
            world.run();
        }
        let held = world.bgfetch(first);
        assert!(!held.records_available(), "not for scripts");
        assert_eq!(held.match_all(None, Default::default()), Err(CallError::RecordsUnavailable));
        assert!(held.display().over && held.display().dismissible);
        assert_eq!(held.stored_body_bytes_total(), 140);

        let second = again(&mut world);
        assert_eq!(world.result(second), Some(Ok(())));
        assert_eq!(world.seen("/film").len(), 1, "it was complete");
        assert_eq!(world.starts("/song"), [0, 40, 40], "it resumes");
        assert_eq!(world.starts("/gone"), [0, 0]);
        // The first fetch has nothing left to adopt, and the second was not held.
        assert!(world.bgfetch(first).records().is_empty());
        assert!(world.bgfetch(second).records().is_empty());
        assert!(world.store.files.is_empty());
    }
}

#[test]
fn pages_never_adopt_and_nobody_adopts_from_a_page() {
    let page = || Principal::Page(PolicySnapshot::of(&registration().scope));
    for (first, second) in [(Principal::User, page()), (page(), Principal::User), (page(), page())]
    {
        let mut world = World::new();
        world.principal = first;
        failed(&mut world);
        world.principal = second;
        let again = again(&mut world);
        assert_eq!(world.result(again), Some(Ok(())));
        assert_eq!(world.seen("/film").len(), 2);
        assert_eq!(world.starts("/song"), [0, 40, 0]);
    }
}

#[test]
fn only_an_equal_request_of_the_same_storage_key_adopts() {
    let mut world = World::new();
    failed(&mut world);
    let mut other = get("/film");
    other.headers.append("Accept", "text/plain");
    world.fetch([other]);
    world.run();
    assert_eq!(world.seen("/film").len(), 2);

    let mut elsewhere = registration();
    elsewhere.storage_key.0.push('2');
    world.register(elsewhere.clone(), true);
    world.run();
    world.call_fetch_of(elsewhere, "id", vec![get("/film")], FetchOptions::default());
    world.run();
    assert_eq!(world.seen("/film").len(), 3);

    // Another registration of the storage key belongs to the same user.
    let mut folder = registration();
    folder.scope = "https://a.test/folder/".parse().unwrap();
    world.register(folder.clone(), true);
    world.run();
    world.call_fetch_of(folder, "id", vec![get("/film")], FetchOptions::default());
    world.run();
    assert_eq!(world.seen("/film").len(), 3);
}

#[test]
fn a_crash_in_an_adoption_leaves_the_bytes_with_one_of_both() {
    for kept in [0, 1] {
        let mut world = World::new();
        let first = failed(&mut world);
        world.hold(Hold::Commits);
        world.call_fetch("id", vec![get("/film"), get("/song"), get("/gone")], Default::default());
        world.run_now();
        world.let_go(Hold::Commits);
        world.crash(kept, |length| length);
        world.run();
        if kept == 0 {
            assert_eq!(world.bgfetch(first).records().len(), 3);
            again(&mut world);
        }
        let results: Vec<_> = world.model.fetches().map(|fetch| fetch.result()).collect();
        assert_eq!(results[1], Some(Ok(())));
        assert_eq!(world.seen("/film").len(), 1);
        assert!(world.store.files.is_empty());
    }
}

#[test]
fn bytes_without_a_validator_or_with_the_wrong_integrity_are_not_adopted() {
    let mut world = World::new();
    let plans = [Plan::Cut(40), Plan::Permanent].into();
    let untagged = Resource { etag: false, plans, ..Resource::default() };
    let untagged = world.serve("/untagged", untagged);
    let forged = with_integrity(world.serve_planned("/forged", []), 7, 100);
    let empty = world.serve_planned("/empty", [Plan::Cut(0), Plan::Permanent]);
    world.hold(Hold::Events);
    let fetch = world.fetch([untagged.clone(), forged.clone(), empty]);
    world.run();
    world.hold_records(fetch, true);
    world.let_go(Hold::Events);
    world.run();
    assert!(world.bgfetch(fetch).records().is_empty(), "there is nothing to hold");
    world.fetch([untagged, forged]);
    world.run();
    assert_eq!(world.starts("/untagged"), [0, 0, 0]);
    assert_eq!(world.starts("/forged"), [0, 0]);
}

#[test]
fn what_varies_by_user_is_adopted_only_if_a_request_can_tell_whose_it_is() {
    for vary in ["Cookie", "*", "Accept"] {
        let mut world = World::new();
        let headers = |length: u64| {
            let length = ("Content-Length", length.to_string());
            vec![length, ("ETag", "\"1\"".into()), ("Vary", vary.into())]
        };
        let plan = |length| Plan::Raw(200, headers(100), 0, length);
        let whole = world.serve_planned("/whole", [plan(100)]);
        let part = world.serve_planned("/part", [plan(40), Plan::Permanent]);
        world.hold(Hold::Events);
        let fetch = world.fetch([whole.clone(), part.clone()]);
        world.run();
        world.hold_records(fetch, true);
        world.let_go(Hold::Events);
        world.run();
        world.fetch([whole, part]);
        world.run();
        let requests = if vary == "Accept" { 1 } else { 2 };
        assert_eq!(world.seen("/whole").len(), requests, "{vary}");
        assert_eq!(world.starts("/part")[..3], [0, 40, 40], "{vary}");
    }
}

#[test]
fn a_whole_body_is_adopted_before_a_part_of_it() {
    let mut world = World::new();
    let plans = [Plan::Serve, Plan::Cut(40), Plan::Permanent];
    let request = world.serve_planned("/a", plans);
    world.hold(Hold::Events);
    let first = world.fetch([request.clone(), request.clone()]);
    world.run();
    world.hold_records(first, true);
    world.let_go(Hold::Events);
    world.run();
    assert_eq!(world.bgfetch(first).stored_body_bytes_total(), 140);
    let second = world.fetch([request]);
    world.run();
    assert_eq!(world.result(second), Some(Ok(())));
    assert_eq!(world.seen("/a").len(), 3, "nothing is requested again");
}

#[test]
fn a_whole_body_of_an_aborted_fetch_is_adopted_under_the_same_condition() {
    for (vary, requests) in [("Cookie", 2), ("Accept", 1)] {
        let mut world = World::new();
        let headers = [("Content-Length", "100"), ("ETag", "\"1\""), ("Vary", vary)];
        let headers = headers.map(|(name, value)| (name, value.into())).to_vec();
        let request = world.serve_planned("/a", [Plan::Raw(200, headers, 0, 100)]);
        world.hold(Hold::Events);
        world.hold(Hold::Caller);
        let fetch = world.fetch([request.clone()]);
        world.let_go(Hold::Caller);
        world.run_while(|world| world.stored(fetch, 0) < 100);
        world.abort(fetch);
        world.run();
        assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
        world.hold_records(fetch, true);
        world.let_go(Hold::Events);
        world.run();
        let second = world.fetch([request]);
        world.run();
        assert_eq!(world.result(second), Some(Ok(())));
        assert_eq!(world.seen("/a").len(), requests, "{vary}");
    }
}

#[test]
fn held_bytes_count_to_the_quota_until_they_are_released_or_dismissed() {
    let promising = |total| FetchOptions::default().with(|it| it.download_total = total);
    for dismisses in [false, true] {
        let mut world = World::new();
        world.set_quota(250);
        let fetch = failed(&mut world);
        let full = world.call_fetch("full", vec![get("/other")], promising(111));
        world.run_now();
        assert_eq!(world.reply(full), Some(Err(CallError::QuotaExceeded)));
        let released =
            if dismisses { world.dismiss(fetch) } else { world.hold_records(fetch, false) };
        assert_eq!(world.reply(released), None, "answered before the store");
        world.run();
        assert_eq!(world.reply(released), Some(Ok(Reply::Done)));
        assert_eq!(world.model.fetch(fetch).is_none(), dismisses);
        assert!(world.store.files.is_empty());
        let fits = world.call_fetch("fits", vec![get("/other")], promising(250));
        world.run_now();
        assert!(matches!(world.reply(fits), Some(Ok(Reply::Fetch(_)))));
    }
}

#[test]
fn an_adoption_takes_no_further_quota_and_no_more_than_was_promised() {
    let mut world = World::new();
    world.set_quota(310);
    failed(&mut world);
    let second = again(&mut world);
    assert_eq!(world.result(second), Some(Ok(())));

    let mut world = World::new();
    failed(&mut world);
    let second = world.fetch_total([get("/film"), get("/song")], 120);
    world.run();
    assert_eq!(world.seen("/film").len(), 1);
    assert_eq!(world.starts("/song"), [0, 40, 0], "it would not have fitted");
    assert_eq!(world.result(second), Some(Err(FailureReason::DownloadTotalExceeded)));
    let film = RecordResult::Success;
    assert_eq!(world.record_result(second, 0), Some(film));
}

#[test]
fn an_adoption_leaves_room_for_all_that_was_promised() {
    let mut world = World::new();
    failed(&mut world);
    let second = world.fetch_total([get("/film"), get("/song")], 200);
    world.run();
    assert_eq!(world.result(second), Some(Ok(())));
    assert_eq!(world.starts("/song"), [0, 40, 40]);
}

#[test]
fn records_that_are_held_stay_held_and_those_that_are_gone_cannot_be() {
    let mut world = World::new();
    let held = failed(&mut world);
    let call = world.hold_records(held, true);
    world.run();
    assert_eq!(world.reply(call), Some(Ok(Reply::Done)));
    assert_eq!(world.bgfetch(held).records().len(), 3);
    let gone = again(&mut world);
    let (hold, release) = (world.hold_records(gone, true), world.hold_records(gone, false));
    assert_eq!(world.reply(hold), Some(Err(CallError::RecordsUnavailable)));
    assert_eq!(world.reply(release), Some(Ok(Reply::Done)));
}

#[test]
fn held_records_are_bounded_in_number_and_age() {
    let config = Config::default().with(|it| {
        it.max_held = 2;
        it.held_age = Duration::from_secs(3600);
    });
    let mut world = World::with(config);
    let mut fetches = Vec::new();
    for number in 0..4 {
        let path = format!("/{number}");
        let song = world.serve_planned(&path, [Plan::Cut(40), Plan::Permanent]);
        world.hold(Hold::Events);
        let fetch = world.fetch([song]);
        world.run();
        world.hold_records(fetch, true);
        world.let_go(Hold::Events);
        world.run();
        fetches.push(fetch);
    }
    let held = |world: &World| -> Vec<_> {
        let holds = |fetch: &FetchKey| !world.bgfetch(*fetch).records().is_empty();
        fetches.iter().copied().filter(holds).collect()
    };
    assert_eq!(held(&world), fetches[2..]);
    // The last one has just settled.
    for (time, left) in
        [(Duration::from_secs(3600), &fetches[3..]), (Duration::from_millis(1), &[])]
    {
        world.pass(time);
        world.crash(0, |length| length);
        world.run();
        assert_eq!(held(&world), left);
    }
    assert!(world.store.files.is_empty());
}
