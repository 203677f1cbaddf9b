//! What a user interface is told of a fetch.

use bgfetch_model::action::{PauseReason, Reply, What};
use bgfetch_model::config::Config;
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
    let icon = ImageResource::new(upload.url.join("/icon.png").unwrap());
    let options = FetchOptions::default().with(|it| {
        it.title = "Film".into();
        it.icons = vec![icon.clone()];
        it.download_total = 500;
    });
    let call = world.call_fetch("film", vec![post("/upload", 7), upload], options);
    world.run();
    let key = world.registered(call).unwrap();
    let fetch = world.bgfetch(key);
    assert_eq!((fetch.key(), fetch.id(), fetch.registration()), (key, "film", &registration()));
    assert_eq!((fetch.title(), fetch.icons()), ("Film", &[icon.clone()][..]));
    assert_eq!((fetch.download_total(), fetch.upload_total()), (500, 7));
    assert_eq!(fetch.created_at(), UnixTime(1_800_000_000_000));
    assert_eq!(**fetch.principal(), world.principal);
    assert_eq!(fetch.info().key, key);
    let display = fetch.display();
    assert_eq!(display.origin.serialize(), "https://a.test");
    assert_eq!((&*display.title, display.download_total, display.upload_total), ("Film", 500, 7));
    assert_eq!(display.icons, [icon]);
}

#[test]
fn observers_are_told_what_a_list_of_downloads_has_to_change_once_it_is_durable() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    let fetch = world.fetch([request.clone()]);
    world.run();
    world.hold(Hold::Commits);
    let update = world.set_title(fetch, "Saved");
    world.run_now();
    let before = world.told(fetch);
    assert!(!before.iter().any(|what| matches!(what, What::UiUpdated { .. })));
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(world.reply(update), Some(Ok(Reply::Done)));
    let updated = What::UiUpdated { title: "Saved".into(), icons: vec![] };
    assert_eq!(world.told(fetch)[before.len()..], [updated]);

    world.hold(Hold::Commits);
    world.dismiss(fetch);
    world.run_now();
    let before = world.told(fetch);
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(world.told(fetch)[before.len()..], [What::Dismissed, What::Removed]);
}

#[test]
fn observers_are_told_that_a_fetch_is_gone_however_it_went() {
    let mut world = World::with(Config::default().with(|it| it.max_finished = 1));
    let quick = world.serve_planned("/quick", []);
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    let old = world.fetch([quick.clone()]);
    world.run();
    let finished = world.fetch([quick]);
    world.run();
    assert_eq!(world.told(old).last(), Some(&What::Removed), "a newer fetch has finished");

    let active = world.fetch([slow]);
    world.run();
    assert_ne!(world.told(finished).last(), Some(&What::Removed));
    world.unregister(registration());
    world.run();
    for fetch in [old, finished, active] {
        assert_eq!(world.told(fetch).last(), Some(&What::Removed));
        assert!(!world.told(fetch).contains(&What::Dismissed));
    }
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
