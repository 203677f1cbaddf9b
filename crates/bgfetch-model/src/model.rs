//! The state machine as a whole: inputs go in, actions come out.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::action::{Action, Reply, What};
use crate::background_fetch::{BackgroundFetch, Stage};
use crate::background_fetch_manager::fetch::PendingFetch;
use crate::config::Config;
use crate::context::{Context, Effect};
use crate::error::CallError;
use crate::ids::{CallId, CommitId, FetchKey, RecordKey, RegistrationKey};
use crate::input::Input;
use crate::registration::Registration;
use crate::store_op::{Snapshot, StoreOp};
use crate::time::{Instant, Now};
use crate::timers::Timer;

/// All background fetches of a store.
///
/// # The drain rule
///
/// After [`Model::open`] and after each [`Model::handle`], take actions with [`Model::poll_action`]
/// until there are none left, and execute them in that order. Then wait for the next input, or
/// until [`Model::poll_timeout`], when [`Input::Tick`] is due. Transactions must reach the store in
/// the order in which they are taken.
#[derive(Debug)]
pub struct Model {
    pub(crate) ctx: Context,
    /// Every fetch that is registered and not forgotten.
    pub(crate) fetches: BTreeMap<FetchKey, BackgroundFetch>,
    /// The fetches whose registration is being committed.
    pub(crate) registering: BTreeMap<FetchKey, BackgroundFetch>,
    /// The waiting calls of `fetch()`.
    pub(crate) pending: BTreeMap<CallId, PendingFetch>,
    pub(crate) next_fetch: u64,
}

impl Model {
    /// A model that continues from the store's snapshot.
    #[must_use]
    pub fn open(config: Config, snapshot: Snapshot, now: Now) -> Self {
        let mut model = Self {
            ctx: Context::new(config, snapshot.hash_key, now),
            fetches: BTreeMap::new(),
            registering: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_fetch: snapshot.next_fetch,
        };
        model.recover(snapshot);
        model.ctx.commit();
        model
    }

    /// Handles one input. The resulting actions are read with [`Model::poll_action`].
    pub fn handle(&mut self, now: Now, input: Input) {
        self.ctx.now = now;
        self.dispatch(input);
        while let Some(timer) = self.ctx.timers.pop(now.monotonic) {
            self.timer_ended(timer);
        }
        self.review_grants();
        self.ctx.commit();
    }

