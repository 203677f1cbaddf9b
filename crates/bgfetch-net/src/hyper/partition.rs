//! Fetches of different partitions share no connections, TLS sessions or look-ups: Fetch's [network
//! partition key](https://fetch.spec.whatwg.org/#network-partition-key).

use bgfetch_model::ids::StorageKey;
use bgfetch_model::policy::Principal;

use crate::fetcher::FetchRequest;

/// A network partition: that of a storage key, or that of the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Partition {
    /// All fetches for the user.
    User,
    /// The fetches of pages of this storage key.
    Site(StorageKey),
}

impl Partition {
    /// The partition of a fetch.
    pub(super) fn of(fetch: &FetchRequest) -> Self {
        match *fetch.principal {
            Principal::User => Self::User,
            Principal::Page(_) => Self::Site(fetch.storage_key.clone()),
        }
    }
}
