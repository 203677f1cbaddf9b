//! Identities. The spec compares background fetches by identity, not by their `id` string. Here a
//! [`FetchKey`] is that identity, and a store never uses one twice.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};
use url::Url;

/// The identity of a background fetch: unique for the life of a store, and increasing in order of
/// registration. The default store begins at 0, which is a key like any other; a store of an
/// embedder's own chooses the first one ([`Snapshot::next_fetch`]).
///
/// [`Snapshot::next_fetch`]: crate::store_op::Snapshot::next_fetch
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FetchKey(pub u64);

/// The position of a record among its background fetch's records, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordIndex(pub u32);

/// The identity of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The background fetch.
    pub fetch: FetchKey,
    /// The record within it.
    pub index: RecordIndex,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.fetch.0, self.index.0)
    }
}

/// Counts the representations of a record: each restart from byte 0 opens the next one, so bytes of
/// two representations never mix. 0 means that no response has arrived yet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Generation(pub u32);

/// The identity of the bytes of one generation of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyKey {
    /// The record.
    pub record: RecordKey,
    /// Which of its representations.
    pub generation: Generation,
}

/// One try at fetching a record; unique within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

/// One call of a promise-returning operation that awaits its answer; chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A transaction handed to the store. Ids increase, and transactions are acknowledged in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// A [storage key](https://storage.spec.whatwg.org/#storage-keys), opaque to this crate: the
/// embedder chooses the text, for example from top-level site and origin. Equal keys share a quota.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StorageKey(pub String);

/// Names a [service worker registration](https://w3c.github.io/ServiceWorker/#dfn-service-worker-registration).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RegistrationKey {
    /// The storage key that the registration belongs to.
    pub storage_key: StorageKey,
    /// The registration's scope URL.
    pub scope: Url,
}

/// A server, identified by scheme, host and port: the unit by which connections are made and
/// limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey(Box<str>);

impl HostKey {
    /// The server of a URL. URLs without a server, such as `data:`, share one key; their records
    /// fail before they reach the network.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn logs_name_a_record_by_its_fetch_and_its_position() {
        let key = RecordKey { fetch: FetchKey(7), index: RecordIndex(2) };
        assert_eq!(key.to_string(), "7/2");
    }
}
