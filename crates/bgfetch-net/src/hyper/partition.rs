//! What must not share connections, TLS sessions or look-ups: Fetch's
//! [network partition key](https://fetch.spec.whatwg.org/#network-partition-key).

use bgfetch_model::ids::StorageKey;
use bgfetch_model::policy::Principal;

use crate::fetcher::FetchRequest;

/// A network partition: a storage key's, or the user's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Partition {
    /// Of all that is fetched for the user.
    User,
    /// Of what a storage key's pages fetch.
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
