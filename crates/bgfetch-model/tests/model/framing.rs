//! A success has as many bytes as its head announced, and no attempt waits for a grant that never
//! comes.

use bgfetch_model::action::What;
use bgfetch_model::config::Config;
use bgfetch_model::response::{FailureReason, RecordResult};
use proptest::prelude::*;

use crate::world::origin::Plan;
use crate::world::{Hold, World, get};

const FETCH_ERROR: Option<RecordResult> = Some(RecordResult::Failure(FailureReason::FetchError));

/// A complete response that announces `said` bytes and sends `sent` of them.
fn said_and_sent(said: u64, sent: u64) -> Plan {
    let headers = vec![("Content-Length", said.to_string()), ("ETag", "\"1\"".to_string())];
    Plan::Raw(200, headers, 0, sent)
}

#[test]
fn an_end_before_the_announced_length_is_an_interruption() {
    for sent in [0, 40, 99] {
        let mut world = World::new();
        let request = world.serve_planned("/a", [said_and_sent(100, sent)]);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.starts("/a"), [0, sent]);
        assert_eq!(world.result(fetch), Some(Ok(())));
        assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
    }
}

#[test]
fn a_transfer_coding_overrides_the_length() {
    for said in [7, 100, 500] {
        let mut world = World::new();
        let headers = vec![
            ("Content-Length", said.to_string()),
            ("Transfer-Encoding", "chunked".to_string()),
        ];
        let request = world.serve_planned("/a", [Plan::Raw(200, headers, 0, 100)]);
        let fetch = world.fetch([request]);
        world.run();
        assert_eq!(world.starts("/a"), [0]);
        assert_eq!(world.result(fetch), Some(Ok(())));
        assert_eq!(world.bgfetch(fetch).stored_body_bytes_total(), 100);
    }
}

#[test]
fn a_head_without_a_body_announces_none_of_its_own() {
    let mut world = World::new();
    world.serve_planned("/a", [said_and_sent(100, 0)]);
    let fetch = world.fetch([get("/a").with(|it| it.method = "HEAD".into())]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));

    let headers = vec![("Content-Length", "100".to_string())];
    let request = world.serve_planned("/b", [Plan::Raw(204, headers, 0, 0)]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn the_body_of_a_bad_status_is_never_continued() {
    let mut world = World::with(Config::default().with(|it| it.keep_bad_status_bodies = true));
    let headers = vec![("Content-Length", "100".to_string()), ("ETag", "\"1\"".to_string())];
    let request = world.serve_planned("/a", [Plan::Raw(404, headers, 0, 40)]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_body_longer_than_announced_fails_and_says_so() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [said_and_sent(7, 100)]);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.record_result(fetch, 0), FETCH_ERROR);
    let said = world.observations().into_iter().find_map(|(_, observation)| match observation {
        What::RecordSettled { message, .. } => message,
        _ => None,
    });
    assert_eq!(said.as_deref(), Some("the response is longer than its head announced"));
}

proptest! {
    #[test]
    fn lengths_that_are_not_kept_never_make_a_success_of_fewer_bytes(
        said in prop::collection::vec((0u64..120, 0u64..=100), 1..6),
        chunk in 1..30u64,
    ) {
        let mut world = World::new();
        world.chunk = chunk;
        let plans = said.iter().map(|&(said, sent)| said_and_sent(said, sent));
        let request = world.serve_planned("/a", plans);
        world.hold(Hold::Events);
        let fetch = world.fetch([request]);
        world.run();
        prop_assert!(world.result(fetch).is_some(), "it waits for ever");
        if world.result(fetch) == Some(Ok(())) {
            let record = &world.bgfetch(fetch).records()[0];
            prop_assert_eq!(Some(record.response_data().stored), record.announced_length());
        }
        world.let_go(Hold::Events);
        world.run();
        world.assert_at_rest();
    }
}
