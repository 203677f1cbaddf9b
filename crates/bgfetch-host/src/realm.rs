//! A realm on its own thread.

use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, mpsc as sync_mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, serde_v8, v8};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;

use crate::console::{Console, ConsoleLevel, ConsoleSource, RealmKind};
use crate::extension::extensions;
use crate::host_state::{Description, FetchClient, HostState};
use crate::message::{ClientId, Connection};
use crate::network::Network;
use crate::page_state::PageState;
use crate::resources::AgentResources;

/// The options of a realm.
pub struct RealmOptions {
    /// The type of its global object.
    pub kind: RealmKind,
    /// The URL of its page or script.
    pub url: Url,
    /// The scope of its service worker registration: that of the worker itself, or the one that
    /// contains the page. `None` if there is none.
    pub scope: Option<Url>,
    /// The options of its background fetches.
    pub background_fetch: bgfetch_deno::Options,
    /// The resources that it shares with the other realms of its user agent.
    pub resources: AgentResources,
    /// The output of its console.
    pub console: Console,
    /// The network for its scripts. `None` if they have none: there is no `fetch()` then.
    pub network: Option<Network>,
}

impl fmt::Debug for RealmOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealmOptions")
            .field("kind", &self.kind)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A running realm. Dropping it ends it: promises and timers of its scripts stop.
///
/// A realm leaks about 2 MB of memory on the QuickJS backend, so a process should create no more
/// than a few hundred of them.
#[derive(Debug)]
pub struct Realm {
    scripts: mpsc::UnboundedSender<Script>,
    /// Interrupts running scripts. Set once the realm is running.
    isolate: Arc<OnceLock<v8::IsolateHandle>>,
    client: Option<ClientId>,
    thread: Option<thread::JoinHandle<()>>,
    idle: watch::Receiver<bool>,
    /// The other end is dropped when the thread ends.
    ended: Mutex<sync_mpsc::Receiver<()>>,
}

/// The realm is gone.
#[derive(Clone, Copy, Debug, Error)]
#[error("the realm has ended")]
pub struct RealmEnded;

/// Why a script has no result.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// It threw an exception, or its promise was rejected; the text describes the error.
    #[error("{0}")]
    Exception(String),
    /// The realm is gone.
    #[error(transparent)]
    Ended(#[from] RealmEnded),
}

#[derive(Debug)]
struct Script {
    name: String,
    source: String,
    /// Whether to wait for the value, if it is a promise, and return it.
    wants_value: bool,
    result: oneshot::Sender<Result<serde_json::Value, ScriptError>>,
}

impl Realm {
    /// Starts a realm.
    ///
    /// # Errors
    ///
    /// When its thread could not be started.
    pub fn start(options: RealmOptions) -> io::Result<Self> {
        Self::connected(options, None, None)
    }

    /// Starts a realm whose service workers have an owner. It may be the window of a page.
    pub(crate) fn connected(
        options: RealmOptions,
        connection: Option<Connection>,
        page: Option<Arc<PageState>>,
    ) -> io::Result<Self> {
        let (scripts, receiver) = mpsc::unbounded_channel();
        let name = format!("bgfetch {:?}", options.kind);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let isolate = Arc::<OnceLock<_>>::default();
        let theirs = Arc::clone(&isolate);
        let (tells_idle, idle) = watch::channel(false);
        let client = connection.as_ref().map(|connection| ClientId(connection.realm));
        let (ends, ended) = sync_mpsc::channel();
        let run = move || {
            let _ends: sync_mpsc::Sender<()> = ends;
            runtime.block_on(run(options, connection, page, receiver, &theirs, tells_idle));
        };
        let thread = thread::Builder::new().name(name).spawn(run)?;
        Ok(Self { scripts, isolate, client, thread: Some(thread), idle, ended: Mutex::new(ended) })
    }

    /// Whether its scripts wait only for external events: messages and background fetches. While it
    /// is false, scripts are running or wait for timers, answers or the network.
    #[must_use]
    pub fn idle(&self) -> watch::Receiver<bool> {
        self.idle.clone()
    }

    /// Its client with the service workers that it was opened with, if any.
    #[must_use]
    pub fn client_id(&self) -> Option<ClientId> {
        self.client
    }

    /// Runs a classic script and returns its completion value as JSON; if that is a promise, its
    /// resolved value. `name` is the script's name in error messages.
    ///
    /// # Errors
    ///
    /// See [`ScriptError`]. A value that JSON cannot represent becomes null.
    pub async fn run_script(
        &self,
        name: impl Into<String>,
        source: impl Into<String>,
    ) -> Result<serde_json::Value, ScriptError> {
        self.run(name.into(), source.into(), true).await
    }

    /// Runs a classic script and ignores its value.
    pub(crate) async fn evaluate(
        &self,
        name: impl Into<String>,
        source: impl Into<String>,
    ) -> Result<(), ScriptError> {
        self.run(name.into(), source.into(), false).await.map(drop)
    }

