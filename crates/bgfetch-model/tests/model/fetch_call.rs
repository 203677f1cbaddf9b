//! Calls of `fetch()`: errors, order, id and quota (D11, D19, D12).

use bgfetch_model::action::{Action, PauseReason, Reply};
use bgfetch_model::config::Config;
use bgfetch_model::error::{CallError, DomException};
use bgfetch_model::ids::{CallId, FetchKey};
use bgfetch_model::input::FetchOptions;
use bgfetch_model::input::{BodyError, Permission};
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{CacheMode, Request, RequestMode};

use crate::world::origin::Plan;
use crate::world::{Hold, World, get, post, registration};

fn total(download_total: u64) -> FetchOptions {
    FetchOptions::default().with(|it| it.download_total = download_total)
}

/// The reply to one call in a world with a good resource at `/a`.
fn answer(world: &mut World, id: &str, requests: Vec<Request>) -> Result<Reply, CallError> {
    world.serve_planned("/a", []);
    let call = world.call_fetch(id, requests, FetchOptions::default());
    world.run_now();
    world.reply(call).expect("an answer")
}

fn key(world: &World, call: CallId) -> FetchKey {
    match world.reply(call) {
        Some(Ok(Reply::Fetch(fetch))) => fetch.info.key,
        other => panic!("fetch() gave {other:?}"),
    }
}

#[test]
fn what_is_wrong_with_the_arguments_is_a_type_error_before_anything_is_asked() {
    let with_url = |url: &str| Request::get(url.parse().unwrap());
    let no_cors = get("/a").with(|it| it.mode = RequestMode::NoCors);
    let method = |method: &str| get("/a").with(|it| it.method = method.into());
    let only_if_cached = get("/a").with(|it| it.cache = CacheMode::OnlyIfCached);
    let cases = [
        ("", vec![get("/a")], CallError::EmptyId),
        ("id", vec![], CallError::NoRequests),
        ("id", vec![get("/a"), no_cors], CallError::NoCors),
        ("id", vec![with_url("https://user@a.test/")], CallError::CredentialsInUrl),
        ("id", vec![with_url("https://:pass@a.test/")], CallError::CredentialsInUrl),
        ("id", vec![with_url("https://a.test:25/")], CallError::BlockedPort),
        ("id", vec![method("CONNECT")], CallError::ForbiddenMethod),
        ("id", vec![get("/a"), method("trace")], CallError::ForbiddenMethod),
        ("id", vec![method("TRACK")], CallError::ForbiddenMethod),
        ("id", vec![only_if_cached], CallError::OnlyIfCached),
        ("id", vec![get("/a"); 3], CallError::TooManyRequests),
    ];
    for (id, requests, error) in cases {
        let mut world = World::with(Config::default().with(|it| it.max_requests = 2));
        world.permission = Permission::Denied;
        assert_eq!(answer(&mut world, id, requests), Err(error));
        assert_eq!(error.dom_exception(), DomException::TypeError);
        let asked = |(_, action): &(_, Action)| matches!(action, Action::QueryPermission { .. });
        assert!(!world.log.iter().any(asked), "{error:?}");
    }
}

#[test]
fn only_if_cached_is_a_matter_of_the_record_where_the_mode_is_same_origin() {
    let (mode, cache) = (RequestMode::SameOrigin, CacheMode::OnlyIfCached);
    let request = get("/a").with(|it| {
        it.mode = mode;
        it.cache = cache;
    });
    assert!(answer(&mut World::new(), "id", vec![request]).is_ok());
}

#[test]
fn a_pages_forbidden_headers_are_dropped_silently_and_a_users_are_kept() {
    let headers = [("X", "1"), ("Cookie", "a=b"), ("Sec-Purpose", "x"), ("Range", "bytes=0-")];
    let request = get("/a").with(|it| it.headers = headers.into_iter().collect());
    let page = Principal::Page(PolicySnapshot::of(&request.url));
    for (principal, kept) in [(page, &["X", "Range"][..]), (Principal::User, &headers.map(|h| h.0))]
    {
        let mut world = World::new();
        world.principal = principal;
        world.hold(Hold::Caller);
        let Ok(Reply::Fetch(fetch)) = answer(&mut world, "id", vec![request.clone()]) else {
            panic!("fetch() failed");
        };
        let stored = &world.bgfetch(fetch.info.key).records()[0].request().headers;
        assert_eq!(stored.iter().map(|(name, _)| name).collect::<Vec<_>>(), kept);
    }
}

