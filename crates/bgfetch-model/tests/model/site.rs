//! What the embedder does to all fetches of a storage key.

use bgfetch_model::action::{Action, Reply, What};
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{RegistrationKey, StorageKey};
use bgfetch_model::input::Input;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::response::FailureReason;

use crate::world::origin::Plan;
use crate::world::{Hold, World, post, registration};

fn site() -> StorageKey {
    registration().storage_key
}

/// Another registration of the same site.
fn sibling() -> RegistrationKey {
    RegistrationKey { scope: "https://a.test/other/".parse().unwrap(), ..registration() }
}

fn stranger() -> RegistrationKey {
    let scope = "https://b.test/".parse().unwrap();
    RegistrationKey { storage_key: StorageKey("https://b.test".into()), scope }
}

#[test]
fn clearing_a_site_removes_all_its_registrations_and_no_other_one() {
    let mut world = World::new();
    world.register(sibling(), true);
    world.register(stranger(), true);
    let quick = world.serve_planned("/quick", []);
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    let finished = world.fetch([quick]);
    world.run();
    let active = world.fetch([slow]);
    let fired = world.fired(finished).len();
    let call = world.clear(site());
    assert_eq!(world.reply(call), None, "answered before the store");
    world.run();
    assert_eq!(world.reply(call), Some(Ok(Reply::Done)));
    assert_eq!(world.model.registrations().collect::<Vec<_>>(), [&stranger()]);
    assert_eq!(
        world.model.storage_keys().into_iter().collect::<Vec<_>>(),
        [&stranger().storage_key]
    );
    assert!(world.store.fetches.is_empty() && world.store.files.is_empty());
    assert_eq!((world.fired(finished).len(), world.fired(active)), (fired, vec![]));
    assert_eq!(world.model.usage(&site()).total, 0);
    world.assert_at_rest();
}

#[test]
fn a_revoked_permission_aborts_active_fetches_and_tells_the_worker() {
    let mut world = World::new();
    world.principal = Principal::Page(PolicySnapshot::of(&registration().scope));
    let quick = world.serve_planned("/quick", []);
    let slow = world.serve_planned("/slow", [Plan::Stall(40)]);
    let finished = world.fetch([quick]);
    world.run();
    let active = world.fetch([slow]);
    let call = world.revoke_permission(site());
    assert_eq!(world.reply(call), None, "answered before the store");
    world.run();
    assert_eq!(world.reply(call), Some(Ok(Reply::Done)));
    let results = |fetch| world.fired(fetch).into_iter().map(|(_, result)| result);
    assert_eq!(results(active).collect::<Vec<_>>(), [Err(FailureReason::Aborted)]);
    assert_eq!(results(finished).collect::<Vec<_>>(), [Ok(())]);
}

#[test]
fn a_revoked_permission_concerns_neither_other_sites_nor_the_user() {
    let page = Principal::Page(PolicySnapshot::of(&registration().scope));
    for hold in [Hold::Permission, Hold::Commits, Hold::Caller] {
        let mut world = World::new();
        world.register(stranger(), true);
        let request = world.serve_planned("/a", []);
        world.hold(hold);
        let users = world.call_fetch("users", vec![request.clone()], Default::default());
        world.principal = page.clone();
        let other = world.call_fetch_of(stranger(), "other", vec![request], Default::default());
        world.run_now();
        world.revoke_permission(site());
        world.let_go(hold);
        world.run();
        for call in [users, other] {
            let fetch = world.registered(call).unwrap();
            assert_eq!(world.bgfetch(fetch).result(), Some(Ok(())));
        }
    }
}

#[test]
fn a_permission_that_was_revoked_is_not_granted_by_a_crash() {
    let mut world = World::new();
    world.principal = Principal::Page(PolicySnapshot::of(&registration().scope));
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    world.hold(Hold::Commits);
    world.call_fetch("id", vec![request], Default::default());
    world.run_now();
    world.revoke_permission(site());
    world.run_now();
    // What was done by then is durable, and nothing more.
    let kept = world.store.queue.len();
    world.crash(kept, |length| length);
    world.let_go(Hold::Commits);
    world.run();
    let results: Vec<_> = world.model.fetches().map(|fetch| fetch.result()).collect();
    assert_eq!(results, [Some(Err(FailureReason::Aborted))]);
}

#[test]
fn a_crash_before_a_fetch_and_its_refusal_are_stored_leaves_nothing_of_either() {
    let mut world = World::new();
    world.principal = Principal::Page(PolicySnapshot::of(&registration().scope));
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    world.hold(Hold::Commits);
    world.call_fetch("lost", vec![request.clone()], Default::default());
    world.run_now();
    world.revoke_permission(site());
    world.crash(0, |length| length);
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(world.model.fetches().count(), 0);
    // The next fetch has the key of the lost one. It is active, and can be aborted.
    let fetch = world.fetch([request]);
    assert_eq!(world.bgfetch(fetch).result(), None);
    let call = world.abort(fetch);
    world.run();
    assert_eq!(world.reply(call), Some(Ok(Reply::Aborted(true))));
    world.assert_at_rest();
}

#[test]
fn a_permission_can_be_revoked_twice_before_a_fetch_is_stored() {
    let mut world = World::new();
    world.principal = Principal::Page(PolicySnapshot::of(&registration().scope));
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    world.hold(Hold::Commits);
    let call = world.call_fetch("id", vec![request], Default::default());
    world.run_now();
    let revoked = [world.revoke_permission(site()), world.revoke_permission(site())];
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(revoked.map(|call| world.reply(call)), [(); 2].map(|()| Some(Ok(Reply::Done))));
    let fetch = world.registered(call).unwrap();
    assert_eq!(world.bgfetch(fetch).result(), Some(Err(FailureReason::Aborted)));
    world.assert_at_rest();
}

#[test]
fn a_permission_that_is_revoked_during_a_call_is_denied_in_every_state() {
    for hold in [Hold::Permission, Hold::Bodies, Hold::Commits] {
        let mut world = World::new();
        world.principal = Principal::Page(PolicySnapshot::of(&registration().scope));
        world.hold(hold);
        let call = world.call_fetch("id", vec![post("/a", 5)], Default::default());
        world.run_now();
        world.revoke_permission(site());
        world.let_go(hold);
        world.run();
        // If its commit had begun, the fetch exists, but nothing is sent for it.
        match world.reply(call) {
            Some(Err(error)) => assert_eq!(error, CallError::PermissionDenied),
            Some(Ok(_)) => {
                assert!(matches!(hold, Hold::Commits));
                let fetch = world.registered(call).unwrap();
                assert_eq!(world.bgfetch(fetch).result(), Some(Err(FailureReason::Aborted)));
            }
            None => panic!("a call was not answered"),
        }
        let started = |(_, action): &(_, Action)| matches!(action, Action::StartAttempt { .. });
        assert!(!world.log.iter().any(started));
        world.assert_at_rest();
    }
}

#[test]
fn observers_are_told_whether_a_click_was_handled() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    let fetch = world.fetch([request]);
    world.run();
    for handled in [true, false] {
        world.input(Input::ClickEnded { fetch, handled });
        world.run_now();
        assert_eq!(world.told(fetch).last(), Some(&What::ClickEnded { handled }));
    }
}
