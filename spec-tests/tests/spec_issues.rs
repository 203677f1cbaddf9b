//! Behaviour promised by entries of docs/spec-issues.md that takes a whole background fetch to
//! show: a model is driven by hand, input by input.

// A panic in a test helper fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Duration;

use std::sync::Arc;

use bgfetch_model::action::Action;
use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent};
use bgfetch_model::config::Config;
use bgfetch_model::delivery::{NotHandledReason, Outcome};
use bgfetch_model::error::CallError;
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::{
    AttemptId, CallId, FetchKey, RecordIndex, RecordKey, RegistrationKey, StorageKey,
};
use bgfetch_model::input::{FetchCall, FetchOptions};
use bgfetch_model::input::{Input, Permission};
use bgfetch_model::model::Model;
use bgfetch_model::policy::Principal;
use bgfetch_model::request::Request;
use bgfetch_model::response::{FailureReason, ResponseHead, ResponseType};
use bgfetch_model::store_op::{FetchResult, Snapshot, StoreOp};
use bgfetch_model::time::{Instant, Now, UnixTime};

fn registration() -> RegistrationKey {
    RegistrationKey {
        storage_key: StorageKey("https://app.test".into()),
        scope: "https://app.test/".parse().unwrap(),
    }
}

fn get(record: u32) -> Request {
    Request::get(format!("https://app.test/{record}").parse().unwrap())
}

fn call(id: &str, requests: Vec<Request>, download_total: u64) -> FetchCall {
    FetchCall {
        call: CallId(1),
        registration: registration(),
        principal: Arc::new(Principal::User),
        id: id.into(),
        requests,
        options: FetchOptions::default().with(|it| it.download_total = download_total),
        sees_active_worker: true,
    }
}

/// A model with one background fetch, a store that acknowledges at once, and a scheduler with a
/// slot for every record.
struct World {
    model: Model,
    fetch: FetchKey,
    now: Now,
    /// The attempts with their records.
    attempts: Vec<(u32, AttemptId)>,
    commands: Vec<(AttemptId, AttemptCommand)>,
    settled: Option<FetchResult>,
    fired: Vec<FetchResult>,
    /// The stored head of each record.
    heads: BTreeMap<RecordKey, Arc<ResponseHead>>,
}

impl World {
    /// Registers a fetch of `records` requests; its caller has not been told yet.
    fn registered(records: u32, download_total: u64) -> Self {
        let now = Now { monotonic: Instant::default(), wall: UnixTime(1_700_000_000_000) };
        let mut world = Self {
            model: Model::open(Config::default(), Snapshot::default(), now),
            fetch: FetchKey(0),
            now,
            attempts: Vec::new(),
            commands: Vec::new(),
            settled: None,
            fired: Vec::new(),
            heads: BTreeMap::new(),
        };
        world.input(Input::Register {
            call: CallId(0),
            registration: registration(),
            active_worker: true,
        });
        let call = call("films", (0..records).map(get).collect(), download_total);
        world.input(Input::Fetch(Box::new(call)));
        let (permission, quota) = (Permission::Granted, Some(u64::MAX));
        world.input(Input::Permission { call: CallId(1), permission, quota });
        world.fetch = world.model.fetches().next().expect("a fetch").key();
        world
    }

    /// Registers a fetch of `records` requests and starts all of them.
    fn fetching(records: u32, download_total: u64) -> Self {
        let mut world = Self::registered(records, download_total);
        world.input(Input::CallerReady(world.fetch));
        world
    }

