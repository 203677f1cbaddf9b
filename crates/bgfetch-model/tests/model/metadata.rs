//! What a site makes the engine keep besides bodies counts to its quota and is limited.

use bgfetch_model::action::Reply;
use bgfetch_model::budget::Usage;
use bgfetch_model::config::Config;
use bgfetch_model::error::{CallError, DomException};
use bgfetch_model::ids::CallId;
use bgfetch_model::input::FetchOptions;
use bgfetch_model::metadata::ROW;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{Referrer, Request};
use bgfetch_model::response::FailureReason;
use bgfetch_model::store_op::ImageResource;
use proptest::prelude::*;

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, World, get, post, registration};

const MIB: u64 = 1 << 20;

/// A world in which metadata counts.
fn counting() -> World {
    World::with(Config::default())
}

fn usage(world: &World) -> Usage {
    world.model.usage(&registration().storage_key)
}

fn titled(title: impl Into<String>) -> FetchOptions {
    FetchOptions::default().with(|it| it.title = title.into())
}

fn icon(path: &str) -> ImageResource {
    ImageResource::new(get(path).url)
}

fn refused(world: &mut World, id: &str, request: Request, options: FetchOptions) -> CallError {
    let call = world.call_fetch(id, vec![request], options);
    world.run_now();
    assert_eq!(usage(world).total, 0, "a refused call leaves nothing set aside");
    world.reply(call).unwrap().unwrap_err()
}

#[test]
fn what_no_honest_page_sends_is_refused_at_the_call() {
    let mut world = counting();
    let long = "x".repeat(2 << 20);
    let none = FetchOptions::default;
    let with_url = get(&format!("/{long}"));
    let mut with_header = get("/a");
    with_header.headers.append("x-a", long.clone());
    let mut with_name = get("/a");
    with_name.headers.append(long.clone(), "a");
    let mut with_many = get("/a");
    (0..100_000).for_each(|_| with_many.headers.append("a", ""));
    let referrer = Referrer::Url(with_url.url.clone());
    let with_referrer = get("/a").with(|it| it.referrer = referrer);
    let with_integrity = get("/a").with(|it| it.integrity = long.clone());
    let with_method = get("/a").with(|it| it.method = long.clone());
    let icons = |icons| FetchOptions::default().with(|it| it.icons = icons);
    let mut label = icon("/a");
    label.label.clone_from(&long);
    for (what, id, request, options) in [
        ("id", &*long, get("/a"), none()),
        ("title", "id", get("/a"), titled("x".repeat(16 << 20))),
        ("icon", "id", get("/a"), icons(vec![icon(&format!("/{long}"))])),
        ("label", "id", get("/a"), icons(vec![label])),
        ("icons", "id", get("/a"), icons(vec![icon("/a"); 65])),
        ("url", "id", with_url, none()),
        ("header", "id", with_header, none()),
        ("header's name", "id", with_name, none()),
        ("headers", "id", with_many, none()),
        ("referrer", "id", with_referrer, none()),
        ("integrity", "id", with_integrity, none()),
        ("method", "id", with_method, none()),
    ] {
        assert_eq!(refused(&mut world, id, request, options), CallError::TooLong, "{what}");
    }
    assert_eq!(CallError::TooLong.dom_exception(), DomException::TypeError);
}

