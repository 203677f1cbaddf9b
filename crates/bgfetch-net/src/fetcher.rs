//! The interface to the network: one plain fetch, tried once.
//!
//! An embedder with a network stack of its own implements [`Fetcher`]; the default is
//! `HyperFetcher` (feature `hyper`). The model decides on retries, resumes and their limits; the
//! [attempt driver](crate::attempt) handles timeouts and backpressure.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::attempt::{AttemptSpec, Fault, FaultKind, Resume};
use bgfetch_model::header_list::HeaderList;
use bgfetch_model::ids::StorageKey;
#[cfg(feature = "fetch")]
use bgfetch_model::ip_address_space::LocalNetworkDenied;
use bgfetch_model::policy::Principal;
use bgfetch_model::request::{Destination, Request};
use bgfetch_model::response::ResponseHead;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::watch;

use crate::partition::Partition;
use crate::slot::Slot;

/// A network stack that can fetch.
pub trait Fetcher: Send + Sync + 'static {
    /// Sends `request` once, follows redirects according to its redirect mode, and resolves when
    /// the head of the final response was received.
    ///
    /// Dropping the future or the response's body cancels the fetch and frees its connection.
    ///
    /// # Errors
    /// Why there is no response that the page, or the user, may have. Its
    /// [kind](FetchError::kind), and whether the request may have been
    /// [sent](FetchError::sent), decide whether the model tries again.
    fn fetch(&self, request: FetchRequest)
    -> BoxFuture<'static, Result<FetchResponse, FetchError>>;

    /// Notifies the fetcher that the network has changed. Open connections may be dead without a
    /// sign of it, so fetches that start from now on must not use them. Running fetches are not
    /// affected.
    fn network_changed(&self) {}
}

/// An embedder can share a fetcher between engines, or use it for fetches of its own.
impl<T: Fetcher + ?Sized> Fetcher for Arc<T> {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        (**self).fetch(request)
    }

    fn network_changed(&self) {
        (**self).network_changed();
    }
}

/// What to fetch.
#[derive(Clone)]
#[non_exhaustive]
pub struct FetchRequest {
    /// The storage key that the fetch, and so its cookies, belong to.
    pub storage_key: StorageKey,
    /// On whose behalf it is made, which determines the policies and what the response may be used
    /// for. The user wants the file as the server has it, so the request asks for the identity
    /// coding. If a coding is not decoded for the user, the head has no `Content-Encoding` for it
    /// either.
    pub principal: Arc<Principal>,
    /// The request as the page made it.
    pub request: Arc<Request>,
    /// What the response is for: data for scripts, unless an embedder uses the fetcher to load
    /// scripts itself.
    pub destination: Destination,
    /// Requests only the missing bytes: the fetcher adds `Range`, `If-Range` and `Accept-Encoding:
    /// identity` below CORS, so they cause no preflight (D6). The first two are left out at each URL
    /// of the redirect chain that [`Source::may_continue`] does not allow. Never set if the page has
    /// a `Range` of its own.
    ///
    /// [`Source::may_continue`]: bgfetch_model::source::Source::may_continue
    pub resume: Option<Resume>,
    /// Sends `Accept-Encoding: identity`. If the server applies a coding anyway, the response is
    /// decoded.
    pub identity: bool,
    /// The request's body, if it has one. [`upload`](Self::upload) opens it.
    pub body: Option<Arc<dyn BodySource>>,
    /// How much of the body was sent. [`upload`](Self::upload) counts it; a fetcher that opens the
    /// body itself reports it here. The page can see this from the
    /// start if the request goes to its own origin or is made for the user; otherwise it is
    /// withheld.
    pub uploaded: UploadProgress,
    /// The slot that the fetch holds while it uses the network; set by the attempt driver. Without a
    /// driver, a page has no permission to access the local network.
    pub slot: Slot,
}

bgfetch_model::impl_with!(FetchRequest);

impl FetchRequest {
    /// The request of one attempt.
    #[must_use]
    pub fn new(
        storage_key: StorageKey,
        principal: Arc<Principal>,
        request: Arc<Request>,
        spec: AttemptSpec,
        body: Option<Arc<dyn BodySource>>,
    ) -> Self {
        let uploaded = UploadProgress::default();
        if let Principal::Page(policies) = &*principal
            && !policies.origin.is_same_origin(&request.url)
        {
            uploaded.withhold();
        }
        Self {
            storage_key,
            principal,
            request,
            destination: Destination::default(),
            resume: spec.resume,
            identity: spec.identity,
            body,
            uploaded,
            slot: Slot::default(),
        }
    }

