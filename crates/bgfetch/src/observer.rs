//! Events for tools, logs and user interfaces. Nothing in the engine depends on them.

use std::sync::Arc;

pub use bgfetch_model::action::What;

use bgfetch_model::action::Observation;
use bgfetch_model::ids::FetchKey;

use crate::mailbox::{Receiver, Sender, mailbox};

/// A stream of the [`Event`]s of all fetches, from [`Engine::observe`](crate::Engine::observe). It
/// buffers events that were not taken yet, except progress that was followed by newer progress of
/// the same fetch. Dropping the stream ends it.
#[derive(Debug)]
pub struct Observer(Receiver<Event>);

impl Observer {
    /// The next event, or `None` when the engine is closed.
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
    /// The stored bytes of all its records.
    pub downloaded: u64,
    /// The sent bytes of all its records.
    pub uploaded: u64,
    /// The announced sum of the response bodies; 0 when none was given.
    pub download_total: u64,
    /// What happened.
    pub what: What,
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

    pub(crate) fn tell(&mut self, observation: Observation) {
        let event = Event::from(observation);
        let progress = matches!(event.what, What::Progress);
        self.0.retain(|observer| observer.send(event.fetch, event.clone(), progress));
    }
}

impl From<Observation> for Event {
    fn from(Observation { fetch, downloaded, uploaded, what }: Observation) -> Self {
        let (id, download_total) = (Arc::clone(&fetch.id), fetch.download_total);
        Self { fetch: fetch.key, id, downloaded, uploaded, download_total, what }
    }
}
