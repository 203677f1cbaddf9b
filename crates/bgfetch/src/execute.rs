//! Executes the model's actions.

use std::sync::Arc;

use bgfetch_model::action::{Action, Reply};
use bgfetch_model::error::CallError;
use bgfetch_model::ids::{CallId, FetchKey, RegistrationKey};
use bgfetch_model::input::{BodyError, Input, Permission};
use bgfetch_net::scheduler::Candidate;
use bgfetch_sw::{EventKind, FunctionalEventInit};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

use crate::background_fetch_manager::StartHold;
use crate::background_fetch_registration::BackgroundFetchRegistration;
use crate::event_loop::{EventLoop, Message};
use crate::request_bodies::store_bodies;

impl EventLoop {
    pub(crate) fn execute(&mut self, action: Action) {
        match action {
            Action::QueryPermission { call, registration } => {
                self.query_permission(call, &registration);
            }
            Action::StoreBodies { call, fetch, limit } => self.store_bodies(call, fetch, limit),
            Action::DiscardBodies(fetch) => self.end_task(fetch),
            Action::Commit(id, transaction) => {
                // The thread has ended only after a failure, which it told in an answer before.
                if let Err(error) = self.store.commit(id, transaction) {
                    tracing::debug!(%error, "a transaction came after the store's end");
                }
            }
            Action::Reply(call, reply) => self.reply(call, reply),
            Action::Enqueue { record, fetch, host } => self.scheduler.enqueue(Candidate {
                record,
                registration: &fetch.registration,
                priority: (self.prioritize)(&fetch.registration, &fetch.id),
                host: &host,
            }),
            Action::Withdraw(record) => self.scheduler.withdraw(record),
            Action::LeaveSlot(record, host) => self.scheduler.leave(record, &host),
            Action::ReleaseSlot(record) => self.scheduler.release(record),
            Action::StartAttempt { attempt, record, fetch, request, spec } => {
                self.start_attempt(attempt, record, &fetch, request, spec);
            }
            Action::HostAnswered { fetch, host, multiplexes } => {
                let storage_key = &fetch.registration.storage_key;
                self.scheduler.host_answered(storage_key, &host, multiplexes);
            }
            Action::Command(attempt, command) => self.command(attempt, command),
            Action::VerifyIntegrity { body, length } => self.verify_integrity(body, length),
            Action::RecordChanged(key) => {
                let record = self.model.fetch(key.fetch).and_then(|fetch| fetch.record(key.index));
                if let Some(record) = record {
                    self.watchers.changed(key, record.response_data());
                }
            }
            Action::UpdateClients { fetch, update, settled } => {
                let inbox = settled.then(|| self.shared.inbox());
                if let Some(found) = self.model.fetch(fetch) {
                    let storage_key = &found.registration().storage_key;
                    self.clients.update(storage_key, fetch, update, inbox);
                }
                if !update.records_available {
                    self.watchers.forget(fetch);
                }
            }
            Action::FireSettledEvent(fetch, result) => {
                self.fire(fetch, EventKind::for_result(result), true);
            }
            Action::FireClickEvent(fetch) => self.fire(fetch, EventKind::Click, false),
            Action::Forgotten(fetch) => {
                self.end_task(fetch);
                self.watchers.forget(fetch);
                self.clients.forget(fetch);
            }
            Action::Observe(observation) => self.observers.tell(&self.model, observation),
        }
    }

    fn query_permission(&mut self, call: CallId, registration: &RegistrationKey) {
        let (permissions, quota) = (Arc::clone(&self.permissions), Arc::clone(&self.quota));
        let (registration, shared) = (registration.clone(), self.shared.clone());
        self.tasks.spawn(async move {
            let storage_key = &registration.storage_key;
            let answers = AssertUnwindSafe(async {
                let permission = permissions.query(&registration).await;
                (permission, quota.limit(storage_key).await)
            });
            // An embedder's part that panics refuses; the call must not wait for ever.
            let permission = match answers.catch_unwind().await {
                Ok((permission, limit)) => {
                    shared.send(Message::Input(Input::Quota(storage_key.clone(), limit)));
                    permission
                }
                Err(_) => Permission::Denied,
            };
            shared.send(Message::Input(Input::Permission { call, permission }));
        });
    }

    fn store_bodies(&mut self, call: CallId, fetch: FetchKey, limit: u64) {
        let bodies = self.call_bodies.remove(&call).unwrap_or_default();
        let store = Arc::clone(&self.bodies);
        let shared = self.shared.clone();
        let task = self.tasks.spawn(async move {
            let stored = AssertUnwindSafe(store_bodies(&*store, fetch, bodies, limit));
            let input = match stored.catch_unwind().await {
                Ok(Ok(lengths)) => Input::BodiesStored { call, lengths },
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a request body could not be stored");
                    Input::BodiesFailed { call, error: BodyError::from(error) }
                }
                // The caller's stream panicked.
                Err(_) => Input::BodiesFailed { call, error: BodyError::Unreadable },
            };
            shared.send(Message::FetchTaskEnded(fetch, input));
        });
        self.fetch_tasks.insert(fetch, task);
    }

    fn reply(&mut self, call: CallId, reply: Result<Reply, CallError>) {
        self.call_bodies.remove(&call);
        if let Some(answer) = self.calls.remove(&call) {
            // A caller that is gone does not care.
            return drop(answer.send(reply));
        }
        let answer = self.fetch_calls.remove(&call);
        let shared = &self.shared;
        let reply = match reply {
            Ok(Reply::Fetch(key)) => match self.model.fetch(key) {
                Some(fetch) => {
                    let registration = BackgroundFetchRegistration::new(shared.clone(), fetch);
                    Ok((registration, StartHold::new(key, shared.clone())))
                }
                None => Err(CallError::NotFound),
            },
            Ok(_) => Err(CallError::NotFound),
            Err(error) => Err(error),
        };
        if let Some(answer) = answer {
            // Where the caller is gone the hold is dropped, and the fetch starts.
            drop(answer.send(reply));
        }
    }

    fn fire(&mut self, key: FetchKey, kind: EventKind, settled: bool) {
        let Some(fetch) = self.model.fetch(key) else {
            return;
        };
        let firing = self.dispatcher.fire(FunctionalEventInit {
            kind,
            fetch: key,
            registration: fetch.registration().clone(),
            id: fetch.id().to_owned(),
        });
        let shared = self.shared.clone();
        let task = self.tasks.spawn(async move {
            let outcome = firing.await;
            if settled {
                let ended = Input::EventEnded { fetch: key, outcome };
                shared.send(Message::FetchTaskEnded(key, ended));
            }
        });
        if settled {
            self.fetch_tasks.insert(key, task);
        }
    }

    /// Stops what goes on for a fetch that is gone.
    fn end_task(&mut self, fetch: FetchKey) {
        if let Some(task) = self.fetch_tasks.remove(&fetch) {
            task.abort();
        }
    }
}
