//! The interface below the checks of the Fetch standard: one message out, one response back.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bgfetch_model::ip_address_space::LocalNetworkDenied;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{HeaderMap, Method};
use url::Url;

use super::local_network_access::Reach;
use super::own_format;
use crate::fetcher::{BodySource, FetchError, UploadProgress, counted};
use crate::partition::Partition;
use crate::slot::Slot;

/// A network stack that sends one HTTP message and receives the response, without any rule of the
/// web platform. [`WithWebChecks`](super::WithWebChecks) makes a
/// [`Fetcher`](crate::fetcher::Fetcher) of it.
///
/// It follows no redirects, adds no cookies, uses no HTTP cache, and never prompts.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` and resolves when the head of the response was received; informational (1xx)
    /// responses are skipped. Dropping the future or the response's body cancels the request.
    ///
    /// A request is sent once. It may be sent again on another connection if the server said below
    /// HTTP that it did not process it, and a `GET` whose page needs no approval also after a 421.
    ///
    /// # Errors
    /// Why there is no response. `FetchError::from(LocalNetworkDenied)` says that the server's
    /// address is out of [`reach`](TransportRequest::reach) and nothing was sent to it: the user is
    /// asked, and if they allow it, the request comes again with that space in reach.
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, FetchError>>;

    /// See [`Fetcher::network_changed`](crate::fetcher::Fetcher::network_changed).
    fn network_changed(&self) {}
}

/// One message to a server.
#[derive(Clone)]
#[non_exhaustive]
pub struct TransportRequest {
    /// Connections, TLS sessions and all other state that a server or a page could notice are
    /// shared within this partition only.
    pub partition: Partition,
    /// The method.
    pub method: Method,
    /// The URL: `http` or `https`, without credentials. Its fragment is not sent.
    pub url: Url,
    /// The headers, complete except for those of the connection and the framing (`Host`,
    /// `Content-Length` of a body, `Transfer-Encoding`) and [`Accept-Encoding`](Self::accepts_codings).
    pub headers: HeaderMap,
    /// The body, if the message has one. Its length is known. [`upload`](Self::upload) opens it.
    pub body: Option<Arc<dyn BodySource>>,
    /// How much of the body was sent. [`upload`](Self::upload) counts it; a transport that opens the
    /// body itself reports it here.
    pub uploaded: UploadProgress,
    /// Whether the request includes credentials. Those without use no client certificate, and share
    /// no connection with those that include them.
    pub credentials: bool,
    /// The address spaces that the connection may lead to. Addresses are checked before they are
    /// connected to, and a pooled connection is only used by requests that could have opened it. A
    /// transport that cannot do that says so ([`TransportResponse::unchecked`]) and reports
    /// [`TransportResponse::address`], which is checked before the response is used.
    pub reach: Reach,
    /// Whether the page needs the server's approval to learn anything of the response.
    /// Until it [has](TransportResponse::judged) that, nothing else that the page can notice may
    /// depend on the response: no other request uses its connection, and none is repeated.
    pub needs_approval: bool,
    /// Whether the response's body may have content codings. Then the transport adds an
    /// `Accept-Encoding` with the codings that it undoes, or with `identity`. Otherwise, `headers`
    /// are complete.
    pub accepts_codings: bool,
    /// The slot that the request uses. A transport that looks up names does it in
    /// [`Slot::look_up`], and waits for memory in [`Slot::memory`].
    pub slot: Slot,
    /// The URLs of the redirect chain, if the response is a file for the user.
    pub(crate) file: Option<Arc<[Url]>>,
}

bgfetch_model::impl_with!(TransportRequest);

