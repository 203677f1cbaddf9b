//! Events for tools, logs and user interfaces. Nothing in the engine depends on them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use bgfetch_model::action::What;

use bgfetch_model::action::Observation;
use bgfetch_model::ids::{FetchKey, RegistrationKey};
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use crate::mailbox::{Receiver, Sender, mailbox};

/// A stream of the [`Event`]s of all fetches, from [`Engine::observe`](crate::Engine::observe). It
/// buffers events that were not taken yet, except progress that was followed by newer progress of
/// the same fetch. Dropping the stream ends it.
#[derive(Debug)]
pub struct Observer(Receiver<Event>);

impl Observer {
    /// The next event, or `None` when the engine is closed.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_next()
    }
}

impl Stream for Observer {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_next(context)
    }
}

/// Something that happened to a fetch. It is serialized with its fields' names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The identity of the fetch.
    pub fetch: FetchKey,
    /// The service worker registration it belongs to.
    pub registration: RegistrationKey,
    /// The id that the page chose.
    pub id: Arc<str>,
    /// The stored bytes of all its records.
    pub downloaded: u64,
    /// The sent bytes of all its records.
    pub uploaded: u64,
    /// The announced sum of the response bodies in bytes; 0 when none was given.
    pub download_total: u64,
    /// What happened.
    pub what: What,
}

bgfetch_model::impl_with!(Event);

impl Event {
    /// An event of a fetch of which nothing has been transferred yet, for tests of an observer.
    #[must_use]
    pub fn new(
        fetch: FetchKey,
        registration: RegistrationKey,
        id: impl Into<Arc<str>>,
        what: What,
    ) -> Self {
        let id = id.into();
        Self { fetch, registration, id, downloaded: 0, uploaded: 0, download_total: 0, what }
    }

    fn of(Observation { fetch, downloaded, uploaded, what }: Observation) -> Self {
        Self {
            fetch: fetch.key,
            registration: fetch.registration.clone(),
            id: Arc::clone(&fetch.id),
            downloaded,
            uploaded,
            download_total: fetch.download_total,
            what,
        }
    }
}

/// The loop's list of observers.
#[derive(Debug, Default)]
pub(crate) struct Observers {
    /// They want the events.
    all: Vec<Sender<Event>>,
    /// They only want to know which fetch has changed.
    of_changes: Vec<Sender<FetchKey>>,
}

impl Observers {
    pub(crate) fn add(&mut self) -> Observer {
        let (sender, receiver) = mailbox();
        self.all.push(sender);
        Observer(receiver)
    }

    /// The keys of fetches that change from now on, and first those of `fetches`. A key that was not
    /// taken is not repeated.
    pub(crate) fn add_of_changes(
        &mut self,
        fetches: impl Iterator<Item = FetchKey>,
    ) -> Receiver<FetchKey> {
        let (sender, receiver) = mailbox();
        fetches.for_each(|fetch| {
            sender.send(fetch, fetch, true);
        });
        self.of_changes.push(sender);
        receiver
    }

    pub(crate) fn tell(&mut self, observation: Observation) {
        let event = Event::of(observation);
        let progress = matches!(event.what, What::Progress);
        self.of_changes.retain(|observer| observer.send(event.fetch, event.fetch, true));
        self.all.retain(|observer| observer.send(event.fetch, event.clone(), progress));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch_model::fetch_info::FetchInfo;
    use bgfetch_model::ids::StorageKey;
    use bgfetch_model::policy::Principal;

    fn observation(key: u64, what: What) -> Observation {
        let (storage_key, scope) = (StorageKey("a".into()), "https://a.test/".parse().unwrap());
        let registration = RegistrationKey { storage_key, scope };
        let fetch = FetchInfo::new(FetchKey(key), registration, Arc::new(Principal::User), "id");
        Observation { fetch: Arc::new(fetch), downloaded: 0, uploaded: 0, what }
    }

    #[test]
    fn who_only_follows_changes_is_told_once_of_many() {
        let mut observers = Observers::default();
        let mut all = observers.add();
        let mut changed = observers.add_of_changes([FetchKey(1)].into_iter());
        for _ in 0..100 {
            observers.tell(observation(1, What::Resumed));
            observers.tell(observation(2, What::Resumed));
        }
        let keys: Vec<_> = std::iter::from_fn(|| changed.try_next()).collect();
        assert_eq!(keys, [FetchKey(1), FetchKey(2)]);
        assert_eq!(std::iter::from_fn(|| all.try_next()).count(), 200);
    }
}
