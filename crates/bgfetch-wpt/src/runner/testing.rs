//! Implements `bgfetchTesting`.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::Duration;

use bgfetch::embedder::{BoxFuture, Permissions, Quota};
use bgfetch::{
    Builder, Connectivity, ConnectivitySource, DispatchError, Display, EventKind, FetchKey,
    FunctionalEvent, IpAddressSpace, Job, LocalNetworkRequest, ManualConnectivity, Observer,
    Permission, PermissionRequest, Reachable, StorageKey, Ui, WorkerHost,
};
use bgfetch_host::{Page, PermissionState, Prelude, UserAgent};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use url::Url;

/// The time limit of a call, far longer than any needs, so that a mistake does not hang the page.
const LIMIT: Duration = Duration::from_secs(30);

/// The quota of background fetches. Upstream's tests expect a limit.
const QUOTA: u64 = 1 << 30;

/// The user and the environment of one user agent. Clones refer to the same one.
#[derive(Clone)]
pub(super) struct Testing(Arc<Inner>);

struct Inner {
    runtime: Handle,
    /// Set once the user agent is open.
    agent: OnceLock<Weak<UserAgent>>,
    connectivity: ManualConnectivity,
    /// The user agent's worker host, once it is open.
    host: OnceLock<Box<dyn WorkerHost>>,
    /// How often clicks of each fetch have reached its worker, or could not.
    clicks: watch::Sender<BTreeMap<FetchKey, u32>>,
    /// The states of the permissions that were set, by name.
    permissions: Mutex<BTreeMap<String, PermissionState>>,
    /// The pages that scripts opened besides the test's own, by number.
    pages: Mutex<BTreeMap<usize, Page>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Command {
    List,
    State(String),
    Pause(String),
    Resume(String),
    Abort(String),
    Click(String),
    SetOffline(bool),
    SetPermission(String, PermissionState),
    RestartEngine,
    OpenPage(Url),
    ClosePage(usize),
}

impl Testing {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            runtime: Handle::current(),
            agent: OnceLock::new(),
            connectivity: ManualConnectivity::default(),
            host: OnceLock::new(),
            clicks: watch::Sender::default(),
            permissions: Mutex::default(),
            pages: Mutex::default(),
        }))
    }

    /// Sets the user agent that commands apply to.
    pub(super) fn attach(&self, agent: &Arc<UserAgent>) {
        self.0.agent.get_or_init(|| Arc::downgrade(agent));
        self.0.host.get_or_init(|| Box::new(agent.service_workers().worker_host()));
    }

    /// Closes the pages that scripts opened.
    pub(super) async fn close_pages(&self) {
        let pages = std::mem::take(&mut *self.0.pages.lock());
        super::headless::drop_realm(pages).await;
    }

    /// The state of a permission, for scripts.
    pub(super) fn query_permission(&self, name: &str) -> PermissionState {
        let by_default = match name {
            "local-network" | "loopback-network" => PermissionState::Denied,
            _ => PermissionState::Granted,
        };
        self.0.permissions.lock().get(name).copied().unwrap_or(by_default)
    }

    /// Connects the user agent's engine to these settings.
    pub(super) fn configure(&self, builder: Builder) -> Builder {
        let builder = builder.connectivity(self.clone()).permissions(self.clone());
        builder.quota(self.clone()).worker_host(self.clone())
    }

    /// Creates `bgfetchTesting`, and runs the user's own prelude after it.
    pub(super) fn prelude(&self, own: Option<&super::UserPrelude>) -> Prelude {
        let (name, rest) = match own {
            Some(own) => (own.name.clone(), own.source.as_str()),
            None => ("bgfetchTesting".to_owned(), ""),
        };
        let source = format!("{}{rest}", include_str!("testing.js"));
        let testing = self.clone();
        Prelude { name, source, hook: Arc::new(move |command| testing.call(command)) }
    }

    /// Carries out a script's command. Blocks the thread of the script's realm.
    fn call(&self, command: Value) -> Result<Value, String> {
        let command: Command =
            serde_json::from_value(command).map_err(|error| error.to_string())?;
        let agent = self.0.agent.get().and_then(Weak::upgrade);
        let agent = agent.ok_or("the user agent ends")?;
        let (sender, done) = mpsc::channel();
        let testing = self.clone();
        let work = self.0.runtime.spawn(async move {
            let result = testing.execute(&agent, command).await;
            // The last clone of a user agent must not be dropped by one of its own realms.
            drop(agent);
            // If it took too long, the script has stopped waiting.
            drop(sender.send(result));
        });
        let result = done.recv_timeout(LIMIT);
        if result.is_err() {
            work.abort();
        }
        result.map_err(|_| "it took too long".to_owned())?
    }

    async fn execute(&self, agent: &UserAgent, command: Command) -> Result<Value, String> {
        let engine = agent.engine().ok_or("there is no engine")?;
        let ui = engine.ui();
        // Observes from before the command, so that none of its effects is missed.
        let observer = engine.observe().await.map_err(text)?;
        drop(engine);
        match command {
            Command::List => {
                let jobs = ui.jobs().await.map_err(text)?;
                return Ok(jobs.iter().map(state).collect());
            }
            Command::State(id) => return Ok(state(&newest(&ui, &id).await?)),
            Command::Pause(id) => {
                let fetch = newest(&ui, &id).await?.key;
                ui.pause(fetch).await.map_err(text)?;
                shown(&ui, observer, fetch, |fetch| fetch.pause_reason.is_some()).await?;
            }
            Command::Resume(id) => {
                let fetch = newest(&ui, &id).await?.key;
                ui.resume(fetch).await.map_err(text)?;
                let paused = Some(bgfetch::PauseReason::User);
                shown(&ui, observer, fetch, |fetch| fetch.pause_reason != paused).await?;
            }
            Command::Click(id) => {
                let fetch = newest(&ui, &id).await?.key;
                let count = move |clicks: &BTreeMap<_, _>| clicks.get(&fetch).copied();
                let mut clicks = self.0.clicks.subscribe();
                let before = count(&clicks.borrow());
                ui.click(fetch).await.map_err(text)?;
                clicks.wait_for(|clicks| count(clicks) != before).await.map_err(text)?;
            }
            Command::Abort(id) => {
                let fetch = newest(&ui, &id).await?.key;
                let aborted = ui.abort(fetch).await.map_err(text)?;
                // The fetch settles once its records have ended and that is committed.
                shown(&ui, observer, fetch, |fetch| fetch.result.is_some()).await?;
                return Ok(aborted.into());
            }
            Command::SetOffline(is_offline) => {
                let offline = is_offline.then(|| Connectivity::Offline(Reachable::default()));
                agent.set_online(!is_offline);
                self.0.connectivity.set(offline.unwrap_or(Connectivity::Online));
                // The engine may be about to answer the first of these calls; it sees the change
                // before it answers the second.
                for _ in 0..2 {
                    ui.jobs().await.map_err(text)?;
                }
                if !is_offline {
                    return Ok(Value::Null);
                }
                // A download is shown as paused once its attempt has stopped; an upload goes on.
                let is_seen = |job: &Job| {
                    let mut running = job.records.iter().filter(|record| record.in_flight);
                    job.display.pause_reason.is_some()
                        || job.display.result.is_some()
                        || running.all(|record| record.method != "GET")
                };
                wait_until(&ui, observer, |jobs| jobs.iter().all(is_seen)).await?;
            }
            Command::SetPermission(name, state) => {
                self.0.permissions.lock().insert(name, state);
            }
            Command::OpenPage(url) => {
                let page = agent.open_page(url).await.map_err(text)?;
                let mut pages = self.0.pages.lock();
                let number = pages.last_key_value().map_or(0, |(last, _)| last + 1);
                pages.insert(number, page);
                return Ok(number.into());
            }
            Command::ClosePage(number) => {
                let page = self.0.pages.lock().remove(&number);
                super::headless::drop_realm(page.ok_or("there is no such page")?).await;
            }
            Command::RestartEngine => agent.restart_engine().await.map_err(text)?,
        }
        Ok(Value::Null)
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// The newest fetch with that id, including finished ones.
async fn newest(ui: &Ui, id: &str) -> Result<Job, String> {
    let jobs = ui.jobs().await.map_err(text)?;
    let newest = jobs.into_iter().rev().find(|job| job.id == id);
    newest.ok_or_else(|| format!("there is no background fetch \"{id}\""))
}

/// Waits until a fetch is shown in the wanted state, or is no longer shown.
async fn shown(
    ui: &Ui,
    observer: Observer,
    fetch: FetchKey,
    as_wanted: impl Fn(&Display) -> bool,
) -> Result<(), String> {
    wait_until(ui, observer, |jobs| {
        let found = jobs.iter().find(|job| job.key == fetch);
        found.is_none_or(|job| as_wanted(&job.display))
    })
    .await
}

/// Waits until the UI shows all fetches as wanted.
async fn wait_until(
    ui: &Ui,
    mut observer: Observer,
    as_wanted: impl Fn(&[Job]) -> bool,
) -> Result<(), String> {
    while !as_wanted(&ui.jobs().await.map_err(text)?) {
        observer.next().await.ok_or("the engine has ended")?;
    }
    Ok(())
}

/// The state of a fetch, for scripts.
fn state(job: &Job) -> Value {
    let display = &job.display;
    let (result, failure_reason) = match display.result {
        None => ("", ""),
        Some(Ok(())) => ("success", ""),
        Some(Err(reason)) => ("failure", reason.as_str()),
    };
    json!({
        "id": job.id,
        "scope": job.registration.scope,
        "title": display.title,
        "downloaded": display.downloaded,
        "downloadTotal": display.download_total,
        "uploaded": display.uploaded,
        "uploadTotal": display.upload_total,
        "paused": display.pause_reason.is_some(),
        "pauseReason": display.pause_reason.map(bgfetch::PauseReason::as_str),
        "result": result,
        "failureReason": failure_reason,
    })
}

/// The user agent's worker host, which notes clicks.
impl WorkerHost for Testing {
    fn dispatch(&self, event: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        let Some(host) = self.0.host.get() else {
            return Box::pin(ready(Err(DispatchError::NotYet)));
        };
        let click = (event.kind() == EventKind::Click)
            .then(|| Clicked { fetch: event.fetch(), clicks: self.0.clicks.clone() });
        let dispatched = host.dispatch(event);
        Box::pin(async move {
            let _noted = click;
            dispatched.await
        })
    }
}

/// Counts a click when it is dropped: when its listeners have run, or will not run.
struct Clicked {
    fetch: FetchKey,
    clicks: watch::Sender<BTreeMap<FetchKey, u32>>,
}

impl Drop for Clicked {
    fn drop(&mut self) {
        self.clicks.send_modify(|clicks| *clicks.entry(self.fetch).or_default() += 1);
    }
}

impl ConnectivitySource for Testing {
    fn watch(&self) -> watch::Receiver<Connectivity> {
        self.0.connectivity.watch()
    }
}

impl Permissions for Testing {
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        Box::pin(ready(match self.query_permission("background-fetch") {
            PermissionState::Granted => Permission::Granted,
            PermissionState::Denied => Permission::Denied,
            PermissionState::Prompt => Permission::StartPaused,
        }))
    }

    fn local_network(&self, request: &LocalNetworkRequest) -> BoxFuture<'static, bool> {
        let name = match request.space {
            IpAddressSpace::Loopback => "loopback-network",
            IpAddressSpace::Local | IpAddressSpace::Public => "local-network",
        };
        Box::pin(ready(self.query_permission(name) == PermissionState::Granted))
    }
}

impl Quota for Testing {
    fn limit(&self, _: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(ready(QUOTA))
    }
}
