//! The four events of the [service worker global](https://wicg.github.io/background-fetch/#service-worker-global-events).

use serde::{Deserialize, Serialize};

use crate::response::FailureReason;
use crate::store_op::FetchResult;

/// Which of the four events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// Every record succeeded.
    Success,
    /// A record failed.
    Fail,
    /// `abort()` or the user ended the fetch.
    Abort,
    /// The user activated the fetch's UI.
    Click,
}

/// The interface that an event implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventInterface {
    /// [`BackgroundFetchEvent`](https://wicg.github.io/background-fetch/#background-fetch-event).
    BackgroundFetchEvent,
    /// [`BackgroundFetchUpdateUIEvent`](https://wicg.github.io/background-fetch/#background-fetch-update-ui-event),
    /// which adds `updateUI()`.
    BackgroundFetchUpdateUiEvent,
}

impl EventKind {
    /// The event that reports how a fetch settled; [perform a background
    /// fetch](https://wicg.github.io/background-fetch/#perform-a-background-fetch) chooses its name
    /// and constructor.
    #[must_use]
    pub const fn for_result(result: FetchResult) -> Self {
        match result {
            Ok(()) => Self::Success,
            Err(FailureReason::Aborted) => Self::Abort,
            Err(_) => Self::Fail,
        }
    }

    /// The event's type, for which listeners are registered.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "backgroundfetchsuccess",
            Self::Fail => "backgroundfetchfail",
            Self::Abort => "backgroundfetchabort",
            Self::Click => "backgroundfetchclick",
        }
    }

    /// The interface of the event object.
    #[must_use]
    pub const fn interface(self) -> EventInterface {
        match self {
            Self::Success | Self::Fail => EventInterface::BackgroundFetchUpdateUiEvent,
            Self::Abort | Self::Click => EventInterface::BackgroundFetchEvent,
        }
    }
}

impl EventInterface {
    /// The interface's name as scripts see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BackgroundFetchEvent => "BackgroundFetchEvent",
            Self::BackgroundFetchUpdateUiEvent => "BackgroundFetchUpdateUIEvent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_has_its_event_and_interface() {
        let seen = |result| {
            let kind = EventKind::for_result(result);
            (kind.name(), kind.interface().as_str())
        };
        let (plain, update) = ("BackgroundFetchEvent", "BackgroundFetchUpdateUIEvent");
        assert_eq!(seen(Ok(())), ("backgroundfetchsuccess", update));
        assert_eq!(seen(Err(FailureReason::Aborted)), ("backgroundfetchabort", plain));
        for reason in [
            FailureReason::BadStatus,
            FailureReason::FetchError,
            FailureReason::QuotaExceeded,
            FailureReason::DownloadTotalExceeded,
        ] {
            assert_eq!(seen(Err(reason)), ("backgroundfetchfail", update));
        }
        assert_eq!(EventKind::Click.name(), "backgroundfetchclick");
        assert_eq!(EventKind::Click.interface().as_str(), plain);
    }
}
