//! The whole engine under simulation: the real façade, model, scheduler, attempt driver, event
//! delivery and store, on one thread and in virtual time. The network, the disk, workers, pages,
//! the user and the clock are simulated, and each of them misbehaves. After crashes and power
//! losses, the next process does only what an embedder does at each start.
//!
//! An oracle compares what is told and what happens with the documents, and not with the code.
//!
//! Each run has a seed, which a failure prints with the end of the run. `SIMULATION_RUNS=n` sets
//! the number of runs, and `SIMULATION_SEED=n` the first seed; `SIMULATION_TRACE=1` prints whole
//! runs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]
#![cfg(unix)]

mod body;
mod deeds;
mod disk;
mod drawn;
mod facts;
mod held;
mod life;
mod network;
mod oracle;
mod page;
mod plan;
mod resource;
mod server;
mod trace;
mod worker;
mod world;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use trace::Counts;
use world::World;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Runs one seed. Returns the end of the run if it violates something.
fn run(seed: u64) -> Result<Counts, String> {
    let outcome = World::run(seed);
    if number("SIMULATION_TRACE").is_some() {
        println!("{}", outcome.trace.tail(usize::MAX));
    }
    match outcome.violation {
        None => Ok(outcome.counts),
        Some(violation) => {
            let tail = outcome.trace.tail(60);
            Err(format!("\n{tail}\n\nSIMULATION_SEED={seed}: {violation}\n"))
        }
    }
}

#[test]
fn what_is_promised_holds_in_simulated_worlds() {
    let first = number("SIMULATION_SEED").unwrap_or(1);
    let end = first + number("SIMULATION_RUNS").unwrap_or(2000);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, began) = (AtomicU64::new(first), Instant::now());
    let counts = Mutex::new(Ok(Counts::default()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let run = run(seed);
                    let mut counts = counts.lock().unwrap();
                    match (&mut *counts, run) {
                        (Ok(counts), Ok(run)) => counts.add(run),
                        (Ok(_), Err(violation)) => {
                            *counts = Err(violation);
                            next.store(end, Ordering::Relaxed);
                        }
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    let counts = match counts.into_inner().unwrap() {
        Ok(counts) => counts,
        Err(violation) => panic!("{violation}"),
    };
    let seconds = began.elapsed().as_secs_f64();
    println!("{counts}; {:.0} steps/s", counts.steps as f64 / seconds);
    assert_eq!(counts.runs, end - first);
}

#[test]
fn a_seed_decides_everything() {
    for seed in 1..=20 {
        let lines = || World::run(seed).trace.lines().collect::<Vec<_>>();
        let (first, second) = (lines(), lines());
        for (first, second) in first.iter().zip(&second) {
            assert_eq!(first, second, "SIMULATION_SEED={seed}");
        }
        assert_eq!(first.len(), second.len(), "SIMULATION_SEED={seed}");
    }
}