    /// Opens the request's body, if it has one. What is taken from the stream counts as
    /// [uploaded](Self::uploaded).
    ///
    /// # Errors
    /// The stream yields an error if the body cannot be read, or is not as long as it should be. The
    /// fetch then fails as [`FaultKind::Storage`].
    #[must_use]
    pub fn upload(&self) -> Option<BoxStream<'static, io::Result<Bytes>>> {
        Some(counted(&**self.body.as_ref()?, self.uploaded.clone()))
    }

    /// Its network partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::of(&self.principal, &self.storage_key)
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

/// A request's stored body. It can be read more than once, because a 307 or 308 redirect sends it
/// again.
pub trait BodySource: Send + Sync + 'static {
    /// The length in bytes.
    fn length(&self) -> u64;

    /// Reads the body from its first byte. The stream yields exactly [`length`](Self::length)
    /// bytes, or an error.
    fn open(&self) -> BoxStream<'static, io::Result<Bytes>>;
}

/// Opens `body`, and counts in `progress` what is taken from the stream. It fails if the body has
/// more or fewer bytes than its length says.
pub(crate) fn counted(
    body: &dyn BodySource,
    progress: UploadProgress,
) -> BoxStream<'static, io::Result<Bytes>> {
    let (length, start) = (body.length(), (body.open(), 0));
    stream::try_unfold(start, move |(mut body, taken)| {
        let progress = progress.clone();
        async move {
            let Some(bytes) = body.try_next().await? else {
                let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "it is too short");
                return if taken == length { Ok(None) } else { Err(short()) };
            };
            let taken = taken + bytes.len() as u64;
            if taken > length {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
            }
            progress.advance_to(taken);
            Ok(Some((bytes, (body, taken))))
        }
    })
    .boxed()
}

/// Counts the bytes of a request body that were sent, each byte once, and determines whether the
/// page may see the count.
///
/// How much of an upload a cross-origin server takes before it answers or closes the connection
/// would tell a page something about that server without its consent. So the count of a page's
/// request to another origin is withheld until the server has approved, by a CORS-preflight or by a
/// response that passed the CORS check (D40). Fetch's own upload events [come with a
/// preflight](https://xhr.spec.whatwg.org/#upload-listener-flag) for the same reason. A count that
/// is still withheld at the end is never shown: `uploaded` stays as it was.
///
/// A new [`FetchRequest`] contains one in the right initial state. A fetcher calls
/// [`withhold`](Self::withhold) before it follows a redirect to an origin other than the page's,
/// and may call [`approve`](Self::approve) after a successful preflight. A response that it returns
/// is itself an approval.
#[derive(Clone, Debug, Default)]
pub struct UploadProgress(watch::Sender<Uploaded>);

/// How much of a request's body was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uploaded {
    pub(crate) taken: u64,
    /// How much of that the page may see.
    pub(crate) shown: u64,
    withheld: bool,
}

impl UploadProgress {
    /// Notes that the network has taken the first `offset` bytes of the body. A lower offset than
    /// before, as when a redirect sends the body again, is ignored.
    pub fn advance_to(&self, offset: u64) {
        self.0.send_if_modified(|uploaded| {
            let further = offset > uploaded.taken;
            if further {
                uploaded.taken = offset;
            }
            uploaded.show();
            further
        });
    }

    /// Withholds from the page what is counted from now on.
    pub fn withhold(&self) {
        self.0.send_if_modified(|uploaded| {
            uploaded.withheld = true;
            false
        });
    }

    /// Shows the page everything that was counted, and what is counted from now on.
    pub fn approve(&self) {
        self.0.send_if_modified(|uploaded| {
            uploaded.withheld = false;
            uploaded.show()
        });
    }

    /// How many bytes were sent, visible to the page or not.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.borrow().taken
    }

    /// How many of them the page may see.
    #[must_use]
    pub fn shown(&self) -> u64 {
        self.0.borrow().shown
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Uploaded> {
        self.0.subscribe()
    }
}

impl Uploaded {
    /// Updates the visible count. Returns whether it changed.
    fn show(&mut self) -> bool {
        let more = !self.withheld && self.shown < self.taken;
        if more {
            self.shown = self.taken;
        }
        more
    }
}

