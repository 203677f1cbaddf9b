//! Notifications: <https://notifications.spec.whatwg.org/>. The embedder displays them.

use std::collections::VecDeque;
use std::sync::Arc;

use bgfetch::StorageKey;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::console::ConsoleSource;

/// How many notifications of a site are kept for `getNotifications()`; its oldest are removed first.
const KEPT: usize = 100;

/// A notification shown by a script.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// Its title.
    pub title: String,
    /// The text below the title; may be empty.
    pub body: String,
    /// If not empty, the notification replaces the site's earlier one with the same tag.
    pub tag: String,
    /// The URL of its icon, or empty.
    pub icon: String,
    /// The values that only scripts use.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Shows a notification to the user; the source is the realm that shows it.
pub type ShowNotification = Arc<dyn Fn(&ConsoleSource, &Notification) + Send + Sync>;

/// The [list of notifications](https://notifications.spec.whatwg.org/#list-of-notifications) of a user
/// agent.
#[derive(Default)]
pub(crate) struct Notifications {
    show: Option<ShowNotification>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    kept: VecDeque<Kept>,
    last_id: u32,
}

#[derive(Clone, Serialize)]
pub(crate) struct Kept {
    id: u32,
    #[serde(skip)]
    storage_key: StorageKey,
    /// The scope of its service worker registration, if it has one.
    #[serde(skip)]
    scope: Option<Url>,
    #[serde(flatten)]
    notification: Notification,
}

impl Notifications {
    pub(crate) fn new(show: ShowNotification) -> Self {
        Self { show: Some(show), list: Mutex::default() }
    }

    /// [Show steps](https://notifications.spec.whatwg.org/#notification-show-steps). Returns the
    /// number that closes the notification.
    pub(crate) fn show(
        &self,
        source: &ConsoleSource,
        storage_key: StorageKey,
        scope: Option<Url>,
        notification: Notification,
    ) -> u32 {
        if let Some(show) = &self.show {
            show(source, &notification);
        }
        let mut list = self.list.lock();
        list.last_id += 1;
        let id = list.last_id;
        if !notification.tag.is_empty() {
            list.kept.retain(|kept| {
                kept.storage_key != storage_key || kept.notification.tag != notification.tag
            });
        }
        let of_site = |kept: &Kept| kept.storage_key == storage_key;
        if list.kept.iter().filter(|kept| of_site(kept)).count() == KEPT
            && let Some(oldest) = list.kept.iter().position(of_site)
        {
            list.kept.remove(oldest);
        }
        list.kept.push_back(Kept { id, storage_key, scope, notification });
        id
    }

    /// The notifications of a registration, with that tag unless it is empty, oldest first.
    pub(crate) fn of_registration(
        &self,
        storage_key: &StorageKey,
        scope: &Url,
        tag: &str,
    ) -> Vec<Kept> {
        let list = self.list.lock();
        let wanted = |kept: &&Kept| {
            kept.storage_key == *storage_key
                && kept.scope.as_ref() == Some(scope)
                && (tag.is_empty() || kept.notification.tag == tag)
        };
        list.kept.iter().filter(wanted).cloned().collect()
    }

    /// [Close steps](https://notifications.spec.whatwg.org/#close-steps), without the event. Returns
    /// whether the notification was in the list.
    pub(crate) fn close(&self, storage_key: &StorageKey, id: u32) -> bool {
        let kept = &mut self.list.lock().kept;
        let before = kept.len();
        kept.retain(|kept| kept.id != id || kept.storage_key != *storage_key);
        kept.len() < before
    }
}
