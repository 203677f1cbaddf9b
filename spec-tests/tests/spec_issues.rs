//! What the entries of docs/spec-issues.md promise, where it takes a whole background fetch to
//! show it: a model is driven by hand, input by input.

// A panic in a test's helper is a failed test, which is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use bgfetch_model::action::Action;
use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent};
use bgfetch_model::background_fetch_manager::fetch::{FetchCall, FetchOptions};
use bgfetch_model::config::Config;
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::{
    AttemptId, CallId, FetchKey, RecordIndex, RecordKey, RegistrationKey, StorageKey,
};
use bgfetch_model::input::{Input, Permission};
use bgfetch_model::model::Model;
use bgfetch_model::request::Request;
use bgfetch_model::response::{FailureReason, ResponseHead};
use bgfetch_model::store_op::{FetchResult, Snapshot, StoreOp};
use bgfetch_model::time::{Instant, Now, UnixTime};

/// A model with one background fetch, a store that acknowledges at once, and a scheduler with a
/// slot for everyone.
struct World {
    model: Model,
    fetch: FetchKey,
    now: Now,
    /// The attempts by their records.
    attempts: Vec<(u32, AttemptId)>,
    commands: Vec<(AttemptId, AttemptCommand)>,
    settled: Option<FetchResult>,
    fired: Vec<FetchResult>,
}

impl World {
    /// Registers a fetch of `records` requests, all of which are under way then.
    fn fetching(records: u32, download_total: u64) -> Self {
        let now = Now {
            monotonic: Instant::default(),
            wall: UnixTime(1_700_000_000_000),
        };
        let mut world = Self {
            model: Model::open(Config::default(), Snapshot::default(), now),
            fetch: FetchKey(0),
            now,
            attempts: Vec::new(),
            commands: Vec::new(),
            settled: None,
            fired: Vec::new(),
        };
        let registration = RegistrationKey {
            storage_key: StorageKey("https://app.test".into()),
            scope: "https://app.test/".parse().unwrap(),
        };
        world.input(Input::Register {
            call: CallId(0),
            registration: registration.clone(),
            active_worker: true,
        });
        let url = |index| format!("https://app.test/{index}").parse().unwrap();
        world.input(Input::Fetch(Box::new(FetchCall {
            call: CallId(1),
            registration,
            id: "films".into(),
            requests: (0..records).map(|index| Request::get(url(index))).collect(),
            options: FetchOptions {
                download_total,
                ..FetchOptions::default()
            },
        })));
        world.input(Input::Permission {
            call: CallId(1),
            permission: Permission::Granted,
        });
        world.fetch = world
            .model
            .fetches()
            .next()
            .expect("a registered fetch")
            .key();
        world.input(Input::CallerReady(world.fetch));
        world
    }

    fn input(&mut self, input: Input) {
        self.model.handle(self.now, input);
        while let Some(action) = self.model.poll_action() {
            match action {
                Action::Commit(commit, transaction) => {
                    for op in transaction.ops {
                        if let StoreOp::Settle(_, result, _) = op {
                            assert_eq!(self.settled.replace(result), None, "settled twice");
                        }
                    }
                    self.model.handle(self.now, Input::Committed(commit));
                }
                Action::Enqueue(record) => self.model.handle(self.now, Input::SlotGranted(record)),
                Action::StartAttempt {
                    attempt,
                    record: RecordKey { index, .. },
                    ..
                } => {
                    self.attempts.push((index.0, attempt));
                }
                Action::Command(attempt, command) => self.commands.push((attempt, command)),
                Action::UpdateClients {
                    fetch,
                    settled: true,
                    ..
                } => {
                    self.model.handle(self.now, Input::ClientsApplied(fetch));
                }
                Action::FireSettledEvent(_, result) => self.fired.push(result),
                _ => {}
            }
        }
    }

    /// The record's latest attempt.
    fn attempt(&self, record: u32) -> AttemptId {
        let mut attempts = self.attempts.iter().rev();
        attempts
            .find(|(of, _)| *of == record)
            .expect("an attempt")
            .1
    }

    fn report(&mut self, record: u32, event: AttemptEvent) {
        self.input(Input::Attempt(self.attempt(record), event));
    }

    fn head(&mut self, record: u32, status: u16) {
        let head = ResponseHead {
            status,
            headers: HeaderList::default(),
            url_list: vec!["https://app.test/".parse().unwrap()],
            response_type: Default::default(),
        };
        self.report(
            record,
            AttemptEvent::Head {
                head,
                retry_after: None,
            },
        );
    }

    /// The record's attempt ends with so many bytes stored, if it was told to receive any.
    fn ended(&mut self, record: u32, stored: Option<u64>, end: AttemptEnd) {
        self.report(record, AttemptEvent::Ended { stored, end });
    }

