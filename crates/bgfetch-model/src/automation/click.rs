//! The WebDriver extension command [background fetch
//! click](https://wicg.github.io/background-fetch/#automation-click): its steps on background
//! fetches. The host finds the registration of a page.

use crate::ids::{FetchKey, RegistrationKey};
use crate::model::Model;

impl Model {
    /// Step 5, the newest fetch with that id, finished ones included; click it with
    /// [`Input::Click`](crate::input::Input::Click).
    #[must_use]
    pub fn newest(&self, registration: &RegistrationKey, id: &str) -> Option<FetchKey> {
        self.fetches()
            .filter(|fetch| fetch.registration() == registration && fetch.id() == id)
            .map(|fetch| fetch.key())
            .max()
    }
}