#[test]
fn a_denied_permission_comes_before_a_missing_worker_and_that_before_an_id_in_use() {
    let mut world = World::new();
    assert!(answer(&mut world, "id", vec![post("/slow", 1)]).is_ok());
    world.register(registration(), false);
    world.permission = Permission::Denied;
    let denied = answer(&mut world, "id", vec![get("/a")]);
    assert_eq!(denied, Err(CallError::PermissionDenied));
    let exception = CallError::PermissionDenied.dom_exception();
    assert_eq!(exception, DomException::NotAllowedError);
    world.permission = Permission::Granted;
    let no_worker = answer(&mut world, "id", vec![get("/a")]);
    assert_eq!(no_worker, Err(CallError::NoActiveWorker));
}

#[test]
fn a_worker_that_the_caller_was_not_told_of_is_missing_after_the_permission() {
    let mut world = World::new();
    world.sees_active_worker = false;
    let no_worker = answer(&mut world, "id", vec![get("/a")]);
    assert_eq!(no_worker, Err(CallError::NoActiveWorker));
    world.permission = Permission::Denied;
    let denied = answer(&mut world, "id", vec![get("/a")]);
    assert_eq!(denied, Err(CallError::PermissionDenied));
}

#[test]
fn of_five_concurrent_calls_with_one_id_one_succeeds() {
    let mut world = World::new();
    world.hold(Hold::Permission);
    let calls: Vec<_> = (0..5)
        .map(|_| world.call_fetch("id", vec![post("/a", 5)], FetchOptions::default()))
        .collect();
    world.run_now();
    world.hold(Hold::Bodies);
    world.let_go(Hold::Permission);
    world.run_now();
    world.let_go(Hold::Bodies);
    world.run_now();
    let replies: Vec<_> = calls.into_iter().map(|call| world.reply(call)).collect();
    let good = |reply: &&Option<_>| matches!(reply, Some(Ok(Reply::Fetch(_))));
    assert_eq!(replies.iter().filter(good).count(), 1);
    let in_use = |reply: &&Option<_>| **reply == Some(Err(CallError::IdInUse));
    assert_eq!(replies.iter().filter(in_use).count(), 4);
}

#[test]
fn the_embedder_may_bound_how_many_fetches_are_active() {
    let mut world = World::with(Config::default().with(|it| it.max_active_fetches = 1));
    world.network = false;
    assert!(answer(&mut world, "1", vec![get("/a")]).is_ok());
    let second = answer(&mut world, "2", vec![get("/a")]);
    assert_eq!(second, Err(CallError::TooManyFetches));
    world.network = true;
    world.run();
    assert!(answer(&mut world, "2", vec![get("/a")]).is_ok());
}

#[test]
fn a_body_that_never_ends_holds_up_no_other_call() {
    let mut world = World::new();
    world.hold(Hold::Bodies);
    let stuck = world.call_fetch("stuck", vec![post("/a", 5)], FetchOptions::default());
    world.run_now();
    let Ok(Reply::Fetch(other)) = answer(&mut world, "other", vec![get("/a")]) else {
        panic!("fetch() failed");
    };
    world.run();
    assert_eq!(world.result(other.info.key), Some(Ok(())));
    assert_eq!(world.reply(stuck), None);
    assert_eq!(answer(&mut world, "stuck", vec![get("/a")]), Err(CallError::IdInUse));
}

#[test]
fn a_body_that_cannot_be_read_or_stored_frees_the_id_and_what_was_stored() {
    for (body, error) in [
        (BodyError::Unreadable, CallError::BodyUnreadable),
        (BodyError::QuotaExceeded, CallError::QuotaExceeded),
    ] {
        let mut world = World::new();
        world.body_error = Some(body);
        assert_eq!(answer(&mut world, "id", vec![post("/a", 5)]), Err(error));
        let discarded = |(_, action): &(_, Action)| matches!(action, Action::DiscardBodies(_));
        assert!(world.log.iter().any(discarded));
        world.body_error = None;
        assert!(answer(&mut world, "id", vec![post("/a", 5)]).is_ok());
    }
}

