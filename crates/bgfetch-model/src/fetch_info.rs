//! The part of a background fetch that is fixed at its registration.

use alloc::sync::Arc;

use crate::ids::{FetchKey, RegistrationKey};
use crate::policy::Principal;
use crate::time::UnixTime;

/// The part of a background fetch that never changes.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchInfo {
    /// Its identity.
    pub key: FetchKey,
    /// The service worker registration it belongs to.
    pub registration: RegistrationKey,
    /// On whose behalf it is made.
    pub principal: Arc<Principal>,
    /// The id the page chose.
    pub id: Arc<str>,
    /// The promised sum of the response bodies in bytes; 0 means that nothing was promised.
    pub download_total: u64,
    /// The sum of the request bodies in bytes.
    pub upload_total: u64,
    /// When it was registered.
    pub created_at: UnixTime,
}

crate::impl_with!(FetchInfo);

impl FetchInfo {
    /// A fetch without bodies that promises nothing, registered at the beginning of Unix time.
    #[must_use]
    pub fn new(
        key: FetchKey,
        registration: RegistrationKey,
        principal: Arc<Principal>,
        id: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            key,
            registration,
            principal,
            id: id.into(),
            download_total: 0,
            upload_total: 0,
            created_at: UnixTime(0),
        }
    }
}
