//! A simulated world around the model, in virtual time: a store, an origin, a scheduler, clients
//! and a worker. Everything that can happen next is a [`Step`]. A test may take steps in any order;
//! [`World::run`] takes them in a natural one.
//!
//! With each action, the world checks the rules that hold at all times (see `oracle.rs`, and the
//! assertions of the store and of the data path).

mod calls;
pub(crate) mod data_path;
mod look;
pub(crate) mod oracle;
pub(crate) mod origin;
pub(crate) mod site;
pub(crate) mod store;
pub(crate) mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::action::{Action, Reply};
use bgfetch_model::config::Config;
use bgfetch_model::connectivity::Connectivity;
use bgfetch_model::delivery::{NotHandledReason, Outcome};
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{
    AttemptId, BodyKey, CallId, FetchKey, RecordIndex, RecordKey, RegistrationKey, StorageKey,
};
use bgfetch_model::input::{BodyError, Input, Permission, Verification};
use bgfetch_model::model::Model;
use bgfetch_model::policy::Principal;
use bgfetch_model::request::Request;
use bgfetch_model::time::{Now, UnixTime};

use data_path::Attempt;
use oracle::Oracle;
use origin::Origin;
use store::Store;
use uploads::Bodies;

/// Something that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    AnswerPermission(CallId),
    AnswerQuota,
    AnswerLocalNetwork(AttemptId),
    StoreBodies(CallId),
    ReportBodies(CallId),
    Commit,
    CallerReady(FetchKey),
    LoadHead(RecordKey),
    Work(AttemptId),
    Report(AttemptId),
    Verify(BodyKey),
    ClientsApplied(FetchKey),
    EndEvent(FetchKey),
}

/// A kind of step that is held back until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hold {
    Permission,
    Quota,
    LocalNetwork,
    Bodies,
    Commits,
    Caller,
    Heads,
    Work,
    Reports,
    Verifications,
    Clients,
    Events,
}

pub(crate) struct World {
    pub(crate) model: Model,
    pub(crate) config: Config,
    pub(crate) now: Now,
    pub(crate) store: Store,
    pub(crate) origin: Origin,
    /// Whether packets get through, independently of what the model was told.
    pub(crate) network: bool,
    connectivity: Connectivity,
    pub(crate) quota: u64,
    pub(crate) permission: Permission,
    /// Whether pages may access the local network.
    pub(crate) local_network: bool,
    /// Whether callers of `fetch()` saw an active worker.
    pub(crate) sees_active_worker: bool,
    /// On whose behalf `fetch()` is called.
    pub(crate) principal: Principal,
    pub(crate) body_error: Option<BodyError>,
    /// How many of the next events the worker does not handle.
    pub(crate) unhandled_events: u32,
    /// The worker host's answer if it starts no worker.
    pub(crate) no_worker: Option<NotHandledReason>,
    /// Whether registrations are registered again when the process restarts.
    pub(crate) registers: bool,
    /// How many of the next bodies cannot be read.
    pub(crate) unreadable_bodies: u32,
    pub(crate) chunk: u64,
    pub(crate) held: BTreeSet<Hold>,
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    /// How many records may hold a slot.
    pub(crate) slots: usize,
    queued: BTreeSet<RecordKey>,
    running: BTreeSet<RecordKey>,
    /// The records that left their slots to look up a host or for a permission.
    looking_up: BTreeSet<RecordKey>,
    /// The calls that wait for the permission.
    permissions: BTreeSet<CallId>,
    /// The request bodies that are being stored.
    uploads: BTreeMap<CallId, Bodies>,
    /// The storage keys whose quota was requested.
    quotas: BTreeSet<StorageKey>,
    /// The attempts, possibly over, for which permission was asked.
    local_networks: BTreeSet<AttemptId>,
    bodies: BTreeMap<CallId, Vec<u64>>,
    /// The records that wait for the head of their response.
    heads: BTreeSet<RecordKey>,
    /// The bodies that wait for verification.
    verifications: BTreeSet<BodyKey>,
    callers: BTreeSet<FetchKey>,
    clients: BTreeSet<FetchKey>,
    events: BTreeSet<FetchKey>,
    replies: BTreeMap<CallId, Result<Reply, CallError>>,
    next_call: u64,
    /// Every action that left the model, and when.
    pub(crate) log: Vec<(Duration, Action)>,
    pub(crate) oracle: Oracle,
}

