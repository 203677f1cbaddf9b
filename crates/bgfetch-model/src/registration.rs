//! The spec's [extensions to service worker registration](https://wicg.github.io/background-fetch/#service-worker-registration-concept-extensions).
//!
//! The active background fetches edit queue is the model itself: it handles one input after the
//! other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use crate::algorithms::contains_background_fetch::ActiveBackgroundFetches;
use crate::ids::RegistrationKey;

/// A service worker registration, as far as background fetch needs it.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    /// Whether its active worker is not null.
    pub(crate) active_worker: bool,
    /// Whether it was registered since the engine was opened. If it is known only from the store,
    /// nothing can start its worker yet.
    pub(crate) registered: bool,
    /// Its active background fetches.
    pub(crate) active: ActiveBackgroundFetches,
    /// Ids of `fetch()` calls in progress.
    pub(crate) reserved: BTreeSet<String>,
}

impl Registration {
    /// Whether its worker can be started for an event.
    pub(crate) fn listens(&self) -> bool {
        self.registered && self.active_worker
    }
}

/// All registrations, by key.
pub(crate) type Registrations = BTreeMap<RegistrationKey, Registration>;
