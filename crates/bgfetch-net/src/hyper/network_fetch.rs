//! [HTTP-network fetch](https://fetch.spec.whatwg.org/#concept-http-network-fetch): sends one
//! message to a server and receives the head of its response, within [`ServerLimits`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::hyper::body::Incoming;
use ::hyper::ext::ReasonPhrase;
use bgfetch_model::attempt::FaultKind;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use http::{HeaderMap, Request, Response, Uri, Version};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpInfo, capture_connection};
use tokio::sync::Notify;
use url::Position;

use super::error;
use super::exchange::Exchange;
use super::framed_body::{FramedBody, check_transfer_codings};
use super::limits::ServerLimits;
use super::pools::{Alone, HttpClient};
use super::upload::{Upload, UploadBody};
use crate::fetch::{TransportRequest, headers};
use crate::fetcher::FetchError;

/// The message that sends `request` with these headers, and the outcome of its upload.
pub(super) fn message(
    request: &TransportRequest,
    headers: &HeaderMap,
) -> Result<(Request<UploadBody>, Upload), FetchError> {
    let uri = Uri::try_from(&request.url[..Position::AfterQuery]).map_err(|_| {
        FetchError::new(FaultKind::Blocked, false, "the URL cannot be sent over HTTP")
    })?;
    let (body, upload) = UploadBody::new(request);
    let mut message = Request::new(body);
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    *message.headers_mut() = headers.clone();
    Ok((message, upload))
}

/// A response whose head was received and whose body is unread.
pub(super) struct Received {
    /// Dropped before the response, whose end frees the connection.
    exchange: Exchanged,
    response: Response<Incoming>,
    alone: Option<Alone>,
}

/// The connection of a request. If it is dropped before the connection may be reused, it never will
/// be.
///
/// While the page may not have the response, further requests on its connection would reveal
/// something about it: they wait for bytes of its body that are on the way, even if nobody reads
/// them, and the server may close the connection after it. So this covers every end of a request:
/// its response is refused, violates a limit or does not arrive, or the fetch is cancelled. Other
/// requests that are already on the connection continue.
pub(super) struct Exchanged {
    connection: CaptureConnection,
    may_be_reused: bool,
}

impl Exchanged {
    /// Notes whether the page may have the response, so that the connection may be reused.
    pub(super) fn judge(mut self, allowed: bool) {
        self.may_be_reused = allowed;
    }
}

impl Drop for Exchanged {
    fn drop(&mut self) {
        if !self.may_be_reused
            && let Some(connection) = &*self.connection.connection_metadata()
        {
            connection.poison();
        }
    }
}

/// Why there is no response.
pub(super) struct NoResponse {
    pub(super) error: FetchError,
    /// Another exchange may get one.
    pub(super) remedy: Option<Exchange>,
}

impl From<FetchError> for NoResponse {
    fn from(error: FetchError) -> Self {
        Self { error, remedy: None }
    }
}

/// Sends `message` and waits for the head of its response. `failed` converts an error of the HTTP
/// library for this message. If the page `needs_approval`, the connection is not used again until
/// the response is [approved](Received::approve).
pub(super) async fn network_fetch(
    client: &HttpClient,
    limits: &ServerLimits,
    mut message: Request<UploadBody>,
    needs_approval: bool,
    failed: impl FnOnce(legacy::Error) -> FetchError,
) -> Result<Received, NoResponse> {
    let connection = capture_connection(&mut message);
    let exchange = Exchanged { connection, may_be_reused: !needs_approval };
    let flooded = count_informational(&mut message, limits.informational);
    let response = tokio::select! {
        biased;
        () = flooded.notified() => {
            return Err(error::protocol("too many informational responses").into());
        }
        response = client.request(message) => response.map_err(|cause| {
            let remedy = error::remedy(&cause);
            let denied = error::local_network_denied(&cause);
            NoResponse { error: denied.map_or_else(|| failed(cause), FetchError::from), remedy }
        })?,
    };
    limits.check_head(&response)?;
    check_transfer_codings(response.headers())?;
    Ok(Received { exchange, response, alone: None })
}

/// Notifies if more than `most` informational responses are received over HTTP/1.1. hyper skips any
/// number of them. It does not report those over HTTP/2; [`super::frames`] counts them there.
fn count_informational(message: &mut Request<UploadBody>, most: usize) -> Arc<Notify> {
    let flooded = Arc::new(Notify::new());
    let (notify, came) = (Arc::clone(&flooded), AtomicUsize::new(0));
    ::hyper::ext::on_informational(message, move |_| {
        if came.fetch_add(1, Ordering::Relaxed) >= most {
            notify.notify_one();
        }
    });
    flooded
}

impl Received {
    /// The status code.
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The reason phrase; HTTP/2 has none. hyper's parser drops a phrase that is not ASCII.
    pub(super) fn status_text(&self) -> String {
        if self.is_multiplexed() {
            return String::new();
        }
        // hyper keeps the phrase only if it is not the standard one.
        match self.response.extensions().get::<ReasonPhrase>() {
            Some(phrase) => headers::isomorphic_decode(phrase.as_bytes()),
            None => self.response.status().canonical_reason().unwrap_or_default().to_owned(),
        }
    }

    /// The headers as received.
    pub(super) fn header_map(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Whether the connection can carry other requests at the same time.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.response.version() == Version::HTTP_2
    }

    /// The address that the connection leads to.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.response.extensions().get().map(|info: &HttpInfo| info.remote_addr().ip())
    }

    /// The connection, the headers, and the body as received, with its content codings. Calls
    /// `http1_required` if the server ends the body because it requires HTTP/1.1.
    pub(super) fn into_parts(
        self,
        http1_required: impl Fn() + Send + Unpin + 'static,
    ) -> (Exchanged, HeaderMap, BoxStream<'static, Result<Bytes, FetchError>>) {
        let (head, incoming) = self.response.into_parts();
        let alone = self.alone;
        let failed = move |cause| {
            // The connection is the request's own as long as the body is read.
            let _alone = &alone;
            if error::requires_http1(&cause) {
                http1_required();
            }
            error::from_body(cause)
        };
        let body = FramedBody::new(incoming, head.version, failed).boxed();
        (self.exchange, head.headers, body)
    }

    /// Notes that the connection is the request's own, until the end of the body.
    pub(super) fn is_alone(&mut self, alone: Option<Alone>) {
        self.alone = alone;
    }

    /// Drops the response unread, and lets no further request use its connection.
    pub(super) fn give_up(mut self) {
        self.exchange.may_be_reused = false;
    }
}
