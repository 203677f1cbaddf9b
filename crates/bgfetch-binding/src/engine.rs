//! Engines: each has a store, and may have a queue to itself or share it with others.

use std::sync::Arc;

use bgfetch::{
    Builder, Connectivity, CookieJar, HyperFetcher, Limits, ManualConnectivity, Proxies, Reachable,
    StorageKey, WithWebChecks,
};
use parking_lot::Mutex;

use crate::completion::{Completion, Value};
use crate::error::{Code, Error, Result};
use crate::event::{Started, Workers};
use crate::handle::{self, Handle, Kind, Object};
use crate::network::HostNetwork;
use crate::options::{self, Cookies, LimitOptions, Network, Options, Proxy, QuotaLimit};
use crate::question::{AskedCookies, AskedPermissions, AskedQuota, Asker};
use crate::queue::Queue;
use crate::request;

pub(crate) struct Engine {
    pub(crate) queue: Arc<Queue>,
    /// `None` before it is open and after it was closed.
    engine: Mutex<Option<bgfetch::Engine>>,
    connectivity: Option<Arc<ManualConnectivity>>,
    pub(crate) started: Arc<Started>,
    pub(crate) headers: Arc<[(String, String)]>,
}

impl Object for Engine {
    const KIND: Kind = Kind::Engine;
}

impl Engine {
    /// The engine, for the duration of a call.
    pub(crate) fn open(&self) -> Result<bgfetch::Engine> {
        self.engine.lock().clone().ok_or_else(Error::closed)
    }
}

/// Opens an engine: answered by [`Value::Handle`]. From then on it continues what an earlier one left. Its end comes
/// as [`Completion::Closed`].
///
/// The options are JSON. One of the first two is needed, and the others have the defaults that stand first:
///
/// | Option | Values |
/// |---|---|
/// | `directory` | where the store is |
/// | `ephemeral` | `true` leaves nothing behind |
/// | `durability` | `"power"`, `"process"` |
/// | `permission` | `"granted"`, `"start-paused"`, `"denied"`, `"ask"` ([`Completion::Permission`]) |
/// | `localNetwork` | `"denied"`, `"granted"`, `"ask"` ([`Completion::LocalNetwork`]) |
/// | `quota` | no limit, a number of bytes, `"ask"` ([`Completion::Quota`]) |
/// | `network` | `"own"`, `"host"` ([`Completion::FetchStart`]) |
/// | `cookies` | `"none"`, `"memory"`, `"ask"` ([`Completion::Cookies`]) |
/// | `proxy` | none, `"environment"`, a list of URLs in order of preference; only with the own network |
/// | `userAgent` | `bgfetch/VERSION`, a text |
/// | `headers` | pairs that are added to each request that has none of the name |
/// | `connectivity` | `"system"`, `"manual"` ([`set_online`]) |
/// | `limits` | an object with `sites`, `total`, `perHost`, `perHostMultiplexed` and `lookUps` |
/// | `rate` | no limit, bytes per second |
/// | `headTimeout`, `stallTimeout` | how long an attempt may be idle |
/// | `dispatchTimeout`, `eventTimeout` | how long a worker's event may take |
/// | `progressInterval` | the shortest time between two updates of a fetch |
/// | `retryDelay` | the upper bound of the first delay before a retry |
/// | `maxRunningTime` | no limit, how long attempts of a fetch may run in all |
/// | `pauseOnMetered`, `keepBadStatusBodies` | `false`, `true` |
///
/// Times are milliseconds; [`Config`](bgfetch::Config), [`Limits`] and the timeouts have the defaults.
///
/// # Errors
///
/// [`Code::InvalidArgument`] if the JSON is not valid; a bad handle. The call fails as [`Code::NoStore`], or if the
/// store cannot be opened.
pub fn open(queue: Handle, token: u64, options: &str) -> Result<()> {
    let queue = handle::get::<Queue>(queue)?;
    let options: Options = request::parse_json(options)?;
    let to = Arc::clone(&queue);
    queue.call(token, async move {
        // Opening a store blocks.
        let open = tokio::task::spawn_blocking(move || start(&to, &options)).await;
        let panicked = |_| Error::new(Code::Panic, "opening the engine panicked");
        Ok(Value::Handle(open.map_err(panicked)??))
    });
    Ok(())
}

