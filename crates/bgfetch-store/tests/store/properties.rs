//! Random histories, with every kind of end in between, compared with the oracle.

use std::path::Path;
use std::time::Duration;

use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey};
use bgfetch_model::response::{FailureReason, RecordResult};
use bgfetch_model::store_op::{StoreOp, Sync, Transaction};
use bgfetch_model::time::UnixTime;
use bgfetch_store::{SqliteStore, Store};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::fixture::*;
use crate::oracle::Oracle;

/// A step; the state determines which fetch and record it applies to.
#[derive(Clone, Debug)]
enum Step {
    PutRegistration(u8),
    RemoveRegistration(u8),
    Insert {
        of: u8,
        records: u32,
    },
    OnFetch(FetchStep, Index),
    OnRecord(RecordStep, Index),
    /// Commits the gathered operations, with or without a sync of a fetch's bodies.
    Commit(Option<Index>),
    /// Ends after which the store is opened again.
    End(End),
}

#[derive(Clone, Debug)]
enum FetchStep {
    Pause(bool),
    Abort,
    Title(String),
    Cause,
    Settle(bool),
    Attempts(u32),
    RunningTime(u32),
    EndDelivery,
    Forget,
}

#[derive(Clone, Debug)]
enum RecordStep {
    BeginUpload,
    UndoBeginUpload,
    OpenGeneration,
    Write(Vec<u8>),
    Settle(bool),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Crash,
    PowerLoss,
    Close,
    CloseAndReboot,
}

fn step() -> impl Strategy<Value = Step> {
    let on_fetch = prop_oneof![
        any::<bool>().prop_map(FetchStep::Pause),
        Just(FetchStep::Abort),
        "\\PC{0,8}".prop_map(FetchStep::Title),
        Just(FetchStep::Cause),
        any::<bool>().prop_map(FetchStep::Settle),
        any::<u32>().prop_map(FetchStep::Attempts),
        any::<u32>().prop_map(FetchStep::RunningTime),
        Just(FetchStep::EndDelivery),
        Just(FetchStep::Forget),
    ];
    let on_record = prop_oneof![
        1 => Just(RecordStep::BeginUpload),
        1 => Just(RecordStep::UndoBeginUpload),
        4 => Just(RecordStep::OpenGeneration),
        6 => prop::collection::vec(any::<u8>(), 0..200).prop_map(RecordStep::Write),
        2 => any::<bool>().prop_map(RecordStep::Settle),
    ];
    let end = prop_oneof![
        Just(End::Crash),
        Just(End::PowerLoss),
        Just(End::Close),
        Just(End::CloseAndReboot),
    ];
    prop_oneof![
        1 => (0u8..3).prop_map(Step::PutRegistration),
        1 => (0u8..3).prop_map(Step::RemoveRegistration),
        3 => (0u8..3, 0u32..4).prop_map(|(of, records)| Step::Insert { of, records }),
        4 => (on_fetch, any::<Index>()).prop_map(|(step, at)| Step::OnFetch(step, at)),
        12 => (on_record, any::<Index>()).prop_map(|(step, at)| Step::OnRecord(step, at)),
        4 => prop::option::of(any::<Index>()).prop_map(Step::Commit),
        1 => end.prop_map(Step::End),
    ]
}

struct World<'a> {
    directory: &'a Path,
    /// `None` only while the store is opened again.
    store: Option<SqliteStore>,
    /// What was committed, with the gathered operations applied.
    oracle: Oracle,
    gathered: Vec<StoreOp>,
    boot: u32,
}

