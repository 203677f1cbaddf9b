//! The cost of the scheduler for each record: all are queued, then run to the end as fast as slots
//! become free. Records come from the hosts in turn, so every start is a choice.
//!
//! The figure to watch is elements (records) per second: as records and fetches grow in number, it
//! should fall no more than a logarithm does.
#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a panic here is a failed benchmark, and criterion's macros make an undocumented function"
)]

use std::collections::VecDeque;
use std::hint::black_box;

use bgfetch_model::ids::{FetchKey, HostKey, RecordIndex, RecordKey, RegistrationKey, StorageKey};
use bgfetch_net::partition::Partition;
use bgfetch_net::scheduler::{Candidate, Limits, Priority, Scheduler};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use url::Url;

/// Records spread evenly over fetches of ten storage keys.
struct Work {
    registrations: Vec<(Partition, RegistrationKey)>,
    hosts: Vec<HostKey>,
    fetches: u32,
    records: u32,
    multiplexing: bool,
}

impl Work {
    fn new(records: u32, fetches: u32, hosts: u32, multiplexing: bool) -> Self {
        let url = |text: String| Url::parse(&text).expect("a valid URL");
        Self {
            registrations: (0..10)
                .map(|site| {
                    let storage_key = StorageKey(format!("https://site{site}.test"));
                    let scope = url(format!("https://site{site}.test/"));
                    let partition = Partition::Site(storage_key.clone());
                    (partition, RegistrationKey { storage_key, scope })
                })
                .collect(),
            hosts: (0..hosts)
                .map(|host| HostKey::of(&url(format!("https://host{host}.test/"))))
                .collect(),
            fetches,
            records,
            multiplexing,
        }
    }

    fn enqueue_all(&self, scheduler: &mut Scheduler) {
        let sites = self.registrations.iter().cycle();
        for (fetch, (partition, registration)) in (0..self.fetches).zip(sites) {
            let hosts = self.hosts.iter().cycle().skip(fetch as usize % self.hosts.len());
            for (index, host) in (0..self.records / self.fetches).zip(hosts) {
                scheduler.enqueue(Candidate {
                    record: RecordKey { fetch: FetchKey(fetch.into()), index: RecordIndex(index) },
                    partition,
                    registration,
                    priority: Priority::Normal,
                    host,
                });
                if self.multiplexing {
                    scheduler.host_answered(partition, host, true);
                }
            }
        }
    }
}

/// Starts all records; the one that started first ends first.
fn run(scheduler: &mut Scheduler) -> u32 {
    let mut running = VecDeque::new();
    let mut started = 0;
    loop {
        while let Some(record) = scheduler.next() {
            started += 1;
            running.push_back(record);
        }
        let Some(ended) = running.pop_front() else {
            return started;
        };
        scheduler.release(ended);
    }
}

fn scheduler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    group.sample_size(10);
    for (records, fetches, hosts, multiplexing) in [
        (1, 1, 1, false),
        (1_000, 1, 1, false),
        (1_000, 1, 1, true),
        (1_000, 1_000, 1, false),
        (100_000, 1, 1, false),
        (100_000, 1, 10, false),
        (100_000, 1, 1_000, false),
        (100_000, 1_000, 1, false),
        (100_000, 1_000, 10, false),
        (100_000, 1_000, 10, true),
    ] {
        let work = Work::new(records, fetches, hosts, multiplexing);
        let protocol = if multiplexing { "h2" } else { "h1" };
        let name = format!("{records} records, {fetches} fetches, {hosts} hosts, {protocol}");
        group.throughput(Throughput::Elements(records.into()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_batched_ref(
                || Scheduler::new(Limits::default()),
                |scheduler| {
                    work.enqueue_all(scheduler);
                    assert_eq!(black_box(run(scheduler)), records);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, scheduler);
criterion_main!(benches);