    fn input(&mut self, input: Input) {
        self.model.handle(self.now, input);
        while let Some(action) = self.model.poll_action() {
            match action {
                Action::Commit(commit, transaction) => {
                    for op in transaction.ops {
                        match op {
                            StoreOp::Settle(_, result, _) => {
                                assert_eq!(self.settled.replace(result), None, "settled twice");
                            }
                            StoreOp::OpenGeneration(body, head) => {
                                self.heads.insert(body.record, head);
                            }
                            _ => {}
                        }
                    }
                    self.model.handle(self.now, Input::Committed(commit));
                }
                Action::Enqueue { record, .. } => {
                    self.model.handle(self.now, Input::SlotGranted(record));
                }
                Action::LoadHead(record) => {
                    let head = self.heads.get(&record).cloned();
                    self.model.handle(self.now, Input::HeadLoaded(record, head));
                }
                Action::StartAttempt { attempt, record: RecordKey { index, .. }, .. } => {
                    self.attempts.push((index.0, attempt));
                }
                Action::Command(attempt, command) => self.commands.push((attempt, command)),
                Action::UpdateClients { fetch, settled: true, .. } => {
                    self.model.handle(self.now, Input::ClientsApplied(fetch.key));
                }
                Action::FireSettledEvent(_, result) => self.fired.push(result),
                _ => {}
            }
        }
    }

    /// The record's latest attempt.
    fn attempt(&self, record: u32) -> AttemptId {
        let mut attempts = self.attempts.iter().rev();
        attempts.find(|(of, _)| *of == record).expect("an attempt").1
    }

    fn report(&mut self, record: u32, event: AttemptEvent) {
        self.input(Input::Attempt(self.attempt(record), event));
    }

    fn head(&mut self, record: u32, status: u16, headers: &[(&str, &str)]) {
        let head = ResponseHead::new(status, vec![get(record).url]).with(|it| {
            it.headers = HeaderList::from_iter(headers.iter().copied());
            it.response_type = ResponseType::Basic;
        });
        let (request_headers, address, retry_after, multiplexes) = (None, None, None, false);
        self.report(
            record,
            AttemptEvent::Head { head, request_headers, address, retry_after, multiplexes },
        );
    }

    /// The record's attempt ends with `stored` bytes, if it was told to receive any.
    fn ended(&mut self, record: u32, stored: Option<u64>, end: AttemptEnd) {
        self.report(record, AttemptEvent::Ended { stored, end });
    }

    fn was_cancelled(&self, record: u32) -> bool {
        self.commands.contains(&(self.attempt(record), AttemptCommand::Cancel))
    }

    /// The record's response has an ok status and ends.
    fn succeeds(&mut self, record: u32) {
        self.head(record, 200, &[]);
        self.ended(record, Some(0), AttemptEnd::Complete);
    }
}

#[test]
fn bandwidth_is_shown_in_use_until_the_fetch_settles() {
    let mut world = World::fetching(1, 0);
    assert!(world.model.fetch(world.fetch).unwrap().display().uses_bandwidth);
    world.succeeds(0);
    assert!(!world.model.fetch(world.fetch).unwrap().display().uses_bandwidth);
}

#[test]
fn the_first_record_that_failed_gives_the_reason() {
    let mut world = World::fetching(3, 0);
    // A record that succeeded gives no reason; of those that failed the first one does, not the
    // last.
    world.succeeds(2);
    world.head(1, 404, &[]);
    world.ended(1, None, AttemptEnd::Cancelled);
    assert_eq!(world.settled, None, "one bad record does not stop the others");
    world.head(0, 206, &[]);
    world.ended(0, None, AttemptEnd::Cancelled);
    let record = world.model.fetch(world.fetch).unwrap().record(RecordIndex(0)).unwrap();
    let failure = record.response_data().result.and_then(|result| result.failure());
    assert_eq!(failure, Some(FailureReason::FetchError));
    assert_eq!(world.settled, Some(Err(FailureReason::BadStatus)));
    assert_eq!(world.fired, [Err(FailureReason::BadStatus)]);
}

#[test]
fn after_an_immediate_failure_all_records_end_before_the_fetch_settles() {
    let mut world = World::fetching(2, 10);
    world.head(0, 200, &[]);
    world.report(0, AttemptEvent::NeedGrant(0));
    // Ten bytes are exactly what was promised; an eleventh is waiting.
    world.report(0, AttemptEvent::NeedGrant(10));
    assert!(world.was_cancelled(0));
    world.ended(0, Some(10), AttemptEnd::Cancelled);
    assert!(world.was_cancelled(1), "its sibling ends too");
    assert_eq!(world.settled, None, "but has not ended yet");
    world.ended(1, None, AttemptEnd::Cancelled);
    assert_eq!(world.settled, Some(Err(FailureReason::DownloadTotalExceeded)));
}