fn start(queue: &Arc<Queue>, options: &Options) -> Result<Handle> {
    let started = Arc::<Started>::default();
    let manual = options.connectivity == options::Connectivity::Manual;
    let connectivity = manual.then(|| Arc::new(ManualConnectivity::default()));
    let mut builder = options.builder()?.runtime(queue.runtime.clone());
    if let Some(connectivity) = &connectivity {
        builder = builder.connectivity(Arc::clone(connectivity));
    }
    let (handle, object) = handle::insert(queue.handle, |_| Engine {
        queue: Arc::clone(queue),
        engine: Mutex::new(None),
        connectivity,
        started: Arc::clone(&started),
        headers: options.headers.clone().into(),
    })?;
    let asker = Asker { queue: Arc::clone(queue), engine: handle };
    match ask(builder, options, &asker, started).and_then(|builder| Ok(builder.open()?)) {
        Ok(engine) => {
            queue.has(engine.downgrade());
            follow(queue, handle, &engine);
            *object.engine.lock() = Some(engine);
            Ok(handle)
        }
        Err(error) => {
            drop(handle::take::<Engine>(handle));
            Err(error)
        }
    }
}

/// Either network with its cookies and its user agent. The two types have the same methods.
macro_rules! configured {
    ($fetcher:expr, $options:expr, $asker:expr) => {{
        let fetcher = match $options.cookies {
            Cookies::None => $fetcher,
            Cookies::Memory => $fetcher.cookies(CookieJar::new()),
            Cookies::Ask => $fetcher.cookies(AskedCookies($asker.clone())),
        };
        match &$options.user_agent {
            Some(agent) => fetcher.user_agent(agent),
            None => fetcher,
        }
    }};
}

/// The parts that ask the host.
fn ask(
    builder: Builder,
    options: &Options,
    asker: &Asker,
    started: Arc<Started>,
) -> Result<Builder> {
    let bytes = match options.quota {
        None => Some(u64::MAX),
        Some(QuotaLimit::Bytes(bytes)) => Some(bytes),
        Some(QuotaLimit::Asked(_)) => None,
    };
    let queue = Arc::clone(&asker.queue);
    let builder = builder
        .permissions(AskedPermissions {
            asker: asker.clone(),
            fetch: options.permission.answer(),
            local_network: options.local_network.answer(),
        })
        .quota(AskedQuota { asker: asker.clone(), bytes })
        .worker_host_with(move |engine| Workers { queue, engine, started });
    if options.network == Network::Host {
        if options.proxy.is_some() {
            return Err(Error::argument("the proxies of a host's network are its own"));
        }
        let fetcher = WithWebChecks::new(HostNetwork(asker.clone()));
        return Ok(builder.fetcher(configured!(fetcher, options, asker)));
    }
    let mut fetcher = configured!(HyperFetcher::builder(), options, asker);
    match &options.proxy {
        None => {}
        Some(Proxy::Environment(_)) => {
            let proxies = Proxies::from_environment().map_err(Error::argument)?;
            fetcher = fetcher.proxy(move |url| proxies.of(url));
        }
        Some(Proxy::List(urls)) => {
            let proxies = urls.iter().map(|url| url.parse().map_err(Error::argument));
            let proxies: Vec<bgfetch::Proxy> = proxies.collect::<Result<_>>()?;
            fetcher = fetcher.proxy(move |_| std::future::ready(proxies.clone()));
        }
    }
    let fetcher = fetcher.build();
    let fetcher = fetcher.map_err(|error| Error::new(Code::TlsUnavailable, error.to_string()))?;
    Ok(builder.fetcher(fetcher))
}

