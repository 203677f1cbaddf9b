//! No body has bytes of two representations, also where their validators are the same: over users
//! that a site tells apart by anything but the validator, redirects, `Vary`, crashes and adoptions.
//! The store fails the test at the first byte that does not continue the body.

use bgfetch_model::ids::{FetchKey, RecordIndex};
use bgfetch_model::request::Request;
use bgfetch_model::response::{FailureReason, RecordResult};
use proptest::prelude::*;

use crate::resume::message;
use crate::world::site::{Apart, Fetcher, Site, VaryIn};
use crate::world::{Hold, World, record};

fn apart() -> impl Strategy<Value = Apart> {
    let requests = vec!["Cookie", "Authorization", "Accept-Language"];
    let varies = vec![VaryIn::Whole, VaryIn::Part, VaryIn::Both, VaryIn::Any];
    let responses = vec![
        "Content-Type",
        "Content-Language",
        "Content-Location",
        "ETag",
        "Last-Modified",
        "Repr-Digest",
    ];
    prop_oneof![
        Just(Apart::Host),
        Just(Apart::Path),
        Just(Apart::Query),
        (prop::sample::select(requests), prop::sample::select(varies))
            .prop_map(|(name, vary)| Apart::RequestHeader(name, vary)),
        prop::sample::select(responses).prop_map(Apart::ResponseHeader),
        Just(Apart::Length),
    ]
}

prop_compose! {
    fn site()(
        apart in apart(),
        fetcher in prop::sample::select(vec![Fetcher::Careful, Fetcher::Blind, Fetcher::Mute]),
        flags: [bool; 7],
        visits in prop::collection::vec((0..3u32, 0..60u64), 1..8),
    ) -> Site {
        let [tag, date, signed, length, complete, unconditional, lengths_differ] = flags;
        let lengths_differ = match apart {
            Apart::Length => true,
            // A 416 has no such header.
            Apart::ResponseHeader(_) => false,
            _ => lengths_differ,
        };
        // Nothing else tells two bodies of one URL apart.
        let told = apart == Apart::Length && !signed;
        // A strong entity tag identifies what one user can get, so these would select another.
        let untagged = matches!(apart, Apart::Query | Apart::RequestHeader("Accept-Language", _));
        Site {
            apart,
            fetcher,
            tag: tag && !untagged,
            date: date || untagged,
            signed,
            lengths_differ,
            length_is_known: length || told,
            complete_is_known: complete || told,
            unconditional,
            visits: visits.into(),
            user: 0,
            starts: Vec::new(),
        }
    }
}

fn visit(world: &mut World) -> FetchKey {
    let fetch = world.fetch([Request::get(Site::entry())]);
    world.run();
    fetch
}

fn depends_on_the_user(site: &Site) -> bool {
    matches!(
        site.apart,
        Apart::RequestHeader("Cookie" | "Authorization", _) | Apart::RequestHeader(_, VaryIn::Any)
    )
}

/// Asserts that the fetch's body is whole if it succeeded.
fn check(world: &World, fetch: FetchKey) {
    let response = world.bgfetch(fetch).record(RecordIndex(0)).unwrap().response_data();
    if world.record_result(fetch, 0) == Some(RecordResult::Success) {
        let file = world.store.file(record(fetch, 0), response.generation);
        let file = file.copied().unwrap_or_default();
        let site = world.origin.1.as_ref().unwrap();
        assert_eq!(file.length, site.length(file.representation), "it was cut short");
    }
}

#[test]
fn what_differs_each_time_ends_with_a_true_reason() {
    let cookie = Apart::RequestHeader("Cookie", VaryIn::Both);
    for (apart, reason) in [
        (Apart::Host, "too many hosts answered"),
        (Apart::Path, "too many URLs answered"),
        (cookie, "the response depends on cookies"),
    ] {
        for fetcher in [Fetcher::Careful, Fetcher::Blind] {
            let mut world = World::new();
            world.origin.1 = Some(Site {
                apart,
                fetcher,
                tag: true,
                date: false,
                signed: false,
                lengths_differ: false,
                length_is_known: true,
                complete_is_known: true,
                unconditional: true,
                // Each attempt gets further than the one before.
                visits: (0..40).map(|user| (user, 10 + u64::from(user))).collect(),
                user: 0,
                starts: Vec::new(),
            });
            let fetch = visit(&mut world);
            let failed = RecordResult::Failure(FailureReason::FetchError);
            assert_eq!(world.record_result(fetch, 0), Some(failed), "{apart:?}");
            assert!(message(&world, fetch).starts_with(reason), "{}", message(&world, fetch));
            // One response, and eight restarts.
            let starts = &world.origin.1.as_ref().unwrap().starts;
            let wholes = starts.iter().filter(|start| **start == 0).count();
            let asks_again = usize::from(fetcher == Fetcher::Careful);
            assert_eq!(wholes, 1 + 8 + asks_again, "{apart:?} {fetcher:?}");
            assert_eq!(starts.len() > wholes, fetcher == Fetcher::Blind);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn no_body_mixes_what_a_site_has_for_two_users(
        site in site(),
        crashes: bool,
        more in prop::collection::vec((0..3u32, 0..60u64), 0..4),
    ) {
        let mut world = World::new();
        world.origin.1 = Some(site);
        // Records are looked at before their event ends.
        world.hold(Hold::Events);
        let first = visit(&mut world);
        check(&world, first);
        world.hold_records(first, true);
        world.let_go(Hold::Events);
        world.run();
        if crashes {
            world.crash(0, |length| length);
            world.run();
        }
        // Another user may adopt what is held.
        world.hold(Hold::Events);
        world.origin.1.as_mut().unwrap().visits = more.into();
        let second = visit(&mut world);
        check(&world, second);
    }

    /// The rules cost one user nothing who downloads what does not change.
    #[test]
    fn what_is_the_same_is_resumed_after_every_cut(
        site in site().prop_filter("nothing tells that the user is the same", |site| {
            site.fetcher != Fetcher::Mute || !depends_on_the_user(site)
        }),
        cuts in prop::collection::vec(1..10u64, 1..6),
    ) {
        let mut world = World::new();
        let visits = cuts.iter().map(|cut| (0, *cut)).collect();
        let apart = if site.apart == Apart::Query { Apart::Path } else { site.apart };
        let site = Site { apart, tag: true, length_is_known: true, complete_is_known: true, visits, ..site };
        world.origin.1 = Some(site);
        let fetch = visit(&mut world);
        prop_assert_eq!(world.result(fetch), Some(Ok(())));
        let offsets = (0..=cuts.len()).map(|count| cuts[..count].iter().sum::<u64>());
        let starts = &world.origin.1.as_ref().unwrap().starts;
        prop_assert_eq!(starts, &offsets.collect::<Vec<_>>());
    }
}
