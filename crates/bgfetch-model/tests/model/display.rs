//! What a user interface is told of a fetch.

use bgfetch_model::action::PauseReason;
use bgfetch_model::input::FetchOptions;
use bgfetch_model::store_op::ImageResource;
use bgfetch_model::time::UnixTime;

use crate::world::origin::{Plan, Resource};
use crate::world::{Hold, World, post, registration};

#[test]
fn a_fetch_shows_what_its_call_said() {
    let mut world = World::new();
    world.now.wall = UnixTime(1_800_000_000_000);
    let upload = world.serve_planned("/upload", [Plan::Stall(0)]);
    let icon = ImageResource { src: "/icon.png".into(), ..ImageResource::default() };
    let options =
        FetchOptions { title: "Film".into(), icons: vec![icon.clone()], download_total: 500 };
    let call = world.call_fetch("film", vec![post("/upload", 7), upload], options);
    world.run();
    let key = world.registered(call).unwrap();
    let fetch = world.bgfetch(key);
    assert_eq!((fetch.key(), fetch.id(), fetch.registration()), (key, "film", &registration()));
    assert_eq!((fetch.title(), fetch.icons()), ("Film", &[icon][..]));
    assert_eq!((fetch.download_total(), fetch.upload_total()), (500, 7));
    assert_eq!(fetch.created_at(), UnixTime(1_800_000_000_000));
    assert_eq!(**fetch.principal(), world.principal);
    assert_eq!(fetch.info().key, key);
    let display = fetch.display();
    assert_eq!(display.origin.ascii_serialization(), "https://a.test");
    assert_eq!((&*display.title, display.download_total, display.upload_total), ("Film", 500, 7));
}

#[test]
fn it_may_be_paused_while_it_runs_and_dismissed_when_it_is_over() {
    let mut world = World::new();
    world.hold(Hold::Events);
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    world.run();
    let display = world.bgfetch(fetch).display();
    assert!(display.uses_bandwidth && display.pausable && !display.dismissible && !display.over);
    assert_eq!((display.downloaded, display.uploaded, display.result), (40, 0, None));
    world.set_paused(fetch, true);
    world.run();
    let display = world.bgfetch(fetch).display();
    assert_eq!(display.pause_reason, Some(PauseReason::User));
    assert!(!display.uses_bandwidth && display.pausable);
    world.set_paused(fetch, false);
    world.run();
    let display = world.bgfetch(fetch).display();
    assert_eq!((display.result, display.pause_reason), (Some(Ok(())), None));
    assert!(!display.uses_bandwidth && !display.pausable && !display.over);
    assert!(!display.dismissible, "the worker has not seen it");
    world.let_go(Hold::Events);
    world.run();
    let display = world.bgfetch(fetch).display();
    assert!(display.dismissible && display.over && display.downloaded == 100);
}

#[test]
fn an_upload_cannot_be_paused_and_what_was_sent_is_shown() {
    let mut world = World::new();
    world.serve_planned("/upload", []);
    let stalls = Resource { always: Plan::Stall(0), ..Resource::default() };
    let other = world.serve("/other", stalls);
    let fetch = world.fetch([post("/upload", 7), other.clone()]);
    world.run();
    assert!(!world.bgfetch(fetch).display().pausable);
    assert_eq!(world.bgfetch(fetch).display().uploaded, 7);
    let get_alone = world.fetch([other]);
    assert!(world.bgfetch(get_alone).display().pausable);
}

#[test]
fn reasons_to_pause_have_short_names() {
    for (reason, name) in [
        (PauseReason::User, "user"),
        (PauseReason::Offline, "offline"),
        (PauseReason::Metered, "metered"),
        (PauseReason::CaptivePortal, "captive-portal"),
        (PauseReason::Storage, "storage"),
    ] {
        assert_eq!(reason.as_str(), name);
    }
}