/// Tells the host when the engine ends.
fn follow(queue: &Arc<Queue>, engine: Handle, open: &bgfetch::Engine) {
    let (to, stopped) = (Arc::clone(queue), open.stopped());
    queue.spawn(async move {
        let error = stopped.await.err().map(Error::from);
        to.push(Completion::Closed { engine, error });
    });
}

/// Ends an engine gracefully: answered by [`Value::None`] when its store is closed. [`Completion::Closed`] follows.
///
/// # Errors
///
/// A bad handle; [`Code::Closed`] if it was closed before. The call fails if the store could not be closed.
pub fn close(engine: Handle, token: u64) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let engine = object.engine.lock().take().ok_or_else(Error::closed)?;
    object.queue.call(token, async move {
        engine.shutdown().await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Frees an engine. If it was not closed, it ends as in a crash, which loses nothing that is durable.
///
/// # Errors
///
/// A bad handle.
pub fn free(engine: Handle) -> Result<()> {
    handle::take::<Engine>(engine).map(drop)
}

/// How much of its quota a storage key uses: answered by [`Value::Usage`].
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn usage(engine: Handle, token: u64, storage_key: &str) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let (engine, storage_key) = (object.open()?, StorageKey(storage_key.into()));
    object.queue.call(token, async move { Ok(Value::Usage(engine.usage(storage_key).await?)) });
    Ok(())
}

/// The registrations in the store: answered by [`Value::Registrations`].
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn registrations(engine: Handle, token: u64) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let engine = object.open()?;
    object.queue.call(token, async move {
        let all = engine.registrations().await?;
        Ok(Value::Registrations(all.iter().map(|it| it.key().clone()).collect()))
    });
    Ok(())
}

/// Removes all registrations of a storage key with their fetches and bytes: answered by [`Value::None`] when every
/// byte is durably gone.
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn clear(engine: Handle, token: u64, storage_key: &str) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let (engine, storage_key) = (object.open()?, StorageKey(storage_key.into()));
    object.queue.call(token, async move {
        engine.clear(storage_key).await?;
        Ok(Value::None)
    });
    Ok(())
}

/// The permission of a storage key's pages was revoked: their calls of `fetch()` are refused, and their active fetches
/// aborted. Answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn revoke_permission(engine: Handle, token: u64, storage_key: &str) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let (engine, storage_key) = (object.open()?, StorageKey(storage_key.into()));
    object.queue.call(token, async move {
        engine.revoke_permission(storage_key).await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Changes how many attempts may run at once: the option `limits` in JSON. Answered by [`Value::None`].
///
/// # Errors
///
/// [`Code::InvalidArgument`] if the JSON is not valid; a bad handle; a closed engine.
pub fn set_limits(engine: Handle, token: u64, limits: &str) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let limits: Limits = request::parse_json::<LimitOptions>(limits)?.into();
    let engine = object.open()?;
    object.queue.call(token, async move {
        engine.set_limits(limits).await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Changes how many bytes per second all fetches together move, or sets no limit. Answered by [`Value::None`].
///
/// # Errors
///
/// A bad handle; a closed engine.
pub fn set_rate(engine: Handle, token: u64, rate: Option<u64>) -> Result<()> {
    let object = handle::get::<Engine>(engine)?;
    let engine = object.open()?;
    object.queue.call(token, async move {
        engine.set_rate(rate).await?;
        Ok(Value::None)
    });
    Ok(())
}

/// Says whether the network is available, and whether it costs. For an engine with manual connectivity.
///
/// # Errors
///
/// [`Code::WrongState`] if the connectivity is not manual; a bad handle.
pub fn set_online(engine: Handle, online: bool, metered: bool) -> Result<()> {
    let engine = handle::get::<Engine>(engine)?;
    let manual = engine.connectivity.as_ref();
    let manual = manual.ok_or_else(|| Error::state("the connectivity is that of the system"))?;
    manual.set(match (online, metered) {
        (false, _) => Connectivity::Offline(Reachable::default()),
        (true, true) => Connectivity::Metered,
        (true, false) => Connectivity::Online,
    });
    Ok(())
}
