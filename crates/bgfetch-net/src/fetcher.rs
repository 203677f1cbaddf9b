//! The seam to the network: one plain fetch, tried once.
//!
//! An embedder with a network stack of its own implements [`Fetcher`]; the default is
//! `HyperFetcher` (feature `hyper`). Retries, resumes and their limits are decided by the model,
//! time-outs and back-pressure are the [attempt driver](crate::attempt)'s.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::attempt::{AttemptSpec, Fault, FaultKind, Resume};
use bgfetch_model::ids::StorageKey;
use bgfetch_model::policy::Principal;
use bgfetch_model::request::Request;
use bgfetch_model::response::ResponseHead;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

/// A network stack that can fetch.
pub trait Fetcher: Send + Sync + 'static {
    /// Sends `request` once, follows redirects as its redirect mode says, and resolves when the
    /// final response's head is there.
    ///
    /// Dropping the future or the response's body gives the fetch up and frees its connection.
    fn fetch(&self, request: FetchRequest)
    -> BoxFuture<'static, Result<FetchResponse, FetchError>>;

    /// The network changed under the fetcher: connections that are open may be dead without knowing
    /// it, so fetches that start from now on must not use them. Running ones are left alone.
    fn network_changed(&self) {}
}

/// What to fetch.
#[derive(Clone)]
pub struct FetchRequest {
    /// Whose storage, and so whose cookies, the fetch belongs to.
    pub storage_key: StorageKey,
    /// On whose behalf it is made: which policies hold and what the response may be used for.
    pub principal: Arc<Principal>,
    /// The request as the page made it.
    pub request: Arc<Request>,
    /// Ask only for the missing bytes: the fetcher adds `Range`, `If-Range` and `Accept-Encoding:
    /// identity` below CORS, so that they cause no preflight (ruling 23). Never set where the page
    /// has a `Range` of its own.
    pub resume: Option<Resume>,
    /// Ask for `Accept-Encoding: identity`. The response is decoded all the same where the server
    /// applied a coding.
    pub identity: bool,
    /// The request's body, where it has one.
    pub body: Option<Arc<dyn RequestBody>>,
    /// Where the fetcher tells how much of the body it has sent.
    pub uploaded: UploadProgress,
}

impl FetchRequest {
    /// The request of one attempt.
    #[must_use]
    pub fn new(
        storage_key: StorageKey,
        principal: Arc<Principal>,
        request: Arc<Request>,
        spec: AttemptSpec,
        body: Option<Arc<dyn RequestBody>>,
    ) -> Self {
        Self {
            storage_key,
            principal,
            request,
            resume: spec.resume,
            identity: spec.identity,
            body,
            uploaded: UploadProgress::default(),
        }
    }
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchRequest")
            .field("request", &self.request)
            .field("resume", &self.resume)
            .field("identity", &self.identity)
            .field("body", &self.body.as_ref().map(|body| body.length()))
            .finish_non_exhaustive()
    }
}

/// A request's stored body, which can be read more than once: a 307 or 308 sends it again.
pub trait RequestBody: Send + Sync + 'static {
    /// The length in bytes.
    fn length(&self) -> u64;

    /// Reads the body from its first byte. The stream yields exactly [`length`](Self::length)
    /// bytes, or an error.
    fn open(&self) -> BoxStream<'static, io::Result<Bytes>>;
}

/// Counts the bytes of a request body that went to the network, each byte once.
#[derive(Clone, Debug, Default)]
pub struct UploadProgress(watch::Sender<u64>);

impl UploadProgress {
    /// Notes that the network has taken the first `offset` bytes of the body. A lower offset than
    /// before, as when a redirect sends the body again, counts nothing.
    pub fn advance_to(&self, offset: u64) {
        self.0.send_if_modified(|sent| {
            let further = offset > *sent;
            if further {
                *sent = offset;
            }
            further
        });
    }

    /// How many bytes were taken.
    #[must_use]
    pub fn get(&self) -> u64 {
        *self.0.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// A response whose head is there.
pub struct FetchResponse {
    /// The head, with the whole URL list, all headers but `Set-Cookie`, and the type that decides
    /// what script sees of them. A response that a page may not have is an error instead. Under
    /// redirect mode `manual` a redirect's is that of an
    /// [opaque-redirect filtered response](https://fetch.spec.whatwg.org/#concept-filtered-response-opaque-redirect).
    pub head: ResponseHead,
    /// How long the response asks to wait; see `fetch::retry_after::delay`.
    /// Apart from `head`, because CORS may hide the header.
    pub retry_after: Option<Duration>,
    /// Whether the connection carries other requests at the same time (HTTP/2), so that more of
    /// them cost no more connections.
    pub multiplexed: bool,
    /// The body with its content codings undone. It must not read ahead without bound: a stream
    /// that is not polled stops the sender.
    pub body: BoxStream<'static, Result<Bytes, FetchError>>,
}

impl fmt::Debug for FetchResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchResponse")
            .field("head", &self.head)
            .field("retry_after", &self.retry_after)
            .field("multiplexed", &self.multiplexed)
            .finish_non_exhaustive()
    }
}

/// Why a fetch failed.
#[derive(Debug)]
pub struct FetchError {
    kind: FaultKind,
    sent: bool,
    cause: Box<dyn Error + Send + Sync>,
}

impl FetchError {
    /// An error of class `kind`. `sent` tells whether any byte of the request may have left this
    /// machine; where that is not known it is true, because a request other than `GET` is sent
    /// again only where it is false.
    pub fn new(
        kind: FaultKind,
        sent: bool,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, sent, cause: cause.into() }
    }

    /// The class, from which the model decides whether to try again.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Whether any byte of the request may have left this machine.
    #[must_use]
    pub fn sent(&self) -> bool {
        self.sent
    }
}

/// The causes from the outermost in, each once: many libraries repeat their source's text.
impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.cause.to_string();
        let mut next = self.cause.source();
        while let Some(cause) = next {
            let inner = cause.to_string();
            if !text.contains(&inner) {
                text.push_str(": ");
                text.push_str(&inner);
            }
            next = cause.source();
        }
        f.write_str(&text)
    }
}

impl Error for FetchError {}

impl From<FetchError> for Fault {
    fn from(error: FetchError) -> Self {
        Self { kind: error.kind, sent: error.sent, message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_progress_never_falls_and_wakes_only_for_more() {
        let progress = UploadProgress::default();
        let mut seen = progress.subscribe();
        progress.advance_to(10);
        assert!(seen.has_changed().unwrap());
        assert_eq!(*seen.borrow_and_update(), 10);
        progress.advance_to(4);
        progress.advance_to(10);
        assert!(!seen.has_changed().unwrap());
        assert_eq!(progress.get(), 10);
    }

    #[test]
    fn a_fault_names_each_cause_once() {
        let inner = io::Error::other("the cable was cut");
        let outer = io::Error::other(FetchError::new(FaultKind::Interrupted, true, inner));
        let fault = Fault::from(FetchError::new(FaultKind::Interrupted, true, outer));
        assert_eq!(fault.message, "the cable was cut");
        assert!(fault.sent);
    }
}
