//! The default [`Fetcher`]: hyper over rustls, HTTP/1.1 with keep-alive and HTTP/2 by ALPN.
//!
//! [`crate::fetch`] has the checks and headers of the Fetch standard, and the loop over preflights
//! and redirects; this module is the transport below them. `transport.rs` chooses the connection.
//! `network_fetch.rs` sends one message, within the limits of `limits.rs`.

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
mod limits;
mod lookups;
mod members;
mod network_fetch;
mod pools;
mod resolve;
mod tls_error;
mod transport;
mod upload;
mod watched;
mod words;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;

use self::decoder_memory::DecoderMemory;
pub use self::framed_body::FramedBody;
pub use self::limits::ServerLimits;
use self::lookups::Lookups;
use self::pools::Pools;
pub use self::resolve::{Resolve, SystemResolver};
use self::transport::{HyperTransport, Network};
use crate::fetch::cookies::CookieStore;
use crate::fetch::{Hop, WithWebChecks};
use crate::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};

/// The default network stack: [`WithWebChecks`] over hyper. Share it in an [`Arc`].
///
/// Connections and TLS sessions are shared by the fetches of one storage key, separately for those
/// with and without credentials, and by the fetches of the user. They are never shared between
/// these groups.
pub struct HyperFetcher(WithWebChecks<HyperTransport>);

/// Configures a [`HyperFetcher`].
pub struct HyperFetcherBuilder {
    tls: Option<ClientConfig>,
    resolver: Arc<dyn Resolve>,
    connect_limit: Duration,
    checks: WithWebChecks<()>,
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

    /// See [`WithWebChecks::cookies`].
    #[must_use]
    pub fn cookies(mut self, store: impl CookieStore) -> Self {
        self.checks = self.checks.cookies(store);
        self
    }

    /// See [`WithWebChecks::user_agent`].
    #[must_use]
    pub fn user_agent(mut self, value: impl Into<String>) -> Self {
        self.checks = self.checks.user_agent(value);
        self
    }

    /// See [`WithWebChecks::before_hop`].
    #[must_use]
    pub fn before_hop(mut self, change: impl Fn(&mut Hop) + Send + Sync + 'static) -> Self {
        self.checks = self.checks.before_hop(change);
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
        let transport = HyperTransport(Arc::new(Network {
            pools: Pools::new(Arc::clone(&lookups), tls, self.connect_limit, self.limits),
            lookups,
            decoder_memory: Arc::new(DecoderMemory::new(self.limits.decoder_memory)),
            limits: self.limits,
        }));
        Ok(HyperFetcher(self.checks.over(transport)))
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
            checks: WithWebChecks::unconnected(),
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
        self.0.fetch(request)
    }

    /// Drops connections and the answers of look-ups. Running fetches keep their connections until
    /// they end.
    fn network_changed(&self) {
        self.0.network_changed();
    }
}
