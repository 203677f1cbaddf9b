//! Compares hosts outside Rust with the façade: each downloads the same file from the same nginx on
//! loopback and reads it while it arrives, in turns, and the medians are compared.
//!
//! `make hosts` builds them and runs this. Each pair of arguments is the name of a host and its
//! command, which gets a folder and a URL, and prints how many seconds the download and the read took.
//! The run fails if one has less than 0.8 of the façade's throughput.

// A panic here fails the run, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use bgfetch::{Engine, FetchOptions, StorageKey};
use bgfetch_testkit::{GIB, Nginx, Resource};
use futures_util::TryStreamExt;
use url::Url;

/// How often each host runs; medians are compared.
const RUNS: usize = 5;

/// The least part of the façade's throughput.
const BOUND: f64 = 0.8;

fn main() -> ExitCode {
    // Cargo adds an option of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let nginx = Nginx::try_start(&root).expect("nginx is installed; `make setup` does that");
    nginx.put("file", &Resource::new(1, GIB));
    let url = nginx.url("/file");
    let mut facade = Vec::new();
    let mut hosts: Vec<_> = arguments
        .chunks_exact(2)
        .map(|host| (host.first().unwrap(), host.last().unwrap(), Vec::new()))
        .collect();
    let store = scratch.path().join("store");
    for _ in 0..RUNS {
        facade.push(of_facade(&store, &url));
        std::fs::remove_dir_all(&store).unwrap();
        for (_, command, times) in &mut hosts {
            times.push(of_host(command, &store, &url));
            std::fs::remove_dir_all(&store).unwrap();
        }
    }
    let facade = median(facade);
    let throughput = |seconds: f64| GIB as f64 / seconds / 1e6;
    println!("{:8} {facade:6.3} s {:6.0} MB/s", "Rust", throughput(facade));
    let mut kept = true;
    for (name, _, times) in hosts {
        let seconds = median(times);
        let ratio = facade / seconds;
        println!("{name:8} {seconds:6.3} s {:6.0} MB/s   ratio {ratio:.2}", throughput(seconds));
        kept &= ratio >= BOUND;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many seconds the façade takes.
fn of_facade(store: &Path, url: &Url) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::builder().directory(store).open().unwrap();
        let worker = engine.register(StorageKey("site".into()), url.clone()).await.unwrap();
        let started = Instant::now();
        let manager = worker.background_fetch();
        let fetch = manager.fetch("file", [url.clone()], FetchOptions::default()).await.unwrap();
        let records = fetch.records().await.unwrap();
        let mut body = records.first().unwrap().response_ready().await.unwrap().body;
        let mut length = 0;
        while let Some(chunk) = body.try_next().await.unwrap() {
            length += chunk.len() as u64;
        }
        assert_eq!(length, GIB);
        let seconds = started.elapsed().as_secs_f64();
        engine.shutdown().await.unwrap();
        seconds
    })
}

/// How many seconds a host takes, as it says.
fn of_host(command: &str, store: &Path, url: &Url) -> f64 {
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    let output = command.args(words).arg(store).arg(url.as_str()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = || String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", error());
    text.trim().parse().unwrap()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
