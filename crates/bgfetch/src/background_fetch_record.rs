//! [BackgroundFetchRecord](https://wicg.github.io/background-fetch/#background-fetch-record-interface)
//! and [create record objects](https://wicg.github.io/background-fetch/#create-settled-fetches-algorithm).

mod error;
mod export;
mod reader;
mod representation;
mod response;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bgfetch_model::background_fetch_registration::match_all::matches_vary;
use bgfetch_model::ids::{BodyKey, RecordKey, RegistrationKey};
use bgfetch_model::record::Record;
use bgfetch_model::request::Request;
use bgfetch_model::response::{FailureReason, RecordResult, ResponseData};
use bgfetch_net::fetcher::BodySource as _;
use bgfetch_store::{Bodies, Handover};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

pub use error::RecordError;
use export::{export, same_bytes};
pub use reader::ResponseReader;
use representation::Representation;
pub use response::{Response, ResponseBody};

#[cfg(doc)]
use crate::BackgroundFetchRegistration;
use crate::error::Error;
use crate::inbox::{Inbox, View};
use crate::request_bodies::StoredBody;

/// A record as script sees it: the interface
/// [BackgroundFetchRecord](https://wicg.github.io/background-fetch/#background-fetch-record-interface).
/// It can be matched before anything has arrived.
#[derive(Clone)]
pub struct BackgroundFetchRecord {
    key: RecordKey,
    request: Arc<Request>,
    data: watch::Receiver<ResponseData>,
    bodies: Arc<dyn Bodies>,
    inbox: Inbox,
}

impl BackgroundFetchRecord {
    /// An object for a record of the engine, which follows its changes.
    pub(crate) fn new(key: RecordKey, record: &Record, view: &mut View<'_>, inbox: Inbox) -> Self {
        Self {
            key,
            request: Arc::clone(record.request()),
            data: view.watchers.watch(key, *record.response_data()),
            bodies: Arc::clone(view.bodies),
            inbox,
        }
    }

    /// The record with that identity, if its records are available and, unless any registration
    /// will do, if it is one of `registration`.
    pub(crate) async fn find(
        inbox: &Inbox,
        key: RecordKey,
        registration: Option<RegistrationKey>,
    ) -> Result<Option<Self>, Error> {
        let sender = inbox.clone();
        let found = inbox.read(move |view| {
            let fetch = view.model.fetch(key.fetch)?;
            let is_asked = registration.is_none_or(|asked| asked == *fetch.registration());
            let record = fetch.record(key.index)?;
            (is_asked && fetch.records_available()).then(|| Self::new(key, record, view, sender))
        });
        found.await
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// How the record ended, or `None` until then. Not an attribute of the interface: script learns
    /// it from [`Self::response_ready`].
    #[must_use]
    pub fn result(&self) -> Option<RecordResult> {
        self.data.borrow().result
    }

    /// The record's identity.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        self.key
    }

