//! The realms that see background fetches: where
//! [queue a bgfetch task](https://wicg.github.io/background-fetch/#queue-a-bgfetch-task) and *update
//! background fetch instances* end.

use bgfetch_model::action::Update;
use bgfetch_model::ids::{FetchKey, StorageKey};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::mailbox::{Receiver, Sender, mailbox};

/// A realm's connection to the engine: its one ordered inbox (D18).
///
/// An embedder opens one per window or worker realm, with [`Engine::client`](crate::Engine::client),
/// and applies each update to the realm's `BackgroundFetchRegistration` object of that fetch, if it
/// has one. Dropping it closes the connection.
///
/// It need not be looked at: progress that was not taken is replaced by the next.
#[derive(Debug)]
pub struct Client {
    inbox: Receiver<ClientUpdate>,
    /// Held while the embedder applies the update it was given last.
    applying: Option<Applied>,
}

/// What changed of one fetch.
#[derive(Clone, Debug)]
pub struct ClientUpdate {
    /// Which fetch.
    pub fetch: FetchKey,
    /// The values its registration objects take over, firing `progress` where the spec says so.
    pub update: Update,
    applied: Option<Applied>,
}

impl Client {
    /// The next update, or none when the engine is closed. Asking for the next one says that the
    /// last one was applied: the worker hears that a fetch settled only after every client has
    /// applied it (or is gone, or took longer than a second).
    pub async fn next(&mut self) -> Option<ClientUpdate> {
        self.applying = None;
        let mut update = self.inbox.recv().await?;
        self.applying = update.applied.take();
        Some(update)
    }
}

/// Whatever is held until every client applied that a fetch settled: its drop says that they did.
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
    /// Only this fetch, or all of the storage key.
    only: Option<FetchKey>,
    inbox: Sender<ClientUpdate>,
}

impl Clients {
    pub(crate) fn connect(&mut self, storage_key: StorageKey, only: Option<FetchKey>) -> Client {
        // Those that are gone are not kept until the next update.
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
        // The settling update and the last one are told as they were.
        let progress = update.result.is_none() && update.records_available;
        for client in self.0.iter().filter(|client| concerned(client)) {
            let update = ClientUpdate { fetch, update, applied: applied.clone() };
            client.inbox.send(fetch, update, progress);
        }
    }

    /// The fetch is gone: whoever listens to it alone hears no more.
    pub(crate) fn forget(&mut self, fetch: FetchKey) {
        self.0.retain(|client| client.only != Some(fetch));
    }
}
