//! The default [`Fetcher`]: hyper over rustls, HTTP/1.1 with keep-alive and HTTP/2 by ALPN.
//!
//! What the [Fetch](crate::fetch) standard checks and adds is decided there; here its requests are
//! sent. `http_fetch.rs` has the loop over preflights and redirects, `network_fetch.rs` sends one
//! message, within the limits of `limits.rs`.

mod causes;
mod coding;
mod connect;
mod decode;
mod error;
mod exchange;
mod framed_body;
mod frames;
mod framing_lines;
mod headers;
mod http_fetch;
mod limits;
mod lookups;
mod members;
mod network_fetch;
mod partition;
mod pools;
mod resolve;
mod tls_error;
mod upload;
mod watched;
mod words;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rustls::ClientConfig;

use self::http_fetch::Network;
pub use self::limits::ServerLimits;
use self::lookups::Lookups;
use self::pools::Pools;
pub use self::resolve::{Resolve, SystemResolver};
use crate::fetch::cookies::CookieStore;
use crate::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};

/// The default network stack. Cheap to share behind an [`Arc`].
///
/// Connections and TLS sessions are shared by the fetches of one storage key whose credentials are
/// alike included or not, and by those of the user; never between these.
pub struct HyperFetcher(Arc<Network>);

/// Configures a [`HyperFetcher`].
pub struct HyperFetcherBuilder {
    tls: Option<ClientConfig>,
    resolver: Arc<dyn Resolve>,
    connect_limit: Duration,
    cookies: Option<Arc<dyn CookieStore>>,
    user_agent: String,
    limits: ServerLimits,
}

impl HyperFetcherBuilder {
    /// Uses this TLS configuration: other roots, client certificates, a verifier. By default the
    /// system's root certificates are trusted and there is no client certificate.
    ///
    /// A client certificate is a credential, so requests without credentials do not show it. The
    /// configuration's ALPN protocols are replaced, and its session storage too: each network
    /// partition has one of its own.
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

    /// How long the name look-up may take, and then TCP and TLS handshake together; 30 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_limit = limit;
        self
    }

    /// Keeps cookies in `store`. By default there are none, neither sent nor kept: whose cookies a
    /// fetch may use is the embedder's to say, and a jar of the fetcher's own would know nothing of
    /// those that its pages have.
    #[must_use]
    pub fn cookies(mut self, store: impl CookieStore) -> Self {
        self.cookies = Some(Arc::new(store));
        self
    }

    /// The `User-Agent` of requests that have none; `bgfetch/VERSION` by default.
    #[must_use]
    pub fn user_agent(mut self, value: impl Into<String>) -> Self {
        self.user_agent = value.into();
        self
    }

    /// What a server may make this side hold or do; [`ServerLimits::default`] by default.
    #[must_use]
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
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
        let lookups = Arc::new(Lookups::new(self.resolver, self.connect_limit));
        Ok(HyperFetcher(Arc::new(Network {
            pools: Pools::new(Arc::clone(&lookups), tls, self.connect_limit, self.limits),
            lookups,
            cookies: self.cookies,
            preflights: Mutex::default(),
            user_agent: self.user_agent,
            limits: self.limits,
        })))
    }
}

impl HyperFetcher {
    /// Starts from the defaults.
    #[must_use]
    pub fn builder() -> HyperFetcherBuilder {
        HyperFetcherBuilder {
            tls: None,
            resolver: Arc::new(SystemResolver),
            connect_limit: Duration::from_secs(30),
            cookies: None,
            user_agent: concat!("bgfetch/", env!("CARGO_PKG_VERSION")).into(),
            limits: ServerLimits::default(),
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
        Box::pin(http_fetch::http_fetch(Arc::clone(&self.0), request))
    }

    /// Forgets the connections and the answers of look-ups. Fetches that run keep their connections
    /// until they end.
    fn network_changed(&self) {
        self.0.lookups.clear();
        self.0.pools.clear();
    }
}