    async fn run(
        &self,
        name: String,
        source: String,
        wants_value: bool,
    ) -> Result<serde_json::Value, ScriptError> {
        let (result, done) = oneshot::channel();
        let command = Script { name, source, wants_value, result };
        self.scripts.send(command).map_err(|_| RealmEnded)?;
        done.await.map_err(|_| RealmEnded)?
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        let (scripts, _) = mpsc::unbounded_channel();
        self.scripts = scripts;
        // An interruption ends only the running script, and the thread may be about to run another.
        loop {
            if let Some(isolate) = self.isolate.get() {
                isolate.terminate_execution();
            }
            let waited = self.ended.get_mut().recv_timeout(Duration::from_millis(10));
            if waited != Err(sync_mpsc::RecvTimeoutError::Timeout) {
                break;
            }
        }
        // The last handle of an engine may be dropped with the realm's state. The caller may want
        // to open the engine's store next.
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a realm's thread panicked");
        }
    }
}

/// The pending value of a script's promise.
type Pending = LocalBoxFuture<'static, (ScriptResult, Result<v8::Global<v8::Value>, String>)>;
type ScriptResult = oneshot::Sender<Result<serde_json::Value, ScriptError>>;

struct Running {
    runtime: JsRuntime,
    scripts: mpsc::UnboundedReceiver<Script>,
    pending: FuturesUnordered<Pending>,
    console: Console,
    source: ConsoleSource,
    idle: watch::Sender<bool>,
    page: Option<Arc<PageState>>,
}

async fn run(
    options: RealmOptions,
    mut connection: Option<Connection>,
    page: Option<Arc<PageState>>,
    scripts: mpsc::UnboundedReceiver<Script>,
    isolate: &OnceLock<v8::IsolateHandle>,
    idle: watch::Sender<bool>,
) {
    let RealmOptions { kind, url, scope, background_fetch, resources, console, network } = options;
    let service_workers = connection.as_mut().map(|connection| mem::take(&mut connection.at_start));
    let source = ConsoleSource { kind, url: url.clone() };
    let description = Description {
        kind,
        href: url,
        scope,
        service_workers,
        is_secure_context: (background_fetch.policies)().secure_context,
        has_network: network.is_some(),
        has_page: page.is_some(),
        has_hook: page.as_ref().is_some_and(|page| page.loaded.hook.is_some()),
        is_frame: page.as_ref().is_some_and(|page| page.loaded.is_frame),
    };
    let fetch = network.map(|network| FetchClient {
        network,
        storage_key: background_fetch.storage_key.clone(),
        policies: Arc::clone(&background_fetch.policies),
    });
    let (console_of_scripts, page_of_scripts) = (Arc::clone(&console), page.clone());
    let host = HostState {
        description,
        console: console_of_scripts,
        connection,
        fetch,
        page: page_of_scripts,
        engine: background_fetch.engine.clone(),
        storage_key: background_fetch.storage_key.clone(),
        resources,
    };
    let extensions = extensions(host, background_fetch);
    let mut runtime = JsRuntime::new(RuntimeOptions { extensions, ..RuntimeOptions::default() });
    isolate.get_or_init(|| runtime.v8_isolate().thread_safe_handle());
    let pending = FuturesUnordered::new();
    Running { runtime, scripts, pending, console, source, page, idle }.await;
}

/// Completes when the realm's handle is dropped or a script has closed the window.
impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.scripts.poll_recv(cx) {
                Poll::Ready(Some(command)) => self.start_script(command),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let turn = self.runtime.poll_event_loop(cx, PollEventLoopOptions::default());
        let idle = matches!(turn, Poll::Ready(Ok(()))) && self.pending.is_empty();
        self.idle.send_if_modified(|before| mem::replace(before, idle) != idle);
        match turn {
            // Not an exception of the script: the end of the realm interrupted it.
            Poll::Ready(Err(_)) if self.scripts.is_closed() => return Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                (self.console)(&self.source, ConsoleLevel::Uncaught, &format!("Uncaught {error}"));
                // The next turn continues after the exception.
                cx.waker().wake_by_ref();
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        while let Poll::Ready(Some((result, value))) = self.pending.poll_next_unpin(cx) {
            self.end_script(result, value);
        }
        match &self.page {
            Some(page) if page.is_closed() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl Running {
    fn start_script(&mut self, Script { name, source, wants_value, result }: Script) {
        match self.runtime.execute_script(name, source) {
            // The caller may be gone.
            Ok(_) if !wants_value => drop(result.send(Ok(serde_json::Value::Null))),
            Ok(value) => {
                let resolved = self.runtime.resolve(value);
                let resolved = async { resolved.await.map_err(|error| error.to_string()) };
                self.pending.push(resolved.map(|value| (result, value)).boxed_local());
            }
            Err(error) => self.end_script(result, Err(error.to_string())),
        }
    }

    fn end_script(&mut self, result: ScriptResult, value: Result<v8::Global<v8::Value>, String>) {
        let json = value.map(|value| {
            deno_core::scope!(scope, self.runtime);
            let value = v8::Local::new(scope, value);
            serde_v8::from_v8(scope, value).unwrap_or_default()
        });
        // The caller may be gone.
        drop(result.send(json.map_err(ScriptError::Exception)));
    }
}
