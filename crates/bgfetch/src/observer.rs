//! What tools, logs and user interfaces hear. Nothing in the engine depends on it.

use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::action::{Observation, PauseReason};
use bgfetch_model::delivery::{NotHandledReason, Redelivery, Rejection};
use bgfetch_model::ids::{FetchKey, RecordKey};
use bgfetch_model::model::Model;
use bgfetch_model::response::RecordResult;
use bgfetch_model::store_op::FetchResult;
use bgfetch_sw::EventKind;
use url::Url;

use crate::mailbox::{Receiver, Sender, mailbox};

/// A stream of [`Event`]s of all fetches, from [`Engine::observe`](crate::Engine::observe). Holds
/// what was not taken yet, but for progress that newer progress of the same fetch follows. Dropping
/// it ends it.
#[derive(Debug)]
pub struct Observer(Receiver<Event>);

impl Observer {
    /// The next event, or none when the engine is closed.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// Something that happened to a fetch.
#[derive(Clone, Debug)]
pub struct Event {
    /// The identity of the fetch.
    pub fetch: FetchKey,
    /// The id that the page chose.
    pub id: Arc<str>,
    /// Bytes stored of all its records.
    pub downloaded: u64,
    /// Bytes sent of all its records.
    pub uploaded: u64,
    /// The promised sum of the response bodies; 0 when nothing was promised.
    pub download_total: u64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What {
    /// The fetch was registered.
    Registered,
    /// Bytes moved. Coalesced as for pages.
    Progress,
    /// Nothing of it goes on until this reason is gone.
    Paused(PauseReason),
    /// It goes on.
    Resumed,
    /// A record failed in a way that may pass and is tried again.
    Retry {
        /// Which record.
        record: RecordKey,
        /// Its URL.
        url: Url,
        /// How many retries in a row this is.
        attempt: u32,
        /// How long it waits.
        delay: Duration,
        /// What failed, for people.
        message: String,
    },
    /// A record ended.
    RecordSettled {
        /// Which record.
        record: RecordKey,
        /// Its URL.
        url: Url,
        /// How it ended.
        result: RecordResult,
        /// The status of its response, where there was one.
        status: Option<u16>,
        /// The length of its stored body.
        stored: u64,
        /// What failed, for people.
        message: Option<String>,
    },
    /// The fetch settled; its event follows.
    Settled(FetchResult),
    /// The settling event was fired at the worker host, which starts the worker where it can.
    EventFired {
        /// Which of the settling events.
        kind: EventKind,
        /// Which attempt to deliver it this is, counted from 1. Only a worker that was started for
        /// the event makes an attempt, so a number may be told more than once.
        attempt: u32,
    },
    /// The settling event was not handled, or nobody is there yet to handle it.
    EventNotHandled {
        /// Why.
        reason: NotHandledReason,
        /// When it is fired again.
        next: Redelivery,
    },
    /// The settling event is over, and the records are gone.
    EventEnded {
        /// Whether a worker handled it, or else it was given up or dismissed.
        handled: bool,
        /// What the first promise given to `waitUntil()` was rejected with. The event was handled
        /// all the same.
        rejection: Option<Rejection>,
    },
}

/// The loop's list of observers.
#[derive(Debug, Default)]
pub(crate) struct Observers(Vec<Sender<Event>>);

impl Observers {
    pub(crate) fn add(&mut self) -> Observer {
        let (sender, receiver) = mailbox();
        self.0.push(sender);
        Observer(receiver)
    }

    pub(crate) fn tell(&mut self, model: &Model, observation: Observation) {
        if self.0.is_empty() {
            return;
        }
        let Some(event) = event(model, observation) else {
            return;
        };
        let progress = matches!(event.what, What::Progress);
        self.0.retain(|observer| observer.send(event.fetch, event.clone(), progress));
    }
}

fn event(model: &Model, observation: Observation) -> Option<Event> {
    let url = |record: RecordKey| {
        let record = model.fetch(record.fetch)?.record(record.index)?;
        Some(record.request().url.clone())
    };
    let (fetch, what) = match observation {
        Observation::Registered(fetch) => (fetch, What::Registered),
        Observation::Progress(fetch, _) => (fetch, What::Progress),
        Observation::Paused(fetch, reason) => (fetch, What::Paused(reason)),
        Observation::Resumed(fetch) => (fetch, What::Resumed),
        Observation::Retry { record, attempt, delay, message } => {
            (record.fetch, What::Retry { record, url: url(record)?, attempt, delay, message })
        }
        Observation::RecordSettled(record, result, message) => {
            let data = model.fetch(record.fetch)?.record(record.index)?.response_data();
            let status = data.response.as_ref().map(|head| head.status);
            let (url, stored) = (url(record)?, data.stored);
            let settled = What::RecordSettled { record, url, result, status, stored, message };
            (record.fetch, settled)
        }
        Observation::Settled(fetch, result) => (fetch, What::Settled(result)),
        Observation::EventFired { fetch, result, attempt } => {
            (fetch, What::EventFired { kind: EventKind::for_result(result), attempt })
        }
        Observation::EventNotHandled { fetch, reason, next } => {
            (fetch, What::EventNotHandled { reason, next })
        }
        Observation::EventEnded { fetch, handled, rejection } => {
            (fetch, What::EventEnded { handled, rejection })
        }
    };
    let found = model.fetch(fetch)?;
    Some(Event {
        fetch,
        id: found.id().into(),
        downloaded: found.stored_body_bytes_total(),
        uploaded: found.uploaded(),
        download_total: found.download_total(),
        what,
    })
}
