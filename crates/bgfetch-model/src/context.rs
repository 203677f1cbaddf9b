//! What every algorithm needs besides the fetch that it works on: the time, the configuration, and
//! the queue of actions.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::action::{Action, Observation, Reply};
use crate::budget::{Account, Ledger};
use crate::config::Config;
use crate::connectivity::Connectivity;
use crate::delivery::{NotHandledReason, Rejection};
use crate::error::CallError;
use crate::fetch_info::FetchInfo;
use crate::ids::{
    AttemptId, BodyKey, CallId, CommitId, FetchKey, RecordKey, RegistrationKey, StorageKey,
};
use crate::registration::{Registration, Registrations};
use crate::response::ResponseHead;
use crate::store_op::{FetchResult, StoreOp, Sync, Transaction};
use crate::time::Now;
use crate::timers::Timers;
use crate::vary::HashKey;
use alloc::sync::Arc;

/// Shared by all fetches of a model.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) now: Now,
    /// The store's key for hashes of request headers.
    pub(crate) hash_key: HashKey,
    pub(crate) connectivity: Connectivity,
    pub(crate) timers: Timers,
    pub(crate) registrations: Registrations,
    /// The record of each running attempt.
    pub(crate) attempts: BTreeMap<AttemptId, RecordKey>,
    pub(crate) actions: VecDeque<Action>,
    /// The storage keys whose queues for grants must be reviewed.
    pub(crate) grants_to_review: BTreeSet<StorageKey>,
    ledger: Ledger,
    transaction: Transaction,
    effects: Vec<Effect>,
    commits: VecDeque<(CommitId, Vec<Effect>)>,
    next_attempt: u64,
    next_commit: u64,
}

/// An effect that waits for the commit of its step.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// A call is answered.
    Reply(CallId, Result<Reply, CallError>),
    /// A new fetch is registered: it becomes active and its call is answered.
    Registered(CallId, FetchKey),
    /// A request that must not be sent twice may now be sent.
    UploadBegun(RecordKey),
    /// A representation was opened for an attempt, which may now write to it.
    GenerationOpened(AttemptId, BodyKey, Arc<ResponseHead>),
    /// A record ended; with a description of the failure, for people, if it failed.
    RecordSettled(RecordKey, Option<String>),
    /// A fetch was aborted by script or the user.
    Aborted(FetchKey),
    /// A fetch settled.
    Settled(FetchKey, FetchResult),
    /// Delivery of the settling event is over: whether it was handled, and its rejection.
    DeliveryEnded(FetchKey, bool, Option<Rejection>),
    /// Delivery is over because this call dismissed the fetch, which is forgotten.
    Dismissed(CallId, FetchKey),
    /// Held records are gone.
    RecordsReleased(FetchKey),
    /// A fetch is gone.
    Forgotten(FetchKey),
    /// Observers are told.
    Observe(Box<Observation>),
    /// Bytes of a site are no longer held or promised.
    Released(StorageKey, u64),
}

impl Context {
    pub(crate) fn new(config: Config, hash_key: HashKey, now: Now) -> Self {
        Self {
            config,
            hash_key,
            now,
            connectivity: Connectivity::default(),
            timers: Timers::default(),
            registrations: Registrations::default(),
            attempts: BTreeMap::new(),
            actions: VecDeque::new(),
            grants_to_review: BTreeSet::new(),
            ledger: Ledger::new(),
            transaction: Transaction::default(),
            effects: Vec::new(),
            commits: VecDeque::new(),
            next_attempt: 0,
            next_commit: 0,
        }
    }

    /// Random numbers for a decision about a fetch and one of its parts.
    ///
    /// They depend on these, the time and the seed, and not on numbers that were drawn before. From
    /// those a site could find out how many others have drawn.
    pub(crate) fn rng(&self, fetch: &FetchInfo, part: u32) -> fastrand::Rng {
        let RegistrationKey { storage_key, scope } = &fetch.registration;
        let texts = [&storage_key.0, scope.as_str(), &*fetch.id];
        let now = self.now.monotonic.0;
        let numbers = [now.as_secs(), now.subsec_nanos().into(), part.into()];
        let values = texts.into_iter().flat_map(str::bytes).map(u64::from).chain(numbers);
        let mix = |seed: u64, value: u64| fastrand::Rng::with_seed(seed ^ value).u64(..);
        fastrand::Rng::with_seed(values.fold(self.config.seed, mix))
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn reply(&mut self, call: CallId, reply: Result<Reply, CallError>) {
        self.act(Action::Reply(call, reply));
    }

    /// Adds a step to the transaction of the current input, with the sync that every such step
    /// needs.
    pub(crate) fn store(&mut self, op: StoreOp) {
        self.transaction.syncs.extend(op.sync());
        self.transaction.ops.push(op);
    }

    /// Adds what the transaction of the current input must sync.
    pub(crate) fn sync(&mut self, sync: Sync) {
        self.transaction.syncs.push(sync);
    }

    /// Runs an effect once the steps stored so far are durable.
    pub(crate) fn after_commit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Ends the transaction of the current input with the steps stored so far.
    pub(crate) fn commit(&mut self) {
        if self.transaction.ops.is_empty() && self.effects.is_empty() {
            return;
        }
        let id = CommitId(self.next_commit);
        self.next_commit += 1;
        self.commits.push_back((id, mem::take(&mut self.effects)));
        let transaction = mem::take(&mut self.transaction);
        self.act(Action::Commit(id, transaction));
    }

    /// Bytes of a site are free once the steps stored so far are durable: until then, a crash would
    /// bring them back.
    pub(crate) fn release_after_commit(&mut self, storage_key: StorageKey, bytes: u64) {
        self.account(&storage_key).release_later(bytes);
        self.after_commit(Effect::Released(storage_key, bytes));
    }

    /// The effects that waited for this commit.
    pub(crate) fn committed(&mut self, id: CommitId) -> Vec<Effect> {
        // Acknowledgements arrive in order; ignore any other.
        match self.commits.front() {
            Some((front, _)) if *front == id => {
                self.commits.pop_front().map(|(_, effects)| effects).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn new_attempt(&mut self, record: RecordKey) -> AttemptId {
        let attempt = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        self.attempts.insert(attempt, record);
        attempt
    }

    pub(crate) fn account(&mut self, storage_key: &StorageKey) -> &mut Account {
        self.ledger.entry(storage_key.clone()).or_default()
    }

    /// Why a settling event of this registration must not be fired now, or none.
    pub(crate) fn holds_events(&self, registration: &RegistrationKey) -> Option<NotHandledReason> {
        if !self.registrations.get(registration).is_some_and(Registration::listens) {
            return Some(NotHandledReason::NoActiveWorker);
        }
        self.config.hold_events.then_some(NotHandledReason::NotYet)
    }

    /// What a storage key's fetches take, and its quota if that is known.
    pub(crate) fn taken_of(&self, storage_key: &StorageKey) -> (u64, Option<u64>) {
        let account = self.ledger.get(storage_key);
        account.map_or((0, None), |account| (account.taken(), account.limit()))
    }

    /// Whether the fetch is in its registration's active background fetches.
    pub(crate) fn is_active(
        &self,
        registration: &RegistrationKey,
        id: &str,
        fetch: FetchKey,
    ) -> bool {
        self.registrations
            .get(registration)
            .is_some_and(|registration| registration.active.contains_background_fetch(id, fetch))
    }
}