/// A response whose head was received.
#[non_exhaustive]
pub struct FetchResponse {
    /// The head, with the whole URL list, all headers except `Set-Cookie`, and the type that
    /// determines which of them scripts can see. A response that a page may not read is an error
    /// instead. In redirect mode `manual`, the head of a redirect is that of an [opaque-redirect
    /// filtered
    /// response](https://fetch.spec.whatwg.org/#concept-filtered-response-opaque-redirect).
    pub head: ResponseHead,
    /// The headers of the request to the last URL as it was sent, with `Cookie` and
    /// `Authorization`, or `None` if unknown. The engine stores keyed hashes of those that may have
    /// selected the representation, so that it does not join bytes of two users. If they are
    /// unknown, a download whose `Vary` names credentials is never resumed.
    pub request_headers: Option<HeaderList>,
    /// How long the response asks to wait; see `fetch::retry_after::delay`. Separate from `head`,
    /// because CORS may hide the header.
    pub retry_after: Option<Duration>,
    /// Whether the connection can carry other requests at the same time (HTTP/2), so that more
    /// requests need no more connections.
    pub multiplexed: bool,
    /// The address that the response came from, if it is known: the address space of a page that is
    /// loaded with this fetcher.
    pub address: Option<IpAddr>,
    /// The body with its content codings decoded; but see [`FetchRequest::principal`]. It must not
    /// read ahead without bound: if the stream is not polled, the sender has to wait.
    pub body: BoxStream<'static, Result<Bytes, FetchError>>,
}

bgfetch_model::impl_with!(FetchResponse);

impl FetchResponse {
    /// A response of which nothing else is known.
    #[must_use]
    pub fn new(head: ResponseHead, body: BoxStream<'static, Result<Bytes, FetchError>>) -> Self {
        Self {
            head,
            request_headers: None,
            retry_after: None,
            multiplexed: false,
            address: None,
            body,
        }
    }
}

impl fmt::Debug for FetchResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchResponse")
            .field("head", &self.head)
            .field("retry_after", &self.retry_after)
            .field("multiplexed", &self.multiplexed)
            .field("address", &self.address)
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
    /// An error of class `kind`. `sent` is whether the server may have acted on the request: some
    /// byte of it may have left this machine, and nothing says that the server processed none of
    /// it. If unknown, pass true, because a request other than `GET` is only sent again if `sent`
    /// is false.
    pub fn new(
        kind: FaultKind,
        sent: bool,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, sent, cause: cause.into() }
    }

    /// The class, by which the model decides whether to retry.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Whether the server may have acted on the request.
    #[must_use]
    pub fn sent(&self) -> bool {
        self.sent
    }

    /// The same error after earlier requests of the fetch. `sent` is whether there were any.
    #[cfg(feature = "fetch")]
    pub(crate) fn after(self, sent: bool) -> Self {
        Self { sent: self.sent || sent, ..self }
    }

    /// The same error as that of a message that only comes before the request.
    #[cfg(feature = "fetch")]
    pub(crate) fn before_request(self, sent: bool) -> Self {
        Self { sent, ..self }
    }

    /// The space of the server's address, if the request may not be sent to it.
    #[cfg(feature = "fetch")]
    pub(crate) fn local_network_denied(&self) -> Option<LocalNetworkDenied> {
        self.cause.downcast_ref().copied()
    }
}

/// The causes from the outermost to the innermost, each once: many libraries repeat the text of
/// their source.
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
        assert_eq!(seen.borrow_and_update().shown, 10);
        progress.advance_to(4);
        progress.advance_to(10);
        progress.approve();
        assert!(!seen.has_changed().unwrap());
        assert_eq!((progress.get(), progress.shown()), (10, 10));
    }

    #[test]
    fn what_is_withheld_is_counted_and_shown_only_once_approved() {
        let progress = UploadProgress::default();
        let mut seen = progress.subscribe();
        progress.advance_to(3);
        progress.withhold();
        progress.advance_to(10);
        // Counting continues, because it is a sign of life.
        assert!(seen.has_changed().unwrap());
        let uploaded = *seen.borrow_and_update();
        assert_eq!((uploaded.taken, uploaded.shown), (10, 3));
        progress.approve();
        assert!(seen.has_changed().unwrap());
        progress.advance_to(12);
        assert_eq!((progress.get(), progress.shown()), (12, 12));
    }

    #[test]
    fn progress_starts_withheld_for_a_page_and_another_origin_alone() {
        use bgfetch_model::policy::PolicySnapshot;

        let page = PolicySnapshot::of(&"https://page.test/app".parse().unwrap());
        let page = Arc::new(Principal::Page(page));
        let user = Arc::new(Principal::User);
        for (principal, url, shown) in [
            (&user, "https://other.test/", 5),
            (&page, "https://page.test/upload", 5),
            (&page, "https://page.test:444/", 0),
            (&page, "http://page.test/", 0),
            (&page, "https://other.test/", 0),
        ] {
            let request = Arc::new(Request::get(url.parse().unwrap()));
            let key = StorageKey("page".into());
            let spec = AttemptSpec::default();
            let fetch = FetchRequest::new(key, Arc::clone(principal), request, spec, None);
            fetch.uploaded.advance_to(5);
            assert_eq!(fetch.uploaded.shown(), shown, "{url}");
        }
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