    /// The next action, or none until another input is handled.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.ctx.actions.pop_front()
    }

    /// When [`Input::Tick`] is due, or none if no timer is running.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ctx.timers.next()
    }

    /// A fetch, finished ones included, or none if it was forgotten.
    #[must_use]
    pub fn fetch(&self, key: FetchKey) -> Option<&BackgroundFetch> {
        self.fetches.get(&key)
    }

    /// All fetches in order of registration, finished ones included.
    pub fn fetches(&self) -> impl Iterator<Item = &BackgroundFetch> {
        self.fetches.values()
    }

    /// The keys of the registrations that exist.
    pub fn registrations(&self) -> impl Iterator<Item = &RegistrationKey> {
        self.ctx.registrations.keys()
    }

    pub(crate) fn registration(&self, key: &RegistrationKey) -> Option<&Registration> {
        self.ctx.registrations.get(key)
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::Register { call, registration, active_worker } => {
                self.register(call, registration, active_worker);
            }
            Input::Unregister { call, registration } => self.unregister(call, &registration),
            Input::Clear { call, storage_key } => self.clear(call, &storage_key),
            Input::RevokePermission { call, storage_key } => {
                self.revoke_permission(call, &storage_key);
            }
            Input::Fetch(call) => self.fetch_called(call),
            Input::Permission { call, permission, quota } => {
                self.permission_answered(call, permission, quota);
            }
            Input::BodiesNeedGrant { call, stored } => self.bodies_need_grant(call, stored),
            Input::BodiesGrantReturned { call, stored } => self.bodies_grant_returned(call, stored),
            Input::BodiesStored { call, lengths } => self.bodies_stored(call, lengths),
            Input::BodiesFailed { call, error } => self.bodies_failed(call, error),
            Input::CallDropped(call) => self.call_dropped(call),
            Input::CallerReady(key) => self.with_fetch(key, BackgroundFetch::perform),
            Input::Abort { call, fetch } => self.abort(call, fetch),
            Input::SetPaused { call, fetch, paused } => self.set_paused(call, fetch, paused),
            Input::UpdateUi { call, fetch, title, icons } => {
                self.update_ui(call, fetch, title, icons);
            }
            Input::Click { call, fetch } => self.click(call, fetch),
            Input::DeliverPending { call, registration } => {
                self.deliver_pending_called(call, &registration);
            }
            Input::HoldRecords { call, fetch, hold } => self.hold_records(call, fetch, hold),
            Input::Dismiss { call, fetch } => self.dismiss(call, fetch),
            Input::SlotGranted(record) => self.slot_granted(record),
            Input::HeadLoaded(record, head) => self.with_fetch(record.fetch, |fetch, ctx| {
                fetch.head_loaded(ctx, record.index, head);
            }),
            Input::Attempt(attempt, event) => {
                if let Some(record) = self.ctx.attempts.get(&attempt).copied() {
                    self.with_fetch(record.fetch, |fetch, ctx| {
                        fetch.attempt_event(ctx, record.index, attempt, event);
                    });
                }
            }
            Input::LocalNetwork(attempt, granted) => {
                if let Some(record) = self.ctx.attempts.get(&attempt).copied() {
                    self.with_fetch(record.fetch, |fetch, ctx| {
                        fetch.local_network_answered(ctx, record.index, granted);
                    });
                }
            }
            Input::IntegrityVerified(body, verification) => {
                self.with_fetch(body.record.fetch, |fetch, ctx| {
                    fetch.integrity_verified(ctx, body, verification);
                });
            }
            Input::Connectivity(connectivity) => {
                let cut_off = connectivity.cuts_off(&self.ctx.connectivity);
                self.ctx.connectivity = connectivity;
                let fetches: Vec<FetchKey> = self.fetches.keys().copied().collect();
                for fetch in fetches {
                    self.with_fetch(fetch, |fetch, ctx| {
                        if cut_off {
                            fetch.ask_again(ctx);
                        }
                        fetch.reconsider_pauses(ctx);
                    });
                }
            }
            Input::Quota(storage_key, limit) => self.set_quota(&storage_key, limit),
            Input::Committed(commit) => self.committed(commit),
            Input::ClientsApplied(key) => self.with_fetch(key, |fetch, ctx| {
                if fetch.stage == Stage::AwaitingClients {
                    fetch.fire_settled_event(ctx);
                }
            }),
            Input::EventEnded { fetch, outcome } => {
                self.with_fetch(fetch, |fetch, ctx| fetch.event_ended(ctx, outcome));
            }
            Input::ClickEnded { fetch, handled } => self.with_fetch(fetch, |fetch, ctx| {
                fetch.observe(ctx, What::ClickEnded { handled });
            }),
            Input::Tick => {}
        }
    }

    fn timer_ended(&mut self, timer: Timer) {
        match timer {
            Timer::Retry(record) => self.with_fetch(record.fetch, |fetch, ctx| {
                fetch.complete_a_record(ctx, record.index);
            }),
            Timer::LocalNetwork(record) => self.with_fetch(record.fetch, |fetch, ctx| {
                fetch.local_network_answered(ctx, record.index, false);
            }),
            Timer::Progress(fetch) => self.with_fetch(fetch, BackgroundFetch::progress_due),
            Timer::RunningTime(fetch) => self.with_fetch(fetch, BackgroundFetch::running_time_due),
            Timer::ClientsApplied(fetch) => {
                self.with_fetch(fetch, BackgroundFetch::fire_settled_event);
            }
            Timer::Redeliver(fetch) => {
                self.with_fetch(fetch, BackgroundFetch::redelivery_due);
            }
        }
    }

    /// The store acknowledged a transaction: run its effects.
    fn committed(&mut self, commit: CommitId) {
        for effect in self.ctx.committed(commit) {
            match effect {
                Effect::Reply(call, reply) => self.ctx.reply(call, reply),
                Effect::Registered(call, fetch) => self.fetch_registered(call, fetch),
                Effect::UploadBegun(record) => self.with_fetch(record.fetch, |fetch, ctx| {
                    fetch.upload_begun(ctx, record.index);
                }),
                Effect::GenerationOpened(attempt, body, head) => {
                    self.with_fetch(body.record.fetch, |fetch, ctx| {
                        fetch.generation_opened(
                            ctx,
                            body.record.index,
                            attempt,
                            body.generation,
                            head,
                        );
                    });
                }
                Effect::RecordSettled(record, message) => {
                    self.with_fetch(record.fetch, |fetch, ctx| {
                        fetch.record_settle_committed(ctx, record.index, message);
                    });
                }
                Effect::Aborted(fetch) => {
                    self.with_fetch(fetch, |fetch, _| fetch.records.drop_promise());
                }
                Effect::Settled(fetch, result) => {
                    self.with_fetch(fetch, |fetch, ctx| fetch.settle_committed(ctx, result));
                }
                Effect::DeliveryEnded(fetch, handled, rejection) => {
                    self.with_fetch(fetch, |fetch, ctx| {
                        fetch.delivery_ended(ctx, handled, rejection);
                    });
                    self.release_old_records();
                    self.forget_old_fetches();
                }
                Effect::Dismissed(call, fetch) => {
                    self.with_fetch(fetch, |fetch, ctx| {
                        // The event of held records ended earlier.
                        if fetch.records_available {
                            fetch.delivery_ended(ctx, false, None);
                        } else {
                            fetch.records_deleted(ctx);
                        }
                    });
                    self.dismiss(call, fetch);
                }
                Effect::RecordsReleased(fetch) => {
                    self.with_fetch(fetch, BackgroundFetch::records_deleted);
                    self.forget_old_fetches();
                }
                Effect::Forgotten(fetch) => self.ctx.act(Action::Forgotten(fetch)),
                Effect::Observe(observation) => self.ctx.act(Action::Observe(*observation)),
                Effect::Released(storage_key, bytes) => {
                    self.ctx.account(&storage_key).released(bytes);
                    self.ctx.grants_to_review.insert(storage_key);
                }
            }
        }
    }

    fn slot_granted(&mut self, record: RecordKey) {
        if self.fetches.contains_key(&record.fetch) {
            self.with_fetch(record.fetch, |fetch, ctx| fetch.slot_granted(ctx, record.index));
        } else {
            self.ctx.act(Action::ReleaseSlot(record));
        }
    }

    fn register(&mut self, call: CallId, key: RegistrationKey, active_worker: bool) {
        let registration = self.ctx.registrations.entry(key.clone()).or_default();
        registration.active_worker = active_worker;
        registration.registered = true;
        if active_worker {
            self.deliver_pending(&key);
        }
        self.ctx.store(StoreOp::PutRegistration(key));
        self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
    }

    fn deliver_pending_called(&mut self, call: CallId, key: &RegistrationKey) {
        let listens = self.registration(key).is_some_and(Registration::listens);
        if listens {
            self.deliver_pending(key);
        }
        self.ctx
            .reply(call, if listens { Ok(Reply::Done) } else { Err(CallError::NoActiveWorker) });
    }

    /// Fires the events of a registration that wait for its worker.
    fn deliver_pending(&mut self, key: &RegistrationKey) {
        for fetch in self.fetches.values_mut().filter(|fetch| fetch.info.registration == *key) {
            fetch.deliver_pending(&mut self.ctx);
        }
    }

    /// Sets the paused flag, which [display](crate::background_fetch::display) allows to toggle.
    fn set_paused(&mut self, call: CallId, key: FetchKey, paused: bool) {
        let Some(fetch) = self.fetches.get_mut(&key) else {
            return self.ctx.reply(call, Err(CallError::NotFound));
        };
        // Resuming is always possible: a fetch with uploads may have been started paused.
        if paused && !fetch.is_pausable() {
            return self.ctx.reply(call, Err(CallError::NotPausable));
        }
        fetch.paused = paused;
        self.ctx.store(StoreOp::SetPaused(key, paused));
        self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
        self.with_fetch(key, BackgroundFetch::reconsider_pauses);
    }

    fn click(&mut self, call: CallId, key: FetchKey) {
        let reply = match self.fetches.get(&key) {
            Some(fetch) => {
                fetch.fire_click_event(&mut self.ctx);
                Ok(Reply::Done)
            }
            None => Err(CallError::NotFound),
        };
        self.ctx.reply(call, reply);
    }

    fn dismiss(&mut self, call: CallId, key: FetchKey) {
        match self.fetches.get_mut(&key) {
            None => self.ctx.reply(call, Err(CallError::NotFound)),
            Some(fetch) if fetch.stage == Stage::Finished => {
                fetch.observe_committed(&mut self.ctx, What::Dismissed);
                self.forget(key);
                self.ctx.after_commit(Effect::Reply(call, Ok(Reply::Done)));
            }
            // No worker can get the event, or it is over; the waiting bytes count to the quota.
            Some(fetch) if matches!(fetch.stage, Stage::AwaitingWorker | Stage::Held) => {
                fetch.hold_records = false;
                fetch.end_delivery(&mut self.ctx, Effect::Dismissed(call, key));
            }
            Some(_) => self.ctx.reply(call, Err(CallError::StillActive)),
        }
    }

    fn forget(&mut self, key: FetchKey) {
        if let Some(fetch) = self.fetches.remove(&key) {
            let storage_key = fetch.info.registration.storage_key.clone();
            self.ctx.release_after_commit(storage_key, fetch.records.taken());
            fetch.observe_committed(&mut self.ctx, What::Removed);
        }
        self.ctx.store(StoreOp::Forget(key));
        self.ctx.after_commit(Effect::Forgotten(key));
    }

    /// D17: finished fetches are kept for the UI, but their age and number are limited.
    pub(crate) fn forget_old_fetches(&mut self) {
        let (now, config) = (self.ctx.now.wall, &self.ctx.config);
        let mut kept: BTreeMap<&RegistrationKey, usize> = BTreeMap::new();
        let mut old = Vec::new();
        for fetch in self.fetches.values().rev().filter(|fetch| fetch.stage == Stage::Finished) {
            let count = kept.entry(&fetch.info.registration).or_default();
            *count += 1;
            let age = now.since(fetch.settled_at.unwrap_or(now));
            if *count > config.max_finished || age > config.finished_age {
                old.push(fetch.info.key);
            }
        }
        old.into_iter().for_each(|key| self.forget(key));
    }

    pub(crate) fn with_fetch(
        &mut self,
        key: FetchKey,
        run: impl FnOnce(&mut BackgroundFetch, &mut Context),
    ) {
        if let Some(fetch) = self.fetches.get_mut(&key) {
            run(fetch, &mut self.ctx);
            fetch.count(&mut self.ctx);
            fetch.count_running_time(&mut self.ctx);
            fetch.observe_pause(&mut self.ctx);
        }
    }
}
