//! Servers that misbehave for ever: every fetch ends after a bounded number of requests.

use proptest::prelude::*;

use bgfetch_model::response::{FailureReason, RecordResult};

use crate::world::origin::{Name, Plan, Ranges, Resource};
use crate::world::{World, post};

/// No policy allows more attempts on a record of the lengths below.
const MOST_REQUESTS: usize = 500;

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    prop_oneof![
        4 => Just(Plan::Serve),
        3 => (0..60u64).prop_map(Plan::Cut),
        1 => Just(Plan::LoseHead),
        1 => Just(Plan::Unreachable),
        1 => Just(Plan::Reset),
        1 => Just(Plan::Permanent),
        1 => prop::sample::select(vec![204, 302, 403, 404, 408, 416, 421, 425, 429, 500, 503])
            .prop_map(|status| Plan::Status(status, None)),
    ]
}

pub(crate) fn ranges() -> impl Strategy<Value = Ranges> {
    prop_oneof![
        4 => Just(Ranges::Honoured),
        2 => Just(Ranges::Ignored),
        1 => Just(Ranges::Unconditional),
        1 => Just(Ranges::WrongStart),
        2 => (1..40u64, any::<bool>()).prop_map(|(most, star)| Ranges::Parts { most, star }),
    ]
}

prop_compose! {
    pub(crate) fn resource()(
        length in 0..60u64,
        flags: [bool; 3],
        restless in prop::bool::weighted(0.1),
        name in prop_oneof![5 => Just(Name::Known), 2 => Just(Name::Slow), 1 => Just(Name::Nearby)],
        ranges in ranges(),
        plans in prop::collection::vec(plan(), 0..5),
        always in plan(),
    ) -> Resource {
        let [etag, content_length, coded] = flags;
        Resource {
            length,
            etag,
            content_length,
            coded,
            ranges,
            restless,
            name,
            plans: plans.into(),
            always,
            ..Resource::default()
        }
    }
}

proptest! {
    #[test]
    fn every_fetch_ends_whatever_its_servers_do(
        resources in prop::collection::vec(resource(), 1..4),
        upload: bool,
        chunk in 1..20u64,
        slots in 1..4usize,
    ) {
        let mut world = World::new();
        (world.chunk, world.slots) = (chunk, slots);
        let paths: Vec<_> = (0..resources.len()).map(|i| format!("/{i}")).collect();
        let mut requests: Vec<_> = paths
            .iter()
            .zip(resources)
            .map(|(path, resource)| world.serve(path, resource))
            .collect();
        if upload {
            requests.push(post("/0", 30));
        }
        let fetch = world.fetch(requests);
        world.run();
        prop_assert!(world.result(fetch).is_some());
        prop_assert!(!world.bgfetch(fetch).records_available());
        for path in &paths {
            let requests = world.seen(path).len();
            prop_assert!(requests <= MOST_REQUESTS, "{requests} requests");
        }
        world.assert_at_rest();
    }
}

#[test]
fn a_representation_that_always_changes_and_always_grows_is_given_up() {
    let mut world = World::new();
    let cuts = (20..100).map(Plan::Cut);
    let request = world.serve_planned("/a", cuts);
    world.resource("/a").restless = true;
    let fetch = world.fetch([request]);
    world.run();
    let fetch_error = RecordResult::Failure(FailureReason::FetchError);
    assert_eq!(world.record_result(fetch, 0), Some(fetch_error));
    assert_eq!(world.seen("/a").len(), 1 + 8 + 1);
}