/// The registration that tests use unless they say otherwise.
pub(crate) fn registration() -> RegistrationKey {
    RegistrationKey {
        storage_key: StorageKey("https://a.test".into()),
        scope: "https://a.test/".parse().unwrap(),
    }
}

pub(crate) fn get(path: &str) -> Request {
    Request::get(format!("https://a.test{path}").parse().unwrap())
}

/// A `POST` with a body of that length.
pub(crate) fn post(path: &str, length: u64) -> Request {
    get(path).with(|it| {
        it.method = "POST".into();
        it.body_length = Some(length);
    })
}

/// The integrity metadata of a run of a representation's bytes, in this world's format.
pub(crate) fn integrity_of(representation: u32, first: u64, length: u64) -> String {
    format!("{representation}:{first}+{length}")
}

/// The request, with the integrity of these bytes.
pub(crate) fn with_integrity(request: Request, representation: u32, length: u64) -> Request {
    request.with(|it| it.integrity = integrity_of(representation, 0, length))
}

pub(crate) fn record(fetch: FetchKey, index: u32) -> RecordKey {
    RecordKey { fetch, index: RecordIndex(index) }
}

impl World {
    /// A world whose quota is about bodies alone.
    pub(crate) fn new() -> Self {
        Self::with(Config::default().with(|it| it.count_metadata = false))
    }

    /// A world with one registration that has an active worker.
    pub(crate) fn with(config: Config) -> Self {
        let now = Now { wall: UnixTime(1_700_000_000_000), ..Now::default() };
        let mut world = Self {
            model: Model::open(config.clone(), Default::default(), now),
            config,
            now,
            store: Store::default(),
            origin: Origin::default(),
            network: true,
            connectivity: Connectivity::Online,
            quota: u64::MAX,
            permission: Permission::Granted,
            local_network: true,
            sees_active_worker: true,
            principal: Principal::User,
            body_error: None,
            unhandled_events: 0,
            no_worker: None,
            registers: true,
            unreadable_bodies: 0,
            chunk: 10,
            held: BTreeSet::new(),
            attempts: BTreeMap::new(),
            slots: 6,
            queued: BTreeSet::new(),
            running: BTreeSet::new(),
            looking_up: BTreeSet::new(),
            permissions: BTreeSet::new(),
            uploads: BTreeMap::new(),
            quotas: BTreeSet::new(),
            local_networks: BTreeSet::new(),
            bodies: BTreeMap::new(),
            heads: BTreeSet::new(),
            verifications: BTreeSet::new(),
            callers: BTreeSet::new(),
            clients: BTreeSet::new(),
            events: BTreeSet::new(),
            replies: BTreeMap::new(),
            next_call: 0,
            log: Vec::new(),
            oracle: Oracle::default(),
        };
        world.drain();
        let registered = world.register(registration(), true);
        world.run_now();
        assert_eq!(world.reply(registered), Some(Ok(Reply::Done)));
        world
    }

    /// Handles one input and every action that follows from it.
    pub(crate) fn input(&mut self, input: Input) {
        self.model.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        self.execute_all();
        while self.running.len() < self.slots
            && let Some(record) = self.queued.pop_first()
        {
            self.running.insert(record);
            self.model.handle(self.now, Input::SlotGranted(record));
            self.execute_all();
            assert!(self.running.contains(&record), "{record} no longer wanted its slot");
        }
        self.check();
    }

    fn execute_all(&mut self) {
        while let Some(action) = self.model.poll_action() {
            self.execute(action);
        }
    }

