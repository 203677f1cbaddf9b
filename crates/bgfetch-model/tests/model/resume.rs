//! Resuming by range (spec issue 1, D21, D6, D4, D7, D8, D9).

use bgfetch_model::action::What;
use bgfetch_model::attempt::{AttemptCommand, AttemptEvent, Resume};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::FetchKey;
use bgfetch_model::input::Input;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::response::{FailureReason, RecordResult, ResponseHead, ResponseType};

use crate::world::origin::{Plan, Ranges, Resource};
use crate::world::{Hold, World, get, post, record};

const FETCH_ERROR: Option<RecordResult> = Some(RecordResult::Failure(FailureReason::FetchError));

fn cut_once(resource: Resource) -> Resource {
    let plans = [Plan::Cut(40)].into();
    Resource { plans, ..resource }
}

#[test]
fn what_is_missing_is_asked_for_with_the_strong_validator() {
    let mut world = World::new();
    let request = world.serve("/a", cut_once(Resource::default()));
    let fetch = world.fetch([request]);
    world.run();
    let Some(Resume { start: 40, if_range, .. }) = &world.seen("/a")[1].resume else {
        panic!("it does not resume");
    };
    assert_eq!(if_range, "\"1\"");
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
}

#[test]
fn without_a_strong_validator_the_whole_is_asked_for() {
    let mut world = World::new();
    let request = world.serve("/a", cut_once(Resource { etag: false, ..Resource::default() }));
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_resume_after_a_crash_begins_where_the_file_ends() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    world.fetch([request]);
    world.hold(Hold::Reports);
    world.run();
    world.let_go(Hold::Reports);
    world.crash(0, |length| length - 3);
    world.run();
    assert_eq!(world.starts("/a"), [0, 37]);
}

#[test]
fn another_representation_begins_again_and_is_never_spliced() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    world.hold(Hold::Events);
    let fetch = world.fetch([request]);
    world.run();
    world.resource("/a").representation = 2;
    world.resource("/a").length = 60;
    world.set_paused(fetch, true);
    world.run();
    world.set_paused(fetch, false);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40]);
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.stored(fetch, 0), 60);
}

#[test]
fn a_part_of_another_representation_is_not_joined_although_the_server_sends_it() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(40)]);
    world.resource("/a").ranges = Ranges::Unconditional;
    let fetch = world.fetch([request]);
    world.resource("/a").representation = 2;
    world.set_paused(fetch, true);
    world.run();
    world.set_paused(fetch, false);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_wrong_first_byte_begins_again_a_bounded_number_of_times() {
    let mut world = World::new();
    let request =
        world.serve("/a", cut_once(Resource { ranges: Ranges::WrongStart, ..Resource::default() }));
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));

    let request = world.serve(
        "/b",
        Resource { ranges: Ranges::WrongStart, always: Plan::Cut(40), ..Resource::default() },
    );
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    assert!(world.starts("/b").len() <= 2 * 8 + 2 + 30);
}

#[test]
fn a_part_with_another_complete_length_than_the_whole_response_had_is_another_representation() {
    let mut world = World::new();
    let content_range = ("Content-Range", "bytes 40-79/80".to_string());
    let tag = ("ETag", "\"1\"".to_string());
    let plans = [Plan::Cut(40), Plan::Raw(206, vec![content_range, tag], 40, 40)];
    let request = world.serve_planned("/a", plans);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 0]);
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
}

#[test]
fn the_first_part_replaces_the_bytes_if_the_range_was_not_sent() {
    let mut world = World::new();
    let request = world.serve("/a", cut_once(Resource::default()));
    let fetch = world.fetch([request]);
    world.hold(Hold::Work);
    world.run();
    let attempt = *world.attempts.keys().next().unwrap();
    let headers = [("Content-Range", "bytes 0-49/100"), ("ETag", "\"1\"")];
    let head = ResponseHead::new(206, vec![get("/a").url]).with(|it| {
        it.headers = headers.into_iter().collect();
        it.response_type = ResponseType::Cors;
    });
    let event = AttemptEvent::Head {
        head,
        // As after a redirect to where the part cannot be used.
        request_headers: Some(HeaderList::from_iter([("Accept", "*/*")])),
        address: None,
        retry_after: None,
        multiplexes: false,
    };
    world.input(Input::Attempt(attempt, event));
    world.run_commits();
    let last = world.commands(record(fetch, 0)).pop();
    assert!(matches!(last, Some(AttemptCommand::Receive { offset: 0, .. })), "{last:?}");
}

