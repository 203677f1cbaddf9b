//! From a URL to a connection: name look-up, TCP, TLS, all within one time limit.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::TcpStream;
use tower_service::Service;

use super::exchange::Exchange;
use super::watched::Watched;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Looks host names up.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, the preferred ones first.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

    /// The port where `host` is reached by URLs that name none, as an
    /// [HTTPS record](https://www.rfc-editor.org/rfc/rfc9460) of the DNS can tell. By default, and
    /// where there is none, the port of the URL's scheme.
    fn port(&self, _host: &str) -> Option<u16> {
        None
    }
}

/// The system's resolver, except that
/// [`localhost`](https://www.w3.org/TR/secure-contexts/#localhost) always means this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move {
            if is_localhost(&host) {
                return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
            }
            let addresses = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
}

/// Trusts the system's root certificates.
pub(super) fn default_tls() -> Result<ClientConfig, rustls::Error> {
    // Named, because an embedder's other crates may bring a second provider, between which rustls
    // would refuse to choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
    };
    let config = match builder()?.with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            // Plain HTTP must work where no certificates are installed; HTTPS then fails by name.
            tracing::warn!(%error, "no root certificates: every https fetch will fail");
            builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    };
    Ok(config)
}

/// How connections are made.
pub(super) struct ConnectSettings {
    pub(super) resolver: Arc<dyn Resolve>,
    /// How long name look-up, TCP and TLS handshake may take together.
    pub(super) limit: Duration,
}

impl Default for ConnectSettings {
    fn default() -> Self {
        Self { resolver: Arc::new(SystemResolver), limit: Duration::from_secs(30) }
    }
}

/// Opens connections for one pool.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector<Resolver>>,
    limit: Duration,
    informational: usize,
    exchange: Exchange,
}

impl Connector {
    pub(super) fn new(
        mut tls: ClientConfig,
        settings: &ConnectSettings,
        informational: usize,
        exchange: Exchange,
    ) -> Self {
        let limit = settings.limit;
        let mut http = HttpConnector::new_with_resolver(Resolver(Arc::clone(&settings.resolver)));
        http.enforce_http(false);
        http.set_nodelay(true);
        // Shared among a host's addresses, so that one that does not answer leaves time for the
        // next; the limit below also covers name look-up and TLS.
        http.set_connect_timeout(Some(limit));
        // The builder insists on choosing the protocols itself.
        tls.alpn_protocols.clear();
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let inner = match exchange {
            Exchange::Usual => builder.enable_all_versions().wrap_connector(http),
            Exchange::Http1 | Exchange::Tolerant => builder.enable_http1().wrap_connector(http),
        };
        Self { inner, limit, informational, exchange }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Watched<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let (limit, informational, exchange) = (self.limit, self.informational, self.exchange);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => {
                    let connection = TokioIo::new(connected?);
                    Ok(TokioIo::new(match exchange {
                        Exchange::Tolerant => Watched::for_tolerant_parser(connection),
                        Exchange::Usual | Exchange::Http1 => {
                            Watched::new(connection, informational)
                        }
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

/// A host name could not be resolved.
#[derive(Debug, Error)]
#[error("the name could not be resolved: {0}")]
pub(super) struct NotResolved(io::Error);

/// [`Resolve`] as the connector wants it.
#[derive(Clone)]
struct Resolver(Arc<dyn Resolve>);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NotResolved;
    type Future = BoxFuture<'static, Result<Self::Response, NotResolved>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), NotResolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.resolve(name.as_str());
        // In place of 0, and where the URL names one, the connector fills in the URL's.
        let port = self.0.port(name.as_str()).unwrap_or_default();
        Box::pin(async move {
            let addresses = resolving.await.map_err(NotResolved)?.into_iter();
            let addresses: Vec<_> = addresses.map(|ip| SocketAddr::new(ip, port)).collect();
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_localhost;

    #[test]
    fn localhost_and_its_subdomains_are_this_machine() {
        for host in ["localhost", "LOCALHOST.", "a.localhost", "a.b.localhost."] {
            assert!(is_localhost(host), "{host}");
        }
        for host in ["localhost.test", "notlocalhost", "localhost..", ""] {
            assert!(!is_localhost(host), "{host}");
        }
    }
}