impl TransportRequest {
    /// A `GET` of the user without headers, to try out a transport.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            partition: Partition::User,
            method: Method::GET,
            file: Some(Arc::new([url.clone()])),
            url,
            headers: HeaderMap::new(),
            body: None,
            uploaded: UploadProgress::default(),
            credentials: true,
            reach: Reach::ALL,
            needs_approval: false,
            accepts_codings: false,
            slot: Slot::default(),
        }
    }

    /// Opens the body, if there is one. What is taken from the stream counts as
    /// [uploaded](Self::uploaded).
    ///
    /// # Errors
    /// The stream yields an error if the body cannot be read, or is not as long as it should be. The
    /// request then fails as [`FaultKind::Storage`].
    ///
    /// [`FaultKind::Storage`]: bgfetch_model::attempt::FaultKind::Storage
    #[must_use]
    pub fn upload(&self) -> Option<BoxStream<'static, io::Result<Bytes>>> {
        Some(counted(&**self.body.as_ref()?, self.uploaded.clone()))
    }

    /// Whether a response with this `Content-Type` is a file for the user whose own format is the
    /// content coding of this name, such as `gzip` for `x.tar.gz`. If it is the first coding of the
    /// response, it is not undone.
    #[must_use]
    pub fn keeps_coding(&self, coding: &str, content_type: Option<&str>) -> bool {
        let urls = self.file.iter().flat_map(|urls| urls.iter());
        urls.into_iter().any(|url| own_format::is_own(coding, url, content_type))
    }
}

/// A response whose head was received.
#[non_exhaustive]
pub struct TransportResponse {
    /// Called with whether the page may have the response, before its body is used or dropped. If
    /// it is dropped without a call, the fetch was cancelled.
    ///
    /// If the page may not have a response that [needs
    /// approval](TransportRequest::needs_approval), no further request may use its connection: it
    /// would take as long as the rest of the body.
    pub judged: Option<Box<dyn FnOnce(bool) + Send>>,
    /// The status code.
    pub status: u16,
    /// The reason phrase, isomorphically decoded; empty over HTTP/2 and by default.
    pub status_text: String,
    /// The headers as received, with `Set-Cookie` and the `Content-Encoding` that was undone.
    pub headers: HeaderMap,
    /// The body. It must not read ahead without bound, and ends as its framing says or with an
    /// error. Or why it cannot be read at all, which the page learns only if it may have the
    /// response.
    pub body: Result<BoxStream<'static, Result<Bytes, FetchError>>, FetchError>,
    /// Whether content codings of the body are undone; false by default. If not, the response of a
    /// download of the user loses its `Content-Encoding`, because the file keeps its coding.
    pub decoded: bool,
    /// The headers of the request as sent, if the transport added some that may select the
    /// representation, such as `Accept-Encoding`; none by default.
    pub request_headers: Option<HeaderMap>,
    /// The address that the response came from; by default, it is not known. Behind a proxy, it is
    /// not that of the proxy.
    pub address: Option<IpAddr>,
    /// Whether nobody has checked the address against [`reach`](TransportRequest::reach); false by
    /// default. Then one that is not known is taken for this machine's.
    pub unchecked: bool,
    /// Whether the connection can carry other requests at the same time; false by default.
    pub multiplexed: bool,
}

bgfetch_model::impl_with!(TransportResponse);

impl TransportResponse {
    /// A response with the defaults of all other fields.
    #[must_use]
    pub fn new(
        status: u16,
        headers: HeaderMap,
        body: BoxStream<'static, Result<Bytes, FetchError>>,
    ) -> Self {
        Self {
            judged: None,
            status,
            status_text: String::new(),
            headers,
            body: Ok(body),
            decoded: false,
            request_headers: None,
            address: None,
            unchecked: false,
            multiplexed: false,
        }
    }

    /// Tells the transport whether the page may have the response.
    pub(crate) fn judge(&mut self, allowed: bool) {
        if let Some(judged) = self.judged.take() {
            judged(allowed);
        }
    }
}

impl From<LocalNetworkDenied> for FetchError {
    fn from(denied: LocalNetworkDenied) -> Self {
        super::http_fetch::blocked(false, denied)
    }
}
