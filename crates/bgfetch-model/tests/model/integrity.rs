//! Subresource integrity (D20): a complete body is verified before its record succeeds, and nothing
//! of it is exposed before that.

use bgfetch_model::action::{Action, What};
use bgfetch_model::config::Config;
use bgfetch_model::ids::FetchKey;
use bgfetch_model::request::Request;
use bgfetch_model::response::{FailureReason, RecordResult, ResponseData};

use crate::world::origin::{Plan, Ranges, Resource};
use crate::world::{Hold, World, get, integrity_of, post, record, registration, with_integrity};

const FETCH_ERROR: RecordResult = RecordResult::Failure(FailureReason::FetchError);

/// A world that serves a resource of 100 bytes, and a request with the integrity of exactly those.
fn serving(resource: Resource) -> (World, Request) {
    let mut world = World::new();
    let (representation, length) = (resource.representation, resource.length);
    let request = world.serve("/a", resource);
    (world, with_integrity(request, representation, length))
}

fn planned(plans: impl IntoIterator<Item = Plan>) -> (World, Request) {
    serving(Resource { plans: plans.into_iter().collect(), ..Resource::default() })
}

fn data(world: &World, fetch: FetchKey) -> ResponseData {
    *world.bgfetch(fetch).records()[0].response_data()
}

fn verifications(world: &World) -> Vec<u64> {
    let length = |(_, action): &(_, Action)| match action {
        Action::VerifyIntegrity { length, .. } => Some(*length),
        _ => None,
    };
    world.log.iter().filter_map(length).collect()
}

/// The message about the record's end.
fn message(world: &World) -> Option<String> {
    world.observations().into_iter().find_map(|(_, observation)| match observation {
        What::RecordSettled { message, .. } => message,
        _ => None,
    })
}

#[test]
fn nothing_is_exposed_before_the_whole_body_was_verified() {
    let (mut world, request) = planned([]);
    world.hold(Hold::Verifications);
    world.hold(Hold::Work);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Work);
    let mut progressed = 0;
    while let Some(step) = world.steps().first().copied() {
        world.step(step);
        let data = data(&world, fetch);
        assert!(!data.is_ready() && !data.is_exposed());
        assert!(data.exposed_response().is_none());
        progressed = world.bgfetch(fetch).stored_body_bytes_total();
    }
    // The record holds no slot, but its bytes count.
    world.assert_slots_free();
    assert_eq!(progressed, 100);
    assert_eq!(world.record_result(fetch, 0), None);
    world.hold(Hold::Events);
    world.let_go(Hold::Verifications);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert!(data(&world, fetch).exposed_response().is_some());
    assert_eq!(verifications(&world), [100]);
}

#[test]
fn without_metadata_a_response_is_exposed_at_its_head() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    let fetch = world.fetch([request]);
    world.run();
    assert!(data(&world, fetch).is_ready());
    assert!(verifications(&world).is_empty());
}

#[test]
fn a_mismatch_fails_the_record_for_good_and_exposes_nothing() {
    let (mut world, request) = planned([]);
    let request = with_integrity(request, 2, 100);
    world.hold(Hold::Events);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
    assert_eq!(world.seen("/a").len(), 1, "it is not tried again");
    let data = data(&world, fetch);
    assert!(data.is_ready() && data.exposed_response().is_none());
    let told = message(&world);
    assert_eq!(
        told.as_deref(),
        Some("the body does not have the checksum that the request asks for")
    );
    world.let_go(Hold::Events);
    world.run();
    assert_eq!(world.store.bytes_of(fetch), 0);
}

#[test]
fn the_bytes_of_several_attempts_are_verified_together() {
    let (mut world, request) = planned([Plan::Cut(30), Plan::Cut(30)]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 30, 60]);
    assert_eq!((world.result(fetch), verifications(&world)), (Some(Ok(())), vec![100]));
}

#[test]
fn parts_that_the_server_chose_are_verified_together() {
    for star in [false, true] {
        let ranges = Ranges::Parts { most: 30, star };
        let (mut world, request) = serving(Resource { ranges, ..Resource::default() });
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!((world.result(fetch), verifications(&world)), (Some(Ok(())), vec![100]));
    }
}

#[test]
fn a_changed_representation_is_verified_alone() {
    for (integrity, expected) in [(2, Ok(())), (1, Err(FailureReason::FetchError))] {
        let (mut world, request) = planned([Plan::Cut(40)]);
        let fetch = world.fetch([with_integrity(request, integrity, 100)]);
        world.resource("/a").representation = 2;
        world.run();
        assert_eq!((world.result(fetch), verifications(&world)), (Some(expected), vec![100]));
    }
}

#[test]
fn the_part_that_the_page_asked_for_is_what_is_verified() {
    let (mut world, mut request) = planned([]);
    request.headers.append("Range", "bytes=20-59");
    request.integrity = integrity_of(1, 20, 40);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!((world.result(fetch), verifications(&world)), (Some(Ok(())), vec![40]));
}

#[test]
fn an_empty_body_is_a_body_and_a_null_body_never_matches() {
    let (mut world, request) = serving(Resource { length: 0, ..Resource::default() });
    let request = request.with(|it| it.integrity = integrity_of(0, 0, 0));
    let fetch = world.fetch([request.clone()]);
    world.run();
    assert_eq!((world.result(fetch), verifications(&world)), (Some(Ok(())), vec![0]));

    let head = request.clone().with(|it| it.method = "HEAD".into());
    for (request, status) in [(request.clone(), 204), (request, 205), (head, 200)] {
        let mut world = World::new();
        world.serve_planned("/a", [Plan::Raw(status, vec![], 0, 0)]);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)), "{status}");
        assert!(verifications(&world).is_empty());
    }
}