    fn was_cancelled(&self, record: u32) -> bool {
        self.commands
            .contains(&(self.attempt(record), AttemptCommand::Cancel))
    }

    /// The record's response has an ok status and ends.
    fn succeeds(&mut self, record: u32) {
        self.head(record, 200);
        self.ended(record, Some(0), AttemptEnd::Complete);
    }
}

#[test]
fn bandwidth_is_shown_in_use_until_the_fetch_settles() {
    let mut world = World::fetching(1, 0);
    assert!(
        world
            .model
            .fetch(world.fetch)
            .unwrap()
            .display()
            .uses_bandwidth
    );
    world.succeeds(0);
    assert!(
        !world
            .model
            .fetch(world.fetch)
            .unwrap()
            .display()
            .uses_bandwidth
    );
}

#[test]
fn the_first_record_that_failed_gives_the_reason() {
    let mut world = World::fetching(3, 0);
    // A record that succeeded gives none; of those that failed the first does, not the last.
    world.succeeds(2);
    world.head(1, 404);
    world.ended(1, None, AttemptEnd::Cancelled);
    assert_eq!(
        world.settled, None,
        "one bad record does not stop the others"
    );
    world.head(0, 206);
    world.ended(0, None, AttemptEnd::Cancelled);
    let record = world
        .model
        .fetch(world.fetch)
        .unwrap()
        .record(RecordIndex(0))
        .unwrap();
    let failure = record
        .response_data()
        .result
        .and_then(|result| result.failure());
    assert_eq!(failure, Some(FailureReason::FetchError));
    assert_eq!(world.settled, Some(Err(FailureReason::BadStatus)));
    assert_eq!(world.fired, [Err(FailureReason::BadStatus)]);
}

#[test]
fn after_an_immediate_failure_all_records_end_before_the_fetch_settles() {
    let mut world = World::fetching(2, 10);
    world.head(0, 200);
    world.report(0, AttemptEvent::NeedGrant(0));
    // Ten bytes are as many as promised; an eleventh is waiting.
    world.report(0, AttemptEvent::NeedGrant(10));
    assert!(world.was_cancelled(0));
    world.ended(0, Some(10), AttemptEnd::Cancelled);
    assert!(world.was_cancelled(1), "its sibling ends too");
    assert_eq!(world.settled, None, "but has not ended yet");
    world.ended(1, None, AttemptEnd::Cancelled);
    assert_eq!(
        world.settled,
        Some(Err(FailureReason::DownloadTotalExceeded))
    );
}

#[test]
fn an_event_that_nobody_handled_is_fired_again() {
    let mut world = World::fetching(1, 0);
    world.succeeds(0);
    assert_eq!(world.fired, [Ok(())]);
    world.input(Input::EventEnded {
        fetch: world.fetch,
        handled: false,
    });
    assert!(world.model.fetch(world.fetch).unwrap().records_available());
    world.now.monotonic = world.now.monotonic.after(Duration::from_secs(1));
    world.input(Input::Tick);
    assert_eq!(world.fired, [Ok(()), Ok(())]);
    world.input(Input::EventEnded {
        fetch: world.fetch,
        handled: true,
    });
    assert!(!world.model.fetch(world.fetch).unwrap().records_available());
}

#[test]
fn a_part_that_does_not_fit_leads_to_a_restart_not_to_a_failure() {
    let mut world = World::fetching(1, 0);
    let head = |status, headers: &[(&str, &str)]| AttemptEvent::Head {
        head: ResponseHead {
            status,
            headers: HeaderList::from_iter(headers.iter().copied()),
            url_list: vec!["https://app.test/0".parse().unwrap()],
            response_type: Default::default(),
        },
        retry_after: None,
    };
    world.report(0, head(200, &[("ETag", "\"a\"")]));
    world.report(0, AttemptEvent::NeedGrant(0));
    world.ended(0, Some(5), AttemptEnd::Cancelled);
    world.now.monotonic = world.now.monotonic.after(Duration::from_secs(1));
    world.input(Input::Tick);
    // The server has another representation by now, yet sends a part of it.
    world.report(
        0,
        head(206, &[("ETag", "\"b\""), ("Content-Range", "bytes 5-9/10")]),
    );
    assert!(world.was_cancelled(0));
    world.ended(0, None, AttemptEnd::Cancelled);
    // This attempt asks for the whole.
    world.report(0, head(200, &[("ETag", "\"b\"")]));
    let restarted = (
        world.attempt(0),
        AttemptCommand::Receive {
            offset: 0,
            grant: 0,
        },
    );
    assert!(world.commands.contains(&restarted));
    world.report(0, AttemptEvent::NeedGrant(0));
    world.ended(0, Some(10), AttemptEnd::Complete);
    assert_eq!(world.settled, Some(Ok(())));
}
