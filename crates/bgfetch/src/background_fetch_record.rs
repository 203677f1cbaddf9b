//! [BackgroundFetchRecord](https://wicg.github.io/background-fetch/#background-fetch-record-interface)
//! and [create record objects](https://wicg.github.io/background-fetch/#create-settled-fetches-algorithm).

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bgfetch_model::background_fetch_registration::match_all::matches_vary;
use bgfetch_model::error::DomException;
use bgfetch_model::ids::{BodyKey, RecordKey};
use bgfetch_model::request::Request;
use bgfetch_model::response::{FailureReason, RecordResult, ResponseData, ResponseHead};
use bgfetch_net::fetcher::BodySource as _;
use bgfetch_store::{Bodies, BodyReader, Handover, StoreError, open_own_file};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream};
use tokio::sync::watch;

use crate::blocking::Blocking;
use crate::inbox::Inbox;
use crate::request_bodies::StoredBody;

/// The largest piece of a response's body that is returned at once, in bytes.
const CHUNK: u64 = 256 << 10;

/// A record as script sees it. It can be matched before anything has arrived.
#[derive(Clone)]
pub struct BackgroundFetchRecord {
    pub(crate) key: RecordKey,
    pub(crate) request: Arc<Request>,
    pub(crate) data: watch::Receiver<ResponseData>,
    pub(crate) bodies: Arc<dyn Bodies>,
    pub(crate) inbox: Inbox,
}

/// Why a record has no response, or why its body was cut short.
#[derive(Debug)]
pub enum RecordError {
    /// The fetch was aborted, or the record is gone: an `AbortError`.
    Aborted,
    /// The record failed, or its bytes were replaced by those of another representation: a
    /// `TypeError`.
    Failed,
    /// The stored bytes could not be read: script gets an `AbortError`.
    Store(StoreError),
}

