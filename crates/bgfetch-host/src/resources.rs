//! The resources that the realms of one user agent share.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bgfetch::StorageKey;
use bgfetch_deno::Web;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::cache::CacheStore;
use crate::notifications::{Notifications, ShowNotification};

/// A [permission state](https://w3c.github.io/permissions/#dfn-permission-state).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PermissionState {
    /// It is granted.
    Granted,
    /// It is denied.
    Denied,
    /// The user would be asked.
    Prompt,
}

/// Returns the state of the permission with that name (`background-fetch`, `notifications`,
/// `persistent-storage`) for a site.
pub type QueryPermission = Arc<dyn Fn(&str, &StorageKey) -> PermissionState + Send + Sync>;

/// The resources that the realms of one user agent share: blobs, broadcast channels, caches,
/// permissions and notifications. Clones refer to the same resources. Realms of different storage
/// keys share nothing through them. By default there are no
/// caches (calls to them reject), every permission is granted, and notifications are not shown.
#[derive(Clone)]
pub struct AgentResources {
    /// The blobs and broadcast channels of each storage key.
    webs: Arc<Mutex<HashMap<StorageKey, Web>>>,
    pub(crate) caches: Option<CacheStore>,
    pub(crate) query_permission: QueryPermission,
    pub(crate) notifications: Arc<Notifications>,
}

impl Default for AgentResources {
    fn default() -> Self {
        Self {
            webs: Arc::default(),
            caches: None,
            query_permission: Arc::new(|_, _| PermissionState::Granted),
            notifications: Arc::default(),
        }
    }
}

impl fmt::Debug for AgentResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentResources").field("caches", &self.caches).finish_non_exhaustive()
    }
}

impl AgentResources {
    /// The blobs and broadcast channels of the realms with that storage key.
    pub(crate) fn web(&self, storage_key: &StorageKey) -> Web {
        self.webs.lock().entry(storage_key.clone()).or_default().clone()
    }

    /// Sets the caches.
    #[must_use]
    pub fn with_caches(caches: CacheStore) -> Self {
        Self { caches: Some(caches), ..Self::default() }
    }

    /// Sets the source of the permission states that scripts query. Whether a background fetch may
    /// start is decided by the engine's own permissions, which should agree.
    #[must_use]
    pub fn query_permission(self, query_permission: QueryPermission) -> Self {
        Self { query_permission, ..self }
    }

    /// Sets the function that shows notifications.
    #[must_use]
    pub fn show_notification(self, show: ShowNotification) -> Self {
        Self { notifications: Arc::new(Notifications::new(show)), ..self }
    }
}
