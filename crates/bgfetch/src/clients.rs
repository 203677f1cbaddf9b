//! The realms that see background fetches. This is where [queue a bgfetch
//! task](https://wicg.github.io/background-fetch/#queue-a-bgfetch-task) and *update background
//! fetch instances* deliver their updates.

use bgfetch_model::action::Update;
use bgfetch_model::ids::{FetchKey, StorageKey};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use parking_lot::Mutex;
use serde::Serialize;

use crate::mailbox::{Receiver, Sender, mailbox};

/// A realm's connection to the engine: its one ordered inbox (D18).
///
/// An embedder opens one per window or worker realm, with
/// [`Engine::client`](crate::Engine::client), and applies each update to the realm's
/// `BackgroundFetchRegistration` object of that fetch, if there is one. Dropping the client closes
/// the connection.
///
/// A client need not be polled: progress that was not taken is replaced by newer progress.
#[derive(Debug)]
pub struct Client {
    inbox: Receiver<ClientUpdate>,
    /// Held while the embedder applies the last update it received.
    applying: Option<Applied>,
}

/// What changed in one fetch.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ClientUpdate {
    /// Which fetch.
    pub fetch: FetchKey,
    /// The values that its registration objects apply, firing `progress` if the spec says so.
    pub update: Update,
    #[serde(skip)]
    applied: Option<Applied>,
}

impl ClientUpdate {
    /// An update that no client waits for.
    #[must_use]
    pub const fn new(fetch: FetchKey, update: Update) -> Self {
        Self { fetch, update, applied: None }
    }
}

impl Client {
    /// The next update, or `None` when the engine is closed. Asking for the next update
    /// acknowledges the last one: the worker is notified that a fetch settled only after every
    /// client has applied that update, is gone, or took longer than a second.
    pub async fn next(&mut self) -> Option<ClientUpdate> {
        poll_fn(|context| self.poll(context)).await
    }

    /// The next update if there is one already. This too acknowledges the last one.
    pub fn try_next(&mut self) -> Option<ClientUpdate> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(update) => update,
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<ClientUpdate>> {
        self.applying = None;
        self.inbox.poll_next(context).map(|update| {
            let mut update = update?;
            self.applying = update.applied.take();
            Some(update)
        })
    }
}

impl Stream for Client {
    type Item = ClientUpdate;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<ClientUpdate>> {
        self.poll(context)
    }
}

/// Held until every client has applied the update that a fetch settled. Dropping the last clone
/// reports that.
#[derive(Clone)]
pub(crate) struct Applied(
    #[expect(dead_code, reason = "its drop is its use")] Arc<Mutex<dyn Send>>,
);

impl Applied {
    pub(crate) fn new(held: impl Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(held)))
    }
}

impl fmt::Debug for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Applied")
    }
}

/// The loop's list of connected clients.
#[derive(Debug, Default)]
pub(crate) struct Clients(Vec<Connected>);

#[derive(Debug)]
struct Connected {
    storage_key: StorageKey,
    /// Only this fetch, or all fetches of the storage key.
    only: Option<FetchKey>,
    inbox: Sender<ClientUpdate>,
}

impl Clients {
    pub(crate) fn connect(&mut self, storage_key: StorageKey, only: Option<FetchKey>) -> Client {
        // Drops closed connections now rather than at the next update.
        self.0.retain(|client| client.inbox.is_open());
        let (sender, inbox) = mailbox();
        self.0.push(Connected { storage_key, only, inbox: sender });
        Client { inbox, applying: None }
    }

    /// Step 6 of the algorithm, every environment of the fetch's storage key gets a task.
    pub(crate) fn update(
        &mut self,
        storage_key: &StorageKey,
        fetch: FetchKey,
        update: Update,
        applied: Option<Applied>,
    ) {
        let concerned = |client: &Connected| {
            client.storage_key == *storage_key && client.only.is_none_or(|only| only == fetch)
        };
        // The settling update and the last update are never replaced.
        let progress = update.result.is_none() && update.records_available;
        for client in self.0.iter().filter(|client| concerned(client)) {
            let update = ClientUpdate { fetch, update, applied: applied.clone() };
            client.inbox.send(fetch, update, progress);
        }
    }

    /// The fetch is gone: closes the connections that listen to it alone.
    pub(crate) fn forget(&mut self, fetch: FetchKey) {
        self.0.retain(|client| client.only != Some(fetch));
    }
}