#[test]
fn an_answer_that_ignores_the_range_replaces_the_bytes() {
    let mut world = World::new();
    let request =
        world.serve("/a", cut_once(Resource { ranges: Ranges::Ignored, ..Resource::default() }));
    world.hold(Hold::Events);
    let fetch = world.fetch([request]);
    world.run();
    let data = world.bgfetch(fetch).records()[0].response_data();
    assert_eq!((data.generation.0, data.stored), (2, 100));
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_server_error_on_resume_keeps_what_is_there() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Cut(40), Plan::Status(503, None)]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 40]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

/// The message about the failure of this fetch's record.
pub(crate) fn message(world: &World, fetch: FetchKey) -> String {
    let settled = world.observations().into_iter().rev().find_map(|(_, it)| match it {
        What::RecordSettled { record, message, .. } if record.fetch == fetch => message,
        _ => None,
    });
    settled.unwrap_or_default()
}

#[test]
fn a_refusal_to_continue_is_asked_again_without_the_range_and_costs_no_byte_before() {
    for status in [400, 401, 403, 404, 410, 412, 421] {
        let mut world = World::new();
        let request = world.serve_planned("/a", [Plan::Cut(40), Plan::Status(status, None)]);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.starts("/a"), [0, 40, 0], "{status}");
        assert_eq!(world.result(fetch), Some(Ok(())));
        assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
    }
}

#[test]
fn a_server_error_to_every_range_is_asked_once_without_it_in_the_end() {
    let mut world = World::new();
    let errors = (0..8).map(|_| Plan::Status(500, None));
    let request = world.serve_planned("/a", [Plan::Cut(40)].into_iter().chain(errors));
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 40, 40, 40, 40, 40, 40, 40, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn what_stays_refused_fails_and_leaves_the_user_what_is_there() {
    for status in [403, 500] {
        let plans = || [Plan::Cut(40)];
        let mut world = World::new();
        world.hold(Hold::Events);
        let request = world.serve_planned("/a", plans());
        world.resource("/a").always = Plan::Status(status, None);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
        assert_eq!(world.stored(fetch, 0), 40);
        assert_eq!(
            message(&world, fetch),
            format!("the server answered {status} to what is missing")
        );
        assert_eq!(world.starts("/a").iter().filter(|start| **start == 0).count(), 2);

        // A page gets a bad status, as after the first request.
        let request = world.serve_planned("/b", plans());
        world.resource("/b").always = Plan::Status(status, None);
        world.principal = Principal::Page(PolicySnapshot::of(&request.url));
        let fetch = world.fetch([request]);
        world.run();
        let bad_status = RecordResult::Failure(FailureReason::BadStatus);
        assert_eq!(world.record_result(fetch, 0), Some(bad_status));
        let head = world.bgfetch(fetch).records()[0].response_data().response;
        assert_eq!(head.map(|head| head.status), Some(status));
    }
}

#[test]
fn a_server_that_refuses_every_range_and_cuts_every_body_is_given_up() {
    let mut world = World::new();
    let mut plans = Vec::new();
    for cut in 40..60 {
        plans.extend([Plan::Cut(cut), Plan::Status(400, None)]);
    }
    let request = world.serve_planned("/a", plans);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    let expected = "the server keeps refusing to continue what it began to send";
    assert_eq!(message(&world, fetch), expected);
    assert_eq!(world.starts("/a").iter().filter(|start| **start == 0).count(), 1 + 8);
}

#[test]
fn a_coded_response_begins_again_uncoded_so_that_the_next_cut_can_resume() {
    let mut world = World::new();
    let request = world.serve(
        "/a",
        Resource {
            coded: true,
            plans: [Plan::Cut(40), Plan::Cut(50)].into(),
            ..Resource::default()
        },
    );
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 0, 50]);
    let identity: Vec<_> = world.seen("/a").iter().map(|spec| spec.identity).collect();
    assert_eq!(identity, [false, true, true]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn parts_are_asked_for_until_the_complete_length_is_there() {
    for star in [false, true] {
        let mut world = World::new();
        let ranges = Ranges::Parts { most: 30, star };
        let request = world.serve("/a", Resource { ranges, ..Resource::default() });
        let fetch = world.fetch([request]);
        world.run();
        // If the length is unknown, a 416 shows that no bytes follow the last part.
        let expected: &[u64] = if star { &[0, 30, 60, 90, 100] } else { &[0, 30, 60, 90] };
        assert_eq!(world.starts("/a"), expected);
        assert_eq!(world.result(fetch), Some(Ok(())));
        assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
    }
}

#[test]
fn parts_without_a_validator_end_in_a_fetch_error() {
    let mut world = World::new();
    let ranges = Ranges::Parts { most: 30, star: true };
    let request = world.serve("/a", Resource { ranges, etag: false, ..Resource::default() });
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    assert!(message(&world, fetch).contains("without a strong validator"));
}

#[test]
fn a_part_shorter_than_its_range_is_continued_and_without_progress_fails() {
    let part = |first: u64, sent: u64| {
        let headers =
            vec![("Content-Range", format!("bytes {first}-99/100")), ("ETag", "\"1\"".to_string())];
        Plan::Raw(206, headers, first, sent)
    };
    let mut world = World::new();
    let request = world.serve_planned("/a", [part(0, 30), part(30, 20)]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 30, 50]);
    assert_eq!(world.result(fetch), Some(Ok(())));

    let request = world.serve_planned("/b", [part(0, 30)]);
    world.resource("/b").always = part(30, 0);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    assert!(world.starts("/b").len() <= 32);
}