    /// Everything that can happen next, except for the passing of time.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let free = |hold| !self.held.contains(&hold);
        if !self.store.queue.is_empty() && free(Hold::Commits) {
            steps.push(Step::Commit);
        }
        if free(Hold::Permission) {
            steps.extend(self.permissions.iter().copied().map(Step::AnswerPermission));
        }
        for (call, bodies) in self.uploads.iter().filter(|_| free(Hold::Bodies)) {
            if bodies.can_work() {
                steps.push(Step::StoreBodies(*call));
            }
            if !bodies.reports.is_empty() {
                steps.push(Step::ReportBodies(*call));
            }
        }
        if !self.quotas.is_empty() && free(Hold::Quota) {
            steps.push(Step::AnswerQuota);
        }
        if free(Hold::LocalNetwork) {
            steps.extend(self.local_networks.iter().copied().map(Step::AnswerLocalNetwork));
        }
        if free(Hold::Caller) {
            steps.extend(self.callers.iter().copied().map(Step::CallerReady));
        }
        if free(Hold::Heads) {
            steps.extend(self.heads.iter().copied().map(Step::LoadHead));
        }
        for (id, attempt) in &self.attempts {
            if attempt.can_work(self.network) && free(Hold::Work) {
                steps.push(Step::Work(*id));
            }
            if !attempt.reports.is_empty() && free(Hold::Reports) {
                steps.push(Step::Report(*id));
            }
        }
        if free(Hold::Verifications) {
            steps.extend(self.verifications.iter().copied().map(Step::Verify));
        }
        if free(Hold::Clients) {
            steps.extend(self.clients.iter().copied().map(Step::ClientsApplied));
        }
        if free(Hold::Events) {
            steps.extend(self.events.iter().copied().map(Step::EndEvent));
        }
        steps
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::AnswerPermission(call) => {
                self.permissions.remove(&call);
                let (permission, quota) = (self.permission, Some(self.quota));
                self.input(Input::Permission { call, permission, quota });
            }
            Step::AnswerQuota => {
                let storage_key = self.quotas.pop_first().unwrap();
                self.input(Input::Quota(storage_key, self.quota));
            }
            Step::AnswerLocalNetwork(attempt) => {
                self.local_networks.remove(&attempt);
                self.input(Input::LocalNetwork(attempt, self.local_network));
            }
            Step::StoreBodies(call) => {
                let bodies = self.uploads.get_mut(&call).unwrap();
                bodies.work(self.chunk, self.body_error, &mut self.store);
                self.check_disk();
            }
            Step::ReportBodies(call) => {
                let bodies = self.uploads.get_mut(&call).unwrap();
                let report = bodies.reports.pop_front().unwrap();
                if bodies.is_over() && bodies.reports.is_empty() {
                    self.uploads.remove(&call);
                }
                self.input(report);
            }
            Step::Commit => {
                let commit = self.store.apply_next().unwrap();
                self.input(Input::Committed(commit));
            }
            Step::CallerReady(fetch) => {
                self.callers.remove(&fetch);
                self.input(Input::CallerReady(fetch));
            }
            Step::LoadHead(record) => {
                self.heads.remove(&record);
                let head = self.store.head(record);
                self.input(Input::HeadLoaded(record, head));
            }
            Step::Work(id) => {
                let attempt = self.attempts.get_mut(&id).unwrap();
                attempt.work(&mut self.origin, &mut self.store, self.network);
                self.oracle.worked(attempt);
                self.check_disk();
            }
            Step::Report(id) => {
                let attempt = self.attempts.get_mut(&id).unwrap();
                let report = attempt.reports.pop_front().unwrap();
                if attempt.is_over() && attempt.reports.is_empty() {
                    self.attempts.remove(&id);
                }
                self.input(Input::Attempt(id, report));
            }
            Step::Verify(body) => {
                self.verifications.remove(&body);
                let verification = self.verify(body);
                self.input(Input::IntegrityVerified(body, verification));
            }
            Step::ClientsApplied(fetch) => {
                self.clients.remove(&fetch);
                self.oracle.clients_applied(fetch);
                self.input(Input::ClientsApplied(fetch));
            }
            Step::EndEvent(fetch) => {
                self.events.remove(&fetch);
                let outcome = if let Some(reason) = &self.no_worker {
                    Outcome::NotHandled(reason.clone())
                } else if self.unhandled_events > 0 {
                    self.unhandled_events -= 1;
                    Outcome::NotHandled(NotHandledReason::TimedOut)
                } else {
                    Outcome::Handled { rejection: None }
                };
                self.oracle.event_ended(fetch, outcome.is_handled());
                self.input(Input::EventEnded { fetch, outcome });
            }
        }
    }

    fn verify(&mut self, body: BodyKey) -> Verification {
        let Some(file) = self.store.file(body.record, body.generation).copied() else {
            return Verification::Unreadable;
        };
        if self.unreadable_bodies > 0 {
            self.unreadable_bodies -= 1;
            return Verification::Unreadable;
        }
        let integrity = self.store.record(body.record).request.integrity.clone();
        let matches = integrity == integrity_of(file.representation, file.first, file.length);
        if matches {
            self.oracle.verified(body);
        }
        if matches { Verification::Matches } else { Verification::Mismatch }
    }

    /// Does everything that needs no time.
    pub(crate) fn run_now(&mut self) {
        for _ in 0..1_000_000 {
            match self.steps().first() {
                Some(step) => self.step(*step),
                None => return,
            }
        }
        panic!("the world never comes to rest");
    }

    /// An attempt that waits for a grant loses its connection.
    pub(crate) fn lose_one_held_back(&mut self) {
        let held_back = self.attempts.values_mut().find(|it| it.is_held_back());
        if let Some(attempt) = held_back {
            attempt.work(&mut self.origin, &mut self.store, false);
        }
    }

    /// Every connection breaks.
    pub(crate) fn lose_connections(&mut self) {
        self.network = false;
        self.run_now();
        self.network = true;
    }

    /// Makes all transactions in progress durable.
    pub(crate) fn run_commits(&mut self) {
        while !self.store.queue.is_empty() {
            self.step(Step::Commit);
        }
    }

    /// Takes steps as long as `condition` holds.
    pub(crate) fn run_while(&mut self, condition: impl Fn(&Self) -> bool) {
        while condition(self) {
            match self.steps().first() {
                Some(step) => self.step(*step),
                None => assert!(self.jump(), "nothing more happens"),
            }
        }
    }

    /// Continues, over all waits, until nothing more happens by itself.
    pub(crate) fn run(&mut self) {
        for _ in 0..10_000 {
            self.run_now();
            if !self.jump() {
                return;
            }
        }
        panic!("the world never comes to an end");
    }

    /// Advances to the time at which the model wants to be called again; false if there is none.
    pub(crate) fn jump(&mut self) -> bool {
        let Some(next) = self.model.poll_timeout() else {
            return false;
        };
        self.advance(next.since(self.now.monotonic));
        true
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now.monotonic = self.now.monotonic.after(by);
        self.now.wall = self.now.wall.after(by);
        self.input(Input::Tick);
    }

    /// Lets this much time pass, with everything that happens in it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.monotonic.after(time);
        self.run_now();
        while self.model.poll_timeout().is_some_and(|next| next <= end) {
            self.jump();
            self.run_now();
        }
        self.advance(end.since(self.now.monotonic));
        self.run_now();
    }

    /// The process dies and starts again. Of the transactions in progress, `kept` are durable. Of
    /// an unfinished body's bytes, `cut` decides how many are left.
    pub(crate) fn crash(&mut self, kept: usize, cut: impl FnMut(u64) -> u64) {
        self.store.crash(kept, cut);
        self.attempts.clear();
        self.queued.clear();
        self.running.clear();
        self.looking_up.clear();
        self.permissions.clear();
        self.uploads.clear();
        self.quotas.clear();
        self.heads.clear();
        self.local_networks.clear();
        self.verifications.clear();
        self.callers.clear();
        self.clients.clear();
        self.events.clear();
        self.oracle.crashed(&mut self.store);
        self.now.monotonic = Default::default();
        let snapshot = self.store.snapshot();
        self.model = Model::open(self.config.clone(), snapshot, self.now);
        self.drain();
        self.set_connectivity(self.connectivity.clone());
        if self.registers {
            for registration in self.store.registrations.clone() {
                self.register(registration, true);
            }
        }
    }

    fn execute(&mut self, action: Action) {
        let now = self.now.monotonic;
        self.oracle.before(&action, &self.model, &mut self.store, now, &self.config);
        match &action {
            Action::QueryPermission { call, .. } => {
                self.permissions.insert(*call);
            }
            Action::QueryQuota(storage_key) => {
                assert!(self.quotas.insert(storage_key.clone()), "asked twice");
            }
            Action::QueryLocalNetwork(attempt, request) => {
                let record = self.attempts[attempt].record;
                assert_eq!(request.url, self.store.record(record).request.url);
                assert!(self.local_networks.insert(*attempt), "asked twice");
            }
            Action::StoreBodies { call, fetch, grant } => {
                let lengths = self.bodies.remove(call).unwrap_or_default();
                self.uploads.insert(*call, Bodies::new(*call, *fetch, lengths, *grant));
            }
            Action::CommandBodies(fetch, command) => {
                let bodies = self.uploads.values_mut().find(|bodies| bodies.fetch == *fetch);
                if let Some(bodies) = bodies.filter(|bodies| !bodies.is_over()) {
                    bodies.commands.push_back(*command);
                }
            }
            Action::DiscardBodies(fetch) => self.uploads.retain(|_, it| it.fetch != *fetch),
            Action::Commit(id, transaction) => {
                let last = self.store.queue.back();
                assert!(last.is_none_or(|(last, _)| last < id), "two commits have one id");
                self.store.queue.push_back((*id, transaction.clone()));
            }
            Action::Reply(call, reply) => {
                self.replies.insert(*call, reply.clone());
                if let Ok(Reply::Fetch(fetch)) = reply {
                    self.callers.insert(fetch.info.key);
                }
            }
            Action::Enqueue { record, .. } => {
                assert!(!self.running.contains(record), "{record} holds a slot");
                self.looking_up.remove(record);
                assert!(self.queued.insert(*record), "{record} is queued");
            }
            Action::Withdraw(record) => assert!(self.queued.remove(record), "{record} not queued"),
            Action::LeaveSlot(record, _) => {
                assert!(self.running.remove(record), "{record} holds no slot");
                self.looking_up.insert(*record);
            }
            Action::ReleaseSlot(record) => {
                let places = [&mut self.running, &mut self.looking_up, &mut self.queued];
                let held =
                    places.into_iter().filter_map(|place| place.remove(record).then_some(()));
                assert_eq!(held.count(), 1, "{record} holds no slot");
            }
            Action::LoadHead(record) => {
                assert!(self.running.contains(record), "{record} holds no slot");
                assert!(self.heads.insert(*record), "the head of {record} is being loaded");
            }
            Action::StartAttempt { attempt, record, request, spec, .. } => {
                assert!(self.running.contains(record), "{record} holds no slot");
                assert_eq!(*request, self.store.record(*record).request);
                let request = Arc::clone(request);
                let started = Attempt::new(*record, request, spec.clone(), self.chunk);
                self.attempts.insert(*attempt, started);
            }
            Action::Command(id, command) => match self.attempts.get_mut(id) {
                Some(attempt) if attempt.is_over() => {}
                Some(attempt) => attempt.commands.push_back(*command),
                None => panic!("{command:?} to an attempt that ended"),
            },
            Action::VerifyIntegrity { body, length, .. } => {
                let record = body.record;
                assert!(!self.running.contains(&record), "{record} holds a slot");
                assert_eq!(self.store.length(record), *length, "{record}: not the whole body");
                assert!(self.verifications.insert(*body), "{record} is being verified");
            }
            Action::UpdateClients { fetch, settled: true, .. } => {
                self.clients.insert(fetch.key);
            }
            Action::FireSettledEvent(fetch, _) => {
                assert!(self.events.insert(fetch.key), "the event is under way");
            }
            Action::Forgotten(fetch) => {
                self.callers.remove(fetch);
                self.clients.remove(fetch);
                self.events.remove(fetch);
            }
            Action::HostAnswered { .. }
            | Action::RecordChanged(..)
            | Action::UpdateClients { .. }
            | Action::FireClickEvent(_)
            | Action::Observe(_) => {}
        }
        self.log.push((self.now.monotonic.0, action));
    }

    /// Checks that what is on disk, reported or not, exceeds no limit.
    fn check_disk(&self) {
        let counts = self.config.count_metadata;
        let rows = if counts { self.store.metadata() } else { 0 };
        self.oracle.check_files(&self.model, &self.store, self.quota.saturating_sub(rows));
        assert!(rows <= self.quota, "more rows than the quota allows");
    }

    fn check(&mut self) {
        assert!(self.model.poll_action().is_none(), "an action without an input");
        if let Some(next) = self.model.poll_timeout() {
            assert!(next > self.now.monotonic, "a timer that ended was left");
        }
        self.oracle.check_fetches(&self.model, &self.store);
        self.check_disk();
        for registration in self.model.registrations() {
            let usage = self.model.usage(&registration.storage_key);
            assert!(usage.total <= self.quota, "{usage:?} of {}", self.quota);
            let bodies = usage.response_bodies + usage.request_bodies;
            let parts = bodies + usage.metadata + usage.set_aside;
            assert_eq!(usage.total, parts, "stored bytes are not counted");
        }
    }
}