impl RecordError {
    /// The exception that script gets.
    #[must_use]
    pub const fn dom_exception(&self) -> DomException {
        match self {
            Self::Failed => DomException::TypeError,
            Self::Aborted | Self::Store(_) => DomException::AbortError,
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("the background fetch was aborted"),
            Self::Failed => f.write_str("the record could not be fetched"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecordError {}

/// A response and its body, which may still be arriving.
#[derive(Debug)]
pub struct Response {
    /// The head as script may see it (Fetch's [filtered
    /// response](https://fetch.spec.whatwg.org/#concept-filtered-response)), without the headers
    /// that would contradict the stored body.
    pub head: ResponseHead,
    /// The body.
    pub body: ResponseBody,
}

impl BackgroundFetchRecord {
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
                let reader = self.bodies.open_reader(key).map_err(RecordError::Store)?;
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
                Ok(Some(Response { head, body: self.body(reader.into(), data, key) }))
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
    /// for the cost of each, and [`sync_exports`](Self::sync_exports) for making the file durable.
    ///
    /// # Errors
    ///
    /// [`RecordError::Failed`] when the record has not succeeded, [`RecordError::Store`] when the
    /// file could not be created. A file that already exists at `to` is not replaced: the store's
    /// error is then a [`StoreError::Io`] of the kind
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

    /// Syncs everything that was exported of this record's fetch, or was found to be exported
    /// already, so that it survives a power loss. Costs one sync per folder. Call it once all
    /// records are exported, before reporting them as saved. Without this call, the end of the
    /// event's delivery does it.
    ///
    /// # Errors
    ///
    /// [`RecordError::Store`]: a power loss may lose what was exported.
    pub async fn sync_exports(&self) -> Result<(), RecordError> {
        let (bodies, fetch) = (Arc::clone(&self.bodies), self.key.fetch);
        let sync = self.inbox.blocking().run(move || bodies.sync_exports(fetch));
        sync.await.map_err(|_| RecordError::Aborted)?.map_err(RecordError::Store)
    }

    fn body(
        &self,
        reader: Arc<dyn BodyReader>,
        data: watch::Receiver<ResponseData>,
        key: BodyKey,
    ) -> ResponseBody {
        let (blocking, bodies) = (self.inbox.blocking().clone(), Arc::clone(&self.bodies));
        let stored = Stored { bodies, data: data.clone(), key, blocking: blocking.clone() };
        let source = Source { reader, data, key, offset: 0, blocking };
        ResponseBody { stored, state: State::Idle(source) }
    }
}

async fn export(
    blocking: &Blocking,
    bodies: &Arc<dyn Bodies>,
    (key, length): (BodyKey, u64),
    to: &Path,
    how: Handover,
) -> Result<(), RecordError> {
    let (bodies, to) = (Arc::clone(bodies), to.to_owned());
    let export = blocking.run(move || bodies.export(key, length, &to, how));
    export.await.map_err(|_| RecordError::Aborted)?.map_err(RecordError::Store)
}

/// Whether the file at `path` has exactly the first `length` bytes of `body`.
fn same_bytes(body: &dyn BodyReader, length: u64, path: &Path) -> Result<bool, StoreError> {
    let failed = |error| StoreError::io(path, error);
    // Another user could have made a file with these bytes, and change it later.
    let mut file = match open_own_file(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().map_err(failed)?.len() != length {
        return Ok(false);
    }
    let mut stored = vec![0; CHUNK as usize];
    let mut found = stored.clone();
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).unwrap_or(usize::MAX).min(stored.len());
        let read = body.read_at(offset, stored.get_mut(..wanted).unwrap_or_default())?;
        let (Some(stored), Some(found)) = (stored.get(..read), found.get_mut(..read)) else {
            return Ok(false);
        };
        match io::Read::read_exact(&mut file, found) {
            // The body file became shorter in the meantime.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read.map_err(failed)?,
        }
        if read == 0 || stored != found {
            return Ok(false);
        }
        offset += read as u64;
    }
    Ok(true)
}

impl fmt::Debug for BackgroundFetchRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundFetchRecord").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A response's body as a stream: first the stored bytes, then those that arrive. It reads only
/// when it is polled, and can still be read long after the fetch is gone.
pub struct ResponseBody {
    stored: Stored,
    state: State,
}

/// Where the whole body is stored, regardless of how much the stream has read.
struct Stored {
    bodies: Arc<dyn Bodies>,
    data: watch::Receiver<ResponseData>,
    key: BodyKey,
    blocking: Blocking,
}

enum State {
    Idle(Source),
    Reading(BoxFuture<'static, (Source, Option<Result<Bytes, RecordError>>)>),
    Ended,
}

struct Source {
    reader: Arc<dyn BodyReader>,
    data: watch::Receiver<ResponseData>,
    key: BodyKey,
    /// The spec's transmitted bytes.
    offset: u64,
    blocking: Blocking,
}

impl ResponseBody {
    /// Reads the rest of the body, once the record has ended.
    ///
    /// # Errors
    ///
    /// The first error of the stream.
    pub async fn bytes(mut self) -> Result<Vec<u8>, RecordError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }

    /// Waits until the download has ended and exports the whole body to `to`, regardless of how
    /// much was read: see [`BackgroundFetchRecord::export`].
    ///
    /// # Errors
    ///
    /// The errors of reading the body to its end; also [`RecordError::Aborted`] when the records
    /// are no longer available. Reading may still succeed then.
    pub async fn export(&self, to: &Path, how: Handover) -> Result<(), RecordError> {
        let Stored { bodies, data, key, blocking } = &self.stored;
        let mut data = data.clone();
        let ended =
            |data: &ResponseData| data.generation != key.generation || data.result.is_some();
        let now = *data.wait_for(ended).await.map_err(|_| RecordError::Aborted)?;
        // Once the record is gone, its file is deleted or soon will be.
        if data.has_changed().is_err() {
            return Err(RecordError::Aborted);
        }
        let exposed = now.result.is_some_and(RecordResult::exposes_response);
        if now.generation != key.generation || !exposed {
            return Err(RecordError::Failed);
        }
        export(blocking, bodies, (*key, now.stored), to, how).await
    }

    /// The next bytes. Waits for them while the download is running; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, RecordError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes, RecordError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let State::Idle(_) = self.state
            && let State::Idle(source) = std::mem::replace(&mut self.state, State::Ended)
        {
            self.state = State::Reading(Box::pin(source.pull()));
        }
        let State::Reading(reading) = &mut self.state else {
            return Poll::Ready(None);
        };
        let (source, item) = ready!(reading.as_mut().poll(cx));
        self.state = match item {
            Some(Ok(_)) => State::Idle(source),
            _ => State::Ended,
        };
        Poll::Ready(item)
    }
}

impl Source {
    /// The pull action of the spec's stream.
    async fn pull(mut self) -> (Self, Option<Result<Bytes, RecordError>>) {
        let item = self.next().await;
        (self, item)
    }

    async fn next(&mut self) -> Option<Result<Bytes, RecordError>> {
        // Step 2.8.1, wait for more bytes or the end.
        let (offset, generation) = (self.offset, self.key.generation);
        let moved = |data: &ResponseData| {
            data.generation != generation || data.stored > offset || data.result.is_some()
        };
        let closed = self.data.wait_for(moved).await.is_err();
        let data = *self.data.borrow();
        // The bytes belong to a response that became redundant.
        if data.generation != generation {
            return Some(Err(RecordError::Failed));
        }
        // Step 2.8.3, a slice of what is stored, where it may be exposed.
        if data.is_exposed() && data.stored > offset {
            return Some(self.read((data.stored - offset).min(CHUNK)).await);
        }
        // Step 2.8.4, the end.
        match data.result {
            Some(result) if result.exposes_response() => None,
            Some(RecordResult::Failure(FailureReason::Aborted)) => Some(Err(RecordError::Aborted)),
            None if closed => Some(Err(RecordError::Aborted)),
            _ => Some(Err(RecordError::Failed)),
        }
    }

    async fn read(&mut self, length: u64) -> Result<Bytes, RecordError> {
        let (reader, offset) = (Arc::clone(&self.reader), self.offset);
        let read = self.blocking.run(move || {
            let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            let read = reader.read_at(offset, &mut buffer)?;
            buffer.truncate(read);
            Ok(buffer)
        });
        let bytes = read.await.map_err(|_| RecordError::Aborted)?.map_err(RecordError::Store)?;
        if bytes.is_empty() {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(RecordError::Store(StoreError::io("a stored body", error)));
        }
        self.offset += bytes.len() as u64;
        Ok(bytes.into())
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