#[test]
fn a_site_has_a_limited_number_of_fetches_and_calls() {
    let mut world = World::with(Config::default().with(|it| it.max_site_fetches = 3));
    let limit = Some(Err(CallError::SiteLimit));
    assert_eq!(CallError::SiteLimit.dom_exception(), DomException::QuotaExceededError);
    world.hold(Hold::Permission);
    world.hold(Hold::Work);
    let request = world.serve_planned("/a", []);
    let call = |world: &mut World, id: &str| {
        let call = world.call_fetch(id, vec![request.clone()], FetchOptions::default());
        world.run_now();
        call
    };
    let waiting: Vec<CallId> = ["1", "2", "3"].map(|id| call(&mut world, id)).into();
    assert!(waiting.iter().all(|call| world.reply(*call).is_none()));
    let fourth = call(&mut world, "4");
    assert_eq!(world.reply(fourth), limit, "three calls wait for the permission");
    world.drop_call(waiting[0]);
    world.let_go(Hold::Permission);
    world.run_now();
    let third = call(&mut world, "5");
    assert!(matches!(world.reply(third), Some(Ok(_))));
    let fourth = call(&mut world, "6");
    assert_eq!(world.reply(fourth), limit, "three fetches are active");
    world.let_go(Hold::Work);
    world.run();
    let again = call(&mut world, "6");
    assert!(matches!(world.reply(again), Some(Ok(_))));
}

#[test]
fn a_site_has_a_limited_number_of_requests_in_all_its_fetches_and_calls() {
    let mut world = World::with(Config::default().with(|it| it.max_site_requests = 4));
    let limit = Some(Err(CallError::SiteLimit));
    world.hold(Hold::Work);
    let request = world.serve_planned("/a", []);
    let call = |world: &mut World, id: &str, count| {
        let call = world.call_fetch(id, vec![request.clone(); count], FetchOptions::default());
        world.run_now();
        call
    };
    let first = call(&mut world, "1", 1);
    assert!(world.registered(first).is_some());
    let too_many = call(&mut world, "2", 4);
    assert_eq!(world.reply(too_many), limit);
    world.hold(Hold::Permission);
    let waiting = call(&mut world, "2", 2);
    let another = call(&mut world, "3", 2);
    assert_eq!((world.reply(waiting), world.reply(another)), (None, limit));
    world.let_go(Hold::Permission);
    world.let_go(Hold::Work);
    world.run();
    let again = call(&mut world, "3", 4);
    assert!(world.registered(again).is_some(), "the others have settled");
}

#[test]
fn what_takes_just_as_much_memory_as_a_site_may_have_is_accepted() {
    let texts = ["id", "GET", "https://a.test/a"].map(|text| text.len() as u64);
    let takes = 2 * ROW + texts.iter().sum::<u64>();
    for (limit, fits) in [(takes, true), (takes - 1, false)] {
        let mut world = World::with(Config::default().with(|it| it.max_site_memory = limit));
        let call = world.call_fetch("id", vec![get("/a")], titled(""));
        world.run_now();
        assert_eq!(matches!(world.reply(call), Some(Ok(_))), fits);
    }
}

#[test]
fn a_lower_limit_after_a_restart_does_not_keep_fetches_from_changing_their_titles() {
    let mut world = World::new();
    world.hold(Hold::Work);
    let fetches = [world.fetch([get("/a")]), world.fetch([get("/b")])];
    world.config.max_site_fetches = 1;
    world.crash(0, |length| length);
    world.run_now();
    let call = world.set_title(fetches[0], "A title");
    world.run_now();
    assert_eq!(world.reply(call), Some(Ok(Reply::Done)));
    let call = world.call_fetch("id", vec![get("/c")], titled(""));
    world.run_now();
    assert_eq!(world.reply(call), Some(Err(CallError::SiteLimit)));
}

#[test]
fn what_a_site_keeps_in_memory_is_limited_whatever_its_quota() {
    let config = Config::default().with(|it| it.max_site_memory = 2 * MIB);
    let limit = config.max_site_memory;
    let mut world = World::with(config);
    world.hold(Hold::Caller);
    let long = get(&format!("/{}", "x".repeat(200 << 10)));
    let mut refused = 0;
    for number in 0..20 {
        let call = world.call_fetch(&number.to_string(), vec![long.clone()], titled(""));
        world.run_now();
        match world.reply(call).unwrap() {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, CallError::SiteLimit);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 20 - limit / (201 << 10));
    // Policies are kept for each fetch.
    let mut policies = PolicySnapshot::of(&long.url);
    policies.referrer = None;
    policies.policy_container.csp_list = vec!["x".repeat(3 << 20)];
    world.principal = Principal::Page(policies);
    let call = world.call_fetch("policies", vec![get("/a")], titled(""));
    world.run_now();
    assert_eq!(world.reply(call), Some(Err(CallError::SiteLimit)));
}

