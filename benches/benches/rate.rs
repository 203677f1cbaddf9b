//! Measures how exactly the engine keeps a rate, in real time, while the rate changes: what two fetches
//! store together, what each of them stores, and what their servers send. Fails if what is stored differs
//! by more than a tenth. Run it on an idle machine, with `make rate`.

// A panic here fails the run, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bgfetch::{Engine, FetchOptions, Principal, StorageKey};
use bgfetch_testkit::{GIB, Origin, Resource, Serve};

/// Bytes per second, and for how long.
const STAGES: [(u64, u64); 4] = [(1_000_000, 10), (5_000_000, 10), (200_000, 10), (1_000_000, 10)];

/// What is allowed to differ, as a part of the whole.
const TOLERANCE: f64 = 0.1;

#[tokio::main]
async fn main() -> ExitCode {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let engine = Engine::builder().directory(folder.path()).rate(Some(0)).open().unwrap();
    for site in ["one", "two"] {
        let path = format!("/{site}");
        origin.serve(&path, Resource::new(1, GIB).chunked());
        let worker = engine.register(StorageKey(site.into()), origin.url(&path)).await.unwrap();
        let manager = worker.background_fetch().acting_for(Principal::User);
        manager.fetch(site, [origin.url(&path)], FetchOptions::default()).await.unwrap();
    }
    origin.wait_for_requests(2).await;
    let mut kept = true;
    println!(
        "       rate   seconds      stored   of the rate    of each fetch     the server sent"
    );
    for (rate, seconds) in STAGES {
        let (before, sent) = (stored(&engine).await, origin.bytes_written());
        let began = Instant::now();
        engine.set_rate(Some(rate)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let (after, took) = (stored(&engine).await, began.elapsed().as_secs_f64());
        let each = [after[0] - before[0], after[1] - before[1]];
        let together = each[0] + each[1];
        let part = together as f64 / (rate as f64 * took);
        let sent = origin.bytes_written() - sent;
        println!(
            "{rate:11} {took:9.2} {together:11} {:12.1} % {:8} {:8} {sent:18}",
            100.0 * part,
            each[0],
            each[1],
        );
        kept &= (part - 1.0).abs() <= TOLERANCE;
    }
    engine.kill().await;
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The bytes that each fetch has stored.
async fn stored(engine: &Engine) -> [u64; 2] {
    let jobs = engine.ui().jobs().await.unwrap();
    [jobs[0].records[0].stored, jobs[1].records[0].stored]
}
