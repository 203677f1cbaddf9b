//! [get()](https://wicg.github.io/background-fetch/#background-fetch-manager-get).

use crate::error::CallError;
use crate::ids::{FetchKey, RegistrationKey};
use crate::model::Model;

impl Model {
    /// The active fetch with that id, or none.
    ///
    /// # Errors
    ///
    /// [`CallError::EmptyId`] for an empty id (D11; upstream tests require it, the spec does not).
    pub fn get(
        &self,
        registration: &RegistrationKey,
        id: &str,
    ) -> Result<Option<FetchKey>, CallError> {
        if id.is_empty() {
            return Err(CallError::EmptyId);
        }
        // Steps 2 and 3, look it up. Step 4, waiting for updates under way, is done by the
        // embedder's queue: answers and updates leave it in the order in which they entered.
        Ok(self.registration(registration).and_then(|registration| registration.active.get(id)))
    }
}
