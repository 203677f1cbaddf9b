//! The cost of the model: of each progress report, and of each record of a whole fetch in a world
//! where everything succeeds at once.
//!
//! The figure to watch is elements (reports, records) per second: as records grow in number, it
//! should fall no more than a logarithm does.
#![allow(
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a panic here is a failed benchmark, and criterion's macros make an undocumented function"
)]

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use std::sync::Arc;

use bgfetch_model::action::{Action, Reply};
use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent};
use bgfetch_model::config::Config;
use bgfetch_model::delivery::Outcome;
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::{AttemptId, CallId, FetchKey, RecordKey, RegistrationKey, StorageKey};
use bgfetch_model::input::{FetchCall, FetchOptions};
use bgfetch_model::input::{Input, Permission};
use bgfetch_model::model::Model;
use bgfetch_model::policy::Principal;
use bgfetch_model::request::Request;
use bgfetch_model::response::{ResponseHead, ResponseType};
use bgfetch_model::store_op::Snapshot;
use bgfetch_model::time::Now;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// The length of each body.
const LENGTH: u64 = 16 << 10;
/// The number of records in flight at the same time.
const SLOTS: usize = 6;

/// Answers every action at once and successfully.
struct World {
    model: Model,
    now: Now,
    head: ResponseHead,
    /// Whether bodies are sent once they may be.
    sends: bool,
    queued: VecDeque<RecordKey>,
    running: usize,
    attempts: Vec<AttemptId>,
    inputs: VecDeque<Input>,
    fetch: Option<FetchKey>,
    over: bool,
}

impl World {
    /// A world in which a fetch of `records` records is registered and not started. With a tight
    /// total, the promised bytes are exactly what the bodies need.
    fn new(records: usize, tight: bool, announced: bool) -> Self {
        let url = || "https://a.test/file".parse().expect("a valid URL");
        let registration =
            RegistrationKey { storage_key: StorageKey("https://a.test".into()), scope: url() };
        let mut headers = HeaderList::default();
        headers.append("ETag", "\"1\"");
        if announced {
            headers.append("Content-Length", LENGTH.to_string());
        }
        let now = Now::default();
        let mut world = Self {
            model: Model::open(Config::default(), Snapshot::default(), now),
            now,
            head: ResponseHead::new(200, vec![url()]).with(|it| {
                it.headers = headers;
                it.response_type = ResponseType::Basic;
            }),
            sends: true,
            queued: VecDeque::new(),
            running: 0,
            attempts: Vec::new(),
            inputs: VecDeque::new(),
            fetch: None,
            over: false,
        };
        world.run(Input::Register {
            call: CallId(0),
            registration: registration.clone(),
            active_worker: true,
        });
        let download_total = if tight { LENGTH * records as u64 } else { 0 };
        world.run(Input::Fetch(Box::new(FetchCall {
            call: CallId(1),
            registration,
            principal: Arc::new(Principal::User),
            id: "id".into(),
            requests: vec![Request::get(url()); records],
            options: FetchOptions::default().with(|it| it.download_total = download_total),
            sees_active_worker: true,
        })));
        world
    }

    fn begin(&mut self) {
        let fetch = self.fetch.expect("registered");
        self.run(Input::CallerReady(fetch));
    }

    fn run(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            self.model.handle(self.now, input);
            while let Some(action) = self.model.poll_action() {
                self.execute(action);
            }
            while self.running < SLOTS
                && let Some(record) = self.queued.pop_front()
            {
                self.running += 1;
                self.inputs.push_back(Input::SlotGranted(record));
            }
        }
    }

    fn execute(&mut self, action: Action) {
        let answer = match action {
            Action::QueryPermission { call, .. } => {
                let (permission, quota) = (Permission::Granted, Some(u64::MAX));
                Input::Permission { call, permission, quota }
            }
            Action::Commit(commit, transaction) => {
                drop(black_box(transaction));
                Input::Committed(commit)
            }
            Action::Reply(_, Ok(Reply::Fetch(fetch))) => {
                self.fetch = Some(fetch.info.key);
                return;
            }
            Action::Enqueue { record, .. } => return self.queued.push_back(record),
            Action::ReleaseSlot(_) => {
                self.running -= 1;
                return;
            }
            Action::StartAttempt { attempt, .. } => {
                self.attempts.push(attempt);
                let event = AttemptEvent::Head {
                    head: self.head.clone(),
                    request_headers: None,
                    address: None,
                    retry_after: None,
                    multiplexes: false,
                };
                Input::Attempt(attempt, event)
            }
            Action::Command(id, command) => return self.obey(id, command),
            Action::UpdateClients { fetch, settled: true, .. } => Input::ClientsApplied(fetch.key),
            Action::FireSettledEvent(fetch, result) => {
                assert_eq!(result, Ok(()));
                self.over = true;
                Input::EventEnded {
                    fetch: fetch.key,
                    outcome: Outcome::Handled { rejection: None },
                }
            }
            other => {
                black_box(other);
                return;
            }
        };
        self.inputs.push_back(answer);
    }

    fn obey(&mut self, id: AttemptId, command: AttemptCommand) {
        let event = match command {
            AttemptCommand::Receive { grant, .. } | AttemptCommand::Grant(grant) if self.sends => {
                if grant >= LENGTH {
                    let (stored, end) = (Some(LENGTH), AttemptEnd::Complete);
                    AttemptEvent::Ended { stored, end }
                } else {
                    AttemptEvent::NeedGrant(grant)
                }
            }
            AttemptCommand::Receive { .. } | AttemptCommand::Grant(_) => return,
            AttemptCommand::RecallGrant => AttemptEvent::GrantReturned(0),
            AttemptCommand::TakeSlot => panic!("nothing is looked up here"),
            AttemptCommand::Cancel => panic!("nothing goes wrong here"),
        };
        self.inputs.push_back(Input::Attempt(id, event));
    }
}

/// A report of one attempt's progress, while other records wait or run.
fn progress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("progress");
    group.throughput(Throughput::Elements(1));
    for records in [1, 1000] {
        let mut world = World::new(records, false, false);
        world.sends = false;
        world.begin();
        let attempt = *world.attempts.first().expect("an attempt");
        let mut stored = 0;
        group.bench_function(BenchmarkId::from_parameter(records), |bencher| {
            bencher.iter(|| {
                stored += 1;
                world.now.monotonic = world.now.monotonic.after(Duration::from_millis(1));
                world.run(Input::Attempt(attempt, AttemptEvent::Progress(stored)));
            });
        });
    }
    group.finish();
}

/// A fetch from its first record to its event.
fn fetch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fetch");
    group.sample_size(10);
    // Whether the lengths of the records, and the total of the fetch, are known.
    for (name, tight, announced) in [
        ("no_total", false, true),
        ("exact_total", true, true),
        ("exact_total_of_unknown_lengths", true, false),
    ] {
        for records in [1, 1000, 100_000] {
            group.throughput(Throughput::Elements(records as u64));
            group.bench_function(BenchmarkId::new(name, records), |bencher| {
                bencher.iter_batched_ref(
                    || World::new(records, tight, announced),
                    |world| {
                        world.begin();
                        assert!(world.over);
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, progress, fetch);
criterion_main!(benches);