#[test]
fn the_upload_total_is_the_bytes_that_were_stored() {
    let mut world = World::new();
    let fetch = world.fetch([post("/a", 30), get("/a"), post("/b", 12)]);
    assert_eq!(world.bgfetch(fetch).upload_total(), 42);
}

#[test]
fn a_dropped_call_leaves_nothing_behind() {
    for hold in [Hold::Permission, Hold::Bodies] {
        let mut world = World::new();
        world.set_quota(100);
        world.hold(hold);
        let call = world.call_fetch("id", vec![post("/a", 5)], total(50));
        world.run_now();
        world.drop_call(call);
        world.let_go(hold);
        world.run();
        assert_eq!(world.reply(call), None);
        assert_eq!(world.model.fetches().count(), 0);
        // Its id and its quota are free again.
        let again = world.call_fetch("id", vec![post("/a", 5)], total(95));
        world.run_now();
        key(&world, again);
    }
}

#[test]
fn the_promise_waits_until_the_fetch_is_durable() {
    let mut world = World::new();
    world.serve_planned("/a", []);
    world.hold(Hold::Commits);
    let call = world.call_fetch("id", vec![get("/a")], FetchOptions::default());
    world.run_now();
    assert_eq!(world.reply(call), None);
    assert_eq!(world.model.get(&registration(), "id"), Ok(None));
    world.hold(Hold::Caller);
    world.let_go(Hold::Commits);
    world.run_now();
    let fetch = key(&world, call);
    assert_eq!(world.model.get(&registration(), "id"), Ok(Some(fetch)));
    assert_eq!(world.model.get_ids(&registration()), ["id"]);
    assert_eq!(world.model.get(&registration(), ""), Err(CallError::EmptyId));
}

#[test]
fn work_starts_when_the_caller_had_its_turn() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Permanent]);
    world.hold(Hold::Caller);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.seen("/a").len(), 0);
    assert_eq!(
        world.bgfetch(fetch).match_all(None, Default::default()).map(|found| found.len()),
        Ok(1)
    );
    world.let_go(Hold::Caller);
    world.run();
    assert!(world.result(fetch).is_some());
}

#[test]
fn a_prompt_may_start_a_fetch_paused() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    world.permission = Permission::StartPaused;
    world.hold(Hold::Caller);
    let fetch = world.fetch([request]);
    world.run();
    assert!(world.bgfetch(fetch).is_paused());
    let display = world.bgfetch(fetch).display();
    assert_eq!(display.pause_reason, Some(PauseReason::User), "the user sees it at once");
    assert!(!display.uses_bandwidth);
    world.let_go(Hold::Caller);
    world.run();
    assert_eq!(world.seen("/a").len(), 0);
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.seen("/a").len(), 0, "the user was not asked yet");
    world.set_paused(fetch, false);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn quota_for_the_download_total_is_promised_to_one_fetch_only() {
    let mut world = World::new();
    world.set_quota(150);
    let request = world.serve_planned("/a", [Plan::Stall(0)]);
    let first = world.call_fetch("1", vec![request.clone()], total(100));
    let second = world.call_fetch("2", vec![request.clone()], total(100));
    world.run_now();
    assert!(matches!(world.reply(first), Some(Ok(_))));
    assert_eq!(world.reply(second), Some(Err(CallError::QuotaExceeded)));
    let exception = CallError::QuotaExceeded.dom_exception();
    assert_eq!(exception, DomException::QuotaExceededError);
    // The part that the first fetch did not use is free once it settled.
    let first = key(&world, first);
    world.abort(first);
    world.hold(Hold::Events);
    world.run();
    let third = world.call_fetch("3", vec![request], total(150));
    world.run_now();
    key(&world, third);
}

#[test]
fn request_bodies_count_against_the_quota_until_the_fetch_is_delivered() {
    let mut world = World::new();
    world.set_quota(100);
    world.serve_planned("/a", []);
    let first = world.call_fetch("1", vec![post("/slow", 60)], FetchOptions::default());
    let second = world.call_fetch("2", vec![post("/slow", 41)], FetchOptions::default());
    world.hold(Hold::Events);
    world.run();
    assert!(matches!(world.reply(first), Some(Ok(_))));
    assert_eq!(world.reply(second), Some(Err(CallError::QuotaExceeded)));
    world.let_go(Hold::Events);
    world.run();
    let third = world.call_fetch("3", vec![post("/slow", 100)], FetchOptions::default());
    world.run();
    key(&world, third);
}
