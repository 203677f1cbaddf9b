//! [`updateUI()`](https://wicg.github.io/background-fetch/#background-fetch-update-ui-event-update-ui):
//! what a handler may change in the fetch's UI, and where the change goes.

use std::fmt;
use std::sync::Arc;

use bgfetch_model::ids::FetchKey;
use bgfetch_model::store_op::ImageResource;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::extendable_event::NotActive;

/// The members of
/// [BackgroundFetchUIOptions](https://wicg.github.io/background-fetch/#dictdef-backgroundfetchuioptions)
/// that were present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UiUpdate {
    /// The new title, or none to keep the old one.
    pub title: Option<String>,
    /// The new icons, or none to keep the old ones.
    pub icons: Option<Vec<ImageResource>>,
}

bgfetch_model::impl_with!(UiUpdate);

impl UiUpdate {
    /// Whether the update changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.title.is_none() && self.icons.is_none()
    }
}

/// Why `updateUI()` rejects.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpdateUiError {
    /// The event is no longer active.
    #[error(transparent)]
    NotActive(#[from] NotActive),
    /// The UI updated flag is set: each event updates the UI once.
    #[error("the event has updated the UI already")]
    AlreadyUpdated,
    /// The event does not have the method: it is an abort or a click event.
    #[error("the event is not a BackgroundFetchUpdateUIEvent")]
    NotUpdateUiEvent,
    /// The sink failed.
    #[error(transparent)]
    Sink(#[from] UiSinkError),
}

impl UpdateUiError {
    /// Whether scripts see an `InvalidStateError`; they see an `OperationError` otherwise.
    #[must_use]
    pub const fn is_invalid_state(&self) -> bool {
        !matches!(self, Self::Sink(_))
    }
}

/// The new title and icons could not be kept because the store failed or the engine is shutting
/// down. The text is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the update was not applied: {0}")]
pub struct UiSinkError(pub String);

/// Receives the updates of all events.
#[derive(Clone)]
pub struct UiSink(Arc<Apply>);

type Apply =
    dyn Fn(FetchKey, UiUpdate) -> BoxFuture<'static, Result<(), UiSinkError>> + Send + Sync;

impl UiSink {
    /// A sink that calls `apply`.
    ///
    /// `apply` must take the update when it is called. The returned future resolves once the title
    /// and the icons are durably kept; callers may drop it.
    pub fn new<F, R>(apply: F) -> Self
    where
        F: Fn(FetchKey, UiUpdate) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), UiSinkError>> + Send + 'static,
    {
        Self(Arc::new(move |fetch, update| apply(fetch, update).boxed()))
    }

    pub(crate) fn apply(
        &self,
        fetch: FetchKey,
        update: UiUpdate,
    ) -> BoxFuture<'static, Result<(), UiSinkError>> {
        (self.0)(fetch, update)
    }
}

impl fmt::Debug for UiSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UiSink").finish_non_exhaustive()
    }
}
