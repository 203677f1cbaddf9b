//! The decisions of
//! [display](https://wicg.github.io/background-fetch/#background-fetch-display-algorithm): what a
//! UI may show and offer. The embedder draws it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BackgroundFetch, Stage};
use crate::action::PauseReason;
use crate::origin::Origin;
use crate::serialize;
use crate::store_op::{FetchResult, ImageResource};

/// What a user interface needs to know to present a background fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Display {
    /// The origin of the registration's scope, which must be shown prominently.
    pub origin: Origin,
    /// The title, which may be shown; empty when none was given.
    pub title: String,
    /// The icons, of which one may be shown.
    pub icons: Vec<ImageResource>,
    /// Whether to indicate that bandwidth is being used.
    pub uses_bandwidth: bool,
    /// Whether the user may dismiss the UI; until then it disappears only when the fetch is
    /// aborted. Dismissing it before it is [`over`](Self::over) deletes bytes that the worker has
    /// not seen.
    pub dismissible: bool,
    /// Whether the fetch is over: it settled, and its event was handled or given up.
    pub over: bool,
    /// Whether pausing and resuming may be offered.
    pub pausable: bool,
    /// Why the fetch makes no progress, or none.
    pub pause_reason: Option<PauseReason>,
    /// Bytes stored.
    pub downloaded: u64,
    /// The promised sum of the response bodies in bytes; 0 when nothing was promised.
    pub download_total: u64,
    /// Bytes sent.
    pub uploaded: u64,
    /// The sum of the request bodies in bytes.
    pub upload_total: u64,
    /// How it settled, or none.
    #[serde(with = "serialize::result")]
    pub result: Option<FetchResult>,
}

crate::impl_with!(Display);

impl Display {
    /// A fetch of which nothing has arrived yet, for tests of a UI.
    #[must_use]
    pub const fn new(origin: Origin) -> Self {
        Self {
            origin,
            title: String::new(),
            icons: Vec::new(),
            uses_bandwidth: true,
            dismissible: false,
            over: false,
            pausable: true,
            pause_reason: None,
            downloaded: 0,
            download_total: 0,
            uploaded: 0,
            upload_total: 0,
            result: None,
        }
    }
}

impl BackgroundFetch {
    /// What a UI shows of this fetch now.
    #[must_use]
    pub fn display(&self) -> Display {
        // A fetch that is to start paused is shown as paused even before its work begins.
        let is_paused = self.paused && self.result.is_none();
        let pause_reason = if is_paused { Some(PauseReason::User) } else { self.pause_reason };
        Display {
            // The origin is shown prominently.
            origin: Origin::of(&self.info.registration.scope),
            title: self.title.clone(),
            icons: self.icons.clone(),
            // SPEC-ISSUE(4): the spec says "result is not the empty string", which would show
            // bandwidth in use only after the fetch ended.
            uses_bandwidth: self.result.is_none() && pause_reason.is_none(),
            // The spec allows it once there is a result; here the worker gets the event first. If
            // no worker can get it, the user may give up the waiting bytes.
            dismissible: matches!(
                self.stage,
                Stage::AwaitingWorker | Stage::Held | Stage::Finished
            ),
            over: matches!(self.stage, Stage::Held | Stage::Finished),
            pausable: self.is_pausable(),
            pause_reason,
            downloaded: self.stored_body_bytes_total(),
            download_total: self.info.download_total,
            uploaded: self.uploaded(),
            upload_total: self.info.upload_total,
            result: self.result,
        }
    }

    /// Whether the user may pause: only if sending a request again does no harm.
    #[must_use]
    pub fn is_pausable(&self) -> bool {
        self.result.is_none() && self.records().iter().all(|record| record.request.is_get())
    }
}
