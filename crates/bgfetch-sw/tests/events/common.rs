//! Helpers shared by the tests.

use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::ids::{FetchKey, RegistrationKey, StorageKey};
use bgfetch_sw::mock::ScriptedHost;
use bgfetch_sw::{Dispatcher, EventKind, FunctionalEventInit, Timeouts, UiSink, UiSinkError};

/// Short and distinct, so that a test can tell which one passed.
pub(crate) fn timeouts() -> Timeouts {
    Timeouts::default().with(|it| {
        it.start_and_dispatch = Duration::from_secs(11);
        it.lifetime = Duration::from_secs(23);
    })
}

/// An event of the fetch with this key and the id `fetch-KEY`.
pub(crate) fn event(kind: EventKind, fetch: u64) -> FunctionalEventInit {
    FunctionalEventInit {
        kind,
        fetch: FetchKey(fetch),
        registration: RegistrationKey {
            storage_key: StorageKey("https://app.example".into()),
            scope: "https://app.example/".parse().expect("a valid URL"),
        },
        id: format!("fetch-{fetch}"),
    }
}

/// A sink for tests that expect no update.
pub(crate) fn no_ui() -> UiSink {
    UiSink::new(|_, _| async { Err(UiSinkError("no update was expected".into())) })
}

/// A dispatcher to `host` that expects no update of the UI.
pub(crate) fn dispatcher(host: &ScriptedHost) -> Dispatcher {
    Dispatcher::new(Arc::new(host.clone()), no_ui(), timeouts())
}