impl World<'_> {
    fn new(directory: &Path) -> World<'_> {
        World {
            directory,
            store: Some(open_after_boot(directory, "0")),
            oracle: Oracle::default(),
            gathered: Vec::new(),
            boot: 0,
        }
    }

    fn op(&mut self, op: StoreOp) {
        self.oracle.commit(&Transaction { ops: vec![op.clone()], syncs: Vec::new() });
        self.gathered.push(op);
    }

    fn commit(&mut self, sync: Option<Sync>) {
        // Several transactions in one group, which is synced after all of them were applied.
        let ops = std::mem::take(&mut self.gathered).into_iter();
        let mut batch: Vec<_> = ops.map(|op| transaction([op])).collect();
        batch.push(Transaction { ops: Vec::new(), syncs: sync.into_iter().collect() });
        let syncs = batch.iter().flat_map(|transaction| transaction.syncs.clone()).collect();
        self.oracle.commit(&Transaction { ops: Vec::new(), syncs });
        self.store.as_mut().unwrap().commit(&batch).unwrap();
    }

    fn fetch_at(&self, at: &Index) -> Option<FetchKey> {
        let fetches = &self.oracle.fetches;
        (!fetches.is_empty()).then(|| at.get(fetches).key)
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::PutRegistration(n) => self.op(StoreOp::PutRegistration(registration(n))),
            Step::RemoveRegistration(n) => self.op(StoreOp::RemoveRegistration(registration(n))),
            Step::Insert { of, records } => {
                self.op(StoreOp::PutRegistration(registration(of)));
                let fetch = new_fetch(self.oracle.next_fetch, of, records);
                self.op(StoreOp::InsertFetch(Box::new(fetch)));
            }
            Step::OnFetch(step, at) => {
                if let Some(fetch) = self.fetch_at(&at) {
                    self.on_fetch(fetch, step);
                }
            }
            Step::OnRecord(step, at) => {
                let unsettled: Vec<_> = self
                    .oracle
                    .fetches
                    .iter()
                    .flat_map(|fetch| (0..).zip(&fetch.records).map(|pair| (fetch.key, pair)))
                    .filter(|(_, (_, record))| record.result.is_none())
                    .map(|(fetch, (index, record))| BodyKey {
                        record: RecordKey { fetch, index: RecordIndex(index) },
                        generation: record.generation,
                    })
                    .collect();
                if !unsettled.is_empty() {
                    self.on_record(*at.get(&unsettled), step);
                }
            }
            Step::Commit(at) => {
                let fetch = at.and_then(|at| self.fetch_at(&at));
                self.commit(fetch.map(Sync::ResponseBodies));
            }
            Step::End(end) => self.end(end),
        }
    }

    fn on_fetch(&mut self, key: FetchKey, step: FetchStep) {
        let icons = Vec::new();
        let aborted = FailureReason::Aborted;
        self.op(match step {
            FetchStep::Pause(paused) => StoreOp::SetPaused(key, paused),
            FetchStep::Abort => StoreOp::SetAbortAll(key),
            FetchStep::Title(title) => StoreOp::SetUi(key, title, icons),
            FetchStep::Cause => StoreOp::SetCause(key, FailureReason::QuotaExceeded),
            FetchStep::Settle(true) => StoreOp::Settle(key, Ok(()), UnixTime(1)),
            FetchStep::Settle(false) => StoreOp::Settle(key, Err(aborted), UnixTime(2)),
            FetchStep::Attempts(attempts) => StoreOp::SetDeliveryAttempts(key, attempts),
            FetchStep::RunningTime(time) => {
                StoreOp::SetRunningTime(key, Duration::from_millis(time.into()))
            }
            FetchStep::EndDelivery => StoreOp::EndDelivery(key),
            FetchStep::Forget => StoreOp::Forget(key),
        });
    }

    fn on_record(&mut self, body: BodyKey, step: RecordStep) {
        let record = body.record;
        match step {
            RecordStep::BeginUpload => self.op(StoreOp::BeginUpload(record)),
            RecordStep::UndoBeginUpload => self.op(StoreOp::UndoBeginUpload(record)),
            RecordStep::OpenGeneration => {
                let generation = Generation(body.generation.0 + 1);
                let next = BodyKey { record, generation };
                self.op(StoreOp::OpenGeneration(next, head(200)));
                // Its bytes count only once its head is committed.
                self.commit(None);
            }
            RecordStep::Write(bytes) => {
                if body.generation != Generation::default() {
                    let bodies = self.store.as_ref().unwrap().bodies();
                    write(&*bodies, body, self.oracle.length(body), &bytes);
                    self.oracle.write(body, &bytes);
                }
            }
            RecordStep::Settle(succeeded) => {
                let failed = RecordResult::Failure(FailureReason::FetchError);
                self.op(StoreOp::SettleRecord {
                    record,
                    result: if succeeded { RecordResult::Success } else { failed },
                    stored: self.oracle.length(body),
                    uploaded: 3,
                });
            }
        }
    }

    fn end(&mut self, end: End) {
        self.commit(None);
        if matches!(end, End::Close | End::CloseAndReboot) {
            self.store.as_mut().unwrap().close().unwrap();
            self.oracle.close();
        }
        if matches!(end, End::PowerLoss | End::CloseAndReboot) {
            self.oracle.reboot();
            self.boot += 1;
        }
        self.store = None;
        let mut store = open_after_boot(self.directory, &self.boot.to_string());
        self.oracle.check(&store.load().unwrap());
        self.check_bytes(&store);
        self.store = Some(store);
    }

    /// Checks that every body has its bytes, and that there are no other bodies.
    fn check_bytes(&self, store: &SqliteStore) {
        let bodies = store.bodies();
        let mut expected = Vec::new();
        for (body, _) in self.oracle.current() {
            let bytes = self.oracle.bodies.get(&body);
            if let Some(bytes) = bytes {
                assert_eq!(read(&*bodies, body), *bytes, "{body:?}");
            }
            let RecordKey { fetch, index } = body.record;
            expected.push(format!("{}/{}.{}", fetch.0, index.0, body.generation.0));
        }
        let files = body_files(self.directory);
        for file in files.iter().filter(|file| file.contains('/')) {
            assert!(expected.contains(file), "{file} is an orphan");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_what_the_oracle_says(steps in prop::collection::vec(step(), 1..80)) {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::new(directory.path());
        for step in steps {
            world.run(step);
        }
        world.end(End::Crash);
        world.end(End::PowerLoss);
    }
}
