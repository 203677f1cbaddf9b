//! The default [`Fetcher`]: hyper over rustls, HTTP/1.1 with keep-alive and HTTP/2 by ALPN.
//!
//! [`crate::fetch`] has the checks and headers of the Fetch standard; this module sends the
//! requests. `http_fetch.rs` has the loop over preflights and redirects. `network_fetch.rs` sends
//! one message, within the limits of `limits.rs`.

mod causes;
mod coding;
mod connect;
mod decode;
mod decoder_memory;
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

use self::decoder_memory::DecoderMemory;
use self::http_fetch::Network;
pub use self::limits::ServerLimits;
use self::lookups::Lookups;
use self::pools::Pools;
pub use self::resolve::{Resolve, SystemResolver};
use crate::fetch::cookies::CookieStore;
use crate::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};

/// The default network stack. Share it in an [`Arc`].
///
/// Connections and TLS sessions are shared by the fetches of one storage key, separately for those
/// with and without credentials, and by the fetches of the user. They are never shared between
/// these groups.
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
    /// Sets the TLS configuration, for example to use other roots, client certificates or a custom
    /// verifier. By default, the system's root certificates are trusted and there is no client
    /// certificate.
    ///
    /// A client certificate is a credential, so it is not presented for requests without
    /// credentials. The ALPN protocols and the session storage of the configuration are replaced:
    /// each network partition has a session storage of its own.
    #[must_use]
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Sets the resolver of host names; [`SystemResolver`] by default.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Sets the time limit of the name look-up, and that of the TCP and TLS handshakes together; 30
    /// s each by default.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_limit = limit;
        self
    }

    /// Sets the cookie store. By default, there is none, and cookies are neither sent nor stored:
    /// the embedder decides which cookies a fetch may use, and a jar of the fetcher would not have
    /// those of the embedder's pages.
    #[must_use]
    pub fn cookies(mut self, store: impl CookieStore) -> Self {
        self.cookies = Some(Arc::new(store));
        self
    }

    /// Sets the `User-Agent` of requests that have none; `bgfetch/VERSION` by default.
    #[must_use]
    pub fn user_agent(mut self, value: impl Into<String>) -> Self {
        self.user_agent = value.into();
        self
    }

    /// Sets the limits on servers; [`ServerLimits::default`] by default.
    #[must_use]
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Builds the fetcher. This opens no connection, and a runtime is only needed to fetch.
    ///
    /// # Errors
    /// If the TLS library rejects its own defaults. Cannot happen with [`tls`](Self::tls).
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
            decoder_memory: Arc::new(DecoderMemory::new(self.limits.decoder_memory)),
            user_agent: self.user_agent,
            limits: self.limits,
        })))
    }
}

impl HyperFetcher {
    /// A builder with all defaults.
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
    /// See [`HyperFetcherBuilder::build`].
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

    /// Drops connections and the answers of look-ups. Running fetches keep their connections until
    /// they end.
    fn network_changed(&self) {
        self.0.lookups.clear();
        self.0.pools.clear();
    }
}
