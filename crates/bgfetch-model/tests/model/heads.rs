//! Heads of responses are in memory only while an attempt needs them.

use bgfetch_model::action::Action;
use bgfetch_model::config::Config;
use bgfetch_model::response::FailureReason;

use crate::world::origin::Plan;
use crate::world::{Hold, Step, World, record};

/// Whether the model has the text of a head.
fn has_a_head(world: &World) -> bool {
    format!("{:?}", world.model).contains("ETag")
}

/// How often a head was read from the store.
fn heads_read(world: &World) -> usize {
    let reads = |(_, action): &&(_, Action)| matches!(action, Action::LoadHead(_));
    world.log.iter().filter(reads).count()
}

#[test]
fn no_head_is_in_memory_while_a_record_backs_off_or_after_it_ended() {
    let mut world = World::new();
    world.hold(Hold::Events);
    let request = world.serve_planned("/a", [Plan::Stall(50), Plan::Cut(20)]);
    let fetch = world.fetch([request]);
    assert!(has_a_head(&world), "an attempt is running");
    world.lose_connections();
    world.run_while(|world| world.stored(fetch, 0) < 70);
    world.run_now();
    assert!(!has_a_head(&world), "backing off");
    world.run();
    assert_eq!(world.starts("/a"), [0, 50, 70]);
    assert_eq!(world.result(fetch), Some(Ok(())));
    let status = world.bgfetch(fetch).records()[0].response_data().response.map(|it| it.status);
    assert_eq!((status, has_a_head(&world)), (Some(200), false), "ended");
}

#[test]
fn a_head_is_read_only_if_bytes_of_its_response_are_stored() {
    for (plan, reads) in [(Plan::Cut(50), 1), (Plan::Cut(0), 0)] {
        let mut world = World::new();
        let request = world.serve_planned("/a", [plan]);
        world.fetch([request]);
        world.run();
        assert_eq!((world.starts("/a").len(), heads_read(&world)), (2, reads));
    }
}

#[test]
fn an_error_page_that_was_cut_is_nothing_to_continue() {
    let mut world = World::with(Config::default().with(|it| it.keep_bad_status_bodies = true));
    let not_found = || Plan::Raw(404, vec![("ETag", "\"1\"".into())], 0, 40);
    let request = world.serve_planned("/a", [not_found(), not_found()]);
    world.hold(Hold::Events);
    world.hold(Hold::Caller);
    let fetch = world.fetch([request]);
    world.let_go(Hold::Caller);
    while world.store.length(record(fetch, 0)) < 20 {
        world.step(world.steps()[0]);
    }
    world.lose_connections();
    world.run();
    assert_eq!((world.starts("/a"), heads_read(&world)), (vec![0, 0], 0));
    assert_eq!(world.result(fetch), Some(Err(FailureReason::BadStatus)));
}

#[test]
fn a_head_that_cannot_be_read_costs_the_bytes_and_nothing_else() {
    let mut world = World::new();
    let request = world.serve_planned("/a", [Plan::Cut(50)]);
    world.hold(Hold::Heads);
    let fetch = world.fetch([request]);
    world.run();
    assert_eq!(world.starts("/a"), [0], "it waits for the head");
    world.store.lose_heads();
    world.let_go(Hold::Heads);
    world.run();
    assert_eq!(world.starts("/a"), [0, 0]);
    assert_eq!(world.result(fetch), Some(Ok(())));
}

#[test]
fn a_pause_an_abort_or_an_end_while_a_head_is_read_leaves_nothing_behind() {
    for what in ["pause", "abort", "unregister"] {
        let mut world = World::new();
        let request = world.serve_planned("/a", [Plan::Cut(50)]);
        world.hold(Hold::Heads);
        let fetch = world.fetch([request]);
        world.run();
        match what {
            "pause" => world.set_paused(fetch, true),
            "abort" => world.abort(fetch),
            _ => world.unregister(crate::world::registration()),
        };
        world.let_go(Hold::Heads);
        assert!(world.steps().contains(&Step::LoadHead(record(fetch, 0))));
        world.run();
        world.assert_slots_free();
        match what {
            "pause" => {
                world.set_paused(fetch, false);
                world.run();
                assert_eq!(world.starts("/a"), [0, 50]);
                assert_eq!(world.result(fetch), Some(Ok(())));
            }
            "abort" => assert_eq!(world.result(fetch), Some(Err(FailureReason::Aborted))),
            _ => assert!(world.model.fetch(fetch).is_none()),
        }
        world.assert_at_rest();
    }
}
