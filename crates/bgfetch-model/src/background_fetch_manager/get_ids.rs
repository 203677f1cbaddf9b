//! [getIds()](https://wicg.github.io/background-fetch/#background-fetch-manager-get-ids).

use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::RegistrationKey;
use crate::model::Model;

impl Model {
    /// The ids of the registration's active fetches, in the order of registration.
    #[must_use]
    pub fn get_ids(&self, registration: &RegistrationKey) -> Vec<String> {
        // Step 2, the keys of the map.
        self.registration(registration)
            .map(|registration| registration.active.ids())
            .unwrap_or_default()
    }
}