#[test]
fn an_update_of_the_ui_is_limited_as_the_call_is() {
    let mut world = counting();
    world.set_quota(22 << 10);
    world.hold(Hold::Caller);
    let fetch = world.fetch([get("/a")]);
    let update = |world: &mut World, title: &str| {
        let call = world.set_title(fetch, title);
        world.run_now();
        world.reply(call).unwrap()
    };
    assert_eq!(update(&mut world, &"x".repeat(17 << 10)), Err(CallError::TooLong));
    assert_eq!(world.bgfetch(fetch).title(), "");
    let before = usage(&world).metadata;
    assert_eq!(update(&mut world, &"x".repeat(12 << 10)), Ok(Reply::Done));
    assert!(usage(&world).metadata >= before + (11 << 10), "it counts");
    assert_eq!(update(&mut world, &"y".repeat(16 << 10)), Err(CallError::QuotaExceeded));
    assert!(world.bgfetch(fetch).title().starts_with('x'));
    let takes = usage(&world).total;
    world.set_quota(takes);
    assert_eq!(update(&mut world, &"z".repeat(12 << 10)), Ok(Reply::Done), "it just fits");
    assert_eq!(update(&mut world, "short"), Ok(Reply::Done));
}

#[test]
fn what_does_not_fit_the_quota_is_refused_at_the_call() {
    let mut world = counting();
    world.set_quota(2000);
    let none = FetchOptions::default;
    assert_eq!(refused(&mut world, "id", get("/a"), none()), CallError::QuotaExceeded);
    world.set_quota(20_000);
    let long = get(&format!("/{}", "x".repeat(20_000)));
    assert_eq!(refused(&mut world, "id", long, none()), CallError::QuotaExceeded);
    let total = none().with(|it| it.download_total = 18_000);
    assert_eq!(refused(&mut world, "id", get("/a"), total), CallError::QuotaExceeded);
    let total = none().with(|it| it.download_total = 10_000);
    let call = world.call_fetch("id", vec![get("/a")], total);
    world.run_now();
    assert!(matches!(world.reply(call), Some(Ok(_))));
}

/// A response with a header of that length.
fn with_header(length: usize) -> Resource {
    Resource { length: 10, header: "x".repeat(length), ..Resource::default() }
}

#[test]
fn a_head_that_does_not_fit_ends_the_record_as_quota_exceeded() {
    let mut world = counting();
    world.set_quota(100 << 10);
    world.hold(Hold::Events);
    let [small, large] = [("/small", 1 << 10), ("/large", 100 << 10)]
        .map(|(path, length)| world.serve(path, with_header(length)));
    let small = world.fetch([small]);
    world.run();
    assert_eq!(world.result(small), Some(Ok(())));
    let large = world.fetch([large]);
    world.run();
    assert_eq!(world.result(large), Some(Err(FailureReason::QuotaExceeded)));
    world.let_go(Hold::Events);
    world.run();
    world.assert_at_rest();
}

#[test]
fn what_is_left_of_the_quota_does_not_tell_how_long_hidden_headers_are() {
    let counted = [0, 10, 1000].map(|length| {
        let mut world = counting();
        world.hold(Hold::Events);
        let request = world.serve("/a", with_header(length));
        world.fetch([request]);
        world.run();
        usage(&world).metadata
    });
    assert!(counted.iter().all(|it| *it == counted[0]), "{counted:?}");
}

