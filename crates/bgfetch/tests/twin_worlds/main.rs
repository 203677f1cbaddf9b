//! Two worlds that are the same for one site, and differ in everything that other sites do. What
//! the site can observe must be the same in both: its events, results and counts, their order, and
//! when they happen. Here the model and the scheduler run together, in virtual time.
//!
//! Each run has a seed, which a failure prints. `TWIN_WORLD_RUNS=n` sets the number of runs, and
//! `TWIN_WORLD_SEED=n` the first seed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod attempt;
mod site;
mod world;

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bgfetch::Limits;

use site::Habits;
use world::World;

/// Makes a number of runs, on all processors, and returns it.
fn run_all(runs: u64, run: impl Fn(u64) + Sync) -> u64 {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let first = number("TWIN_WORLD_SEED").unwrap_or(1);
    let runs = number("TWIN_WORLD_RUNS").unwrap_or(runs);
    let end = first + runs;
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for thread in 0..threads {
            let run = &run;
            scope.spawn(move || (first..end).skip(thread).step_by(threads).for_each(run));
        }
    });
    runs
}

/// Fails at the first difference between what the observed site saw beside others and alone.
/// Returns how much it saw.
fn assert_alike(seed: u64, limits: Limits, others: &[Habits]) -> usize {
    let beside = World::run(seed, limits, others);
    let alone = World::run(seed, limits, &[]);
    for (beside, alone) in beside.iter().zip(&alone) {
        assert_eq!(beside, alone, "TWIN_WORLD_SEED={seed}: with others, and alone");
    }
    assert_eq!(beside.len(), alone.len(), "TWIN_WORLD_SEED={seed}");
    alone.len()
}

#[test]
fn what_a_site_observes_is_the_same_whatever_others_do_below_the_total() {
    let observed = AtomicU64::new(0);
    let runs = run_all(10_000, |seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let limits = Limits::default().with(|it| {
            // More than all of them can use.
            it.total = 1000;
            it.per_host = rng.u32(1..4);
            it.per_host_multiplexed = rng.u32(1..8);
            it.look_ups = rng.u32(1..5);
        });
        let others = [Habits::Greedy; 3];
        let count = assert_alike(seed, limits, &others[..rng.usize(1..=others.len())]);
        observed.fetch_add(count as u64, Ordering::Relaxed);
    });
    // The sites had something to observe.
    assert!(observed.into_inner() > 20 * runs);
}

#[test]
fn sites_that_fetch_one_thing_at_a_time_are_not_seen_at_the_total_either() {
    run_all(2000, |seed| {
        let total = fastrand::Rng::with_seed(seed).u32(0..3);
        assert_alike(seed, Limits::default().with(|it| it.total = total), &[Habits::Modest; 4]);
    });
}

#[test]
fn every_sites_fetch_starts_although_others_never_end() {
    run_all(1000, |seed| {
        let total = fastrand::Rng::with_seed(seed).u32(0..6);
        // The world checks after each step that no site waits for others.
        World::run(seed, Limits::default().with(|it| it.total = total), &[Habits::Endless; 3]);
    });
}
