//! The parts that an embedder may supply, besides the traits of the other crates ([`Fetcher`],
//! [`WorkerHost`], [`ConnectivitySource`], [`Store`]). All have defaults. The types for
//! implementing a store, a fetcher or a transport are also here.
//!
//! [`Fetcher`]: crate::Fetcher
//! [`WorkerHost`]: crate::WorkerHost
//! [`ConnectivitySource`]: crate::ConnectivitySource
//! [`Store`]: crate::Store

use std::future::ready;
use std::time::{SystemTime, UNIX_EPOCH};

use bgfetch_model::action::{LocalNetworkRequest, PermissionRequest};
use bgfetch_model::ids::StorageKey;
use bgfetch_model::input::Permission;
use bgfetch_model::time::UnixTime;
use bgfetch_sw::{DispatchError, FunctionalEvent, WorkerHost};

pub use bgfetch_model::attempt::AttemptSpec;
pub use bgfetch_model::ids::{BodyKey, Generation};
pub use bgfetch_model::ip_address_space::LocalNetworkDenied;
pub use bgfetch_model::response::HeadSummary;
pub use bgfetch_model::source::Source;
pub use bgfetch_model::store_op::{
    Snapshot, StoreOp, StoredFetch, StoredRecord, Sync as StoreSync, Totals, Transaction,
};
pub use bgfetch_model::vary::{HashKey, SelectingHeaders};
pub use bgfetch_net::fetcher::{BodySource, UploadProgress};
pub use bgfetch_net::partition::Partition;
pub use bgfetch_store::{Bodies, BodyReader, BodyWriter, StoredHead};
pub use bgfetch_sw::BoxFuture;

/// Knows the state of the permissions of pages.
pub trait Permissions: Send + Sync + 'static {
    /// The state for a call to `fetch()`. May ask the user first; the call waits for the answer. To
    /// ask later, without delaying the page, answer [`Permission::StartPaused`], and resume or abort
    /// the fetch as the user decides.
    ///
    /// The future is polled on the engine's loop, and spawned only if it is not ready at once.
    fn query(&self, request: &PermissionRequest) -> BoxFuture<'static, Permission>;

    /// Whether a page may reach an address that is less public than its own: the permissions
    /// `local-network` and `loopback-network` of [Local Network
    /// Access](https://wicg.github.io/local-network-access/#permissions) (D46). The default denies
    /// everything.
    ///
    /// It is called for each attempt of a page that needs the permission, also after a restart, so
    /// an implementation that asks the user should remember the answer, and show one prompt for
    /// concurrent calls. Meanwhile the attempt holds no slot. If there is no answer within
    /// [`Config::local_network_limit`](crate::Config::local_network_limit), it is no. Then the
    /// record fails with `fetch-error`, and nothing was sent to the address, not even a connection.
    ///
    /// The future is polled on the engine's loop, and spawned only if it is not ready at once.
    fn local_network(&self, _request: &LocalNetworkRequest) -> BoxFuture<'static, bool> {
        Box::pin(ready(false))
    }
}

/// Knows how many bytes may be stored.
pub trait Quota: Send + Sync + 'static {
    /// How many bytes the background fetches of this storage key may hold in all, requests and
    /// responses together. Called at each call to `fetch()`, after the permission check, and when a
    /// store with fetches of the key is opened: these store nothing more until the answer arrives.
    /// The default sets no limit.
    ///
    /// The future is polled on the engine's loop, and spawned only if it is not ready at once.
    fn limit(&self, _storage_key: &StorageKey) -> BoxFuture<'static, u64> {
        Box::pin(ready(u64::MAX))
    }
}

/// Supplies the wall clock's time, which is used for ages and deadlines that outlive the process.
/// (Everything shorter uses tokio's clock.)
pub trait WallClock: Send + Sync + 'static {
    /// The current time. The default is the system's clock; times before 1970 become 1970.
    fn now(&self) -> UnixTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The default permissions: every site may fetch whatever it likes in the background, but may not
/// reach the local network. That suits programs that fetch for their user. A browser has to use
/// permissions of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct EverySiteMayFetch;

impl Permissions for EverySiteMayFetch {
    fn query(&self, _: &PermissionRequest) -> BoxFuture<'static, Permission> {
        Box::pin(ready(Permission::Granted))
    }
}

/// The other defaults of this module: limits nothing, uses the system's clock, and has no workers,
/// so that events wait for an engine with a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults;

impl Quota for Defaults {}
impl WallClock for Defaults {}

impl WorkerHost for Defaults {
    fn dispatch(&self, _: FunctionalEvent) -> BoxFuture<'static, Result<(), DispatchError>> {
        Box::pin(ready(Err(DispatchError::NoActiveWorker)))
    }
}
