//! The default [`Fetcher`]: hyper over rustls, HTTP/1.1 with keep-alive and HTTP/2 by ALPN.
//!
//! [`crate::fetch`] has the checks and headers of the Fetch standard, and the loop over preflights
//! and redirects; this module is the transport below them. `transport.rs` chooses the connection.
//! `network_fetch.rs` sends one message, within the limits of `limits.rs`.

mod byte_stream;
mod causes;
mod coding;
mod connect;
mod decode;
mod decoder_memory;
mod dialer;
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
mod proxy;
mod resolve;
mod tls_error;
mod transport;
mod tunnel;
mod upload;
mod watched;
mod words;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use self::byte_stream::ByteStream;
use self::decoder_memory::DecoderMemory;
pub use self::dialer::Endpoint;
use self::dialer::OpenStream;
pub use self::framed_body::FramedBody;
pub use self::limits::ServerLimits;
use self::lookups::Lookups;
use self::pools::Pools;
pub use self::proxy::{BadProxy, Proxies, Proxy};
pub use self::resolve::{Resolve, SystemResolver};
use self::transport::{ChooseProxies, HyperTransport, Network};
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
    choose_proxies: Option<Arc<ChooseProxies>>,
    connector: Option<Arc<OpenStream>>,
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

    /// Sets the function that chooses the proxies for a URL, in order of preference. It is called
    /// for every request, also those of redirects. An empty list means no proxy, and a list may
    /// contain [`Proxy::DIRECT`]. By default, no proxy is used, whatever the environment says;
    /// [`Proxies::from_environment`] is what the environment says.
    ///
    /// - If a proxy cannot be reached or breaks off, the next one is tried, within the [time
    ///   limit](Self::connect_timeout) for the connection. If none is left, this counts as a failed
    ///   connection, and the engine tries again by its policy.
    /// - A proxy that refuses has answered, so the next one is not tried. If it does not accept the
    ///   user, the fetch ends with
    ///   [`FaultKind::ProxyAuthentication`](bgfetch_model::attempt::FaultKind::ProxyAuthentication),
    ///   which is not retried.
    /// - The proxy resolves names, so [`resolver`](Self::resolver) only gets the name of the proxy.
    ///   A page's access to the local network is checked for addresses in URLs and for `localhost`,
    ///   and for other names it is up to the proxy.
    /// - Connections through different lists of proxies are never shared.
    ///
    /// The wait for the list counts as time without a response.
    #[must_use]
    pub fn proxy<F>(mut self, choose: impl Fn(&Url) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<Proxy>> + Send + 'static,
    {
        self.choose_proxies = Some(Arc::new(move |url| Box::pin(choose(url))));
        self
    }

    /// Sets the function that opens a stream of bytes to a host and a port, instead of TCP: for a
    /// network stack, a sandbox or a tunnel of the embedder's own. TLS and HTTP are still those of
    /// this fetcher. With [proxies](Self::proxy), it opens the streams to them.
    ///
    /// It gets names unresolved, so [`resolver`](Self::resolver) is not used, and it must check the
    /// addresses that it connects to (see [`Endpoint::reach`]). It counts towards the [time
    /// limit](Self::connect_timeout) for the connection.
    #[must_use]
    pub fn connector<F, S>(mut self, open: impl Fn(Endpoint) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.connector = Some(Arc::new(move |endpoint| {
            let opening = open(endpoint);
            Box::pin(async move { Ok(ByteStream::other(opening.await?)) })
        }));
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
            looks_up: self.connector.is_none(),
            pools: Pools::new(
                Arc::clone(&lookups),
                tls,
                self.connect_limit,
                self.limits,
                self.connector,
            ),
            lookups,
            choose_proxies: self.choose_proxies,
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
            choose_proxies: None,
            connector: None,
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
