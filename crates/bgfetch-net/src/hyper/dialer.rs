//! Opens streams of bytes to servers: directly, through proxies, or by an embedder's function.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bgfetch_model::ip_address_space::LocalNetworkDenied;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::byte_stream::ByteStream;
use super::causes::causes;
use super::connect::{BoxError, Resolver};
use super::lookups::Lookups;
use super::proxy::{Proxy, ProxyServer, authority};
use super::tunnel::{self, ProxyError};
use crate::fetch::local_network_access::Reach;
use crate::partition::Partition;

/// Where a stream of bytes leads to; see
/// [`HyperFetcherBuilder::connector`](super::HyperFetcherBuilder::connector).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Endpoint {
    /// The host's name or address; an IPv6 address has no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address spaces that the stream may lead to. Check each address with [`Reach::check`]
    /// before you connect to it, and return `io::Error::other` of the error.
    pub reach: Reach,
}

impl Endpoint {
    /// This host and port, at an address that `reach` allows.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, reach: Reach) -> Self {
        Self { host: host.into(), port, reach }
    }
}

/// An embedder's function.
pub(super) type OpenStream =
    dyn Fn(Endpoint) -> BoxFuture<'static, io::Result<ByteStream>> + Send + Sync;

/// Opens streams for one pool.
#[derive(Clone)]
pub(super) struct Dialer {
    /// In order of preference. Empty if no proxy is used.
    routes: Arc<[Proxy]>,
    reach: Reach,
    /// Replaces TCP connections of our own.
    connector: Option<Arc<OpenStream>>,
    to_server: HttpConnector<Resolver>,
    /// The address of a proxy is the embedder's choice, so it may be local.
    to_proxy: HttpConnector<Resolver>,
    proxy_tls: TlsConnector,
    limit: Duration,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Dialer {
    /// `tls` is for proxies. It has no client certificate.
    pub(super) fn new(
        routes: Arc<[Proxy]>,
        connector: Option<Arc<OpenStream>>,
        lookups: &Arc<Lookups>,
        partition: &Partition,
        reach: Reach,
        mut tls: ClientConfig,
        limit: Duration,
    ) -> Self {
        let tcp = |reach| {
            let resolver = Resolver::new(Arc::clone(lookups), partition.clone(), reach);
            let mut http = HttpConnector::new_with_resolver(resolver);
            http.enforce_http(false);
            http.set_nodelay(true);
            // Divided among a host's addresses, so that an address that does not answer leaves time
            // for the next one. The limit of the whole connection also covers TLS.
            http.set_connect_timeout(Some(limit));
            http
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            routes,
            reach,
            connector,
            to_server: tcp(reach),
            to_proxy: tcp(Reach::ALL),
            proxy_tls: TlsConnector::from(Arc::new(tls)),
            limit,
        }
    }

    /// Whether connections are our own and lead directly to the server.
    pub(super) fn is_direct(&self) -> bool {
        self.routes.is_empty() && self.connector.is_none()
    }

    /// Tries the routes in order. Each has an equal share of the time. A proxy that has answered is
    /// the last one that is tried, and so is a server out of reach.
    async fn dial(self, server: Uri) -> Result<ByteStream, BoxError> {
        let mut failure = None;
        let share = self.limit / u32::try_from(self.routes.len()).unwrap_or(u32::MAX).max(1);
        for route in self.routes.iter() {
            let Some(proxy) = &route.0 else {
                match timeout(share, self.direct(&server)).await {
                    Ok(Ok(stream)) => return Ok(stream),
                    Ok(Err(error)) if is_denied(&*error) => return Err(error),
                    Ok(Err(error)) => failure = Some(error),
                    Err(_) => failure = Some(io::Error::from(io::ErrorKind::TimedOut).into()),
                }
                continue;
            };
            match timeout(share, self.through(route, proxy, &server)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) if error.is_answer => return Err(error.into()),
                Ok(Err(error)) => failure = Some(error.into()),
                Err(_) => {
                    let late = io::Error::from(io::ErrorKind::TimedOut);
                    failure = Some(ProxyError::failed(route, &late).into());
                }
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None => self.direct(&server).await,
        }
    }

    async fn direct(&self, server: &Uri) -> Result<ByteStream, BoxError> {
        match &self.connector {
            Some(connector) => {
                let (host, port) = host_and_port(server);
                let endpoint = Endpoint { host: host.into(), port, reach: self.reach };
                Ok(connector(endpoint).await?)
            }
            None => tcp(&self.to_server, server.clone()).await,
        }
    }

    async fn through(
        &self,
        route: &Proxy,
        proxy: &ProxyServer,
        server: &Uri,
    ) -> Result<ByteStream, ProxyError> {
        let stream = self.to_proxy(proxy).await;
        let stream = stream.map_err(|cause| ProxyError::failed(route, &*cause))?;
        let (host, port) = host_and_port(server);
        tunnel::open(route, proxy, stream, &self.proxy_tls, host, port).await
    }

    async fn to_proxy(&self, proxy: &ProxyServer) -> Result<ByteStream, BoxError> {
        match &self.connector {
            Some(connector) => {
                let host = proxy.host.clone();
                Ok(connector(Endpoint { host, port: proxy.port, reach: Reach::ALL }).await?)
            }
            None => {
                let uri = format!("http://{}", authority(&proxy.host, proxy.port));
                tcp(&self.to_proxy, uri.parse()?).await
            }
        }
    }
}

async fn tcp(connector: &HttpConnector<Resolver>, uri: Uri) -> Result<ByteStream, BoxError> {
    let mut connector = connector.clone();
    poll_fn(|context| connector.poll_ready(context)).await?;
    Ok(ByteStream::Tcp(connector.call(uri).await?.into_inner()))
}

fn is_denied(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<LocalNetworkDenied>())
}

/// The host of a URL, without brackets, and its port.
fn host_and_port(uri: &Uri) -> (&str, u16) {
    let host = uri.host().unwrap_or_default();
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let default = if uri.scheme() == Some(&http::uri::Scheme::HTTPS) { 443 } else { 80 };
    (v6.unwrap_or(host), uri.port_u16().unwrap_or(default))
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<ByteStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { Ok(TokioIo::new(dialer.dial(server).await?)) })
    }
}
