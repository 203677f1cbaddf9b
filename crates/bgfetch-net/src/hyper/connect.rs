//! Opens connections: TCP and TLS within one time limit.

use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bgfetch_model::ip_address_space::LocalNetworkDenied;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt as _;
use tower_service::Service;

use super::byte_stream::ByteStream;
use super::dialer::Dialer;
use super::exchange::Exchange;
use super::limits::ServerLimits;
use super::lookups::{Lookups, NotResolved};
use super::resolve::is_localhost;
use super::watched::Watched;
use crate::fetch::local_network_access::Reach;
use crate::partition::Partition;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A TLS configuration that trusts the system's root certificates.
pub(super) fn default_tls() -> Result<ClientConfig, rustls::Error> {
    // The provider is named, because other crates of an embedder may enable a second one, and
    // rustls would refuse to choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
    };
    let config = match builder()?.with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            // Plain HTTP must work without installed certificates. HTTPS then fails with an error
            // that says so.
            tracing::warn!(%error, "no root certificates: every https fetch will fail");
            builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    };
    Ok(config)
}

/// Opens connections for one pool, with TLS if the URL says so.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<Dialer>,
    /// Whether connections lead directly to the server.
    is_direct: bool,
    lookups: Arc<Lookups>,
    reach: Reach,
    limit: Duration,
    limits: ServerLimits,
    exchange: Exchange,
}

impl Connector {
    pub(super) fn new(
        mut tls: ClientConfig,
        dialer: Dialer,
        lookups: Arc<Lookups>,
        reach: Reach,
        limit: Duration,
        limits: ServerLimits,
        exchange: Exchange,
    ) -> Self {
        let is_direct = dialer.is_direct();
        // The builder requires this to be empty, and sets the protocols itself.
        tls.alpn_protocols.clear();
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let inner = match exchange {
            Exchange::Usual => builder.enable_all_versions().wrap_connector(dialer),
            Exchange::Http1 | Exchange::Tolerant => builder.enable_http1().wrap_connector(dialer),
        };
        Self { inner, is_direct, lookups, reach, limit, limits, exchange }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Watched<TokioIo<MaybeHttpsStream<TokioIo<ByteStream>>>>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // The inner connector does not resolve IP literals, and proxies resolve names.
        if let Some(Err(denied)) = self.literal(&uri).map(|address| self.reach.check(address)) {
            return Box::pin(ready(Err(denied.into())));
        }
        let host = uri.host().filter(|_| uri.port().is_none() && self.is_direct);
        let preamble = host.and_then(|host| self.lookups.resolver.preamble(host));
        let connecting = self.inner.call(uri);
        let (limit, limits, exchange) = (self.limit, self.limits, self.exchange);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => {
                    let mut connection = TokioIo::new(connected?);
                    if let Some(preamble) = preamble {
                        connection.write_all(&preamble).await?;
                        connection.flush().await?;
                    }
                    Ok(TokioIo::new(match exchange {
                        Exchange::Tolerant => Watched::for_tolerant_parser(connection),
                        Exchange::Usual | Exchange::Http1 => Watched::new(connection, &limits),
                    }))
                }
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {} s", limit.as_secs_f32()),
                )
                .into()),
            }
        })
    }
}

impl Connector {
    /// The address that a URL names itself: by an IP literal, or by `localhost` if nothing else
    /// tells its address.
    fn literal(&self, uri: &Uri) -> Option<IpAddr> {
        let host = uri.host()?;
        if !self.is_direct && is_localhost(host) {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        v6.unwrap_or(host).parse().ok()
    }
}

/// Adapts [`Lookups`] to the connector, for one partition. Only addresses that may be reached are
/// answered, so that no other one learns of the request, not even by a connection.
#[derive(Clone)]
pub(super) struct Resolver {
    lookups: Arc<Lookups>,
    partition: Partition,
    reach: Reach,
}

impl Resolver {
    pub(super) fn new(lookups: Arc<Lookups>, partition: Partition, reach: Reach) -> Self {
        Self { lookups, partition, reach }
    }

    fn reachable(reach: Reach, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, LocalNetworkDenied> {
        let (mut reachable, mut denied) = (Vec::new(), None);
        for address in addresses {
            match reach.check(*address) {
                Ok(()) => reachable.push(*address),
                Err(error) => denied = denied.or(Some(error)),
            }
        }
        match denied {
            Some(denied) if reachable.is_empty() => Err(denied),
            _ => Ok(reachable),
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        // The fetch has just looked it up. If the answer was forgotten since, it is looked up
        // again.
        let known = self.lookups.known(&self.partition, name.as_str());
        let (resolver, reach) = (Arc::clone(&self.lookups.resolver), self.reach);
        Box::pin(async move {
            let addresses = match known {
                Some(known) => Self::reachable(reach, &known)?,
                None => {
                    let found = resolver.resolve(name.as_str()).await.map_err(NotResolved::from)?;
                    Self::reachable(reach, &found)?
                }
            };
            // The connector replaces 0 with the URL's port, and any port if the URL has an explicit
            // one.
            let port = resolver.port(name.as_str()).unwrap_or_default();
            let addresses: Vec<_> =
                addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
            Ok(addresses.into_iter())
        })
    }
}