#[test]
fn a_bad_status_is_not_verified_and_exposes_no_byte() {
    for keep_bad_status_bodies in [false, true] {
        let mut world = World::with(
            Config::default().with(|it| it.keep_bad_status_bodies = keep_bad_status_bodies),
        );
        let request = world.serve_planned("/a", [Plan::Status(404, None)]);
        world.hold(Hold::Events);
        let fetch = world.fetch([with_integrity(request, 1, 100)]);
        world.run();
        assert_eq!(world.result(fetch), Some(Err(FailureReason::BadStatus)));
        let data = data(&world, fetch);
        assert_eq!(data.exposed_response().map(|head| head.status), Some(404));
        assert_eq!((data.stored, world.store.bytes_of(fetch)), (0, 0));
        assert!(verifications(&world).is_empty());
    }
}

/// A fetch whose complete body waits for verification.
fn verifying() -> (World, FetchKey) {
    let (mut world, request) = planned([]);
    world.hold(Hold::Verifications);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(verifications(&world), [100]);
    (world, fetch)
}

#[test]
fn an_abort_does_not_wait_for_the_verification() {
    let (mut world, fetch) = verifying();
    world.hold(Hold::Events);
    world.abort(fetch);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
    // The result arrives too late to matter.
    world.let_go(Hold::Verifications);
    world.run();
    assert!(data(&world, fetch).exposed_response().is_none());
    world.let_go(Hold::Events);
    world.run();
    assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted)));
    world.assert_at_rest();
}

#[test]
fn neither_a_pause_nor_an_outage_holds_a_verification_back() {
    let (mut world, fetch) = verifying();
    world.set_paused(fetch, true);
    world.go_offline();
    world.let_go(Hold::Verifications);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.seen("/a").len(), 1);
}

#[test]
fn an_unregistered_fetch_takes_its_verification_along() {
    let (mut world, fetch) = verifying();
    world.unregister(registration());
    world.run();
    world.let_go(Hold::Verifications);
    world.run();
    assert!(world.model.fetch(fetch).is_none());
    world.assert_at_rest();
}

#[test]
fn after_a_crash_a_whole_body_is_verified_again_without_a_request() {
    let (mut world, fetch) = verifying();
    world.crash(0, |length| length);
    world.let_go(Hold::Verifications);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!((world.seen("/a").len(), verifications(&world)), (1, vec![100, 100]));
}

#[test]
fn after_a_crash_what_was_found_is_not_believed_before_it_was_durable() {
    for (kept, times) in [(0, 2), (1, 1)] {
        let (mut world, fetch) = verifying();
        world.hold(Hold::Commits);
        world.let_go(Hold::Verifications);
        world.run();
        assert!(data(&world, fetch).exposed_response().is_none());
        world.let_go(Hold::Commits);
        world.crash(kept, |length| length);
        world.run();
        assert_eq!((world.result(fetch), verifications(&world).len()), (Some(Ok(())), times));
    }
}

#[test]
fn after_a_crash_a_body_of_unknown_length_is_asked_for_again() {
    let mut world = World::new();
    let resource = Resource { content_length: false, ..Resource::default() };
    let request = with_integrity(world.serve("/a", resource), 1, 100);
    world.hold(Hold::Verifications);
    let fetch = world.fetch([request]);
    world.run();
    world.crash(0, |length| length);
    world.let_go(Hold::Verifications);
    world.run();
    assert_eq!(world.starts("/a"), [0, 100]);
    assert_eq!((world.result(fetch), verifications(&world)), (Some(Ok(())), vec![100, 100]));
}

#[test]
fn a_body_that_cannot_be_read_is_read_again_later_and_not_fetched_again() {
    for content_length in [false, true] {
        let (mut world, request) = serving(Resource { content_length, ..Resource::default() });
        world.unreadable_bodies = 2;
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.result(fetch), Some(Ok(())));
        assert_eq!((world.seen("/a").len(), verifications(&world)), (1, vec![100; 3]));
        let (end, _) = world.fired(fetch)[0];
        assert!(end >= world.config.storage_retry * 2);
    }
}

#[test]
fn an_upload_is_not_sent_again_because_its_answer_cannot_be_read() {
    let mut world = World::new();
    world.serve_planned("/a", []);
    world.unreadable_bodies = 1;
    let fetch = world.fetch([with_integrity(post("/a", 30), 1, 100)]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.seen("/a").len(), 1);
}

#[test]
fn one_mismatch_leaves_the_other_records_alone() {
    let (mut world, bad) = planned([]);
    let good = world.serve_planned("/b", []);
    let fetch = world.fetch([with_integrity(bad, 2, 100), with_integrity(good, 1, 100), get("/b")]);
    world.run();
    let results = [Some(FETCH_ERROR), Some(RecordResult::Success), Some(RecordResult::Success)];
    assert_eq!(world.record_results(fetch), results);
    assert_eq!(world.result(fetch), Some(Err(FailureReason::FetchError)));
    assert!(
        world
            .commands(record(fetch, 1))
            .iter()
            .all(|it| !matches!(it, bgfetch_model::attempt::AttemptCommand::Cancel))
    );
}