#[test]
fn an_event_that_nobody_handled_is_fired_again() {
    let mut world = World::fetching(1, 0);
    world.succeeds(0);
    assert_eq!(world.fired, [Ok(())]);
    let outcome = Outcome::NotHandled(NotHandledReason::TimedOut);
    world.input(Input::EventEnded { fetch: world.fetch, outcome });
    assert!(world.model.fetch(world.fetch).unwrap().records_available());
    world.now.monotonic = world.now.monotonic.after(Duration::from_secs(1));
    world.input(Input::Tick);
    assert_eq!(world.fired, [Ok(()), Ok(())]);
}

#[test]
fn a_part_that_does_not_fit_leads_to_a_restart() {
    let mut world = World::fetching(1, 0);
    world.head(0, 200, &[("ETag", "\"a\"")]);
    world.report(0, AttemptEvent::NeedGrant(0));
    world.ended(0, Some(5), AttemptEnd::Cancelled);
    world.now.monotonic = world.now.monotonic.after(Duration::from_secs(1));
    world.input(Input::Tick);
    // The server has another representation by now, but sends a part of it.
    world.head(0, 206, &[("ETag", "\"b\""), ("Content-Range", "bytes 5-9/10")]);
    assert!(world.was_cancelled(0));
    world.ended(0, None, AttemptEnd::Cancelled);
    // This attempt requests the whole.
    world.head(0, 200, &[("ETag", "\"b\"")]);
    let whole = world.attempt(0);
    let restarted = world.commands.iter().any(|(attempt, command)| {
        *attempt == whole && matches!(command, AttemptCommand::Receive { offset: 0, .. })
    });
    assert!(restarted);
    world.report(0, AttemptEvent::NeedGrant(0));
    world.ended(0, Some(10), AttemptEnd::Complete);
    assert_eq!(world.settled, Some(Ok(())));
}

#[test]
fn the_body_of_a_bad_status_is_not_received() {
    let mut world = World::fetching(1, 0);
    world.head(0, 404, &[("X-Reason", "gone")]);
    assert_eq!(world.commands, [(world.attempt(0), AttemptCommand::Cancel)]);
    world.ended(0, None, AttemptEnd::Cancelled);
    let fetch = world.model.fetch(world.fetch).unwrap();
    let data = fetch.record(RecordIndex(0)).unwrap().response_data();
    assert!(data.is_exposed());
    assert_eq!(data.stored, 0);
    assert_eq!(data.response.map(|head| head.status), Some(404));
    let record = RecordKey { fetch: world.fetch, index: RecordIndex(0) };
    assert_eq!(world.heads[&record].headers.get("x-reason").as_deref(), Some("gone"));
}

#[test]
fn empty_ids_and_blocked_ports_are_refused_at_the_call() {
    let config = Config::default();
    assert_eq!(call("films", vec![get(0)], 0).validate(&config), Ok(()));
    let refused = call("", vec![get(0)], 0).validate(&config);
    assert_eq!(refused, Err(CallError::EmptyId));
    let smtp = Request::get("https://app.test:25/".parse().unwrap());
    let refused = call("films", vec![get(0), smtp], 0).validate(&config);
    assert_eq!(refused, Err(CallError::BlockedPort));
    let world = World::registered(1, 0);
    assert_eq!(world.model.get(&registration(), ""), Err(CallError::EmptyId));
}

#[test]
fn records_wait_until_the_caller_saw_its_promise() {
    let mut world = World::registered(1, 0);
    assert!(world.attempts.is_empty());
    world.input(Input::CallerReady(world.fetch));
    assert_eq!(world.attempts.len(), 1);
}
