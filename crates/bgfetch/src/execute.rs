//! Executes the model's actions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bgfetch_model::action::{Action, LocalNetworkRequest, PermissionRequest, Reply};
use bgfetch_model::delivery::{NotHandledReason, Outcome};
use bgfetch_model::error::CallError;
use bgfetch_model::fetch_info::FetchInfo;
use bgfetch_model::ids::{AttemptId, CallId, FetchKey, RecordKey, StorageKey};
use bgfetch_model::input::{BodyError, Input, Permission};
use bgfetch_net::partition::Partition;
use bgfetch_net::scheduler::{Candidate, Priority};
use bgfetch_sw::{EventKind, FunctionalEventInit};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::clients::Applied;
use crate::event_loop::EventLoop;
use crate::inbox::{Message, Owed, StartHold};
use crate::log;
use crate::request_bodies::{Granted, store_bodies};

impl EventLoop {
    pub(crate) fn execute(&mut self, action: Action) {
        match action {
            Action::QueryPermission { call, request } => self.query_permission(call, request),
            Action::QueryQuota(storage_key) => self.query_quota(storage_key),
            Action::QueryLocalNetwork(attempt, request) => {
                self.query_local_network(attempt, request);
            }
            Action::StoreBodies { call, fetch, grant } => self.store_bodies(call, fetch, grant),
            Action::CommandBodies(fetch, command) => {
                // Bodies that are stored or failed have reported it, or are about to.
                if let Some(commands) = self.body_commands.get(&fetch) {
                    commands.send(command).unwrap_or_default();
                }
            }
            Action::DiscardBodies(fetch) => self.end_task(fetch),
            Action::Commit(id, transaction) => {
                // The thread ends only after a failure, which it has already reported in an answer.
                if let Err(error) = self.store.commit(id, transaction) {
                    tracing::debug!(%error, "a transaction was committed after the store had stopped");
                }
            }
            Action::Reply(call, reply) => self.reply(call, reply),
            Action::Enqueue { record, fetch, host } => self.scheduler.enqueue(Candidate {
                record,
                partition: &partition_of(&fetch),
                registration: &fetch.registration,
                priority: self.priority_of(&fetch),
                host: &host,
            }),
            Action::Withdraw(record) => self.scheduler.withdraw(record),
            Action::LeaveSlot(record, host) => self.scheduler.leave(record, &host),
            Action::ReleaseSlot(record) => self.scheduler.release(record),
            Action::LoadHead(record) => self.load_head(record),
            Action::StartAttempt { attempt, record, fetch, request, spec } => {
                self.start_attempt(attempt, record, &fetch, request, spec);
            }
            Action::HostAnswered { fetch, host, multiplexes } => {
                self.scheduler.host_answered(&partition_of(&fetch), &host, multiplexes);
            }
            Action::Command(attempt, command) => self.command(attempt, command),
            Action::VerifyIntegrity { fetch, body, length, request, data } => {
                let turns = self.verifications.of(&partition_of(&fetch));
                self.verify_integrity(turns, body, length, &request, data);
            }
            Action::RecordChanged(record, data) => self.watchers.changed(record, data),
            Action::UpdateClients { fetch, update, settled } => {
                let applied = settled.then(|| {
                    let applied = Message::Input(Input::ClientsApplied(fetch.key));
                    Applied::new(Owed::new(&self.inbox, applied))
                });
                let storage_key = &fetch.registration.storage_key;
                self.clients.update(storage_key, fetch.key, update, applied);
                if settled {
                    self.throttle.set_fetch_rate(fetch.key, None);
                }
                if !update.records_available {
                    self.watchers.forget(fetch.key);
                }
            }
            Action::FireSettledEvent(fetch, result) => {
                self.fire(&fetch, EventKind::for_result(result), true);
            }
            Action::FireClickEvent(fetch) => self.fire(&fetch, EventKind::Click, false),
            Action::Forgotten(fetch) => {
                self.end_task(fetch);
                self.throttle.set_fetch_rate(fetch, None);
                self.watchers.forget(fetch);
                self.clients.forget(fetch);
            }
            Action::Observe(observation) => {
                log::observation(&observation);
                self.observers.tell(observation);
            }
        }
    }

    fn query_permission(&mut self, call: CallId, request: Box<PermissionRequest>) {
        let (permissions, quota) = (Arc::clone(&self.permissions), Arc::clone(&self.quota));
        let answers = async move {
            let permission = permissions.query(&request).await;
            (permission, quota.limit(&request.registration.storage_key).await)
        };
        // If an embedder's part panics, it counts as a refusal: the call must not wait forever.
        self.ask(AssertUnwindSafe(answers).catch_unwind().map(move |answers| match answers {
            Ok((permission, limit)) => Input::Permission { call, permission, quota: Some(limit) },
            Err(_) => Input::Permission { call, permission: Permission::Denied, quota: None },
        }));
    }

    fn query_quota(&mut self, storage_key: StorageKey) {
        let (quota, asked) = (Arc::clone(&self.quota), storage_key.clone());
        let answer = AssertUnwindSafe(async move { quota.limit(&asked).await }).catch_unwind();
        // As above: no quota, so nothing more may be stored.
        self.ask(answer.map(|limit| Input::Quota(storage_key, limit.unwrap_or(0))));
    }