#[test]
fn a_head_waits_for_what_a_download_does_not_use() {
    let mut world = counting();
    world.set_quota(100 << 10);
    world.hold(Hold::Events);
    let slow = Resource { length: 50, content_length: false, ..Resource::default() };
    let slow = world.serve("/slow", slow);
    world.resource("/slow").plans = [Plan::Stall(10)].into();
    let other = world.serve("/other", with_header(40 << 10));
    world.hold(Hold::Caller);
    let slow = world.fetch([slow]);
    let other = world.fetch([other]);
    world.let_go(Hold::Caller);
    world.run_while(|world| world.stored(slow, 0) < 10);
    world.run();
    assert_eq!((world.result(slow), world.result(other)), (None, Some(Ok(()))));
}

#[test]
fn the_account_is_the_same_after_a_restart_and_ends_with_the_fetch() {
    let mut world = counting();
    world.set_quota(MIB);
    world.hold(Hold::Events);
    let request = world.serve("/a", with_header(5 << 10));
    world.serve("/upload", Resource::default());
    let options = titled("A title").with(|it| it.icons = vec![icon("/i")]);
    world.call_fetch("id", vec![request, post("/upload", 7)], options);
    world.run();
    let before = usage(&world);
    assert!(before.metadata > 5 << 10);
    assert_eq!(before.metadata, world.store.metadata());
    assert_eq!(before.total, before.metadata + before.response_bodies + before.request_bodies);
    world.crash(0, |length| length);
    world.run();
    assert_eq!(usage(&world), before);
    world.let_go(Hold::Events);
    world.run();
    // The row of the finished fetch is left for the UI.
    let left = usage(&world);
    assert!(left.total == left.metadata && left.total > 0 && left.total < 3 << 10, "{left:?}");
    let fetch = world.model.fetches().next().unwrap().key();
    world.dismiss(fetch);
    world.run();
    assert_eq!(usage(&world).total, 0);
}

proptest! {
    /// Whatever a page and its servers send, rows and bodies on disk never exceed the quota. The
    /// world checks that at each step.
    #[test]
    fn rows_and_bodies_never_exceed_the_quota(
        fetches in prop::collection::vec(
            (prop::collection::vec((0..3_usize, 0..6000_usize), 1..4), 0..3000_usize, any::<bool>()),
            1..5,
        ),
        heads in prop::collection::vec((0..9000_usize, prop::option::of(0..12_u64)), 3),
        quota in 2000..60_000_u64,
        order in prop::collection::vec(any::<usize>(), 0..300),
        crash_at in prop::option::of(0..200_usize),
        title_at in prop::option::of(0..200_usize),
    ) {
        let mut world = counting();
        world.set_quota(quota);
        let paths = ["/0", "/1", "/2"];
        for (path, (length, cut)) in paths.into_iter().zip(heads) {
            let plans = cut.map(Plan::Cut).into_iter().collect();
            world.serve(path, Resource { plans, ..with_header(length) });
        }
        for (number, (requests, title, upload)) in fetches.into_iter().enumerate() {
            let mut requests: Vec<_> = requests
                .into_iter()
                .map(|(path, header)| {
                    let mut request = get(paths[path]);
                    request.headers.append("x-a", "x".repeat(header));
                    request
                })
                .collect();
            if upload {
                requests.push(post("/0", 30));
            }
            world.call_fetch(&number.to_string(), requests, titled("t".repeat(title)));
        }
        for (number, choice) in order.into_iter().enumerate() {
            if crash_at == Some(number) {
                world.crash(choice % 3, |length| length);
            }
            let first = world.model.fetches().next().map(|fetch| fetch.key());
            if title_at == Some(number) && let Some(first) = first {
                world.set_title(first, &"n".repeat(choice % 10_000));
            }
            let steps = world.steps();
            if let Some(step) = choice.checked_rem(steps.len()).map(|index| steps[index]) {
                world.step(step);
            }
        }
        world.run();
        let left: Vec<_> = world.model.fetches().map(|fetch| fetch.key()).collect();
        for fetch in left {
            prop_assert!(world.result(fetch).is_some());
            world.dismiss(fetch);
        }
        world.run();
        prop_assert_eq!(usage(&world).total, 0);
        prop_assert_eq!(world.store.metadata(), 0);
        world.assert_at_rest();
    }
}
