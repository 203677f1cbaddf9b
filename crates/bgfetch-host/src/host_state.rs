//! The state of a realm's operations.

use std::sync::Arc;

use bgfetch::{Engine, PolicySnapshot, StorageKey};
use serde::Serialize;
use tokio::sync::watch;
use url::Url;

use crate::console::{Console, ConsoleLevel, ConsoleSource, RealmKind};
use crate::message::{AtStart, Connection};
use crate::network::Network;
use crate::page_state::PageState;
use crate::resources::AgentResources;

/// The description of the realm for the bootstrap script.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Description {
    pub(crate) kind: RealmKind,
    pub(crate) href: Url,
    /// The scope of the realm's service worker registration.
    pub(crate) scope: Option<Url>,
    /// The realm's service workers when it starts. `None` if they have no owner.
    pub(crate) service_workers: Option<AtStart>,
    /// Whether it is a [secure context](https://html.spec.whatwg.org/multipage/webappapis.html#secure-context).
    pub(crate) is_secure_context: bool,
    /// Whether scripts can use the network.
    pub(crate) has_network: bool,
    /// Whether it is the window of a page.
    pub(crate) has_page: bool,
    /// Whether an embedder's script has a hook.
    pub(crate) has_hook: bool,
    /// Whether it is the window of a frame.
    pub(crate) is_frame: bool,
}

/// How much of a message on the console is shown, in bytes.
const MESSAGE: usize = 64 << 10;

pub(crate) struct HostState {
    pub(crate) description: Description,
    pub(crate) console: Console,
    pub(crate) connection: Option<Connection>,
    /// The scripts' access to the network.
    pub(crate) fetch: Option<FetchClient>,
    pub(crate) page: Option<Arc<PageState>>,
    pub(crate) engine: watch::Receiver<Option<Engine>>,
    pub(crate) storage_key: StorageKey,
    pub(crate) resources: AgentResources,
}

#[cfg(test)]
impl HostState {
    /// The state of a realm in tests: without an engine, a network, a page and an owner of its
    /// service workers.
    pub(crate) fn alone(kind: RealmKind, href: Url) -> Self {
        Self {
            engine: watch::channel(None).1,
            storage_key: StorageKey(href.origin().ascii_serialization()),
            page: None,
            description: Description {
                kind,
                href,
                scope: None,
                service_workers: None,
                is_secure_context: true,
                has_network: false,
                has_page: false,
                has_hook: false,
                is_frame: false,
            },
            console: Arc::new(|_, _, _| ()),
            connection: None,
            fetch: None,
            resources: AgentResources::default(),
        }
    }
}

impl HostState {
    pub(crate) fn source(&self) -> ConsoleSource {
        let Description { kind, href, .. } = &self.description;
        ConsoleSource { kind: *kind, url: href.clone() }
    }

    /// Writes to the console, at most [`MESSAGE`] bytes of the message.
    pub(crate) fn write(&self, level: ConsoleLevel, message: &str) {
        let end = message.floor_char_boundary(MESSAGE);
        let (shown, rest) = message.split_at(end);
        match rest.len() {
            0 => (self.console)(&self.source(), level, shown),
            more => {
                let shown = format!("{shown}... ({more} bytes more)");
                (self.console)(&self.source(), level, &shown);
            }
        }
    }
}

/// The client on whose behalf a realm fetches.
#[derive(Clone)]
pub(crate) struct FetchClient {
    pub(crate) network: Network,
    pub(crate) storage_key: StorageKey,
    pub(crate) policies: Arc<dyn Fn() -> PolicySnapshot + Send + Sync>,
}

/// A script for a page or worker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScriptToRun {
    pub(crate) source: String,
    /// See [`LoadedScript::has_muted_errors`](crate::LoadedScript::has_muted_errors).
    pub(crate) has_muted_errors: bool,
}