    fn load_head(&mut self, record: RecordKey) {
        let answer = Owed::new(&self.inbox, Message::Input(Input::HeadLoaded(record, None)));
        let read = self.store.read_head(record, move |head| match head {
            Ok(head) => {
                let head = head.map(|(_, head)| Arc::new(head));
                answer.pay(Message::Input(Input::HeadLoaded(record, head)));
            }
            Err(error) => tracing::warn!(%error, "the head of a response could not be read"),
        });
        if let Err(error) = read {
            tracing::debug!(%error, "a head was needed after the store had stopped");
        }
    }

    fn query_local_network(&mut self, attempt: AttemptId, request: Box<LocalNetworkRequest>) {
        let permissions = Arc::clone(&self.permissions);
        let answer = AssertUnwindSafe(async move { permissions.local_network(&request).await });
        // As above, a panic is a refusal.
        let granted = answer.catch_unwind().map(|answer| answer.unwrap_or(false));
        self.ask(granted.map(move |granted| Input::LocalNetwork(attempt, granted)));
    }

    /// Asks a part of the embedder, without a task if the answer is ready at once.
    fn ask(&mut self, question: impl Future<Output = Input> + Send + 'static) {
        let mut question = question.boxed();
        if let Some(answer) = (&mut question).now_or_never() {
            return self.answers.push_back(answer);
        }
        let inbox = self.inbox.clone();
        self.tasks.spawn(async move { inbox.send(Message::Input(question.await)) });
    }

    fn store_bodies(&mut self, call: CallId, fetch: FetchKey, grant: u64) {
        let bodies = self.call_bodies.remove(&call).unwrap_or_default();
        let store = Arc::clone(&self.bodies);
        let ended = move |input| Message::FetchTaskEnded(fetch, input);
        // Sent if the caller's stream panics.
        let unreadable = Input::BodiesFailed { call, error: BodyError::Unreadable };
        let answer = Owed::new(&self.inbox, ended(unreadable));
        let (sender, commands) = mpsc::unbounded_channel();
        self.body_commands.insert(fetch, sender);
        let inbox = self.inbox.clone();
        let report = move |input| inbox.send(Message::Input(input));
        let granted = Granted::new(call, grant, commands, report);
        let task = self.tasks.spawn(async move {
            answer.pay(ended(match store_bodies(&*store, fetch, bodies, granted).await {
                Ok(lengths) => Input::BodiesStored { call, lengths },
                Err(error) => {
                    tracing::debug!(%error, "a request body could not be stored");
                    Input::BodiesFailed { call, error: BodyError::from(error) }
                }
            }));
        });
        self.fetch_tasks.insert(fetch, task);
    }

    fn reply(&mut self, call: CallId, reply: Result<Reply, CallError>) {
        self.call_bodies.remove(&call);
        if let Some(answer) = self.calls.remove(&call) {
            // The caller may be gone.
            return drop(answer.send(reply));
        }
        let reply = match reply {
            Ok(Reply::Fetch(fetch)) => {
                let hold = StartHold::new(fetch.info.key, self.inbox.clone());
                Ok((fetch, hold))
            }
            Ok(_) => Err(CallError::NotFound),
            Err(error) => Err(error),
        };
        if let Some(answer) = self.fetch_calls.remove(&call) {
            // If the caller is gone, the hold is dropped and the fetch starts.
            drop(answer.send(reply));
        }
    }

    fn priority_of(&self, fetch: &FetchInfo) -> Priority {
        let prioritize = || (self.prioritize)(&fetch.registration, &fetch.id);
        // If the embedder's function panics, the default applies.
        catch_unwind(AssertUnwindSafe(prioritize)).unwrap_or_default()
    }

    fn fire(&mut self, fetch: &FetchInfo, kind: EventKind, settled: bool) {
        let key = fetch.key;
        let firing = self.dispatcher.fire(FunctionalEventInit {
            kind,
            fetch: key,
            registration: fetch.registration.clone(),
            id: fetch.id.to_string(),
        });
        if !settled {
            let ended = move |handled| Message::Input(Input::ClickEnded { fetch: key, handled });
            let answer = Owed::new(&self.inbox, ended(false));
            let firing = async move { answer.pay(ended(firing.await.is_handled())) };
            self.tasks.spawn(firing);
            return;
        }
        let ended =
            move |outcome| Message::FetchTaskEnded(key, Input::EventEnded { fetch: key, outcome });
        let crashed = NotHandledReason::Crashed("the engine stopped waiting".into());
        let answer = Owed::new(&self.inbox, ended(Outcome::NotHandled(crashed)));
        self.events.insert(key, firing.event().clone());
        let task = self.tasks.spawn(async move { answer.pay(ended(firing.await)) });
        self.fetch_tasks.insert(key, task);
    }

    /// Stops the task of a fetch that is gone.
    fn end_task(&mut self, fetch: FetchKey) {
        self.body_commands.remove(&fetch);
        self.events.remove(&fetch);
        if let Some(task) = self.fetch_tasks.remove(&fetch) {
            task.abort();
        }
    }
}

pub(crate) fn partition_of(fetch: &FetchInfo) -> Partition {
    Partition::of(&fetch.principal, &fetch.registration.storage_key)
}
