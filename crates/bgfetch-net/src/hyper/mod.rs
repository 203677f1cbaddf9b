//! The default [`Fetcher`]: hyper over rustls, HTTP/1.1 with keep-alive and HTTP/2 by ALPN.
//!
//! The fetch loop in this file is Fetch's
//! [HTTP fetch](https://fetch.spec.whatwg.org/#http-fetch) without a page behind it. Every check
//! is a pure function in a file named after it, called at its place in the loop; checks that act
//! for a page belong there too: what needs only the URL beside [`target::check`], what needs the
//! response's head before [`redirect::next`], so that no byte counts before it.

mod connect;
mod decode;
mod error;
mod headers;
mod upload;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::hyper::body::Incoming;
use bgfetch_model::response::{ResponseHead, ResponseType};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::{Response, Version};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::RwLock;
use rustls::ClientConfig;
use url::Url;

use self::connect::Connector;
pub use self::connect::{Resolve, SystemResolver};
use self::upload::UploadBody;
use crate::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};
use crate::redirect::{self, Hop, Next};
use crate::{retry_after, target};

type HttpClient = Client<Connector, UploadBody>;

/// Idle connections are closed after this time: servers commonly wait a little longer, so that a
/// request rarely meets a connection the server is about to close.
const IDLE: Duration = Duration::from_secs(50);

/// The largest response head that is accepted, and the largest read from a socket.
const MAX_HEAD: usize = 256 << 10;

/// The most headers a response may have.
const MAX_HEADERS: usize = 256;

/// How much an HTTP/2 server may send ahead on one stream and on one connection. Large enough for
/// fast links with a long way (2 MiB every 20 ms is 100 MB/s), small enough for bounded memory.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// An HTTP/2 connection with streams on it that is silent for this long is asked for a sign of
/// life, and given up when none comes for as long again: before its streams' stall time-out, so
/// that a retry does not meet the dead connection again.
const PING: Duration = Duration::from_secs(12);

/// The default network stack. Cheap to share behind an [`Arc`]; all fetches share its connections.
pub struct HyperFetcher {
    connector: Connector,
    client: RwLock<HttpClient>,
    user_agent: Arc<str>,
}

/// Configures a [`HyperFetcher`].
pub struct HyperFetcherBuilder {
    tls: Option<ClientConfig>,
    resolver: Arc<dyn Resolve>,
    connect_timeout: Duration,
    user_agent: String,
}

impl HyperFetcherBuilder {
    /// Uses this TLS configuration: other roots, client certificates, a verifier. Its ALPN
    /// protocols are replaced. By default the system's root certificates are trusted.
    #[must_use]
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Looks host names up with `resolver`; [`SystemResolver`] by default.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// How long name look-up, TCP and TLS handshake may take together; 30 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The `User-Agent` of requests that have none; `bgfetch/VERSION` by default.
    #[must_use]
    pub fn user_agent(mut self, value: impl Into<String>) -> Self {
        self.user_agent = value.into();
        self
    }

    /// Builds the fetcher. It opens no connection yet, and needs no runtime until it fetches.
    ///
    /// # Errors
    /// The TLS library does not work with its own defaults; not with [`tls`](Self::tls).
    pub fn build(self) -> Result<HyperFetcher, rustls::Error> {
        let tls = match self.tls {
            Some(config) => config,
            None => connect::default_tls()?,
        };
        let connector = Connector::new(tls, self.resolver, self.connect_timeout);
        Ok(HyperFetcher {
            client: RwLock::new(client(connector.clone())),
            connector,
            user_agent: self.user_agent.into(),
        })
    }
}

impl HyperFetcher {
    /// Starts from the defaults.
    #[must_use]
    pub fn builder() -> HyperFetcherBuilder {
        HyperFetcherBuilder {
            tls: None,
            resolver: Arc::new(SystemResolver),
            connect_timeout: Duration::from_secs(30),
            user_agent: concat!("bgfetch/", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// A fetcher with all defaults.
    ///
    /// # Errors
    /// As [`HyperFetcherBuilder::build`].
    pub fn new() -> Result<Self, rustls::Error> {
        Self::builder().build()
    }
}

impl Fetcher for HyperFetcher {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        let client = self.client.read().clone();
        Box::pin(http_fetch(client, Arc::clone(&self.user_agent), request))
    }

    /// Forgets the pool. Fetches that run keep their connections until they end.
    fn network_changed(&self) {
        *self.client.write() = client(self.connector.clone());
    }
}

fn client(connector: Connector) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(MAX_HEAD)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEAD as u32)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        // The retry repeats only requests that hyper handed back unwritten from a pooled connection
        // that had just closed, so nothing is ever sent twice.
        .retry_canceled_requests(true)
        .build(connector)
}

async fn http_fetch(
    client: HttpClient,
    user_agent: Arc<str>,
    request: FetchRequest,
) -> Result<FetchResponse, FetchError> {
    let mut hop = Hop::first(&request.request);
    let mut url_list: Vec<Url> = Vec::new();
    loop {
        let sent = !url_list.is_empty();
        target::check(&hop.url).map_err(|cause| error::permanent(sent, cause))?;
        let (message, upload) = headers::request(&hop, &request, &user_agent)
            .map_err(|cause| error::permanent(sent, cause))?;
        let response = client
            .request(message)
            .await
            .map_err(|cause| upload.failure().unwrap_or_else(|| error::from_client(cause, sent)))?;
        let followed = url_list.len();
        url_list.push(hop.url.clone());

        let location = headers::location(response.headers());
        let mode = request.request.redirect;
        let status = response.status().as_u16();
        match redirect::next(&hop, mode, followed, status, location.as_deref())
            .map_err(|cause| error::permanent(true, cause))?
        {
            Next::Response => return to_response(response, url_list),
            Next::OpaqueRedirect => return Ok(opaque_redirect(&response, url_list)),
            Next::Follow(next) => hop = next,
        }
    }
}

fn to_response(
    response: Response<Incoming>,
    url_list: Vec<Url>,
) -> Result<FetchResponse, FetchError> {
    let (parts, body) = response.into_parts();
    let codings = decode::codings(&parts.headers)?;
    let head = ResponseHead {
        status: parts.status.as_u16(),
        headers: headers::to_list(&parts.headers),
        url_list,
        response_type: ResponseType::Default,
    };
    Ok(FetchResponse {
        retry_after: retry_after::delay(&head.headers, SystemTime::now()),
        multiplexed: is_multiplexed(parts.version),
        body: decode::decode(body_stream(body), codings),
        head,
    })
}

fn opaque_redirect(response: &Response<Incoming>, url_list: Vec<Url>) -> FetchResponse {
    FetchResponse {
        head: ResponseHead {
            status: 0,
            headers: bgfetch_model::header_list::HeaderList::default(),
            url_list,
            response_type: ResponseType::OpaqueRedirect,
        },
        retry_after: None,
        multiplexed: is_multiplexed(response.version()),
        body: stream::empty().boxed(),
    }
}

fn body_stream(body: Incoming) -> BoxStream<'static, Result<Bytes, FetchError>> {
    body.into_data_stream().map_err(error::from_body).boxed()
}

fn is_multiplexed(version: Version) -> bool {
    version == Version::HTTP_2
}