    /// The status of the response, once there is a response that may be exposed.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.data.borrow().exposed_response().map(|head| head.status)
    }

    /// The length of the stored body in bytes. It counts in `downloaded` even if nothing else of
    /// the response may be exposed yet.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.data.borrow().stored
    }

    /// The `responseReady` promise: resolves when the response's head has arrived, without waiting
    /// for its body (D20). With integrity metadata it waits until the whole body is verified, and
    /// nothing of the response is available before that.
    ///
    /// # Errors
    ///
    /// [`RecordError::Aborted`] or [`RecordError::Failed`], when the record ended without a
    /// response that may be exposed, [`RecordError::Store`] when its head cannot be read; also
    /// [`RecordError::Aborted`] when the records are no longer
    /// available or the engine is closed. A response that was returned before keeps its body.
    pub async fn response_ready(&self) -> Result<Response, RecordError> {
        loop {
            if let Some(response) = self.current_response().await? {
                return Ok(response);
            }
        }
    }

    /// The response that is or becomes ready first, or none if another one has replaced it
    /// meanwhile.
    async fn current_response(&self) -> Result<Option<Response>, RecordError> {
        let mut data = self.data.clone();
        // Step 2.9.1, wait for the response. SPEC-ISSUE(7): the spec waits for it "to not be
        // not-null", and waits forever if the record fails without a response.
        // If the records or the engine are gone, there is nothing left to expose.
        if data.wait_for(ResponseData::is_ready).await.is_err() || data.has_changed().is_err() {
            return Err(RecordError::Aborted);
        }
        let now = *data.borrow();
        match (now.exposed_response(), now.result) {
            // Step 2.9.2, it may be exposed.
            (Some(_), _) => {
                let key = BodyKey { record: self.key, generation: now.generation };
                let reader = self.bodies.open_reader(key).map_err(RecordError::Store)?.into();
                let stored = self.inbox.read_head(self.key).await.map_err(RecordError::Store)?;
                let Some((generation, head)) = stored else {
                    return Err(RecordError::Aborted);
                };
                if generation != key.generation {
                    let replaced = |data: &ResponseData| data.generation != key.generation;
                    let replaced = data.wait_for(replaced).await.is_ok();
                    return if replaced { Ok(None) } else { Err(RecordError::Aborted) };
                }
                let mut head = head.filtered();
                head.headers.delete("content-range");
                head.headers.delete("content-length");
                let (bodies, blocking) = (Arc::clone(&self.bodies), self.inbox.blocking().clone());
                let body = Representation { key, data, reader, bodies, blocking };
                Ok(Some(Response { head, body: ResponseBody::new(body) }))
            }
            // Step 2.9.3, it was aborted.
            (_, Some(RecordResult::Failure(FailureReason::Aborted))) => Err(RecordError::Aborted),
            // Step 2.9.4, it failed.
            _ => Err(RecordError::Failed),
        }
    }

    /// Whether a request has the same values as the record's of the headers that its response
    /// varies by, if there is a response that may be exposed.
    pub(crate) async fn matches_vary(&self, query: &Request) -> bool {
        let exposed = self.data.borrow().exposed_response();
        if !exposed.is_some_and(|head| head.varies) {
            return true;
        }
        let vary = match self.inbox.read_head(self.key).await {
            // A `Vary` that scripts may not see must not influence what they find.
            Ok(Some((_, head))) => head.filtered().headers.get("vary"),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "the head of a response could not be read");
                None
            }
        };
        vary.is_none_or(|vary| matches_vary(query, &self.request, &vary))
    }

    /// The stored body of the request, read from its start; `None` if the request has no body.
    /// Reading fails once the fetch is gone.
    #[must_use]
    pub fn request_body(&self) -> Option<BoxStream<'static, io::Result<Bytes>>> {
        let length = self.request.body_length?;
        let (record, bodies) = (self.key, Arc::clone(&self.bodies));
        let blocking = self.inbox.blocking().clone();
        Some(StoredBody { record, length, bodies, blocking }.open())
    }

    /// Moves, links or copies the finished body to `to` (a file path) in one step. See [`Handover`]
    /// for the cost of each, and [`BackgroundFetchRegistration::sync_exports`] for making the file
    /// durable.
    ///
    /// # Errors
    ///
    /// [`RecordError::Failed`] when the record has not succeeded, [`RecordError::Store`] when the
    /// file could not be created. A file that already exists at `to` is not replaced: the store's
    /// error is then a [`StoreError::Io`](crate::StoreError::Io) of the kind
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists).
    pub async fn export(&self, to: &Path, how: Handover) -> Result<(), RecordError> {
        let ResponseData { generation, stored, result, .. } = *self.data.borrow();
        if result != Some(RecordResult::Success) {
            return Err(RecordError::Failed);
        }
        let key = BodyKey { record: self.key, generation };
        export(self.inbox.blocking(), &self.bodies, (key, stored), to, how).await
    }

    /// Whether there is a file of this user at `path` with exactly the bytes of the finished body.
    /// This finds the file of an earlier [`export`](Self::export) whose completion was never
    /// recorded.
    ///
    /// # Errors
    ///
    /// [`RecordError::Failed`] when the record has not succeeded, [`RecordError::Store`] when
    /// either file could not be read.
    pub async fn is_exported_at(&self, path: &Path) -> Result<bool, RecordError> {
        let ResponseData { generation, stored, result, .. } = *self.data.borrow();
        if result != Some(RecordResult::Success) {
            return Err(RecordError::Failed);
        }
        let key = BodyKey { record: self.key, generation };
        let (bodies, path) = (Arc::clone(&self.bodies), path.to_owned());
        let compare = self.inbox.blocking().run(move || {
            let body = bodies.open_reader(key)?;
            let same = same_bytes(&*body, stored, &path)?;
            if same {
                bodies.found_exported(key.record.fetch, &path);
            }
            Ok(same)
        });
        compare.await.map_err(|_| RecordError::Aborted)?.map_err(RecordError::Store)
    }
}

impl fmt::Debug for BackgroundFetchRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundFetchRecord").field("key", &self.key).finish_non_exhaustive()
    }
}