#[test]
fn a_part_longer_than_its_range_is_not_taken_over_the_end() {
    let mut world = World::new();
    let headers =
        vec![("Content-Range", "bytes 40-59/100".to_string()), ("ETag", "\"1\"".to_string())];
    let plans = [Plan::Cut(40), Plan::Raw(206, headers, 40, 40)];
    let request = world.serve_planned("/a", plans);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn an_upload_answered_by_too_long_a_part_is_not_sent_again() {
    let mut world = World::new();
    world.serve_planned(
        "/a",
        [Plan::Raw(206, vec![("Content-Range", "bytes 0-9/10".into())], 0, 20)],
    );
    let fetch = world.fetch([post("/a", 5)]);
    world.run();
    assert_eq!(world.seen("/a").len(), 1);
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
}

#[test]
fn a_416_for_another_length_begins_again() {
    let mut world = World::new();
    let shorter = Plan::Raw(416, vec![("Content-Range", "bytes */30".into())], 0, 0);
    let request = world.serve_planned("/a", [Plan::Cut(40), shorter]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_416_that_makes_the_whole_shorter_than_it_was_said_to_be_begins_again() {
    let mut world = World::new();
    let shorter = Plan::Raw(416, vec![("Content-Range", "bytes */40".into())], 0, 0);
    let request = world.serve_planned("/a", [Plan::Cut(40), shorter]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 40, 0]);
    assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
}

#[test]
fn a_download_that_holds_every_byte_finishes_without_a_request() {
    let mut world = World::new();
    let request = world.serve_planned("/a", []);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0]);

    // All bytes are stored, but the process died before their completion was reported.
    let request = world.serve_planned("/b", [Plan::Stall(100)]);
    let fetch_b = world.fetch([request]);
    world.hold(Hold::Reports);
    world.run();
    world.let_go(Hold::Reports);
    world.crash(0, |length| length);
    world.run();
    assert_eq!(world.starts("/b"), [0]);
    assert_eq!(world.result(fetch_b), Some(Ok(())));
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn the_last_byte_before_a_pause_counts() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Stall(100)]);
    let fetch = world.fetch([request]);
    world.run();
    world.set_paused(fetch, true);
    world.run();
    assert_eq!(world.result(fetch), None);
    world.set_paused(fetch, false);
    world.run();
    assert_eq!(world.starts("/a"), [0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_request_with_its_own_range_is_never_given_ours() {
    let mut world = World::new();
    let mut request = world.serve_planned("/a", [Plan::Cut(4)]);
    request.headers.append("Range", "bytes=10-29");
    world.hold(Hold::Events);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
    assert_eq!(world.stored(fetch, 0), 20);
}

#[test]
fn a_representation_is_replaced_only_by_a_usable_head_and_its_readers_are_told() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Cut(40)]);
    world.resource("/a").ranges = Ranges::Ignored;
    world.hold(Hold::Work);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Work);
    world.run_now();
    assert_eq!(world.stored(fetch, 0), 40, "they stay readable until then");
    world.hold(Hold::Commits);
    world.jump();
    world.run_now();
    assert_eq!(world.stored(fetch, 0), 40, "the new head is not durable");
    let commands = world.commands(record(fetch, 0));
    let receives = |command: &&_| matches!(command, AttemptCommand::Receive { .. });
    let received = commands.iter().filter(receives).count();
    assert_eq!(received, 1, "no body before that");
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn an_attempt_that_dies_while_its_representation_is_opened_is_told_nothing_more() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::LoseHead]);
    world.hold(Hold::Caller);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Caller);
    world.hold(Hold::Commits);
    world.run_now();
    world.let_go(Hold::Commits);
    world.run();
    assert_eq!(world.starts("/a"), [0, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
    world.assert_at_rest();
}
